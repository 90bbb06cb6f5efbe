//! What can go wrong between a caller and the bytes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Cheap to clone, because every member of a failed group of commits gets the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The store was closed, or its writer died. Nothing more can be committed until a restart.
    #[error("storage is closed")]
    Closed,

    /// A precondition of the batch does not hold; nothing of the batch was written.
    #[error("conflicting change of {path}")]
    Conflict { path: String },

    /// What is stored is not what was written.
    #[error("corrupt data at {path}: {reason}")]
    Corrupt { path: String, reason: String },

    /// The record could not be encrypted.
    #[error("encryption failed")]
    Encrypt,

    /// The data directory is of no use to this process.
    #[error("storage directory {}: {reason}", path.display())]
    Directory { path: PathBuf, reason: String },

    /// After this error of a `commit` the batch may or may not have been written.
    #[error("storage input or output failed")]
    Io(#[source] Arc<io::Error>),

    #[error("invalid storage path {path:?}: {reason}")]
    InvalidPath { path: String, reason: &'static str },

    /// The active encryption key has done all the work it may do; `rotate` helps.
    #[error("encryption key of term {term} is used up and must be rotated")]
    KeyExhausted { term: u32 },

    /// Another process has the store open.
    #[error("storage directory {} is in use by another process", path.display())]
    Locked { path: PathBuf },

    /// A record written by another version of the program.
    #[error("record at {path} has format {found}, this version reads {supported}")]
    UnknownFormat {
        path: String,
        found: u8,
        supported: u8,
    },

    /// The record was encrypted with a key that the key ring does not have.
    #[error("record at {path} is encrypted with unknown key term {term}")]
    UnknownTerm { path: String, term: u32 },
}

impl StorageError {
    pub(crate) fn corrupt(path: &str, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
