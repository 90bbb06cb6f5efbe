//! What a login costs storage, and that a crash gives no use of a secret-id away.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use signet_storage::{Backend, Batch, Engine, Entry, Observer, StorageError, Version};

use crate::support::{Answer, ROOT, Server};

/// Memory storage that counts, and whose next commit can fail.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Backend>,
    reads: AtomicUsize,
    commits: AtomicUsize,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The bytes are durable, but nobody is told.
    After,
    /// Nothing was written.
    Before,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: signet_storage::open(&Engine::Inmem).unwrap(),
            reads: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            fault: Mutex::new(None),
        })
    }

    fn take_counts(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.reads), take(&self.commits))
    }
}

#[async_trait]
impl Backend for Watched {
    async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(path).await
    }

    async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.keys(prefix, after, limit).await
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.scan(prefix, after, limit).await
    }

    async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.children(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let fault = self.fault.lock().take();
        let failed = || StorageError::Io(Arc::new(io::Error::other("power cut")));
        match fault {
            None => self.inner.commit(batch).await,
            Some(Fault::Before) => Err(failed()),
            Some(Fault::After) => {
                self.inner.commit(batch).await?;
                Err(failed())
            }
        }
    }

    fn watch(&self, observer: Arc<dyn Observer>) {
        self.inner.watch(observer);
    }
}

async fn server(storage: &Arc<Watched>, num_uses: u64) -> Server {
    let server = Server::start_on(storage.clone()).await;
    server.enable_auth("approle").await;
    let role = json!({"role_id": "web"});
    server.write(ROOT, "auth/approle/role/web", role).await;
    let path = "auth/approle/role/web/custom-secret-id";
    let secret_id = json!({"secret_id": "sid", "num_uses": num_uses});
    server.write(ROOT, path, secret_id).await;
    server
}

async fn login(server: &Server) -> Answer {
    let data = json!({"role_id": "web", "secret_id": "sid"});
    server.write("", "auth/approle/login", data).await
}

#[tokio::test]
async fn a_login_is_one_read_and_one_commit() {
    for num_uses in [0, 1, 5] {
        let storage = Watched::new();
        let server = server(&storage, num_uses).await;
        // The first login fills the memory; a wrong secret writes nothing.
        let wrong = json!({"role_id": "web", "secret_id": "wrong"});
        server.write("", "auth/approle/login", wrong).await;
        storage.take_counts();
        assert_eq!(login(&server).await.0, 200);
        assert_eq!(storage.take_counts(), (1, 1), "{num_uses}");
    }
}

#[tokio::test]
async fn a_crash_leaves_the_token_and_the_use_together_or_neither() {
    for (fault, used) in [(Fault::Before, 0), (Fault::After, 1)] {
        let storage = Watched::new();
        let server = server(&storage, 5).await;
        let tokens = || async {
            let core = server.node.core().unwrap();
            let tokens = core.store.keys("sys/token/id/", None, usize::MAX).await;
            tokens.unwrap().len()
        };
        let before = tokens().await;
        *storage.fault.lock() = Some(fault);
        assert_eq!(login(&server).await.0, 500);
        server.restart().await;
        assert_eq!(tokens().await - before, used, "{fault:?}");
        let path = "auth/approle/role/web/secret-id/lookup";
        let left = server.write(ROOT, path, json!({"secret_id": "sid"})).await;
        assert_eq!(left.1["data"]["secret_id_num_uses"], 5 - used, "{fault:?}");
    }
}
