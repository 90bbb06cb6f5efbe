//! The `key=value` arguments of `write`, `read`, `login` and others.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::cli::ui::Ui;

#[derive(Debug, Error)]
#[error("invalid key/value pair \"{argument}\": {reason}")]
pub(crate) struct InvalidPair {
    argument: String,
    reason: String,
}

/// Turns arguments into the fields of a request: `key=value`, `key=@file`, `key=-` (standard
/// input), `@file.json` and `-` (a whole JSON object). `\@` and `\-` stand for a literal first
/// character; a repeated key makes a list. Values are never converted, the server does that.
pub(crate) fn parse_pairs(
    arguments: &[String],
    ui: &mut Ui<'_>,
) -> Result<Map<String, Value>, InvalidPair> {
    let mut input = Input {
        ui,
        consumed: false,
    };
    let mut fields = Map::new();
    for argument in arguments {
        add_argument(argument, &mut fields, &mut input).map_err(|reason| InvalidPair {
            argument: argument.clone(),
            reason,
        })?;
    }
    Ok(fields)
}

/// As [`parse_pairs`] where only texts make sense, such as query parameters and mount options.
pub(crate) fn parse_texts(
    arguments: &[String],
    ui: &mut Ui<'_>,
) -> Result<Vec<(String, String)>, InvalidPair> {
    let mut texts = Vec::new();
    for (key, value) in parse_pairs(arguments, ui)? {
        match value {
            Value::String(text) => texts.push((key, text)),
            Value::Array(values) => {
                texts.extend(values.iter().map(|value| (key.clone(), plain(value))));
            }
            other => texts.push((key, other.to_string())),
        }
    }
    Ok(texts)
}

/// One `key=value` flag, such as `-metadata=a=b`.
pub(crate) fn parse_flag_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("missing = in KV pair: \"{text}\""))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Repeated `key=value` flags; the last of a key wins.
pub(crate) fn pairs_to_map(pairs: &[(String, String)]) -> Option<BTreeMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.iter().cloned().collect())
}

struct Input<'a, 'b> {
    ui: &'a mut Ui<'b>,
    consumed: bool,
}

impl Input<'_, '_> {
    fn take(&mut self) -> Result<Vec<u8>, String> {
        if std::mem::replace(&mut self.consumed, true) {
            return Err("stdin already consumed".to_owned());
        }
        let mut bytes = self.ui.read_input().map_err(|error| error.to_string())?;
        Ok(std::mem::take(&mut *bytes))
    }
}

fn add_argument(
    argument: &str,
    fields: &mut Map<String, Value>,
    input: &mut Input<'_, '_>,
) -> Result<(), String> {
    if argument == "-" {
        return add_object(&input.take()?, fields);
    }
    if let Some(path) = argument.strip_prefix('@') {
        return add_object(&read_file(path)?, fields);
    }
    let (key, value) = argument
        .split_once('=')
        .ok_or_else(|| "format must be key=value".to_owned())?;
    let value = match value {
        "-" => text(input.take()?),
        _ => match value.strip_prefix('@') {
            Some(path) => {
                text(read_file(path).map_err(|reason| format!("error reading file: {reason}"))?)
            }
            None => unescaped(value).to_owned(),
        },
    };
    add_value(key, value, fields);
    Ok(())
}

fn add_value(key: &str, value: String, fields: &mut Map<String, Value>) {
    let value = Value::String(value);
    match fields.get_mut(key) {
        None => {
            fields.insert(key.to_owned(), value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => {
            let first_value = first.take();
            *first = Value::Array(vec![first_value, value]);
        }
    }
}

fn add_object(bytes: &[u8], fields: &mut Map<String, Value>) -> Result<(), String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("EOF".to_owned());
    }
    let object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    fields.extend(object);
    Ok(())
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("open {path}: {}", go_io_error(&error)))
}

/// Short names of the usual I/O errors, as Go prints them.
pub(crate) fn go_io_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn unescaped(value: &str) -> &str {
    match value.strip_prefix('\\') {
        Some(rest) if rest.starts_with('@') || rest == "-" => rest,
        _ => value,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;
    use crate::cli::test_ui::TestUi;

    fn parse(arguments: &[&str], input: &str) -> Result<Value, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let mut streams = TestUi::with_input(input);
        parse_pairs(&arguments, &mut streams.ui())
            .map(Value::Object)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keeps_every_value_a_string() {
        assert_eq!(
            parse(&["a=1", "b=true", "c=", "d=x=y", "e=-1"], "").unwrap(),
            json!({"a": "1", "b": "true", "c": "", "d": "x=y", "e": "-1"})
        );
    }

    #[test]
    fn makes_a_list_of_a_repeated_key() {
        assert_eq!(
            parse(&["a=1", "a=2", "a=3"], "").unwrap(),
            json!({"a": ["1", "2", "3"]})
        );
    }

    #[test]
    fn refuses_the_value_that_a_stray_blank_cut_off() {
        assert_eq!(
            parse(&["common_name=", "RH Custom Root CA"], "").unwrap_err(),
            "invalid key/value pair \"RH Custom Root CA\": format must be key=value"
        );
    }

    #[test]
    fn reads_values_and_objects_from_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"{\"n\": 5}\n").unwrap();
        let path = file.path().display().to_string();
        assert_eq!(
            parse(&[&format!("csr=@{path}")], "").unwrap(),
            json!({"csr": "{\"n\": 5}\n"})
        );
        assert_eq!(
            parse(&[&format!("@{path}"), "a=b"], "").unwrap(),
            json!({"n": 5, "a": "b"})
        );
    }

    #[test]
    fn names_the_missing_file() {
        assert_eq!(
            parse(&["csr=@/no/such"], "").unwrap_err(),
            "invalid key/value pair \"csr=@/no/such\": error reading file: open /no/such: no such file or directory"
        );
        assert_eq!(
            parse(&["@/no/such"], "").unwrap_err(),
            "invalid key/value pair \"@/no/such\": open /no/such: no such file or directory"
        );
    }

    #[test]
    fn reads_the_standard_input_once() {
        assert_eq!(parse(&["k=-"], "v\n").unwrap(), json!({"k": "v\n"}));
        assert_eq!(parse(&["-"], "{\"z\":[1]}").unwrap(), json!({"z": [1]}));
        assert_eq!(
            parse(&["k=-", "j=-"], "v").unwrap_err(),
            "invalid key/value pair \"j=-\": stdin already consumed"
        );
        assert_eq!(
            parse(&["-"], "").unwrap_err(),
            "invalid key/value pair \"-\": EOF"
        );
    }

    #[test]
    fn takes_an_escaped_at_sign_literally() {
        assert_eq!(parse(&["a=\\@x"], "").unwrap(), json!({"a": "@x"}));
    }
}
