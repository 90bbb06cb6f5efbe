//! RSA keys made while the server is idle.

use serde_json::{Value, json};

use crate::pki_fixture::Pki;

async fn issued_key(pki: &Pki, key_bits: u32) -> String {
    let role = json!({"allow_any_name": true, "key_type": "rsa", "key_bits": key_bits});
    pki.ok("roles/rsa", role).await;
    let data = pki
        .ok("issue/rsa", json!({"common_name": "web.example.com"}))
        .await;
    data["private_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_are_made_while_nothing_is_asked_and_no_more_than_allowed() {
    let pki = Pki::start().await;
    let node = &pki.server.node;
    // Requests have come since the last look.
    assert!(!node.make_key_ahead().await.unwrap());
    assert!(node.make_key_ahead().await.unwrap());
    assert!(node.make_key_ahead().await.unwrap());
    assert!(!node.make_key_ahead().await.unwrap());
    assert_eq!(node.environment.keys_ahead.count(), 2);
}

#[tokio::test]
async fn each_key_made_ahead_is_given_out_once_and_others_are_made_when_there_is_none() {
    let pki = Pki::start().await;
    let node = &pki.server.node;
    while node.environment.keys_ahead.count() < 2 {
        node.make_key_ahead().await.unwrap();
    }
    let mut keys = Vec::new();
    for left in [1, 0, 0] {
        keys.push(issued_key(&pki, 2048).await);
        assert_eq!(node.environment.keys_ahead.count(), left);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn keys_made_ahead_are_of_no_use_for_other_sizes_and_gone_when_sealed() {
    let pki = Pki::start().await;
    let node = &pki.server.node;
    while node.environment.keys_ahead.count() < 1 {
        node.make_key_ahead().await.unwrap();
    }
    issued_key(&pki, 3072).await;
    assert_eq!(node.environment.keys_ahead.count(), 1);
    let (status, _) = pki.server.write("root", "sys/seal", Value::Null).await;
    assert_eq!(status, 204);
    assert_eq!(node.environment.keys_ahead.count(), 0);
    assert!(!node.make_key_ahead().await.unwrap());
}
