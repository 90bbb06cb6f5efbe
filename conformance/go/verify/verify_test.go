// Package verify reads the specimens with Go's crypto/x509 and ocsp, and the identities with go-spiffe.
package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"golang.org/x/crypto/ocsp"
)

type specimen struct {
	Name, Kind, File, Issuer, Status, Serial string
	CA, Delta                                bool
	Usages, DNS, IPs, URIs, Emails           []string
}

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
	"code":   x509.ExtKeyUsageCodeSigning,
	"email":  x509.ExtKeyUsageEmailProtection,
}

type collection struct {
	specimens    []specimen
	files        map[string][]byte
	certificates map[string]*x509.Certificate
	issuers      map[string]string
}

func load(t *testing.T) *collection {
	t.Helper()
	folder := os.Getenv("CONFORMANCE_SPECIMENS")
	index, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := &collection{
		files: map[string][]byte{}, certificates: map[string]*x509.Certificate{}, issuers: map[string]string{},
	}
	if err := json.Unmarshal(index, &all.specimens); err != nil {
		t.Fatal(err)
	}
	for _, one := range all.specimens {
		if all.files[one.Name], err = os.ReadFile(filepath.Join(folder, one.File)); err != nil {
			t.Fatal(err)
		}
		all.issuers[one.Name] = one.Issuer
		if one.Kind == "certificate" {
			if all.certificates[one.Name], err = x509.ParseCertificate(all.files[one.Name]); err != nil {
				t.Fatalf("%s: %v", one.Name, err)
			}
		}
	}
	return all
}

// above gives the root of a certificate and the authorities between the two.
func (c *collection) above(name string) (root *x509.Certificate, between []*x509.Certificate) {
	for {
		issuer := c.issuers[name]
		if issuer == c.issuers[issuer] {
			return c.certificates[issuer], between
		}
		between = append(between, c.certificates[issuer])
		name = issuer
	}
}

func TestCertificates(t *testing.T) {
	all := load(t)
	for _, one := range all.specimens {
		if one.Kind != "certificate" {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			certificate := all.certificates[one.Name]
			if len(certificate.UnhandledCriticalExtensions) != 0 {
				t.Errorf("unhandled: %v", certificate.UnhandledCriticalExtensions)
			}
			if certificate.IsCA != one.CA {
				t.Errorf("authority: %v", certificate.IsCA)
			}
			names(t, certificate, one)
			root, between := all.above(one.Name)
			options := x509.VerifyOptions{
				Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			}
			options.Roots.AddCert(root)
			for _, authority := range between {
				options.Intermediates.AddCert(authority)
			}
			if _, err := certificate.Verify(options); err != nil {
				t.Error(err)
			}
			for name, usage := range usages {
				options.KeyUsages = []x509.ExtKeyUsage{usage}
				_, err := certificate.Verify(options)
				if one.CA || contains(one.Usages, name) {
					if err != nil {
						t.Errorf("not good for %s: %v", name, err)
					}
					continue
				}
				var invalid x509.CertificateInvalidError
				if !errors.As(err, &invalid) || invalid.Reason != x509.IncompatibleUsage {
					t.Errorf("good for %s: %v", name, err)
				}
			}
		})
	}
}

func names(t *testing.T, certificate *x509.Certificate, one specimen) {
	t.Helper()
	var ips, uris []string
	for _, ip := range certificate.IPAddresses {
		ips = append(ips, ip.String())
	}
	for _, uri := range certificate.URIs {
		uris = append(uris, uri.String())
	}
	for _, pair := range [][2][]string{
		{certificate.DNSNames, one.DNS}, {ips, one.IPs}, {uris, one.URIs}, {certificate.EmailAddresses, one.Emails},
	} {
		if !sameSet(pair[0], pair[1]) {
			t.Errorf("%v, wanted %v", pair[0], pair[1])
		}
	}
	for _, name := range one.DNS {
		host := strings.Replace(name, "*", "x", 1)
		if err := certificate.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	var elsewhere x509.HostnameError
	if err := certificate.VerifyHostname("elsewhere.invalid"); !one.CA && !errors.As(err, &elsewhere) {
		t.Errorf("is good for any host: %v", err)
	}
}

func TestRevocationLists(t *testing.T) {
	all := load(t)
	for _, one := range all.specimens {
		if one.Kind != "crl" {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			list, err := x509.ParseRevocationList(all.files[one.Name])
			if err != nil {
				t.Fatal(err)
			}
			issuer := all.certificates[one.Issuer]
			if err := list.CheckSignatureFrom(issuer); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(list.AuthorityKeyId, issuer.SubjectKeyId) || list.Number.Sign() <= 0 {
				t.Errorf("authority %x, number %v", list.AuthorityKeyId, list.Number)
			}
			if !list.NextUpdate.After(list.ThisUpdate) {
				t.Errorf("from %v to %v", list.ThisUpdate, list.NextUpdate)
			}
		})
	}
}

func TestOCSPAnswers(t *testing.T) {
	all := load(t)
	states := map[string]int{"good": ocsp.Good, "revoked": ocsp.Revoked, "unknown": ocsp.Unknown}
	for _, one := range all.specimens {
		if one.Kind != "ocsp" {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			if strings.HasPrefix(one.Name, "ed25519-") {
				t.Skip("x/crypto/ocsp knows no Ed25519 signatures; the suite python verifies these")
			}
			answer, err := ocsp.ParseResponse(all.files[one.Name], all.certificates[one.Issuer])
			if err != nil {
				t.Fatal(err)
			}
			if answer.Status != states[one.Status] {
				t.Errorf("status %d", answer.Status)
			}
			if serial := fmt.Sprintf("%x", answer.SerialNumber); serial != strings.TrimLeft(strings.ReplaceAll(one.Serial, ":", ""), "0") {
				t.Errorf("serial number %s, wanted %s", serial, one.Serial)
			}
		})
	}
}

func TestIdentities(t *testing.T) {
	all := load(t)
	for _, one := range all.specimens {
		if len(one.URIs) == 0 {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			root, between := all.above(one.Name)
			domain := spiffeid.RequireTrustDomainFromString("cluster.local")
			bundle := x509bundle.FromX509Authorities(domain, []*x509.Certificate{root})
			chain := append([]*x509.Certificate{all.certificates[one.Name]}, between...)
			id, _, err := x509svid.Verify(chain, bundle)
			if err != nil {
				t.Fatal(err)
			}
			if id.String() != one.URIs[0] {
				t.Errorf("identity %s", id)
			}
			other := x509bundle.New(spiffeid.RequireTrustDomainFromString("elsewhere.example"))
			const refusal = `no X.509 bundle found for trust domain: "cluster.local"`
			if _, _, err := x509svid.Verify(chain, other); err == nil || !strings.Contains(err.Error(), refusal) {
				t.Errorf("another trust domain takes it: %v", err)
			}
		})
	}
}

func contains(list []string, one string) bool {
	for _, other := range list {
		if other == one {
			return true
		}
	}
	return false
}

func sameSet(one, other []string) bool {
	if len(one) != len(other) {
		return false
	}
	for _, name := range one {
		if !contains(other, name) {
			return false
		}
	}
	return true
}
