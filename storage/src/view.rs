//! The unsealed store narrowed to one prefix.

use std::sync::{Arc, Weak};

use crate::backend::{Batch, Entry, Expect, Observer, Version};
use crate::barrier::Unsealed;
use crate::error::StorageError;
use crate::record::{self, Record, Stored};

/// What one mount sees of the store: paths are relative to its prefix. Cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    unsealed: Arc<Unsealed>,
    prefix: Arc<str>,
}

impl View {
    /// `prefix` is empty or ends with a slash; a missing slash is added.
    pub fn new(unsealed: Arc<Unsealed>, prefix: &str) -> Self {
        let prefix = if prefix.is_empty() || prefix.ends_with('/') {
            Arc::from(prefix)
        } else {
            Arc::from(format!("{prefix}/"))
        };
        Self { unsealed, prefix }
    }

    /// The view of `relative` below this one.
    #[must_use]
    pub fn child(&self, relative: &str) -> Self {
        Self::new(Arc::clone(&self.unsealed), &self.path(relative))
    }

    pub fn unsealed(&self) -> &Arc<Unsealed> {
        &self.unsealed
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The absolute path, as batches hold it.
    pub fn path(&self, relative: &str) -> String {
        format!("{}{relative}", self.prefix)
    }

    pub async fn get(&self, relative: &str) -> Result<Option<Entry>, StorageError> {
        self.unsealed.get(&self.path(relative)).await
    }

    /// See [`crate::Backend::keys`].
    pub async fn keys(
        &self,
        relative: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.unsealed.keys(&self.path(relative), after, limit).await
    }

    /// See [`crate::Backend::scan`].
    pub async fn scan(
        &self,
        relative: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        self.unsealed.scan(&self.path(relative), after, limit).await
    }

    /// See [`crate::Backend::children`].
    pub async fn children(
        &self,
        relative: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.unsealed
            .children(&self.path(relative), after, limit)
            .await
    }

    pub async fn record<T: Record>(
        &self,
        relative: &str,
    ) -> Result<Option<Stored<T>>, StorageError> {
        let path = self.path(relative);
        match self.unsealed.get(&path).await? {
            None => Ok(None),
            Some(Entry { value, version }) => Ok(Some(Stored {
                value: record::decode(&path, value)?,
                version,
            })),
        }
    }

    /// A page of records; see [`crate::Backend::scan`].
    pub async fn scan_records<T: Record>(
        &self,
        relative: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Stored<T>)>, StorageError> {
        let page = self.scan(relative, after, limit).await?;
        page.into_iter()
            .map(|(key, Entry { value, version })| {
                let path = format!("{}{relative}{key}", self.prefix);
                Ok((
                    key,
                    Stored {
                        value: record::decode(&path, value)?,
                        version,
                    },
                ))
            })
            .collect()
    }

    pub fn put(&self, batch: &mut Batch, relative: &str, value: Vec<u8>) {
        batch.put(self.path(relative), value);
    }

    pub fn put_record<T: Record>(
        &self,
        batch: &mut Batch,
        relative: &str,
        record: &T,
    ) -> Result<(), StorageError> {
        let path = self.path(relative);
        let bytes = record::encode(&path, record)?;
        batch.put(path, bytes);
        Ok(())
    }

    pub fn delete(&self, batch: &mut Batch, relative: &str) {
        batch.delete(self.path(relative));
    }

    pub fn expect(&self, batch: &mut Batch, relative: &str, expect: Expect) {
        batch.expect(self.path(relative), expect);
    }

    /// Paths in the batch are absolute, so that batches made with several views may be merged.
    pub async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        self.unsealed.commit(batch).await
    }

    /// Deletes everything below `relative` (which is empty or ends with a slash), a bounded number
    /// of keys in each commit. Not atomic: a failure leaves a part, and a second call goes on.
    pub async fn delete_prefix(&self, relative: &str) -> Result<(), StorageError> {
        const KEYS_PER_COMMIT: usize = 512;
        loop {
            let keys = self.keys(relative, None, KEYS_PER_COMMIT).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for key in keys {
                batch.delete(format!("{}{relative}{key}", self.prefix));
            }
            self.unsealed.commit(batch).await?;
        }
    }

    /// Tells `observer` of changes below this view, by relative paths. It is held weakly, as by
    /// [`crate::Backend::watch`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "lets an `Arc<Cache>` coerce at the call"
    )]
    pub fn watch(&self, observer: Arc<dyn Observer>) {
        self.unsealed.watch_kept(Arc::new(Relative {
            prefix: Arc::clone(&self.prefix),
            observer: Arc::downgrade(&observer),
        }));
    }
}

/// Passes on what lies below a prefix.
#[derive(Debug)]
pub(crate) struct Relative {
    prefix: Arc<str>,
    observer: Weak<dyn Observer>,
}

impl Relative {
    pub(crate) fn is_alive(&self) -> bool {
        self.observer.strong_count() > 0
    }
}

impl Observer for Relative {
    fn changed(&self, paths: &[&str]) {
        let Some(observer) = self.observer.upgrade() else {
            return;
        };
        let below: Vec<&str> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(&*self.prefix))
            .collect();
        if !below.is_empty() {
            observer.changed(&below);
        }
    }
}
