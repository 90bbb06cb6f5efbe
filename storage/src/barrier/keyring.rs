//! The data keys, one for each term.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cipher::{Cipher, KEY_LENGTH, OpenError, term_of};
use crate::backend::Version;
use crate::error::StorageError;
use crate::record::{self, Record};

/// Encrypts with the key of the newest term, decrypts with any.
#[derive(Debug)]
pub(super) struct KeyRing {
    active: Arc<Term>,
    /// With the active one. Shared with the rings before and after, so that counts go on.
    terms: BTreeMap<u32, Arc<Term>>,
    /// The commit that wrote this ring.
    pub(super) version: Version,
}

pub(super) struct Term {
    pub(super) number: u32,
    pub(super) install_time_unix_nanos: u64,
    key: Zeroizing<[u8; KEY_LENGTH]>,
    cipher: Cipher,
    encryptions: AtomicU64,
    /// Up to here the count is on disk.
    recorded: AtomicU64,
}

/// Encryptions after which a term is used up: half a percent below the 2^32 of NIST SP 800-38D
/// §8.3 is left to the writes that are under way.
pub(super) const MAX_ENCRYPTIONS: u64 = 4_273_492_459;

/// Encryptions after which the key should be rotated, as in Vault.
pub(super) const ROTATION_DUE: u64 = 3_865_470_566;

/// A count on disk covers this many encryptions in advance, so it is written rarely and after a
/// restart errs upwards.
const COUNT_STEP: u64 = 4096;

impl KeyRing {
    pub(super) fn new(
        key: Zeroizing<[u8; KEY_LENGTH]>,
        now_unix_nanos: u64,
    ) -> Result<Self, StorageError> {
        let active = Arc::new(Term::new(1, key, now_unix_nanos, 0)?);
        Ok(Self {
            terms: BTreeMap::from([(1, Arc::clone(&active))]),
            active,
            version: Version::default(),
        })
    }

    /// This ring with one more term.
    pub(super) fn rotated(
        &self,
        key: Zeroizing<[u8; KEY_LENGTH]>,
        now_unix_nanos: u64,
    ) -> Result<Self, StorageError> {
        let number = self
            .active
            .number
            .checked_add(1)
            .ok_or(StorageError::Encrypt)?;
        let active = Arc::new(Term::new(number, key, now_unix_nanos, 0)?);
        let mut terms = self.terms.clone();
        terms.insert(number, Arc::clone(&active));
        Ok(Self {
            active,
            terms,
            version: self.version,
        })
    }

    /// The ring that another process wrote; terms known here keep their counts.
    pub(super) fn decode(
        path: &str,
        plaintext: Vec<u8>,
        version: Version,
        known: Option<&Self>,
    ) -> Result<Self, StorageError> {
        let stored: StoredRing = record::decode(path, plaintext)?;
        let mut terms = BTreeMap::new();
        for StoredTerm {
            term,
            key,
            install_time_unix_nanos,
        } in stored.terms
        {
            let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
            hex::decode_to_slice(&*key, bytes.as_mut_slice())
                .map_err(|_| StorageError::corrupt(path, "key of the wrong length"))?;
            let known = known.and_then(|ring| ring.terms.get(&term));
            let entry = match known {
                Some(known) => Arc::clone(known),
                None => Arc::new(Term::new(term, bytes, install_time_unix_nanos, 0)?),
            };
            terms.insert(term, entry);
        }
        let active = terms
            .last_key_value()
            .map(|(_, term)| Arc::clone(term))
            .ok_or_else(|| StorageError::corrupt(path, "key ring without a key"))?;
        Ok(Self {
            active,
            terms,
            version,
        })
    }

    pub(super) fn encode(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let terms = self
            .terms
            .values()
            .map(|term| StoredTerm {
                term: term.number,
                key: Zeroizing::new(hex::encode(term.key.as_slice())),
                install_time_unix_nanos: term.install_time_unix_nanos,
            })
            .collect();
        record::encode(path, &StoredRing { terms }).map(Zeroizing::new)
    }

    pub(super) fn active(&self) -> &Term {
        &self.active
    }

    pub(super) fn seal(
        &self,
        associated_data: &str,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, StorageError> {
        let term = &self.active;
        let before = term.encryptions.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_ENCRYPTIONS {
            return Err(StorageError::KeyExhausted { term: term.number });
        }
        term.cipher
            .seal(term.number, associated_data, plaintext)
            .map_err(|_unspecified| StorageError::Encrypt)
    }

    /// True also for what is no record at all: there is no ring that could open it.
    pub(super) fn knows_term_of(&self, record: &[u8]) -> bool {
        term_of(record).is_none_or(|term| self.terms.contains_key(&term))
    }

    /// `path` is for the error.
    pub(super) fn open(
        &self,
        path: &str,
        associated_data: &str,
        record: Vec<u8>,
    ) -> Result<Vec<u8>, StorageError> {
        let number =
            term_of(&record).ok_or_else(|| StorageError::corrupt(path, "record is too short"))?;
        let Some(term) = self.terms.get(&number) else {
            return Err(StorageError::UnknownTerm {
                path: path.to_owned(),
                term: number,
            });
        };
        term.cipher.open(associated_data, record).map_err(|error| {
            let reason = match error {
                OpenError::Authentication => "message authentication failed",
                OpenError::Malformed => "not an encrypted record",
            };
            StorageError::corrupt(path, reason)
        })
    }
}

impl Term {
    fn new(
        number: u32,
        key: Zeroizing<[u8; KEY_LENGTH]>,
        install_time_unix_nanos: u64,
        encryptions: u64,
    ) -> Result<Self, StorageError> {
        let cipher = Cipher::new(&key).map_err(|_unspecified| StorageError::Encrypt)?;
        Ok(Self {
            number,
            install_time_unix_nanos,
            key,
            cipher,
            encryptions: AtomicU64::new(encryptions),
            recorded: AtomicU64::new(encryptions),
        })
    }

    pub(super) fn encryptions(&self) -> u64 {
        self.encryptions.load(Ordering::Relaxed)
    }

    /// Goes on from a count that was stored.
    pub(super) fn resume(&self, encryptions: u64) {
        self.encryptions.fetch_max(encryptions, Ordering::Relaxed);
        self.recorded.fetch_max(encryptions, Ordering::Relaxed);
    }

    /// The commit that was to store the count failed: the next one stores it.
    pub(super) fn count_was_not_recorded(&self) {
        self.recorded.store(0, Ordering::Relaxed);
    }

    /// The count to store now, if the one on disk no longer covers the encryptions done.
    pub(super) fn count_to_record(&self) -> Option<EncryptionCount> {
        let recorded = self.recorded.load(Ordering::Relaxed);
        let encryptions = self.encryptions();
        if encryptions < recorded {
            return None;
        }
        let next = encryptions.saturating_add(COUNT_STEP);
        // Of several commits that get here together one stores the count.
        self.recorded
            .compare_exchange(recorded, next, Ordering::Relaxed, Ordering::Relaxed)
            .ok()
            .map(|_| EncryptionCount {
                term: self.number,
                encryptions: next,
            })
    }
}

/// How much the active key has been used, rounded up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EncryptionCount {
    pub(super) term: u32,
    pub(super) encryptions: u64,
}

impl Record for EncryptionCount {
    const FORMAT: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct StoredRing {
    terms: Vec<StoredTerm>,
}

impl Record for StoredRing {
    const FORMAT: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct StoredTerm {
    term: u32,
    /// In hex.
    key: Zeroizing<String>,
    install_time_unix_nanos: u64,
}

impl fmt::Debug for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Term")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
