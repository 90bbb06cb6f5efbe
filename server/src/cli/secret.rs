//! What the server answers with: the envelope of secrets, tokens and wrapped answers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The envelope. Its order of fields is the one in which Vault's tool prints JSON.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Secret {
    pub(crate) request_id: String,
    pub(crate) lease_id: String,
    pub(crate) lease_duration: i64,
    pub(crate) renewable: bool,
    pub(crate) data: Option<Map<String, Value>>,
    pub(crate) warnings: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth: Option<Auth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wrap_info: Option<WrapInfo>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mount_type: String,
}

/// A token that was made or renewed.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Auth {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) client_token: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) accessor: String,
    pub(crate) policies: Option<Vec<String>>,
    pub(crate) token_policies: Option<Vec<String>>,
    pub(crate) identity_policies: Option<Vec<String>>,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) orphan: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) entity_id: String,
    pub(crate) lease_duration: i64,
    pub(crate) renewable: bool,
    pub(crate) mfa_requirement: Option<Value>,
}

/// Where a wrapped answer waits.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WrapInfo {
    pub(crate) token: String,
    pub(crate) accessor: String,
    pub(crate) ttl: i64,
    pub(crate) creation_time: String,
    pub(crate) creation_path: String,
    pub(crate) wrapped_accessor: String,
}

impl Secret {
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.data
            .as_ref()?
            .get(name)
            .filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }

    /// `data.keys` of a list.
    pub(crate) fn keys(&self) -> Option<Vec<String>> {
        texts(self.field("keys")?)
    }

    /// The strings of a list field.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        texts(self.field(name)?)
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Auth")
            .field("accessor", &self.accessor)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WrapInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WrapInfo")
            .field("accessor", &self.accessor)
            .finish_non_exhaustive()
    }
}
