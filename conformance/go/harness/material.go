package harness

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Material is what an operator brings for the listeners: an authority of his own, in PEM.
type Material struct {
	CA                []byte
	ServerCertificate []byte
	ServerKey         []byte
	ClientCertificate []byte
	ClientKey         []byte
}

// NewMaterial makes a new authority and a pair each for the server and a client.
func NewMaterial() (*Material, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Listeners"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	pair := func(serial int64, usage x509.ExtKeyUsage) (certificate, key []byte, err error) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(serial),
			Subject:      pkix.Name{CommonName: "localhost"},
			NotBefore:    ca.NotBefore,
			NotAfter:     ca.NotAfter,
			DNSNames:     []string{"localhost"},
			IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage:     x509.KeyUsageDigitalSignature,
			ExtKeyUsage:  []x509.ExtKeyUsage{usage},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, private.Public(), caKey)
		if err != nil {
			return nil, nil, err
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(private)
		return PEM("CERTIFICATE", der), PEM("PRIVATE KEY", encoded), err
	}
	material := &Material{CA: PEM("CERTIFICATE", der)}
	if material.ServerCertificate, material.ServerKey, err = pair(2, x509.ExtKeyUsageServerAuth); err != nil {
		return nil, err
	}
	material.ClientCertificate, material.ClientKey, err = pair(3, x509.ExtKeyUsageClientAuth)
	return material, err
}

// PEM wraps one block.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Certificates parses all certificates of a text in PEM.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(bytes.TrimSpace(text)); block == nil {
			return certificates, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
}
