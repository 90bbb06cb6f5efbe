//! RSA keys made while nothing else is to do, for `issue`: making one takes a hundred times as long
//! as the rest of the request.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use signet_pki::key::{KeyKind, PrivateKey};

use crate::error::ApiError;
use crate::node::Node;

/// Keys that nobody has yet. Their memory is wiped when they are dropped; each is given out once.
#[derive(Debug, Default)]
pub struct KeysAhead {
    limit: usize,
    keys: Mutex<Vec<PrivateKey>>,
    /// What had been begun when somebody last looked whether the server is idle.
    begun: AtomicU64,
}

/// What is made ahead; other sizes are asked for too rarely.
const KIND: KeyKind = KeyKind::Rsa { bits: 2048 };

impl KeysAhead {
    /// At most `limit` keys; 0 for none.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// A key of this kind, if there is one.
    pub(crate) fn take(&self, kind: KeyKind) -> Option<PrivateKey> {
        if kind != KIND {
            return None;
        }
        self.keys.lock().pop()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.lock().len()
    }

    pub(crate) fn wipe(&self) {
        self.keys.lock().clear();
    }

    fn has_room(&self) -> bool {
        self.count() < self.limit
    }

    /// Adds a key if there is still room for it.
    fn add(&self, key: PrivateKey) {
        let mut keys = self.keys.lock();
        if keys.len() < self.limit {
            keys.push(key);
        }
    }
}

impl Node {
    /// Makes one key ahead, if there is room and the server is unsealed and idle: no request is
    /// being answered, and none has begun since the last call. To be called again and again;
    /// `false`: not now.
    ///
    /// # Errors
    /// When the cryptographic library makes no key.
    pub async fn make_key_ahead(&self) -> Result<bool, ApiError> {
        let ahead = &self.environment.keys_ahead;
        let begun = self.in_flight.begun();
        let was_idle = ahead.begun.swap(begun, Ordering::Relaxed) == begun;
        let is_idle = was_idle && self.in_flight.count() == 0;
        if !is_idle || !ahead.has_room() || self.core().is_none() {
            return Ok(false);
        }
        let pool = &self.environment.key_pool;
        let key = pool.run(|| PrivateKey::generate(KIND)).await?;
        ahead.add(key.map_err(ApiError::internal)?);
        if self.core().is_none() {
            // Sealed meanwhile.
            ahead.wipe();
        }
        Ok(true)
    }
}
