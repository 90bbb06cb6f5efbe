//! What ACME clients are told when something is wrong: problem documents (RFC 7807, RFC 8555 §6.7).

use std::fmt;

use serde_json::{Map, Value};
use signet_storage::StorageError;

use crate::error::{ApiError, ErrorKind};
use crate::reply::Reply;

/// What went wrong, as RFC 8555 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets::pki) enum Kind {
    AccountDoesNotExist,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    Malformed,
    OrderNotReady,
    RejectedIdentifier,
    ServerInternal,
    Unauthorized,
    UnsupportedIdentifier,
}

impl Kind {
    /// Name, HTTP status, and the phrase that stands in the details of all problems of the kind.
    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::AccountDoesNotExist => (
                "accountDoesNotExist",
                400,
                "the request specified an account that does not exist",
            ),
            Self::AlreadyRevoked => (
                "alreadyRevoked",
                400,
                "the request specified a certificate to be revoked that has already been revoked",
            ),
            Self::BadCsr => ("badCSR", 400, "the CSR is unacceptable"),
            Self::BadNonce => (
                "badNonce",
                400,
                "the client sent an unacceptable anti-replay nonce",
            ),
            Self::BadPublicKey => (
                "badPublicKey",
                400,
                "the JWS was signed by a public key the server does not support",
            ),
            Self::BadRevocationReason => (
                "badRevocationReason",
                400,
                "the revocation reason provided is not allowed by the server",
            ),
            Self::BadSignatureAlgorithm => (
                "badSignatureAlgorithm",
                400,
                "the JWS was signed with an algorithm the server does not support",
            ),
            Self::ExternalAccountRequired => (
                "externalAccountRequired",
                401,
                "the request must include a value for the 'externalAccountBinding' field",
            ),
            Self::IncorrectResponse => (
                "incorrectResponse",
                400,
                "response received didn't match the challenge's requirements",
            ),
            Self::InvalidContact => (
                "invalidContact",
                400,
                "a contact URL for an account was invalid",
            ),
            Self::Malformed => ("malformed", 400, "the request message was malformed"),
            Self::OrderNotReady => (
                "orderNotReady",
                403,
                "the request attempted to finalize an order that is not ready to be finalized",
            ),
            Self::RejectedIdentifier => (
                "rejectedIdentifier",
                400,
                "the server will not issue certificates for the identifier",
            ),
            Self::ServerInternal => (
                "serverInternal",
                500,
                "the server experienced an internal error",
            ),
            Self::Unauthorized => (
                "unauthorized",
                401,
                "the client lacks sufficient authorization",
            ),
            Self::UnsupportedIdentifier => (
                "unsupportedIdentifier",
                400,
                "an identifier is of an unsupported type",
            ),
        }
    }

    /// As a URN.
    pub(super) fn urn(self) -> String {
        format!("urn:ietf:params:acme:error:{}", self.facts().0)
    }

    pub(super) fn status(self) -> u16 {
        self.facts().1
    }

    /// A problem of which its kind says all.
    pub(super) fn alone(self) -> Problem {
        Problem::of(self, self.facts().2.to_owned())
    }

    /// With `detail` before the phrase of the kind.
    pub(super) fn because(self, detail: impl fmt::Display) -> Problem {
        Problem::of(self, format!("{detail}: {}", self.facts().2))
    }

    /// With `detail` after the phrase of the kind.
    pub(super) fn with(self, detail: impl fmt::Display) -> Problem {
        Problem::of(self, format!("{}: {detail}", self.facts().2))
    }
}

/// A problem on its way to the client.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::secrets::pki) struct Problem {
    pub(super) kind: Kind,
    pub(super) detail: String,
    /// Where it is not that of the kind.
    status: u16,
    /// Members that a kind has beside the usual ones.
    members: Map<String, Value>,
}

impl Problem {
    fn of(kind: Kind, detail: String) -> Self {
        Self {
            kind,
            detail,
            status: kind.status(),
            members: Map::new(),
        }
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With `context` before everything that it says.
    pub(super) fn context(mut self, context: &str) -> Self {
        self.detail = format!("{context}: {}", self.detail);
        self
    }

    pub(super) fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn reply(&self) -> Result<Reply, ApiError> {
        let mut document = Map::new();
        document.insert("type".into(), self.kind.urn().into());
        document.insert("detail".into(), self.detail.clone().into());
        document.extend(self.members.clone());
        let bytes = crate::json::to_bytes(&document).map_err(ApiError::internal)?;
        Ok(Reply::raw(PROBLEM, bytes).status(self.status))
    }
}

pub(super) const PROBLEM: &str = "application/problem+json";

/// Why a request is not answered as it wants.
#[derive(Clone, Debug)]
pub(in crate::secrets::pki) enum Failure {
    /// In words of ACME.
    Problem(Problem),
    /// In those of the rest of the API; a conflict has the request run again.
    Api(ApiError),
}

impl Failure {
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if error.kind() == ErrorKind::Conflict)
    }

    /// For the client, who knows problems only.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::Api(error) if error.kind() == ErrorKind::Overloaded => {
                let status = error.kind().http_status();
                Kind::ServerInternal.with(error).status(status)
            }
            Self::Api(error) if error.kind() == ErrorKind::BadRequest => {
                Kind::Malformed.because(error)
            }
            Self::Api(_) => Kind::ServerInternal.alone(),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Api(error.into())
    }
}
