//! What ACME stores. Paths are relative to the mount.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::Record;
use zeroize::Zeroizing;

use crate::time::Timestamp;

pub(super) const ACCOUNTS: &str = "acme/account/";
pub(super) const ORDERS: &str = "acme/order/";
pub(super) const AUTHORIZATIONS: &str = "acme/authorization/";
pub(super) const CERTIFICATES: &str = "acme/certificate/";
pub(super) const EXTERNAL_KEYS: &str = "acme/eab/";

pub(super) fn account_path(id: &str) -> String {
    format!("{ACCOUNTS}{id}")
}

/// Finds the account of a key.
pub(super) fn thumbprint_path(thumbprint: &str) -> String {
    format!("acme/thumbprint/{thumbprint}")
}

pub(super) fn order_path(account: &str, id: &str) -> String {
    format!("{ORDERS}{account}/{id}")
}

pub(super) fn authorization_path(account: &str, id: &str) -> String {
    format!("{AUTHORIZATIONS}{account}/{id}")
}

/// Says that a certificate was issued for an account; `serial` has hyphens.
pub(super) fn certificate_path(account: &str, serial: &str) -> String {
    format!("{CERTIFICATES}{account}/{serial}")
}

pub(super) fn external_key_path(id: &str) -> String {
    format!("{EXTERNAL_KEYS}{id}")
}

/// Of accounts, orders, authorizations and challenges, each of which has some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Deactivated,
    Expired,
    Invalid,
    Pending,
    Processing,
    Ready,
    Revoked,
    Valid,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Revoked => "revoked",
            Self::Valid => "valid",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) status: Status,
    pub(super) contact: Vec<String>,
    /// Path of the directory below the mount, to which the account belongs.
    pub(super) directory: String,
    /// Its key, as a JSON Web Key.
    pub(super) jwk: Value,
    pub(super) thumbprint: String,
    /// Id of the external key that it was bound with.
    pub(super) external_key: Option<String>,
    pub(super) created_at: Timestamp,
    /// When its owner, or nobody using it, ended it.
    pub(super) ended_at: Option<Timestamp>,
}

impl Record for Account {
    const FORMAT: u8 = 1;
}

/// The account of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyOwner {
    pub(super) account: String,
}

impl Record for KeyOwner {
    const FORMAT: u8 = 1;
}

/// A key that stands for somebody who is known elsewhere, until an account is bound with it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ExternalKey {
    /// The text whose base64 decoding is the key.
    pub(super) key: Zeroizing<String>,
    /// Path of the directory below the mount, the only one where it counts.
    pub(super) directory: String,
    pub(super) created_at: Timestamp,
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalKey")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Record for ExternalKey {
    const FORMAT: u8 = 1;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum IdentifierKind {
    Dns,
    Ip,
}

/// A name that a certificate is to have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Identifier {
    #[serde(rename = "type")]
    pub(super) kind: IdentifierKind,
    pub(super) value: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Each once, in the order of the request; wildcards with their `*`.
    pub(super) identifiers: Vec<Identifier>,
    /// Ids, one for each identifier.
    pub(super) authorizations: Vec<String>,
    pub(super) expires_at: Timestamp,
    pub(super) issued: Option<Issued>,
}

/// The certificate of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    /// With hyphens.
    pub(super) serial: String,
    pub(super) not_after: Timestamp,
}

impl Record for Order {
    const FORMAT: u8 = 1;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Authorization {
    /// Without `*`.
    pub(super) identifier: Identifier,
    pub(super) wildcard: bool,
    pub(super) status: Status,
    pub(super) expires_at: Timestamp,
    pub(super) challenges: Vec<Challenge>,
}

impl Record for Authorization {
    const FORMAT: u8 = 1;
}

impl Authorization {
    /// What it is now: time ends it too.
    pub(super) fn status_at(&self, now: Timestamp) -> Status {
        match self.status {
            Status::Pending if self.expires_at <= now => Status::Invalid,
            Status::Valid if self.expires_at <= now => Status::Expired,
            other => other,
        }
    }

    pub(super) fn challenge(&self, kind: ChallengeKind) -> Option<&Challenge> {
        self.challenges
            .iter()
            .find(|challenge| challenge.kind == kind)
    }

    pub(super) fn challenge_mut(&mut self, kind: ChallengeKind) -> Option<&mut Challenge> {
        self.challenges
            .iter_mut()
            .find(|challenge| challenge.kind == kind)
    }
}

/// How control over a name is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChallengeKind {
    #[serde(rename = "dns-01")]
    Dns01,
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeKind {
    const ALL: [Self; 3] = [Self::Dns01, Self::Http01, Self::TlsAlpn01];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dns01 => "dns-01",
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Challenge {
    pub(super) kind: ChallengeKind,
    pub(super) token: String,
    pub(super) status: Status,
    pub(super) validated_at: Option<Timestamp>,
    /// Why the last attempt failed; empty for none.
    #[serde(default)]
    pub(super) error: String,
    /// Attempts that failed.
    #[serde(default)]
    pub(super) failures: u32,
}

impl Challenge {
    pub(super) fn show(&self, url: String) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("type".into(), self.kind.name().into());
        shown.insert("status".into(), self.status.name().into());
        shown.insert("url".into(), url.into());
        shown.insert("token".into(), self.token.clone().into());
        if let Some(at) = self.validated_at {
            shown.insert("validated".into(), whole_secs(at).into());
        }
        if !self.error.is_empty() {
            let kind = super::problem::Kind::IncorrectResponse;
            let error = json!({
                "type": kind.urn(),
                "detail": self.error,
                "status": kind.status(),
                "subproblems": [],
            });
            shown.insert("error".into(), error);
        }
        shown
    }
}

/// RFC 3339 in whole seconds, as ACME's clients are used to.
pub(super) fn whole_secs(at: Timestamp) -> String {
    Timestamp::from_secs(at.secs()).rfc3339()
}
