//! The metadata of a secret-id: a string that holds JSON, its base64, or `key=value,…`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ApiError;
use crate::node::Metadata;

pub(super) fn parse(text: &str) -> Result<Metadata, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Metadata::new());
    }
    let decoded = STANDARD.decode(text).ok();
    let json = decoded.as_deref().unwrap_or(text.as_bytes());
    if let Ok(Some(metadata)) = serde_json::from_slice::<Option<Metadata>>(json) {
        return Ok(metadata);
    }
    pairs(text).map_err(|reason| {
        ApiError::bad_request(format!(
            "failed to parse metadata: failed to parse the input: {reason}"
        ))
    })
}

fn pairs(text: &str) -> Result<Metadata, String> {
    let mut metadata = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) if !value.contains('=') => (key.trim(), value.trim()),
            _ => return Err("invalid <key,value> format".into()),
        };
        if key.is_empty() || value.is_empty() {
            return Err(format!(
                "invalid <key,value> pair: key: {key:?} value: {value:?}"
            ));
        }
        metadata.insert(key.to_owned(), value.to_owned());
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_that_clients_send() {
        let expected = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for text in [r#"{"a":"b"}"#, "a=b", " a = b ,", "eyJhIjoiYiJ9"] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        for empty in ["", " ", "{}"] {
            assert_eq!(parse(empty).unwrap(), BTreeMap::new(), "{empty}");
        }
    }

    #[test]
    fn refuses_the_rest_with_the_texts_clients_know() {
        for (text, reason) in [
            ("garb", "invalid <key,value> format"),
            (r#"{"a":1}"#, "invalid <key,value> format"),
            ("[1]", "invalid <key,value> format"),
            ("a=b=c", "invalid <key,value> format"),
            ("=b", r#"invalid <key,value> pair: key: "" value: "b""#),
        ] {
            let expected = format!("failed to parse metadata: failed to parse the input: {reason}");
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
