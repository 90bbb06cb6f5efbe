//! What a rule says about the fields of a request.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Field names in lower case, each with the values it names; no values means any value.
pub(super) type FieldRules = BTreeMap<String, Vec<Value>>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ParameterConstraints {
    /// When not empty, only these fields may be present; `*` stands for every other field.
    pub allowed: FieldRules,
    pub denied: FieldRules,
    /// In lower case.
    pub required: Vec<String>,
}

impl ParameterConstraints {
    pub(super) fn merge(&mut self, other: &Self) {
        merge_fields(&mut self.allowed, &other.allowed);
        merge_fields(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
    }

    pub(super) fn permit(&self, data: Option<&Map<String, Value>>) -> bool {
        if !self
            .required
            .iter()
            .all(|name| data.is_some_and(|data| data.contains_key(name)))
        {
            return false;
        }
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return true;
        };
        self.none_denied(data) && self.all_allowed(data)
    }

    fn none_denied(&self, data: &Map<String, Value>) -> bool {
        if self.denied.is_empty() {
            return true;
        }
        if self.denied.contains_key("*") {
            return false;
        }
        data.iter().all(
            |(name, value)| match self.denied.get(&name.to_lowercase()) {
                Some(values) => !values.is_empty() && !any_part_is_listed(value, values),
                None => true,
            },
        )
    }

    fn all_allowed(&self, data: &Map<String, Value>) -> bool {
        let others_allowed = self.allowed.contains_key("*");
        if self.allowed.is_empty() || (others_allowed && self.allowed.len() == 1) {
            return true;
        }
        data.iter().all(
            |(name, value)| match self.allowed.get(&name.to_lowercase()) {
                Some(values) => values.is_empty() || every_part_is_listed(value, values),
                None => others_allowed,
            },
        )
    }
}

fn merge_fields(into: &mut FieldRules, other: &FieldRules) {
    for (name, values) in other {
        match into.get_mut(name) {
            Some(present) if values.is_empty() => present.clear(),
            Some(present) if present.is_empty() => {}
            Some(present) => present.extend(values.iter().cloned()),
            None => {
                into.insert(name.clone(), values.clone());
            }
        }
    }
}

/// Also looks inside a list, so that wrapping a denied value in a list does not let it pass.
fn any_part_is_listed(value: &Value, listed: &[Value]) -> bool {
    is_listed(value, listed)
        || value
            .as_array()
            .is_some_and(|parts| parts.iter().any(|part| any_part_is_listed(part, listed)))
}

fn every_part_is_listed(value: &Value, listed: &[Value]) -> bool {
    is_listed(value, listed)
        || value.as_array().is_some_and(|parts| {
            !parts.is_empty() && parts.iter().all(|part| is_listed(part, listed))
        })
}

fn is_listed(value: &Value, listed: &[Value]) -> bool {
    listed.iter().any(|candidate| names_value(candidate, value))
}

/// Whether a value written in a policy speaks of a value found in a request.
///
/// Clients send `5`, `"5"`, `true` and `"true"` alike (the CLI sends only strings), and endpoints
/// read them alike, so they are alike here too; otherwise the spelling would decide.
fn names_value(listed: &Value, value: &Value) -> bool {
    if listed == value {
        return true;
    }
    let Some(text) = scalar_text(value) else {
        return false;
    };
    match listed {
        Value::String(pattern) => glob_matches(pattern, &text),
        Value::Number(number) => {
            number.to_string() == *text
                || text.parse::<f64>().is_ok_and(|value| {
                    // Not `total_cmp`: minus zero is zero.
                    let ordering = number
                        .as_f64()
                        .and_then(|number| number.partial_cmp(&value));
                    ordering == Some(Ordering::Equal)
                })
        }
        Value::Bool(flag) => {
            matches!(
                (flag, &*text),
                (true, "1" | "t" | "T" | "TRUE" | "true" | "True")
            ) || matches!(
                (flag, &*text),
                (false, "0" | "f" | "F" | "FALSE" | "false" | "False")
            )
        }
        Value::Array(_) | Value::Null | Value::Object(_) => false,
    }
}

fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// `pre*`, `*suf` and `*mid*`. A lone `*` is just that character; "any value" is an empty list.
fn glob_matches(pattern: &str, text: &str) -> bool {
    if pattern.len() < 2 {
        return pattern == text;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(tail), Some(_)) => text.contains(tail.strip_suffix('*').unwrap_or(tail)),
        (Some(suffix), None) => text.ends_with(suffix),
        (None, Some(prefix)) => text.starts_with(prefix),
        (None, None) => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(rules: Value) -> FieldRules {
        serde_json::from_value(rules).unwrap()
    }

    fn permits(constraints: &ParameterConstraints, data: &Value) -> bool {
        constraints.permit(data.as_object())
    }

    #[test]
    fn allowed_fields_exclude_all_others() {
        let constraints = ParameterConstraints {
            allowed: fields(json!({
                "x": [], "y": ["1", 2, true, "pre*", "*suf", "*mid*", "*"], "z": [["a"]],
            })),
            ..ParameterConstraints::default()
        };
        let cases = [
            (json!({}), true),
            (json!({"x": "anything"}), true),
            (json!({"X": {"a": 1}}), true),
            (json!({"q": 1}), false),
            (json!({"x": 1, "q": 1}), false),
            (json!({"y": "1"}), true),
            (json!({"Y": "1"}), true),
            (json!({"y": 1}), true),
            (json!({"y": "7"}), false),
            (json!({"y": 2}), true),
            (json!({"y": 2.0}), true),
            (json!({"y": "2"}), true),
            (json!({"y": 3}), false),
            (json!({"y": true}), true),
            (json!({"y": "true"}), true),
            (json!({"y": false}), false),
            (json!({"y": "prefix"}), true),
            (json!({"y": "a suf"}), true),
            (json!({"y": "a mid b"}), true),
            (json!({"y": "*"}), true),
            (json!({"y": ["1", "prefix"]}), true),
            (json!({"y": ["1", "q"]}), false),
            (json!({"y": []}), false),
            (json!({"y": null}), false),
            (json!({"z": ["a"]}), true),
            (json!({"z": "a"}), false),
        ];
        for (data, expected) in cases {
            assert_eq!(permits(&constraints, &data), expected, "{data}");
        }
    }

    #[test]
    fn a_star_allows_the_fields_that_are_not_named() {
        let constraints = ParameterConstraints {
            allowed: fields(json!({"*": ["ignored"], "b": ["1"]})),
            ..ParameterConstraints::default()
        };
        assert!(permits(&constraints, &json!({"f": "1"})));
        assert!(!permits(&constraints, &json!({"b": "2"})));
    }

    #[test]
    fn denied_beats_allowed_and_sees_through_lists_case_and_spelling() {
        let constraints = ParameterConstraints {
            allowed: fields(json!({"*": []})),
            denied: fields(json!({"d": ["bad", "evil*", 5, 0, true], "e": []})),
            ..ParameterConstraints::default()
        };
        for data in [
            json!({"d": "bad"}),
            json!({"D": "bad"}),
            json!({"d": ["good", "bad"]}),
            json!({"d": [["bad"]]}),
            json!({"d": "evil-one"}),
            json!({"d": 5}),
            json!({"d": "5"}),
            json!({"d": "5.0"}),
            json!({"d": 5.0}),
            json!({"d": "-0"}),
            json!({"d": "true"}),
            json!({"e": null}),
        ] {
            assert!(!permits(&constraints, &data), "{data}");
        }
        assert!(permits(&constraints, &json!({"d": "good", "f": 1})));
        let all = ParameterConstraints {
            denied: fields(json!({"*": []})),
            ..ParameterConstraints::default()
        };
        assert!(!permits(&all, &json!({"f": 1})));
        assert!(permits(&all, &json!({})));
    }

    #[test]
    fn required_fields_must_be_present() {
        let constraints = ParameterConstraints {
            required: vec!["x".to_owned()],
            ..ParameterConstraints::default()
        };
        assert!(!constraints.permit(None));
        assert!(!permits(&constraints, &json!({"y": 1})));
        assert!(!permits(&constraints, &json!({"X": 1})));
        assert!(permits(&constraints, &json!({"x": null})));
    }

    #[test]
    fn merging_keeps_the_widest_values() {
        let mut merged = ParameterConstraints {
            allowed: fields(json!({"a": ["1"], "b": [], "c": ["1"]})),
            ..ParameterConstraints::default()
        };
        merged.merge(&ParameterConstraints {
            allowed: fields(json!({"a": ["2"], "b": ["2"], "c": [], "d": ["1"]})),
            denied: fields(json!({"a": ["3"]})),
            required: vec!["a".to_owned()],
        });
        assert_eq!(
            merged.allowed,
            fields(json!({"a": ["1", "2"], "b": [], "c": [], "d": ["1"]}))
        );
        assert_eq!(merged.denied, fields(json!({"a": ["3"]})));
        assert_eq!(merged.required, ["a"]);
    }
}
