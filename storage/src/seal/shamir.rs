//! Shamir's secret sharing over GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, in Vault's share format:
//! the values at the share's x, one for each secret byte, then x itself.
//!
//! The field arithmetic is `vsss-rs`, which uses no tables; here its shares, which have x first,
//! are brought into the format that people hold.

use rand_core::CryptoRng;
use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirError {
    #[error("two shares are the same")]
    DuplicateShare,
    #[error("secret must be between 1 and 64 bytes")]
    SecretLength,
    #[error("shares must be of the same length, at least two bytes")]
    ShareLength,
    #[error("need between 2 and 255 shares")]
    ShareCount,
    #[error("a threshold must lie between 2 and the number of shares")]
    Threshold,
    #[error("a share has no position")]
    ZeroPosition,
}

/// Splits `secret` so that any `threshold` of `shares` shares give it back and fewer say nothing.
/// A single share (1 of 1) is the secret itself.
pub fn split(
    secret: &[u8],
    shares: u8,
    threshold: u8,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<Zeroizing<Vec<u8>>>, ShamirError> {
    if secret.is_empty() || secret.len() > MAX_SECRET_BYTES {
        return Err(ShamirError::SecretLength);
    }
    if shares == 1 && threshold == 1 {
        return Ok(vec![Zeroizing::new(secret.to_vec())]);
    }
    if shares < 2 {
        return Err(ShamirError::ShareCount);
    }
    if threshold < 2 || threshold > shares {
        return Err(ShamirError::Threshold);
    }
    let made = Gf256::split_bytes(usize::from(threshold), usize::from(shares), secret, rng)
        .map_err(|_| ShamirError::Threshold)?;
    Ok(made.into_iter().map(position_last).collect())
}

/// Joins shares. Too few, or shares of different secrets, give a wrong secret and no error: whether
/// it is the right one shows when it is used.
pub fn combine<S: AsRef<[u8]>>(shares: &[S]) -> Result<Zeroizing<Vec<u8>>, ShamirError> {
    if shares.len() < 2 || shares.len() > 255 {
        return Err(ShamirError::ShareCount);
    }
    let length = shares.first().map_or(0, |share| share.as_ref().len());
    if !(2..=MAX_SECRET_BYTES + 1).contains(&length)
        || shares.iter().any(|share| share.as_ref().len() != length)
    {
        return Err(ShamirError::ShareLength);
    }
    let mut seen = [false; 256];
    for share in shares {
        match share.as_ref().last() {
            None | Some(0) => return Err(ShamirError::ZeroPosition),
            Some(position) => {
                if let Some(seen) = seen.get_mut(usize::from(*position)) {
                    if *seen {
                        return Err(ShamirError::DuplicateShare);
                    }
                    *seen = true;
                }
            }
        }
    }
    let mut turned: Vec<Vec<u8>> = shares
        .iter()
        .map(|share| position_first(share.as_ref()))
        .collect();
    let secret = Gf256::combine_bytes(&turned);
    turned.zeroize();
    secret
        .map(Zeroizing::new)
        .map_err(|_| ShamirError::ShareLength)
}

fn position_last(mut share: Vec<u8>) -> Zeroizing<Vec<u8>> {
    share.rotate_left(1);
    Zeroizing::new(share)
}

fn position_first(share: &[u8]) -> Vec<u8> {
    let mut share = share.to_vec();
    share.rotate_right(1);
    share
}

/// Keys are 32 bytes; the limit only bounds work.
const MAX_SECRET_BYTES: usize = 64;

#[cfg(test)]
mod tests;
