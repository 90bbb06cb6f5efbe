//! Who calls: a holder of a certificate of the mesh, a holder of a service account's token, or both,
//! if they agree.

use std::fmt;

use async_trait::async_trait;

use super::client_certificate;
use super::error::MeshError;
use super::impersonate::{CallerPod, NodePods};
use super::spiffe::{ServiceAccount, SpiffeId};
use super::{Authority, CertificateCall, Context};
use crate::time::Timestamp;

/// Somebody who proved who it is. Made here only.
#[derive(Debug)]
pub struct Caller {
    /// What its certificate will say.
    pub(super) identity: SpiffeId,
    pub(super) proof: Proof,
    /// What its token says of the pod it was made for.
    pub(super) pod: Option<CallerPod>,
    /// Which pods share a node, for callers of this kind.
    pub(super) node_pods: Option<std::sync::Arc<dyn NodePods>>,
    /// The token's `jti`.
    pub(super) token_id: Option<String>,
    /// On whose behalf another one asks.
    pub(super) asked_by: Option<SpiffeId>,
}

/// How it was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Certificate,
    CertificateAndToken,
    Token,
}

impl Proof {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "client_certificate",
            Self::CertificateAndToken => "client_certificate+token",
            Self::Token => "token",
        }
    }
}

/// Judges tokens of one origin.
#[async_trait]
pub trait TokenAuthenticator: Send + Sync + fmt::Debug {
    /// As in the configuration.
    fn name(&self) -> &'static str;

    /// `cluster_id` is empty for the local cluster. The token comes as it was sent.
    async fn judge(&self, token: &str, cluster_id: &str, now: Timestamp) -> TokenVerdict;

    /// Where the pods of those callers are; `None` when nobody knows.
    fn node_pods(&self) -> Option<std::sync::Arc<dyn NodePods>>;
}

#[derive(Debug)]
pub enum TokenVerdict {
    /// Another cluster's or issuer's.
    NotMine,
    Proved(TokenHolder),
    Refused(String),
    /// Nobody can say now; no other authenticator is to be asked instead.
    Unavailable(String),
}

/// What a token says of who holds it.
#[derive(Clone, Debug)]
pub struct TokenHolder {
    pub account: ServiceAccount,
    pub pod: Option<CallerPod>,
    /// The `jti`.
    pub token_id: Option<String>,
}

/// # Errors
/// `Unauthenticated`, and `Unavailable` when the one who would know cannot be asked.
pub(super) async fn caller(
    context: &Context,
    authority: &Authority,
    call: &CertificateCall,
) -> Result<Caller, MeshError> {
    let shown = match call.peer.certificates.first() {
        // The listener asks for one only if it counts; a setting may have changed since.
        Some(certificate) if context.settings.client_certificates => {
            Some(client_certificate::identity(context, authority, certificate).await?)
        }
        _ => None,
    };
    let by_token = match &call.bearer {
        Some(token) => Some(by_token(context, token, &call.cluster_id).await?),
        None => None,
    };
    match (shown, by_token) {
        (None, None) => Err(MeshError::Unauthenticated(
            "neither a token nor a client certificate".into(),
        )),
        (Some(identity), None) => Ok(Caller {
            identity,
            proof: Proof::Certificate,
            pod: None,
            node_pods: None,
            token_id: None,
            asked_by: None,
        }),
        (None, Some(caller)) => Ok(caller),
        (Some(identity), Some(caller)) if identity == caller.identity => Ok(Caller {
            proof: Proof::CertificateAndToken,
            ..caller
        }),
        (Some(identity), Some(caller)) => Err(MeshError::Unauthenticated(format!(
            "the client certificate is {identity}'s, the token is {}'s",
            caller.identity
        ))),
    }
}

async fn by_token(context: &Context, token: &str, cluster_id: &str) -> Result<Caller, MeshError> {
    let mut reasons = Vec::new();
    for authenticator in &context.settings.tokens {
        let verdict = authenticator.judge(token, cluster_id, context.now).await;
        let name = authenticator.name();
        match verdict {
            TokenVerdict::NotMine => {}
            TokenVerdict::Proved(holder) => {
                let domain = &context.settings.trust_domain;
                return Ok(Caller {
                    identity: holder.account.in_domain(domain),
                    proof: Proof::Token,
                    pod: holder.pod,
                    node_pods: authenticator.node_pods(),
                    token_id: holder.token_id,
                    asked_by: None,
                });
            }
            TokenVerdict::Refused(reason) => reasons.push(format!("{name}: {reason}")),
            TokenVerdict::Unavailable(reason) => {
                tracing::warn!(authenticator = name, %reason, "tokens cannot be judged");
                let text = "the token cannot be checked now".to_owned();
                return Err(MeshError::Unavailable(text));
            }
        }
    }
    if reasons.is_empty() {
        reasons.push(format!(
            "no authenticator is for the token's issuer and cluster {cluster_id:?}"
        ));
    }
    Err(MeshError::Unauthenticated(reasons.join("; ")))
}
