//! A store in memory that lets other requests run before and after every step, the same way in
//! every run: what may happen between two requests does happen, without luck or threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use signet_storage::{Backend, Batch, Engine, Entry, Observer, StorageError, Version};

use crate::support::Server;

impl Server {
    /// As `start`; requests at the same time get in each other's way.
    pub(crate) async fn start_interleaved(seed: u64) -> Self {
        let inner = signet_storage::open(&Engine::Inmem).unwrap();
        let steps = AtomicU64::new(seed);
        Self::start_on(Arc::new(Interleaved { inner, steps })).await
    }
}

#[derive(Debug)]
struct Interleaved {
    inner: Arc<dyn Backend>,
    steps: AtomicU64,
}

impl Interleaved {
    /// Up to three others go first.
    async fn pause(&self) {
        let step = self
            .steps
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        for _ in 0..(step.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 62) {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Backend for Interleaved {
    async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        self.pause().await;
        let found = self.inner.get(path).await;
        self.pause().await;
        found
    }

    async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.pause().await;
        let found = self.inner.keys(prefix, after, limit).await;
        self.pause().await;
        found
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        self.pause().await;
        let found = self.inner.scan(prefix, after, limit).await;
        self.pause().await;
        found
    }

    async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.pause().await;
        let found = self.inner.children(prefix, after, limit).await;
        self.pause().await;
        found
    }

    async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        self.pause().await;
        let committed = self.inner.commit(batch).await;
        self.pause().await;
        committed
    }

    fn watch(&self, observer: Arc<dyn Observer>) {
        self.inner.watch(observer);
    }
}
