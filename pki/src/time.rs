//! Points in time, in whole seconds, as certificates carry them.

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch, UTC. Negative before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// 9999-12-31T23:59:59Z, the last time a certificate can carry (RFC 5280 §4.1.2.5).
    pub const MAX: Self = Self(253_402_300_799);

    #[must_use]
    pub fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs))
    }
}

/// The validity period of a certificate; both ends are included (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: UnixTime,
    pub not_after: UnixTime,
}
