//! Bytes at rest: embedded engines behind one transactional trait, and the encryption barrier above.
//!
//! ```text
//!   View ──► Unsealed ──► Backend ──► inmem | redb | sled
//!   one        encrypts,    atomic, durable commits
//!   prefix     decrypts     with preconditions
//! ```
//!
//! [`open`] gives a [`Backend`]; [`Sealed`] wraps it, and only [`Sealed::initialize`] and
//! [`Sealed::unseal`] make the [`Unsealed`] through which anything readable comes out. Callers work
//! with a [`View`] of one prefix and with typed [`Record`]s.

pub mod backend;
pub mod barrier;
pub mod seal;

mod error;
mod random;
mod record;
#[cfg(test)]
mod seeded_rng;
mod view;

pub use backend::{
    Backend, Batch, DEFAULT_CACHE_BYTES, Engine, Entry, Expect, Observer, Version, check_path, open,
};
pub use barrier::{BarrierError, InitParams, Initialized, KeyStatus, Sealed, Unsealed};
pub use error::StorageError;
pub use random::{SystemRandom, system_random};
pub use record::{Record, Stored};
pub use seal::{SealConfig, SealConfigError, SealKind, UnsealKey};
pub use view::View;
