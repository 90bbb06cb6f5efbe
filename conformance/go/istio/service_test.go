package istio

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"signet.test/conformance/harness"
)

// service is the certificate service of a server of its own.
type service struct {
	address string
	server  *harness.Server
}

const (
	issuer   = "https://kubernetes.default.svc.cluster.local"
	audience = "istio-ca"
	// Lifetimes of both services under comparison.
	defaultTTL, maxTTL = 2 * time.Hour, 24 * time.Hour
)

var (
	folder string
	// pods signs the tokens of service accounts.
	pods *rsa.PrivateKey
	// ours signs certificates for both services under comparison.
	ours     *authority
	services = map[string]*service{}
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		defer func() {
			for _, one := range services {
				one.server.Stop()
			}
			_ = os.RemoveAll(folder)
		}()
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func prepare() (err error) {
	if folder, err = os.MkdirTemp("", "conformance-istio-"); err != nil {
		return err
	}
	if pods, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return err
	}
	if ours, err = newAuthority(); err != nil {
		return err
	}
	return os.WriteFile(file("roots.pem"), ours.root, 0o600)
}

func file(name string) string { return filepath.Join(folder, name) }

// keys is what verifies the tokens. Istiod takes RS256 alone.
func keys() []byte {
	modulus := base64.RawURLEncoding.EncodeToString(pods.N.Bytes())
	return fmt.Appendf(nil, `{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"cluster","n":%q,"e":"AQAB"}]}`, modulus)
}

// started gives the service in a mode, which all tests share.
func started(t *testing.T, mode string) *service {
	t.Helper()
	if found := services[mode]; found != nil {
		return found
	}
	if harness.Against() != "signet" {
		t.Skip("only Signet has a certificate service")
	}
	fatal(t, os.WriteFile(file("jwks.json"), keys(), 0o600))
	ports, err := harness.FreePorts(1)
	fatal(t, err)
	server, err := harness.Start(fmt.Sprintf(`
istio_csr {
  address      = %q
  mount        = "mesh_int"
  role         = "mesh"
  mode         = %q
  trust_domain = "cluster.local"
  default_ttl  = %q
  max_ttl      = %q
  dns_names    = ["istiod.istio-system.svc", "localhost"]
  authenticator "jwks" {
    file      = %q
    issuer    = %q
    audiences = [%q]
  }
  authenticator "client_certificate" {}
}
`, ports[0], mode, defaultTTL, maxTTL, file("jwks.json"), issuer, audience))
	fatal(t, err)
	services[mode] = &service{address: ports[0], server: server}
	root := server.Root(t)
	harness.Write(t, root, "sys/mounts/mesh_int", map[string]any{"type": "pki"})
	harness.Write(t, root, "mesh_int/issuers/import/bundle", map[string]any{"pem_bundle": ours.bundle()})
	harness.Write(t, root, "mesh_int/roles/mesh", harness.Mesh)
	services[mode].wait(t)
	return services[mode]
}

// wait comes back when the service shows a certificate of the authority.
func (s *service) wait(t *testing.T) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ours.root)
	deadline := time.Now().Add(time.Minute)
	for {
		connection, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: roots, ServerName: istiodName, NextProtos: []string{"h2"}})
		if err == nil {
			connection.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service is not ready: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// outcomes tells how many requests the server answered with an outcome.
func (s *service) outcomes(t *testing.T, outcome string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.server.PlainURL+"/v1/sys/metrics?format=prometheus", nil)
	fatal(t, err)
	request.Header.Set("X-Vault-Token", s.server.RootToken)
	answer, err := http.DefaultClient.Do(request)
	fatal(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fatal(t, err)
	line := regexp.MustCompile(`(?m)^signet_istio_csr_requests\{outcome="` + outcome + `"\} (\d+)$`)
	found := line.FindSubmatch(text)
	if found == nil {
		t.Fatalf("no count of %s in %s", outcome, text)
	}
	count, err := strconv.Atoi(string(found[1]))
	fatal(t, err)
	return count
}

// claims is what the token of a pod of that service account says.
func claims(who workload) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "aud": []string{audience}, "sub": "system:serviceaccount:" + who.namespace + ":" + who.account,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": who.account,
		"kubernetes.io": map[string]any{
			"namespace": who.namespace, "serviceaccount": map[string]any{"name": who.account, "uid": "d77f89bc"},
		},
	}
}

func token(t *testing.T, claims map[string]any) string {
	t.Helper()
	encode := func(part any) string {
		text, err := json.Marshal(part)
		fatal(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]any{"alg": "RS256", "kid": "cluster"}) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, pods, crypto.SHA256, digest[:])
	fatal(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// tokenFile is where a pod of that service account finds its token.
func tokenFile(t *testing.T, who workload) string {
	t.Helper()
	path := file(who.namespace + "." + who.account)
	fatal(t, os.WriteFile(path, []byte(token(t, claims(who))), 0o600))
	return path
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
