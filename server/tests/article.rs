//! The walk-through of the README, played with `signet` called `vault` and with another product's
//! client, each against a development server and against a persistent one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};

use support::{Client, Scratch, Server, openssl};

/// Plays the walk-through up to a workload's certificate and checks what a reader would check.
fn play(server: &Server, client: &Client) {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path(name);

    client.ok(&["secrets", "enable", "pki"]);
    client.ok(&["secrets", "tune", "-max-lease-ttl=87600h", "pki"]);
    let root = client.ok(&[
        "write",
        "-field=certificate",
        "pki/root/generate/internal",
        "max_path_length=1",
        "common_name=RH Custom Root CA",
        "ou=RH-FSI",
        "organization=Red Hat Consulting",
        "country=US",
        "ttl=87600h",
        "issuer_name=rh-custom-root-ca",
        "key_bits=4096",
    ]);
    scratch.write("root.pem", &format!("{}\n", root.trim_end()));

    client.ok(&["secrets", "enable", "-path=pki_int_ca", "pki"]);
    client.ok(&["secrets", "tune", "-max-lease-ttl=43800h", "pki_int_ca"]);
    let answer = client.json(&[
        "write",
        "-format=json",
        "pki_int_ca/intermediate/generate/internal",
        "require_cn=false",
        "max_path_length=0",
        "common_name=RH Custom Intermediate CA",
        "ou=RH-FSI",
        "organization=Red Hat Consulting",
        "country=US",
        "issuer_name=rh-custom-intermediate-ca",
        "key_bits=4096",
    ]);
    scratch.write("int.csr", answer["data"]["csr"].as_str().unwrap());
    let answer = client.json(&[
        "write",
        "-format=json",
        "pki/root/sign-intermediate",
        "max_path_length=0",
        "common_name=RH Custom Intermediate CA",
        "ou=RH-FSI",
        "organization=Red Hat Consulting",
        "country=US",
        "ttl=43800h",
        "key_bits=4096",
        "format=pem_bundle",
        "issuer_ref=rh-custom-root-ca",
        &format!("csr=@{}", path("int.csr")),
    ]);
    scratch.write("int.pem", answer["data"]["certificate"].as_str().unwrap());
    let certificate = format!("certificate=@{}", path("int.pem"));
    let imported = client.ok(&["write", "pki_int_ca/intermediate/set-signed", &certificate]);
    assert!(imported.contains("imported_issuers"), "{imported}");

    client.ok(&[
        "write",
        "pki_int_ca/roles/rh-custom-issuer",
        "allow_any_name=true",
        "allow_uri_sans=true",
        "allow_ip_sans=true",
        "ou=RH-SPPRT",
        "organization=Red Hat Consulting",
        "country=US",
        "use_csr_common_name=true",
        "ttl=4380h",
        "max_ttl=4380h",
        "enforce_hostnames=false",
        "allow_bare_domains=true",
        "require_cn=false",
        "allowed_uri_sans=istio-system.svc, opentlc.com, cluster.local, spiffe://*",
    ]);
    scratch.write(
        "sign.hcl",
        "path \"pki_int_ca/sign/rh-custom-issuer\" { capabilities = [\"create\", \"update\"] }\n",
    );
    client.ok(&["policy", "write", "sign", &path("sign.hcl")]);
    client.ok(&["auth", "enable", "approle"]);
    client.ok(&[
        "write",
        "auth/approle/role/rh-vault-pki-role",
        "secret_id_ttl=0",
        "token_num_uses=10",
        "token_ttl=10m",
        "token_max_ttl=15m",
        "secret_id_num_uses=0",
        "token_policies=sign",
    ]);
    let role = "auth/approle/role/rh-vault-pki-role";
    let role_id = client.ok(&["read", "-field=role_id", &format!("{role}/role-id")]);
    let secret_id = client.ok(&[
        "write",
        "-f",
        "-field=secret_id",
        &format!("{role}/secret-id"),
    ]);

    let leaf = sign_as_cert_manager(server, &scratch, role_id.trim(), secret_id.trim());
    scratch.write("leaf.pem", leaf["data"]["certificate"].as_str().unwrap());
    let chain: Vec<&str> = leaf["data"]["ca_chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    assert_eq!(chain.len(), 2, "intermediate and root");
    scratch.write("chain.pem", &format!("{}\n", chain.join("\n")));

    let verified = openssl(&[
        "verify",
        "-CAfile",
        &path("root.pem"),
        "-untrusted",
        &path("chain.pem"),
        &path("leaf.pem"),
    ]);
    assert!(verified.contains("leaf.pem: OK"), "{verified}");
    show_the_chain(&scratch);
}

/// What cert-manager's Vault issuer does for each request: log in, sign; every value a string.
fn sign_as_cert_manager(
    server: &Server,
    scratch: &Scratch,
    role_id: &str,
    secret_id: &str,
) -> Value {
    let uri = "spiffe://cluster.local/ns/httpbin/sa/httpbin";
    scratch.write(
        "req.cnf",
        &format!(
            "[req]\ndistinguished_name=dn\nreq_extensions=ext\nprompt=no\n[dn]\n[ext]\n\
             subjectAltName=critical,URI:{uri}\n"
        ),
    );
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &scratch.path("leaf.key"),
        "-out",
        &scratch.path("leaf.csr"),
        "-config",
        &scratch.path("req.cnf"),
        "-subj",
        "/",
    ]);
    let login = json!({"role_id": role_id, "secret_id": secret_id});
    let (status, answer) = server.post("", "/v1/auth/approle/login", &login);
    assert_eq!(status, 200, "{answer}");
    let token = answer["auth"]["client_token"].as_str().unwrap();
    let request = json!({
        "common_name": "",
        "alt_names": "",
        "ip_sans": "",
        "uri_sans": uri,
        "ttl": "1h0m0s",
        "csr": scratch.read("leaf.csr"),
        "exclude_cn_from_sans": "true",
    });
    let (status, answer) = server.post(token, "/v1/pki_int_ca/sign/rh-custom-issuer", &request);
    assert_eq!(status, 200, "{answer}");
    answer
}

/// `openssl s_client` against a server with the workload's pair shows the three depths.
fn show_the_chain(scratch: &Scratch) {
    let shown = support::s_client(scratch, "leaf.pem", "leaf.key", "chain.pem", "root.pem");
    // OpenSSL 3.2 and later print no blanks around the equals sign.
    let plain = |text: &str| text.replace(' ', "");
    for name in [
        "depth=2 C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Root CA",
        "depth=1 C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Intermediate CA",
        "depth=0 C = US, O = Red Hat Consulting, OU = RH-SPPRT",
    ] {
        assert!(plain(&shown).contains(&plain(name)), "{name}\n{shown}");
    }
    assert!(shown.contains("Verify return code: 0 (ok)"), "{shown}");
}

#[test]
fn the_story_plays_with_signet_called_vault_against_a_development_server() {
    let server = Server::dev();
    play(&server, &Client::vault(&server));
}

#[test]
fn the_story_plays_with_signet_called_vault_against_a_persistent_server() {
    let server = Server::persistent();
    play(&server, &Client::vault(&server));
}

#[test]
fn the_story_plays_with_the_openbao_client_against_a_development_server() {
    let server = Server::dev();
    play(&server, &Client::bao(&server));
}

#[test]
fn the_story_plays_with_the_openbao_client_against_a_persistent_server() {
    let server = Server::persistent();
    play(&server, &Client::bao(&server));
}

#[test]
fn a_stray_blank_after_the_equals_sign_is_explained() {
    let server = Server::dev();
    let (code, _, stderr) =
        Client::vault(&server).run(&["write", "pki/roles/x", "ou=", "RH-SPPRT"]);
    assert_eq!(code, 1);
    let text = "Failed to parse K=V data: invalid key/value pair \"RH-SPPRT\": format must be \
                key=value";
    assert!(stderr.contains(text), "{stderr}");
}

#[test]
fn a_login_without_a_policy_is_told_so_when_it_signs() {
    let server = Server::dev();
    let client = Client::vault(&server);
    let log = server.scratch.path("audit.log");
    client.ok(&["audit", "enable", "file", &format!("file_path={log}")]);
    client.ok(&["secrets", "enable", "pki"]);
    client.ok(&["auth", "enable", "approle"]);
    client.ok(&["write", "auth/approle/role/bare", "token_ttl=10m"]);
    let role_id = client.ok(&["read", "-field=role_id", "auth/approle/role/bare/role-id"]);
    let secret_id = client.ok(&[
        "write",
        "-f",
        "-field=secret_id",
        "auth/approle/role/bare/secret-id",
    ]);
    let login = json!({"role_id": role_id.trim(), "secret_id": secret_id.trim()});
    let (_, answer) = server.post("", "/v1/auth/approle/login", &login);
    let token = answer["auth"]["client_token"].as_str().unwrap();
    let (status, answer) = server.post(token, "/v1/pki/sign/web", &json!({}));
    assert_eq!(status, 403);
    assert_eq!(
        answer["errors"][0],
        "1 error occurred:\n\t* permission denied\n\n"
    );
    let refusal = server
        .scratch
        .read("audit.log")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|entry| entry["request"]["path"] == "pki/sign/web" && entry["type"] == "response");
    assert!(
        refusal.unwrap()["error"]
            .as_str()
            .unwrap()
            .contains("permission denied")
    );
}

#[test]
fn the_wrong_mount_is_named_in_the_answer() {
    let server = Server::dev();
    let (code, _, stderr) =
        Client::vault(&server).run(&["write", "pki_int/sign/cluster-dot-local", "csr=x"]);
    assert_eq!(code, 2);
    let text = "no handler for route \"pki_int/sign/cluster-dot-local\"";
    assert!(stderr.contains(text), "{stderr}");
}
