//! Who shares a node with whom.

use std::time::Duration;

use serde_json::{Value, json};
use signet_api::mesh::{CallerPod, NodePods as _, NodePodsError, ServiceAccount};

use super::fake_kubernetes::FakeKubernetes;
use super::stage::client;
use crate::kubernetes::pods::PodIndex;

fn pod(account: &str, node: Option<&str>, phase: &str) -> Value {
    json!({
        "metadata": {"uid": "1"},
        "spec": {"containers": [], "nodeName": node, "serviceAccountName": account},
        "status": {"phase": phase},
    })
}

fn account(namespace: &str, name: &str) -> ServiceAccount {
    ServiceAccount::new(namespace, name).unwrap()
}

fn ztunnel() -> CallerPod {
    CallerPod {
        cluster_id: "Kubernetes".into(),
        account: account("istio-system", "ztunnel"),
        name: "ztunnel-a".into(),
        uid: "1".into(),
        node: None,
    }
}

fn cluster() -> FakeKubernetes {
    let cluster = FakeKubernetes::new();
    cluster.put(
        "pods",
        "istio-system",
        "ztunnel-a",
        pod("ztunnel", Some("a"), "Running"),
    );
    cluster.put("pods", "shop", "web-1", pod("web", Some("a"), "Running"));
    cluster.put("pods", "shop", "web-2", pod("web", Some("a"), "Pending"));
    cluster.put("pods", "shop", "cart", pod("cart", Some("b"), "Running"));
    cluster.put("pods", "shop", "jobs", pod("jobs", Some("a"), "Failed"));
    cluster.put("pods", "shop", "unplaced", pod("unplaced", None, "Pending"));
    cluster
}

/// Waits until the answer is this.
async fn until(index: &PodIndex, caller: &CallerPod, wanted: &ServiceAccount, expected: bool) {
    loop {
        match index.runs_beside(caller, wanted).await {
            Ok(answer) if answer == expected => return,
            // Virtual time, in which the watch goes on.
            Ok(_) | Err(NodePodsError(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_proxy_stands_in_for_the_pods_of_its_node_alone() {
    let cluster = cluster();
    let index = PodIndex::watch(client(&cluster));
    let web = account("shop", "web");
    until(&index, &ztunnel(), &web, true).await;
    for name in ["cart", "jobs", "unplaced", "absent"] {
        let answer = index.runs_beside(&ztunnel(), &account("shop", name)).await;
        assert_eq!(answer, Ok(false), "{name}");
    }
    for caller in [
        CallerPod {
            uid: "2".into(),
            ..ztunnel()
        },
        CallerPod {
            name: "ztunnel-b".into(),
            ..ztunnel()
        },
        CallerPod {
            account: account("istio-system", "other"),
            ..ztunnel()
        },
        CallerPod {
            account: account("shop", "ztunnel"),
            ..ztunnel()
        },
    ] {
        assert_eq!(
            index.runs_beside(&caller, &web).await,
            Ok(false),
            "{caller:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pods_come_move_fail_and_go() {
    let cluster = cluster();
    let index = PodIndex::watch(client(&cluster));
    let (web, cart) = (account("shop", "web"), account("shop", "cart"));
    until(&index, &ztunnel(), &web, true).await;
    cluster.delete("pods", "shop", "cart");
    cluster.put("pods", "shop", "cart", pod("cart", Some("a"), "Running"));
    until(&index, &ztunnel(), &cart, true).await;
    cluster.edit("pods", "shop", "cart", |pod| {
        pod["status"]["phase"] = "Failed".into();
    });
    until(&index, &ztunnel(), &cart, false).await;
    cluster.delete("pods", "shop", "web-1");
    cluster.put("pods", "shop", "last", pod("last", Some("a"), "Running"));
    until(&index, &ztunnel(), &account("shop", "last"), true).await;
    // The second one is still there.
    assert_eq!(index.runs_beside(&ztunnel(), &web).await, Ok(true));
    cluster.delete("pods", "shop", "web-2");
    until(&index, &ztunnel(), &web, false).await;
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_the_watch_was_interrupted_is_noticed() {
    let cluster = cluster();
    let index = PodIndex::watch(client(&cluster));
    let web = account("shop", "web");
    until(&index, &ztunnel(), &web, true).await;
    cluster.delete("pods", "shop", "web-1");
    cluster.delete("pods", "shop", "web-2");
    cluster.end_watches();
    until(&index, &ztunnel(), &web, false).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_before_the_first_list_is_complete() {
    let cluster = cluster();
    cluster.refuse(|_| Some(403));
    let index = PodIndex::watch(client(&cluster));
    tokio::time::sleep(Duration::from_mins(5)).await;
    let answer = index.runs_beside(&ztunnel(), &account("shop", "web")).await;
    assert!(answer.is_err());
    cluster.refuse(|_| None);
    until(&index, &ztunnel(), &account("shop", "web"), true).await;
}
