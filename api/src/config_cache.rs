//! The configuration of a mount in memory, with what was made of it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parking_lot::RwLock;
use signet_storage::{Observer, View};

use crate::error::ApiError;

/// Made when first asked for, forgotten when the record changes.
pub(crate) struct ConfigCache<T> {
    /// Of the record, below the mount.
    path: &'static str,
    kept: RwLock<Kept<T>>,
}

struct Kept<T> {
    /// Grows with every change: what was read before a change is not kept after it.
    generation: u64,
    value: Option<Arc<T>>,
}

impl<T> fmt::Debug for ConfigCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigCache").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> ConfigCache<T> {
    /// Follows the record at `path` of `view`.
    pub(crate) fn watching(view: &View, path: &'static str) -> Arc<Self> {
        let cache = Arc::new(Self {
            path,
            kept: RwLock::new(Kept {
                generation: 0,
                value: None,
            }),
        });
        view.watch(cache.clone());
        cache
    }

    /// What is kept, else what `load` makes of the record; `None` where there is no record.
    pub(crate) async fn get(
        &self,
        load: impl Future<Output = Result<Option<T>, ApiError>>,
    ) -> Result<Option<Arc<T>>, ApiError> {
        let generation = {
            let kept = self.kept.read();
            if let Some(value) = &kept.value {
                return Ok(Some(value.clone()));
            }
            kept.generation
        };
        let Some(loaded) = load.await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut kept = self.kept.write();
        if kept.generation != generation {
            return Ok(Some(loaded));
        }
        // Somebody else's, if two loaded at the same time: what it has fetched is shared.
        Ok(Some(kept.value.get_or_insert(loaded).clone()))
    }
}

impl<T: Send + Sync + 'static> Observer for ConfigCache<T> {
    fn changed(&self, paths: &[&str]) {
        if paths.contains(&self.path) {
            let mut kept = self.kept.write();
            kept.generation += 1;
            kept.value = None;
        }
    }
}
