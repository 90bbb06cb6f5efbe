//! One error for every endpoint, and the one table that gives it an HTTP status.

use std::fmt;

use signet_storage::StorageError;

/// What went wrong, as far as clients can tell the cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    BadRequest,
    /// Two writers met; the pipeline runs the request again.
    Conflict,
    Forbidden,
    Internal,
    NotFound,
    Overloaded,
    RateLimited,
    Sealed,
    UnsupportedMediaType,
    UnsupportedOperation,
    UnsupportedPath,
}

impl ErrorKind {
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnsupportedPath => 404,
            Self::UnsupportedOperation => 405,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited => 429,
            Self::Conflict | Self::Internal => 500,
            Self::Overloaded | Self::Sealed => 503,
        }
    }
}

/// A refusal or failure on its way to the client.
///
/// Vault wraps some messages as `1 error occurred:\n\t* MSG\n\n` when the path needs a token;
/// clients match on both forms, so the error remembers which it is.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiError {
    kind: ErrorKind,
    /// Empty for the bare `{"errors":[]}`.
    message: String,
    listed: bool,
}

impl ApiError {
    /// A message that is never wrapped; status 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(ErrorKind::BadRequest, message)
    }

    /// A message that is never wrapped.
    pub fn plain(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            listed: false,
        }
    }

    /// A message that paths with a token answer as a list of one.
    pub fn listed(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            listed: true,
        }
    }

    /// `{"errors":[]}` with status 404.
    pub fn not_found() -> Self {
        Self::plain(ErrorKind::NotFound, "")
    }

    /// The answer to a missing or unknown token.
    pub fn permission_denied() -> Self {
        Self::plain(ErrorKind::Forbidden, PERMISSION_DENIED)
    }

    /// The answer to a valid token that may not do this.
    pub fn denied_by_policy() -> Self {
        Self::listed(ErrorKind::Forbidden, PERMISSION_DENIED)
    }

    /// A fault of ours. The cause is logged here; the client learns nothing of it.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::listed(ErrorKind::Internal, "internal error")
    }

    pub fn sealed() -> Self {
        Self::plain(ErrorKind::Sealed, "Vault is sealed")
    }

    pub fn unsupported_path() -> Self {
        Self::listed(ErrorKind::UnsupportedPath, "unsupported path")
    }

    pub fn unsupported_operation() -> Self {
        Self::listed(ErrorKind::UnsupportedOperation, "unsupported operation")
    }

    /// Too much work is queued; the client should come back.
    pub fn overloaded() -> Self {
        Self::plain(
            ErrorKind::Overloaded,
            "server is overloaded, try again later",
        )
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text for the client. `authenticated`: the path needs a token.
    #[must_use]
    pub fn text(&self, authenticated: bool) -> String {
        if self.listed && authenticated {
            format!("1 error occurred:\n\t* {}\n\n", self.message)
        } else {
            self.message.clone()
        }
    }
}

const PERMISSION_DENIED: &str = "permission denied";

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.kind, self.message)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Conflict { path } => Self::listed(
                ErrorKind::Conflict,
                format!("{path} was changed by another request, try again"),
            ),
            other => Self::internal(other),
        }
    }
}
