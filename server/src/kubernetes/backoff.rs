//! How long to wait after failures in a row.

use std::time::Duration;

/// A second after the first failure, then twice as long each time, at most five minutes.
pub(super) fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(9);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_five_minutes() {
        let pauses: Vec<u64> = [1, 2, 3, 9, 10, 1000]
            .map(|failures| pause(failures).as_secs())
            .to_vec();
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300]);
    }
}
