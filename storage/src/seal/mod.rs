//! How the root key comes back: the unseal key and its shares.

mod config;
pub mod shamir;
mod unseal_key;

pub use config::{SealConfig, SealConfigError, SealKind};
pub use unseal_key::{UnsealKey, UnsealKeyError};
