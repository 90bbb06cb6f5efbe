//! `TokenReview`: asking the API server whose token it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use serde_json::json;
use thiserror::Error;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::reviewed::{Reviewed, Verdict};
use super::{Failure, LocalCluster, base_url, success};
use crate::jwt::{MAX_TOKEN_BYTES, unverified_claims};
use crate::outbound::{Outbound, Request, Trust};
use crate::time::Timestamp;

/// Which API server is asked, and by whom.
#[derive(Clone, Debug)]
pub struct ReviewerSettings {
    /// URL, `host:port` or host. Empty: the API server of the cluster we run in.
    pub host: String,
    /// Certificates in PEM that vouch for it. Empty: those of the cluster we run in, or if we run
    /// in none the roots of this machine.
    pub ca_pem: String,
    pub bearer: Bearer,
    /// For one review; and for its turn, when many are under way.
    pub timeout: Duration,
}

/// Whose right to ask for reviews is used.
#[derive(Clone)]
pub enum Bearer {
    /// A token that was set for this.
    Given(Zeroizing<String>),
    /// The token of the pod we run in; outside of a cluster as `Reviewed`.
    Local,
    /// The token that is to be reviewed.
    Reviewed,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::Local => "Local",
            Self::Reviewed => "Reviewed",
        })
    }
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReviewError {
    /// The API server looked at the token and refuses it.
    #[error("token refused: {0}")]
    Unauthenticated(String),
    /// Nothing can be said of the token: the API server does not answer, does not let us ask, or
    /// there is too much to ask.
    #[error("API server cannot review the token: {0}")]
    Unavailable(String),
}

/// An accepted token is not asked about again for so long; a token that is revoked counts until
/// then.
const KEPT_SECS: u64 = 10;
/// Accepted tokens remembered at once, each about half a kilobyte.
const KEPT: usize = 10_000;
/// Reviews under way at once.
const AT_ONCE: usize = 32;
/// Reviews under way and waiting; what is beyond is refused as unavailable.
const MAX_WAITING: usize = 4096;

/// Asks one API server. Clones share what is remembered and under way.
#[derive(Clone)]
pub struct TokenReviewer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: ReviewerSettings,
    pub(super) outbound: Arc<dyn Outbound>,
    local: Arc<dyn LocalCluster>,
    kept: quick_cache::sync::Cache<Key, (Arc<Reviewed>, Timestamp)>,
    under_way: Mutex<HashMap<Key, WeakShared<Review>>>,
    turns: Semaphore,
}

/// SHA-256 of the token and the audiences.
type Key = [u8; 32];

type Review = BoxFuture<'static, Result<Arc<Reviewed>, ReviewError>>;

impl fmt::Debug for TokenReviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenReviewer")
            .field(&self.0.settings)
            .finish()
    }
}

impl TokenReviewer {
    #[must_use]
    pub fn new(
        settings: ReviewerSettings,
        outbound: Arc<dyn Outbound>,
        local: Arc<dyn LocalCluster>,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            outbound,
            local,
            kept: quick_cache::sync::Cache::new(KEPT),
            under_way: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }))
    }

    /// Whose token it is. It has to be for one of `audiences`; with none, for the API server.
    ///
    /// Reviews of the same token at the same time are one; one that was accepted is remembered for
    /// ten seconds, but not beyond the token's own end.
    pub async fn review(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Arc<Reviewed>, ReviewError> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return Err(ReviewError::Unauthenticated("no token".into()));
        }
        let key = key(token, audiences);
        if let Some((reviewed, until)) = self.0.kept.get(&key)
            && now < until
        {
            return Ok(reviewed);
        }
        let review = self.join(key, token, audiences)?;
        let result = review.clone().await;
        self.leave(&key, &review);
        if let Ok(reviewed) = &result {
            let until = kept_until(token, now);
            self.0.kept.insert(key, (reviewed.clone(), until));
        }
        result
    }

    /// The review of this token that is under way, or a new one.
    fn join(
        &self,
        key: Key,
        token: &str,
        audiences: &[String],
    ) -> Result<Shared<Review>, ReviewError> {
        let mut under_way = self.0.under_way.lock();
        if let Some(review) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return Ok(review);
        }
        if under_way.len() >= MAX_WAITING {
            // Callers that went away left theirs behind.
            under_way.retain(|_, review| review.upgrade().is_some());
            if under_way.len() >= MAX_WAITING {
                return Err(ReviewError::Unavailable("too many reviews wait".into()));
            }
        }
        let inner = self.0.clone();
        let token = Zeroizing::new(token.to_owned());
        let audiences = audiences.to_vec();
        let review = async move { inner.ask_in_turn(&token, &audiences).await }
            .boxed()
            .shared();
        if let Some(weak) = review.downgrade() {
            under_way.insert(key, weak);
        }
        Ok(review)
    }

    fn leave(&self, key: &Key, review: &Shared<Review>) {
        let mut under_way = self.0.under_way.lock();
        let current = under_way.get(key).and_then(WeakShared::upgrade);
        if current.is_none_or(|current| current.ptr_eq(review)) {
            under_way.remove(key);
        }
    }
}

/// Where requests go, and our own right to make them.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) trust: Trust,
    pub(super) own: Option<Zeroizing<String>>,
}

impl Inner {
    /// As the settings have it, and for the rest as the pod we run in has it now.
    pub(super) async fn server(&self) -> Result<Server, ReviewError> {
        let settings = &self.settings;
        let pod = self.local.pod().await;
        let host = match (settings.host.is_empty(), pod.host) {
            (false, _) => base_url(&settings.host),
            (true, Some(host)) => host,
            (true, None) => {
                return Err(ReviewError::Unavailable(
                    "no API server is configured, and this is no pod".into(),
                ));
            }
        };
        let trust = if settings.ca_pem.is_empty() {
            Trust::of_pem(&pod.ca_pem.unwrap_or_default())
        } else {
            Trust::of_pem(&settings.ca_pem)
        };
        let own = match &settings.bearer {
            Bearer::Given(given) => Some(given.clone()),
            Bearer::Local => pod.token,
            Bearer::Reviewed => None,
        };
        Ok(Server { host, trust, own })
    }

    async fn ask_in_turn(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<Arc<Reviewed>, ReviewError> {
        let turn = tokio::time::timeout(self.settings.timeout, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(ReviewError::Unavailable("too many reviews wait".into()));
        };
        self.ask(token, audiences).await.map(Arc::new)
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Reviewed, ReviewError> {
        let mut spec = json!({ "token": token });
        if !audiences.is_empty()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("audiences".into(), json!(audiences));
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": spec,
        });
        let Server { host, trust, own } = self.server().await?;
        let url = format!("{host}/apis/authentication.k8s.io/v1/tokenreviews");
        let mut request = Request::post_json(url, trust, body.to_string())
            .header("accept", "application/json")
            .bearer(own.as_ref().map_or(token, |own| own.as_str()));
        request.timeout = self.settings.timeout;
        let response = success(self.outbound.send(request).await).map_err(|failure| {
            match failure {
                // Who asks with the token in question is refused because of it.
                Failure::Status(401 | 403) if own.is_none() => {
                    ReviewError::Unauthenticated("it may not ask for its own review".into())
                }
                Failure::Status(status) => ReviewError::Unavailable(format!("status {status}")),
                Failure::NoAnswer(why) => ReviewError::Unavailable(why),
            }
        })?;
        Reviewed::read(&response.body, audiences).map_err(|verdict| match verdict {
            Verdict::Refused(why) => ReviewError::Unauthenticated(why),
            Verdict::Unreadable(why) => ReviewError::Unavailable(why),
        })
    }
}

fn key(token: &str, audiences: &[String]) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in std::iter::once(token).chain(audiences.iter().map(String::as_str)) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut key = [0; 32];
    for (octet, digested) in key.iter_mut().zip(context.finish().as_ref()) {
        *octet = *digested;
    }
    key
}

/// The end of the token is read from itself: the API server accepted it, so it is what it says.
fn kept_until(token: &str, now: Timestamp) -> Timestamp {
    let until = now.plus_secs(KEPT_SECS);
    let claims = unverified_claims(token).ok();
    let end = claims.and_then(|claims| claims.get("exp")?.as_i64());
    end.map_or(until, |end| until.min(Timestamp::from_secs(end)))
}
