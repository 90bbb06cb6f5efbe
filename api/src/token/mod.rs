//! Tokens: what is stored of one, and how it is found.

mod cidr;
mod create;
mod given;
mod life;
mod revoke;
mod store;

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use signet_storage::{Record, Version};

use crate::time::Timestamp;

pub use cidr::{parse_bound_cidrs, show_bound_cidrs};
pub(crate) use create::BATCH_USES;
pub use create::{NewToken, auth_of};
pub use given::GivenToken;
pub use life::{Life, Terms, ttl_capped};
pub use store::TokenStore;

/// How a token is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Self-contained and encrypted; nothing is stored.
    Batch,
    #[default]
    Service,
}

impl TokenKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Service => "service",
        }
    }
}

/// A token as it is stored; the token itself is not in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRecord {
    pub accessor: String,
    /// Sorted, lower case.
    pub policies: Vec<String>,
    /// The path whose call made the token, e.g. `auth/approle/login`.
    pub path: String,
    pub metadata: BTreeMap<String, String>,
    pub display_name: String,
    /// Uses left; 0 is unlimited, -1 used up.
    pub num_uses: i64,
    pub created_at: Timestamp,
    /// `None` never expires.
    pub expires_at: Option<Timestamp>,
    /// What the last creation or renewal asked for, given again by a renewal of 0.
    pub last_ttl_secs: u64,
    pub creation_ttl_secs: u64,
    /// Upper bound counted from creation; 0 for the mount's.
    pub max_ttl_secs: u64,
    pub explicit_max_ttl_secs: u64,
    /// 0 when not periodic.
    pub period_secs: u64,
    pub last_renewal: Option<Timestamp>,
    pub renewable: bool,
    /// Hash of the parent; `None` for an orphan.
    pub parent: Option<String>,
    pub kind: TokenKind,
    /// The token role that made it.
    pub role: Option<String>,
    pub bound_cidrs: Vec<IpNet>,
    pub entity_id: String,
    /// What the auth method needs to renew it, e.g. the role's name.
    pub internal: BTreeMap<String, String>,
    /// Made without a lease: the initial root token.
    pub no_lease: bool,
}

impl TokenRecord {
    /// The lease of the token with this hash.
    pub(crate) fn lease_id(&self, hash: &str) -> String {
        // The path of a list ends in a slash.
        format!("{}/h{hash}", self.path.trim_end_matches('/'))
    }
}

impl Record for TokenRecord {
    const FORMAT: u8 = 1;
}

/// A token in use.
#[derive(Clone, Debug)]
pub struct Token {
    /// Keyed hash of the token, in hexadecimal; what storage knows it by. Empty for a batch token.
    pub hash: String,
    pub record: TokenRecord,
    /// `None` for a batch token.
    pub version: Option<Version>,
}

impl std::ops::Deref for Token {
    type Target = TokenRecord;

    fn deref(&self) -> &TokenRecord {
        &self.record
    }
}

impl Token {
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.num_uses < 0
    }

    /// Whole seconds until it expires; 0 for one that never does.
    #[must_use]
    pub fn ttl_secs(&self, now: Timestamp) -> u64 {
        self.expires_at
            .map_or(0, |expires_at| expires_at.secs_since(now))
    }

    /// The lease under which `sys/leases` knows it.
    #[must_use]
    pub fn lease_id(&self) -> String {
        self.record.lease_id(&self.hash)
    }
}
