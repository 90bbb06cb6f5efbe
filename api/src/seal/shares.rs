//! Shares of a key as people bring them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signet_storage::UnsealKey;
use signet_storage::seal::shamir::{self, ShamirError};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::ApiError;

/// One share, or the key itself where there is only one.
pub type Share = Zeroizing<Vec<u8>>;

/// Reads a share: hexadecimal, or else base64.
///
/// # Errors
/// Anything else, or a length that no share can have.
pub fn parse_share(text: &str) -> Result<Share, ApiError> {
    // What is too short or too long in hexadecimal may be base64 of the right length.
    let hexadecimal = hex::decode(text).map(Zeroizing::new).ok();
    let bytes = hexadecimal
        .filter(|bytes| (MIN_BYTES..=MAX_BYTES).contains(&bytes.len()))
        .map_or_else(|| STANDARD.decode(text).map(Zeroizing::new), Ok)
        .map_err(|_| ApiError::bad_request("'key' must be a valid hex or base64 string"))?;
    if bytes.len() < MIN_BYTES {
        return Err(ApiError::bad_request(format!(
            "invalid key: key is shorter than minimum {MIN_BYTES} bytes"
        )));
    }
    if bytes.len() > MAX_BYTES {
        return Err(ApiError::bad_request(format!(
            "invalid key: key is longer than maximum {MAX_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

const MIN_BYTES: usize = 16;
/// A key of 32 bytes and the position of the share.
const MAX_BYTES: usize = 33;

/// Shares collected for one purpose. There are never more than the threshold, which is at most 255.
#[derive(Default)]
pub(super) struct ShareSet(Vec<Share>);

impl ShareSet {
    /// False when the very same share is there already.
    pub(super) fn add(&mut self, share: Share) -> bool {
        let known = self
            .0
            .iter()
            .any(|other| other.as_slice().ct_eq(share.as_slice()).into());
        if !known {
            self.0.push(share);
        }
        !known
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All shares, when there are enough; none stay behind.
    pub(super) fn take_if_complete(&mut self, threshold: u8) -> Option<Self> {
        (self.0.len() >= usize::from(threshold)).then(|| std::mem::take(self))
    }

    /// The key that the shares give, right or wrong.
    pub(super) fn join(&self) -> Result<Share, JoinError> {
        match self.0.as_slice() {
            [only] => Ok(only.clone()),
            shares => Ok(shamir::combine(shares)?),
        }
    }

    /// As [`ShareSet::join`], for the key that opens the store.
    pub(super) fn join_unseal_key(&self) -> Result<UnsealKey, JoinError> {
        UnsealKey::from_bytes(&self.join()?).map_err(|_| JoinError::WrongKey)
    }
}

impl std::fmt::Debug for ShareSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShareSet")
            .field("shares", &self.0.len())
            .finish()
    }
}

/// Why shares open nothing. The texts are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JoinError {
    #[error("invalid key: failed to compute combined key: {}", describe(*.0))]
    Shares(#[from] ShamirError),
    #[error(
        "invalid key: failed to decrypt keys from storage: cipher: message authentication failed"
    )]
    WrongKey,
}

fn describe(error: ShamirError) -> &'static str {
    match error {
        ShamirError::DuplicateShare => "duplicate part detected",
        ShamirError::ShareLength => "all parts must be the same length",
        ShamirError::SecretLength
        | ShamirError::ShareCount
        | ShamirError::Threshold
        | ShamirError::ZeroPosition => "not the shares of one key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hexadecimal_before_base64() {
        let key = [0xab; 33];
        assert_eq!(parse_share(&hex::encode(key)).unwrap().as_slice(), key);
        assert_eq!(parse_share(&STANDARD.encode(key)).unwrap().as_slice(), key);
    }

    #[test]
    fn refuses_what_cannot_be_a_share() {
        for (text, message) in [
            ("zz!!", "'key' must be a valid hex or base64 string"),
            ("aab", "'key' must be a valid hex or base64 string"),
            ("aabb", "invalid key: key is shorter than minimum 16 bytes"),
            (
                &"ab".repeat(34),
                "invalid key: key is longer than maximum 33 bytes",
            ),
        ] {
            assert_eq!(parse_share(text).unwrap_err().text(false), message);
        }
    }

    #[test]
    fn the_same_share_counts_once() {
        let mut set = ShareSet::default();
        assert!(set.add(Zeroizing::new(vec![1; 33])));
        assert!(!set.add(Zeroizing::new(vec![1; 33])));
        assert!(set.take_if_complete(2).is_none());
        assert!(set.add(Zeroizing::new(vec![2; 33])));
        assert!(set.take_if_complete(2).is_some());
        assert_eq!(set.len(), 0);
    }
}
