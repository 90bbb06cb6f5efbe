//! The ConfigMaps.

use std::time::Duration;

use serde_json::json;

use super::stage::{ISTIO, Stage};

const MAP: &str = "istio-ca-root-cert";

#[tokio::test(start_paused = true)]
async fn every_selected_namespace_gets_the_roots_and_no_other() {
    let stage = Stage::new().await;
    stage.cluster.namespace("shop", &json!({"mesh": "yes"}));
    stage.cluster.namespace("other", &json!({"mesh": "no"}));
    let going = json!({"metadata": {"labels": {"mesh": "yes"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    stage.cluster.put("namespaces", "", "going", going);
    let _replica = stage.replica();
    let roots = stage.roots().await;
    stage.until_published("shop", &roots).await;
    stage.until_published(ISTIO, &roots).await;
    let map = stage.cluster.get("configmaps", "shop", MAP).unwrap();
    assert_eq!(
        map["metadata"]["labels"],
        json!({"istio.io/config": "true"})
    );
    assert_eq!(map["data"], json!({"root-cert.pem": roots}));
    stage.cluster.namespace("later", &json!({"mesh": "yes"}));
    stage.until_published("later", &roots).await;
    stage.pass(Duration::from_mins(5)).await;
    for namespace in ["other", "going"] {
        assert_eq!(stage.published(namespace), None, "{namespace}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_change_is_repaired_and_what_they_add_elsewhere_stays() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let roots = stage.roots().await;
    stage.until_published(ISTIO, &roots).await;
    stage.cluster.edit("configmaps", ISTIO, MAP, |map| {
        map["data"] = json!({"root-cert.pem": "another", "foreign": "key"});
        map["binaryData"] = json!({"x": "AA=="});
        map["metadata"]["labels"] = json!({"team": "mesh"});
        map["metadata"]["annotations"] = json!({"kept": "yes"});
    });
    stage.until_published(ISTIO, &roots).await;
    let map = stage.cluster.get("configmaps", ISTIO, MAP).unwrap();
    assert_eq!(map["data"], json!({"root-cert.pem": roots}));
    assert!(map["binaryData"].is_null(), "{map}");
    assert_eq!(
        map["metadata"]["labels"],
        json!({"istio.io/config": "true", "team": "mesh"})
    );
    assert_eq!(map["metadata"]["annotations"], json!({"kept": "yes"}));
    stage.cluster.edit("configmaps", ISTIO, MAP, |map| {
        map["data"]["second"] = json!("key");
    });
    stage
        .cluster
        .until("the foreign key is gone", |cluster| {
            cluster.get("configmaps", ISTIO, MAP).unwrap()["data"]["second"].is_null()
        })
        .await;
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.until_published(ISTIO, &roots).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_root_reaches_every_namespace() {
    let stage = Stage::new().await;
    stage.cluster.namespace("shop", &json!({"mesh": "yes"}));
    let _replica = stage.replica();
    stage.until_published("shop", &stage.roots().await).await;
    let second = json!({"common_name": "Root 2", "key_type": "ec", "ttl": "87600h"});
    stage.write("pki/root/rotate/internal", second).await;
    let both = stage.roots().await;
    assert_eq!(both.matches("BEGIN").count(), 2);
    for namespace in ["shop", ISTIO] {
        stage.until_published(namespace, &both).await;
    }
    stage.delete("pki/issuer/first").await;
    for namespace in ["shop", ISTIO] {
        stage.until_published(namespace, &stage.roots().await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_changes() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    stage.pass(Duration::from_mins(12)).await;
    assert_eq!(stage.cluster.writes("configmaps").len(), 1);
    assert_eq!(stage.cluster.writes("secrets").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_namespace_is_tried_again_ever_more_slowly_and_holds_up_no_other() {
    let stage = Stage::new().await;
    stage.cluster.namespace("shop", &json!({"mesh": "yes"}));
    stage.cluster.refuse(|request| {
        let is_map = request.resource == "configmaps" && request.method == "POST";
        (is_map && request.namespace == "shop").then_some(403)
    });
    let _replica = stage.replica();
    let roots = stage.roots().await;
    stage.until_published(ISTIO, &roots).await;
    stage.pass(Duration::from_mins(10)).await;
    let tries = stage.cluster.writes("configmaps").len() - 1;
    assert!((5..=12).contains(&tries), "{tries}");
    stage.cluster.refuse(|_| None);
    stage.until_published("shop", &roots).await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_are_begun_again() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    let roots = stage.roots().await;
    stage.until_published(ISTIO, &roots).await;
    stage.cluster.end_watches();
    stage.cluster.namespace("later", &json!({"mesh": "yes"}));
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.until_published("later", &roots).await;
    stage.until_published(ISTIO, &roots).await;
}

#[tokio::test(start_paused = true)]
async fn a_mount_without_a_root_publishes_nothing() {
    let mut stage = Stage::new().await;
    stage.settings.mount = "nowhere".into();
    let _replica = stage.replica();
    stage.pass(Duration::from_mins(10)).await;
    assert!(stage.cluster.writes("configmaps").is_empty());
    assert!(stage.cluster.writes("secrets").is_empty());
}
