//! How results look: fields, JSON and YAML as Vault's tool prints them.

use serde::Serialize;
use serde_json::Value;

use crate::cli::brand::Brand;
use crate::cli::duration::GoDuration;
use crate::cli::flags::Format;
use crate::cli::secret::{Auth, Secret, WrapInfo};
use crate::cli::table::key_value_table;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, Ui, wrap};

/// Prints any result as JSON or YAML. Tables are the caller's, so `Table` prints nothing.
pub(crate) fn print_structured<T: Serialize>(
    ui: &mut Ui<'_>,
    format: Format,
    value: &T,
) -> Outcome {
    match format {
        Format::Json => ui.line(json(value)?),
        Format::Yaml => ui.line(yaml(value)?.trim_end()),
        Format::Raw => return Err(raw_is_for_read()),
        Format::Table => {}
    }
    Ok(())
}

pub(crate) fn raw_is_for_read() -> Stop {
    Stop::usage("This command does not support the -format=raw option; only `read` does.")
}

/// Prints an answer in the format asked for; `field` alone when given.
pub(crate) fn print_secret(
    ui: &mut Ui<'_>,
    brand: &Brand,
    format: Format,
    field: Option<&str>,
    secret: &Secret,
) -> Outcome {
    if format == Format::Table {
        print_warnings(ui, brand, secret);
    }
    if let Some(name) = field {
        return print_field(ui, format, secret, name);
    }
    if format != Format::Table {
        return print_structured(ui, format, secret);
    }
    let rows = secret_rows(secret);
    if rows.is_empty() {
        ui.line("");
    } else {
        ui.line(key_value_table(rows));
    }
    Ok(())
}

/// To the error stream, so that the output stays clean.
pub(crate) fn print_warnings(ui: &mut Ui<'_>, brand: &Brand, secret: &Secret) {
    let Some(warnings) = secret
        .warnings
        .as_ref()
        .filter(|warnings| !warnings.is_empty())
    else {
        return;
    };
    ui.warn(format!(
        "WARNING! The following warnings were returned from {}:\n",
        brand.product
    ));
    for warning in warnings {
        let text = wrap(&format!("* {warning}"), LINE_WIDTH - 2);
        for line in text.lines() {
            ui.warn(format!("  {line}"));
        }
        ui.warn("");
    }
}

fn print_field(ui: &mut Ui<'_>, format: Format, secret: &Secret, name: &str) -> Outcome {
    let value = secret_field(secret, name)
        .ok_or_else(|| Stop::usage(format!("Field \"{name}\" not present in secret")))?;
    print_value(ui, format, &value)
}

/// One value: bare in tables, else as a document of its own.
pub(crate) fn print_value(ui: &mut Ui<'_>, format: Format, value: &Value) -> Outcome {
    match format {
        Format::Table | Format::Raw => {
            ui.raw(go_value(value).as_bytes());
            Ok(())
        }
        Format::Json | Format::Yaml => print_structured(ui, format, value),
    }
}

/// A field by the name it has in tables.
fn secret_field(secret: &Secret, name: &str) -> Option<Value> {
    if let Some(auth) = &secret.auth {
        let found = match name {
            "token" => Some(Value::from(auth.client_token.clone())),
            "token_accessor" => Some(Value::from(auth.accessor.clone())),
            "token_duration" => Some(Value::from(auth.lease_duration)),
            "token_renewable" => Some(Value::from(auth.renewable)),
            "token_policies" => Some(Value::from(auth.token_policies.clone().unwrap_or_default())),
            "identity_policies" => Some(Value::from(
                auth.identity_policies.clone().unwrap_or_default(),
            )),
            "policies" => Some(Value::from(auth.policies.clone().unwrap_or_default())),
            _ => name
                .strip_prefix("token_meta_")
                .and_then(|key| auth.metadata.as_ref()?.get(key).cloned()),
        };
        if found.is_some() {
            return found;
        }
    }
    if let Some(wrap_info) = &secret.wrap_info {
        let found = match name {
            "wrapping_token" => Some(Value::from(wrap_info.token.clone())),
            "wrapping_accessor" => Some(Value::from(wrap_info.accessor.clone())),
            "wrapping_token_ttl" => Some(Value::from(wrap_info.ttl)),
            "wrapping_token_creation_time" => Some(Value::from(go_time(&wrap_info.creation_time))),
            "wrapping_token_creation_path" => Some(Value::from(wrap_info.creation_path.clone())),
            "wrapped_accessor" => Some(Value::from(wrap_info.wrapped_accessor.clone())),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    if let Some(value) = secret.field(name) {
        return Some(value.clone());
    }
    match name {
        "data" => secret.data.clone().map(Value::Object),
        "lease_id" => Some(Value::from(secret.lease_id.clone())),
        "refresh_interval" => Some(Value::from(secret.lease_duration)),
        _ => None,
    }
}

fn secret_rows(secret: &Secret) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if let Some(wrap_info) = &secret.wrap_info {
        push_wrap_info(&mut rows, wrap_info);
        return rows;
    }
    if !secret.lease_id.is_empty() {
        push(&mut rows, "lease_id", &secret.lease_id);
        push(
            &mut rows,
            "lease_duration",
            &short_seconds(secret.lease_duration),
        );
        push(&mut rows, "lease_renewable", &secret.renewable);
    } else if secret.lease_duration > 0 {
        push(
            &mut rows,
            "refresh_interval",
            &short_seconds(secret.lease_duration),
        );
    }
    if let Some(auth) = &secret.auth {
        push_auth(&mut rows, auth);
    }
    for (key, value) in sorted(secret.data.iter().flatten()) {
        let text = if looks_like_duration(key) {
            human_duration(value)
        } else {
            go_value(value)
        };
        rows.push((key.clone(), text));
    }
    rows
}

fn push_auth(rows: &mut Vec<(String, String)>, auth: &Auth) {
    push(rows, "token", &auth.client_token);
    push(rows, "token_accessor", &auth.accessor);
    let duration = match auth.lease_duration {
        0 => "∞".to_owned(),
        seconds => short_seconds(seconds),
    };
    push(rows, "token_duration", &duration);
    push(rows, "token_renewable", &auth.renewable);
    push(
        rows,
        "token_policies",
        &quoted(auth.token_policies.as_deref()),
    );
    push(
        rows,
        "identity_policies",
        &quoted(auth.identity_policies.as_deref()),
    );
    push(rows, "policies", &quoted(auth.policies.as_deref()));
    for (key, value) in sorted(auth.metadata.iter().flatten()) {
        rows.push((format!("token_meta_{key}"), go_value(value)));
    }
}

fn push_wrap_info(rows: &mut Vec<(String, String)>, wrap_info: &WrapInfo) {
    push(rows, "wrapping_token:", &wrap_info.token);
    push(rows, "wrapping_accessor:", &wrap_info.accessor);
    push(rows, "wrapping_token_ttl:", &short_seconds(wrap_info.ttl));
    push(
        rows,
        "wrapping_token_creation_time:",
        &go_time(&wrap_info.creation_time),
    );
    push(
        rows,
        "wrapping_token_creation_path:",
        &wrap_info.creation_path,
    );
    if !wrap_info.wrapped_accessor.is_empty() {
        push(rows, "wrapped_accessor:", &wrap_info.wrapped_accessor);
    }
}

fn push(rows: &mut Vec<(String, String)>, key: &str, value: &impl ToString) {
    rows.push((key.to_owned(), value.to_string()));
}

fn sorted<'a>(
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Vec<(&'a String, &'a Value)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(key, _)| *key);
    fields
}

/// A value as Go's `%v` prints it.
pub(crate) fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(go_value).collect();
            format!("[{}]", values.join(" "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = sorted(fields.iter())
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", go_value(value)))
                .collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

fn quoted(texts: Option<&[String]>) -> String {
    let texts: Vec<String> = texts
        .unwrap_or_default()
        .iter()
        .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("[{}]", texts.join(" "))
}

fn looks_like_duration(key: &str) -> bool {
    DURATION_KEYS.contains(&key)
        || ["_duration", "_period", "_ttl"]
            .iter()
            .any(|suffix| key.ends_with(suffix))
}

fn human_duration(value: &Value) -> String {
    value
        .as_i64()
        .map_or_else(|| go_value(value), short_seconds)
}

/// Seconds as `768h`.
pub(crate) fn short_seconds(seconds: i64) -> String {
    GoDuration::from_seconds(seconds).short()
}

/// An RFC 3339 time as Go's `Time.String` prints it.
fn go_time(text: &str) -> String {
    match text.strip_suffix('Z') {
        Some(local) => format!("{} +0000 UTC", local.replacen('T', " ", 1)),
        None => text.to_owned(),
    }
}

/// Two-space JSON in which, as in Go's, `<`, `>` and `&` are escaped. The three stand only inside
/// of strings, so replacing them in the text is safe.
fn json<T: Serialize>(value: &T) -> Result<String, Stop> {
    serde_json::to_string_pretty(value)
        .map(|text| go_escaped(&text))
        .map_err(|error| Stop::usage(error.to_string()))
}

pub(crate) fn go_escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Keys sorted, lines never folded.
fn yaml<T: Serialize>(value: &T) -> Result<String, Stop> {
    let wrong = |error: String| Stop::usage(error);
    let sorted: Value = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut text, &sorted, options)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(text)
}

const DURATION_KEYS: [&str; 5] = ["duration", "lease_max", "period", "ttl", "ttl_max"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(value: Value) -> Secret {
        serde_json::from_value(value).unwrap()
    }

    fn rows(value: Value) -> Vec<(String, String)> {
        secret_rows(&secret(value))
    }

    #[test]
    fn prints_values_as_go_does() {
        let value =
            json!({"b": 1, "a": {"x": "y"}, "l": ["a", 1, null, true, {"k": "v"}], "e": []});
        assert_eq!(
            go_value(&value),
            "map[a:map[x:y] b:1 e:[] l:[a 1 <nil> true map[k:v]]]"
        );
    }

    #[test]
    fn sorts_fields_and_shows_durations() {
        assert_eq!(
            rows(
                json!({"data": {"ttl": 15_768_000, "max_ttl": 0, "key_bits": 2048, "my_period": 90,
                "not_after": "", "issuer_ttl": "1h"}})
            ),
            [
                ("issuer_ttl", "1h"),
                ("key_bits", "2048"),
                ("max_ttl", "0s"),
                ("my_period", "1m30s"),
                ("not_after", ""),
                ("ttl", "4380h"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn shows_a_root_token_as_eternal() {
        let rows = rows(
            json!({"auth": {"client_token": "t", "accessor": "a", "policies": ["root"],
            "token_policies": ["root"], "metadata": {"user": "bob"}, "lease_duration": 0}}),
        );
        assert!(rows.contains(&("token_duration".to_owned(), "∞".to_owned())));
        assert!(rows.contains(&("policies".to_owned(), "[\"root\"]".to_owned())));
        assert!(rows.contains(&("token_meta_user".to_owned(), "bob".to_owned())));
    }

    #[test]
    fn shows_only_the_wrapping_of_a_wrapped_answer() {
        let rows = rows(
            json!({"wrap_info": {"token": "s.x", "accessor": "a", "ttl": 60,
            "creation_time": "2026-11-25T00:15:05.004339562Z", "creation_path": "pki/issue/x"}}),
        );
        assert!(rows.contains(&("wrapping_token_ttl:".to_owned(), "1m".to_owned())));
        assert!(rows.contains(&(
            "wrapping_token_creation_time:".to_owned(),
            "2026-11-25 00:15:05.004339562 +0000 UTC".to_owned()
        )));
        assert_eq!(rows.len(), 5);
    }

    #[test]
    fn escapes_json_as_go_does() {
        assert_eq!(
            json(&json!({"a": "<b>&"})).unwrap(),
            "{\n  \"a\": \"\\u003cb\\u003e\\u0026\"\n}"
        );
    }

    #[test]
    fn writes_certificates_into_yaml_as_blocks() {
        let text = yaml(&json!({"b": "", "a": "x\ny\n", "c": ["1", 2], "n": null})).unwrap();
        assert_eq!(
            text,
            "a: |\n  x\n  y\nb: \"\"\nc:\n- \"1\"\n- 2\n\"n\": null\n"
        );
        let long = "word ".repeat(60).trim().to_owned();
        assert!(yaml(&json!({"a": long})).unwrap().lines().count() == 1);
    }
}
