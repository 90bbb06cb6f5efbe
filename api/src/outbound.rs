//! Requests to other servers: the key sets of token issuers, the API server of a cluster.
//!
//! This crate does no I/O of its own; whoever runs it brings the [`Outbound`] that does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use zeroize::Zeroizing;

/// Sends one request and gives back the answer, whatever its status. Redirects are not followed:
/// where a credential goes is decided by the configuration alone.
#[async_trait]
pub trait Outbound: Send + Sync + fmt::Debug {
    /// # Errors
    /// When there is no complete answer within the limits of the request.
    async fn send(&self, request: Request) -> Result<Response, OutboundError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// A request to another server.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    /// `http` or `https`, absolute.
    pub url: String,
    /// Values may be credentials.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// May hold a credential.
    pub body: Bytes,
    pub trust: Trust,
    /// For the whole exchange, from looking up the name to the last byte of the answer.
    pub timeout: Duration,
    /// A longer body of the answer is an error.
    pub max_response_bytes: usize,
}

impl Request {
    /// A `GET` without headers, under the default limits: 10 seconds, 1 MiB.
    #[must_use]
    pub fn get(url: impl Into<String>, trust: Trust) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            trust,
            timeout: Duration::from_secs(10),
            max_response_bytes: 1024 * 1024,
        }
    }

    /// A `POST` under the default limits: 10 seconds, 1 MiB.
    #[must_use]
    pub fn post(
        url: impl Into<String>,
        trust: Trust,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            method: Method::Post,
            body: body.into(),
            ..Self::get(url, trust)
        }
        .header("content-type", content_type)
    }

    /// A `POST` of JSON, under the default limits: 10 seconds, 1 MiB.
    #[must_use]
    pub fn post_json(url: impl Into<String>, trust: Trust, body: impl Into<Bytes>) -> Self {
        Self::post(url, trust, "application/json", body)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Zeroizing::new(value.into())));
        self
    }

    /// With `token` in the `authorization` header.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }
}

/// Shows neither values of headers nor the body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// Which authorities may vouch for the other server; without meaning for `http`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The roots of this machine.
    #[default]
    System,
    /// These certificates in PEM, and no others.
    Pem(Arc<str>),
}

impl Trust {
    /// The certificates of `pem`, or the roots of this machine when there are none.
    #[must_use]
    pub fn of_pem(pem: &str) -> Self {
        if pem.trim().is_empty() {
            Self::System
        } else {
            Self::Pem(pem.into())
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Pem(_) => "Pem",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Bytes,
}

/// Why there is no answer. The texts are for the log and for operators; they hold addresses, and
/// never a credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OutboundError {
    #[error("invalid request: {0}")]
    Invalid(String),
    #[error("trusted certificates cannot be used: {0}")]
    InvalidTrust(String),
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Unreachable(String),
}

/// Reaches nobody: for a server that is to have no other, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutbound;

#[async_trait]
impl Outbound for NoOutbound {
    async fn send(&self, _request: Request) -> Result<Response, OutboundError> {
        Err(OutboundError::Unreachable(
            "this server sends no requests".into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let request = Request::post_json("https://a.example/x", Trust::System, "secret-body")
            .bearer("secret-token");
        let shown = format!("{request:?}");
        assert!(shown.contains("https://a.example/x") && shown.contains("authorization"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
