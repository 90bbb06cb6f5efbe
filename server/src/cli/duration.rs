//! Durations in the syntax of Go, which is the syntax of Vault's flags and fields.

use std::fmt;

use thiserror::Error;

/// A signed span of time in nanoseconds. Its `Display` is Go's canonical form, `87600h0m0s`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct GoDuration {
    nanoseconds: i64,
}

#[derive(Debug, Error)]
#[error("time: invalid duration \"{0}\"")]
pub(crate) struct InvalidDuration(String);

impl GoDuration {
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        Self {
            nanoseconds: seconds.saturating_mul(SECOND),
        }
    }

    /// `1h30m`, `30d` or plain seconds.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration(text.to_owned());
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(seconds) = text.parse::<i64>() {
            let nanoseconds = seconds.checked_mul(SECOND).ok_or_else(invalid)?;
            return Ok(Self { nanoseconds });
        }
        if let Some(days) = text.strip_suffix('d')
            && let Ok(days) = days.parse::<i64>()
        {
            let nanoseconds = days.checked_mul(24 * HOUR).ok_or_else(invalid)?;
            return Ok(Self { nanoseconds });
        }
        parse_units(text)
            .map(|nanoseconds| Self { nanoseconds })
            .ok_or_else(invalid)
    }

    pub(crate) fn whole_seconds(self) -> i64 {
        self.nanoseconds / SECOND
    }

    pub(crate) fn is_zero(self) -> bool {
        self.nanoseconds == 0
    }

    /// The short form of tables: trailing zero units dropped, `87600h`.
    pub(crate) fn short(self) -> String {
        let mut text = self.to_string();
        if text.ends_with("m0s") {
            text.truncate(text.len() - 2);
        }
        if text.ends_with("h0m") {
            text.truncate(text.len() - 2);
        }
        text
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanoseconds == 0 {
            return formatter.write_str("0s");
        }
        if self.nanoseconds < 0 {
            formatter.write_str("-")?;
        }
        let total = self.nanoseconds.unsigned_abs();
        let second = SECOND.unsigned_abs();
        if total < second {
            let (scale, unit) = match total {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return write!(formatter, "{}{unit}", decimal(total, scale));
        }
        let (hours, minutes) = (total / (3600 * second), total / (60 * second) % 60);
        if hours > 0 {
            write!(formatter, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(formatter, "{minutes}m")?;
        }
        write!(formatter, "{}s", decimal(total % (60 * second), second))
    }
}

/// What `tune` takes for a lease time: a duration in canonical form, or the word `system`.
pub(crate) fn parse_tuned(text: &str) -> Result<String, InvalidDuration> {
    if text == "system" {
        return Ok(text.to_owned());
    }
    GoDuration::parse(text).map(|duration| duration.to_string())
}

fn parse_units(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let number_length =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at_checked(number_length)?;
        let unit_length = after
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(after.len());
        let (unit, remainder) = after.split_at_checked(unit_length)?;
        total = total.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
        rest = remainder;
    }
    Some(sign * total)
}

fn unit_nanoseconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => HOUR,
        _ => return None,
    })
}

/// `number` (decimal, optional fraction) times `scale`, fractions of a nanosecond cut off.
fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<i64>().ok()?
    };
    let mut total = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        total = total.checked_add(i64::from(digit.to_digit(10)?).checked_mul(place)?)?;
    }
    Some(total)
}

/// `value / scale` without trailing zeros; `scale` is a power of ten.
fn decimal(value: u64, scale: u64) -> String {
    let fraction = value % scale;
    if fraction == 0 {
        return (value / scale).to_string();
    }
    let places = usize::try_from(scale.ilog10()).unwrap_or_default();
    let digits = format!("{fraction:0places$}");
    format!("{}.{}", value / scale, digits.trim_end_matches('0'))
}

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_go_does() {
        for (text, canonical, short) in [
            ("87600h", "87600h0m0s", "87600h"),
            ("60", "1m0s", "1m"),
            ("30d", "720h0m0s", "720h"),
            ("1h30m", "1h30m0s", "1h30m"),
            ("90s", "1m30s", "1m30s"),
            ("0", "0s", "0s"),
            ("", "0s", "0s"),
            ("500ms", "500ms", "500ms"),
            ("1.5h", "1h30m0s", "1h30m"),
            ("1.25s", "1.25s", "1.25s"),
            ("1500us", "1.5ms", "1.5ms"),
            ("-5m", "-5m0s", "-5m"),
            ("10s", "10s", "10s"),
            ("3600s", "1h0m0s", "1h"),
            ("100h10m", "100h10m0s", "100h10m"),
        ] {
            let duration = GoDuration::parse(text).unwrap();
            assert_eq!(duration.to_string(), canonical, "{text}");
            assert_eq!(duration.short(), short, "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "abc",
            "1w",
            "1d2h",
            "h",
            "-",
            ".",
            "1.2.3s",
            "1 h",
            "99999999999999999999h",
        ] {
            assert!(GoDuration::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            GoDuration::parse("abc").unwrap_err().to_string(),
            "time: invalid duration \"abc\""
        );
    }

    #[test]
    fn tuned_lease_times_may_be_the_word_system() {
        assert_eq!(parse_tuned("system").unwrap(), "system");
        assert_eq!(parse_tuned("3600").unwrap(), "1h0m0s");
        assert!(parse_tuned("never").is_err());
    }
}
