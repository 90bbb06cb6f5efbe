//! The keys of an issuer, fetched from it and kept.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use thiserror::Error;

use super::{Claims, Expected, JwtError, KeySet, verify};
use crate::outbound::{Outbound, Request, Trust};
use crate::time::Timestamp;

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The URL of a JSON Web Key Set.
    Jwks(String),
    /// An issuer with `OpenID` Connect discovery: its configuration is below
    /// `/.well-known/openid-configuration` and has to name the same issuer.
    Discovery(String),
}

/// After this time keys are fetched anew: an issuer takes a key away by no longer showing it.
const FRESH_SECS: u64 = 600;
/// Keys that cannot be fetched anew count no longer than this.
const STALE_SECS: u64 = 24 * 3600;
/// Between two fetches, whatever tokens ask for.
const INTERVAL_SECS: u64 = 10;

/// The keys of one issuer. They are fetched when first needed, when they are ten minutes old, and
/// when a token names a key that is not among them, but at most once in ten seconds; whoever comes
/// meanwhile waits for the same fetch. While the issuer does not answer its last keys count for up
/// to a day.
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: KeySource,
    trust: Trust,
    outbound: Arc<dyn Outbound>,
    last: Mutex<Last>,
    /// Held during a fetch.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Last {
    /// Of the last fetch that succeeded.
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// When the last fetch ended, and what was wrong with it.
    attempt: Option<(Timestamp, Option<KeysUnavailable>)>,
}

/// The keys cannot be had now. The text is for operators.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct KeysUnavailable(pub String);

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RemoteError {
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] JwtError),
    /// Nothing can be said of the token.
    #[error("keys of the issuer cannot be fetched: {0}")]
    Unavailable(#[from] KeysUnavailable),
}

impl RemoteKeys {
    /// Fetches nothing yet.
    #[must_use]
    pub fn new(source: KeySource, trust: Trust, outbound: Arc<dyn Outbound>) -> Self {
        Self(Arc::new(Shared {
            source,
            trust,
            outbound,
            last: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }))
    }

    /// As [`verify`], with the keys of the issuer, newer ones if the token asks for them.
    pub async fn verify(
        &self,
        token: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Claims, RemoteError> {
        let keys = self.keys(now).await?;
        match verify(token, &keys, expected, now) {
            Err(JwtError::UnknownKey) => {
                let newer = self.fetched(now, Some(&keys)).await?;
                Ok(verify(token, &newer, expected, now)?)
            }
            other => Ok(other?),
        }
    }

    /// The keys as they are known, fetched if that is due.
    pub async fn keys(&self, now: Timestamp) -> Result<Arc<KeySet>, KeysUnavailable> {
        match self.0.kept(now, FRESH_SECS) {
            Some(keys) => Ok(keys),
            None => self.fetched(now, None).await,
        }
    }

    /// Fetches unless that was done a moment ago, or somebody else does while we wait; `known` are
    /// keys that did not suffice.
    async fn fetched(
        &self,
        now: Timestamp,
        known: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        let shared = self.0.clone();
        let known = known.cloned();
        // On its own, so that a caller who goes away does not end a fetch that others wait for.
        let fetch = tokio::spawn(async move { shared.fetched_in_turn(now, known).await });
        fetch
            .await
            .map_err(|error| KeysUnavailable(error.to_string()))?
    }
}

impl Shared {
    async fn fetched_in_turn(
        &self,
        now: Timestamp,
        known: Option<Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        let _turn = match self.fetching.try_lock() {
            Ok(turn) => turn,
            // An issuer that does not answer holds up one caller at a time, as long as there are
            // keys for the others.
            Err(_) => match self.kept(now, STALE_SECS).filter(|_| known.is_none()) {
                Some(keys) => return Ok(keys),
                None => self.fetching.lock().await,
            },
        };
        if let Some(keys) = self.kept(now, FRESH_SECS)
            && known.is_none_or(|known| !Arc::ptr_eq(&known, &keys))
        {
            return Ok(keys);
        }
        let attempt = self.last.lock().attempt.clone();
        if let Some((at, fault)) = attempt
            && now < at.plus_secs(INTERVAL_SECS)
        {
            let fault = fault.unwrap_or_else(|| KeysUnavailable("no keys".into()));
            return self.kept(now, STALE_SECS).ok_or(fault);
        }
        let fetched = self.fetch().await;
        let mut last = self.last.lock();
        last.attempt = Some((now, fetched.as_ref().err().cloned()));
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                last.keys = Some((keys.clone(), now));
                Ok(keys)
            }
            Err(fault) => {
                tracing::warn!(source = ?self.source, %fault, "keys of an issuer cannot be fetched");
                drop(last);
                self.kept(now, STALE_SECS).ok_or(fault)
            }
        }
    }

    fn kept(&self, now: Timestamp, max_age_secs: u64) -> Option<Arc<KeySet>> {
        let last = self.last.lock();
        let (keys, at) = last.keys.as_ref()?;
        (now < at.plus_secs(max_age_secs)).then(|| keys.clone())
    }

    async fn fetch(&self) -> Result<KeySet, KeysUnavailable> {
        let url = match &self.source {
            KeySource::Jwks(url) => url.clone(),
            KeySource::Discovery(issuer) => self.discover(issuer).await?,
        };
        let body = self.get(&url).await?;
        KeySet::from_jwks(&body).map_err(|error| KeysUnavailable(format!("{url}: {error}")))
    }

    async fn discover(&self, issuer: &str) -> Result<String, KeysUnavailable> {
        let base = issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let body = self.get(&url).await?;
        let found: Configuration = serde_json::from_slice(&body)
            .map_err(|error| KeysUnavailable(format!("{url}: {error}")))?;
        if found.issuer != issuer {
            return Err(KeysUnavailable(format!(
                "{url}: it is of the issuer {:?}, not {issuer:?}",
                found.issuer
            )));
        }
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: &str) -> Result<bytes::Bytes, KeysUnavailable> {
        let request = Request::get(url, self.trust.clone()).header("accept", "application/json");
        let response = self
            .outbound
            .send(request)
            .await
            .map_err(|error| KeysUnavailable(format!("Get {url:?}: {error}")))?;
        if response.status == 200 {
            Ok(response.body)
        } else {
            let status = response.status;
            Err(KeysUnavailable(format!("Get {url:?}: status {status}")))
        }
    }
}

/// `OpenID` Connect Discovery 1.0 §3, as far as it matters here.
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}
