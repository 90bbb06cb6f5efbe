//! Who wants to hear of commits.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Observer;

#[derive(Debug, Default)]
pub(super) struct Observers {
    registered: Mutex<Vec<Weak<dyn Observer>>>,
}

impl Observers {
    pub(super) fn add(&self, observer: &Arc<dyn Observer>) {
        let mut registered = self.registered.lock();
        registered.retain(|observer| observer.strong_count() > 0);
        registered.push(Arc::downgrade(observer));
    }

    pub(super) fn notify(&self, paths: &[&str]) {
        if paths.is_empty() {
            return;
        }
        // Copied, so that an observer may register another one.
        let alive: Vec<_> = self
            .registered
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for observer in alive {
            observer.changed(paths);
        }
    }
}
