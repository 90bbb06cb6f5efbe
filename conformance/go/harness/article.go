package harness

import (
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// Authority is an intermediate with its root, a role, and a login that may sign with that role alone.
type Authority struct {
	// SignPath is what an issuer's `path` names.
	SignPath string
	Root     []byte
	// Policy allows to sign.
	Policy   string
	RoleID   string
	SecretID string
}

// Mesh is what the role of a mesh allows.
var Mesh = map[string]any{
	"allow_any_name": true, "allow_uri_sans": true, "allow_ip_sans": true, "enforce_hostnames": false,
	"allow_bare_domains": true, "require_cn": false, "use_csr_common_name": true, "key_type": "any",
	"ou": "RH-SPPRT", "organization": "Red Hat Consulting", "country": "US",
	"allowed_uri_sans": "istio-system.svc,cluster.local,spiffe://*", "ttl": "4380h", "max_ttl": "4380h",
}

// Provision mounts `<name>_root`, `<name>_int` and the AppRole `<name>`.
func Provision(t *testing.T, client *vault.Client, name string, role map[string]any) *Authority {
	t.Helper()
	root, intermediate := name+"_root", name+"_int"
	for path, ttl := range map[string]string{root: "87600h", intermediate: "43800h"} {
		mount := &vault.MountInput{Type: "pki", Config: vault.MountConfigInput{MaxLeaseTTL: ttl}}
		if err := client.Sys().Mount(path, mount); err != nil {
			t.Fatal(err)
		}
	}
	subject := map[string]any{"ou": "RH-FSI", "organization": "Red Hat Consulting", "country": "US"}
	with := func(more map[string]any) map[string]any {
		for key, value := range subject {
			more[key] = value
		}
		return more
	}
	made := Write(t, client, root+"/root/generate/internal", with(map[string]any{
		"common_name": "RH Custom Root CA", "ttl": "87600h", "max_path_length": 1, "key_type": "ec",
	}))
	authority := &Authority{
		SignPath: intermediate + "/sign/" + name,
		Root:     []byte(made.Data["certificate"].(string)),
		Policy:   name,
	}
	request := Write(t, client, intermediate+"/intermediate/generate/internal", with(map[string]any{
		"common_name": "RH Custom Intermediate CA", "key_type": "ec",
	}))
	signed := Write(t, client, root+"/root/sign-intermediate", with(map[string]any{
		"common_name": "RH Custom Intermediate CA", "csr": request.Data["csr"], "ttl": "43800h",
		"max_path_length": 0, "format": "pem_bundle",
	}))
	Write(t, client, intermediate+"/intermediate/set-signed", map[string]any{"certificate": signed.Data["certificate"]})
	Write(t, client, intermediate+"/roles/"+name, role)
	policy := `path "` + authority.SignPath + `" { capabilities = ["create", "update"] }`
	if err := client.Sys().PutPolicy(name, policy); err != nil {
		t.Fatal(err)
	}
	authority.login(t, client, name)
	return authority
}

func (a *Authority) login(t *testing.T, client *vault.Client, name string) {
	t.Helper()
	methods, err := client.Sys().ListAuth()
	if err != nil {
		t.Fatal(err)
	}
	if methods["approle/"] == nil {
		if err := client.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
			t.Fatal(err)
		}
	}
	path := "auth/approle/role/" + name
	Write(t, client, path, map[string]any{
		"secret_id_ttl": 0, "token_num_uses": 10, "token_ttl": "10m", "token_max_ttl": "15m", "token_policies": a.Policy,
	})
	id, err := client.Logical().Read(path + "/role-id")
	if err != nil {
		t.Fatal(err)
	}
	a.RoleID = id.Data["role_id"].(string)
	a.SecretID = Write(t, client, path+"/secret-id", nil).Data["secret_id"].(string)
}
