//! Directories, nonces, and which role and issuer a path leads to.

use serde_json::json;

use super::{BASE, Client, start};
use crate::pki_fixture::{header, text};

#[tokio::test]
async fn a_directory_lists_what_is_below_it() {
    let pki = start().await;
    for prefix in ["", "roles/web/", "issuer/root/", "issuer/root/roles/web/"] {
        let response = pki.fetch(&format!("{prefix}acme/directory")).await;
        assert_eq!(
            (response.status, response.content_type),
            (200, "application/json")
        );
        let directory: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let url = |name: &str| format!("{BASE}/{prefix}acme/{name}");
        let expected = json!({
            "newNonce": url("new-nonce"), "newAccount": url("new-account"),
            "newOrder": url("new-order"), "revokeCert": url("revoke-cert"),
            "keyChange": url("key-change"), "meta": {"externalAccountRequired": false},
        });
        assert_eq!(directory, expected, "{prefix}");
    }
}

#[tokio::test]
async fn nonces_differ_and_are_good_once() {
    let pki = start().await;
    let response = pki.fetch("acme/new-nonce").await;
    assert_eq!((response.status, response.body.len()), (204, 0));
    let index = format!("<{BASE}/acme/directory>;rel=\"index\"");
    assert_eq!(header(&response, "Link"), Some(index.as_str()));
    let client = Client::new(&pki, "");
    let [first, second] = [client.nonce().await, client.nonce().await];
    assert_ne!(first, second);
    let with = |nonce: &str| json!({"jwk": super::jwk(&client.key), "nonce": nonce});
    let answer = client
        .signed("new-account", with(&first), Some(json!({})))
        .await;
    let next = answer.expect(201).header("Replay-Nonce");
    assert!(next.starts_with("dmF1bHQw") && next != first);
    let again = client
        .signed("new-account", with(&first), Some(json!({})))
        .await;
    again.refused(400, "badNonce", "invalid or reused nonce");
    let given_with_refusal = again.header("Replay-Nonce");
    for nonce in [&second, &next, &given_with_refusal] {
        let answer = client
            .signed("new-account", with(nonce), Some(json!({})))
            .await;
        answer.expect(200);
    }
    for nonce in ["", "dmF1bHQwAAAA"] {
        let answer = client
            .signed("new-account", with(nonce), Some(json!({})))
            .await;
        answer.refused(400, "badNonce", "invalid or reused nonce");
    }
    let old = client.nonce().await;
    pki.server.clock.advance_secs(15 * 60 + 1);
    let answer = client
        .signed("new-account", with(&old), Some(json!({})))
        .await;
    answer.refused(400, "badNonce", "invalid or reused nonce");
}

#[tokio::test]
async fn a_request_is_good_for_its_url_only() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let header = json!({"kid": client.kid, "url": "https://elsewhere/v1/pki/acme/orders"});
    let answer = client.signed("orders", header, None).await;
    let text = "invalid value for 'url' in 'protected': got 'https://elsewhere/v1/pki/acme/orders' \
                expected 'https://ca.example.com/v1/pki/acme/orders'";
    answer.refused(401, "unauthorized", text);
}

#[tokio::test]
async fn without_acme_there_is_nothing() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    pki.ok("config/acme", json!({"enabled": false})).await;
    for path in [
        "acme/directory",
        "acme/new-nonce",
        "roles/web/acme/directory",
    ] {
        let response = pki.fetch(path).await;
        assert_eq!((response.status, response.body.len()), (404, 0), "{path}");
    }
    let answer = client.read("orders").await;
    assert_eq!((answer.status, answer.response.body.len()), (404, 0));
}

#[tokio::test]
async fn policies_decide_about_roles_and_issuers() {
    let pki = start().await;
    pki.ok("roles/unstored", json!({"no_store": true})).await;
    pki.ok("roles/other", json!({})).await;
    let second = json!({"common_name": "Second", "key_type": "ec", "issuer_name": "second"});
    pki.ok("root/generate/internal", second).await;
    let directory = async |path: &str| {
        let response = pki.fetch(&format!("{path}acme/directory")).await;
        let answer = super::Answer::of(response);
        if answer.status == 200 {
            return (200, String::new());
        }
        (answer.status, text(&answer.body["detail"]))
    };
    let malformed = "the request message was malformed";
    let denied = "the client lacks sufficient authorization";
    for (path, status, detail) in [
        (
            "roles/none/",
            400,
            format!("{malformed}: role does not exist"),
        ),
        (
            "issuer/none/",
            400,
            format!("{malformed}: issuer does not exist"),
        ),
        (
            "roles/unstored/",
            500,
            "the server experienced an internal error: role can not be used as NoStore is set to \
             true"
                .to_owned(),
        ),
        ("issuer/second/roles/web/", 200, String::new()),
    ] {
        assert_eq!(directory(path).await, (status, detail), "{path}");
    }
    let role_denied = format!("{denied}: specified role not allowed by ACME policy");
    pki.ok("config/acme", json!({"allowed_roles": "web"})).await;
    assert_eq!(directory("roles/other/").await, (401, role_denied));
    assert_eq!(directory("roles/web/").await.0, 200);
    assert_eq!(directory("").await.0, 200, "names no role");
    let forbidden = format!("{denied}: default directory not allowed by ACME policy");
    let policy = json!({"default_directory_policy": "forbid"});
    pki.ok("config/acme", policy).await;
    for path in ["", "issuer/root/"] {
        assert_eq!(directory(path).await, (401, forbidden.clone()), "{path}");
    }
    assert_eq!(directory("roles/web/").await.0, 200);
    let issuer_denied = format!("{denied}: specified issuer not allowed by ACME policy");
    let policy = json!({
        "allowed_issuers": "second", "default_directory_policy": "sign-verbatim",
    });
    pki.ok("config/acme", policy).await;
    for path in ["", "issuer/root/", "roles/web/"] {
        assert_eq!(
            directory(path).await,
            (401, issuer_denied.clone()),
            "{path}"
        );
    }
    assert_eq!(directory("issuer/second/").await.0, 200);
}

#[tokio::test]
async fn certificates_come_from_the_issuer_that_path_or_role_name() {
    let pki = start().await;
    let second = json!({"common_name": "Second", "key_type": "ec", "issuer_name": "second"});
    pki.ok("root/generate/internal", second).await;
    let role = json!({"allow_any_name": true, "key_type": "ec", "issuer_ref": "second"});
    pki.ok("roles/of-second", role).await;
    let policy = json!({"default_directory_policy": "role:of-second"});
    for (prefix, expected) in [
        ("", "Root"),
        ("roles/of-second/", "Second"),
        ("issuer/root/roles/of-second/", "Root"),
        ("issuer/second/", "Second"),
    ] {
        let client = Client::registered(&pki, prefix).await;
        let (certificate, _, _) = client.certificate(&["a.example.com"]).await;
        let issuer = String::from_utf8_lossy(certificate.issuer_der()).into_owned();
        assert!(issuer.contains(expected), "{prefix}: {issuer}");
    }
    pki.ok("config/acme", policy).await;
    let client = Client::registered(&pki, "").await;
    let (certificate, _, _) = client.certificate(&["a.example.com"]).await;
    let issuer = String::from_utf8_lossy(certificate.issuer_der()).into_owned();
    assert!(
        issuer.contains("Second"),
        "the role of the default directory"
    );
}

#[tokio::test]
async fn the_body_does_not_choose_the_role() {
    let pki = start().await;
    let client = Client::new(&pki, "");
    let header = json!({
        "alg": "ES256", "nonce": client.nonce().await, "url": client.url("new-account"),
        "jwk": super::jwk(&client.key),
    });
    let mut body = super::sign(&client.key, &header, Some(&json!({})));
    body["role"] = json!("none");
    body["issuer_ref"] = json!("none");
    let answer = client.send("new-account", body).await.expect(201);
    assert!(answer.location().starts_with(&client.url("account/")));
}
