//! The one trait that every engine implements.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::StorageError;

mod batch;
mod data_dir;
mod decide;
mod group;
mod inmem;
mod listing;
mod observers;
mod open;
mod path;
#[cfg(test)]
mod power_cut;
mod redb;
mod sled;
mod stored;

pub use batch::{Batch, Expect};
pub use open::{DEFAULT_CACHE_BYTES, Engine, open};
pub use path::check_path;

/// The number of the commit that last wrote a key. Numbers only grow, and a key that was deleted
/// and written again has a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A stored value. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    pub version: Version,
}

/// An ordered store of bytes by path.
///
/// Every read sees all commits that were acknowledged before it began.
#[async_trait]
pub trait Backend: Send + Sync + Debug {
    async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError>;

    /// Full-depth keys that begin with `prefix`, in byte order and without the prefix, strictly
    /// after `after` (relative too), at most `limit`. A page is read in one go on the caller's
    /// thread: ask for hundreds, not for all.
    async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;

    /// As [`Backend::keys`], with the values.
    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError>;

    /// The names one level below `prefix`, in byte order: `a` for a value, `a/` where there are
    /// keys below. Costs one seek per name, not a walk through what is below.
    async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;

    /// Writes all of the batch or nothing, and answers when the bytes are durable.
    ///
    /// Dropping the future does not take the batch back.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] and [`StorageError::InvalidPath`]: nothing was written.
    /// [`StorageError::Io`] and [`StorageError::Closed`]: the batch may or may not have been
    /// written.
    async fn commit(&self, batch: Batch) -> Result<Version, StorageError>;

    /// Tells `observer` of every commit from now on. It is held weakly: it hears of commits for as
    /// long as the caller keeps it.
    fn watch(&self, observer: Arc<dyn Observer>);
}

/// Hears of changes: what caches live by.
pub trait Observer: Send + Sync + Debug {
    /// Called in commit order, after a commit is durable and before its committer is answered, so
    /// that no cache serves stale data to a caller whose write was acknowledged. Also called when
    /// a commit failed in a way that leaves open whether its paths have changed. Must be quick and
    /// must not wait for a commit.
    fn changed(&self, paths: &[&str]);
}

impl Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("bytes", &self.value.len())
            .field("version", &self.version)
            .finish()
    }
}
