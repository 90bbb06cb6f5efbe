// Package client uses the server through github.com/hashicorp/vault/api, as Go programs do.
package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"signet.test/conformance/harness"
)

var server *harness.Server

func TestMain(m *testing.M) { harness.Main(m, &server) }

func TestHealthAndSealStatus(t *testing.T) {
	health, err := server.Root(t).Sys().Health()
	if err != nil {
		t.Fatal(err)
	}
	if !health.Initialized || health.Sealed || health.Standby || health.Version == "" {
		t.Errorf("%+v", health)
	}
	status, err := server.Root(t).Sys().SealStatus()
	if err != nil {
		t.Fatal(err)
	}
	if status.Sealed || status.N != 1 || status.T != 1 {
		t.Errorf("%+v", status)
	}
	leader, err := server.Root(t).Sys().Leader()
	if err != nil {
		t.Fatal(err)
	}
	if leader.HAEnabled {
		t.Errorf("%+v", leader)
	}
}

func TestSealing(t *testing.T) {
	if err := server.Seal(); err != nil {
		t.Fatal(err)
	}
	_, err := server.Root(t).Sys().ListMounts()
	var answer *vault.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("sealed: %v", err)
	}
	if err := server.Unseal(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Root(t).Sys().ListMounts(); err != nil {
		t.Error(err)
	}
}

func TestMountsAndTuning(t *testing.T) {
	root := server.Root(t)
	if err := root.Sys().Mount("tuned", &vault.MountInput{Type: "pki", Description: "first"}); err != nil {
		t.Fatal(err)
	}
	text := "second"
	tune := vault.MountConfigInput{MaxLeaseTTL: "87600h", Description: &text}
	if err := root.Sys().TuneMount("tuned", tune); err != nil {
		t.Fatal(err)
	}
	mounts, err := root.Sys().ListMounts()
	if err != nil {
		t.Fatal(err)
	}
	mount := mounts["tuned/"]
	if mount == nil || mount.Type != "pki" || mount.Description != "second" || mount.Config.MaxLeaseTTL != 87600*3600 {
		t.Errorf("%+v", mount)
	}
	if err := root.Sys().Remount("tuned", "moved"); err != nil {
		t.Fatal(err)
	}
	if err := root.Sys().Unmount("moved"); err != nil {
		t.Fatal(err)
	}
}

func TestPoliciesAndCapabilities(t *testing.T) {
	root := server.Root(t)
	rules := `path "some/*" { capabilities = ["read", "list"] }`
	if err := root.Sys().PutPolicy("reader", rules); err != nil {
		t.Fatal(err)
	}
	if found, err := root.Sys().GetPolicy("reader"); err != nil || found != rules {
		t.Errorf("%q %v", found, err)
	}
	names, err := root.Sys().ListPolicies()
	if err != nil || !contains(names, "reader") || !contains(names, "root") {
		t.Errorf("%v %v", names, err)
	}
	made, err := root.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	capabilities, err := root.Sys().Capabilities(made.Auth.ClientToken, "some/path")
	if err != nil || len(capabilities) != 2 {
		t.Errorf("%v %v", capabilities, err)
	}
	if err := root.Sys().DeletePolicy("reader"); err != nil {
		t.Fatal(err)
	}
}

func TestAppRoleLogin(t *testing.T) {
	authority := harness.Provision(t, server.Root(t), "login", harness.Mesh)
	client := server.Client(t, "")
	login := map[string]any{"role_id": authority.RoleID, "secret_id": authority.SecretID}
	secret := harness.Write(t, client, "auth/approle/login", login)
	if secret.Auth == nil || secret.Auth.LeaseDuration != 600 || !secret.Auth.Renewable || !contains(secret.Auth.Policies, "login") {
		t.Fatalf("%+v", secret.Auth)
	}
	client.SetToken(secret.Auth.ClientToken)
	own, err := client.Auth().Token().LookupSelf()
	if err != nil {
		t.Fatal(err)
	}
	if policies, err := own.TokenPolicies(); err != nil || !contains(policies, "login") {
		t.Errorf("%v %v", policies, err)
	}
	if ttl, err := own.TokenTTL(); err != nil || ttl <= 0 || ttl > 10*time.Minute {
		t.Errorf("%v %v", ttl, err)
	}
	if renewable, err := own.TokenIsRenewable(); err != nil || !renewable {
		t.Errorf("%v %v", renewable, err)
	}
	_, err = client.Sys().ListMounts()
	refused(t, err, http.StatusForbidden, "permission denied")
	login["secret_id"] = "wrong"
	_, err = server.Client(t, "").Logical().Write("auth/approle/login", login)
	refused(t, err, http.StatusBadRequest, "invalid role or secret ID")
}

func TestTokens(t *testing.T) {
	root := server.Root(t)
	renewable := true
	made, err := root.Auth().Token().Create(&vault.TokenCreateRequest{
		Policies: []string{"default"}, TTL: "1h", ExplicitMaxTTL: "2h", Renewable: &renewable, DisplayName: "go",
		Metadata: map[string]string{"a": "b"}, NumUses: 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := root.Auth().Token().LookupAccessor(made.Auth.Accessor)
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := found.TokenMetadata(); err != nil || meta["a"] != "b" {
		t.Errorf("%v %v", meta, err)
	}
	renewed, err := root.Auth().Token().Renew(made.Auth.ClientToken, 1800)
	if err != nil || renewed.Auth.LeaseDuration != 1800 {
		t.Errorf("%+v %v", renewed, err)
	}
	if err := root.Auth().Token().RevokeAccessor(made.Auth.Accessor); err != nil {
		t.Fatal(err)
	}
	_, err = root.Auth().Token().Lookup(made.Auth.ClientToken)
	refused(t, err, http.StatusForbidden, "bad token")
}

func TestLifetimeWatcherRenewsUntilItMustNot(t *testing.T) {
	root := server.Root(t)
	renewable := true
	made, err := root.Auth().Token().Create(&vault.TokenCreateRequest{
		Policies: []string{"default"}, TTL: "2s", ExplicitMaxTTL: "5s", Renewable: &renewable,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client(t, made.Auth.ClientToken)
	watcher, err := client.NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: made})
	if err != nil {
		t.Fatal(err)
	}
	go watcher.Start()
	defer watcher.Stop()
	renewals := 0
	for {
		select {
		case renewal := <-watcher.RenewCh():
			renewals++
			if renewal.Secret.Auth.ClientToken != made.Auth.ClientToken {
				t.Error("another token")
			}
		case err := <-watcher.DoneCh():
			if err != nil {
				t.Error(err)
			}
			if renewals == 0 {
				t.Error("it was never renewed")
			}
			return
		case <-time.After(30 * time.Second):
			t.Fatal("neither renewed nor done")
		}
	}
}

func TestLifetimeWatcherOfATokenThatCannotBeRenewed(t *testing.T) {
	renewable := false
	made, err := server.Root(t).Auth().Token().Create(&vault.TokenCreateRequest{TTL: "1s", Renewable: &renewable})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := server.Root(t).NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: made})
	if err != nil {
		t.Fatal(err)
	}
	go watcher.Start()
	defer watcher.Stop()
	select {
	case err := <-watcher.DoneCh():
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still watching")
	}
}

func TestWrapping(t *testing.T) {
	root := server.Root(t)
	wrapping := server.Root(t)
	wrapping.SetWrappingLookupFunc(func(_, path string) string {
		if path == "auth/token/create" {
			return "5m"
		}
		return ""
	})
	wrapped, err := wrapping.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}})
	if err != nil {
		t.Fatal(err)
	}
	if wrapped.WrapInfo == nil || wrapped.WrapInfo.TTL != 300 || wrapped.WrapInfo.CreationPath != "auth/token/create" || wrapped.Auth != nil {
		t.Fatalf("%+v", wrapped)
	}
	looked := harness.Write(t, root, "sys/wrapping/lookup", map[string]any{"token": wrapped.WrapInfo.Token})
	if looked.Data["creation_path"] != "auth/token/create" {
		t.Errorf("%v", looked.Data)
	}
	other := harness.Write(t, root, "sys/wrapping/rewrap", map[string]any{"token": wrapped.WrapInfo.Token})
	_, err = root.Logical().Unwrap(wrapped.WrapInfo.Token)
	refused(t, err, http.StatusBadRequest, "wrapping token is not valid or does not exist")
	// The client asks with the wrapping token itself.
	own := server.Client(t, other.WrapInfo.Token)
	inner, err := own.Logical().Unwrap("")
	if err != nil {
		t.Fatal(err)
	}
	if inner.Auth == nil || inner.Auth.Accessor != wrapped.WrapInfo.WrappedAccessor {
		t.Errorf("%+v", inner.Auth)
	}
	_, err = root.Logical().Unwrap(other.WrapInfo.Token)
	refused(t, err, http.StatusBadRequest, "wrapping token is not valid or does not exist")
}

func TestRawAuthoritiesAndLists(t *testing.T) {
	root := server.Root(t)
	authority := harness.Provision(t, root, "raw", harness.Mesh)
	mount := strings.TrimSuffix(authority.SignPath, "/sign/raw")
	for _, each := range []struct {
		path, kind string
		read       func([]byte) error
	}{
		{"ca", "application/pkix-cert", certificate},
		{"ca/pem", "application/pem-certificate-chain", certificates},
		{"ca_chain", "application/pkix-cert", certificates},
		{"cert/ca/raw", "application/pkix-cert", certificate},
		{"issuer/default/der", "application/pkix-cert", certificate},
		{"issuer/default/pem", "application/pem-certificate-chain", certificates},
		{"crl", "application/pkix-crl", list},
		{"issuer/default/crl/der", "application/pkix-crl", list},
	} {
		answer, err := server.Client(t, "").Logical().ReadRaw(mount + "/" + each.path)
		if err != nil {
			t.Errorf("%s: %v", each.path, err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if kind := answer.Header.Get("Content-Type"); kind != each.kind {
			t.Errorf("%s: %s", each.path, kind)
		}
		if err := each.read(body); err != nil {
			t.Errorf("%s: %v", each.path, err)
		}
	}
}

// What SPIRE's upstream authority of the kind "vault" does.
func TestAuthoritiesWithURINames(t *testing.T) {
	root := server.Root(t)
	harness.Provision(t, root, "upstream", harness.Mesh)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	domain := &url.URL{Scheme: "spiffe", Host: "example.org"}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{domain}}, key)
	if err != nil {
		t.Fatal(err)
	}
	// With the doubled slash that it builds; the library cleans it.
	made := harness.Write(t, root, "upstream_root//root/sign-intermediate", map[string]any{
		"csr": string(harness.PEM("CERTIFICATE REQUEST", der)), "common_name": "SPIRE", "organization": "SPIFFE",
		"country": "US", "uri_sans": domain.String(), "ttl": "24h",
	})
	chain, err := harness.Certificates([]byte(made.Data["certificate"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	if !chain[0].IsCA || len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != domain.String() {
		t.Errorf("%+v", chain[0])
	}
	if _, text := made.Data["issuing_ca"].(string); !text {
		t.Errorf("%v", made.Data["issuing_ca"])
	}
}

func TestListsAndMissingThings(t *testing.T) {
	root := server.Root(t)
	harness.Provision(t, root, "listed", harness.Mesh)
	roles, err := root.Logical().List("listed_int/roles")
	if err != nil || len(roles.Data["keys"].([]any)) != 1 {
		t.Errorf("%+v %v", roles, err)
	}
	nothing, err := root.Logical().Read("listed_int/roles/nonesuch")
	if nothing != nil || err != nil {
		t.Errorf("%+v %v", nothing, err)
	}
	nothing, err = root.Logical().List("listed_root/roles")
	if nothing != nil || err != nil {
		t.Errorf("%+v %v", nothing, err)
	}
	patched, err := root.Logical().JSONMergePatch(context.Background(), "listed_int/roles/listed", map[string]any{"ttl": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	_ = patched
	role, err := root.Logical().Read("listed_int/roles/listed")
	if err != nil || role.Data["ttl"].(interface{ String() string }).String() != "3600" {
		t.Errorf("%+v %v", role, err)
	}
}

func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var answer *vault.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || !strings.Contains(strings.Join(answer.Errors, ";"), text) {
		t.Errorf("%v is not %d with %q", err, status, text)
	}
}

func certificate(der []byte) error {
	_, err := x509.ParseCertificate(der)
	return err
}

func certificates(text []byte) error {
	found, err := harness.Certificates(text)
	if err == nil && len(found) == 0 {
		return errors.New("no certificate")
	}
	return err
}

func list(der []byte) error {
	_, err := x509.ParseRevocationList(der)
	return err
}

func contains(list []string, one string) bool {
	for _, other := range list {
		if other == one {
			return true
		}
	}
	return false
}
