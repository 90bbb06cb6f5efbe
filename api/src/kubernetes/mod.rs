//! The API server of a Kubernetes cluster, as far as it tells who a caller is.

mod local;
mod namespace;
mod review;
mod reviewed;

pub use local::{LocalCluster, LocalPod, OutsideCluster};
pub use namespace::NamespaceError;
pub use review::{Bearer, ReviewError, ReviewerSettings, TokenReviewer};
pub use reviewed::{ObjectName, Reviewed};

use crate::outbound::{OutboundError, Response};

/// Where the API server is. `host` as people write it: a URL, `host:port` or a host; without a
/// scheme it is `https`.
#[must_use]
pub fn base_url(host: &str) -> String {
    let host = host.trim().trim_end_matches('/');
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    }
}

/// What an answer of the API server means where only success is of use.
fn success(answer: Result<Response, OutboundError>) -> Result<Response, Failure> {
    let response = answer.map_err(|error| Failure::NoAnswer(error.to_string()))?;
    match response.status {
        200..=299 => Ok(response),
        status => Err(Failure::Status(status)),
    }
}

enum Failure {
    NoAnswer(String),
    Status(u16),
}
