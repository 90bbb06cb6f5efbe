//! How long a token lives.

use crate::time::{Timestamp, go_duration_short};

/// What bounds a token's life when it is made or renewed. All in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// 0 for the default.
    pub wanted_secs: u64,
    pub default_secs: u64,
    /// Counted from the creation; for a periodic token, the longest period.
    pub max_secs: u64,
    /// Counted from the creation, for periodic tokens too; 0 for none.
    pub explicit_max_secs: u64,
    /// How long every renewal of a periodic token lasts; 0 for a token that is not.
    pub period_secs: u64,
}

/// The end of a token's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub ends_at: Timestamp,
    /// Whole seconds from now to the end.
    pub ttl_secs: u64,
    /// Set when less was given than asked for.
    pub warning: Option<String>,
}

impl Terms {
    /// The life of a token made at `created_at` that is made or renewed `now`. `None` when its
    /// longest life is over.
    #[must_use]
    pub fn life(&self, created_at: Timestamp, now: Timestamp) -> Option<Life> {
        let is_periodic = self.period_secs > 0;
        let wanted_secs = match (self.period_secs, self.wanted_secs) {
            (0, 0) => self.default_secs,
            (0, wanted) => wanted,
            (period, _) => period,
        };
        let max_from = if is_periodic { now } else { created_at };
        let mut limit = max_from.plus_secs(self.max_secs);
        if self.explicit_max_secs > 0 {
            limit = limit.min(created_at.plus_secs(self.explicit_max_secs));
        }
        if limit <= now {
            return None;
        }
        let wanted_end = now.plus_secs(wanted_secs);
        let ends_at = wanted_end.min(limit);
        let warning = (wanted_end > limit).then(|| {
            let word = if is_periodic { "period" } else { "TTL" };
            capped(word, wanted_secs, secs_rounded_up(now, limit))
        });
        Some(Life {
            ends_at,
            ttl_secs: ends_at.secs_since(now),
            warning,
        })
    }
}

/// The warning of a lifetime that was cut down to its maximum.
#[must_use]
pub fn ttl_capped(wanted_secs: u64, max_secs: u64) -> String {
    capped("TTL", wanted_secs, max_secs)
}

fn capped(word: &str, wanted_secs: u64, max_secs: u64) -> String {
    format!(
        "{word} of {:?} exceeded the effective max_ttl of {:?}; {word} value is capped accordingly",
        go_duration_short(wanted_secs),
        go_duration_short(max_secs)
    )
}

fn secs_rounded_up(from: Timestamp, to: Timestamp) -> u64 {
    let whole = to.secs_since(from);
    whole + u64::from(from.plus_secs(whole) < to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const CREATED: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn terms() -> Terms {
        Terms {
            default_secs: 768 * HOUR,
            max_secs: 768 * HOUR,
            ..Terms::default()
        }
    }

    fn life(terms: Terms, age_millis: i64) -> Option<(u64, Option<String>)> {
        let now = Timestamp(CREATED.0 + age_millis * 1_000_000);
        terms
            .life(CREATED, now)
            .map(|life| (life.ttl_secs, life.warning))
    }

    #[test]
    fn a_ttl_is_capped_by_the_nearest_bound_with_a_warning() {
        assert_eq!(life(terms(), 0), Some((768 * HOUR, None)));
        let wanted_secs = 999_999 * HOUR;
        let text = "TTL of \"999999h\" exceeded the effective max_ttl of \"768h\"; TTL value is \
                    capped accordingly";
        let capped = life(
            Terms {
                wanted_secs,
                ..terms()
            },
            0,
        );
        assert_eq!(capped, Some((768 * HOUR, Some(text.into()))));
        let explicit_max_secs = 300;
        let text = "TTL of \"768h\" exceeded the effective max_ttl of \"5m\"; TTL value is capped \
                    accordingly";
        let capped = life(
            Terms {
                explicit_max_secs,
                ..terms()
            },
            0,
        );
        assert_eq!(capped, Some((300, Some(text.into()))));
    }

    #[test]
    fn a_period_is_bounded_from_now_and_by_the_explicit_maximum() {
        let periodic = Terms {
            period_secs: 2400,
            wanted_secs: 60,
            ..terms()
        };
        let ten_years_millis = 315_360_000_000;
        assert_eq!(life(periodic, ten_years_millis), Some((2400, None)));
        let explicit_max_secs = 600;
        let text = "period of \"40m\" exceeded the effective max_ttl of \"10m\"; period value is \
                    capped accordingly";
        let capped = life(
            Terms {
                explicit_max_secs,
                ..periodic
            },
            0,
        );
        assert_eq!(capped, Some((600, Some(text.into()))));
        let period_secs = 9999 * HOUR;
        let (ttl, warning) = life(
            Terms {
                period_secs,
                ..terms()
            },
            0,
        )
        .unwrap();
        assert!(ttl == 768 * HOUR && warning.is_some());
    }

    #[test]
    fn at_the_maximum_the_life_is_over_and_just_before_it_ends_there() {
        let max_millis = 768 * 3_600_000;
        let wanted = Terms {
            wanted_secs: HOUR,
            ..terms()
        };
        let before = Timestamp(CREATED.0 + (max_millis - 1) * 1_000_000);
        let life_before = wanted.life(CREATED, before).unwrap();
        assert_eq!(life_before.ends_at, CREATED.plus_secs(768 * HOUR));
        assert_eq!(life_before.ttl_secs, 0);
        assert_eq!(life(wanted, max_millis), None);
        assert_eq!(life(wanted, max_millis + 1), None);
    }

    proptest! {
        #[test]
        fn no_life_passes_a_bound(
            wanted_secs in 0..10_u64.pow(12),
            max_secs in 1..10_u64.pow(9),
            explicit_max_secs in 0..10_u64.pow(9),
            period_secs in prop_oneof![Just(0), 1..10_u64.pow(9)],
            age_nanos in 0..10_i64.pow(18),
        ) {
            let terms = Terms {
                wanted_secs,
                default_secs: max_secs,
                max_secs,
                explicit_max_secs,
                period_secs,
            };
            let now = Timestamp(CREATED.0 + age_nanos);
            if let Some(life) = terms.life(CREATED, now) {
                prop_assert!(life.ends_at > now);
                prop_assert!(life.ends_at <= now.plus_secs(max_secs));
                if period_secs == 0 {
                    prop_assert!(life.ends_at <= CREATED.plus_secs(max_secs));
                }
                if explicit_max_secs > 0 {
                    prop_assert!(life.ends_at <= CREATED.plus_secs(explicit_max_secs));
                }
            }
        }
    }
}
