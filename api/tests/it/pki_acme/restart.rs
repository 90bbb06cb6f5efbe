//! What a restart in the middle does: nothing.

use serde_json::json;

use super::{Client, start};
use crate::pki_fixture::text;

#[tokio::test]
async fn what_was_accepted_is_looked_at_after_a_restart() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let order = client.order(&["a.example.com"]).await.expect(201);
    let authorization = text(&order.body["authorizations"][0]);
    let challenge = client.challenge(&authorization, "http-01").await;
    client
        .post(&text(&challenge["url"]), json!({}))
        .await
        .expect(200);
    client.settled(&authorization).await;
    pki.reopen().await;
    // The nonces of before are gone with the rest of the memory.
    client.show_page(&authorization).await;
    pki.server.clock.advance_secs(5);
    pki.tick().await;
    while client.read(&authorization).await.body["status"] == "pending" {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read(&order.location()).await.body["status"], "ready");
}

#[tokio::test]
async fn clients_get_a_new_nonce_after_a_restart() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let nonce = client.nonce().await;
    pki.reopen().await;
    let header = json!({"kid": client.kid, "nonce": nonce});
    let answer = client.signed("orders", header, None).await;
    answer.refused(400, "badNonce", "invalid or reused nonce");
    let header = json!({"kid": client.kid, "nonce": answer.header("Replay-Nonce")});
    client.signed("orders", header, None).await.expect(200);
}
