//! A role: who may log in, and what tokens they get.

use aws_lc_rs::hmac;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::{Record, Version};
use zeroize::Zeroizing;

use crate::auth::token_fields::TokenSettings;
use crate::error::ApiError;
use crate::random::{Random, uuid};

use super::cidr::shown;

/// A role as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_field_names,
    reason = "a role id is something else than the name or the uuid of a role"
)]
pub(super) struct Role {
    /// Lower case.
    pub(super) name: String,
    /// Under it lie the secret-ids. A role that is deleted and made anew has another, and with it
    /// none of the old secret-ids.
    pub(super) uuid: String,
    /// Key of the HMAC under which a secret-id is stored, in hexadecimal.
    hmac_key: Zeroizing<String>,
    pub(super) role_id: String,
    pub(super) bind_secret_id: bool,
    pub(super) local_secret_ids: bool,
    pub(super) secret_id_bound_cidrs: Vec<IpNet>,
    /// 0 for unlimited.
    pub(super) secret_id_num_uses: u64,
    /// 0 for no end.
    pub(super) secret_id_ttl_secs: u64,
    pub(super) token: TokenSettings,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            name: String::new(),
            uuid: String::new(),
            hmac_key: Zeroizing::default(),
            role_id: String::new(),
            bind_secret_id: true,
            local_secret_ids: false,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl_secs: 0,
            token: TokenSettings::default(),
        }
    }
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Role")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Role {
    /// A role with a random role id and a key of its own.
    pub(super) fn new(name: String, rng: &dyn Random) -> Result<Self, ApiError> {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill(key.as_mut_slice())?;
        Ok(Self {
            name,
            uuid: uuid(rng)?,
            hmac_key: Zeroizing::new(hex::encode(key.as_slice())),
            role_id: uuid(rng)?,
            ..Self::default()
        })
    }

    /// What reading the role shows.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let mut data = self.token.shown();
        let mut put = |name: &str, value: Value| data.insert(name.into(), value);
        put("bind_secret_id", self.bind_secret_id.into());
        put("local_secret_ids", self.local_secret_ids.into());
        put(
            "secret_id_bound_cidrs",
            list_or_null(&shown(&self.secret_id_bound_cidrs)),
        );
        put("secret_id_num_uses", self.secret_id_num_uses.into());
        put("secret_id_ttl", self.secret_id_ttl_secs.into());
        data
    }
}

/// An empty list is shown as null, as far as a role's addresses go.
pub(super) fn list_or_null(list: &[String]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

/// A role as it is kept in memory.
pub(super) struct LoadedRole {
    pub(super) role: Role,
    pub(super) version: Version,
    key: hmac::Key,
}

impl std::fmt::Debug for LoadedRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.role.fmt(f)
    }
}

impl LoadedRole {
    pub(super) fn new(role: Role, version: Version) -> Result<Self, ApiError> {
        let bytes = hex::decode(role.hmac_key.as_str()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| ApiError::internal("key of a role is unreadable"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Ok(Self { role, version, key })
    }

    /// A role that is stored nowhere and has no secret-ids.
    pub(super) fn decoy(rng: &dyn Random) -> Result<Self, ApiError> {
        Self::new(Role::new(String::new(), rng)?, Version::default())
    }

    /// The name under which storage knows a secret-id of this role.
    pub(super) fn hash(&self, secret_id: &str) -> String {
        hex::encode(hmac::sign(&self.key, secret_id.as_bytes()))
    }
}
