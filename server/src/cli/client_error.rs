//! Why a call failed, in the words of Vault's tool.

use std::fmt;

use hyper::Method;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::cli::transport::TransportError;
use crate::cli::ui::Stop;

#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("{0}")]
    Answer(#[from] Box<ApiError>),
    /// The answer cannot be read.
    #[error("{0}")]
    Content(String),
    /// Not a failure: `-output-curl-string` or `-output-policy` was given.
    #[error("{0}")]
    Preview(String),
    #[error("{method} \"{url}\": {source}")]
    Transport {
        method: String,
        url: String,
        source: TransportError,
    },
}

/// An answer of 400 or above.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) namespace: Option<String>,
    pub(crate) status: u16,
    /// The messages, or nothing when the body is not an error envelope.
    pub(crate) errors: Option<Vec<String>>,
    pub(crate) body: Vec<u8>,
}

impl ApiError {
    /// The messages of an error envelope; none of an object that has none.
    pub(crate) fn messages(body: &[u8]) -> Option<Vec<String>> {
        let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let messages = match object.get("errors") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(messages) => messages.as_array()?,
        };
        Some(
            messages
                .iter()
                .filter_map(|message| message.as_str().map(str::to_owned))
                .collect(),
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Error making API request.\n\n")?;
        if let Some(namespace) = &self.namespace {
            writeln!(formatter, "Namespace: {namespace}")?;
        }
        writeln!(formatter, "URL: {} {}", self.method, self.url)?;
        let Some(errors) = &self.errors else {
            let body = String::from_utf8_lossy(&self.body);
            return write!(formatter, "Code: {}. Raw Message:\n\n{body}", self.status);
        };
        write!(formatter, "Code: {}. Errors:\n\n", self.status)?;
        let bullets: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
        formatter.write_str(&bullets.join("\n"))
    }
}

impl std::error::Error for ApiError {}

impl ClientError {
    /// Ends the command, telling what it was about: `Error reading x: …`.
    pub(crate) fn stop(self, what: impl fmt::Display) -> Stop {
        match self {
            Self::Preview(text) => Stop::Printed(text),
            error => Stop::Failed(format!("{what}: {error}")),
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(error) => Some(error.status),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_api_errors_as_vault_does() {
        let error = ApiError {
            method: Method::PUT,
            url: "http://h/v1/x".to_owned(),
            namespace: None,
            status: 400,
            errors: ApiError::messages(b"{\"errors\":[\"a\",\"b\"]}"),
            body: Vec::new(),
        };
        assert_eq!(
            error.to_string(),
            "Error making API request.\n\nURL: PUT http://h/v1/x\nCode: 400. Errors:\n\n* a\n* b"
        );
        assert_eq!(ApiError::messages(b"<html>"), None);
    }
}
