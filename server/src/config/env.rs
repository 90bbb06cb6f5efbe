//! The process environment, read once and passed on as a value.

use std::collections::BTreeMap;
use std::fmt;

/// A snapshot of the environment. Empty variables count as unset, as they do in Vault's tools.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The variable of exactly this name.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A setting of the tools, which has two names: `BAO_<suffix>`, else `VAULT_<suffix>`.
    pub(crate) fn setting(&self, suffix: &str) -> Option<&str> {
        self.variable(&format!("BAO_{suffix}"))
            .or_else(|| self.variable(&format!("VAULT_{suffix}")))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }
}

/// Values may be tokens, so only the names are shown.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_set()
            .entries(self.variables.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn prefers_the_bao_spelling_of_a_setting() {
        let both = environment(&[("VAULT_ADDR", "http://v"), ("BAO_ADDR", "http://b")]);
        assert_eq!(both.setting("ADDR"), Some("http://b"));
        let vault_only = environment(&[("VAULT_ADDR", "http://v")]);
        assert_eq!(vault_only.setting("ADDR"), Some("http://v"));
    }

    #[test]
    fn counts_an_empty_variable_as_unset() {
        let environment = environment(&[("BAO_TOKEN", ""), ("VAULT_TOKEN", "t")]);
        assert_eq!(environment.setting("TOKEN"), Some("t"));
        assert_eq!(environment.variable("BAO_TOKEN"), None);
    }

    #[test]
    fn hides_values_from_debug_output() {
        let environment = environment(&[("VAULT_TOKEN", "hvs.secret")]);
        assert!(!format!("{environment:?}").contains("hvs.secret"));
    }
}
