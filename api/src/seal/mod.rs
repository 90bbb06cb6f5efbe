//! Ceremonies around the root key: initializing, unsealing, new root tokens, new shares.
//!
//! People bring shares one request at a time. What was brought so far lives in memory only, is
//! wiped when it is used or dropped, and a set that gives a wrong key starts anew.

mod authority;
mod generate_root;
mod initialize;
mod recovery;
mod rekey;
mod rotation;
mod shares;
mod unseal;

use std::sync::OnceLock;

use parking_lot::Mutex;
use signet_storage::UnsealKey;

use crate::error::ApiError;

pub use generate_root::{GenerateRootStatus, OTP_LENGTH};
pub use initialize::{Initialized, RecoveryShares};
pub use rekey::{NewShares, RekeyStatus, RekeyStep, Target, VerifyStatus, VerifyStep};
pub use rotation::RotationConfig;
pub use shares::{Share, parse_share};
pub use unseal::SealStatus;

/// The ceremonies under way, at most one of each kind; nothing of them is stored.
#[derive(Debug, Default)]
pub struct Ceremonies {
    static_seal: OnceLock<StaticSeal>,
    unseal: Mutex<Option<unseal::Progress>>,
    generate_root: Mutex<Option<generate_root::Attempt>>,
    rekey_root: Mutex<Option<rekey::Rekey>>,
    rekey_recovery: Mutex<Option<rekey::Rekey>>,
}

/// The unseal key that the configuration gives, and the one it gave before.
#[derive(Clone, Debug)]
pub struct StaticSeal {
    pub current: NamedKey,
    /// Opens a store that has not been started with `current` yet.
    pub previous: Option<NamedKey>,
}

/// An unseal key with the name by which the store remembers it.
#[derive(Clone, Debug)]
pub struct NamedKey {
    pub id: String,
    pub key: UnsealKey,
}

impl Ceremonies {
    /// Makes the server unseal itself. Must be called before it is initialized or unsealed.
    ///
    /// # Errors
    /// When it was called before.
    pub fn use_static_seal(&self, seal: StaticSeal) -> Result<(), ApiError> {
        self.static_seal
            .set(seal)
            .map_err(|_| ApiError::internal("the static seal is configured twice"))
    }

    #[must_use]
    pub fn static_seal(&self) -> Option<&StaticSeal> {
        self.static_seal.get()
    }

    /// Drops what was collected; for a server that is being sealed.
    pub(crate) fn abandon(&self) {
        *self.unseal.lock() = None;
        *self.generate_root.lock() = None;
        *self.rekey_root.lock() = None;
        *self.rekey_recovery.lock() = None;
    }
}
