package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"signet.test/conformance/harness"
)

// configureLogin has auth/kubernetes ask the cluster, as the service account of deploy/kubernetes, which may review tokens.
func configureLogin(t *testing.T, root *vault.Client) {
	t.Helper()
	shared.signetInCluster(t)
	fatal(t, root.Sys().EnableAuthWithOptions("kubernetes", &vault.EnableAuthOptions{Type: "kubernetes"}))
	harness.Write(t, root, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": shared.url, "kubernetes_ca_cert": string(shared.ca), "token_reviewer_jwt": shared.token(t, "signet", "signet", nil),
	})
}

func TestLogin(t *testing.T) {
	started := server(t, "")
	root := started.Root(t)
	configureLogin(t, root)
	shared.namespace(t, "shop", "")
	harness.Write(t, root, "auth/kubernetes/role/web", map[string]any{
		"bound_service_account_names": "shop", "bound_service_account_namespaces": "shop", "audience": "vault",
		"token_policies": "default", "token_ttl": "10m",
	})
	login := func(t *testing.T, role, token string) (*vault.Secret, error) {
		return started.Client(t, "").Logical().WriteWithContext(context.Background(), "auth/kubernetes/login",
			map[string]any{"role": role, "jwt": token})
	}
	// refusal is nothing if a login is refused in these words.
	refusal := func(t *testing.T, role, token, text string) error {
		_, err := login(t, role, token)
		var answer *vault.ResponseError
		if errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden && strings.Contains(strings.Join(answer.Errors, " "), text) {
			return nil
		}
		return fmt.Errorf("not refused with %q: %w", text, err)
	}
	refused := func(t *testing.T, role, token, text string) {
		t.Helper()
		if err := refusal(t, role, token, text); err != nil {
			t.Error(err)
		}
	}
	t.Run("takes a token that the API server knows", func(t *testing.T) {
		made, err := login(t, "web", shared.token(t, "shop", "shop", nil, "vault"))
		fatal(t, err)
		if made.Auth.Metadata["service_account_name"] != "shop" || made.Auth.Metadata["service_account_namespace"] != "shop" {
			t.Errorf("%v", made.Auth.Metadata)
		}
	})
	t.Run("refuses a token for another audience", func(t *testing.T) {
		refused(t, "web", shared.token(t, "shop", "shop", nil, "istio-ca"), "audience")
	})
	t.Run("refuses another service account", func(t *testing.T) {
		shared.namespace(t, "other", "")
		refused(t, "web", shared.token(t, "other", "other", nil, "vault"), "not authorized")
	})
	t.Run("refuses a token whose signature is of nobody", func(t *testing.T) {
		token := shared.token(t, "shop", "shop", nil, "vault")
		refused(t, "web", token[:strings.LastIndex(token, ".")+1]+strings.Repeat("A", 86), "permission denied")
	})
	t.Run("refuses the token of a pod that is gone", func(t *testing.T) {
		pod := shared.pod(t, "shop", "web", "node-1")
		bound := &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
		token := shared.token(t, "shop", "shop", bound, "vault")
		_, err := login(t, "web", token)
		fatal(t, err)
		fatal(t, shared.CoreV1().Pods("shop").Delete(context.Background(), pod.Name, *metav1.NewDeleteOptions(0)))
		// Both the API server and the server here remember for seconds what was good.
		eventually(t, func() error { return refusal(t, "web", token, "permission denied") })
	})
	t.Run("reviews a token with itself when there is no reviewer", func(t *testing.T) {
		harness.Write(t, root, "auth/kubernetes/config", map[string]any{
			"kubernetes_host": shared.url, "kubernetes_ca_cert": string(shared.ca), "disable_local_ca_jwt": true,
		})
		harness.Write(t, root, "auth/kubernetes/role/own", map[string]any{
			"bound_service_account_names": "*", "bound_service_account_namespaces": "shop,signet", "token_policies": "default",
		})
		// Only the second one may ask for reviews.
		refused(t, "own", shared.token(t, "shop", "shop", nil), "permission denied")
		_, err := login(t, "own", shared.token(t, "signet", "signet", nil))
		fatal(t, err)
	})
}

// pod makes one on a node that nobody runs, with the service account of its namespace.
func (c *cluster) pod(t *testing.T, namespace, name, node string) *corev1.Pod {
	t.Helper()
	made, err := c.CoreV1().Pods(namespace).Create(context.Background(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: namespace, NodeName: node,
			Containers: []corev1.Container{{Name: name, Image: "signet:local"}},
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	return made
}
