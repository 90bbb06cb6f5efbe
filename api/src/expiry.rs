//! Leases and their end: one index by time, swept about once a minute; no timer per token.
//!
//! Every token with a lease and every leased secret has a record under its lease id and an entry in
//! the time index, written in the commit that makes it. A lease that has ended but was not swept
//! yet is already invalid: whoever reads it compares the time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_storage::{Batch, Record, StorageError, Unsealed, View};

use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::pipeline::Request;
use crate::random::base62;
use crate::reply::Lease;
use crate::time::Timestamp;
use crate::token::TokenRecord;

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
        token_hash: String,
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
    /// `<token hash>/<lease id>`, secrets only.
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
        if let Leased::Secret { token_hash, .. } = &lease.of {
            self.by_token
                .put(batch, &format!("{token_hash}/{id}"), Vec::new());
        }
        self.records.put_record(batch, id, lease)
    }

    pub fn delete(&self, batch: &mut Batch, id: &str, lease: &LeaseRecord) {
        self.by_time.delete(batch, &time_key(lease.expires_at, id));
        if let Leased::Secret { token_hash, .. } = &lease.of {
            self.by_token.delete(batch, &format!("{token_hash}/{id}"));
        }
        self.records.delete(batch, id);
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
    Leases::new(store).put(batch, &token_lease_id(token, hash), &lease, None)
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
    Leases::new(store).put(batch, &token_lease_id(token, hash), &lease, previous_end)
}

/// Removes the lease of a token.
pub(crate) fn unindex_token(
    store: &Arc<Unsealed>,
    batch: &mut Batch,
    token: &TokenRecord,
    hash: &str,
) {
    if let Some(lease) = token_lease(token, hash) {
        Leases::new(store).delete(batch, &token_lease_id(token, hash), &lease);
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

fn token_lease_id(token: &TokenRecord, hash: &str) -> String {
    format!("{}/h{hash}", token.path)
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
    let random = base62(request.node.rng(), 24)?;
    let id = format!("{}{path}/{random}", request.mount.path);
    let lease = LeaseRecord {
        issued_at: request.now,
        expires_at: request.now.plus_secs(ttl_secs),
        last_renewal: None,
        renewable: false,
        of: Leased::Secret {
            token_hash: request.caller()?.hash.clone(),
            data,
        },
    };
    Leases::new(&core.store).put(batch, &id, &lease, None)?;
    Ok(Lease {
        id,
        duration_secs: ttl_secs,
        renewable: false,
    })
}

/// Ends one lease: the token or secret is revoked, then the record goes.
pub async fn revoke(core: &Core, id: &str, now: Timestamp) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let Some(stored) = leases.records.record::<LeaseRecord>(id).await? else {
        return Ok(());
    };
    if let Leased::Token { hash } = &stored.value.of {
        core.tokens.revoke_tree(core, hash, now).await?;
    }
    end(core, &leases, id, &stored.value, now).await
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

/// Ends every lease whose id begins with `prefix`.
pub async fn revoke_prefix(core: &Core, prefix: &str, now: Timestamp) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    loop {
        let ids = leases.records.keys(prefix, None, PAGE).await?;
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            revoke(core, &format!("{prefix}{id}"), now).await?;
        }
    }
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

/// Ends every lease whose time has come.
pub(crate) async fn sweep(_node: &Node, core: &Core, now: Timestamp) -> Result<(), ApiError> {
    let leases = Leases::new(&core.store);
    let mut after = None;
    loop {
        let page = leases.by_time.keys("", after.as_deref(), PAGE).await?;
        let Some(last) = page.last().cloned() else {
            return Ok(());
        };
        for key in &page {
            let Some((end, id)) = parse_time_key(key) else {
                continue;
            };
            if end > now {
                return Ok(());
            }
            if let Err(error) = revoke(core, id, now).await {
                // The others must not wait for this one; the next sweep tries again.
                tracing::warn!(lease = id, %error, "lease cannot be revoked");
                continue;
            }
            let mut batch = Batch::default();
            leases.by_time.delete(&mut batch, key);
            core.store.commit(batch).await?;
        }
        after = Some(last);
    }
}

/// Sorts as the time does: leases do not end before 1970.
fn time_key(end: Timestamp, id: &str) -> String {
    format!("{:020}/{id}", end.0.max(0))
}

fn parse_time_key(key: &str) -> Option<(Timestamp, &str)> {
    let (nanos, id) = key.split_once('/')?;
    Some((Timestamp(nanos.parse().ok()?), id))
}
