//! `tidy_acme`: what goes, when, and what stays.

use serde_json::{Value, json};

use super::{Client, start};
use crate::pki_fixture::{Pki, text};
use crate::support::ROOT;

const DAY: u64 = 86_400;

async fn counts(pki: &Pki) -> Value {
    assert_eq!(pki.write("tidy", json!({"tidy_acme": true})).await.0, 202);
    loop {
        let status = pki.ok_read("tidy-status").await;
        if status["state"] == "Finished" {
            return json!([
                status["acme_orders_deleted_count"],
                status["total_acme_account_count"],
                status["acme_account_revoked_count"],
                status["acme_account_deleted_count"],
            ]);
        }
        assert_eq!(status["state"], "Running");
        tokio::task::yield_now().await;
    }
}

/// What is stored of ACME, without the configuration.
async fn stored(pki: &Pki) -> Vec<String> {
    let store = pki.server.node.core().unwrap().store.clone();
    let paths = store.keys("", None, usize::MAX).await.unwrap();
    let below = |path: &String| path.split_once("/acme/").map(|(_, rest)| rest.to_owned());
    paths.iter().filter_map(below).collect()
}

#[tokio::test]
async fn what_nobody_uses_goes_step_by_step() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (_, _, issued) = client.certificate(&["a.example.com"]).await;
    let open = client
        .order(&["b.example.com"])
        .await
        .expect(201)
        .location();
    assert_eq!(counts(&pki).await, json!([0, 1, 0, 0]));

    pki.server.clock.advance_secs(DAY + 1);
    assert_eq!(
        counts(&pki).await,
        json!([1, 1, 0, 0]),
        "the order that has expired"
    );
    client
        .read(&open)
        .await
        .refused(400, "malformed", "order does not exist");
    client.read(&issued).await.expect(200);

    // The certificate lives 32 days, and the buffer is 3.
    pki.server.clock.advance_secs(33 * DAY);
    assert_eq!(
        counts(&pki).await,
        json!([0, 1, 0, 0]),
        "an account with an order stays"
    );
    pki.server.clock.advance_secs(DAY);
    assert_eq!(
        counts(&pki).await,
        json!([1, 1, 1, 0]),
        "nothing holds the account any more"
    );
    client
        .read("orders")
        .await
        .refused(401, "unauthorized", "account in status: revoked");

    pki.server.clock.advance_secs(30 * DAY);
    assert_eq!(counts(&pki).await, json!([0, 1, 0, 0]));
    pki.server.clock.advance_secs(1);
    assert_eq!(counts(&pki).await, json!([0, 1, 0, 1]));
    client
        .read("orders")
        .await
        .refused(400, "accountDoesNotExist", "");
    assert_eq!(stored(&pki).await, Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_nobody_bound_go_after_the_buffer() {
    let pki = start().await;
    pki.ok("acme/new-eab", json!({})).await;
    pki.server.clock.advance_secs(30 * DAY);
    counts(&pki).await;
    let listed = pki.server.list(ROOT, "pki/eab").await;
    assert_eq!(listed.0, 200);
    pki.server.clock.advance_secs(1);
    counts(&pki).await;
    assert_eq!(pki.server.list(ROOT, "pki/eab").await.0, 404);
    assert!(text(&listed.1["data"]["keys"][0]).len() == 36);
}

#[tokio::test]
async fn an_account_that_its_owner_ended_goes_after_the_buffer() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let ended = json!({"status": "deactivated"});
    client.post(&client.kid.clone(), ended).await.expect(200);
    assert_eq!(counts(&pki).await, json!([0, 1, 0, 0]));
    pki.server.clock.advance_secs(30 * DAY + 1);
    assert_eq!(counts(&pki).await, json!([0, 1, 0, 1]));
    // The key may have an account again.
    let mut again = client;
    again.register(json!({})).await.expect(201);
}
