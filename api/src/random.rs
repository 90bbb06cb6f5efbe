//! Randomness as an argument: the system's generator in the product, a seeded one in tests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::error::ApiError;
use crate::time::Timestamp;

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

/// As [`base62`], with the time in the first characters: what is made in succession
/// sorts in succession, so that new records are neighbours in the store and a commit of many writes
/// few pages.
pub fn base62_in_sequence(
    rng: &dyn Random,
    now: Timestamp,
    length: usize,
) -> Result<String, ApiError> {
    let mut text = clock(now);
    text.push_str(&base62(rng, length.saturating_sub(CLOCK_DIGITS))?);
    Ok(text)
}

/// Characters that count milliseconds; they go round in four hours.
const CLOCK_DIGITS: usize = 4;

/// The time in what [`base62_in_sequence`] made, below 2^24; `None` for texts that it did not make.
#[must_use]
pub fn clock_of(text: &str) -> Option<u32> {
    text.get(..CLOCK_DIGITS)?
        .bytes()
        .try_fold(0, |clock, byte| {
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            Some(62 * clock + u32::try_from(digit).ok()?)
        })
}

fn clock(now: Timestamp) -> String {
    let mut left = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
    let mut digits = ['0'; CLOCK_DIGITS];
    for place in digits.iter_mut().rev() {
        let digit = usize::try_from(left % 62).unwrap_or(0);
        *place = DIGITS.get(digit).copied().map_or('0', char::from);
        left /= 62;
    }
    digits.iter().collect()
}

/// In the order of their bytes.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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

    #[test]
    fn what_is_made_in_successive_milliseconds_sorts_in_succession() {
        let at = |millis: i64| clock(Timestamp(1_000_000 * millis));
        let shown = [0, 61, 62, 62_i64.pow(4)].map(at);
        assert_eq!(shown, ["0000", "000z", "0010", "0000"]);
        let hour: Vec<String> = (0..3_600).map(|secs| at(1_000 * secs)).collect();
        assert!(hour.is_sorted());
        let rng = SeededRng::default();
        let now = Timestamp::from_secs(62);
        let text = base62_in_sequence(&rng, now, 24).unwrap();
        assert_eq!((text.len(), &text[..4]), (24, &*clock(now)));
        assert_eq!(clock_of(&text), Some(62_000));
        assert_eq!(clock_of("zzzz"), Some(62_u32.pow(4) - 1));
        for strange in ["", "zzz", "zz-z", "zzéz"] {
            assert_eq!(clock_of(strange), None, "{strange}");
        }
    }
}
