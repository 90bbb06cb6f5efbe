package istio

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"istio.io/api/security/v1alpha1"

	"signet.test/conformance/harness"
)

const istiodName = "istiod.istio-system.svc"

// ask is one request with what proves who asks.
type ask struct {
	csr    []byte
	secs   int64
	tokens []string
	// holds is whose certificate is shown; it is got from the same service first.
	holds    *workload
	pair     *tls.Certificate
	metadata map[string]any
}

// put sends it on a connection of its own.
func (a ask) put(t *testing.T, address string) answer {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ours.root)
	config := &tls.Config{RootCAs: roots, ServerName: istiodName}
	if a.holds != nil {
		a.pair = pairOf(t, address, *a.holds)
	}
	if a.pair != nil {
		// Whatever authorities the server would like to see.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return a.pair, nil }
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	fatal(t, err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, token := range a.tokens {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	about, err := structpb.NewStruct(a.metadata)
	fatal(t, err)
	began := time.Now()
	made, err := v1alpha1.NewIstioCertificateServiceClient(connection).CreateCertificate(ctx, &v1alpha1.IstioCertificateRequest{
		Csr: string(a.csr), ValidityDuration: a.secs, Metadata: about,
	})
	return answer{began, made.GetCertChain(), status.Convert(err)}
}

// pairOf gets a workload its certificate with its token.
func pairOf(t *testing.T, address string, who workload) *tls.Certificate {
	t.Helper()
	key := p256(t)
	given := ask{csr: csr(t, key, who.identity()), secs: 3600, tokens: []string{token(t, claims(who))}}.put(t, address)
	fatal(t, given.status.Err())
	pair := &tls.Certificate{PrivateKey: key}
	for _, element := range given.chain[:len(given.chain)-1] {
		block, _ := pem.Decode([]byte(element))
		pair.Certificate = append(pair.Certificate, block.Bytes)
	}
	return pair
}

// selfSigned is a pair that nobody knows.
func selfSigned(t *testing.T, id string) *tls.Certificate {
	t.Helper()
	key := p256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: uris(id), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	fatal(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

type answer struct {
	began  time.Time
	chain  []string
	status *status.Status
}

// facts is all that a client can tell of an answer, but for what is another each time.
func (a answer) facts(t *testing.T) map[string]string {
	t.Helper()
	said, _, _ := strings.Cut(a.status.Message(), " (")
	facts := map[string]string{"code": a.status.Code().String(), "text": said}
	if a.status.Code() != codes.OK {
		return facts
	}
	for index, element := range a.chain[1:] {
		facts[fmt.Sprintf("element %d", index+1)] = element
	}
	block, rest := pem.Decode([]byte(a.chain[0]))
	if block == nil {
		t.Fatalf("no PEM: %q", a.chain[0])
	}
	facts["leaf's element"] = fmt.Sprintf("%s, %q", block.Type, rest)
	if !bytes.Equal(pem.EncodeToMemory(block), []byte(a.chain[0])) {
		facts["leaf's element"] = a.chain[0]
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	fatal(t, err)
	facts["version"] = fmt.Sprint(leaf.Version)
	facts["subject"] = fmt.Sprintf("%x", leaf.RawSubject)
	facts["issuer"] = fmt.Sprintf("%x", leaf.RawIssuer)
	facts["key"] = fmt.Sprintf("%x", leaf.RawSubjectPublicKeyInfo)
	facts["signature"] = leaf.SignatureAlgorithm.String()
	for _, extension := range leaf.Extensions {
		facts["extension "+extension.Id.String()] = fmt.Sprintf("critical %v, %x", extension.Critical, extension.Value)
	}
	// A minute is more than a call takes, and less than what one would get wrong.
	life := leaf.NotAfter.Sub(a.began).Round(time.Minute)
	facts["life"] = life.String()
	facts["backdated"] = (leaf.NotAfter.Sub(leaf.NotBefore) - life).String()
	intermediate, err := harness.Certificates(ours.intermediate)
	fatal(t, err)
	if leaf.NotAfter.Equal(intermediate[0].NotAfter) {
		facts["life"], facts["backdated"] = "the issuer's", ""
	}
	return facts
}

// differences compares what a client can tell of two answers. When they are not alike at all, that is all there is to say.
func differences(one, other map[string]string) []string {
	if one["code"] != other["code"] {
		return []string{"code"}
	}
	names := map[string]bool{}
	for _, facts := range []map[string]string{one, other} {
		for name := range facts {
			names[name] = true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return one[name] == other[name] })
}

// known is what is meant to differ.
func known(wanted map[string]string, code codes.Code, intended *difference) []string {
	if intended != nil && intended.code != code {
		return []string{"code"}
	}
	if code != codes.OK {
		return nil
	}
	names := slices.Collect(maps.Keys(always))
	if wanted["backdated"] == "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "backdated" })
	}
	if intended != nil {
		names = append(names, intended.facts...)
	}
	slices.Sort(names)
	return names
}

// Every difference is one of the list, and every one of the list is there: docs/divergences.md has them with their reasons.
func TestAnswersAreThoseOfIstiod(t *testing.T) {
	strict, overwrite := started(t, "strict"), started(t, "overwrite")
	reference := istiod(t)
	for _, one := range cases(t) {
		t.Run(one.name, func(t *testing.T) {
			wanted := one.ask.put(t, reference).facts(t)
			if wanted["code"] != one.wanted.String() {
				t.Fatalf("istiod answers %s: %s", wanted["code"], wanted["text"])
			}
			for _, mode := range []struct {
				name     string
				service  *service
				intended *difference
			}{{"strict", strict, one.strict}, {"overwrite", overwrite, one.overwrite}} {
				given := one.ask.put(t, mode.service.address)
				if mode.intended != nil && given.status.Code() != mode.intended.code {
					t.Errorf("%s mode: %v, meant is %v: %s", mode.name, given.status, mode.intended.code, mode.intended.why)
				}
				got := given.facts(t)
				found, meant := differences(wanted, got), known(wanted, one.wanted, mode.intended)
				if slices.Equal(found, meant) {
					continue
				}
				for _, name := range found {
					t.Logf("%s: istiod %q, Signet %q", name, wanted[name], got[name])
				}
				t.Errorf("%s mode: %q differ, meant are %q", mode.name, found, meant)
			}
		})
	}
}
