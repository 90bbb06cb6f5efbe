//! Concurrent commits share one flush: a thread takes all that wait, writes them as one, and
//! answers them together.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::Batch;
use super::decide::{Decision, EntryChanges};
use super::observers::Observers;
use super::{Backend, Entry, Observer, Version};
use crate::error::StorageError;

/// What an engine on files does; all of it blocks. Only the writer thread calls `apply` and
/// `recover`.
pub(super) trait Store: Send + Sync + std::fmt::Debug + 'static {
    fn get(&self, path: &str) -> Result<Option<Entry>, StorageError>;

    /// [`super::decide::decide`] against one view of what is stored: to open one for each expectation costs more
    /// than all of them.
    fn decide(&self, batches: Vec<Batch>, last_commit: Version) -> Result<Decision, StorageError>;

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;

    fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError>;

    fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;

    fn last_commit(&self) -> Result<Version, StorageError>;

    /// All or nothing, durable on return. After an error it is open which of the two it was.
    fn apply(&self, changes: &EntryChanges, last_commit: Version) -> Result<(), StorageError>;

    /// Called after a failed `apply`, and again before each group until it succeeds.
    fn recover(&self) -> Result<(), StorageError>;

    /// Called once when commits have ceased for a while: the time for work that makes the next
    /// opening faster.
    fn settle(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A [`Store`] with its writer.
#[derive(Debug)]
pub(super) struct GroupCommit<S: Store> {
    store: Arc<S>,
    observers: Arc<Observers>,
    /// `None` only while dropping.
    queue: Option<Sender<Request>>,
    places: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Request {
    batch: Batch,
    answer: oneshot::Sender<Result<Version, StorageError>>,
    /// Held until the answer.
    place: OwnedSemaphorePermit,
}

/// Committers that may wait before further ones are held back.
const QUEUE_LENGTH: usize = 1024;

/// Largest group, by batches and by bytes.
const MAX_GROUP_BATCHES: usize = 256;
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Quiet after which the engine may do its deferred work.
const SETTLE_AFTER: Duration = Duration::from_millis(200);

/// How long a group waits for as many committers as the one before it had, and how often it looks.
const MAX_WAIT: Duration = Duration::from_micros(300);
const LOOK_EVERY: Duration = Duration::from_micros(50);

impl<S: Store> GroupCommit<S> {
    pub(super) fn start(store: S) -> Result<Self, StorageError> {
        let store = Arc::new(store);
        let observers = Arc::new(Observers::default());
        let (queue, requests) = mpsc::channel();
        let writer = Writer {
            last_commit: store.last_commit()?,
            store: Arc::clone(&store),
            observers: Arc::clone(&observers),
            broken: false,
        };
        let writer = thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || writer.run(&requests))?;
        Ok(Self {
            store,
            observers,
            queue: Some(queue),
            places: Arc::new(Semaphore::new(QUEUE_LENGTH)),
            writer: Some(writer),
        })
    }
}

#[async_trait]
impl<S: Store> Backend for GroupCommit<S> {
    async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        self.store.get(path)
    }

    async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.store.keys(prefix, after, limit)
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        self.store.scan(prefix, after, limit)
    }

    async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.store.children(prefix, after, limit)
    }

    async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        batch.check_paths()?;
        let queue = self.queue.as_ref().ok_or(StorageError::Closed)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_closed| StorageError::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue
            .send(Request {
                batch,
                answer,
                place,
            })
            .map_err(|_closed| StorageError::Closed)?;
        answered.await.unwrap_or(Err(StorageError::Closed))
    }

    fn watch(&self, observer: Arc<dyn Observer>) {
        self.observers.add(&observer);
    }
}

impl<S: Store> Drop for GroupCommit<S> {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already failed its committers.
            let _ = writer.join();
        }
    }
}

#[derive(Debug)]
struct Writer<S> {
    store: Arc<S>,
    observers: Arc<Observers>,
    last_commit: Version,
    /// An `apply` failed and `recover` has not succeeded since.
    broken: bool,
}

impl<S: Store> Writer<S> {
    fn run(mut self, requests: &Receiver<Request>) {
        let mut last_group_batches = 1;
        let mut settled = true;
        loop {
            let request = if settled {
                requests
                    .recv()
                    .map_err(|_closed| RecvTimeoutError::Disconnected)
            } else {
                requests.recv_timeout(SETTLE_AFTER)
            };
            let request = match request {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => {
                    self.settle();
                    settled = true;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            settled = false;
            let group = gather(request, requests, last_group_batches);
            last_group_batches = group.len();
            self.commit_group(group);
        }
    }

    fn commit_group(&mut self, group: Vec<Request>) {
        let (batches, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(
                |Request {
                     batch,
                     answer,
                     place,
                 }| (batch, (answer, place)),
            )
            .unzip();
        let results = match self.try_commit(batches) {
            Ok(results) => results,
            Err(error) => vec![Err(error); answers.len()],
        };
        for ((answer, place), result) in answers.into_iter().zip(results) {
            drop(place);
            // The committer may have gone away; its batch was written all the same.
            let _ = answer.send(result);
        }
    }

    fn try_commit(
        &mut self,
        batches: Vec<Batch>,
    ) -> Result<Vec<Result<Version, StorageError>>, StorageError> {
        if self.broken {
            self.recover()?;
        }
        let Decision {
            changes,
            outcomes,
            last_commit,
        } = self.store.decide(batches, self.last_commit)?;
        if !changes.is_empty()
            && let Err(error) = self.store.apply(&changes, last_commit)
        {
            self.after_failure(&error, &changes);
            return Err(error);
        }
        self.last_commit = last_commit;
        for outcome in &outcomes {
            let paths: Vec<&str> = outcome.paths.iter().map(String::as_str).collect();
            self.observers.notify(&paths);
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.result).collect())
    }

    fn after_failure(&mut self, error: &StorageError, changes: &EntryChanges) {
        tracing::error!(error = %describe(error), "storage failed");
        self.broken = true;
        if let Err(error) = self.recover() {
            tracing::error!(error = %describe(&error), "storage does not come back");
        }
        // The changes may be there or not: caches have to look.
        let paths: Vec<&str> = changes.keys().map(String::as_str).collect();
        self.observers.notify(&paths);
    }

    fn settle(&mut self) {
        if self.broken {
            return;
        }
        if let Err(error) = self.store.settle() {
            self.after_failure(&error, &EntryChanges::new());
        }
    }

    fn recover(&mut self) -> Result<(), StorageError> {
        self.store.recover()?;
        self.last_commit = self.store.last_commit()?;
        self.broken = false;
        Ok(())
    }
}

/// The first request and those that wait behind it, or are about to: committers that were answered
/// together come back together, and a group that left without most of them would make them wait for
/// two flushes. So as many as last time are waited for, for a fraction of a flush.
fn gather(first: Request, requests: &Receiver<Request>, expected_batches: usize) -> Vec<Request> {
    let mut bytes = first.batch.size_bytes();
    let mut group = vec![first];
    let mut waiting_since = None;
    while group.len() < MAX_GROUP_BATCHES && bytes < MAX_GROUP_BYTES {
        match requests.try_recv() {
            Ok(request) => {
                bytes += request.batch.size_bytes();
                group.push(request);
            }
            Err(_) if group.len() >= expected_batches => break,
            Err(_) => {
                let since = waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= MAX_WAIT {
                    break;
                }
                // Asleep: whoever is waited for needs the processor.
                thread::sleep(LOOK_EVERY);
            }
        }
    }
    group
}

fn describe(error: &StorageError) -> String {
    match error {
        StorageError::Io(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}

/// For what an engine reports that is neither its data nor the system's errors.
pub(super) fn other_error(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StorageError {
    StorageError::from(io::Error::other(error))
}
