package kubernetes

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	istio "istio.io/api/security/v1alpha1"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/credentialfetcher/plugin"
	"istio.io/istio/security/pkg/nodeagent/caclient/providers/citadel"
	"istio.io/istio/security/pkg/pki/util"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"signet.test/conformance/harness"
)

// service is something that speaks the Istio CSR protocol.
type service struct {
	address string
	// roots is a file that verifies its own certificate.
	roots string
	// usage of the keys that it certifies.
	usage x509.KeyUsage
}

// identity of the service account that a namespace of these tests has.
func identity(namespace string) string {
	return "spiffe://cluster.local/ns/" + namespace + "/sa/" + namespace
}

// agent has Istio's own client get a certificate with the token of a workload, and verifies it as Istio does.
func (s service) agent(t *testing.T, namespace string) {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	fatal(t, os.WriteFile(token, []byte(shared.token(t, namespace, namespace, nil, "istio-ca")), 0o600))
	client, err := citadel.NewCitadelClient(&security.Options{
		CAEndpoint: s.address, ClusterID: "Kubernetes", CredFetcher: plugin.CreateTokenPlugin(token), TrustDomain: "cluster.local",
		WorkloadNamespace: namespace, ServiceAccount: namespace,
	}, &citadel.TLSOptions{RootCert: s.roots})
	fatal(t, err)
	defer client.Close()
	request, key, err := util.GenCSR(util.CertOptions{Host: identity(namespace), ECSigAlg: util.EcdsaSigAlg})
	fatal(t, err)
	chain, err := client.CSRSign(request, 300)
	fatal(t, err)
	if len(chain) < 3 {
		t.Fatalf("a chain of %d", len(chain))
	}
	var joined []byte
	for _, one := range chain {
		joined = append(joined, one...)
	}
	fields := &util.VerifyFields{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    s.usage,
		Host:        identity(namespace),
	}
	if err := util.VerifyCertificate(key, joined, []byte(chain[len(chain)-1]), fields); err != nil {
		t.Error(err)
	}
	leaf, err := harness.Certificates([]byte(chain[0]))
	fatal(t, err)
	if lifetime := leaf[0].NotAfter.Sub(leaf[0].NotBefore); lifetime > 5*time.Minute+31*time.Second {
		t.Errorf("valid for %v", lifetime)
	}
}

// ask is one call with a token, for an identity, perhaps on behalf of another workload.
func (s service) ask(t *testing.T, token, wanted, impersonated string) error {
	t.Helper()
	text, err := os.ReadFile(s.roots)
	fatal(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	connection, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "istiod.istio-system.svc")))
	fatal(t, err)
	defer connection.Close()
	request, _, err := util.GenCSR(util.CertOptions{Host: wanted, ECSigAlg: util.EcdsaSigAlg})
	fatal(t, err)
	more, err := structpb.NewStruct(map[string]any{})
	fatal(t, err)
	if impersonated != "" {
		more.Fields[security.ImpersonatedIdentity] = structpb.NewStringValue(impersonated)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "clusterid", "Kubernetes")
	_, err = istio.NewIstioCertificateServiceClient(connection).CreateCertificate(ctx, &istio.IstioCertificateRequest{
		Csr: string(request), ValidityDuration: 300, Metadata: more,
	})
	return err
}

// refuses wants UNAUTHENTICATED.
func (s service) refuses(t *testing.T, token, wanted, impersonated string) {
	t.Helper()
	if err := s.ask(t, token, wanted, impersonated); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v", err)
	}
}

func TestCertificateService(t *testing.T) {
	onlySignet(t, "the certificate service")
	_, token := shared.signetInCluster(t)
	ports, err := harness.FreePorts(1)
	fatal(t, err)
	started := server(t, fmt.Sprintf(`
istio_csr {
  address      = %q
  mount        = "mesh_int"
  role         = "mesh"
  trust_domain = "cluster.local"
  dns_names    = ["istiod.istio-system.svc", "localhost"]
  trusted_node_accounts = ["ztunnel/ztunnel"]
  authenticator "kubernetes" {
    host       = %q
    ca_file    = %q
    token_file = %q
  }
}
`, ports[0], shared.url, shared.caFile, token))
	authority := harness.Provision(t, started.Root(t), "mesh", harness.Mesh)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	fatal(t, os.WriteFile(roots, authority.Root, 0o600))
	_, port, err := net.SplitHostPort(ports[0])
	fatal(t, err)
	mesh := service{address: "localhost:" + port, roots: roots, usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	for _, name := range []string{"bank", "till", "ztunnel"} {
		shared.namespace(t, name, "")
	}
	t.Run("gives a workload its certificate", func(t *testing.T) { mesh.agent(t, "bank") })
	t.Run("refuses a token for another audience", func(t *testing.T) {
		mesh.refuses(t, shared.token(t, "bank", "bank", nil, "vault"), identity("bank"), "")
	})
	t.Run("refuses the identity of another", func(t *testing.T) {
		mesh.refuses(t, shared.token(t, "bank", "bank", nil, "istio-ca"), identity("till"), "")
	})
	bound := func(t *testing.T, namespace, pod, node string) string {
		made := shared.pod(t, namespace, pod, node)
		return shared.token(t, namespace, namespace, &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: made.Name, UID: made.UID,
		}, "istio-ca")
	}
	t.Run("refuses the token of a pod that is gone", func(t *testing.T) {
		token := bound(t, "bank", "short", "node-1")
		fatal(t, shared.CoreV1().Pods("bank").Delete(context.Background(), "short", *metav1.NewDeleteOptions(0)))
		mesh.refuses(t, token, identity("bank"), "")
	})
	t.Run("gives a node proxy what its own node runs", func(t *testing.T) {
		ztunnel := bound(t, "ztunnel", "ztunnel-1", "node-1")
		bank := bound(t, "bank", "bank", "node-1")
		bound(t, "till", "till", "node-2")
		// Pods are watched: a moment passes until a new one is known.
		eventually(t, func() error { return mesh.ask(t, ztunnel, identity("bank"), identity("bank")) })
		mesh.refuses(t, ztunnel, identity("till"), identity("till"))
		mesh.refuses(t, bank, identity("bank"), identity("bank"))
	})
}

// The program istio-csr in front of cert-manager's controllers: the whole chain of the article.
func TestIstioCSR(t *testing.T) {
	program := os.Getenv("CONFORMANCE_ISTIO_CSR")
	if program == "" {
		reason := os.Getenv("CONFORMANCE_ISTIO_CSR_MISSING")
		if reason == "" {
			reason = "CONFORMANCE_ISTIO_CSR does not name the program istio-csr"
		}
		t.Skip(reason)
	}
	_, authority := theArticle(t)
	shared.namespace(t, "stranger", "")
	roots := filepath.Join(t.TempDir(), "roots.pem")
	fatal(t, os.WriteFile(roots, authority.Root, 0o600))
	ports, err := harness.FreePorts(3)
	fatal(t, err)
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		fatal(t, err)
		return port
	}
	beside(t, program,
		"--kubeconfig="+shared.admin, "--issuer-name=istio-ca", "--certificate-namespace=istio-system", "--root-ca-file="+roots,
		"--configmap-namespace-selector=maistra.io/member-of=istio-system", "--max-client-certificate-duration=5m",
		"--serving-certificate-dns-names=cert-manager-istio-csr.istio-system.svc,istiod.istio-system.svc",
		"--serving-address="+ports[0], "--readiness-probe-port="+port(ports[1]), "--metrics-port="+port(ports[2]),
	)
	eventually(t, func() error {
		answer, err := http.Get("http://" + ports[1] + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("istio-csr is not ready: %s", answer.Status)
		}
		return nil
	})
	mesh := service{
		address: "localhost:" + port(ports[0]), roots: roots,
		// The role says it, not the request.
		usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
	}
	t.Run("gives a workload its certificate", func(t *testing.T) { mesh.agent(t, "httpbin") })
	t.Run("refuses a token for another audience", func(t *testing.T) {
		mesh.refuses(t, shared.token(t, "httpbin", "httpbin", nil, "vault"), identity("httpbin"), "")
	})
	t.Run("keeps the root in the namespaces of the mesh", func(t *testing.T) {
		rootsAre(t, "httpbin", string(authority.Root))
		rootsAre(t, istioSystem, string(authority.Root))
		_, err := shared.CoreV1().ConfigMaps("stranger").Get(context.Background(), rootMap, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("finds the Secret of istiod", func(t *testing.T) {
		servesAsIstiod(t, certificateIsReady(t, "istiod", 1), authority.Root)
	})
}
