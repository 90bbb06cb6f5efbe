//! Everything in memory: for development and tests. Durable means visible.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};

use super::decide::decide;
use super::observers::Observers;
use super::{Backend, Batch, Entry, Observer, Version, listing};
use crate::error::StorageError;

#[derive(Debug, Default)]
pub(super) struct InMemory {
    entries: RwLock<BTreeMap<String, Entry>>,
    /// Held for a whole commit, so that observers hear of commits in order.
    last_commit: Mutex<Version>,
    observers: Observers,
}

#[async_trait]
impl Backend for InMemory {
    async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        Ok(self.entries.read().get(path).cloned())
    }

    async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let entries = self.entries.read();
        let page = listing::page(prefix, after, limit, |start| {
            Ok(entries
                .range((start, Bound::Unbounded))
                .map(|(key, _)| Ok((key.clone(), ()))))
        })?;
        Ok(page.into_iter().map(|(key, ())| key).collect())
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        let entries = self.entries.read();
        listing::page(prefix, after, limit, |start| {
            Ok(entries
                .range((start, Bound::Unbounded))
                .map(|(key, entry)| Ok((key.clone(), entry.clone()))))
        })
    }

    async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let entries = self.entries.read();
        listing::children(prefix, after, limit, |start| {
            Ok(entries
                .range((start, Bound::Unbounded))
                .map(|(key, _)| Ok(key.clone())))
        })
    }

    async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        batch.check_paths()?;
        let mut last_commit = self.last_commit.lock();
        let mut decision = {
            let entries = self.entries.read();
            decide(vec![batch], *last_commit, |path| {
                Ok(entries.get(path).map(|entry| entry.version))
            })?
        };
        let mut entries = self.entries.write();
        for (path, change) in decision.changes {
            match change {
                Some(entry) => entries.insert(path, entry),
                None => entries.remove(&path),
            };
        }
        drop(entries);
        *last_commit = decision.last_commit;
        let outcome = decision.outcomes.pop().ok_or(StorageError::Closed)?;
        let paths: Vec<&str> = outcome.paths.iter().map(String::as_str).collect();
        self.observers.notify(&paths);
        outcome.result
    }

    fn watch(&self, observer: Arc<dyn Observer>) {
        self.observers.add(&observer);
    }
}
