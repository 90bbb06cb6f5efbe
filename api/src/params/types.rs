//! The types that a request field can have, and what each takes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{FieldKind, FromField, parse_duration_secs};
use crate::time::Timestamp;

impl FromField for Value {
    const KIND: FieldKind = FieldKind::Any;

    fn from_value(value: Value) -> Result<Self, String> {
        Ok(value)
    }

    fn absent() -> Self {
        Self::Null
    }
}

impl<T: FromField> FromField for Option<T> {
    const KIND: FieldKind = T::KIND;

    /// A null duration selects the field's default; any other null is the type's zero value.
    fn from_value(value: Value) -> Result<Self, String> {
        if value.is_null() && T::KIND == FieldKind::DurationSecs {
            return Ok(None);
        }
        T::from_value(value).map(Some)
    }

    fn absent() -> Self {
        None
    }
}

impl FromField for bool {
    const KIND: FieldKind = FieldKind::Bool;

    fn from_value(value: Value) -> Result<Self, String> {
        let invalid =
            || "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax".into();
        match value {
            Value::Null => Ok(false),
            Value::Bool(given) => Ok(given),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Ok(false),
                Some(1) => Ok(true),
                _ => Err(invalid()),
            },
            Value::String(text) if text.is_empty() => Ok(false),
            Value::String(text) => parse_bool(&text).ok_or_else(invalid),
            other => Err(unconvertible("bool", &other)),
        }
    }

    fn absent() -> Self {
        false
    }
}

/// The spellings that Go's `ParseBool` takes.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

impl FromField for i64 {
    const KIND: FieldKind = FieldKind::Int;

    fn from_value(value: Value) -> Result<Self, String> {
        let invalid = || "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax".into();
        match value {
            Value::Null => Ok(0),
            Value::Bool(given) => Ok(Self::from(given)),
            Value::Number(number) => number.as_i64().ok_or_else(invalid),
            Value::String(text) if text.is_empty() => Ok(0),
            Value::String(text) => parse_int(&text).ok_or_else(invalid),
            other => Err(unconvertible("int", &other)),
        }
    }

    fn absent() -> Self {
        0
    }
}

/// Go's `ParseInt` in base 0: `0x`, `0o`, `0b`, a leading 0 for octal, underscores between digits.
fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)?),
        Some("0o") => (8, lower.get(2..)?),
        Some("0b") => (2, lower.get(2..)?),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

impl FromField for f64 {
    const KIND: FieldKind = FieldKind::Float;

    fn from_value(value: Value) -> Result<Self, String> {
        let invalid = || "'' cannot parse value as 'float64': invalid syntax".into();
        match value {
            Value::Null => Ok(0.0),
            Value::Number(number) => number.as_f64().ok_or_else(invalid),
            Value::String(text) => text.parse().map_err(|_| invalid()),
            other => Err(unconvertible("float64", &other)),
        }
    }

    fn absent() -> Self {
        0.0
    }
}

impl FromField for String {
    const KIND: FieldKind = FieldKind::String;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::new()),
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(given) => Ok(if given { "1" } else { "0" }.into()),
            other => Err(unconvertible("string", &other)),
        }
    }

    fn absent() -> Self {
        Self::new()
    }
}

/// A string that is wiped when dropped: tokens, passwords, private keys.
#[derive(Clone, Default)]
pub struct SecretText(pub Zeroizing<String>);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

impl FromField for SecretText {
    const KIND: FieldKind = FieldKind::String;

    fn from_value(value: Value) -> Result<Self, String> {
        String::from_value(value).map(|text| Self(Zeroizing::new(text)))
    }

    fn absent() -> Self {
        Self::default()
    }
}

/// Seconds, from a number, a numeric string, Go's duration syntax or whole days (`30d`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl FromField for Seconds {
    const KIND: FieldKind = FieldKind::DurationSecs;

    fn from_value(value: Value) -> Result<Self, String> {
        let secs = seconds(value)?;
        u64::try_from(secs)
            .map(Self)
            .map_err(|_| format!("cannot provide negative value '{secs}'"))
    }

    fn absent() -> Self {
        Self(0)
    }
}

fn seconds(value: Value) -> Result<i64, String> {
    match value {
        Value::Null => Ok(0),
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| format!("time: missing unit in duration {:?}", number.to_string())),
        Value::String(text) => parse_duration_secs(&text),
        _ => Err("could not parse duration from input".into()),
    }
}

/// As [`Seconds`], and negative ones too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignedSeconds(pub i64);

impl FromField for SignedSeconds {
    const KIND: FieldKind = FieldKind::DurationSecs;

    fn from_value(value: Value) -> Result<Self, String> {
        seconds(value).map(Self)
    }

    fn absent() -> Self {
        Self(0)
    }
}

/// A list, or one string that is split at commas; elements of the string are trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommaList(pub Vec<String>);

impl FromField for CommaList {
    const KIND: FieldKind = FieldKind::CommaList;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.trim().is_empty() => Ok(Self::default()),
            Value::String(text) => Ok(Self(trimmed(text.split(',')))),
            other => strings(other)
                .map(|list| Self(trimmed(list.iter().map(String::as_str))))
                .map_err(|error| {
                    format!(
                        "1 error(s) decoding:\n\n* {}, value: '{}'",
                        error.text(),
                        go_text(&error.value)
                    )
                }),
        }
    }

    fn absent() -> Self {
        Self::default()
    }
}

fn trimmed<'t>(elements: impl Iterator<Item = &'t str>) -> Vec<String> {
    elements.map(|element| element.trim().to_owned()).collect()
}

/// A list, or one string that is one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringList(pub Vec<String>);

impl FromField for StringList {
    const KIND: FieldKind = FieldKind::StringList;

    fn from_value(value: Value) -> Result<Self, String> {
        strings(value).map(Self).map_err(|error| {
            format!(
                "decoding failed due to the following error(s):\n\n{}",
                error.text()
            )
        })
    }

    fn absent() -> Self {
        Self::default()
    }
}

/// An element of a list that is no string.
struct NoString {
    index: usize,
    value: Value,
}

impl NoString {
    fn text(&self) -> String {
        format!(
            "'[{}]' expected type 'string', got unconvertible type '{}'",
            self.index,
            go_type(&self.value)
        )
    }
}

/// The elements of a list; anything else is a list of one.
fn strings(value: Value) -> Result<Vec<String>, NoString> {
    let values = match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        other => vec![other],
    };
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| match value {
            Value::Array(_) | Value::Object(_) => Err(NoString { index, value }),
            scalar => Ok(String::from_value(scalar).unwrap_or_default()),
        })
        .collect()
}

/// An object, or a list of `key=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(pub BTreeMap<String, String>);

impl FromField for Pairs {
    const KIND: FieldKind = FieldKind::KeyValuePairs;

    fn from_value(value: Value) -> Result<Self, String> {
        let pair = |(index, text): (usize, &str)| {
            text.split_once('=')
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .ok_or_else(|| format!("invalid key pair at index {index}"))
        };
        match value {
            Value::Null => Ok(Self::default()),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| Ok((key, String::from_value(value)?)))
                .collect::<Result<_, _>>()
                .map(Self),
            Value::Array(values) => values
                .into_iter()
                .enumerate()
                .map(|(index, value)| pair((index, &String::from_value(value)?)))
                .collect::<Result<_, _>>()
                .map(Self),
            Value::String(text) => pair((0, &text)).map(|one| Self(BTreeMap::from([one]))),
            other => Err(unconvertible("map[string]string", &other)),
        }
    }

    fn absent() -> Self {
        Self::default()
    }
}

impl FromField for Map<String, Value> {
    const KIND: FieldKind = FieldKind::Map;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::new()),
            Value::Object(map) => Ok(map),
            other => Err(unconvertible("map[string]interface {}", &other)),
        }
    }

    fn absent() -> Self {
        Self::new()
    }
}

impl FromField for Timestamp {
    const KIND: FieldKind = FieldKind::Time;

    /// RFC 3339, or seconds since the epoch as a number or a string.
    fn from_value(value: Value) -> Result<Self, String> {
        let text = String::from_value(value)?;
        if let Ok(secs) = text.parse() {
            return Ok(Self::from_secs(secs));
        }
        time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339)
            .ok()
            .and_then(|time| i64::try_from(time.unix_timestamp_nanos()).ok())
            .map(Self)
            .ok_or_else(|| format!("could not parse time {text:?}"))
    }

    fn absent() -> Self {
        Self(0)
    }
}

fn unconvertible(wanted: &str, value: &Value) -> String {
    format!(
        "'' expected type '{wanted}', got unconvertible type '{}'",
        go_type(value)
    )
}

/// The type Go's decoder gives a JSON value, as its error texts name it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "[]interface {}",
        Value::Bool(_) => "bool",
        Value::Null => "<nil>",
        Value::Number(_) => "json.Number",
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
    }
}

/// A value as Go prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(go_text).collect();
            format!("[{}]", values.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        Value::Object(fields) => {
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", go_text(value)))
                .collect();
            fields.sort_unstable();
            format!("map[{}]", fields.join(" "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(value: Value) -> Result<u64, String> {
        Seconds::from_value(value).map(|s| s.0)
    }

    #[test]
    fn durations_take_every_spelling_of_the_api() {
        for (value, secs) in [
            (json!(600), 600),
            (json!("600"), 600),
            (json!("1h30m"), 5400),
            (json!("87600h"), 315_360_000),
            (json!("500ms"), 0),
            (json!("1.5h"), 5400),
            (json!("30d"), 2_592_000),
            (json!(""), 0),
            (json!(null), 0),
        ] {
            assert_eq!(seconds(value.clone()), Ok(secs), "{value}");
        }
    }

    #[test]
    fn durations_refuse_with_the_texts_clients_know() {
        for (value, text) in [
            (
                json!("1d2h"),
                r#"time: unknown unit "d" in duration "1d2h""#,
            ),
            (json!("1w"), r#"time: unknown unit "w" in duration "1w""#),
            (json!("abc"), r#"time: invalid duration "abc""#),
            (json!(" 5s"), r#"time: invalid duration " 5s""#),
            (json!(-5), "cannot provide negative value '-5'"),
            (json!(600.7), r#"time: missing unit in duration "600.7""#),
            (json!(true), "could not parse duration from input"),
            (
                json!("9999999999h"),
                r#"time: invalid duration "9999999999h""#,
            ),
        ] {
            assert_eq!(seconds(value.clone()), Err(text.to_owned()), "{value}");
        }
    }

    #[test]
    fn integers_are_read_in_base_zero() {
        for (value, int) in [
            ("5", 5),
            ("0x10", 16),
            ("010", 8),
            ("1_000", 1000),
            ("", 0),
            ("-3", -3),
        ] {
            assert_eq!(i64::from_value(json!(value)), Ok(int), "{value}");
        }
        for bad in ["abc", "5.7", "1__0", "0x", "--1"] {
            assert!(i64::from_value(json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_refuse_what_is_no_string_with_the_texts_clients_know() {
        let value = json!(["x", {"b": null, "a": [1, true]}]);
        assert_eq!(
            CommaList::from_value(value.clone()).err().unwrap(),
            "1 error(s) decoding:\n\n* '[1]' expected type 'string', got unconvertible type \
             'map[string]interface {}', value: 'map[a:[1 true] b:<nil>]'"
        );
        assert_eq!(
            StringList::from_value(value).err().unwrap(),
            "decoding failed due to the following error(s):\n\n'[1]' expected type 'string', got \
             unconvertible type 'map[string]interface {}'"
        );
    }

    #[test]
    fn comma_lists_split_strings_but_not_lists() {
        for (value, list) in [
            (json!("a, b ,,c"), vec!["a", "b", "", "c"]),
            (json!(["a,b", " c\n"]), vec!["a,b", "c"]),
            (json!(""), vec![]),
            (json!(5), vec!["5"]),
            (json!(true), vec!["1"]),
            (json!([null]), vec![""]),
        ] {
            assert_eq!(
                CommaList::from_value(value.clone()).unwrap().0,
                list,
                "{value}"
            );
        }
        assert!(CommaList::from_value(json!({"a": 1})).is_err());
    }
}
