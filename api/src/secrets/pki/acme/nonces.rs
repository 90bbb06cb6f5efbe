//! Nonces against replays (RFC 8555 §6.5).
//!
//! A nonce carries its time and a MAC, so that handing one out costs no memory, however many are
//! asked for; what is kept is which ones were used. They do not survive a restart: clients get a
//! new one with the refusal, and repeat.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;

use crate::error::ApiError;
use crate::random::Random;
use crate::time::Timestamp;

#[derive(Default)]
pub(super) struct Nonces {
    key: OnceLock<hmac::Key>,
    used: Mutex<Used>,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

/// Time and random part of a nonce.
type Id = (i64, [u8; RANDOM_BYTES]);

#[derive(Default)]
struct Used {
    ids: BTreeSet<Id>,
    /// Those up to this one count as used: there was no room to remember more.
    forgotten: Option<Id>,
}

impl Nonces {
    pub(super) fn issue(&self, rng: &dyn Random, now: Timestamp) -> Result<String, ApiError> {
        let mut random = [0; RANDOM_BYTES];
        rng.fill(&mut random)?;
        let mut bytes = PREFIX.to_vec();
        bytes.extend(now.0.to_be_bytes());
        bytes.extend(random);
        let mac = hmac::sign(self.key(rng)?, &bytes);
        bytes.extend(mac.as_ref().iter().take(MAC_BYTES));
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Uses a nonce up. False when it is none of ours, too old, or used before.
    pub(super) fn redeem(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(id) = self.read(nonce) else {
            return false;
        };
        let oldest = now.0.saturating_sub(LIFE_NANOS);
        if !(oldest..=now.0).contains(&id.0) {
            return false;
        }
        let mut used = self.used.lock();
        while used.ids.first().is_some_and(|first| first.0 < oldest) {
            used.ids.pop_first();
        }
        if used.forgotten.is_some_and(|forgotten| id <= forgotten) || !used.ids.insert(id) {
            return false;
        }
        if used.ids.len() > MAX_USED {
            used.forgotten = used.ids.pop_first();
        }
        true
    }

    fn read(&self, nonce: &str) -> Option<Id> {
        // Longer texts are not worth decoding.
        if nonce.len() > 2 * (PREFIX.len() + 8 + RANDOM_BYTES + MAC_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let expected = hmac::sign(self.key.get()?, signed);
        if !bool::from(expected.as_ref().get(..MAC_BYTES)?.ct_eq(mac)) {
            return None;
        }
        let (time, random) = signed.strip_prefix(PREFIX)?.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*time), random.try_into().ok()?))
    }

    fn key(&self, rng: &dyn Random) -> Result<&hmac::Key, ApiError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let mut bytes = [0; 32];
        rng.fill(&mut bytes)?;
        Ok(self
            .key
            .get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// As every nonce of such servers begins.
const PREFIX: &[u8] = b"vault0";
const RANDOM_BYTES: usize = 16;
const MAC_BYTES: usize = 16;
const LIFE_NANOS: i64 = 15 * 60 * 1_000_000_000;
/// About 3 MB.
const MAX_USED: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRng;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[test]
    fn a_nonce_is_good_once() {
        let (nonces, rng) = (Nonces::default(), SeededRng::default());
        let [first, second] = [(); 2].map(|()| nonces.issue(&rng, NOW).unwrap());
        assert_ne!(first, second);
        assert!(first.starts_with("dmF1bHQw"), "{first}");
        assert!(nonces.redeem(&first, NOW));
        assert!(!nonces.redeem(&first, NOW));
        assert!(nonces.redeem(&second, NOW.plus_secs(900)));
    }

    #[test]
    fn old_and_foreign_nonces_are_refused() {
        let (nonces, rng) = (Nonces::default(), SeededRng::default());
        assert!(!nonces.redeem("", NOW));
        let nonce = nonces.issue(&rng, NOW).unwrap();
        assert!(!nonces.redeem(&nonce, NOW.plus_secs(901)));
        let foreign = Nonces::default().issue(&rng, NOW).unwrap();
        let mut changed = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        changed[10] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(changed);
        for text in [
            &foreign,
            &changed,
            "dmF1bHQw",
            "!",
            &nonce[1..],
            &nonce.repeat(9),
        ] {
            assert!(!nonces.redeem(text, NOW), "{text}");
        }
        assert!(nonces.redeem(&nonce, NOW), "nothing of this has used it up");
    }

    #[test]
    fn what_cannot_be_remembered_counts_as_used() {
        let (nonces, rng) = (Nonces::default(), SeededRng::default());
        let unused = nonces.issue(&rng, NOW).unwrap();
        let later = NOW.plus_secs(1);
        let first = nonces.issue(&rng, later).unwrap();
        assert!(nonces.redeem(&first, later));
        for _ in 0..MAX_USED {
            let nonce = nonces.issue(&rng, later.plus_secs(1)).unwrap();
            assert!(nonces.redeem(&nonce, later.plus_secs(1)));
        }
        assert_eq!(nonces.used.lock().ids.len(), MAX_USED);
        for nonce in [unused, first] {
            assert!(!nonces.redeem(&nonce, later.plus_secs(1)));
        }
        let much_later = later.plus_secs(2000);
        let nonce = nonces.issue(&rng, much_later).unwrap();
        assert!(nonces.redeem(&nonce, much_later));
        assert_eq!(nonces.used.lock().ids.len(), 1, "old ones go");
    }
}
