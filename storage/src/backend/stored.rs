//! A value as the file engines keep it: 8 bytes of version, big-endian, then the bytes.

use super::{Entry, Version};
use crate::error::StorageError;

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + entry.value.len());
    bytes.extend_from_slice(&entry.version.0.to_be_bytes());
    bytes.extend_from_slice(&entry.value);
    bytes
}

pub(super) fn decode(path: &str, bytes: &[u8]) -> Result<Entry, StorageError> {
    let (version, value) = split(path, bytes)?;
    Ok(Entry {
        value: value.to_vec(),
        version,
    })
}

pub(super) fn version(path: &str, bytes: &[u8]) -> Result<Version, StorageError> {
    split(path, bytes).map(|(version, _)| version)
}

fn split<'b>(path: &str, bytes: &'b [u8]) -> Result<(Version, &'b [u8]), StorageError> {
    let Some((version, value)) = bytes.split_first_chunk::<8>() else {
        return Err(StorageError::corrupt(path, "value without a version"));
    };
    Ok((Version(u64::from_be_bytes(*version)), value))
}
