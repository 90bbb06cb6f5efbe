//! Requests that are being answered right now.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::call::Call;
use crate::time::Timestamp;

/// As many as the edge lets in.
#[derive(Debug, Default)]
pub struct InFlight {
    next: AtomicU64,
    calls: Mutex<HashMap<u64, Running>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Running {
    pub call: Arc<Call>,
    pub began: Timestamp,
}

impl InFlight {
    /// Counts the call until the guard is dropped.
    pub(crate) fn enter(&self, call: &Arc<Call>, began: Timestamp) -> Guard<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let running = Running {
            call: call.clone(),
            began,
        };
        self.calls.lock().insert(id, running);
        Guard { all: self, id }
    }

    /// How many have begun since the start.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.calls.lock().len()
    }

    #[must_use]
    pub fn all(&self) -> Vec<Running> {
        self.calls.lock().values().cloned().collect()
    }
}

#[derive(Debug)]
pub(crate) struct Guard<'a> {
    all: &'a InFlight,
    id: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.all.calls.lock().remove(&self.id);
    }
}
