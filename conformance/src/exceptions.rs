//! Where Signet differs from the reference on purpose.

use std::cell::Cell;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::compare::Difference;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Exceptions {
    #[serde(default)]
    exception: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    /// As reports name it: `area/0001-title`. Without it, every case.
    case: Option<String>,
    /// Counted from one. Without it, every step.
    step: Option<usize>,
    /// JSON pointer; everything below it is meant too.
    what: String,
    /// What the reference answers there, as JSON; without it, anything.
    theirs: Option<String>,
    /// What Signet answers there, as JSON; without it, anything.
    ours: Option<String>,
    /// Signet's text lacks the frame that the reference puts around an internal error.
    #[serde(default)]
    unframed: bool,
    /// Why; for the reader.
    #[serde(rename = "reason")]
    _reason: String,
    #[serde(skip)]
    used: Cell<bool>,
}

impl Exceptions {
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn allow(&self, case: &str, step: usize, difference: &Difference) -> bool {
        let mut allowed = false;
        for exception in &self.exception {
            let here = exception.case.as_ref().is_none_or(|name| name == case)
                && exception.step.is_none_or(|number| number == step);
            if here && exception.covers(difference) {
                exception.used.set(true);
                allowed = true;
            }
        }
        allowed
    }

    /// The entries for cases that ran and met no difference.
    pub(crate) fn unused(&self, ran: &[String]) -> Vec<String> {
        self.exception
            .iter()
            .filter_map(|exception| {
                let case = exception.case.as_ref()?;
                let idle = !exception.used.get() && ran.contains(case);
                idle.then(|| {
                    format!(
                        "exceptions.toml: {case} step {} {} matches no difference",
                        exception.step.unwrap_or_default(),
                        exception.what
                    )
                })
            })
            .collect()
    }
}

impl Exception {
    fn covers(&self, difference: &Difference) -> bool {
        let below = difference
            .what
            .strip_prefix(&self.what)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below
            && is(self.theirs.as_ref(), difference.expected.as_ref())
            && is(self.ours.as_ref(), difference.got.as_ref())
            && (!self.unframed || lacks_frame(difference))
    }
}

/// Whether the value is the one given as JSON, if one is given.
fn is(said: Option<&String>, value: Option<&Value>) -> bool {
    said.is_none_or(|said| {
        let said: Option<Value> = serde_json::from_str(said).ok();
        said.is_some() && said.as_ref() == value
    })
}

fn lacks_frame(difference: &Difference) -> bool {
    let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    match (text(&difference.expected), text(&difference.got)) {
        (Some(expected), Some(got)) => expected == format!("1 error occurred:\n\t* {got}\n\n"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exceptions() -> Exceptions {
        toml::from_str(
            "[[exception]]\ncase = \"a/1\"\nstep = 2\nwhat = \"/status\"\nours = \"400\"\nreason = \"x\"\n",
        )
        .unwrap()
    }

    fn status(got: u16) -> Difference {
        Difference {
            what: "/status".to_owned(),
            expected: Some(json!(500)),
            got: Some(json!(got)),
        }
    }

    #[test]
    fn allows_only_what_it_says() {
        let exceptions = exceptions();
        assert!(exceptions.allow("a/1", 2, &status(400)));
        assert!(!exceptions.allow("a/1", 2, &status(404)));
        assert!(!exceptions.allow("a/1", 1, &status(400)));
    }

    #[test]
    fn reports_entries_that_match_nothing() {
        let exceptions = exceptions();
        assert_eq!(exceptions.unused(&["a/1".to_owned()]).len(), 1);
        assert!(exceptions.unused(&["b/1".to_owned()]).is_empty());
        exceptions.allow("a/1", 2, &status(400));
        assert!(exceptions.unused(&["a/1".to_owned()]).is_empty());
    }
}
