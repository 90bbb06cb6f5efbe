//! The rules of a token as user interfaces read them.

use serde_json::{Map, Value, json};

use super::check::Acl;
use super::rule::Rule;

impl Acl {
    /// The reply of `sys/internal/ui/resultant-acl`. Rules with `+` have no place in its format.
    pub fn resultant(&self) -> Value {
        if self.is_root {
            return json!({ "root": true });
        }
        let exact = self.exact.iter().map(|(path, rule)| (path.as_str(), rule));
        json!({
            "exact_paths": describe(exact),
            "glob_paths": describe(self.prefixes.iter()),
            "root": false,
        })
    }
}

fn describe<'a>(rules: impl Iterator<Item = (&'a str, &'a Rule)>) -> Map<String, Value> {
    rules
        .map(|(path, rule)| {
            (
                path.to_owned(),
                json!({ "capabilities": rule.permissions.capabilities.names() }),
            )
        })
        .collect()
}
