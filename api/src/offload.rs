//! A bounded pool for work that would hold up the event loop: RSA signatures, key generation.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Runs slow computations on threads of their own, no more at once than there are cores; more than
/// a bounded number of waiting ones are refused.
#[derive(Clone, Debug)]
pub struct Pool {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Pool {
    /// `threads` computations at once, at most `queue` more waiting.
    #[must_use]
    pub fn new(threads: usize, queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads + queue)),
        }
    }

    /// Runs `work` and gives back what it returns.
    ///
    /// # Errors
    /// `Overloaded` when too many computations wait already.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(_place) = self.waiting.clone().try_acquire_owned() else {
            return Err(ApiError::overloaded());
        };
        let turn = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(ApiError::internal)?;
        let span = tracing::Span::current();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one bounded door to blocking threads"
        )]
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even when the caller has gone away.
            let _turn = turn;
            span.in_scope(work)
        });
        task.await.map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn refuses_more_than_the_queue_holds() {
        let pool = Pool::new(1, 0);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || wait.recv().is_ok()).await }
        });
        while pool.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = pool.run(|| ()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        release.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
    }
}
