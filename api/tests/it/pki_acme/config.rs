//! `config/acme`.

use serde_json::json;

use super::{BASE, start};
use crate::pki_fixture::Pki;
use crate::support::Server;

#[tokio::test]
async fn settings_are_merged() {
    let pki = Pki::start().await;
    let mut expected = json!({
        "allow_role_ext_key_usage": false, "allowed_issuers": ["*"], "allowed_roles": ["*"],
        "default_directory_policy": "sign-verbatim", "dns_resolver": "",
        "eab_policy": "not-required", "enabled": false,
    });
    assert_eq!(pki.ok_read("config/acme").await, expected);
    pki.ok("config/cluster", json!({ "path": BASE })).await;
    for (field, value) in [
        ("enabled", json!(true)),
        ("allowed_roles", json!(["web"])),
        ("default_directory_policy", json!("role:web")),
        ("allowed_issuers", json!(["root"])),
        ("allow_role_ext_key_usage", json!(true)),
        ("dns_resolver", json!("[2001:db8::53]:53")),
        ("eab_policy", json!("new-account-required")),
        ("dns_resolver", json!("")),
        ("default_directory_policy", json!("forbid")),
    ] {
        expected[field] = value.clone();
        assert_eq!(
            pki.ok("config/acme", json!({ field: value })).await,
            expected,
            "{field}"
        );
    }
    assert_eq!(pki.ok_read("config/acme").await, expected);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let pki = start().await;
    pki.ok("roles/unstored", json!({"no_store": true})).await;
    let before = pki.ok_read("config/acme").await;
    for (settings, text) in [
        (
            json!({"default_directory_policy": "bogus"}),
            "invalid default_directory_policy: string bogus not a valid Default Directory Policy",
        ),
        (
            json!({"default_directory_policy": "role:"}),
            "invalid default_directory_policy: no role specified by policy role:",
        ),
        (
            json!({"default_directory_policy": "role:none"}),
            "default directory policy role none is not a valid ACME role: the request message was \
             malformed: role does not exist",
        ),
        (
            json!({"default_directory_policy": "role:web", "allowed_roles": "unknown"}),
            "allowed_role unknown is not a valid acme role: the request message was malformed: \
             role does not exist",
        ),
        (
            json!({"allowed_roles": "unstored"}),
            "allowed_role unstored is not a valid acme role: the server experienced an internal \
             error: role can not be used as NoStore is set to true",
        ),
        (
            json!({"allowed_roles": "*,web"}),
            "cannot use '*' as role name at index 0",
        ),
        (
            json!({"allowed_roles": "web,*"}),
            "cannot use '*' as role name at index 1",
        ),
        (
            json!({"allowed_roles": []}),
            "allowed_roles must take a non-zero length value; specify '*' as the value to allow \
             anything or specify enabled=false to disable ACME entirely",
        ),
        (
            json!({"allowed_issuers": "*,root"}),
            "cannot use '*' as issuer name at index 0",
        ),
        (
            json!({"allowed_issuers": "none"}),
            "failed validating allowed_issuers: unable to fetch issuer: none: unable to find PKI \
             issuer for reference: none",
        ),
        (
            json!({"dns_resolver": "foo"}),
            "failed to parse DNS resolver address: address foo: missing port in address",
        ),
        (
            json!({"dns_resolver": "localhost:53"}),
            "failed to parse DNS resolver address: expected IPv4/IPv6 address, likely got hostname",
        ),
        (
            json!({"dns_resolver": "192.0.2.1:x"}),
            "failed to parse DNS resolver address: address 192.0.2.1:x: invalid port",
        ),
        (
            json!({"eab_policy": "x"}),
            "invalid eab policy name provided, valid values are 'not-required', \
             'new-account-required', 'always-required'",
        ),
    ] {
        let (status, shown) = pki.refused("config/acme", settings).await;
        let listed = format!("1 error occurred:\n\t* {text}\n\n");
        assert_eq!((status, shown), (400, listed));
    }
    assert_eq!(pki.ok_read("config/acme").await, before);
}

#[tokio::test]
async fn acme_needs_to_know_how_clients_reach_it() {
    let pki = Pki::start().await;
    let (status, text) = pki.refused("config/acme", json!({"enabled": true})).await;
    let expected = "ACME feature requires local cluster 'path' field configuration to be set";
    assert!(status == 400 && text.contains(expected), "{text}");
    assert_eq!(pki.fetch("acme/directory").await.status, 404);
}

#[tokio::test]
async fn where_unknown_clients_are_forbidden_accounts_must_be_bound() {
    let server = Server::start_without_public_acme().await;
    let pki = Pki::start_on(server).await;
    pki.ok("config/cluster", json!({ "path": BASE })).await;
    for policy in ["not-required", "new-account-required"] {
        let settings = json!({"enabled": true, "eab_policy": policy});
        let text = "BAO_DISABLE_PUBLIC_ACME env var is enabled, ACME EAB policy needs to be \
                    'always-required' with ACME enabled";
        assert_eq!(
            pki.refused("config/acme", settings).await,
            (400, text.to_owned())
        );
    }
    let settings = json!({"enabled": true, "eab_policy": "always-required"});
    pki.ok("config/acme", settings).await;
    assert_eq!(pki.fetch("acme/directory").await.status, 200);
    // As it was set before the variable was.
    pki.edit_record("config/acme", |record| {
        record["eab_policy"] = json!("not-required");
    })
    .await;
    pki.reopen().await;
    assert_eq!(pki.fetch("acme/directory").await.status, 404);
}
