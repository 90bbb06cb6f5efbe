//! The labels of a namespace.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::review::Server;
use super::{Failure, ReviewError, TokenReviewer, success};
use crate::outbound::Request;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NamespaceError {
    /// Only our own token may read namespaces, not that of whoever logs in.
    #[error("TokenReviewer JWT needs to be configured to use namespace selectors")]
    NoToken,
    /// The API server does not show it to us.
    #[error("failed to get namespace (code {0})")]
    Refused(u16),
    #[error("{0}")]
    Unavailable(String),
}

/// `v1`, `Namespace`.
#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl TokenReviewer {
    /// Asks the API server for the labels of a namespace whose name it has given us itself.
    pub async fn namespace_labels(
        &self,
        namespace: &str,
    ) -> Result<BTreeMap<String, String>, NamespaceError> {
        let unavailable = |why: String| NamespaceError::Unavailable(why);
        let Server { host, trust, own } = self.0.server().await.map_err(|error| match error {
            ReviewError::Unauthenticated(why) | ReviewError::Unavailable(why) => unavailable(why),
        })?;
        let own = own.ok_or(NamespaceError::NoToken)?;
        if !is_dns_label(namespace) {
            return Err(NamespaceError::Refused(404));
        }
        let url = format!("{host}/api/v1/namespaces/{namespace}");
        let mut request = Request::get(url, trust)
            .header("accept", "application/json")
            .bearer(&own);
        request.timeout = self.0.settings.timeout;
        let answer = self.0.outbound.send(request).await;
        let response = success(answer).map_err(|failure| match failure {
            Failure::Status(status @ 400..=428) => NamespaceError::Refused(status),
            Failure::Status(status) => unavailable(format!("status {status}")),
            Failure::NoAnswer(why) => unavailable(why),
        })?;
        let namespace: Namespace = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("answer to a namespace: {error}")))?;
        Ok(namespace.metadata.labels.unwrap_or_default())
    }
}

/// RFC 1123, as Kubernetes names namespaces; it becomes part of a URL.
fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
