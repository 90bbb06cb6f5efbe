package istio

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"istio.io/istio/security/pkg/pki/util"

	"signet.test/conformance/harness"
)

// comparison is a request to istiod and to Signet in both modes.
type comparison struct {
	name string
	ask  ask
	// wanted is what istiod answers, and so does Signet unless the next say otherwise.
	wanted            codes.Code
	strict, overwrite *difference
}

// difference is one that is intended.
type difference struct {
	// code is what Signet answers, and facts is what else differs from istiod's certificate.
	code  codes.Code
	facts []string
	why   string
}

// always is what differs in every certificate.
var always = map[string]string{
	"backdated":           "half a minute at most: ztunnel renews in the middle of a lifetime, and one that began long ago is over at once",
	"extension 2.5.29.14": "RFC 5280 4.2.1.2 recommends a key identifier in certificates of end entities",
}

var (
	// namesCount is for strict mode: a workload that asks for what it is not is told so.
	namesCount = &difference{code: codes.Unauthenticated, why: "strict mode: the request names the caller and nothing else; overwrite mode is istiod's way"}
	keyRefused = &difference{code: codes.InvalidArgument, why: "Envoy cannot use the key, so a certificate for it would only fail later"}
)

func cases(t *testing.T) []comparison {
	var all []comparison
	add := func(more ...comparison) { all = append(all, more...) }
	id := httpbin.identity()
	mine := []string{token(t, claims(httpbin))}
	usual := istiosCSR(t, util.CertOptions{Host: id, ECSigAlg: util.EcdsaSigAlg})
	good := func(csr []byte) ask { return ask{csr: csr, secs: 3600, tokens: mine} }

	add(
		comparison{name: "sidecar RSA", ask: good(istiosCSR(t, util.CertOptions{Host: id, RSAKeySize: 2048}))},
		comparison{name: "sidecar P-256", ask: good(usual)},
		comparison{name: "sidecar P-384", ask: good(istiosCSR(t, util.CertOptions{Host: id, ECSigAlg: util.EcdsaSigAlg, ECCCurve: util.P384Curve}))},
		comparison{name: "ztunnel", ask: good(csr(t, p256(t), id))},
		comparison{name: "a signer by name", ask: ask{csr: usual, secs: 3600, tokens: mine, metadata: map[string]any{"CertSigner": "other"}}},
	)

	lifetime := func(secs int64) ask { return ask{csr: usual, secs: secs, tokens: mine} }
	clamped := &difference{code: codes.OK, why: "max_ttl_behavior is clamp, as istio-csr does; with error it is refused as by istiod"}
	add(
		comparison{name: "a minute", ask: lifetime(60)},
		comparison{name: "the default", ask: lifetime(0)},
		comparison{name: "less than nothing", ask: lifetime(-1)},
		comparison{name: "beyond the issuer", ask: lifetime(int64((issuerLife + 5*time.Hour).Seconds()))},
		comparison{name: "the maximum", ask: lifetime(int64(maxTTL.Seconds()))},
		comparison{name: "beyond the maximum", ask: lifetime(int64(maxTTL.Seconds()) + 1), wanted: codes.InvalidArgument, strict: clamped, overwrite: clamped},
	)
	overflown := &difference{facts: []string{"life"}, why: "istiod's product of seconds overflows and becomes the default; here it is more than the maximum"}
	add(comparison{name: "for ever", ask: lifetime(math.MaxInt64), strict: overflown, overwrite: overflown})

	for name, edit := range map[string]func(*x509.CertificateRequest){
		"the identity of another": func(r *x509.CertificateRequest) { r.URIs = uris("spiffe://cluster.local/ns/bank/sa/vault") },
		"another trust domain":    func(r *x509.CertificateRequest) { r.URIs = uris("spiffe://elsewhere.example/ns/httpbin/sa/httpbin") },
		"two identities":          func(r *x509.CertificateRequest) { r.URIs = uris(id, "spiffe://cluster.local/ns/bank/sa/vault") },
		"no identity":             func(r *x509.CertificateRequest) { r.URIs = nil },
		"a host name too":         func(r *x509.CertificateRequest) { r.DNSNames = []string{"httpbin.example.com"} },
		"an IP address too":       func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} },
		"an email address too":    func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} },
		"an organization":         func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"system:masters"} },
		"an authority":            extension(asn1.ObjectIdentifier{2, 5, 29, 19}, 0x30, 3, 1, 1, 0xff),
		"to sign certificates":    extension(asn1.ObjectIdentifier{2, 5, 29, 15}, 3, 2, 2, 4),
		"an unknown extension":    extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 9}, 5, 0),
	} {
		add(comparison{name: "asks for " + name, ask: good(csr(t, p256(t), id, edit)), strict: namesCount})
	}
	named := func(r *x509.CertificateRequest) { r.Subject.CommonName = "httpbin" }
	nameless := &difference{facts: []string{"subject"}, why: "istiod repeats the identity as common name; nothing reads it, and the role's rules for common names would apply"}
	add(comparison{name: "asks for a common name", ask: good(csr(t, p256(t), id, named)), strict: namesCount, overwrite: nameless})

	block, _ := pem.Decode(usual)
	block.Bytes[len(block.Bytes)-1] ^= 1
	forged := pem.EncodeToMemory(block)
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("hello"), "an empty block": harness.PEM("CERTIFICATE REQUEST", nil),
		"half a request": usual[:len(usual)/2], "a forged signature": forged,
	} {
		add(comparison{name: "sends " + name, ask: good(text), wanted: codes.InvalidArgument})
	}
	relabelled := func(label string) []byte {
		return []byte(strings.ReplaceAll(string(usual), "CERTIFICATE REQUEST", label))
	}
	add(
		comparison{name: "sends text around", ask: good([]byte("hello\n" + string(usual) + "the end\n"))},
		comparison{name: "sends two requests", ask: good(append(append([]byte(nil), usual...), csr(t, p256(t), "spiffe://cluster.local/ns/bank/sa/vault")...))},
		comparison{name: "sends the old label", ask: good(relabelled("NEW CERTIFICATE REQUEST"))},
		comparison{name: "sends another label", ask: good(relabelled("SOMETHING"))},
	)

	t.Setenv("GODEBUG", "rsa1024min=0")
	for name, key := range map[string]crypto.Signer{
		"RSA-1024": made(rsa.GenerateKey(rand.Reader, 1024)), "P-224": made(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)),
		"P-521": made(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "Ed25519": ed25519Key(),
	} {
		add(comparison{name: "has a key " + name, ask: good(csr(t, key, id)), strict: keyRefused, overwrite: keyRefused})
	}
	weak := &difference{code: codes.InvalidArgument, why: "SHA-1 proves nothing any more"}
	sha1 := csr(t, p256(t), id, func(r *x509.CertificateRequest) { r.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	add(comparison{name: "signs with SHA-1", ask: good(sha1), strict: weak, overwrite: weak})

	saying := func(edit func(map[string]any)) ask {
		changed := claims(httpbin)
		edit(changed)
		return ask{csr: usual, secs: 3600, tokens: []string{token(t, changed)}}
	}
	at := func(name string, distance time.Duration) ask {
		return saying(func(c map[string]any) { c[name] = time.Now().Add(distance).Unix() })
	}
	for name, refused := range map[string]ask{
		"no token":                    {csr: usual, secs: 3600},
		"a token that is none":        {csr: usual, secs: 3600, tokens: []string{"hello"}},
		"an expired token":            at("exp", -5*time.Second),
		"a token of tomorrow":         at("nbf", 24*time.Hour),
		"a token for somebody else":   saying(func(c map[string]any) { c["aud"] = []string{"vault"} }),
		"a token of another issuer":   saying(func(c map[string]any) { c["iss"] = "https://elsewhere.example" }),
		"a token of a user":           saying(func(c map[string]any) { c["sub"] = "alice" }),
		"a token with another's name": {csr: usual, secs: 3600, tokens: []string{mine[0][:len(mine[0])-8] + "AAAAAAAA"}},
	} {
		add(comparison{name: "shows " + name, ask: refused, wanted: codes.Unauthenticated})
	}
	exact := &difference{code: codes.Unauthenticated, why: "a subject of five parts is no service account; istiod takes the first four"}
	early := &difference{code: codes.Unauthenticated, why: "clocks may differ by a minute; istiod's library allows five"}
	add(
		comparison{name: "shows two tokens", ask: ask{csr: usual, secs: 3600, tokens: []string{mine[0], "hello"}}},
		comparison{name: "shows a token of five parts", strict: exact, overwrite: exact,
			ask: saying(func(c map[string]any) { c["sub"] = c["sub"].(string) + ":more"; delete(c, "kubernetes.io") })},
		comparison{name: "shows a token two minutes early", ask: at("nbf", 2*time.Minute), strict: early, overwrite: early},
		comparison{name: "asks for a pod of its node", wanted: codes.Unauthenticated, ask: ask{
			csr: usual, secs: 3600, tokens: mine, metadata: map[string]any{"ImpersonatedIdentity": "spiffe://cluster.local/ns/bank/sa/vault"},
		}},
	)

	contradiction := &difference{code: codes.Unauthenticated, why: "certificate and token must agree; istiod believes the certificate"}
	stranger := &difference{code: codes.Unauthenticated, why: "the handshake goes on, so that the refusal is in the log and the audit log; at istiod it fails"}
	sleep := workload{"sleep", "sleep"}
	add(
		comparison{name: "shows its certificate", ask: ask{csr: usual, secs: 3600, holds: &httpbin}},
		comparison{name: "shows its certificate and its token", ask: ask{csr: usual, secs: 3600, holds: &httpbin, tokens: mine}},
		comparison{name: "shows its certificate and another's token", strict: contradiction, overwrite: contradiction,
			ask: ask{csr: usual, secs: 3600, holds: &httpbin, tokens: []string{token(t, claims(sleep))}}},
		comparison{name: "shows a certificate of nobody", wanted: codes.Unavailable, strict: stranger, overwrite: stranger,
			ask: ask{csr: usual, secs: 3600, pair: selfSigned(t, id)}},
	)
	return all
}

// p256 makes a key.
func p256(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	return key
}

func ed25519Key() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return made(key, err)
}

func made[K crypto.Signer](key K, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

// istiosCSR is made by Istio's own library.
func istiosCSR(t *testing.T, options util.CertOptions) []byte {
	t.Helper()
	request, _, err := util.GenCSR(options)
	fatal(t, err)
	return request
}

// csr has an empty subject and an identity, unless it is edited.
func csr(t *testing.T, key crypto.Signer, id string, edits ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	request := &x509.CertificateRequest{URIs: uris(id)}
	for _, edit := range edits {
		edit(request)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	fatal(t, err)
	return harness.PEM("CERTIFICATE REQUEST", der)
}

func uris(all ...string) []*url.URL {
	var parsed []*url.URL
	for _, one := range all {
		uri, err := url.Parse(one)
		if err != nil {
			panic(err)
		}
		parsed = append(parsed, uri)
	}
	return parsed
}

func extension(id asn1.ObjectIdentifier, value ...byte) func(*x509.CertificateRequest) {
	return func(request *x509.CertificateRequest) {
		request.ExtraExtensions = append(request.ExtraExtensions, pkix.Extension{Id: id, Value: value})
	}
}
