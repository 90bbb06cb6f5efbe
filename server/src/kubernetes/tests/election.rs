//! One acts, the others wait.

use std::time::Duration;

use tokio::time::Instant;

use super::stage::{ISTIO, Stage};

const MAP: &str = "istio-ca-root-cert";

#[tokio::test(start_paused = true)]
async fn of_several_replicas_one_acts_and_the_next_takes_over_at_once_when_it_stops() {
    let stage = Stage::new().await;
    let first = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    let first_holder = stage.holder();
    let second = stage.replica();
    stage.pass(Duration::from_mins(5)).await;
    assert_eq!(stage.holder(), first_holder);
    assert_eq!(stage.cluster.writes("configmaps").len(), 1);
    let stopped = Instant::now();
    first.stop().await;
    stage
        .cluster
        .until("the second holds the Lease", |_| {
            !["", first_holder.as_str()].contains(&stage.holder().as_str())
        })
        .await;
    assert!(stopped.elapsed() < Duration::from_secs(5));
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.until_published(ISTIO, &stage.roots().await).await;
    second.stop().await;
    assert_eq!(stage.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_replica_that_died_is_taken_when_it_has_run_out() {
    let stage = Stage::new().await;
    let first = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    let first_holder = stage.holder();
    let _second = stage.replica();
    stage.pass(Duration::from_mins(1)).await;
    let died = Instant::now();
    first.kill();
    stage
        .cluster
        .until("the second holds the Lease", |_| {
            stage.holder() != first_holder
        })
        .await;
    let waited = died.elapsed().as_secs();
    assert!((13..=20).contains(&waited), "{waited}");
    let lease = stage.cluster.get("leases", ISTIO, "signet").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_lease_was_taken_stops_acting() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    stage.cluster.edit("leases", ISTIO, "signet", |lease| {
        lease["spec"]["holderIdentity"] = "somebody".into();
        lease["spec"]["leaseDurationSeconds"] = 7200.into();
    });
    stage.pass(Duration::from_secs(10)).await;
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.pass(Duration::from_mins(5)).await;
    assert_eq!(stage.published(ISTIO), None);
    assert_eq!(stage.holder(), "somebody");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_cannot_renew_stops_acting_before_others_may_begin() {
    let stage = Stage::new().await;
    let _replica = stage.replica();
    stage.until_published(ISTIO, &stage.roots().await).await;
    stage
        .cluster
        .refuse(|request| (request.resource == "leases").then_some(500));
    stage.pass(Duration::from_secs(14)).await;
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.pass(Duration::from_mins(5)).await;
    assert_eq!(stage.published(ISTIO), None);
    stage.cluster.refuse(|_| None);
    stage.until_published(ISTIO, &stage.roots().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_sealed_server_acts_from_when_it_is_unsealed_until_it_is_sealed() {
    let stage = Stage::new().await;
    let roots = stage.roots().await;
    stage.node.seal().await;
    let _replica = stage.replica();
    stage.pass(Duration::from_mins(10)).await;
    assert_eq!(stage.holder(), "");
    assert_eq!(stage.published(ISTIO), None);
    stage.unseal().await;
    stage.until_published(ISTIO, &roots).await;
    stage.node.seal().await;
    stage
        .cluster
        .until("the Lease is given up", |_| stage.holder().is_empty())
        .await;
    stage.cluster.delete("configmaps", ISTIO, MAP);
    stage.pass(Duration::from_mins(10)).await;
    assert_eq!(stage.published(ISTIO), None);
}
