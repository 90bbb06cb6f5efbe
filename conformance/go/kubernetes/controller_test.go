package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"signet.test/conformance/harness"
)

// The ConfigMap that proxies mount.
const rootMap = "istio-ca-root-cert"

// rootsAre waits until a namespace has the ConfigMap with these roots and nothing else.
func rootsAre(t *testing.T, namespace, roots string) {
	t.Helper()
	eventually(t, func() error {
		found, err := shared.CoreV1().ConfigMaps(namespace).Get(context.Background(), rootMap, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !maps.Equal(found.Data, map[string]string{"root-cert.pem": roots}) || len(found.BinaryData) != 0 || found.Labels["istio.io/config"] != "true" {
			return fmt.Errorf("%s: %v %v", namespace, found.Labels, found.Data)
		}
		return nil
	})
}

func TestController(t *testing.T) {
	onlySignet(t, "the block kubernetes")
	kubeconfig, _ := shared.signetInCluster(t)
	shared.namespace(t, "member", `example.com/mesh: "yes"`)
	shared.namespace(t, "outside", "")
	started := server(t, fmt.Sprintf(`
kubernetes {
  mount              = "kept_int"
  kubeconfig         = %q
  namespace_selector = "example.com/mesh=yes"
  istiod_certificate {
    role      = "istiod"
    revisions = ["basic"]
  }
}
`, kubeconfig))
	root := started.Root(t)
	authority := harness.Provision(t, root, "kept", harness.Mesh)
	harness.Write(t, root, "kept_int/roles/istiod", map[string]any{
		"allowed_domains": "istio-system.svc", "allow_subdomains": true, "require_cn": false, "key_type": "ec", "max_ttl": "24h",
		"allowed_uri_sans": "spiffe://cluster.local/ns/istio-system/sa/istiod-service-account",
	})
	roots := line(authority.Root)
	maps := shared.CoreV1().ConfigMaps("member")
	t.Run("keeps the roots in a namespace of the mesh", func(t *testing.T) { rootsAre(t, "member", roots) })
	t.Run("keeps them in one that joins", func(t *testing.T) {
		shared.namespace(t, "late", `example.com/mesh: "yes"`)
		rootsAre(t, "late", roots)
		shared.namespace(t, "labelled", "")
		shared.kubectl(t, "", "label", "namespace", "labelled", "example.com/mesh=yes")
		rootsAre(t, "labelled", roots)
	})
	t.Run("leaves other namespaces alone", func(t *testing.T) {
		_, err := shared.CoreV1().ConfigMaps("outside").Get(context.Background(), rootMap, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("%v", err)
		}
	})
	for _, drift := range []struct {
		name string
		do   func(*corev1.ConfigMap)
	}{
		{"another root", func(found *corev1.ConfigMap) { found.Data["root-cert.pem"] = "other" }},
		{"one more key", func(found *corev1.ConfigMap) { found.Data["foreign"] = "key" }},
		{"no key", func(found *corev1.ConfigMap) { found.Data = nil }},
		{"no label", func(found *corev1.ConfigMap) { found.Labels = nil }},
		{"bytes beside it", func(found *corev1.ConfigMap) { found.BinaryData = map[string][]byte{"foreign": {0}} }},
	} {
		t.Run("repairs "+drift.name, func(t *testing.T) {
			found, err := maps.Get(context.Background(), rootMap, metav1.GetOptions{})
			fatal(t, err)
			drift.do(found)
			_, err = maps.Update(context.Background(), found, metav1.UpdateOptions{})
			fatal(t, err)
			rootsAre(t, "member", roots)
		})
	}
	t.Run("makes a deleted ConfigMap again", func(t *testing.T) {
		fatal(t, maps.Delete(context.Background(), rootMap, metav1.DeleteOptions{}))
		rootsAre(t, "member", roots)
	})
	t.Run("publishes a second root beside the first", func(t *testing.T) {
		made := harness.Write(t, root, "kept_int/root/generate/internal", map[string]any{"common_name": "Next", "key_type": "ec", "ttl": "80000h"})
		rootsAre(t, "member", roots+line([]byte(made.Data["certificate"].(string))))
		_, err := root.Logical().Delete("kept_int/issuer/" + made.Data["issuer_id"].(string))
		fatal(t, err)
		rootsAre(t, "member", roots)
	})
	secrets := shared.CoreV1().Secrets(istioSystem)
	// another waits for a Secret with other content than this one.
	another := func(t *testing.T, than *corev1.Secret) *corev1.Secret {
		t.Helper()
		var found *corev1.Secret
		eventually(t, func() (err error) {
			if found, err = secrets.Get(context.Background(), "istiod-tls", metav1.GetOptions{}); err != nil {
				return err
			}
			if than != nil && bytes.Equal(found.Data[corev1.TLSCertKey], than.Data[corev1.TLSCertKey]) {
				return fmt.Errorf("the Secret stays as it was")
			}
			return nil
		})
		return found
	}
	t.Run("keeps the Secret of istiod", func(t *testing.T) {
		servesAsIstiod(t, another(t, nil), authority.Root)
	})
	t.Run("makes a deleted Secret again", func(t *testing.T) {
		before := another(t, nil)
		fatal(t, secrets.Delete(context.Background(), "istiod-tls", metav1.DeleteOptions{}))
		servesAsIstiod(t, another(t, before), authority.Root)
	})
	t.Run("repairs a Secret with another's certificate", func(t *testing.T) {
		found := another(t, nil)
		found.Data[corev1.TLSCertKey] = authority.Root
		_, err := secrets.Update(context.Background(), found, metav1.UpdateOptions{})
		fatal(t, err)
		servesAsIstiod(t, another(t, found), authority.Root)
	})
	t.Run("holds the Lease", func(t *testing.T) {
		lease, err := shared.CoordinationV1().Leases(istioSystem).Get(context.Background(), "signet", metav1.GetOptions{})
		fatal(t, err)
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			t.Errorf("%+v", lease.Spec)
		}
	})
}

// The rights that deploy/kubernetes gives are what the tests above ran with. These are the ones that it must not give.
func TestRights(t *testing.T) {
	shared.signetInCluster(t)
	for _, forbidden := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "secrets", Namespace: istioSystem, Name: "other"},
		{Verb: "list", Resource: "secrets", Namespace: istioSystem},
		{Verb: "get", Resource: "secrets", Namespace: "signet", Name: "signet-unseal"},
		{Verb: "create", Resource: "secrets", Namespace: "default"},
		{Verb: "update", Resource: "configmaps", Namespace: "default", Name: "other"},
		{Verb: "delete", Resource: "configmaps", Namespace: "default", Name: rootMap},
		{Verb: "create", Resource: "pods", Namespace: "signet"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: istioSystem},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: istioSystem, Name: "other"},
	} {
		if may(t, forbidden) {
			t.Errorf("may %s %s %s/%s", forbidden.Verb, forbidden.Resource, forbidden.Namespace, forbidden.Name)
		}
	}
}

// may asks the API server what the service account of deploy/kubernetes may do.
func may(t *testing.T, what authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review, err := shared.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:signet:signet",
			Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:signet", "system:authenticated"},
			ResourceAttributes: &what,
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	return review.Status.Allowed
}
