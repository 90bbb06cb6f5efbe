//! The line that nothing readable crosses: below it every record is ciphertext.
//!
//! ```text
//!   unseal key ──opens──► root key ──opens──► key ring ──opens──► records
//!   core/seal-config      core/root-key       core/keyring        everything else
//!   (plaintext)
//! ```
//!
//! A new unseal key wraps the same root key again; a new term adds a key to the ring. Neither
//! touches a record.

mod cipher;
mod keyring;
mod sealed;
mod unsealed;

pub use sealed::{InitParams, Initialized, Sealed};
pub use unsealed::{KeyStatus, Unsealed};

use crate::error::StorageError;
use crate::seal::shamir::ShamirError;

/// What can go wrong on the way to an [`Unsealed`] store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    #[error("store is already initialized")]
    AlreadyInitialized,

    #[error("store is not initialized")]
    NotInitialized,

    #[error("unseal key could not be split")]
    Shamir(#[from] ShamirError),

    #[error(transparent)]
    Storage(#[from] StorageError),

    /// The key does not open the root key.
    #[error("wrong unseal key")]
    WrongUnsealKey,
}

/// Where the barrier keeps its own; no other record may have these paths.
mod paths {
    pub(super) const DERIVATION_SECRET: &str = "core/derivation-secret";
    pub(super) const ENCRYPTIONS: &str = "core/encryptions";
    pub(super) const KEYRING: &str = "core/keyring";
    pub(super) const ROOT_KEY: &str = "core/root-key";
    pub(super) const SEAL_CONFIG: &str = "core/seal-config";

    /// The records that are not encrypted by the key ring.
    pub(super) fn is_outside_ring(path: &str) -> bool {
        matches!(path, KEYRING | ROOT_KEY | SEAL_CONFIG)
    }

    pub(super) fn is_reserved(path: &str) -> bool {
        is_outside_ring(path) || matches!(path, DERIVATION_SECRET | ENCRYPTIONS)
    }
}
