//! AES-256-GCM records: term (4 bytes, big-endian), format version (1), nonce (12), ciphertext and
//! tag (16). The associated data is the storage path, so that a record cannot be moved.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

/// In bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// One key. The nonces are random and come from AWS-LC, so a key must not seal more than 2^32
/// records (NIST SP 800-38D §8.3).
pub(super) struct Cipher {
    key: RandomizedNonceKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Wrong key, wrong path or changed bytes.
    Authentication,
    /// Too short, or of an unknown format version.
    Malformed,
}

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_LENGTH]) -> Result<Self, Unspecified> {
        Ok(Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, key)?,
        })
    }

    pub(super) fn seal(
        &self,
        term: u32,
        associated_data: &str,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let mut record = Vec::with_capacity(HEADER_LENGTH + plaintext.len() + TAG_LENGTH);
        record.extend_from_slice(&term.to_be_bytes());
        record.push(FORMAT_VERSION);
        record.extend_from_slice(&[0; NONCE_LEN]);
        record.extend_from_slice(plaintext);
        let (header, body) = record
            .split_at_mut_checked(HEADER_LENGTH)
            .ok_or(Unspecified)?;
        let (nonce, tag) = self
            .key
            .seal_in_place_separate_tag(Aad::from(associated_data), body)?;
        header
            .get_mut(PREFIX_LENGTH..)
            .ok_or(Unspecified)?
            .copy_from_slice(nonce.as_ref());
        record.extend_from_slice(tag.as_ref());
        Ok(record)
    }

    pub(super) fn open(
        &self,
        associated_data: &str,
        mut record: Vec<u8>,
    ) -> Result<Vec<u8>, OpenError> {
        let (header, body) = record
            .split_at_mut_checked(HEADER_LENGTH)
            .ok_or(OpenError::Malformed)?;
        let (prefix, nonce) = header
            .split_at_checked(PREFIX_LENGTH)
            .ok_or(OpenError::Malformed)?;
        if prefix.last() != Some(&FORMAT_VERSION) {
            return Err(OpenError::Malformed);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Malformed)?;
        let length = self
            .key
            .open_in_place(nonce, Aad::from(associated_data), body)
            .map_err(|_| OpenError::Authentication)?
            .len();
        record.drain(..HEADER_LENGTH);
        record.truncate(length);
        Ok(record)
    }
}

/// The key term that a record names.
pub(super) fn term_of(record: &[u8]) -> Option<u32> {
    record
        .first_chunk::<4>()
        .map(|term| u32::from_be_bytes(*term))
}

/// For keys that are opened with another key.
pub(super) fn to_key(bytes: Vec<u8>) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
    let bytes = Zeroizing::new(bytes);
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

const FORMAT_VERSION: u8 = 2;
const PREFIX_LENGTH: usize = 5;
const HEADER_LENGTH: usize = PREFIX_LENGTH + NONCE_LEN;
const TAG_LENGTH: usize = 16;

impl fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cipher(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cipher() -> Cipher {
        Cipher::new(&[9; KEY_LENGTH]).unwrap()
    }

    #[test]
    fn lays_a_record_out_as_term_version_nonce_ciphertext_tag() {
        let record = cipher().seal(0x0102_0304, "a/b", b"hello").unwrap();
        assert_eq!(record.len(), 4 + 1 + 12 + 5 + 16);
        assert_eq!(record[..5], [1, 2, 3, 4, FORMAT_VERSION]);
        assert_eq!(term_of(&record), Some(0x0102_0304));
    }

    #[test]
    fn a_record_moved_to_another_path_does_not_open() {
        let record = cipher().seal(1, "a/b", b"hello").unwrap();
        assert_eq!(
            cipher().open("a/c", record.clone()),
            Err(OpenError::Authentication)
        );
        assert_eq!(cipher().open("a/b", record).unwrap(), b"hello");
    }

    #[test]
    fn never_uses_a_nonce_twice() {
        let nonces: std::collections::BTreeSet<Vec<u8>> = (0..1000)
            .map(|_| cipher().seal(1, "a", b"").unwrap()[5..17].to_vec())
            .collect();
        assert_eq!(nonces.len(), 1000);
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed(plaintext: Vec<u8>, path: String) {
            let record = cipher().seal(7, &path, &plaintext).unwrap();
            prop_assert_eq!(cipher().open(&path, record).unwrap(), plaintext);
        }

        #[test]
        fn refuses_a_record_with_any_bit_changed(at in 4_usize..40, bit in 0_u8..8) {
            let mut record = cipher().seal(7, "p", &[0; 7]).unwrap();
            record[at] ^= 1 << bit;
            prop_assert!(cipher().open("p", record).is_err());
        }

        #[test]
        fn refuses_foreign_bytes(bytes: Vec<u8>) {
            prop_assert!(cipher().open("p", bytes).is_err());
        }
    }
}
