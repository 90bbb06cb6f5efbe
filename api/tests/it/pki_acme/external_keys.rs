//! Accounts that are bound to somebody who is known elsewhere.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Client, base64, jwk, start};
use crate::pki_fixture::{Pki, text};
use crate::support::ROOT;

/// A key for the directory, as the operator gets it.
async fn new_external_key(pki: &Pki, prefix: &str) -> Value {
    pki.ok(&format!("{prefix}acme/new-eab"), json!({})).await
}

/// The binding of a client's key, with changes to its header.
fn binding(client: &Client<'_>, key: &Value, changes: &Value) -> Value {
    let mut header = json!({"alg": "HS256", "kid": key["id"], "url": client.url("new-account")});
    let members = header.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    let payload = jwk(&client.key).to_string();
    let (protected, payload) = (base64(header.to_string()), base64(payload));
    let secret = URL_SAFE_NO_PAD.decode(text(&key["key"])).unwrap();
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let mac = hmac::sign(
        &hmac::Key::new(algorithm, &secret),
        format!("{protected}.{payload}").as_bytes(),
    );
    json!({"protected": protected, "payload": payload, "signature": base64(mac)})
}

fn bound(binding: &Value) -> Value {
    json!({ "externalAccountBinding": binding })
}

#[tokio::test]
async fn a_key_makes_one_account_and_is_gone() {
    let pki = start().await;
    let policy = json!({"eab_policy": "new-account-required"});
    pki.ok("config/acme", policy).await;
    let directory = pki.fetch("acme/directory").await;
    let directory: Value = serde_json::from_slice(&directory.body).unwrap();
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    for algorithm in ["HS256", "HS384", "HS512"] {
        let mut client = Client::new(&pki, "");
        for nothing in [json!({}), bound(&json!({}))] {
            let answer = client.register(nothing).await;
            answer.refused(401, "externalAccountRequired", "externalAccountBinding");
        }
        let key = new_external_key(&pki, "").await;
        let binding = binding(&client, &key, &json!({"alg": algorithm}));
        let made = client.register(bound(&binding)).await.expect(201);
        assert_eq!(made.body["externalAccountBinding"], binding);
        client.register(json!({})).await.expect(200);
        client.read("orders").await.expect(200);
        let mut second = Client::new(&pki, "");
        let again = super::external_keys::binding(&second, &key, &json!({}));
        let answer = second.register(bound(&again)).await;
        answer.refused(401, "unauthorized", "failed to verify eab");
    }
    let listed = pki.server.list(ROOT, "pki/eab").await;
    assert_eq!(listed.0, 404, "{listed:?}");
}

#[tokio::test]
async fn bindings_that_are_wrong_are_refused_and_use_nothing_up() {
    let pki = start().await;
    pki.ok("config/acme", json!({"eab_policy": "always-required"}))
        .await;
    let mut client = Client::new(&pki, "");
    let key = new_external_key(&pki, "").await;
    let other_key = new_external_key(&pki, "").await;
    let elsewhere = new_external_key(&pki, "roles/web/").await;
    let other_client = Client::new(&pki, "");
    let unknown = json!({"kid": "00000000-0000-0000-0000-000000000000"});
    let wrong_secret = json!({"id": key["id"], "key": other_key["key"]});
    let unverified = ("unauthorized", "failed to verify eab");
    for (binding, (kind, detail)) in [
        (
            binding(&client, &key, &json!({"url": "https://x"})),
            (
                "unauthorized",
                "invalid value for 'url' in eab 'protected': got 'https://x'",
            ),
        ),
        (
            binding(&client, &key, &json!({"alg": "ES256"})),
            ("malformed", "unexpected value for 'algo'"),
        ),
        (
            binding(&client, &key, &json!({"alg": "none"})),
            ("malformed", "unexpected value for 'algo'"),
        ),
        (
            binding(&client, &key, &json!({"nonce": "n"})),
            (
                "malformed",
                "nonce should not be provided in eab 'protected'",
            ),
        ),
        (
            binding(&other_client, &key, &json!({})),
            ("malformed", "eab payload does not match outer JWK key"),
        ),
        (binding(&client, &key, &unknown), unverified),
        (
            binding(&client, &key, &json!({"kid": "../account/x"})),
            unverified,
        ),
        (binding(&client, &wrong_secret, &json!({})), unverified),
        (binding(&client, &elsewhere, &json!({})), unverified),
        (
            json!("x"),
            ("malformed", "externalAccountBinding field was unparseable"),
        ),
    ] {
        let answer = client.register(bound(&binding)).await;
        let status = if kind == "unauthorized" { 401 } else { 400 };
        answer.refused(status, kind, detail);
    }
    let good = binding(&client, &key, &json!({}));
    client.register(bound(&good)).await.expect(201);
}

#[tokio::test]
async fn where_keys_are_always_required_accounts_without_one_are_shut_out() {
    let pki = start().await;
    let mut old = Client::registered(&pki, "").await;
    pki.ok("config/acme", json!({"eab_policy": "new-account-required"}))
        .await;
    old.read("orders").await.expect(200);
    pki.ok("config/acme", json!({"eab_policy": "always-required"}))
        .await;
    old.read("orders")
        .await
        .refused(401, "externalAccountRequired", "");
    old.register(json!({}))
        .await
        .refused(401, "externalAccountRequired", "");
}

#[tokio::test]
async fn keys_are_listed_without_their_secrets_and_deleted() {
    let pki = start().await;
    let mut expected = serde_json::Map::new();
    for (prefix, directory) in [
        ("", "acme/directory"),
        ("roles/web/", "roles/web/acme/directory"),
        ("issuer/root/", "issuer/root/acme/directory"),
        (
            "issuer/root/roles/web/",
            "issuer/root/roles/web/acme/directory",
        ),
    ] {
        let key = new_external_key(&pki, prefix).await;
        let secret = text(&key["key"]);
        assert!(
            secret.starts_with("vault-eab-0-") && secret.len() == 55,
            "{secret}"
        );
        let mut info = key.clone();
        let info = info.as_object_mut().unwrap();
        let id = text(&info.remove("id").unwrap());
        info.remove("key");
        let shown = json!({
            "key_type": "hs", "acme_directory": directory, "created_on": "2027-01-15T08:00:00Z",
        });
        assert_eq!(json!(info), shown);
        expected.insert(id, shown);
    }
    let (status, body) = pki.server.list(ROOT, "pki/eab").await;
    assert_eq!((status, &body["data"]["key_info"]), (200, &json!(expected)));
    assert_eq!(body["data"]["keys"].as_array().unwrap().len(), 4);
    for id in expected.keys() {
        let path = format!("pki/eab/{id}");
        let (status, body) = pki.server.delete(ROOT, &path).await;
        assert_eq!(
            (status, &body["data"], &body["warnings"]),
            (200, &json!(null), &json!(null))
        );
        let (status, body) = pki.server.delete(ROOT, &path).await;
        let warning = format!("No key id found with id: {id}");
        assert_eq!((status, &body["warnings"]), (200, &json!([warning])));
    }
    assert_eq!(pki.server.list(ROOT, "pki/eab").await.0, 404);
}
