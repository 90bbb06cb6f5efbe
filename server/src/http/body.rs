//! Bodies: bounded in size and shape before they cost anything, then JSON or a form.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::{Map, Value};

use super::Limits;
use super::request::{Refused, media_type, query_pairs};

/// The whole body, or a 413 as soon as it is too large, or a 408 when it does not arrive.
pub(super) async fn collect<B>(body: B, limits: &Limits) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_read, arrived(body, limits.body_bytes)).await {
        Ok(body) => body,
        Err(_) => Err(Refused::Error(408, "request body took too long".into())),
    }
}

async fn arrived<B>(body: B, limit_bytes: usize) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|_| Refused::bad_request("error reading request body"))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if first.len() + all.len() + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        // Nearly every body comes in one piece, which needs no copy.
        if all.is_empty() && first.is_empty() {
            first = chunk;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&chunk);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// What is read of a body that nobody wants, in bytes and in time.
const DISCARDED_BYTES: u64 = 64 * 1024;
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// Takes what is left of a short body off the connection. Otherwise the connection is closed behind
/// the answer, and clients that send a body with `GET`, or follow a redirect, run into that.
pub(super) async fn discard<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() || body.size_hint().lower() > DISCARDED_BYTES {
        return;
    }
    let read = async {
        let mut left = DISCARDED_BYTES;
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    };
    // Who is too slow finds the connection closed.
    let _ = tokio::time::timeout(DISCARDED_WITHIN, read).await;
}

fn too_large() -> Refused {
    Refused::Error(413, "http: request body too large".into())
}

/// The fields of a body. JSON whatever the content type says, unless it says form and the body does
/// not look like JSON: `curl -d '{…}'` sends JSON as a form.
pub(super) fn fields(
    limits: &Limits,
    content_type: &str,
    bytes: &[u8],
) -> Result<Map<String, Value>, Refused> {
    let media_type = media_type(content_type);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => Ok(Map::new()),
        // Not for the JSON decoder; the endpoint reads the raw body.
        Some(_) if media_type == "application/ocsp-request" => Ok(Map::new()),
        Some(b'{' | b'[') => json(limits, bytes),
        Some(_) if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
            form(limits, bytes)
        }
        Some(_) => json(limits, bytes),
    }
}

fn form(limits: &Limits, bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    if bytes.split(|byte| *byte == b'&').count() > limits.json_strings {
        return Err(too_complex("exceeded maximum number of strings"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::bad_request(""))?;
    let mut data = Map::new();
    for (name, value) in query_pairs(text) {
        match data.get_mut(&name) {
            Some(Value::String(first)) => {
                first.push(',');
                first.push_str(&value);
            }
            _ => {
                data.insert(name, Value::String(value));
            }
        }
    }
    Ok(data)
}

fn json(limits: &Limits, bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    check_shape(limits, bytes)?;
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let first = match values.next() {
        None => return Ok(Map::new()),
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(undecodable(&go_text(bytes, &error))),
    };
    let end = values.byte_offset();
    // A second value behind the first is passed over, anything else is not.
    if let Some(Err(error)) = values.next()
        && !error.is_eof()
    {
        let rest = bytes.get(end..).unwrap_or_default();
        let stray = rest
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .copied();
        let stray = char::from(stray.unwrap_or_default());
        return Err(undecodable(&format!(
            "invalid character {stray:?} looking for beginning of value"
        )));
    }
    match first {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map),
        other => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                _ => "string",
            };
            Err(undecodable(&format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )))
        }
    }
}

/// Refuses JSON that is deep, has many strings or would grow when decoded, in one pass without
/// building anything.
fn check_shape(limits: &Limits, bytes: &[u8]) -> Result<(), Refused> {
    let (mut depth, mut strings, mut string_start) = (0usize, 0usize, 0usize);
    let mut memory = bytes.len();
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if at - string_start > limits.json_string_bytes {
                        return Err(too_complex("exceeded maximum string length"));
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                string_start = at + 1;
                strings += 1;
                memory += VALUE_BYTES;
                if strings > limits.json_strings {
                    return Err(too_complex("exceeded maximum number of strings"));
                }
            }
            b'[' | b'{' => {
                depth += 1;
                memory += 2 * VALUE_BYTES;
                if depth > limits.json_depth {
                    return Err(undecodable("exceeded max depth"));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => memory += VALUE_BYTES,
            _ => {}
        }
    }
    if memory > limits.json_memory_bytes {
        return Err(too_complex("exceeded maximum estimated memory limits"));
    }
    Ok(())
}

/// Of a decoded value, whatever it is.
const VALUE_BYTES: usize = size_of::<Value>();

fn too_complex(detail: &str) -> Refused {
    Refused::bad_request(format!(
        "refused JSON input due to high complexity: {detail}"
    ))
}

fn undecodable(detail: &str) -> Refused {
    Refused::bad_request(format!("failed to decode JSON input: {detail}"))
}

/// The error as Go's decoder words it, as far as clients can tell.
fn go_text(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
    }
    let offset: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>()
        + error.column().saturating_sub(1);
    let rest = String::from_utf8_lossy(bytes.get(offset..).unwrap_or_default());
    let character = rest.chars().next().unwrap_or_default();
    let message = error.to_string();
    let place = if message.contains("key must be a string") {
        "looking for beginning of object key string"
    } else if message.contains("expected `:`") {
        "after object key"
    } else if message.contains("`}`") {
        "after object key:value pair"
    } else if message.contains("`]`") {
        "after array element"
    } else if message.contains("control character") {
        "in string literal"
    } else if message.contains("escape") {
        "in string escape code"
    } else {
        "looking for beginning of value"
    };
    format!("invalid character {} {place}", go_quoted(character))
}

fn go_quoted(character: char) -> String {
    match character {
        '\'' => r"'\''".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(content_type: &str, body: &str) -> Result<Value, String> {
        match fields(&Limits::default(), content_type, body.as_bytes()) {
            Ok(map) => Ok(Value::Object(map)),
            Err(Refused::Error(400, text)) => Err(text),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn takes_every_body_that_clients_send() {
        for (content_type, body, data) in [
            ("", "", json!({})),
            ("", "null", json!({})),
            ("application/json", r#"{"a":1}"#, json!({"a": 1})),
            (
                "application/x-www-form-urlencoded",
                r#"{"a":1}"#,
                json!({"a": 1}),
            ),
            (
                "application/x-www-form-urlencoded",
                "a=1&b=2&a=3",
                json!({"a": "1,3", "b": "2"}),
            ),
            (
                "application/x-www-form-urlencoded",
                "null",
                json!({"null": ""}),
            ),
            ("", r#"{"a":1}{"b":2}"#, json!({"a": 1})),
            ("", r#"{"a":1,"a":2}"#, json!({"a": 2})),
        ] {
            assert_eq!(decode(content_type, body), Ok(data), "{body}");
        }
    }

    #[test]
    fn refuses_with_the_texts_clients_know() {
        let deep = "[".repeat(20_000);
        let many = format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(20_000));
        for (body, text) in [
            (
                "[1]",
                "failed to decode JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (
                "bogus",
                "failed to decode JSON input: invalid character 'b' looking for beginning of value",
            ),
            (r#"{"a":"#, "failed to decode JSON input: unexpected EOF"),
            (
                r#"{"a":1} x"#,
                "failed to decode JSON input: invalid character 'x' looking for beginning of value",
            ),
            (
                deep.as_str(),
                "failed to decode JSON input: exceeded max depth",
            ),
            (
                many.as_str(),
                "refused JSON input due to high complexity: exceeded maximum number of strings",
            ),
        ] {
            assert_eq!(
                decode("", body),
                Err(text.to_owned()),
                "{}",
                body.get(..9).unwrap_or(body)
            );
        }
    }
}
