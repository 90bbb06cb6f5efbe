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
	ca, err := NewCA("Listeners")
	if err != nil {
		return nil, err
	}
	material := &Material{CA: ca.Certificate}
	subject := pkix.Name{CommonName: "localhost"}
	if material.ServerCertificate, material.ServerKey, err = ca.Pair(subject, x509.ExtKeyUsageServerAuth); err != nil {
		return nil, err
	}
	material.ClientCertificate, material.ClientKey, err = ca.Pair(subject, x509.ExtKeyUsageClientAuth)
	return material, err
}

// CA is an authority for a day.
type CA struct {
	// Certificate is PEM.
	Certificate []byte
	template    *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

// NewCA makes a key and a certificate.
func NewCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{Certificate: PEM("CERTIFICATE", der), template: template, key: key, serial: 1}, nil
}

// Pair is a certificate for the loopback, and its key, in PEM.
func (ca *CA) Pair(subject pkix.Name, usages ...x509.ExtKeyUsage) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	ca.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial),
		Subject:      subject,
		NotBefore:    ca.template.NotBefore,
		NotAfter:     ca.template.NotAfter,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.template, private.Public(), ca.key)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	return PEM("CERTIFICATE", der), PEM("PRIVATE KEY", encoded), err
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
