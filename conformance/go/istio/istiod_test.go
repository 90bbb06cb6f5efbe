package istio

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"istio.io/api/mesh/v1alpha1"
	"istio.io/api/security/v1beta1"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/pki/ca"
	server "istio.io/istio/security/pkg/server/ca"
	"istio.io/istio/security/pkg/server/ca/authenticate"
)

// istiod is the certificate service of istiod, in this process: its own server, authority and authenticators, with the
// authority, the issuer of tokens and the lifetimes that Signet has. It gives its address.
func istiod(t *testing.T) string {
	t.Helper()
	for name, content := range map[string][]byte{"ca-cert.pem": ours.intermediate, "ca-key.pem": ours.key} {
		fatal(t, os.WriteFile(file(name), content, 0o600))
	}
	options, err := ca.NewPluggedCertIstioCAOptions(ca.SigningCAFileBundle{
		RootCertFile: file("roots.pem"), CertChainFiles: []string{file("ca-cert.pem")},
		SigningCertFile: file("ca-cert.pem"), SigningKeyFile: file("ca-key.pem"),
	}, defaultTTL, maxTTL, 2048)
	fatal(t, err)
	authority, err := ca.NewIstioCA(options)
	fatal(t, err)
	published := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = answer.Write(keys())
	}))
	t.Cleanup(published.Close)
	tokens, err := authenticate.NewJwtAuthenticator(
		&v1beta1.JWTRule{Issuer: issuer, JwksUri: published.URL, Audiences: []string{audience}},
		meshwatcher.NewTestWatcher(&v1alpha1.MeshConfig{TrustDomain: "cluster.local"}),
	)
	fatal(t, err)
	service, err := server.New(authority, maxTTL, []security.Authenticator{&authenticate.ClientCertAuthenticator{}, tokens}, nil)
	fatal(t, err)
	certificate, key, err := authority.GenKeyCert([]string{istiodName}, maxTTL, false)
	fatal(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	fatal(t, err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ours.root)
	secured := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients,
	})))
	service.Register(secured)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	go func() { _ = secured.Serve(listener) }()
	t.Cleanup(secured.Stop)
	return listener.Addr().String()
}
