//! What a run came to.

use std::io::{self, Write};

/// The counts of one suite.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) suite: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) diverging: usize,
    pub(crate) skipped: usize,
    /// Why something was skipped.
    pub(crate) reason: String,
}

impl Tally {
    pub(crate) fn new(suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            passed: 0,
            failed: 0,
            diverging: 0,
            skipped: 0,
            reason: String::new(),
        }
    }

    pub(crate) fn skip(&mut self, count: usize, reason: &str) {
        self.skipped += count;
        reason.clone_into(&mut self.reason);
    }
}

/// Writes the table and the line that sums it up; true when nothing failed.
pub(crate) fn conclude(tallies: &[Tally], out: &mut impl Write) -> io::Result<bool> {
    let width = tallies
        .iter()
        .map(|tally| tally.suite.len())
        .max()
        .unwrap_or_default()
        .max("suite".len());
    writeln!(
        out,
        "\n{:width$}  passed  failed  diverging on purpose  skipped",
        "suite"
    )?;
    for tally in tallies {
        writeln!(
            out,
            "{:width$}  {:6}  {:6}  {:20}  {:7}  {}",
            tally.suite, tally.passed, tally.failed, tally.diverging, tally.skipped, tally.reason
        )?;
    }
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let failed = sum(|tally| tally.failed);
    writeln!(
        out,
        "{} passed, {failed} failed, {} skipped",
        sum(|tally| tally.passed + tally.diverging),
        sum(|tally| tally.skipped)
    )?;
    Ok(failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_the_sum() {
        let mut tally = Tally::new("pki");
        tally.passed = 2;
        tally.diverging = 1;
        tally.skip(3, "no python");
        let mut out = Vec::new();
        assert!(conclude(&[tally], &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with("\n3 passed, 0 failed, 3 skipped\n"),
            "{text}"
        );
    }
}
