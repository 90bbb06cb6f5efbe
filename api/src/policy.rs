//! Stored policies, and what each set of them allows, compiled once.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Observer, Record, View};
use time::OffsetDateTime;

use crate::acl::{Acl, DEFAULT_POLICY, Policy, RESPONSE_WRAPPING_POLICY};
use crate::error::ApiError;
use crate::time::Timestamp;
use crate::token::Token;

/// Sets of policies kept compiled.
const CACHED_SETS: usize = 1_000;

/// The policies of an unsealed server.
#[derive(Debug)]
pub struct PolicyStore {
    view: View,
    compiled: Arc<Compiled>,
}

/// A policy as it is stored, verbatim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyRecord {
    pub text: String,
}

impl Record for PolicyRecord {
    const FORMAT: u8 = 1;
}

#[derive(Debug)]
struct Compiled(Cache<Vec<String>, Arc<Acl>>);

impl Observer for Compiled {
    /// Policies change rarely; finding out which sets hold one is not worth it.
    fn changed(&self, _paths: &[&str]) {
        self.0.clear();
    }
}

impl PolicyStore {
    /// Opens the store and writes the policies that every server has.
    pub async fn open(view: View) -> Result<Self, ApiError> {
        let compiled = Arc::new(Compiled(Cache::new(CACHED_SETS)));
        view.watch(compiled.clone());
        let store = Self { view, compiled };
        if store.text("default").await?.is_none() {
            store.put("default", DEFAULT_POLICY).await?;
        }
        Ok(store)
    }

    /// The names of all policies, sorted, `root` included.
    pub async fn names(&self) -> Result<Vec<String>, ApiError> {
        let mut names = self.view.keys("", None, usize::MAX).await?;
        names.push("root".into());
        names.sort();
        Ok(names)
    }

    /// The text of a policy; empty for `root`.
    pub async fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match name {
            "root" => Ok(Some(String::new())),
            "response-wrapping" => Ok(Some(RESPONSE_WRAPPING_POLICY.into())),
            _ => {
                let stored = self.view.record::<PolicyRecord>(name).await?;
                Ok(stored.map(|stored| stored.value.text))
            }
        }
    }

    /// Stores a policy that was parsed before.
    pub async fn put(&self, name: &str, text: &str) -> Result<(), ApiError> {
        let mut batch = Batch::default();
        self.stage(&mut batch, name, text)?;
        self.view.commit(batch).await?;
        Ok(())
    }

    /// Adds a policy that was parsed before to `batch`.
    pub fn stage(&self, batch: &mut Batch, name: &str, text: &str) -> Result<(), ApiError> {
        let record = PolicyRecord {
            text: text.to_owned(),
        };
        Ok(self.view.put_record(batch, name, &record)?)
    }

    pub fn stage_deletion(&self, batch: &mut Batch, name: &str) {
        self.view.delete(batch, name);
    }

    /// What a token may do, by the current text of its policies.
    pub async fn acl(&self, token: &Token, now: Timestamp) -> Result<Arc<Acl>, ApiError> {
        let is_current = |acl: &Acl| {
            let end = acl.expires_at();
            end.is_none_or(|end| now < Timestamp::from_secs(end.unix_timestamp()))
        };
        let cache = &self.compiled.0;
        if let Some(acl) = cache.get(&token.policies) {
            if is_current(&acl) {
                return Ok(acl);
            }
            cache.remove(&token.policies);
        }
        // A change of policies while they are compiled takes the guard's place away: what was
        // compiled before the change is never kept.
        let guard = match cache.get_value_or_guard_async(&token.policies).await {
            Ok(acl) => return Ok(acl),
            Err(guard) => guard,
        };
        let acl = Arc::new(self.compile(&token.policies, now).await?);
        let _ = guard.insert(acl.clone());
        Ok(acl)
    }

    async fn compile(&self, names: &[String], now: Timestamp) -> Result<Acl, ApiError> {
        if names.iter().any(|name| name == "root") {
            return Ok(Acl::root());
        }
        let mut policies = Vec::new();
        for name in names {
            let Some(text) = self.text(name).await? else {
                continue;
            };
            match Policy::parse(name, &text) {
                Ok(policy) => policies.push(policy),
                Err(error) => tracing::error!(policy = name, %error, "stored policy is unreadable"),
            }
        }
        let now = OffsetDateTime::from_unix_timestamp(now.secs()).map_err(ApiError::internal)?;
        Acl::new(&policies, &|_template| None, now).map_err(ApiError::internal)
    }
}
