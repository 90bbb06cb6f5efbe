package istio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"signet.test/conformance/harness"
)

// authority is a root, and an intermediate with its key, all in PEM.
type authority struct {
	root, intermediate, key []byte
}

// issuerLife is less than the longest lifetime that may be asked for.
const issuerLife = 12 * time.Hour

func newAuthority() (*authority, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := func(serial int64, name string, life time.Duration) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber:          big.NewInt(serial),
			Subject:               pkix.Name{CommonName: name, Organization: []string{"cluster.local"}},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(life),
			IsCA:                  true,
			BasicConstraintsValid: true,
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	root, below := template(1, "Root CA", 24*365*time.Hour), template(2, "Intermediate CA", issuerLife)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, below, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	return &authority{
		root: harness.PEM("CERTIFICATE", rootDER), intermediate: harness.PEM("CERTIFICATE", der),
		key: harness.PEM("PRIVATE KEY", encoded),
	}, err
}

// bundle is what an operator imports.
func (a *authority) bundle() string {
	return string(a.key) + string(a.intermediate) + string(a.root)
}
