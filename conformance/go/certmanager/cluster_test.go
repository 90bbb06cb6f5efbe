package certmanager

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apiutil "github.com/cert-manager/cert-manager/pkg/api/util"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests"
	signer "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	testpkg "github.com/cert-manager/cert-manager/pkg/controller/test"
	issuer "github.com/cert-manager/cert-manager/pkg/issuer/vault"
	"github.com/cert-manager/cert-manager/test/unit/gen"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	coretesting "k8s.io/client-go/testing"

	"signet.test/conformance/harness"
)

const namespace = "istio-system"

// cluster is cert-manager's issuer and certificate request controllers over clients that keep their
// objects in memory.
type cluster struct {
	t       *testing.T
	builder *testpkg.Builder
	issuer  *cmapi.Issuer
	setup   interface {
		Setup(context.Context, cmapi.GenericIssuer) error
	}
	requests *certificaterequests.Controller
}

// newCluster starts the controllers with one issuer, the secrets it names and the requests that wait.
func newCluster(t *testing.T, spec cmapi.VaultIssuer, secrets map[string]map[string][]byte, requests ...*cmapi.CertificateRequest) *cluster {
	t.Helper()
	object := gen.Issuer("istio-ca", gen.SetIssuerNamespace(namespace), gen.SetIssuerVault(spec))
	ready := object.DeepCopy()
	apiutil.SetIssuerCondition(ready, 1, cmapi.IssuerConditionReady, cmmeta.ConditionTrue, "VaultVerified", "Vault verified")
	builder := &testpkg.Builder{T: t, CertManagerObjects: []runtime.Object{ready}}
	for name, data := range secrets {
		builder.KubeObjects = append(builder.KubeObjects, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data,
		})
	}
	for _, request := range requests {
		builder.CertManagerObjects = append(builder.CertManagerObjects, request)
	}
	builder.Init()
	t.Cleanup(builder.Stop)
	builder.FakeKubeClient().PrependReactor("create", "serviceaccounts", func(action coretesting.Action) (bool, runtime.Object, error) {
		asked := action.(coretesting.CreateAction).GetObject().(*authenticationv1.TokenRequest)
		asked.Status.Token = serviceAccountToken(asked.Spec.Audiences)
		return true, asked, nil
	})
	setup, err := issuer.NewVault(builder.Context)
	if err != nil {
		t.Fatal(err)
	}
	controller := certificaterequests.New(apiutil.IssuerVault, signer.NewVault)
	if _, _, err := controller.Register(builder.Context); err != nil {
		t.Fatal(err)
	}
	builder.Start()
	return &cluster{t: t, builder: builder, issuer: object, setup: setup, requests: controller}
}

// check has the issuer verified and gives its condition.
func (c *cluster) check() (cmapi.IssuerCondition, error) {
	c.t.Helper()
	checked := c.issuer.DeepCopy()
	err := c.setup.Setup(context.Background(), checked)
	for _, condition := range checked.Status.Conditions {
		if condition.Type == cmapi.IssuerConditionReady {
			return condition, err
		}
	}
	c.t.Fatal("no condition Ready")
	return cmapi.IssuerCondition{}, err
}

// mustBeReady is what `kubectl get issuer -o wide` shows.
func (c *cluster) mustBeReady() {
	c.t.Helper()
	condition, err := c.check()
	if err != nil || condition.Status != cmmeta.ConditionTrue || condition.Reason != "VaultVerified" || condition.Message != "Vault verified" {
		c.t.Fatalf("%+v %v", condition, err)
	}
}

// mustNotBeReady wants the reason VaultError and a text in the message.
func (c *cluster) mustNotBeReady(text string) {
	c.t.Helper()
	condition, err := c.check()
	if err == nil || condition.Status != cmmeta.ConditionFalse || condition.Reason != "VaultError" {
		c.t.Fatalf("%+v %v", condition, err)
	}
	if !strings.Contains(condition.Message+err.Error(), text) {
		c.t.Errorf("%q and %v say nothing of %q", condition.Message, err, text)
	}
}

// sync has a request signed and gives it with its new status.
func (c *cluster) sync(name string) (*cmapi.CertificateRequest, error) {
	c.t.Helper()
	requests := c.builder.CMClient.CertmanagerV1().CertificateRequests(namespace)
	request, err := requests.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	synced := c.requests.Sync(context.Background(), request)
	request, err = requests.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return request, synced
}

// mustIssue wants Ready, and gives the chain and the authority.
func (c *cluster) mustIssue(name string) (chain, authority []*x509.Certificate) {
	c.t.Helper()
	request, err := c.sync(name)
	if err != nil {
		c.t.Fatal(err)
	}
	if reason := apiutil.CertificateRequestReadyReason(request); reason != cmapi.CertificateRequestReasonIssued {
		c.t.Fatalf("%s: %+v", reason, request.Status.Conditions)
	}
	if chain, err = harness.Certificates(request.Status.Certificate); err != nil {
		c.t.Fatal(err)
	}
	if authority, err = harness.Certificates(request.Status.CA); err != nil {
		c.t.Fatal(err)
	}
	return chain, authority
}

// mustStay wants a reason of the condition Ready and a text in its message.
func (c *cluster) mustStay(name, reason, text string) error {
	c.t.Helper()
	request, err := c.sync(name)
	for _, condition := range request.Status.Conditions {
		if condition.Type == cmapi.CertificateRequestConditionReady {
			if condition.Reason != reason || !strings.Contains(condition.Message, text) {
				c.t.Errorf("%+v", condition)
			}
			return err
		}
	}
	c.t.Errorf("no condition Ready: %+v %v", request.Status.Conditions, err)
	return err
}

// mustTryAgain wants a request that waits until the login succeeds, which failed with a text.
func (c *cluster) mustTryAgain(name, text string) {
	c.t.Helper()
	err := c.mustStay(name, "Pending", "Failed to initialise vault client for signing")
	if err == nil || !strings.Contains(err.Error(), text) {
		c.t.Errorf("tried again because of %v, not of %q", err, text)
	}
}

// request is an approved CertificateRequest.
func request(t *testing.T, name string, csr []byte, duration time.Duration) *cmapi.CertificateRequest {
	t.Helper()
	modifiers := []gen.CertificateRequestModifier{
		gen.SetCertificateRequestNamespace(namespace),
		gen.SetCertificateRequestCSR(csr),
		gen.SetCertificateRequestIssuer(cmmeta.IssuerReference{Name: "istio-ca", Kind: "Issuer", Group: "cert-manager.io"}),
		gen.SetCertificateRequestStatusCondition(cmapi.CertificateRequestCondition{
			Type: cmapi.CertificateRequestConditionApproved, Status: cmmeta.ConditionTrue, Reason: "cert-manager.io",
		}),
	}
	if duration != 0 {
		modifiers = append(modifiers, gen.SetCertificateRequestDuration(&metav1.Duration{Duration: duration}))
	}
	return gen.CertificateRequest(name, modifiers...)
}

// csr makes a key and a request with it.
func csr(t *testing.T, algorithm x509.PublicKeyAlgorithm, modifiers ...gen.CSRModifier) ([]byte, crypto.Signer) {
	t.Helper()
	made, key, err := gen.CSR(algorithm, modifiers...)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// A token in the form of Kubernetes, which nobody verifies here but the reviewer below.
func serviceAccountToken(audiences []string) string {
	claims := map[string]any{
		"iss": "https://kubernetes.default.svc.cluster.local", "aud": audiences, "sub": "system:serviceaccount:istio-system:issuer",
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": "issuer", "uid": "d77f89bc"},
		},
	}
	encode := func(part any) string {
		text, _ := json.Marshal(part)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	header := map[string]string{"alg": "RS256", "kid": "reviewed"}
	return encode(header) + "." + encode(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}

// reviewer is the part of the Kubernetes API that a login asks. Its certificate is a leaf of an authority, as an API
// server's is.
func reviewer(t *testing.T) *httptest.Server {
	t.Helper()
	pair, err := tls.X509KeyPair(server.Material.ServerCertificate, server.Material.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	reviews := httptest.NewUnstartedServer(http.HandlerFunc(func(answer http.ResponseWriter, asked *http.Request) {
		var review authenticationv1.TokenReview
		if asked.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || json.NewDecoder(asked.Body).Decode(&review) != nil {
			http.NotFound(answer, asked)
			return
		}
		review.Status = authenticationv1.TokenReviewStatus{
			Authenticated: true,
			Audiences:     review.Spec.Audiences,
			User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:istio-system:issuer", UID: "d77f89bc",
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:istio-system"},
			},
		}
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(answer).Encode(review)
	}))
	reviews.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	reviews.StartTLS()
	t.Cleanup(reviews.Close)
	return reviews
}
