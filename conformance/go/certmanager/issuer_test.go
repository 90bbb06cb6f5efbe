// Package certmanager runs cert-manager's own Vault issuer and certificate request controllers
// against the server.
package certmanager

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/test/unit/gen"
	vault "github.com/hashicorp/vault/api"

	"signet.test/conformance/harness"
)

var server *harness.Server

func TestMain(m *testing.M) { harness.Main(m, &server) }

// Secrets of the cluster, by name.
type secrets = map[string]map[string][]byte

// What cert-manager's own end-to-end tests give their role, booleans as texts.
var usual = map[string]any{
	"allow_any_name": "true", "max_ttl": "2160h", "key_type": "any", "require_cn": "false", "allowed_other_sans": "*",
	"use_csr_sans": "true", "allowed_uri_sans": "spiffe://cluster.local/*", "enforce_hostnames": "false",
	"allow_bare_domains": "true", "allow_ip_sans": "true",
}

func appRole(authority *harness.Authority) cmapi.VaultAuth {
	return cmapi.VaultAuth{AppRole: &cmapi.VaultAppRole{
		Path: "approle", RoleId: authority.RoleID, SecretRef: selector("approle", "secretId"),
	}}
}

func selector(name, key string) cmmeta.SecretKeySelector {
	return cmmeta.SecretKeySelector{LocalObjectReference: cmmeta.LocalObjectReference{Name: name}, Key: key}
}

func spec(authority *harness.Authority, auth cmapi.VaultAuth) cmapi.VaultIssuer {
	return cmapi.VaultIssuer{Server: server.TLSURL, Path: authority.SignPath, CABundle: server.Material.CA, Auth: auth}
}

// works checks the issuer and has it sign for a workload.
func works(t *testing.T, authority *harness.Authority, issuer cmapi.VaultIssuer, given secrets) {
	t.Helper()
	asked, _ := csr(t, x509.ECDSA, gen.SetCSRURIsFromStrings("spiffe://cluster.local/ns/a/sa/b"))
	cluster := newCluster(t, issuer, given, request(t, "one", asked, time.Hour))
	cluster.mustBeReady()
	chain, ca := cluster.mustIssue("one")
	verify(t, authority, chain, ca, time.Hour)
}

// verify wants leaf and intermediate in the chain, the root beside it, and the lifetime within half a minute.
func verify(t *testing.T, authority *harness.Authority, chain, ca []*x509.Certificate, lifetime time.Duration) {
	t.Helper()
	if len(chain) != 2 || len(ca) != 1 {
		t.Fatalf("a chain of %d and %d authorities", len(chain), len(ca))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.Root) || string(harness.PEM("CERTIFICATE", ca[0].Raw)) != strings.TrimSpace(string(authority.Root))+"\n" {
		t.Error("the authority is not the root")
	}
	between := x509.NewCertPool()
	between.AddCert(chain[1])
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			t.Error(err)
		}
	}
	if got := chain[0].NotAfter.Sub(chain[0].NotBefore); (got - lifetime).Abs() > 31*time.Second {
		t.Errorf("valid for %v, wanted %v", got, lifetime)
	}
}

func TestAppRole(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "approle", usual)
	// A line end behind the secret is what `kubectl create secret --from-file` leaves.
	given := secrets{"approle": {"secretId": []byte(authority.SecretID + "\n")}}
	works(t, authority, spec(authority, appRole(authority)), given)
}

func TestToken(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "bytoken", usual)
	made, err := server.Root(t).Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{authority.Policy}})
	if err != nil {
		t.Fatal(err)
	}
	token := selector("token", "")
	issuer := spec(authority, cmapi.VaultAuth{TokenSecretRef: &token})
	works(t, authority, issuer, secrets{"token": {"token": []byte(made.Auth.ClientToken + "\n")}})
}

// enable mounts a login method at its own name.
func enable(t *testing.T, root *vault.Client, method string) {
	t.Helper()
	if err := root.Sys().EnableAuthWithOptions(method, &vault.EnableAuthOptions{Type: method}); err != nil {
		t.Fatal(err)
	}
}

func TestKubernetes(t *testing.T) {
	root := server.Root(t)
	authority := harness.Provision(t, root, "bypod", usual)
	enable(t, root, "kubernetes")
	reviews := reviewer(t)
	harness.Write(t, root, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": reviews.URL, "kubernetes_ca_cert": string(server.Material.CA),
		"disable_iss_validation": true,
	})
	harness.Write(t, root, "auth/kubernetes/role/issuer", map[string]any{
		"bound_service_account_names": []string{"issuer"}, "bound_service_account_namespaces": []string{namespace},
		"token_policies": []string{authority.Policy}, "token_period": "24h",
	})
	t.Run("secret", func(t *testing.T) {
		auth := cmapi.VaultAuth{Kubernetes: &cmapi.VaultKubernetesAuth{Role: "issuer", SecretRef: selector("account", "")}}
		works(t, authority, spec(authority, auth), secrets{"account": {"token": []byte(serviceAccountToken([]string{"https://kubernetes.default.svc"}))}})
	})
	t.Run("service account", func(t *testing.T) {
		auth := cmapi.VaultAuth{Kubernetes: &cmapi.VaultKubernetesAuth{
			Path: "/v1/auth/kubernetes", Role: "issuer", ServiceAccountRef: &cmapi.ServiceAccountRef{Name: "issuer"},
		}}
		works(t, authority, spec(authority, auth), nil)
	})
	t.Run("unknown role", func(t *testing.T) {
		auth := cmapi.VaultAuth{Kubernetes: &cmapi.VaultKubernetesAuth{Role: "nonesuch", SecretRef: selector("account", "")}}
		cluster := newCluster(t, spec(authority, auth), secrets{"account": {"token": []byte(serviceAccountToken([]string{"https://kubernetes.default.svc"}))}})
		cluster.mustNotBeReady("Code: 400")
	})
}

func TestClientCertificate(t *testing.T) {
	root := server.Root(t)
	authority := harness.Provision(t, root, "bycert", usual)
	enable(t, root, "cert")
	harness.Write(t, root, "auth/cert/certs/issuer", map[string]any{
		"display_name": "issuer", "certificate": string(server.Material.ClientCertificate),
		"token_policies": []string{authority.Policy}, "token_ttl": "3600",
	})
	auth := cmapi.VaultAuth{ClientCertificate: &cmapi.VaultClientCertificateAuth{Name: "issuer", SecretName: "pair"}}
	works(t, authority, spec(authority, auth), secrets{"pair": {
		"tls.crt": server.Material.ClientCertificate, "tls.key": server.Material.ClientKey,
	}})
}

func TestMutualTLS(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "mutual", usual)
	given := secrets{
		"approle": {"secretId": []byte(authority.SecretID)},
		"pair":    {"tls.crt": server.Material.ClientCertificate, "tls.key": server.Material.ClientKey},
		"bundle":  {"ca.crt": server.Material.CA},
	}
	issuer := spec(authority, appRole(authority))
	issuer.Server = server.MutualURL
	t.Run("without a certificate", func(t *testing.T) {
		// The HTTP client may lose the reason when it writes before it reads, so one that only reads hears it too.
		newCluster(t, issuer, given).mustNotBeReady("error logging in to Vault server: Post")
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(server.Material.CA)
		connection, err := tls.Dial("tcp", strings.TrimPrefix(server.MutualURL, "https://"), &tls.Config{RootCAs: roots})
		if err == nil {
			_, err = connection.Read(make([]byte, 1))
		}
		if err == nil || !strings.Contains(err.Error(), "tls: certificate required") {
			t.Errorf("%v", err)
		}
	})
	certificate, key, bundle := selector("pair", ""), selector("pair", ""), selector("bundle", "")
	issuer.ClientCertSecretRef, issuer.ClientKeySecretRef = &certificate, &key
	issuer.CABundle, issuer.CABundleSecretRef = nil, &bundle
	t.Run("with a certificate", func(t *testing.T) { works(t, authority, issuer, given) })
}

func TestIssuersThatAreNotReady(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "unready", usual)
	given := secrets{"approle": {"secretId": []byte(authority.SecretID)}}
	good := spec(authority, appRole(authority))
	t.Run("missing secret", func(t *testing.T) {
		newCluster(t, good, nil).mustNotBeReady("not found")
	})
	t.Run("wrong secret id", func(t *testing.T) {
		wrong := secrets{"approle": {"secretId": []byte("3dd3d8f3-0000-0000-0000-000000000000")}}
		newCluster(t, good, wrong).mustNotBeReady("Code: 400")
	})
	t.Run("foreign authority", func(t *testing.T) {
		foreign, err := harness.NewMaterial()
		if err != nil {
			t.Fatal(err)
		}
		bad := good
		bad.CABundle = foreign.CA
		newCluster(t, bad, given).mustNotBeReady("certificate signed by unknown authority")
	})
	t.Run("sealed", func(t *testing.T) {
		cluster := newCluster(t, good, given)
		cluster.mustBeReady()
		if err := server.Seal(); err != nil {
			t.Fatal(err)
		}
		cluster.mustNotBeReady("Code: 503")
		if err := server.Unseal(); err != nil {
			t.Fatal(err)
		}
		cluster.mustBeReady()
	})
}

func TestRequestsThatAreNotIssued(t *testing.T) {
	root := server.Root(t)
	narrow := harness.Provision(t, root, "narrow", map[string]any{
		"allowed_domains": "example.com", "allow_subdomains": "true", "key_type": "any", "require_cn": "false",
	})
	given := secrets{"approle": {"secretId": []byte(narrow.SecretID)}}
	inside, _ := csr(t, x509.ECDSA, gen.SetCSRDNSNames("a.example.com"))
	outside, _ := csr(t, x509.ECDSA, gen.SetCSRDNSNames("a.example.org"))
	t.Run("name that the role denies", func(t *testing.T) {
		cluster := newCluster(t, spec(narrow, appRole(narrow)), given, request(t, "one", outside, time.Hour))
		if err := cluster.mustStay("one", "Failed", "subject alternate name a.example.org not allowed by this role"); err != nil {
			t.Error(err)
		}
		request, _ := cluster.sync("one")
		if request.Status.FailureTime == nil {
			t.Error("no time of failure")
		}
	})
	t.Run("path that the policy denies", func(t *testing.T) {
		issuer := spec(narrow, appRole(narrow))
		issuer.Path = "narrow_int/sign/nonesuch"
		cluster := newCluster(t, issuer, given, request(t, "one", inside, time.Hour))
		cluster.mustBeReady()
		if err := cluster.mustStay("one", "Failed", "Code: 403"); err != nil {
			t.Error(err)
		}
	})
	t.Run("missing secret", func(t *testing.T) {
		cluster := newCluster(t, spec(narrow, appRole(narrow)), nil, request(t, "one", inside, time.Hour))
		if err := cluster.mustStay("one", "Pending", "Required secret resource not found"); err != nil {
			t.Error(err)
		}
	})
	t.Run("wrong secret id", func(t *testing.T) {
		wrong := secrets{"approle": {"secretId": []byte("wrong")}}
		cluster := newCluster(t, spec(narrow, appRole(narrow)), wrong, request(t, "one", inside, time.Hour))
		cluster.mustTryAgain("one", "Code: 400")
	})
	t.Run("until the server is unsealed", func(t *testing.T) {
		cluster := newCluster(t, spec(narrow, appRole(narrow)), given, request(t, "one", inside, time.Hour))
		if err := server.Seal(); err != nil {
			t.Fatal(err)
		}
		cluster.mustTryAgain("one", "Code: 503")
		if err := server.Unseal(); err != nil {
			t.Fatal(err)
		}
		cluster.mustIssue("one")
	})
}

// recorder is a proxy before the server that writes down what passes.
type recorder struct {
	*httptest.Server
	mutex sync.Mutex
	seen  []string
}

func record(t *testing.T) *recorder {
	t.Helper()
	target, err := url.Parse(server.PlainURL)
	if err != nil {
		t.Fatal(err)
	}
	made := &recorder{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	made.Server = httptest.NewTLSServer(http.HandlerFunc(func(answer http.ResponseWriter, asked *http.Request) {
		made.mutex.Lock()
		line := asked.Method + " " + asked.URL.RequestURI() + " namespace=" + asked.Header.Get("X-Vault-Namespace")
		made.seen = append(made.seen, line)
		made.mutex.Unlock()
		proxy.ServeHTTP(answer, asked)
	}))
	t.Cleanup(made.Close)
	return made
}

func (r *recorder) take() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

func TestCallsAndNamespace(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "calls", usual)
	proxy := record(t)
	issuer := spec(authority, appRole(authority))
	issuer.Server, issuer.CABundle = proxy.URL, harness.PEM("CERTIFICATE", proxy.Certificate().Raw)
	issuer.Namespace = "root"
	asked, _ := csr(t, x509.ECDSA, gen.SetCSRDNSNames("a.example.com"))
	cluster := newCluster(t, issuer, secrets{"approle": {"secretId": []byte(authority.SecretID)}}, request(t, "one", asked, 0))
	cluster.mustBeReady()
	login := "POST /v1/auth/approle/login namespace=root"
	if seen := proxy.take(); !slices.Equal(seen, []string{login, "GET /v1/sys/health namespace="}) {
		t.Errorf("check: %q", seen)
	}
	cluster.mustIssue("one")
	if seen := proxy.take(); !slices.Equal(seen, []string{login, "POST /v1/calls_int/sign/calls namespace=root"}) {
		t.Errorf("sign: %q", seen)
	}
}

func TestNamespaceThatIsNotThere(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "elsewhere", usual)
	issuer := spec(authority, appRole(authority))
	issuer.Namespace = "team"
	newCluster(t, issuer, secrets{"approle": {"secretId": []byte(authority.SecretID)}}).mustNotBeReady("Code: 404")
}

func TestServerName(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "named", usual)
	issuer := spec(authority, appRole(authority))
	issuer.ServerName = "localhost"
	works(t, authority, issuer, secrets{"approle": {"secretId": []byte(authority.SecretID)}})
	issuer.ServerName = "elsewhere.invalid"
	newCluster(t, issuer, secrets{"approle": {"secretId": []byte(authority.SecretID)}}).mustNotBeReady("certificate is valid for localhost, not elsewhere.invalid")
}

// A pair that was issued can serve, and be reached with the authority that came with it.
func TestAPairServes(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "serves", usual)
	asked, key := csr(t, x509.RSA, gen.SetCSRDNSNames("localhost"), gen.SetCSRIPAddressesFromStrings("127.0.0.1"))
	cluster := newCluster(t, spec(authority, appRole(authority)), secrets{"approle": {"secretId": []byte(authority.SecretID)}},
		request(t, "one", asked, time.Hour))
	chain, ca := cluster.mustIssue("one")
	pair := tls.Certificate{PrivateKey: key}
	for _, certificate := range chain {
		pair.Certificate = append(pair.Certificate, certificate.Raw)
	}
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	web.StartTLS()
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(ca[0])
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	answer, err := client.Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
