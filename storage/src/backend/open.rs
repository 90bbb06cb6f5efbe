//! From an engine's name and settings to a store.

use std::path::PathBuf;
use std::sync::Arc;

use super::inmem::InMemory;
use super::{Backend, redb, sled};
use crate::error::StorageError;

/// Enough for the hot part of a large store, small enough that an idle server stays small.
pub const DEFAULT_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Which engine, and where it keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Nothing survives the process.
    Inmem,
    /// One file, `signet.redb`, in `directory`.
    Redb {
        directory: PathBuf,
        cache_bytes: usize,
    },
    /// Files in `directory/sled`.
    Sled {
        directory: PathBuf,
        cache_bytes: usize,
    },
}

/// Opens the store, creating it where there is none. Blocks while the files are opened.
///
/// # Errors
/// [`StorageError::Locked`] if another process has it open; [`StorageError::Corrupt`] if the files
/// are damaged; [`StorageError::Directory`] if the directory cannot be made or used.
pub fn open(engine: &Engine) -> Result<Arc<dyn Backend>, StorageError> {
    match engine {
        Engine::Inmem => Ok(Arc::new(InMemory::default())),
        Engine::Redb {
            directory,
            cache_bytes,
        } => Ok(Arc::new(redb::open(directory, *cache_bytes)?)),
        Engine::Sled {
            directory,
            cache_bytes,
        } => Ok(Arc::new(sled::open(directory, *cache_bytes)?)),
    }
}
