// Package istio takes the place of a workload's agent: Istio's own client of the certificate service and
// its secret manager, against the gRPC API of the server.
package istio

import (
	"crypto/x509"
	"net"
	"testing"
	"time"

	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/credentialfetcher/plugin"
	"istio.io/istio/security/pkg/nodeagent/cache"
	"istio.io/istio/security/pkg/nodeagent/caclient/providers/citadel"
	"istio.io/istio/security/pkg/pki/util"

	"signet.test/conformance/harness"
)

// workload is what a pod's agent knows of itself.
type workload struct {
	namespace, account string
}

func (w workload) identity() string {
	return "spiffe://cluster.local/ns/" + w.namespace + "/sa/" + w.account
}

// options points Istio's agent at the service, with the token of a service account.
func options(t *testing.T, who workload) (*security.Options, *citadel.TLSOptions) {
	t.Helper()
	_, port, err := net.SplitHostPort(started(t, "strict").address)
	fatal(t, err)
	return &security.Options{
		// Istio's client then expects the name of istiod.
		CAEndpoint:        "localhost:" + port,
		ClusterID:         "Kubernetes",
		CredFetcher:       plugin.CreateTokenPlugin(tokenFile(t, who)),
		TrustDomain:       "cluster.local",
		WorkloadNamespace: who.namespace,
		ServiceAccount:    who.account,
		ECCSigAlg:         string(util.EcdsaSigAlg),
		SecretTTL:         time.Hour,
	}, &citadel.TLSOptions{RootCert: file("roots.pem")}
}

var httpbin = workload{"httpbin", "httpbin"}

func TestCitadelClient(t *testing.T) {
	settings, tls := options(t, httpbin)
	client, err := citadel.NewCitadelClient(settings, tls)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, kind := range []struct {
		name string
		util.CertOptions
	}{
		{"rsa", util.CertOptions{Host: httpbin.identity(), RSAKeySize: 2048}},
		{"ecdsa", util.CertOptions{Host: httpbin.identity(), ECSigAlg: util.EcdsaSigAlg}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			request, key, err := util.GenCSR(kind.CertOptions)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := client.CSRSign(request, 3600)
			if err != nil {
				t.Fatal(err)
			}
			verify(t, chain, key)
		})
	}
}

// verify wants a chain that ends in a root, and what Istio itself wants of a workload's certificate.
func verify(t *testing.T, chain []string, key []byte) {
	t.Helper()
	if len(chain) < 2 {
		t.Fatalf("a chain of %d", len(chain))
	}
	var joined []byte
	for _, one := range chain {
		joined = append(joined, one...)
	}
	root := []byte(chain[len(chain)-1])
	fields := &util.VerifyFields{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		Host:        httpbin.identity(),
	}
	if err := util.VerifyCertificate(key, joined, root, fields); err != nil {
		t.Error(err)
	}
	leaf, err := harness.Certificates([]byte(chain[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(leaf[0].URIs) != 1 || leaf[0].URIs[0].String() != httpbin.identity() {
		t.Errorf("identities %v", leaf[0].URIs)
	}
	if lifetime := leaf[0].NotAfter.Sub(leaf[0].NotBefore); lifetime > time.Hour+5*time.Minute {
		t.Errorf("valid for %v", lifetime)
	}
}

func TestAnIdentityOfAnotherIsNotGiven(t *testing.T) {
	settings, tls := options(t, httpbin)
	client, err := citadel.NewCitadelClient(settings, tls)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	other := workload{"bank", "vault"}
	request, _, err := util.GenCSR(util.CertOptions{Host: other.identity(), ECSigAlg: util.EcdsaSigAlg})
	if err != nil {
		t.Fatal(err)
	}
	service := started(t, "strict")
	before := service.outcomes(t, "mismatch")
	chain, err := client.CSRSign(request, 3600)
	// All that the client keeps of the status is its text.
	const refusal = "create certificate: rpc error: code = Unauthenticated desc = request authenticate failure"
	if err == nil || err.Error() != refusal {
		t.Errorf("%v, %v", chain, err)
	}
	if served := service.outcomes(t, "mismatch") - before; served != 1 {
		t.Errorf("the server refused %d requests for their names", served)
	}
	// The same client is served when it asks for itself.
	own, key, err := util.GenCSR(util.CertOptions{Host: httpbin.identity(), ECSigAlg: util.EcdsaSigAlg})
	if err != nil {
		t.Fatal(err)
	}
	if chain, err = client.CSRSign(own, 3600); err != nil {
		t.Fatal(err)
	}
	verify(t, chain, key)
}

func TestSecretManagerRotates(t *testing.T) {
	settings, tls := options(t, httpbin)
	// Renewal comes after a few seconds: the whole lifetime but those is grace.
	settings.SecretTTL = 2 * time.Minute
	settings.SecretRotationGracePeriodRatio = 0.97
	client, err := citadel.NewCitadelClient(settings, tls)
	if err != nil {
		t.Fatal(err)
	}
	manager, err := cache.NewSecretManagerClient(client, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	renewed := make(chan string, 8)
	manager.RegisterSecretHandler(func(resource string) { renewed <- resource })
	first, err := manager.GenerateSecret(security.WorkloadKeyCertResourceName)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := manager.GenerateSecret(security.RootCertReqResourceName)
	if err != nil {
		t.Fatal(err)
	}
	if certificates, err := harness.Certificates(roots.RootCert); err != nil || len(certificates) == 0 {
		t.Errorf("%d roots: %v", len(certificates), err)
	}
	for {
		select {
		case resource := <-renewed:
			if resource != security.WorkloadKeyCertResourceName {
				continue
			}
			second, err := manager.GenerateSecret(security.WorkloadKeyCertResourceName)
			if err != nil {
				t.Fatal(err)
			}
			if string(second.CertificateChain) == string(first.CertificateChain) {
				t.Error("the same certificate")
			}
			return
		case <-time.After(time.Minute):
			t.Fatal("never renewed")
		}
	}
}
