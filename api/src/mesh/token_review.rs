//! Tokens that the API server of a cluster is asked about.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::authenticate::{TokenAuthenticator, TokenHolder, TokenVerdict};
use super::impersonate::{CallerPod, NodePods};
use super::spiffe::ServiceAccount;
use crate::jwt::unverified_claims;
use crate::kubernetes::{ReviewError, TokenReviewer};
use crate::time::Timestamp;

/// `authenticator "kubernetes"`.
#[derive(Debug)]
pub struct KubernetesAuthenticator {
    pub cluster_id: String,
    /// Also for callers that name no cluster.
    pub is_local: bool,
    pub reviewer: TokenReviewer,
    /// A token is for one of these.
    pub audiences: Vec<String>,
    /// Where the pods of the cluster are; without it nobody impersonates.
    pub pods: Option<Arc<dyn NodePods>>,
}

#[async_trait]
impl TokenAuthenticator for KubernetesAuthenticator {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn judge(&self, token: &str, cluster_id: &str, now: Timestamp) -> TokenVerdict {
        let is_mine = cluster_id == self.cluster_id || (cluster_id.is_empty() && self.is_local);
        if !is_mine {
            return TokenVerdict::NotMine;
        }
        let reviewed = match self.reviewer.review(token, &self.audiences, now).await {
            Ok(reviewed) => reviewed,
            Err(ReviewError::Unauthenticated(why)) => return TokenVerdict::Refused(why),
            Err(ReviewError::Unavailable(why)) => return TokenVerdict::Unavailable(why),
        };
        if !reviewed
            .groups
            .iter()
            .any(|group| group == SERVICE_ACCOUNTS)
        {
            return TokenVerdict::Refused(format!("not in the group {SERVICE_ACCOUNTS}"));
        }
        let account = ServiceAccount::new(&reviewed.namespace, &reviewed.service_account);
        let Some(account) = account else {
            return TokenVerdict::Refused("the service account cannot stand in an ID".into());
        };
        let pod = reviewed.pod.as_ref().map(|pod| CallerPod {
            cluster_id: self.cluster_id.clone(),
            account: account.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            node: reviewed.node.as_ref().map(|node| node.name.clone()),
        });
        TokenVerdict::Proved(TokenHolder {
            account,
            pod,
            token_id: token_id(token),
        })
    }

    fn node_pods(&self) -> Option<Arc<dyn NodePods>> {
        self.pods.clone()
    }
}

/// The API server accepted the token, so its `jti` is what it says.
fn token_id(token: &str) -> Option<String> {
    let claims = unverified_claims(token).ok()?;
    claims.get("jti").and_then(Value::as_str).map(str::to_owned)
}

const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
