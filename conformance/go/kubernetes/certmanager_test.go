package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiutil "github.com/cert-manager/cert-manager/pkg/api/util"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"signet.test/conformance/harness"
)

const istioSystem = "istio-system"

// withCertManager gives the cluster cert-manager's resources, and its controllers while the test runs.
func withCertManager(t *testing.T) {
	t.Helper()
	found, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	fatal(t, err)
	folder := filepath.Join(strings.TrimSpace(string(found)), "deploy", "crds")
	definitions, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	fatal(t, err)
	for _, file := range definitions {
		shared.kubectl(t, "", "apply", "--server-side", "-f", file)
	}
	shared.kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	beside(t, program("cert-manager"), "-kubeconfig="+shared.admin)
}

// applied makes the resources of article.yaml for an authority, and takes them away in the end.
func applied(t *testing.T, server *harness.Server, authority *harness.Authority) {
	t.Helper()
	text, err := os.ReadFile("article.yaml")
	fatal(t, err)
	encoded := base64.StdEncoding.EncodeToString
	values := map[string]string{
		"SERVER": server.TLSURL, "CA_BUNDLE": encoded(server.Material.CA), "SIGN_PATH": authority.SignPath,
		"ROLE_ID": authority.RoleID, "SECRET_ID": authority.SecretID, "ROOT": encoded(authority.Root),
	}
	manifest := os.Expand(string(text), func(name string) string { return values[name] })
	shared.apply(t, manifest)
	t.Cleanup(func() {
		shared.kubectl(t, manifest, "delete", "--ignore-not-found", "-f", "-")
		shared.kubectl(t, "", "delete", "--ignore-not-found", "-n", istioSystem, "secret", "istiod-tls", "httpbin-tls")
		// Nobody collects what belonged to the Certificates, and the next ones would find it under the same names.
		shared.kubectl(t, "", "delete", "--all", "-n", istioSystem, "certificaterequests")
		shared.kubectl(t, "", "delete", "-n", istioSystem, "secret", "-l", "cert-manager.io/next-private-key=true")
	})
}

// issuerIs waits for a status and a reason of the condition Ready; its message.
func issuerIs(t *testing.T, name string, status cmmeta.ConditionStatus, reason string) string {
	t.Helper()
	var message string
	eventually(t, func() error {
		issuer, err := shared.certificates.CertmanagerV1().Issuers(istioSystem).Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range issuer.Status.Conditions {
			if condition.Type == cmapi.IssuerConditionReady && condition.Status == status && condition.Reason == reason {
				message = condition.Message
				return nil
			}
		}
		return fmt.Errorf("%s is not %s for %s: %+v", name, status, reason, issuer.Status.Conditions)
	})
	return message
}

// certificateIsReady waits until the newest state of a Certificate has been issued at least so many times; gives its Secret.
func certificateIsReady(t *testing.T, name string, revision int) *corev1.Secret {
	t.Helper()
	var secret *corev1.Secret
	eventually(t, func() error {
		found, err := shared.certificates.CertmanagerV1().Certificates(istioSystem).Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := apiutil.GetCertificateCondition(found, cmapi.CertificateConditionReady)
		if ready == nil || ready.Status != cmmeta.ConditionTrue || found.Status.Revision == nil || *found.Status.Revision < revision {
			return fmt.Errorf("%s: %+v", name, found.Status)
		}
		secret, err = shared.CoreV1().Secrets(istioSystem).Get(context.Background(), found.Spec.SecretName, metav1.GetOptions{})
		return err
	})
	return secret
}

// theArticle is the cluster of the article from the namespaces on, with a server, its authority and cert-manager.
func theArticle(t *testing.T) (*harness.Server, *harness.Authority) {
	t.Helper()
	shared.namespace(t, istioSystem, `maistra.io/member-of: istio-system`)
	shared.namespace(t, "httpbin", `maistra.io/member-of: istio-system`)
	withCertManager(t)
	started := server(t, "")
	authority := harness.Provision(t, started.Root(t), "rh-custom-issuer", harness.Mesh)
	applied(t, started, authority)
	if message := issuerIs(t, "istio-ca", cmmeta.ConditionTrue, "VaultVerified"); message != "Vault verified" {
		t.Errorf("%q", message)
	}
	return started, authority
}

func TestCertManager(t *testing.T) {
	started, authority := theArticle(t)
	t.Run("shows that the issuer is verified", func(t *testing.T) {
		shown := shared.kubectl(t, "", "get", "issuer", "istio-ca", "-n", istioSystem, "-o", "wide")
		if !strings.Contains(shown, "Vault verified") {
			t.Error(shown)
		}
	})
	t.Run("gets a workload its chain of three", func(t *testing.T) {
		secret := certificateIsReady(t, "httpbin", 1)
		if string(secret.Data[cmmeta.TLSCAKey]) != line(authority.Root) {
			t.Errorf("ca.crt is not the root: %s", secret.Data[cmmeta.TLSCAKey])
		}
		judgedByOpenSSL(t, secret, authority.Root)
		chain, err := harness.Certificates(secret.Data[corev1.TLSCertKey])
		fatal(t, err)
		if len(chain) != 2 || len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != "spiffe://cluster.local/ns/httpbin/sa/httpbin" {
			t.Errorf("a chain of %d for %v", len(chain), chain[0].URIs)
		}
		if lifetime := chain[0].NotAfter.Sub(chain[0].NotBefore); (lifetime - time.Hour).Abs() > 31*time.Second {
			t.Errorf("valid for %v", lifetime)
		}
	})
	t.Run("gets istiod the Secret that it serves with", func(t *testing.T) {
		servesAsIstiod(t, certificateIsReady(t, "istiod", 1), authority.Root)
	})
	t.Run("renews when it is told to", func(t *testing.T) {
		before := certificateIsReady(t, "httpbin", 1)
		certificates := shared.certificates.CertmanagerV1().Certificates(istioSystem)
		eventually(t, func() error {
			found, err := certificates.Get(context.Background(), "httpbin", metav1.GetOptions{})
			if err != nil {
				return err
			}
			apiutil.SetCertificateCondition(found, found.Generation, cmapi.CertificateConditionIssuing, cmmeta.ConditionTrue, "Asked", "by a test")
			_, err = certificates.UpdateStatus(context.Background(), found, metav1.UpdateOptions{})
			return err
		})
		after := certificateIsReady(t, "httpbin", 2)
		if string(before.Data[corev1.TLSCertKey]) == string(after.Data[corev1.TLSCertKey]) {
			t.Error("the same certificate")
		}
		judgedByOpenSSL(t, after, authority.Root)
	})
	t.Run("is told why a certificate is refused", func(t *testing.T) {
		narrow := harness.Provision(t, started.Root(t), "narrow", map[string]any{
			"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "any",
		})
		issuer(t, started, narrow, "narrow", fmt.Sprintf(`{appRole: {path: approle, roleId: %q, secretRef: {name: narrow, key: secretId}}}`, narrow.RoleID))
		shared.kubectl(t, "", "create", "secret", "generic", "narrow", "-n", istioSystem, "--from-literal=secretId="+narrow.SecretID)
		issuerIs(t, "narrow", cmmeta.ConditionTrue, "VaultVerified")
		certificate(t, "stranger", "narrow", "www.example.org")
		eventually(t, func() error {
			found, err := shared.certificates.CertmanagerV1().CertificateRequests(istioSystem).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, request := range found.Items {
				if request.Spec.IssuerRef.Name == "narrow" && apiutil.CertificateRequestReadyReason(&request) == cmapi.CertificateRequestReasonFailed {
					if condition := apiutil.GetCertificateRequestCondition(&request, cmapi.CertificateRequestConditionReady); !strings.Contains(condition.Message, "www.example.org not allowed by this role") {
						t.Error(condition.Message)
					}
					return nil
				}
			}
			return errors.New("no request has failed")
		})
	})
	t.Run("stops and goes on with the secret of its login", func(t *testing.T) {
		secret := func(id string) {
			shared.apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: rh-vault-pki-role, namespace: istio-system}\nstringData: {secretId: %q}\n", id))
		}
		secret("wrong")
		if message := issuerIs(t, "istio-ca", cmmeta.ConditionFalse, "VaultError"); !strings.Contains(message, "invalid role or secret ID") {
			t.Error(message)
		}
		secret(authority.SecretID)
		issuerIs(t, "istio-ca", cmmeta.ConditionTrue, "VaultVerified")
	})
	t.Run("logs in as a service account", func(t *testing.T) {
		root := started.Root(t)
		configureLogin(t, root)
		harness.Write(t, root, "auth/kubernetes/role/issuer", map[string]any{
			"bound_service_account_names": []string{istioSystem}, "bound_service_account_namespaces": []string{istioSystem},
			"audience": "vault://istio-system/account", "token_policies": []string{authority.Policy}, "token_ttl": "10m",
		})
		issuer(t, started, authority, "account", "{kubernetes: {mountPath: /v1/auth/kubernetes, role: issuer, serviceAccountRef: {name: istio-system}}}")
		issuerIs(t, "account", cmmeta.ConditionTrue, "VaultVerified")
		certificate(t, "by-account", "account", "www.example.com")
		certificateIsReady(t, "by-account", 1)
	})
}

// issuer makes one more, with a way to log in.
func issuer(t *testing.T, server *harness.Server, authority *harness.Authority, name, auth string) {
	t.Helper()
	shared.apply(t, fmt.Sprintf(`
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: %s, namespace: istio-system}
spec: {vault: {server: %q, path: %q, caBundle: %q, auth: %s}}
`, name, server.TLSURL, authority.SignPath, base64.StdEncoding.EncodeToString(server.Material.CA), auth))
}

// certificate asks an issuer for one with a DNS name, into a Secret of the certificate's name.
func certificate(t *testing.T, name, issuer, domain string) {
	t.Helper()
	shared.apply(t, fmt.Sprintf(`
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: %[1]s, namespace: istio-system}
spec:
  secretName: %[1]s
  commonName: %[3]s
  dnsNames: [%[3]s]
  issuerRef: {group: cert-manager.io, kind: Issuer, name: %[2]s}
`, name, issuer, domain))
}

// judgedByOpenSSL serves as an agent does, with the root at the end of the chain, and has openssl look at it as the article does.
func judgedByOpenSSL(t *testing.T, secret *corev1.Secret, root []byte) {
	t.Helper()
	served := append(append([]byte{}, secret.Data[corev1.TLSCertKey]...), secret.Data[cmmeta.TLSCAKey]...)
	pair, err := tls.X509KeyPair(served, secret.Data[corev1.TLSPrivateKeyKey])
	fatal(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	fatal(t, err)
	defer listener.Close()
	go func() {
		if connection, err := listener.Accept(); err == nil {
			_ = connection.(*tls.Conn).Handshake()
			_ = connection.Close()
		}
	}()
	file := filepath.Join(t.TempDir(), "root.pem")
	fatal(t, os.WriteFile(file, root, 0o600))
	// It ends with an error if the chain does not verify.
	shown, err := exec.Command("openssl", "s_client", "-showcerts", "-verify_return_error", "-CAfile", file,
		"-connect", listener.Addr().(*net.TCPAddr).String()).CombinedOutput()
	if err != nil {
		t.Errorf("openssl: %v\n%s", err, shown)
	}
	// OpenSSL 3.2 leaves the blanks out.
	text := strings.ReplaceAll(string(shown), " = ", "=")
	for _, wanted := range []string{
		"depth=2 C=US, O=Red Hat Consulting, OU=RH-FSI, CN=RH Custom Root CA\n",
		"depth=1 C=US, O=Red Hat Consulting, OU=RH-FSI, CN=RH Custom Intermediate CA\n",
		"depth=0 C=US, O=Red Hat Consulting, OU=RH-SPPRT\n",
		"Verify return code: 0 (ok)",
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("openssl does not say %q:\n%s", wanted, text)
		}
	}
}

// servesAsIstiod wants a Secret of three parts with the names of istiod's revision basic, and a chain to the root.
func servesAsIstiod(t *testing.T, secret *corev1.Secret, root []byte) {
	t.Helper()
	if secret.Type != corev1.SecretTypeTLS || len(secret.Data) != 3 {
		t.Errorf("a Secret %s of %d parts", secret.Type, len(secret.Data))
	}
	if string(secret.Data[cmmeta.TLSCAKey]) != line(root) {
		t.Errorf("ca.crt is not the root: %s", secret.Data[cmmeta.TLSCAKey])
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	fatal(t, err)
	chain, err := harness.Certificates(secret.Data[corev1.TLSCertKey])
	fatal(t, err)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "istiod-basic.istio-system.svc", Roots: roots, Intermediates: between}); err != nil {
		t.Error(err)
	}
	if pair.Leaf.Subject.CommonName != "istiod.istio-system.svc" {
		t.Errorf("common name %q", pair.Leaf.Subject.CommonName)
	}
	if len(pair.Leaf.URIs) != 1 || pair.Leaf.URIs[0].String() != "spiffe://cluster.local/ns/istio-system/sa/istiod-service-account" {
		t.Errorf("identities %v", pair.Leaf.URIs)
	}
}

// line is a text with one end of a line behind it.
func line(text []byte) string { return strings.TrimSpace(string(text)) + "\n" }
