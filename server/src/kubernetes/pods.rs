//! Which pods share a node: for node proxies that ask for certificates on behalf of others.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use parking_lot::RwLock;
use signet_api::mesh::{CallerPod, NodePods, NodePodsError, ServiceAccount};

use super::connect::{self, ConnectError};
use crate::config::Kubernetes;
use crate::grpc::PodsOfClusters;
use crate::server::error_chain;

/// Watches the pods of these clusters. To be called inside a runtime.
pub(crate) fn of_clusters(clusters: &[&Kubernetes]) -> Result<PodsOfClusters, ConnectError> {
    let mut pods = PodsOfClusters::new();
    for cluster in clusters {
        let index = PodIndex::watch(connect::client_of_cluster(cluster)?);
        pods.insert(cluster.cluster_id.clone(), index);
    }
    Ok(pods)
}

/// The pods of a cluster that have not failed, as the API server tells of them.
#[derive(Debug, Default)]
pub(crate) struct PodIndex {
    pods: RwLock<Option<Pods>>,
}

impl PodIndex {
    /// Begins to watch; until the first list is complete nothing is known. Ends when nobody has the index any more.
    pub(super) fn watch(client: Client) -> Arc<Self> {
        let index = Arc::new(Self::default());
        let weak = Arc::downgrade(&index);
        tokio::spawn(async move {
            let unfailed = watcher::Config::default().fields("status.phase!=Failed");
            let events = watch(Api::<Pod>::all(client), unfailed).default_backoff();
            let mut events = pin!(events);
            let mut listed = Pods::default();
            while let Some(event) = events.next().await {
                let Some(index) = weak.upgrade() else { return };
                match event {
                    Ok(event) => index.take(event, &mut listed),
                    Err(error) => {
                        tracing::warn!(error = %error_chain(&error), "watching pods");
                    }
                }
            }
        });
        index
    }

    /// `listed` is what a list that is not complete yet has brought.
    fn take(&self, event: Event<Pod>, listed: &mut Pods) {
        match event {
            Event::Init => *listed = Pods::default(),
            Event::InitApply(pod) => listed.put(&pod),
            Event::InitDone => *self.pods.write() = Some(std::mem::take(listed)),
            Event::Apply(pod) => {
                if let Some(pods) = self.pods.write().as_mut() {
                    pods.put(&pod);
                }
            }
            Event::Delete(pod) => {
                if let Some(pods) = self.pods.write().as_mut() {
                    pods.remove(&PodName::of(&pod));
                }
            }
        }
    }
}

#[async_trait]
impl NodePods for PodIndex {
    async fn runs_beside(
        &self,
        caller: &CallerPod,
        wanted: &ServiceAccount,
    ) -> Result<bool, NodePodsError> {
        match self.pods.read().as_ref() {
            Some(pods) => Ok(pods.run_beside(caller, wanted)),
            None => Err(NodePodsError("the first list is not complete".into())),
        }
    }
}

#[derive(Debug, Default)]
struct Pods {
    by_name: HashMap<PodName, Placed>,
    /// How many pods of an account there are on a node; never 0.
    by_node: HashMap<(Arc<str>, Account), u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PodName {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Account {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    uid: String,
    account: Account,
    node: Arc<str>,
}

impl Pods {
    /// A pod that is on no node yet is beside none.
    fn put(&mut self, pod: &Pod) {
        let name = PodName::of(pod);
        self.remove(&name);
        let Some(placed) = Placed::of(pod) else {
            return;
        };
        let at = (placed.node.clone(), placed.account.clone());
        *self.by_node.entry(at).or_default() += 1;
        self.by_name.insert(name, placed);
    }

    fn remove(&mut self, name: &PodName) {
        let Some(placed) = self.by_name.remove(name) else {
            return;
        };
        let at = (placed.node, placed.account);
        if let Some(count) = self.by_node.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.by_node.remove(&at);
            }
        }
    }

    fn run_beside(&self, caller: &CallerPod, wanted: &ServiceAccount) -> bool {
        let account = Account::of(&caller.account);
        let name = PodName {
            namespace: account.namespace.clone(),
            name: caller.name.clone(),
        };
        let Some(placed) = self.by_name.get(&name) else {
            return false;
        };
        placed.uid == caller.uid
            && placed.account == account
            && self
                .by_node
                .contains_key(&(placed.node.clone(), Account::of(wanted)))
    }
}

impl PodName {
    fn of(pod: &Pod) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            namespace: text(&pod.metadata.namespace),
            name: text(&pod.metadata.name),
        }
    }
}

impl Account {
    fn of(account: &ServiceAccount) -> Self {
        Self {
            namespace: account.namespace().to_owned(),
            name: account.name().to_owned(),
        }
    }
}

impl Placed {
    fn of(pod: &Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let node = spec.node_name.as_deref().filter(|node| !node.is_empty())?;
        Some(Self {
            uid: pod.metadata.uid.clone()?,
            account: Account {
                namespace: pod.metadata.namespace.clone()?,
                name: spec.service_account_name.clone()?,
            },
            node: node.into(),
        })
    }
}
