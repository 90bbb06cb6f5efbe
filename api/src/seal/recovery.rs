//! The recovery key of a server that unseals itself: it opens nothing, it only proves authority.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record, Unsealed, View};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// What is kept of the recovery key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recovery {
    pub(super) shares: u8,
    pub(super) threshold: u8,
    /// SHA-256 of the key, in hexadecimal. The key has 256 random bits, so its digest needs no salt.
    key_digest: String,
}

impl Record for Recovery {
    const FORMAT: u8 = 1;
}

impl Recovery {
    pub(super) fn new(shares: u8, threshold: u8, key: &[u8]) -> Self {
        Self {
            shares,
            threshold,
            key_digest: digest_of(key),
        }
    }

    pub(super) fn is_key(&self, key: &[u8]) -> bool {
        digest_of(key)
            .as_bytes()
            .ct_eq(self.key_digest.as_bytes())
            .into()
    }
}

/// `None` where no recovery key was asked for.
pub(super) async fn load(store: &Arc<Unsealed>) -> Result<Option<Recovery>, ApiError> {
    let stored = view(store).record::<Recovery>(NAME).await?;
    Ok(stored.map(|stored| stored.value))
}

pub(super) async fn save(store: &Arc<Unsealed>, recovery: &Recovery) -> Result<(), ApiError> {
    let mut batch = Batch::default();
    view(store).put_record(&mut batch, NAME, recovery)?;
    store.commit(batch).await?;
    Ok(())
}

fn view(store: &Arc<Unsealed>) -> View {
    View::new(store.clone(), "core/")
}

const NAME: &str = "recovery-key";

fn digest_of(key: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, key))
}
