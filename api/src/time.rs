//! Time as the API shows it, and the one place that reads the clock.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Nanoseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl Timestamp {
    #[must_use]
    pub fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SEC)
    }

    /// Nanoseconds since the epoch; 0 for times before it.
    #[must_use]
    pub fn unix_nanos(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    #[must_use]
    pub fn plus_secs(self, secs: u64) -> Self {
        let secs = i64::try_from(secs).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(secs.saturating_mul(NANOS_PER_SEC)))
    }

    /// Whole seconds from `earlier` to `self`, rounded down, 0 when it is not earlier.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / NANOS_PER_SEC).unwrap_or(0)
    }

    /// RFC 3339 in UTC with as many decimals as are needed, as Go prints times in JSON.
    #[must_use]
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .ok()
            .and_then(|t| t.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Seconds as Go prints a `time.Duration`, without zero parts after the last other one: `768h`,
/// `1h30m`, `90s` as `1m30s`.
#[must_use]
pub fn go_duration_short(secs: u64) -> String {
    if secs == 0 {
        return "0s".into();
    }
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    let mut out = String::new();
    for (value, unit) in [(hours, 'h'), (minutes, 'm'), (seconds, 's')] {
        if value > 0 {
            out.push_str(&value.to_string());
            out.push(unit);
        }
    }
    out
}

/// Seconds as Go prints a `time.Duration`: `768h0m0s`, `1m30s`, `0s`.
#[must_use]
pub fn go_duration(secs: u64) -> String {
    go_duration_nanos(secs.saturating_mul(1_000_000_000))
}

/// Nanoseconds as Go prints a `time.Duration`: `0s`, `250ms`, `1.5s`, `1h0m0s`.
#[must_use]
pub fn go_duration_nanos(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0 => return "0s".into(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let whole = nanos / unit;
    let digits = unit.ilog10();
    let width = usize::try_from(digits).unwrap_or(0);
    let fraction = format!("{:0width$}", nanos % unit);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    if unit < 1_000_000_000 || whole < 60 {
        return format!("{whole}{dot}{fraction}{name}");
    }
    let rest = format!("{minutes}m{}{dot}{fraction}s", whole % 60);
    if hours > 0 {
        format!("{hours}h{rest}")
    } else {
        rest
    }
}

/// Where the current time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| {
                i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
            });
        Timestamp(nanos)
    }
}

/// A clock that stands still until it is moved: tests ask what happens in 30 days.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    pub fn advance_secs(&self, secs: u64) {
        self.advance_millis(secs.saturating_mul(1_000));
    }

    pub fn advance_millis(&self, millis: u64) {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        self.0
            .fetch_add(millis.saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_times_as_go_does() {
        assert_eq!(
            Timestamp(1_795_563_143_000_000_000).rfc3339(),
            "2026-11-24T23:32:23Z"
        );
        assert_eq!(
            Timestamp(1_795_563_143_120_000_000).rfc3339(),
            "2026-11-24T23:32:23.12Z"
        );
    }

    #[test]
    fn prints_durations_as_go_does() {
        let printed = [
            0,
            1,
            1_500,
            250_000_000,
            1_500_000_000,
            60_000_000_000,
            3_600_000_000_000,
        ];
        assert_eq!(
            printed.map(go_duration_nanos),
            ["0s", "1ns", "1.5µs", "250ms", "1.5s", "1m0s", "1h0m0s"]
        );
    }

    #[test]
    fn drops_zero_parts_of_durations() {
        let printed = [0, 59, 60, 90, 3600, 5400, 2_764_800].map(go_duration_short);
        assert_eq!(printed, ["0s", "59s", "1m", "1m30s", "1h", "1h30m", "768h"]);
    }
}
