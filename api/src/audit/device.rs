//! One audit device: where it writes, and how it hides secrets.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use signet_storage::Record;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::random::Random;

use super::options::Options;
use super::redaction::Redaction;
use super::writer::Writer;

/// A device as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceRecord {
    pub kind: String,
    pub description: String,
    pub local: bool,
    pub options: BTreeMap<String, String>,
    /// In hexadecimal; stays the same for the life of the device.
    salt: Zeroizing<String>,
}

impl Record for DeviceRecord {
    const FORMAT: u8 = 1;
}

impl std::fmt::Debug for DeviceRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceRecord")
            .field("kind", &self.kind)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl DeviceRecord {
    /// A device with a salt of its own.
    ///
    /// # Errors
    /// `BadRequest` for a kind that does not exist.
    pub fn new(
        kind: String,
        description: String,
        local: bool,
        options: BTreeMap<String, String>,
        rng: &dyn Random,
    ) -> Result<Self, ApiError> {
        if kind != "file" {
            let text = format!("unknown backend type: {kind:?}");
            return Err(ApiError::bad_request(text));
        }
        let mut salt = Zeroizing::new([0; 32]);
        rng.fill(salt.as_mut_slice())?;
        Ok(Self {
            kind,
            description,
            local,
            options,
            salt: Zeroizing::new(hex::encode(salt.as_slice())),
        })
    }
}

/// A device in service.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) record: DeviceRecord,
    pub(super) redaction: Redaction,
    writer: Writer,
}

impl Device {
    pub(super) fn new(record: DeviceRecord) -> Result<Self, ApiError> {
        let Options {
            target,
            hashes_accessors,
            is_raw,
            elides_lists,
        } = Options::parse(&record.options)?;
        let mut redaction = Redaction::new(record.salt.as_bytes());
        redaction.hashes_accessors = hashes_accessors;
        redaction.is_raw = is_raw;
        redaction.elides_lists = elides_lists;
        Ok(Self {
            record,
            redaction,
            writer: Writer::start(target).map_err(ApiError::internal)?,
        })
    }

    /// Opens the file, or opens it anew.
    pub(super) async fn open(&self) -> io::Result<()> {
        self.writer.open().await
    }

    /// Returns when the operating system has the line.
    pub(super) async fn write(&self, line: Vec<u8>) -> io::Result<()> {
        self.writer.write(line).await
    }

    /// What the operator calls the place it writes to.
    pub(super) fn target(&self) -> &str {
        let options = &self.record.options;
        let path = options.get("file_path").or_else(|| options.get("path"));
        path.map_or("", String::as_str)
    }
}
