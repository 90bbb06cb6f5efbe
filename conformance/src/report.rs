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
    /// Why something was skipped, each reason once.
    pub(crate) reasons: Vec<String>,
    /// Wall-clock time, with what had to be installed and built.
    pub(crate) seconds: u64,
}

impl Tally {
    pub(crate) fn new(suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            passed: 0,
            failed: 0,
            diverging: 0,
            skipped: 0,
            reasons: Vec::new(),
            seconds: 0,
        }
    }

    /// Of a suite that could not be run.
    pub(crate) fn broken(suite: &impl ToString) -> Self {
        Self {
            failed: 1,
            ..Self::new(&suite.to_string())
        }
    }

    pub(crate) fn skip(&mut self, count: usize, reason: &str) {
        self.skipped += count;
        if !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(reason.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed + self.diverging + self.skipped == 0
    }
}

/// Writes the table, with the suites that were left out, and the line that sums it up; true when nothing failed.
pub(crate) fn conclude(
    tallies: &[Tally],
    left_out: &[&str],
    out: &mut impl Write,
) -> io::Result<bool> {
    let names = tallies.iter().map(|tally| tally.suite.as_str());
    let width = names
        .chain(left_out.iter().copied())
        .map(str::len)
        .max()
        .unwrap_or_default()
        .max("suite".len());
    writeln!(
        out,
        "\n{:width$}  passed  failed  diverging on purpose  skipped  seconds",
        "suite"
    )?;
    for tally in tallies {
        writeln!(
            out,
            "{:width$}  {:6}  {:6}  {:20}  {:7}  {:7}  {}",
            tally.suite,
            tally.passed,
            tally.failed,
            tally.diverging,
            tally.skipped,
            tally.seconds,
            tally.reasons.join("; ")
        )?;
    }
    for suite in left_out {
        writeln!(out, "{suite:width$}  not run: on demand")?;
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
        assert!(conclude(&[tally], &["docker"], &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\ndocker  not run: on demand\n"), "{text}");
        assert!(
            text.ends_with("\n3 passed, 0 failed, 3 skipped\n"),
            "{text}"
        );
    }
}
