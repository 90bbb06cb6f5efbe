//! Why a workload gets no certificate: a word for the client, the detail for the operator.

use signet_pki::vet::Refusal;

use crate::error::{ApiError, ErrorKind};

/// A refusal or failure. The texts inside are for the log and the audit log; what the client gets is
/// [`MeshError::client_text`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum MeshError {
    /// Nobody that is known, or somebody who asks for another's certificate.
    #[error("not authenticated: {0}")]
    Unauthenticated(String),
    /// Somebody who may not ask on behalf of others, or not of this one.
    #[error("impersonation refused: {0}")]
    Impersonation(String),
    /// A CSR whose names are not those that were proved.
    #[error("the request does not fit the caller: {0}")]
    Mismatch(String),
    /// A CSR that cannot be read, or is not signed with its own key, or has a key of no use.
    #[error("bad CSR: {0}")]
    BadCsr(String),
    #[error("bad lifetime: {0}")]
    BadLifetime(String),
    /// The role does not allow the identity.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// Too much at once.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// Something is missing that may come: it is said to the client, too.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

/// What a client is to make of it; named as in gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
}

impl MeshError {
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Unauthenticated(_) | Self::Impersonation(_) | Self::Mismatch(_) => {
                Status::Unauthenticated
            }
            Self::BadCsr(_) | Self::BadLifetime(_) => Status::InvalidArgument,
            Self::Forbidden(_) => Status::PermissionDenied,
            Self::Overloaded(_) => Status::ResourceExhausted,
            Self::Unavailable(_) => Status::Unavailable,
            Self::Internal(_) => Status::Internal,
        }
    }

    /// Without detail, except of what only the operator can mend.
    #[must_use]
    pub fn client_text(&self) -> String {
        match self {
            Self::Unauthenticated(_) | Self::Mismatch(_) => "request authenticate failure".into(),
            Self::Impersonation(_) => "request impersonation authentication failure".into(),
            Self::BadCsr(_) => "CSR signing error (invalid certificate signing request)".into(),
            Self::BadLifetime(_) => "CSR signing error (requested lifetime is too long)".into(),
            Self::Forbidden(_) => "CSR signing error (not allowed)".into(),
            Self::Overloaded(_) => "too many requests, try again later".into(),
            Self::Unavailable(reason) => format!("certificate authority not ready: {reason}"),
            Self::Internal(_) => "CSR signing error (internal error)".into(),
        }
    }

    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Workload(_) => Self::Mismatch(text),
            Refusal::WorkloadLifetime { .. } => Self::BadLifetime(text),
            Refusal::UriForbidden { .. } | Refusal::UriNotAllowed { .. } => Self::Forbidden(text),
            Refusal::NotAfterBeyondIssuer { .. } => Self::Unavailable("issuer has expired".into()),
            _ => Self::BadCsr(text),
        }
    }

    /// The same for the audit log.
    pub(super) fn to_api_error(&self) -> ApiError {
        let kind = match self.status() {
            Status::Internal => ErrorKind::Internal,
            Status::InvalidArgument => ErrorKind::BadRequest,
            Status::PermissionDenied | Status::Unauthenticated => ErrorKind::Forbidden,
            Status::ResourceExhausted | Status::Unavailable => ErrorKind::Overloaded,
        };
        ApiError::plain(kind, self.to_string())
    }

    pub(super) fn log(&self) {
        match self {
            // Every client repeats its call until this is over.
            Self::Unavailable(_) | Self::Overloaded(_) => {
                tracing::debug!(reason = %self, "workload is to come back");
            }
            Self::Internal(_) => tracing::error!(reason = %self, "certificate not issued"),
            _ => tracing::info!(reason = %self, "workload refused"),
        }
    }
}

impl From<ApiError> for MeshError {
    fn from(error: ApiError) -> Self {
        match error.kind() {
            ErrorKind::Overloaded | ErrorKind::RateLimited => Self::Overloaded(error.to_string()),
            ErrorKind::Sealed => Self::Unavailable("the server is sealed".into()),
            _ => Self::Internal(error.to_string()),
        }
    }
}
