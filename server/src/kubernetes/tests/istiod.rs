//! The Secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::stage::{ISTIO, Stage};
use crate::kubernetes::ServingPair;

fn secret(stage: &Stage) -> Option<Value> {
    stage.cluster.get("secrets", ISTIO, "istiod-tls")
}

fn text(secret: &Value, key: &str) -> String {
    let encoded = secret["data"][key].as_str().unwrap_or_default();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

async fn until_secret(stage: &Stage, what: &str, mut reached: impl FnMut(&Value) -> bool) -> Value {
    stage
        .cluster
        .until(what, |_| secret(stage).is_some_and(|found| reached(&found)))
        .await;
    secret(stage).unwrap()
}

fn assert_serves(stage: &Stage, secret: &Value) {
    let pair = ServingPair {
        chain: text(secret, "tls.crt"),
        key: text(secret, "tls.key").into(),
        roots: text(secret, "ca.crt"),
    };
    let names = &stage.settings.istiod.as_ref().unwrap().names;
    pair.check(names, stage.node.now()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn is_made_with_a_pair_that_serves_and_that_the_mount_lists() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let made = until_secret(&stage, "the Secret is made", |_| true).await;
    assert_eq!(made["type"], "kubernetes.io/tls");
    assert_eq!(made["data"].as_object().unwrap().len(), 3);
    assert_eq!(text(&made, "ca.crt"), stage.roots().await);
    assert_eq!(text(&made, "tls.crt").matches("BEGIN").count(), 1);
    assert!(text(&made, "tls.key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_serves(&stage, &made);
    let listed = stage
        .call(signet_api::call::Op::List, "pki/certs/", json!({}))
        .await;
    // The root and this one.
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2, "{listed}");
}

#[tokio::test(start_paused = true)]
async fn is_renewed_at_half_of_its_life_with_a_new_key() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let first = until_secret(&stage, "the Secret is made", |_| true).await;
    stage.clock.advance_secs(11 * 3600);
    stage.pass(Duration::from_mins(12)).await;
    assert_eq!(secret(&stage).unwrap(), first);
    stage.clock.advance_secs(2 * 3600);
    let second = until_secret(&stage, "it is renewed", |found| *found != first).await;
    for key in ["tls.crt", "tls.key"] {
        assert_ne!(text(&second, key), text(&first, key), "{key}");
    }
    assert_eq!(text(&second, "ca.crt"), text(&first, "ca.crt"));
    assert_serves(&stage, &second);
}

#[tokio::test(start_paused = true)]
async fn is_renewed_as_long_before_its_end_as_was_configured() {
    let mut stage = Stage::new().await;
    let istiod = stage.settings.istiod.as_mut().unwrap();
    istiod.ttl = Some(Duration::from_hours(10));
    istiod.renew_before = Some(Duration::from_hours(2));
    let _replica = stage.replica();
    let first = until_secret(&stage, "the Secret is made", |_| true).await;
    stage.clock.advance_secs(7 * 3600);
    stage.pass(Duration::from_mins(12)).await;
    assert_eq!(secret(&stage).unwrap(), first);
    stage.clock.advance_secs(3600);
    until_secret(&stage, "it is renewed", |found| *found != first).await;
}

#[tokio::test(start_paused = true)]
async fn is_replaced_where_somebody_broke_it() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let first = until_secret(&stage, "the Secret is made", |_| true).await;
    let another_key = text(&first, "tls.key");
    let mut before = first;
    for (what, edit) in [
        ("a certificate", json!({"tls.crt": STANDARD.encode("none")})),
        ("no key", json!({"tls.key": null})),
        (
            "another key",
            json!({"tls.key": STANDARD.encode(&another_key)}),
        ),
    ] {
        let broken = before.clone();
        // The first key is the key of the first certificate only.
        stage.cluster.edit("secrets", ISTIO, "istiod-tls", |found| {
            for (key, value) in edit.as_object().unwrap() {
                found["data"][key] = value.clone();
            }
        });
        let repaired = until_secret(&stage, what, |found| {
            found["data"]["tls.crt"] != broken["data"]["tls.crt"]
                && text(found, "tls.crt").contains("BEGIN")
        })
        .await;
        assert_serves(&stage, &repaired);
        before = repaired;
    }
    stage.cluster.delete("secrets", ISTIO, "istiod-tls");
    let again = until_secret(&stage, "it is made again", |_| true).await;
    assert_serves(&stage, &again);
}

#[tokio::test(start_paused = true)]
async fn foreign_keys_go_while_a_good_pair_stays() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let first = until_secret(&stage, "the Secret is made", |_| true).await;
    stage.cluster.edit("secrets", ISTIO, "istiod-tls", |found| {
        found["data"]["foreign"] = json!("eA==");
        found["metadata"]["labels"] = json!({"team": "mesh"});
    });
    let repaired = until_secret(&stage, "the foreign key goes", |found| {
        found["data"]["foreign"].is_null()
    })
    .await;
    assert_eq!(repaired["data"], first["data"]);
    assert_eq!(repaired["metadata"]["labels"], json!({"team": "mesh"}));
}

#[tokio::test(start_paused = true)]
async fn a_new_root_is_added_to_a_good_pair_and_a_lost_one_makes_a_new_pair() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let first = until_secret(&stage, "the Secret is made", |_| true).await;
    let root = json!({"common_name": "Root 2", "key_type": "ec", "issuer_name": "second", "ttl": "87600h"});
    stage.write("pki/root/rotate/internal", root).await;
    let both = stage.roots().await;
    let added = until_secret(&stage, "both roots", |found| text(found, "ca.crt") == both).await;
    assert_eq!(added["data"]["tls.key"], first["data"]["tls.key"]);
    stage
        .write("pki/root/replace", json!({"default": "second"}))
        .await;
    stage.delete("pki/issuer/first").await;
    let second = stage.roots().await;
    let renewed = until_secret(&stage, "the new root", |found| {
        text(found, "ca.crt") == second
    })
    .await;
    assert_ne!(renewed["data"]["tls.key"], first["data"]["tls.key"]);
    assert_serves(&stage, &renewed);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_refuses_is_asked_again_ever_more_slowly() {
    let stage = Stage::new().await;
    stage.delete("pki/roles/istiod").await;
    let _replica = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    stage.pass(Duration::from_mins(10)).await;
    assert!(stage.cluster.writes("secrets").is_empty());
    stage.write_role("24h").await;
    let made = until_secret(&stage, "the Secret is made", |_| true).await;
    assert_serves(&stage, &made);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_serve_is_not_written() {
    let mut stage = Stage::new().await;
    stage
        .settings
        .istiod
        .as_mut()
        .unwrap()
        .names
        .further_dns_names = vec!["istiod.example".into()];
    let narrow = json!({"allowed_domains": "istio-system.svc", "allow_subdomains": true, "key_type": "ec",
        "allowed_uri_sans": "spiffe://*"});
    stage.write("pki/roles/istiod", narrow).await;
    let _replica = stage.replica();
    stage.pass(Duration::from_mins(10)).await;
    assert!(stage.cluster.writes("secrets").is_empty());
}
