//! A node's proxy asks on behalf of the pods of its node.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::Context;
use super::authenticate::Caller;
use super::error::MeshError;
use super::spiffe::{ServiceAccount, SpiffeId};

/// The pod that a token was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerPod {
    /// As the configuration calls the cluster.
    pub cluster_id: String,
    pub account: ServiceAccount,
    pub name: String,
    pub uid: String,
    /// The node's name, where the token says it.
    pub node: Option<String>,
}

/// Knows which pods share a node.
#[async_trait]
pub trait NodePods: Send + Sync + fmt::Debug {
    /// Does a pod of `wanted` that has not failed run on the node of the pod `caller`, which itself
    /// exists with this uid and service account?
    ///
    /// # Errors
    /// When that cannot be known now.
    async fn runs_beside(
        &self,
        caller: &CallerPod,
        wanted: &ServiceAccount,
    ) -> Result<bool, NodePodsError>;
}

/// The pods of a cluster are not known yet, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pods are not known: {0}")]
pub struct NodePodsError(pub String);

/// A list that the operator keeps: which service accounts run on which node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredNodes(pub BTreeMap<String, Vec<ServiceAccount>>);

#[async_trait]
impl NodePods for ConfiguredNodes {
    async fn runs_beside(
        &self,
        caller: &CallerPod,
        wanted: &ServiceAccount,
    ) -> Result<bool, NodePodsError> {
        let on_node = caller.node.as_ref().and_then(|node| self.0.get(node));
        Ok(on_node.is_some_and(|accounts| accounts.contains(wanted)))
    }
}

/// # Errors
/// `Impersonation`, and `Unavailable` when pods are not known now.
pub(super) async fn impersonate(
    context: &Context,
    caller: Caller,
    wanted: &str,
) -> Result<Caller, MeshError> {
    let refused = |reason: String| Err(MeshError::Impersonation(reason));
    let settings = &context.settings;
    let account = caller.identity.account();
    if !settings.trusted_node_accounts.contains(account) {
        return refused(format!("{account} is not a trusted node account"));
    }
    let Some(wanted) = SpiffeId::parse(wanted) else {
        return refused(format!("{wanted:?} is not a SPIFFE ID of a workload"));
    };
    if *wanted.trust_domain() != settings.trust_domain {
        return refused(format!("{wanted} is of another trust domain"));
    }
    let Some(pod) = &caller.pod else {
        return refused(format!("the token of {account} names no pod"));
    };
    if pod.account != *account {
        return refused(format!("the pod of the token is {}'s", pod.account));
    }
    let Some(node_pods) = &caller.node_pods else {
        return refused("nobody knows which pods share a node".into());
    };
    match node_pods.runs_beside(pod, wanted.account()).await {
        Ok(true) => {}
        Ok(false) => {
            let node = pod.node.as_deref().unwrap_or("the node");
            return refused(format!("{} has no pod on {node}", wanted.account()));
        }
        Err(error) => return Err(MeshError::Unavailable(error.to_string())),
    }
    Ok(Caller {
        asked_by: Some(caller.identity),
        identity: wanted,
        ..caller
    })
}
