package certmanager

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/test/unit/gen"

	"signet.test/conformance/harness"
)

const days = 24 * time.Hour

// The requests of cert-manager's own conformance tests for issuers.
func TestRequests(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "requests", usual)
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example.com"
	cases := []struct {
		name      string
		algorithm x509.PublicKeyAlgorithm
		modifiers []gen.CSRModifier
		asked     time.Duration
		given     time.Duration
	}{
		{"rsa", x509.RSA, []gen.CSRModifier{gen.SetCSRDNSNames("a.example.com")}, 0, 90 * days},
		{"ecdsa", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("a.example.com")}, 0, 90 * days},
		{"common-name", x509.ECDSA, []gen.CSRModifier{gen.SetCSRCommonName("a.example.com")}, 0, 90 * days},
		{"common-name-and-ip", x509.ECDSA, []gen.CSRModifier{
			gen.SetCSRCommonName("a.example.com"), gen.SetCSRIPAddressesFromStrings("127.0.0.1"),
		}, 0, 90 * days},
		{"ip", x509.ECDSA, []gen.CSRModifier{gen.SetCSRIPAddressesFromStrings("127.0.0.1", "::1")}, 0, 90 * days},
		{"name-and-ip", x509.ECDSA, []gen.CSRModifier{
			gen.SetCSRDNSNames("a.example.com"), gen.SetCSRIPAddressesFromStrings("127.0.0.1"),
		}, 0, 90 * days},
		{"email", x509.ECDSA, []gen.CSRModifier{gen.SetCSREmails([]string{"a@example.com"})}, 0, 90 * days},
		{"common-name-and-uri", x509.ECDSA, []gen.CSRModifier{
			gen.SetCSRCommonName("a.example.com"), gen.SetCSRURIsFromStrings("spiffe://cluster.local/ns/a/sa/b"),
		}, 0, 90 * days},
		{"uri", x509.ECDSA, []gen.CSRModifier{gen.SetCSRURIsFromStrings("spiffe://cluster.local/ns/a/sa/b")}, 0, 90 * days},
		{"two-names", x509.ECDSA, []gen.CSRModifier{
			gen.SetCSRCommonName("a.example.com"), gen.SetCSRDNSNames("a.example.com", "b.example.com"),
		}, 0, 90 * days},
		{"distinct-common-name", x509.ECDSA, []gen.CSRModifier{
			gen.SetCSRCommonName("c.example.com"), gen.SetCSRDNSNames("a.example.com"),
		}, 0, 90 * days},
		{"wildcard", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("*.example.com")}, 0, 90 * days},
		{"wildcard-and-apex", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("*.example.com", "example.com")}, 0, 90 * days},
		{"long-name", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames(long)}, 0, 90 * days},
		{"other-name-and-email", x509.ECDSA, []gen.CSRModifier{otherName}, 0, 90 * days},
		{"35-days", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("a.example.com")}, 35 * days, 35 * days},
		{"more-than-the-role", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("a.example.com")}, 365 * days, 90 * days},
		{"ten-minutes", x509.ECDSA, []gen.CSRModifier{gen.SetCSRDNSNames("a.example.com")}, 10 * time.Minute, 10 * time.Minute},
	}
	var requests []*cmapi.CertificateRequest
	asked := map[string]*x509.CertificateRequest{}
	for _, one := range cases {
		text, _ := csr(t, one.algorithm, one.modifiers...)
		requests = append(requests, request(t, one.name, text, one.asked))
		asked[one.name] = parse(t, text)
	}
	given := secrets{"approle": {"secretId": []byte(authority.SecretID)}}
	cluster := newCluster(t, spec(authority, appRole(authority)), given, requests...)
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			cluster.t = t
			chain, ca := cluster.mustIssue(one.name)
			verify(t, authority, chain, ca, one.given)
			compare(t, chain[0], asked[one.name])
		})
	}
}

// compare wants what was asked for, in a certificate with the key of the request.
func compare(t *testing.T, leaf *x509.Certificate, asked *x509.CertificateRequest) {
	t.Helper()
	if !leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(asked.PublicKey) {
		t.Error("another key")
	}
	if leaf.Subject.CommonName != asked.Subject.CommonName {
		t.Errorf("common name %q", leaf.Subject.CommonName)
	}
	var uris, askedURIs, ips, askedIPs []string
	for _, uri := range leaf.URIs {
		uris = append(uris, uri.String())
	}
	for _, uri := range asked.URIs {
		askedURIs = append(askedURIs, uri.String())
	}
	for _, ip := range leaf.IPAddresses {
		ips = append(ips, ip.String())
	}
	for _, ip := range asked.IPAddresses {
		askedIPs = append(askedIPs, ip.String())
	}
	for _, pair := range [][2][]string{
		{leaf.DNSNames, asked.DNSNames}, {leaf.EmailAddresses, asked.EmailAddresses}, {uris, askedURIs}, {ips, askedIPs},
	} {
		slices.Sort(pair[0])
		slices.Sort(pair[1])
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%q, asked for %q", pair[0], pair[1])
		}
	}
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		t.Errorf("authority %v, usage %b", leaf.IsCA, leaf.KeyUsage)
	}
}

func parse(t *testing.T, text []byte) *x509.CertificateRequest {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	made, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// otherName asks for a user principal name and an email address.
func otherName(request *x509.CertificateRequest) error {
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true}
	oid, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
	if err != nil {
		return err
	}
	text, err := asn1.MarshalWithParams("someone@example.com", "utf8")
	if err != nil {
		return err
	}
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text})
	if err != nil {
		return err
	}
	name.Bytes = append(oid, value...)
	email := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("someone@example.com")}
	names, err := asn1.Marshal([]asn1.RawValue{name, email})
	if err != nil {
		return err
	}
	request.ExtraExtensions = append(request.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names})
	return nil
}
