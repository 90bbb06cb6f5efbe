package istio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"signet.test/conformance/harness"
)

// service is the certificate service of a server, and the cluster that signs its callers' tokens.
type service struct {
	address string
	// roots is a file with what the service's own certificate is verified by.
	roots  string
	folder string
	key    *ecdsa.PrivateKey
}

const issuer = "https://kubernetes.default.svc.cluster.local"

var (
	server *harness.Server
	shared *service
)

func TestMain(m *testing.M) {
	code := m.Run()
	if server != nil {
		server.Stop()
		_ = os.RemoveAll(shared.folder)
	}
	os.Exit(code)
}

// started gives the service that all tests share.
func started(t *testing.T) *service {
	t.Helper()
	if shared != nil {
		return shared
	}
	if harness.Against() != "signet" {
		t.Skip("only Signet has a certificate service")
	}
	folder, err := os.MkdirTemp("", "conformance-istio-")
	fatal(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	point, err := key.PublicKey.Bytes()
	fatal(t, err)
	keys := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"cluster","x":%q,"y":%q}]}`,
		base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:]))
	fatal(t, os.WriteFile(filepath.Join(folder, "jwks.json"), []byte(keys), 0o600))
	ports, err := harness.FreePorts(1)
	fatal(t, err)
	server, err = harness.Start(fmt.Sprintf(`
istio_csr {
  address      = %q
  mount        = "mesh_int"
  role         = "mesh"
  trust_domain = "cluster.local"
  dns_names    = ["istiod.istio-system.svc", "localhost"]
  authenticator "jwks" {
    file   = %q
    issuer = %q
  }
}
`, ports[0], filepath.Join(folder, "jwks.json"), issuer))
	fatal(t, err)
	authority := harness.Provision(t, server.Root(t), "mesh", harness.Mesh)
	// The root among the mount's issuers is what workloads are told to trust.
	harness.Write(t, server.Root(t), "mesh_int/issuers/import/cert", map[string]any{"pem_bundle": string(authority.Root)})
	roots := filepath.Join(folder, "roots.pem")
	fatal(t, os.WriteFile(roots, authority.Root, 0o600))
	_, port, err := net.SplitHostPort(ports[0])
	fatal(t, err)
	// Istio's client then expects the name of istiod.
	shared = &service{address: "localhost:" + port, roots: roots, folder: folder, key: key}
	return shared
}

// token is a file with a token as a pod of that service account finds it.
func (s *service) token(t *testing.T, who workload) string {
	t.Helper()
	now := time.Now()
	encode := func(part any) string {
		text, err := json.Marshal(part)
		fatal(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]any{"alg": "ES256", "kid": "cluster"}) + "." + encode(map[string]any{
		"iss": issuer, "aud": []string{"istio-ca"}, "sub": "system:serviceaccount:" + who.namespace + ":" + who.account,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": who.account,
		"kubernetes.io": map[string]any{
			"namespace": who.namespace, "serviceaccount": map[string]any{"name": who.account, "uid": "d77f89bc"},
		},
	})
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	fatal(t, err)
	signature := append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	file := filepath.Join(s.folder, who.namespace+"."+who.account)
	fatal(t, os.WriteFile(file, []byte(signed+"."+base64.RawURLEncoding.EncodeToString(signature)), 0o600))
	return file
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
