//! How long a response must stay wrapped.

use std::time::Duration;

use crate::hcl::Value;

/// Bounds on the lifetime of the wrapping; any bound makes wrapping compulsory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct WrappingBounds {
    pub min: Option<Duration>,
    pub max: Option<Duration>,
}

impl WrappingBounds {
    /// Of two bounds of a kind the shorter stays.
    pub(super) fn merge(&mut self, other: Self) {
        self.min = shorter(self.min, other.min);
        self.max = shorter(self.max, other.max);
    }

    pub(super) fn permit(self, wrap_ttl: Option<Duration>) -> bool {
        if self.min.is_none() && self.max.is_none() {
            return true;
        }
        wrap_ttl.is_some_and(|ttl| {
            self.min.is_none_or(|min| ttl >= min) && self.max.is_none_or(|max| ttl <= max)
        })
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

/// Whole seconds, a string of them, or `1h30m`; zero and the empty string set no bound.
pub(super) fn parse_bound(value: &Value) -> Result<Option<Duration>, String> {
    let duration = match value {
        Value::Number(number) => match number.as_u64() {
            Some(seconds) => Duration::from_secs(seconds),
            None if number.as_i64().is_some() => {
                return Err(format!("cannot provide negative value '{number}'"));
            }
            None => return Err("could not parse duration from input".to_owned()),
        },
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => {
            parse_duration(text).ok_or_else(|| format!("time: invalid duration {text:?}"))?
        }
        Value::Bool(_) | Value::List(_) | Value::Null | Value::Object(_) => {
            return Err("could not parse duration from input".to_owned());
        }
    };
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Some(days) = text.strip_suffix('d') {
        return days
            .parse::<u64>()
            .ok()?
            .checked_mul(86_400)
            .map(Duration::from_secs);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at_checked(unit_at)?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let unit_seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let seconds = amount.parse::<f64>().ok()? * unit_seconds;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_spellings_of_a_duration() {
        let cases = [
            ("300", Some(300_000)),
            ("60s", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("2d", Some(172_800_000)),
            ("1w", None),
            ("1d2h", None),
            ("-5s", None),
            ("bad", None),
            (".", None),
            ("1.2.3s", None),
            ("99999999999999999999d", None),
        ];
        for (text, expected) in cases {
            let parsed = parse_duration(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn any_bound_makes_wrapping_compulsory() {
        let seconds = Duration::from_secs;
        let bounds = WrappingBounds {
            min: Some(seconds(10)),
            max: Some(seconds(20)),
        };
        assert!(!bounds.permit(None));
        assert!(!bounds.permit(Some(seconds(9))));
        assert!(bounds.permit(Some(seconds(10))));
        assert!(bounds.permit(Some(seconds(20))));
        assert!(!bounds.permit(Some(seconds(21))));
        assert!(WrappingBounds::default().permit(None));
    }

    #[test]
    fn merging_keeps_the_shorter_of_each_bound() {
        let seconds = Duration::from_secs;
        let mut bounds = WrappingBounds {
            min: Some(seconds(30)),
            max: None,
        };
        bounds.merge(WrappingBounds {
            min: Some(seconds(20)),
            max: Some(seconds(10)),
        });
        assert_eq!(
            bounds,
            WrappingBounds {
                min: Some(seconds(20)),
                max: Some(seconds(10))
            }
        );
        assert!(
            !bounds.permit(Some(seconds(15))),
            "no lifetime satisfies both bounds"
        );
    }
}
