//! Orders and authorizations, before anything is proved.

use serde_json::json;

use super::{Client, identifiers, members, start};
use crate::pki_fixture::{NOW, text};

#[tokio::test]
async fn an_order_has_an_authorization_for_each_name() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let names = ["a.example.com", "*.w.example.com", "192.0.2.1"];
    let answer = client.order(&names).await.expect(201);
    let order = &answer.body;
    let fields = [
        "authorizations",
        "expires",
        "finalize",
        "identifiers",
        "status",
    ];
    assert_eq!(members(order), fields);
    assert_eq!(order["status"], "pending");
    assert_eq!(order["identifiers"], identifiers(&names)["identifiers"]);
    assert_eq!(
        text(&order["finalize"]),
        format!("{}/finalize", answer.location())
    );
    let day_later = signet_api::time::Timestamp::from_secs(NOW + 86_400).rfc3339();
    assert_eq!(text(&order["expires"]), day_later);
    assert_eq!(&client.read(&answer.location()).await.body, order);
    let mut shown = Vec::new();
    for url in order["authorizations"].as_array().unwrap() {
        let authorization = client.read(&text(url)).await.expect(200).body;
        let fields = ["challenges", "identifier", "status", "wildcard"];
        assert_eq!(members(&authorization), fields);
        assert_eq!(authorization["status"], "pending");
        let challenges = authorization["challenges"].as_array().unwrap();
        for challenge in challenges {
            assert_eq!(members(challenge), ["status", "token", "type", "url"]);
            assert!(text(&challenge["token"]).len() >= 22, "128 bits");
        }
        let kinds: Vec<String> = challenges.iter().map(|it| text(&it["type"])).collect();
        let name = text(&authorization["identifier"]["value"]);
        shown.push((name, authorization["wildcard"].clone(), kinds.join(" ")));
    }
    let expected = [
        ("a.example.com", false, "http-01 dns-01 tls-alpn-01"),
        ("w.example.com", true, "dns-01"),
        ("192.0.2.1", false, "http-01"),
    ];
    let expected = expected
        .map(|(name, wildcard, kinds)| (name.to_owned(), json!(wildcard), kinds.to_owned()));
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let order = async |payload| client.post("new-order", payload).await;
    let answer = order(json!({})).await;
    answer.refused(400, "malformed", "missing required identifiers argument");
    let answer = order(identifiers(&["bücher.example"])).await;
    answer.refused(400, "malformed", "failed IDNA round-tripping to ASCII");
    let answer = order(json!({"identifiers": [{"type": "email", "value": "a@b"}]})).await;
    answer.refused(
        400,
        "unsupportedIdentifier",
        "unsupported identifier type email",
    );
    for member in ["notBefore", "notAfter"] {
        let mut payload = identifiers(&["a.example.com"]);
        payload[member] = json!("2030-01-01T00:00:00Z");
        let answer = order(payload).await;
        answer.refused(400, "malformed", "NotBefore and NotAfter are not supported");
    }
    client
        .read("new-order")
        .await
        .refused(400, "malformed", "missing required identifiers");
}

#[tokio::test]
async fn names_that_the_role_would_not_have_are_refused_before_anything_is_proved() {
    let pki = start().await;
    let role = json!({
        "allowed_domains": "example.com", "allow_subdomains": true, "allow_ip_sans": false,
        "allow_wildcard_certificates": false,
    });
    pki.ok("roles/narrow", role).await;
    let client = Client::registered(&pki, "roles/narrow/").await;
    client.order(&["a.example.com"]).await.expect(201);
    for name in ["a.other.com", "example.com", "*.example.com"] {
        let answer = client.order(&["a.example.com", name]).await;
        let detail = format!("role (narrow) will not issue certificate for name {name}");
        answer.refused(400, "rejectedIdentifier", &detail);
    }
    let detail = "role (narrow) does not allow IP sans, so cannot issue certificate for 192.0.2.1";
    client
        .order(&["192.0.2.1"])
        .await
        .refused(400, "rejectedIdentifier", detail);
}

#[tokio::test]
async fn nobody_else_sees_an_order() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let other = Client::registered(&pki, "").await;
    let order = client.order(&["a.example.com"]).await;
    let answer = other.read(&order.location()).await;
    answer.refused(400, "malformed", "order does not exist");
    let authorization = text(&order.body["authorizations"][0]);
    let answer = other.read(&authorization).await;
    answer.refused(400, "malformed", "authorization does not exist");
    let challenge = client.challenge(&authorization, "http-01").await;
    let answer = other.post(&text(&challenge["url"]), json!({})).await;
    answer.refused(400, "malformed", "authorization does not exist");
}

#[tokio::test]
async fn an_authorization_that_was_deactivated_ends_its_order() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (url, order) = client.ready(&["a.example.com"]).await;
    assert_eq!(client.read(&url).await.body["status"], "ready");
    let authorization = text(&order["authorizations"][0]);
    let answer = client
        .post(&authorization, json!({"status": "valid"}))
        .await;
    answer.refused(400, "malformed", "");
    let ended = client
        .post(&authorization, json!({"status": "deactivated"}))
        .await;
    assert_eq!(ended.expect(200).body["status"], "deactivated");
    assert_eq!(client.read(&url).await.body["status"], "invalid");
    let csr = super::csr(&super::new_key(), "", &["a.example.com"]);
    let answer = client.finalize(&order, &csr).await;
    answer.refused(
        403,
        "orderNotReady",
        "order is status invalid, needs to be in ready state",
    );
}

#[tokio::test]
async fn time_ends_orders_and_proofs() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let pending = client.order(&["a.example.com"]).await;
    let unproved = text(&pending.body["authorizations"][0]);
    let challenge = client.challenge(&unproved, "http-01").await;
    let pending = pending.location();
    let (ready, order) = client.ready(&["b.example.com"]).await;
    let status = async |url: &str| text(&client.read(url).await.body["status"]);
    pki.server.clock.advance_secs(86_400 - 1);
    assert_eq!(
        (status(&pending).await, status(&ready).await),
        ("pending".into(), "ready".into())
    );
    pki.server.clock.advance_secs(1);
    assert_eq!(
        (status(&pending).await, status(&ready).await),
        ("invalid".into(), "invalid".into())
    );
    assert_eq!(status(&unproved).await, "invalid");
    let late = client.post(&text(&challenge["url"]), json!({})).await;
    late.refused(
        400,
        "malformed",
        "cannot accept already validated authorization",
    );
    let authorization = text(&order["authorizations"][0]);
    assert_eq!(status(&authorization).await, "valid");
    pki.server.clock.advance_secs(14 * 86_400);
    assert_eq!(status(&authorization).await, "expired");
}
