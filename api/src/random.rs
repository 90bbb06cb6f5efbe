//! Randomness as an argument: the system's generator in the product, a seeded one in tests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::error::ApiError;

/// Where random bytes come from.
pub trait Random: Send + Sync + fmt::Debug {
    /// # Errors
    /// When the generator fails; nothing random may be used then.
    fn fill(&self, out: &mut [u8]) -> Result<(), ApiError>;
}

/// The cryptographic generator of the operating system, through aws-lc.
#[derive(Debug, Default)]
pub struct SystemRng(SystemRandom);

impl Random for SystemRng {
    fn fill(&self, out: &mut [u8]) -> Result<(), ApiError> {
        self.0
            .fill(out)
            .map_err(|_| ApiError::internal("random generator failed"))
    }
}

/// Repeatable bytes for tests. Not for keys.
#[derive(Debug, Default)]
pub struct SeededRng(AtomicU64);

impl Random for SeededRng {
    fn fill(&self, out: &mut [u8]) -> Result<(), ApiError> {
        for chunk in out.chunks_mut(8) {
            // SplitMix64: enough to give tests distinct, repeatable ids.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            for (byte, random) in chunk.iter_mut().zip(z.to_le_bytes()) {
                *byte = random;
            }
        }
        Ok(())
    }
}

/// 16 random bytes as `8-4-4-4-12` hexadecimal digits.
pub fn uuid(rng: &dyn Random) -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes)?;
    let mut out = hex::encode(bytes);
    for at in [20, 16, 12, 8] {
        out.insert(at, '-');
    }
    Ok(out)
}

/// `length` characters of `[0-9A-Za-z]`, each equally likely.
pub fn base62(rng: &dyn Random, length: usize) -> Result<String, ApiError> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = String::with_capacity(length);
    let mut bytes = [0; 32];
    while out.len() < length {
        rng.fill(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte; above it the digits would be biased.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        for byte in fair.take(length - out.len()) {
            if let Some(digit) = DIGITS.get(usize::from(byte % 62)) {
                out.push(char::from(*digit));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_clients_expect() {
        let rng = SeededRng::default();
        let id = uuid(&rng).unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        let token = base62(&rng, 24).unwrap();
        assert!(token.len() == 24 && token.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(token, base62(&rng, 24).unwrap());
    }
}
