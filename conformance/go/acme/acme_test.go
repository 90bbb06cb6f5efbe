// Package acme gets certificates with golang.org/x/crypto/acme, the client of Go's own autocert.
package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/crypto/acme"

	"signet.test/conformance/harness"
)

var server *harness.Server

func TestMain(m *testing.M) { harness.Main(m, &server) }

// Authority is a mount with a root, an intermediate that issues, and ACME.
type Authority struct {
	network *Network
	root    *x509.CertPool
	vault   *vault.Client
	mount   string
}

func newAuthority(t *testing.T, mount string) *Authority {
	t.Helper()
	network := NewNetwork(t)
	root := server.Root(t)
	headers := []string{"Replay-Nonce", "Link", "Location"}
	config := vault.MountConfigInput{MaxLeaseTTL: "87600h", AllowedResponseHeaders: headers}
	if err := root.Sys().Mount(mount, &vault.MountInput{Type: "pki", Config: config}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) map[string]any {
		t.Helper()
		return harness.Write(t, root, mount+"/"+path, data).Data
	}
	made := write("root/generate/internal", map[string]any{
		"common_name": "Root of " + mount, "key_type": "ec", "issuer_name": "root", "ttl": "80000h",
	})
	request := write("intermediate/generate/internal", map[string]any{"common_name": "Issuing", "key_type": "ec"})
	signed := write("root/sign-intermediate", map[string]any{
		"csr": request["csr"], "common_name": "Issuing", "ttl": "70000h",
	})
	imported := write("intermediate/set-signed", map[string]any{"certificate": signed["certificate"]})
	issuer := imported["imported_issuers"].([]any)[0].(string)
	write("issuer/"+issuer, map[string]any{"issuer_name": "issuing"})
	write("config/issuers", map[string]any{"default": "issuing"})
	write("roles/web", map[string]any{
		"allow_any_name": true, "issuer_ref": "issuing", "key_type": "ec", "require_cn": false,
	})
	write("config/cluster", map[string]any{"path": server.PlainURL + "/v1/" + mount})
	write("config/acme", map[string]any{"enabled": true, "dns_resolver": network.Resolver})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(made["certificate"].(string)))
	return &Authority{network: network, root: pool, vault: root, mount: mount}
}

func (a *Authority) client(t *testing.T, prefix string) *acme.Client {
	t.Helper()
	return &acme.Client{
		Key:          newKey(t),
		DirectoryURL: server.PlainURL + "/v1/" + a.mount + "/" + prefix + "acme/directory",
	}
}

func (a *Authority) registered(t *testing.T, prefix string) *acme.Client {
	t.Helper()
	client := a.client(t, prefix)
	account := &acme.Account{Contact: []string{"mailto:a@example.com"}}
	if _, err := client.Register(context.Background(), account, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	return client
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// bounded is a minute, for everything that waits for the server.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func ids(names ...string) []acme.AuthzID {
	var ids []acme.AuthzID
	for _, name := range names {
		kind := "dns"
		if net.ParseIP(name) != nil {
			kind = "ip"
		}
		ids = append(ids, acme.AuthzID{Type: kind, Value: name})
	}
	return ids
}

// challengeOf gives the challenge of a kind of an authorization that is pending.
func challengeOf(t *testing.T, client *acme.Client, url, kind string) (*acme.Authorization, *acme.Challenge) {
	t.Helper()
	authorization, err := client.GetAuthorization(bounded(t), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type == kind {
			return authorization, challenge
		}
	}
	t.Fatalf("no %s in %+v", kind, authorization)
	return nil, nil
}

// prove shows what a challenge asks for, and waits until the server has seen it.
func (a *Authority) prove(t *testing.T, client *acme.Client, url, kind string) {
	t.Helper()
	authorization, challenge := challengeOf(t, client, url, kind)
	name := authorization.Identifier.Value
	switch kind {
	case "http-01":
		body, err := client.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			t.Fatal(err)
		}
		a.network.SetPage(name, client.HTTP01ChallengePath(challenge.Token), body)
	case "dns-01":
		text, err := client.DNS01ChallengeRecord(challenge.Token)
		if err != nil {
			t.Fatal(err)
		}
		a.network.SetTexts("_acme-challenge."+name, "something else", text)
	case "tls-alpn-01":
		pair, err := client.TLSALPN01ChallengeCert(challenge.Token, name)
		if err != nil {
			t.Fatal(err)
		}
		a.network.SetPair(pair)
	}
	if _, err := client.Accept(bounded(t), challenge); err != nil {
		t.Fatal(err)
	}
	if _, err := client.WaitAuthorization(bounded(t), url); err != nil {
		t.Fatal(err)
	}
}

// certificate orders one, proves its names with challenges of a kind, and verifies what comes.
func (a *Authority) certificate(t *testing.T, client *acme.Client, kind string, names ...string) ([]byte, crypto.Signer) {
	t.Helper()
	order, err := client.AuthorizeOrder(bounded(t), ids(names...))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range order.AuthzURLs {
		a.prove(t, client, url, kind)
	}
	if order, err = client.WaitOrder(bounded(t), order.URI); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	request := &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"Ignored"}}}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			request.IPAddresses = append(request.IPAddresses, address)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := client.CreateOrderCert(bounded(t), order.FinalizeURL, csr, true)
	if err != nil {
		t.Fatal(err)
	}
	a.verify(t, chain, request)
	return chain[0], key
}

func (a *Authority) verify(t *testing.T, chain [][]byte, request *x509.CertificateRequest) {
	t.Helper()
	if len(chain) != 3 {
		t.Fatalf("%d certificates", len(chain))
	}
	intermediates := x509.NewCertPool()
	for _, der := range chain[1:] {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		intermediates.AddCert(certificate)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	options := x509.VerifyOptions{
		Roots: a.root, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, err := leaf.Verify(options); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(leaf.DNSNames, request.DNSNames) || len(leaf.IPAddresses) != len(request.IPAddresses) {
		t.Errorf("%v %v", leaf.DNSNames, leaf.IPAddresses)
	}
	if len(leaf.Subject.Organization) != 0 {
		t.Errorf("the subject is %v", leaf.Subject)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 90*24*time.Hour+time.Minute {
		t.Errorf("it lives %v", life)
	}
	if slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		t.Error("it is for clients too")
	}
}

// problem gives the name of a problem.
func problem(err error) string {
	var answer *acme.Error
	if !errors.As(err, &answer) {
		return ""
	}
	return strings.TrimPrefix(answer.ProblemType, "urn:ietf:params:acme:error:")
}

func TestEveryDirectory(t *testing.T) {
	authority := newAuthority(t, "directories")
	for _, prefix := range []string{"", "roles/web/", "issuer/issuing/", "issuer/issuing/roles/web/"} {
		t.Run(strings.ReplaceAll("root/"+prefix, "/", "-")+"acme", func(t *testing.T) {
			client := authority.client(t, prefix)
			if _, err := client.GetReg(bounded(t), ""); !errors.Is(err, acme.ErrNoAccount) {
				t.Errorf("before there is an account: %v", err)
			}
			account := &acme.Account{Contact: []string{"mailto:a@example.com"}}
			if _, err := client.Register(bounded(t), account, acme.AcceptTOS); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Register(bounded(t), account, acme.AcceptTOS); !errors.Is(err, acme.ErrAccountAlreadyExists) {
				t.Errorf("registered twice: %v", err)
			}
			found, err := client.GetReg(bounded(t), "")
			if err != nil || found.Status != acme.StatusValid || !slices.Equal(found.Contact, account.Contact) {
				t.Errorf("%+v %v", found, err)
			}
			certificate, _ := authority.certificate(t, client, "http-01", "a.example.com", "b.example.com")
			if err := client.RevokeCert(bounded(t), nil, certificate, acme.CRLReasonUnspecified); err != nil {
				t.Fatal(err)
			}
			// The client takes it for a success when it was revoked before.
			if err := client.RevokeCert(bounded(t), nil, certificate, acme.CRLReasonUnspecified); err != nil {
				t.Error(err)
			}
			if err := client.DeactivateReg(bounded(t)); err != nil {
				t.Fatal(err)
			}
			_, err = client.AuthorizeOrder(bounded(t), ids("a.example.com"))
			if problem(err) != "unauthorized" {
				t.Errorf("after the account has ended: %v", err)
			}
		})
	}
}

func TestWildcardWithRecord(t *testing.T) {
	authority := newAuthority(t, "wildcards")
	client := authority.registered(t, "roles/web/")
	authority.certificate(t, client, "dns-01", "*.a.example.com")
}

func TestNameWithHandshake(t *testing.T) {
	authority := newAuthority(t, "handshakes")
	client := authority.registered(t, "")
	authority.certificate(t, client, "tls-alpn-01", "a.example.com")
}

func TestAddressWithPage(t *testing.T) {
	authority := newAuthority(t, "addresses")
	client := authority.registered(t, "")
	authority.certificate(t, client, "http-01", authority.network.Address)
}

func TestPageBehindRedirect(t *testing.T) {
	authority := newAuthority(t, "redirects")
	client := authority.registered(t, "")
	order, err := client.AuthorizeOrder(bounded(t), ids("a.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	_, challenge := challengeOf(t, client, order.AuthzURLs[0], "http-01")
	body, err := client.HTTP01ChallengeResponse(challenge.Token)
	if err != nil {
		t.Fatal(err)
	}
	authority.network.SetPage("b.example.com", "/elsewhere", body)
	path := client.HTTP01ChallengePath(challenge.Token)
	authority.network.SetRedirect("a.example.com", path, "http://b.example.com/elsewhere")
	if _, err := client.Accept(bounded(t), challenge); err != nil {
		t.Fatal(err)
	}
	if _, err := client.WaitAuthorization(bounded(t), order.AuthzURLs[0]); err != nil {
		t.Error(err)
	}
}

func TestProofThatIsMissing(t *testing.T) {
	authority := newAuthority(t, "missing")
	client := authority.registered(t, "")
	order, err := client.AuthorizeOrder(bounded(t), ids("a.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	url := order.AuthzURLs[0]
	_, challenge := challengeOf(t, client, url, "http-01")
	if _, err := client.Accept(bounded(t), challenge); err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	for {
		authorization, challenge := challengeOf(t, client, url, "http-01")
		if challenge.Error != nil {
			if problem(challenge.Error) != "incorrectResponse" || authorization.Status != acme.StatusPending {
				t.Errorf("%s: %v", authorization.Status, challenge.Error)
			}
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a.example.com"}}, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = client.CreateOrderCert(bounded(t), order.FinalizeURL, csr, true)
	if problem(err) != "orderNotReady" {
		t.Errorf("a certificate without a proof: %v", err)
	}
}

func TestRevocationByKeyAndByOthers(t *testing.T) {
	authority := newAuthority(t, "revocations")
	client, other := authority.registered(t, ""), authority.registered(t, "")
	certificate, key := authority.certificate(t, client, "http-01", "a.example.com")
	err := other.RevokeCert(bounded(t), nil, certificate, acme.CRLReasonUnspecified)
	if problem(err) != "malformed" || !strings.Contains(err.Error(), "no certificate with this serial was issued for this account") {
		t.Errorf("somebody else's account: %v", err)
	}
	err = other.RevokeCert(bounded(t), newKey(t), certificate, acme.CRLReasonUnspecified)
	if problem(err) != "malformed" || !strings.Contains(err.Error(), "provided private key does not match certificate's public key") {
		t.Errorf("another key: %v", err)
	}
	err = client.RevokeCert(bounded(t), nil, certificate, acme.CRLReasonKeyCompromise)
	if problem(err) != "badRevocationReason" {
		t.Errorf("with a reason: %v", err)
	}
	if err := client.RevokeCert(bounded(t), key, certificate, acme.CRLReasonUnspecified); err != nil {
		t.Error(err)
	}
}

func TestAccountsThatMustBeBound(t *testing.T) {
	authority := newAuthority(t, "bound")
	early := authority.registered(t, "")
	harness.Write(t, authority.vault, "bound/config/acme", map[string]any{"eab_policy": "always-required"})
	_, err := early.AuthorizeOrder(bounded(t), ids("a.example.com"))
	if problem(err) != "externalAccountRequired" {
		t.Errorf("an account from before: %v", err)
	}
	client := authority.client(t, "")
	directory, err := client.Discover(bounded(t))
	if err != nil || !directory.ExternalAccountRequired {
		t.Errorf("%+v %v", directory, err)
	}
	_, err = client.Register(bounded(t), &acme.Account{}, acme.AcceptTOS)
	if problem(err) != "externalAccountRequired" {
		t.Errorf("without a key: %v", err)
	}
	bind := func(path string) *acme.ExternalAccountBinding {
		made := harness.Write(t, authority.vault, "bound/"+path+"acme/new-eab", nil).Data
		key, err := base64.RawURLEncoding.DecodeString(made["key"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return &acme.ExternalAccountBinding{KID: made["id"].(string), Key: key}
	}
	_, err = client.Register(bounded(t), &acme.Account{ExternalAccountBinding: bind("roles/web/")}, acme.AcceptTOS)
	if problem(err) != "unauthorized" {
		t.Errorf("with a key for another directory: %v", err)
	}
	binding := bind("")
	if _, err := client.Register(bounded(t), &acme.Account{ExternalAccountBinding: binding}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	authority.certificate(t, client, "http-01", "a.example.com")
	second := authority.client(t, "")
	_, err = second.Register(bounded(t), &acme.Account{ExternalAccountBinding: binding}, acme.AcceptTOS)
	if problem(err) != "unauthorized" {
		t.Errorf("with a key that was used: %v", err)
	}
}

func TestKeyRollover(t *testing.T) {
	if harness.Against() == "openbao" {
		t.Skip("the reference advertises key changes and has none")
	}
	authority := newAuthority(t, "rollovers")
	client := authority.registered(t, "")
	old := client.Key
	if err := client.AccountKeyRollover(bounded(t), newKey(t)); err != nil {
		t.Fatal(err)
	}
	if client.Key == old {
		t.Error("the client has its old key")
	}
	authority.certificate(t, client, "http-01", "a.example.com")
}

func TestDisallowedNames(t *testing.T) {
	authority := newAuthority(t, "names")
	harness.Write(t, authority.vault, "names/roles/narrow", map[string]any{
		"allowed_domains": "example.com", "allow_subdomains": true, "allow_ip_sans": false, "key_type": "ec",
	})
	client := authority.registered(t, "roles/narrow/")
	for name, expected := range map[string]string{
		"a.other.com": "rejectedIdentifier", "127.0.0.1": "rejectedIdentifier", "A.example.com": "malformed",
		"*.*.example.com": "malformed", "bücher.example.com": "malformed", "a.example.com": "",
	} {
		_, err := client.AuthorizeOrder(bounded(t), ids(name))
		if problem(err) != expected || (expected == "") != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
