//! Accounts: making, finding, changing and ending them.

use serde_json::{Value, json};

use super::{Client, jwk, new_key, sign, start};
use crate::pki_fixture::text;

#[tokio::test]
async fn a_key_has_one_account() {
    let pki = start().await;
    let mut client = Client::new(&pki, "");
    let only_existing = json!({"onlyReturnExisting": true});
    let answer = client.register(only_existing.clone()).await;
    let detail = "an account with this key does not exist";
    answer.refused(400, "accountDoesNotExist", detail);
    let contact = json!({"contact": ["mailto:a@example.com"], "termsOfServiceAgreed": true});
    let made = client.register(contact).await.expect(201);
    let url = made.location();
    assert!(url.starts_with(&client.url("account/")), "{url}");
    let expected = json!({
        "status": "valid", "contact": ["mailto:a@example.com"], "orders": format!("{url}/orders"),
    });
    assert_eq!(made.body, expected);
    for payload in [
        only_existing,
        json!({}),
        json!({"contact": ["mailto:b@example.com"]}),
    ] {
        let found = client.register(payload).await.expect(200);
        assert_eq!((found.location(), &found.body), (url.clone(), &expected));
    }
}

#[tokio::test]
async fn contacts_change_when_they_are_sent_and_only_then() {
    let pki = start().await;
    let mut client = Client::new(&pki, "");
    client
        .register(json!({"contact": ["mailto:a@example.com"]}))
        .await;
    let contact = |answer: &super::Answer| answer.body["contact"].clone();
    let url = client.kid.clone();
    assert_eq!(
        contact(&client.read(&url).await),
        json!(["mailto:a@example.com"])
    );
    let changed = client
        .post(&url, json!({"contact": ["mailto:b@example.com"]}))
        .await;
    assert_eq!(contact(&changed), json!(["mailto:b@example.com"]));
    client
        .post(&url, json!({"status": "revoked"}))
        .await
        .expect(200);
    assert_eq!(
        contact(&client.read(&url).await),
        json!(["mailto:b@example.com"])
    );
    let cleared = client.post(&url, json!({"contact": []})).await.expect(200);
    assert_eq!(
        (contact(&cleared), &cleared.body["status"]),
        (Value::Null, &json!("valid"))
    );
    let wrong = client.post(&url, json!({"contact": "mailto:a"})).await;
    wrong.refused(
        400,
        "malformed",
        "invalid type (string) for field 'contact'",
    );
    let many = client
        .post(&url, json!({"contact": vec!["mailto:a"; 17]}))
        .await;
    many.refused(400, "invalidContact", "more than 16");
}

#[tokio::test]
async fn an_account_that_was_deactivated_can_do_nothing() {
    let pki = start().await;
    let mut client = Client::registered(&pki, "").await;
    let (url, order) = client.ready(&["a.example.com"]).await;
    let account = client.kid.clone();
    let answer = client
        .post(&account, json!({"status": "deactivated"}))
        .await;
    assert_eq!(answer.expect(200).body["status"], "deactivated");
    let detail = "account in status: deactivated";
    for url in [&account, &url, &client.url("orders")] {
        client.read(url).await.refused(401, "unauthorized", detail);
    }
    let csr = super::csr(&new_key(), "", &["a.example.com"]);
    let answer = client.finalize(&order, &csr).await;
    answer.refused(401, "unauthorized", detail);
    client
        .register(json!({}))
        .await
        .refused(401, "unauthorized", detail);
}

#[tokio::test]
async fn accounts_belong_to_one_directory() {
    let pki = start().await;
    let first = Client::registered(&pki, "").await;
    let mut other = Client::new(&pki, "roles/web/");
    other.key = first.key;
    let detail = "account part of different ACME directory path";
    other
        .register(json!({}))
        .await
        .refused(400, "malformed", detail);
    other.kid = first.kid;
    other.read("orders").await.refused(400, "malformed", detail);
}

#[tokio::test]
async fn only_the_owner_sees_an_account() {
    let pki = start().await;
    let [client, other] = [
        Client::registered(&pki, "").await,
        Client::registered(&pki, "").await,
    ];
    let answer = other
        .post(&client.kid, json!({"status": "deactivated"}))
        .await;
    answer.refused(401, "unauthorized", "another account");
    let answer = other.read(&format!("{}/orders", client.kid)).await;
    answer.refused(401, "unauthorized", "another account");
    let forged = json!({"kid": client.kid});
    let answer = other.signed("orders", forged, None).await;
    answer.refused(400, "malformed", "failed to verify signature");
    let unknown = json!({"kid": client.url("account/00000000-0000-0000-0000-000000000000")});
    let answer = other.signed("orders", unknown, None).await;
    answer.refused(400, "accountDoesNotExist", "account not found");
    let answer = client.post_with_key("orders", None).await;
    answer.refused(400, "malformed", "without a 'kid'");
    let answer = client.post("new-account", json!({})).await;
    answer.refused(400, "malformed", "with a 'kid'");
}

#[tokio::test]
async fn an_account_can_get_another_key() {
    let pki = start().await;
    let mut client = Client::registered(&pki, "").await;
    let other = Client::registered(&pki, "").await;
    let url = client.url("key-change");
    let new = new_key();
    let inner = |key: &_, account: &str, old: Value, url: &str| {
        let header = json!({"alg": "ES256", "jwk": jwk(key), "url": url});
        sign(
            key,
            &header,
            Some(&json!({"account": account, "oldKey": old})),
        )
    };
    let old = jwk(&client.key);
    for (payload, detail) in [
        (json!({}), "inner JWS: missing required field 'protected'"),
        (
            inner(&new, &other.kid, old.clone(), &url),
            "names another account",
        ),
        (
            inner(&new, &client.kid, jwk(&new), &url),
            "names another old key",
        ),
        (
            inner(&new, &client.kid, old.clone(), "https://x"),
            "different URLs",
        ),
    ] {
        client
            .post("key-change", payload)
            .await
            .refused(400, "malformed", detail);
    }
    let taken = inner(&other.key, &client.kid, old.clone(), &url);
    client
        .post("key-change", taken)
        .await
        .refused(409, "malformed", "already");
    let mut forged = inner(&new, &client.kid, old.clone(), &url);
    forged["signature"] = inner(&other.key, &client.kid, old.clone(), &url)["signature"].clone();
    let answer = client.post("key-change", forged).await;
    answer.refused(400, "malformed", "inner JWS: failed to verify signature");

    let change = inner(&new, &client.kid, old, &url);
    client.post("key-change", change).await.expect(200);
    let answer = client.read("orders").await;
    answer.refused(400, "malformed", "failed to verify signature");
    client.key = new;
    client.read("orders").await.expect(200);
    let kid = client.kid.clone();
    let found = client
        .register(json!({"onlyReturnExisting": true}))
        .await
        .expect(200);
    assert_eq!(found.location(), kid);
}

#[tokio::test]
async fn the_orders_of_an_account_are_listed() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let other = Client::registered(&pki, "").await;
    other.order(&["z.example.com"]).await.expect(201);
    assert_eq!(client.read("orders").await.body, json!({"orders": []}));
    let mut urls = Vec::new();
    for name in ["a.example.com", "b.example.com"] {
        urls.push(client.order(&[name]).await.expect(201).location());
    }
    urls.sort();
    let account = client.read(&client.kid).await;
    for url in [client.url("orders"), text(&account.body["orders"])] {
        assert_eq!(
            client.read(&url).await.expect(200).body,
            json!({"orders": urls})
        );
    }
}
