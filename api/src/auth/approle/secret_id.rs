//! A secret-id as it is stored: all but the secret.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signet_storage::Record;

use crate::node::Metadata;
use crate::time::Timestamp;

use super::cidr::shown;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    /// Logins left; 0 is unlimited.
    pub(super) num_uses: u64,
    /// 0 for no end.
    pub(super) ttl_secs: u64,
    pub(super) created_at: Timestamp,
    /// `None` never ends.
    pub(super) expires_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
    pub(super) metadata: Metadata,
    /// From where it may be used; empty for anywhere the role allows.
    pub(super) cidrs: Vec<IpNet>,
    /// From where the tokens may be used; empty for the role's.
    pub(super) token_bound_cidrs: Vec<IpNet>,
}

impl Record for SecretId {
    const FORMAT: u8 = 1;
}

impl SecretId {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// What looking it up shows.
    pub(super) fn shown(&self) -> Value {
        let end = self.expires_at.map(Timestamp::rfc3339);
        json!({
            "cidr_list": shown(&self.cidrs),
            "creation_time": self.created_at.rfc3339(),
            "expiration_time": end.unwrap_or_else(|| NEVER.into()),
            "last_updated_time": self.updated_at.rfc3339(),
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.num_uses,
            "secret_id_ttl": self.ttl_secs,
            "token_bound_cidrs": shown(&self.token_bound_cidrs),
        })
    }
}

/// The time that clients take for none.
const NEVER: &str = "0001-01-01T00:00:00Z";
