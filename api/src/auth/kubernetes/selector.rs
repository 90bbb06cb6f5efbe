//! Label selectors, as Kubernetes has them, for namespaces.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// `meta/v1`, `LabelSelector`, in JSON. All of its requirements have to hold; one without any holds
/// for every namespace.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
enum Operator {
    DoesNotExist,
    Exists,
    In,
    NotIn,
}

impl Selector {
    /// `None` for what is no selector.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // An object: a list would be read as the fields in their order.
        let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let selector: Self = serde_json::from_value(Value::Object(fields)).ok()?;
        let is_sound = |expression: &Expression| match expression.operator {
            Operator::DoesNotExist | Operator::Exists => expression.values.is_empty(),
            Operator::In | Operator::NotIn => !expression.values.is_empty(),
        };
        selector
            .match_expressions
            .iter()
            .all(is_sound)
            .then_some(selector)
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(has)
            && self.match_expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                let is_listed = value.is_some_and(|value| expression.values.contains(value));
                match expression.operator {
                    Operator::DoesNotExist => value.is_none(),
                    Operator::Exists => value.is_some(),
                    Operator::In => is_listed,
                    Operator::NotIn => !is_listed,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_requirement_has_to_hold() {
        let labels: BTreeMap<String, String> = [("team", "web"), ("env", "prod")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let expression = |operator: &str, key: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
        for (selector, matches) in [
            (json!({}), true),
            (json!({ "matchLabels": { "team": "web" } }), true),
            (
                json!({ "matchLabels": { "team": "web", "env": "test" } }),
                false,
            ),
            (json!({ "matchLabels": { "other": "" } }), false),
            (expression("In", "env", &["prod", "test"]), true),
            (expression("In", "env", &["test"]), false),
            (expression("In", "other", &["x"]), false),
            (expression("NotIn", "env", &["prod"]), false),
            (expression("NotIn", "other", &["prod"]), true),
            (expression("Exists", "env", &[]), true),
            (expression("Exists", "other", &[]), false),
            (expression("DoesNotExist", "env", &[]), false),
            (expression("DoesNotExist", "other", &[]), true),
        ] {
            let read = Selector::parse(&selector.to_string()).unwrap();
            assert_eq!(read.matches(&labels), matches, "{selector}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_no_selector() {
        for text in [
            "",
            "x",
            "[]",
            r#"{"labels":{}}"#,
            r#"{"matchLabels":{"a":5}}"#,
            r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1"]}]}"#,
            r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
            r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["x"]}]}"#,
        ] {
            assert!(Selector::parse(text).is_none(), "{text}");
        }
    }
}
