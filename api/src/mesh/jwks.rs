//! Tokens whose issuer's keys are known: no API server is asked.
//!
//! What the issuer signed counts until it ends, also when the pod is long gone.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::authenticate::{TokenAuthenticator, TokenHolder, TokenVerdict};
use super::impersonate::{CallerPod, ConfiguredNodes, NodePods};
use super::spiffe::ServiceAccount;
use crate::jwt::{Claims, Expected, KeySet, RemoteError, RemoteKeys, unverified_claims, verify};
use crate::time::Timestamp;

/// `authenticator "jwks"`.
#[derive(Debug)]
pub struct JwksAuthenticator {
    pub keys: IssuerKeys,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// A token is for one of these.
    pub audiences: Vec<String>,
    /// Callers that name another cluster are not asked about; `None` takes all.
    pub cluster_id: Option<String>,
    pub nodes: Arc<ConfiguredNodes>,
}

#[derive(Debug)]
pub enum IssuerKeys {
    Fixed(KeySet),
    Remote(RemoteKeys),
}

#[async_trait]
impl TokenAuthenticator for JwksAuthenticator {
    fn name(&self) -> &'static str {
        "jwks"
    }

    async fn judge(&self, token: &str, cluster_id: &str, now: Timestamp) -> TokenVerdict {
        if let Some(own) = &self.cluster_id
            && !matches!(cluster_id, "")
            && own != cluster_id
        {
            return TokenVerdict::NotMine;
        }
        match unverified_claims(token) {
            Ok(claims) if claims.get("iss").and_then(Value::as_str) == Some(&self.issuer) => {}
            Ok(_) => return TokenVerdict::NotMine,
            Err(error) => return TokenVerdict::Refused(error.to_string()),
        }
        let expected = Expected {
            issuers: vec![self.issuer.clone()],
            audiences: self.audiences.clone(),
            ..Expected::default()
        };
        let claims = match &self.keys {
            IssuerKeys::Fixed(keys) => {
                verify(token, keys, &expected, now).map_err(RemoteError::from)
            }
            IssuerKeys::Remote(keys) => keys.verify(token, &expected, now).await,
        };
        match claims {
            Ok(claims) => self.holder(&claims),
            Err(RemoteError::Token(error)) => TokenVerdict::Refused(error.to_string()),
            Err(RemoteError::Unavailable(why)) => TokenVerdict::Unavailable(why.to_string()),
        }
    }

    fn node_pods(&self) -> Option<Arc<dyn NodePods>> {
        Some(self.nodes.clone())
    }
}

impl JwksAuthenticator {
    fn holder(&self, claims: &Claims) -> TokenVerdict {
        let Some(account) = ServiceAccount::of_subject(claims.subject()) else {
            return TokenVerdict::Refused("sub is not a service account".into());
        };
        let bound = claims.get("kubernetes.io");
        let text = |pointer: &str| {
            let value = bound.and_then(|bound| bound.pointer(pointer));
            value.and_then(Value::as_str)
        };
        let contradicts = |pointer: &str, own: &str| text(pointer).is_some_and(|it| it != own);
        if contradicts("/namespace", account.namespace())
            || contradicts("/serviceaccount/name", account.name())
        {
            return TokenVerdict::Refused("sub and kubernetes.io disagree".into());
        }
        let pod = text("/pod/name").map(|name| CallerPod {
            cluster_id: self.cluster_id.clone().unwrap_or_default(),
            account: account.clone(),
            name: name.to_owned(),
            uid: text("/pod/uid").unwrap_or_default().to_owned(),
            node: text("/node/name").map(str::to_owned),
        });
        TokenVerdict::Proved(TokenHolder {
            account,
            pod,
            token_id: claims.text("jti").map(str::to_owned),
        })
    }
}
