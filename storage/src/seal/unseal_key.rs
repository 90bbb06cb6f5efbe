//! The key that opens the root key.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// 256 bits. Given by a static seal's configuration, or joined from Shamir shares. Redacted in
/// `Debug`, wiped on drop.
#[derive(Clone)]
pub struct UnsealKey(Zeroizing<[u8; Self::LENGTH]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key must be 32 bytes: raw, hex or base64")]
pub struct UnsealKeyError;

impl UnsealKey {
    /// In bytes.
    pub const LENGTH: usize = 32;

    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LENGTH]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UnsealKeyError> {
        let mut key = Zeroizing::new([0; Self::LENGTH]);
        if bytes.len() != key.len() {
            return Err(UnsealKeyError);
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// Takes a key as people write it down: hex, standard base64 (padding optional), or 32 raw
    /// characters. Surrounding white space, such as the last newline of a file, is ignored.
    pub fn from_text(text: &str) -> Result<Self, UnsealKeyError> {
        let text = text.trim();
        if text.len() == 2 * Self::LENGTH {
            let mut key = Zeroizing::new([0; Self::LENGTH]);
            return match hex::decode_to_slice(text, key.as_mut_slice()) {
                Ok(()) => Ok(Self(key)),
                Err(_) => Err(UnsealKeyError),
            };
        }
        if text.len() == Self::LENGTH {
            return Self::from_bytes(text.as_bytes());
        }
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| UnsealKeyError)?);
        Self::from_bytes(&bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl fmt::Debug for UnsealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnsealKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_same_key_from_raw_hex_and_base64() {
        let raw = "0123456789abcdefghijklmnopqrstuv";
        let hex = hex::encode(raw);
        let base64 = BASE64.encode(raw);
        for text in [
            raw,
            &hex,
            &hex.to_uppercase(),
            &base64,
            base64.trim_end_matches('='),
            &format!("{hex}\n"),
        ] {
            let key = UnsealKey::from_text(text).unwrap();
            assert_eq!(key.as_bytes(), raw.as_bytes(), "{text}");
        }
    }

    #[test]
    fn refuses_other_lengths_and_alphabets() {
        for text in [
            "",
            "abcd",
            &"z".repeat(64),
            &"a".repeat(31),
            &"A".repeat(42),
            "!@#$",
        ] {
            assert!(UnsealKey::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn does_not_show_the_key_in_debug() {
        let key = UnsealKey::from_bytes(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "UnsealKey(redacted)");
    }
}
