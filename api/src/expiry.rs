//! Leases and their end: one index by time, swept about once a minute; no timer per token.
//!
//! Every token with a lease and every leased secret has a record under its lease id and an entry in
//! the time index, written in the commit that makes it. A lease that has ended but was not swept
//! yet is already invalid: whoever reads it compares the time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_storage::{Batch, Record, StorageError, Unsealed, View, check_path};

use crate::error::ApiError;
use crate::node::Core;
use crate::random::base62_in_sequence;
use crate::reply::Lease;
use crate::request::Request;
use crate::time::Timestamp;
use crate::token::{Token, TokenKind, TokenRecord};

/// Leases looked at in one go.
const PAGE: usize = 256;

/// A lease as it is stored, under its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRecord {
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_renewal: Option<Timestamp>,
    pub renewable: bool,
    pub of: Leased,
}

/// What a lease is on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leased {
    /// What an engine handed out; `data` is the engine's own note of it.
    Secret {
        /// Hash of the token with which it ends; `None` for one that was handed to an orphan batch
        /// token, of which nothing is stored.
        holder: Option<String>,
        data: Map<String, Value>,
    },
    Token {
        hash: String,
    },
}

impl Record for LeaseRecord {
    const FORMAT: u8 = 1;
}

/// The three areas of storage of leases.
#[derive(Clone, Debug)]
pub struct Leases {
    /// Lease id → record.
    pub records: View,
    /// `<nanoseconds>/<lease id>`, in the order in which they end.
    by_time: View,
    /// `<holder's hash>/<lease id>`, secrets only.
    by_token: View,
}

impl Leases {
    #[must_use]
    pub fn new(store: &Arc<Unsealed>) -> Self {
        let view = |prefix: &str| View::new(store.clone(), prefix);
        Self {
            records: view("sys/lease/id/"),
            by_time: view("sys/lease/time/"),
            by_token: view("sys/lease/token/"),
        }
    }

    /// Writes a lease. `previous_end` is the end it had before, when it is renewed.
    pub fn put(
        &self,
        batch: &mut Batch,
        id: &str,
        lease: &LeaseRecord,
        previous_end: Option<Timestamp>,
    ) -> Result<(), StorageError> {
        if let Some(end) = previous_end {
            self.by_time.delete(batch, &time_key(end, id));
        }
        self.by_time
            .put(batch, &time_key(lease.expires_at, id), Vec::new());
        if let Some(holder) = lease.holder() {
            self.by_token
                .put(batch, &format!("{holder}/{id}"), Vec::new());
        }
        self.records.put_record(batch, id, lease)
    }

    /// How many leases there are, those that ended and were not swept yet among them.
    pub async fn count(&self) -> Result<u64, StorageError> {
        let mut count = 0;
        let mut after: Option<String> = None;
        loop {
            let page = self.records.keys("", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            count += u64::try_from(page.len()).unwrap_or(0);
            after = Some(last.clone());
        }
    }

    pub fn delete(&self, batch: &mut Batch, id: &str, lease: &LeaseRecord) {
        self.by_time.delete(batch, &time_key(lease.expires_at, id));
        if let Some(holder) = lease.holder() {
            self.by_token.delete(batch, &format!("{holder}/{id}"));
        }
        self.records.delete(batch, id);
    }

    pub async fn get(&self, id: &str) -> Result<Option<LeaseRecord>, ApiError> {
        if check_path(id).is_err() {
            return Ok(None);
        }
        let stored = self.records.record::<LeaseRecord>(id).await?;
        Ok(stored.map(|stored| stored.value))
    }

    pub(crate) async fn has_secrets(&self, token_hash: &str) -> Result<bool, ApiError> {
        let prefix = format!("{token_hash}/");
        Ok(!self.by_token.keys(&prefix, None, 1).await?.is_empty())
    }
}

impl LeaseRecord {
    fn holder(&self) -> Option<&str> {
        match &self.of {
            Leased::Secret { holder, .. } => holder.as_deref(),
            Leased::Token { .. } => None,
        }
    }
}

/// Adds the lease of what an engine hands out to the commit that makes it. `path` is the one below
/// the mount, without slashes at its ends; `data` is given to [`crate::engine::Engine::revoke_lease`]
/// when the lease ends, and it ends with the caller's token at the latest. It is not renewable.
///
/// The handler answers the lease in [`crate::reply::Reply::lease`].
pub fn register_secret(
    request: &Request,
    batch: &mut Batch,
    path: &str,
    ttl_secs: u64,
    data: Map<String, Value>,
) -> Result<Lease, ApiError> {
    let core = request.core()?;
    let token = request.caller()?;
    let (holder, expires_at) = holder_and_end(token, request.now.plus_secs(ttl_secs));
    core.tokens.expect_unchanged(batch, token);
    let own = base62_in_sequence(request.node.rng(), request.now, 24)?;
    let id = format!("{}{path}/{own}", request.mount.path);
    let lease = LeaseRecord {
        issued_at: request.now,
        expires_at,
        last_renewal: None,
        renewable: false,
        of: Leased::Secret { holder, data },
    };
    Leases::new(&core.store).put(batch, &id, &lease, None)?;
    Ok(Lease {
        id,
        duration_secs: expires_at.secs_since(request.now),
        renewable: false,
    })
}

/// The token with which a secret ends, and when it does so by itself.
fn holder_and_end(token: &Token, wanted_end: Timestamp) -> (Option<String>, Timestamp) {
    match token.kind {
        TokenKind::Service => (Some(token.hash.clone()), wanted_end),
        TokenKind::Batch => {
            // No record of the token reminds anybody to revoke the lease: it must end by itself.
            let end = token
                .expires_at
                .map_or(wanted_end, |end| end.min(wanted_end));
            (token.parent.clone(), end)
        }
    }
}

/// Adds the lease of a new token to the commit that makes it.
pub(crate) fn index_token(
    store: &Arc<Unsealed>,
    batch: &mut Batch,
    token: &TokenRecord,
    hash: &str,
) -> Result<(), StorageError> {
    let Some(lease) = token_lease(token, hash) else {
        return Ok(());
    };
    Leases::new(store).put(batch, &token.lease_id(hash), &lease, None)
}

/// Moves the lease of a renewed token.
pub(crate) fn move_token(
    store: &Arc<Unsealed>,
    batch: &mut Batch,
    token: &TokenRecord,
    hash: &str,
    previous_end: Option<Timestamp>,
) -> Result<(), StorageError> {
    let Some(lease) = token_lease(token, hash) else {
        return Ok(());
    };
    Leases::new(store).put(batch, &token.lease_id(hash), &lease, previous_end)
}

/// Removes the lease of a token.
pub(crate) fn unindex_token(
    store: &Arc<Unsealed>,
    batch: &mut Batch,
    token: &TokenRecord,
    hash: &str,
) {
    if let Some(lease) = token_lease(token, hash) {
        Leases::new(store).delete(batch, &token.lease_id(hash), &lease);
    }
}

fn token_lease(token: &TokenRecord, hash: &str) -> Option<LeaseRecord> {
    Some(LeaseRecord {
        issued_at: token.created_at,
        expires_at: token.expires_at?,
        last_renewal: token.last_renewal,
        renewable: token.renewable,
        of: Leased::Token {
            hash: hash.to_owned(),
        },
    })
}

/// Ends one lease: the token or secret is revoked, then the record goes.
pub async fn revoke(core: &Core, id: &str, now: Timestamp) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let Some(lease) = leases.get(id).await? else {
        return Ok(());
    };
    if let Leased::Token { hash } = &lease.of {
        core.tokens.revoke_tree(core, hash, now).await?;
    }
    end(core, &leases, id, &lease, now).await
}

/// Takes a leased secret back and removes the lease.
async fn end(
    core: &Core,
    leases: &Leases,
    id: &str,
    lease: &LeaseRecord,
    now: Timestamp,
) -> Result<(), ApiError> {
    if let Leased::Secret { data, .. } = &lease.of
        && let Some((mount, _)) = core.mounts.route(id)
    {
        mount.engine.revoke_lease(data, now).await?;
    }
    let mut batch = Batch::default();
    leases.delete(&mut batch, id, lease);
    core.store.commit(batch).await?;
    Ok(())
}

/// What to do about a secret that cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Forget the lease all the same.
    Forget,
    Stop,
}

/// Ends every lease at and below `prefix`, with or without a slash at its end: `auth/x/` takes the
/// tokens of an auth method with it.
pub async fn revoke_prefix(
    core: &Core,
    prefix: &str,
    on_failure: OnFailure,
    now: Timestamp,
) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let bare = prefix.trim_matches('/');
    if check_path(bare).is_err() {
        return Ok(());
    }
    if leases.get(bare).await?.is_some() {
        end_all(core, &leases, &[bare], on_failure, now).await?;
    }
    let folder = format!("{bare}/");
    loop {
        let page = leases.records.keys(&folder, None, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = page.iter().map(|id| format!("{folder}{id}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        end_all(core, &leases, &ids, on_failure, now).await?;
        tokio::task::yield_now().await;
    }
}

/// Ends a page of leases: those of tokens on which nothing hangs in one commit, each other alone.
async fn end_all(
    core: &Core,
    leases: &Leases,
    ids: &[&str],
    on_failure: OnFailure,
    now: Timestamp,
) -> Result<(), ApiError> {
    let mut failure = None;
    for id in end_plain_tokens(core, leases, ids, now).await? {
        let Err(error) = revoke(core, id, now).await else {
            continue;
        };
        tracing::warn!(lease = id, %error, "lease cannot be revoked");
        match (on_failure, leases.get(id).await?) {
            (OnFailure::Forget, Some(lease)) => {
                let mut batch = Batch::default();
                leases.delete(&mut batch, id, &lease);
                core.store.commit(batch).await?;
            }
            // The others must not wait for this one.
            _ => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Removes the tokens on which nothing hangs in one commit, and returns the leases that are left.
async fn end_plain_tokens<'i>(
    core: &Core,
    leases: &Leases,
    ids: &[&'i str],
    now: Timestamp,
) -> Result<Vec<&'i str>, ApiError> {
    let mut left = Vec::new();
    let mut plain = Vec::new();
    let mut batch = Batch::default();
    for id in ids {
        let token = match leases.get(id).await?.map(|lease| lease.of) {
            Some(Leased::Token { hash }) if core.tokens.stands_alone(&hash).await? => {
                core.tokens.by_hash(&hash).await?
            }
            _ => None,
        };
        match token.filter(|token| token.lease_id() == *id) {
            Some(token) => {
                core.tokens.expect_unchanged(&mut batch, &token);
                core.tokens.remove_records(&mut batch, &token);
                plain.push((*id, token));
            }
            None => left.push(*id),
        }
    }
    match core.store.commit(batch).await {
        Ok(_) => {}
        // One of them was used or renewed meanwhile.
        Err(StorageError::Conflict { .. }) => left.extend(plain.drain(..).map(|(id, _)| id)),
        Err(error) => return Err(error.into()),
    }
    for (_, token) in plain {
        // Made before the commit, by a request that was under way.
        if core.tokens.has_children(&token.hash).await? {
            core.tokens.revoke_tree(core, &token.hash, now).await?;
        }
    }
    Ok(left)
}

/// Ends the leases of everything that a token was handed.
pub(crate) async fn revoke_leases_of_token(
    core: &Core,
    hash: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let prefix = format!("{hash}/");
    loop {
        let ids = leases.by_token.keys(&prefix, None, PAGE).await?;
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            if let Some(stored) = leases.records.record::<LeaseRecord>(&id).await? {
                end(core, &leases, &id, &stored.value, now).await?;
            }
            let mut batch = Batch::default();
            leases.by_token.delete(&mut batch, &format!("{prefix}{id}"));
            core.store.commit(batch).await?;
        }
    }
}

/// Ends every lease whose time has come. Reads one page when there is none.
pub(crate) async fn sweep(core: &Core, now: Timestamp) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let mut after: Option<String> = None;
    loop {
        let page = leases.by_time.keys("", after.as_deref(), PAGE).await?;
        let due: Vec<_> = page
            .iter()
            .filter_map(|key| Some((key, parse_time_key(key)?)))
            .take_while(|(_, (end, _))| *end <= now)
            .collect();
        let mut ids = Vec::with_capacity(due.len());
        let mut stale = Batch::default();
        for (key, (end, id)) in &due {
            // A renewal that came between another sweep's reading and its removal.
            match leases.get(id).await? {
                Some(lease) if lease.expires_at == *end => ids.push(*id),
                _ => leases.by_time.delete(&mut stale, key),
            }
        }
        core.store.commit(stale).await?;
        if let Err(error) = end_all(core, &leases, &ids, OnFailure::Stop, now).await {
            tracing::warn!(%error, "some leases are left for the next sweep");
        }
        if due.len() < PAGE {
            return Ok(());
        }
        after = page.into_iter().next_back();
        tokio::task::yield_now().await;
    }
}

/// As [`sweep`], while the caller goes on.
pub(crate) fn sweep_in_background(core: Arc<Core>, now: Timestamp) {
    tokio::spawn(async move {
        if let Err(error) = sweep(&core, now).await {
            tracing::error!(%error, "expiry sweep failed");
        }
    });
}

/// Sorts as the time does: leases do not end before 1970.
fn time_key(end: Timestamp, id: &str) -> String {
    format!("{:020}/{id}", end.0.max(0))
}

fn parse_time_key(key: &str) -> Option<(Timestamp, &str)> {
    let (nanos, id) = key.split_once('/')?;
    Some((Timestamp(nanos.parse().ok()?), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kind: TokenKind, parent: Option<&str>) -> Token {
        Token {
            hash: match kind {
                TokenKind::Batch => String::new(),
                TokenKind::Service => "own".into(),
            },
            record: TokenRecord {
                kind,
                parent: parent.map(str::to_owned),
                expires_at: Some(Timestamp::from_secs(100)),
                ..TokenRecord::default()
            },
            version: None,
        }
    }

    #[test]
    fn a_secret_of_a_batch_token_ends_no_later_than_the_token() {
        let [early, token_end, late] = [50, 100, 200].map(Timestamp::from_secs);
        let batch = token(TokenKind::Batch, Some("parent"));
        let holder = || Some("parent".to_owned());
        assert_eq!(holder_and_end(&batch, early), (holder(), early));
        assert_eq!(holder_and_end(&batch, late), (holder(), token_end));
        let orphan = token(TokenKind::Batch, None);
        assert_eq!(holder_and_end(&orphan, late), (None, token_end));
    }

    #[test]
    fn a_secret_of_a_service_token_ends_when_the_token_is_revoked() {
        let late = Timestamp::from_secs(200);
        let service = token(TokenKind::Service, Some("parent"));
        assert_eq!(holder_and_end(&service, late), (Some("own".into()), late));
    }

    #[test]
    fn leases_sort_by_their_end() {
        let keys = [9, 10, 1_000].map(|secs| time_key(Timestamp::from_secs(secs), "a/b"));
        assert!(keys.is_sorted());
        let end = Timestamp::from_secs(10);
        assert_eq!(parse_time_key(&keys[1]), Some((end, "a/b")));
    }
}
