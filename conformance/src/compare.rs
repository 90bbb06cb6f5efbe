//! Differences between two answers.

use serde_json::Value;

/// One place at which an answer is not the expected one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// JSON pointer into status, headers and body.
    pub(crate) what: String,
    /// `None`: nothing expected there.
    pub(crate) expected: Option<Value>,
    pub(crate) got: Option<Value>,
}

/// All differences, outermost first.
pub(crate) fn compare(expected: &Value, got: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    walk("", Some(expected), Some(got), &mut differences);
    differences
}

fn walk(
    what: &str,
    expected: Option<&Value>,
    got: Option<&Value>,
    differences: &mut Vec<Difference>,
) {
    match (expected, got) {
        // Two objects without a common field are two things, not one with differences.
        (Some(Value::Object(expected)), Some(Value::Object(got)))
            if expected.is_empty()
                || got.is_empty()
                || expected.keys().any(|name| got.contains_key(name)) =>
        {
            let mut names: Vec<&String> = expected.keys().chain(got.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let inner = format!("{what}/{}", name.replace('~', "~0").replace('/', "~1"));
                walk(&inner, expected.get(name), got.get(name), differences);
            }
        }
        (Some(Value::Array(expected)), Some(Value::Array(got))) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                walk(
                    &format!("{what}/{index}"),
                    Some(expected),
                    Some(got),
                    differences,
                );
            }
        }
        (expected, got) if expected != got => differences.push(Difference {
            what: what.to_owned(),
            expected: expected.cloned(),
            got: got.cloned(),
        }),
        _ => {}
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "nothing".to_owned(),
        };
        write!(
            formatter,
            "{}: expected {}, got {}",
            self.what,
            show(&self.expected),
            show(&self.got)
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_innermost_place() {
        let differences = compare(
            &json!({"a": {"b": [1, 2]}, "gone": 1}),
            &json!({"a": {"b": [1, 3]}, "new": null}),
        );
        let places: Vec<&str> = differences
            .iter()
            .map(|found| found.what.as_str())
            .collect();
        assert_eq!(places, ["/a/b/1", "/gone", "/new"]);
    }

    #[test]
    fn finds_nothing_in_equal_answers() {
        assert_eq!(compare(&json!({"a": [1]}), &json!({"a": [1]})), []);
    }
}
