//! What is written down, readable while sealed, about how the store is unsealed.

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// Kept in plaintext, so that a sealed server can say how many shares it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealConfig {
    pub kind: SealKind,
    /// Number of shares of the unseal key; 1 for a static seal.
    pub secret_shares: u8,
    /// Number of shares that give the unseal key back.
    pub secret_threshold: u8,
    /// Names the static key in use. `None` for Shamir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SealKind {
    /// People bring shares of the unseal key.
    Shamir,
    /// The unseal key is given to the server by its configuration.
    Static,
}

/// The texts are those that clients match on, after `invalid seal configuration: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealConfigError {
    #[error("shares must be at least one")]
    NoShares,
    #[error("threshold must be at least one")]
    NoThreshold,
    #[error("threshold must be greater than one for multiple shares")]
    ThresholdOfOne,
    #[error("shares must be less than 256")]
    TooManyShares,
    #[error("threshold must be less than 256")]
    ThresholdTooLarge,
    #[error("threshold cannot be larger than shares")]
    ThresholdAboveShares,
}

impl SealConfig {
    /// Takes the numbers as a client sent them.
    pub fn shamir(secret_shares: i64, secret_threshold: i64) -> Result<Self, SealConfigError> {
        if secret_shares < 1 {
            return Err(SealConfigError::NoShares);
        }
        if secret_threshold < 1 {
            return Err(SealConfigError::NoThreshold);
        }
        if secret_shares > 1 && secret_threshold == 1 {
            return Err(SealConfigError::ThresholdOfOne);
        }
        let shares = u8::try_from(secret_shares).map_err(|_| SealConfigError::TooManyShares)?;
        let threshold =
            u8::try_from(secret_threshold).map_err(|_| SealConfigError::ThresholdTooLarge)?;
        if threshold > shares {
            return Err(SealConfigError::ThresholdAboveShares);
        }
        Ok(Self {
            kind: SealKind::Shamir,
            secret_shares: shares,
            secret_threshold: threshold,
            key_id: None,
        })
    }

    pub fn static_key(key_id: impl Into<String>) -> Self {
        Self {
            kind: SealKind::Static,
            secret_shares: 1,
            secret_threshold: 1,
            key_id: Some(key_id.into()),
        }
    }
}

impl Record for SealConfig {
    const FORMAT: u8 = 1;
}

impl SealKind {
    /// The name as `seal-status` gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Static => "static",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_share_counts_that_cannot_work() {
        use SealConfigError::*;
        for (shares, threshold, error) in [
            (0, 0, NoShares),
            (-1, 1, NoShares),
            (1, 0, NoThreshold),
            (5, 1, ThresholdOfOne),
            (256, 3, TooManyShares),
            (3, 256, ThresholdTooLarge),
            (3, 4, ThresholdAboveShares),
        ] {
            assert_eq!(
                SealConfig::shamir(shares, threshold),
                Err(error),
                "{shares}/{threshold}"
            );
        }
    }

    #[test]
    fn accepts_the_smallest_and_the_largest_sharing() {
        for (shares, threshold) in [(1, 1), (2, 2), (5, 3), (255, 255)] {
            assert!(
                SealConfig::shamir(shares, threshold).is_ok(),
                "{shares}/{threshold}"
            );
        }
    }
}
