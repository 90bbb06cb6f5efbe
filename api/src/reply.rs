//! What an endpoint answers, and the envelope that clients see.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use ipnet::IpNet;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use signet_storage::Batch;

use crate::error::ApiError;

/// An endpoint's answer, before tokens are made and the envelope is put around it.
#[derive(Debug, Default)]
pub struct Reply {
    pub body: Body,
    /// Instead of 200 or 204.
    pub status: Option<u16>,
    pub warnings: Vec<String>,
    /// Further response headers.
    pub headers: Vec<(&'static str, String)>,
    pub auth: Option<AuthReply>,
    pub lease: Option<Lease>,
    /// Accessor of what the data holds, shown when the response is wrapped.
    pub wrapped_accessor: Option<String>,
    /// The token for an answer that was put aside.
    pub wrap_info: Option<WrapInfo>,
}

#[derive(Debug, Default)]
pub enum Body {
    /// 204 on writes and deletes, 404 on reads and lists.
    #[default]
    Nothing,
    /// An envelope; `None` is `"data": null`.
    Data(Option<Map<String, Value>>),
    /// An envelope whose data stand at the top level too, as old `sys/` endpoints have it.
    Flattened(Map<String, Value>),
    /// JSON without an envelope.
    Bare(Value),
    /// Not JSON. Empty bytes with status 204 keep the content type; an empty one is not sent.
    Raw {
        content_type: &'static str,
        bytes: Bytes,
    },
    /// An envelope that an earlier request produced, byte for byte.
    Unwrapped(Bytes),
}

/// The authentication part of an answer.
#[derive(Debug)]
pub enum AuthReply {
    /// A login succeeded; the pipeline makes the token.
    Grant(Box<Grant>),
    /// A token exists already (created or renewed).
    Token(Box<Auth>),
}

/// A lease on what the data hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    pub id: String,
    pub duration_secs: u64,
    pub renewable: bool,
}

/// What a login proved, and the token it is worth.
#[derive(Debug, Default)]
pub struct Grant {
    pub policies: Vec<String>,
    pub no_default_policy: bool,
    pub metadata: BTreeMap<String, String>,
    /// What the method calls the caller; the token is called so after the mount's path. May be empty.
    pub display_name: String,
    /// Name of the caller within the auth mount, e.g. the role id.
    pub alias: String,
    /// 0 for the mount's default.
    pub ttl_secs: u64,
    /// 0 for the mount's maximum.
    pub max_ttl_secs: u64,
    pub explicit_max_ttl_secs: u64,
    /// 0 for a token that is not periodic.
    pub period_secs: u64,
    /// 0 for unlimited.
    pub num_uses: u64,
    pub bound_cidrs: Vec<IpNet>,
    pub token_type: TokenType,
    pub renewable: bool,
    /// What the auth method needs again when the token is renewed, e.g. the role's name.
    pub internal: BTreeMap<String, String>,
    /// Written in the same commit as the token: the use of a secret, for example.
    pub batch: Batch,
}

/// Which token a login or role makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenType {
    Batch,
    /// Whatever the mount says.
    #[default]
    Default,
    DefaultBatch,
    DefaultService,
    Service,
}

impl TokenType {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "batch" => Self::Batch,
            "" | "default" => Self::Default,
            "default-batch" => Self::DefaultBatch,
            "default-service" => Self::DefaultService,
            "service" => Self::Service,
            _ => return None,
        })
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Default => "default",
            Self::DefaultBatch => "default-batch",
            Self::DefaultService => "default-service",
            Self::Service => "service",
        }
    }
}

/// The `auth` block of an envelope.
#[derive(Clone, Serialize)]
pub struct Auth {
    pub client_token: String,
    pub accessor: String,
    pub policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity_policies: Vec<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub lease_duration: u64,
    pub renewable: bool,
    pub entity_id: String,
    pub token_type: &'static str,
    pub orphan: bool,
    pub mfa_requirement: Option<()>,
    pub num_uses: u64,
    /// For the audit log only.
    #[serde(skip)]
    pub display_name: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("accessor", &self.accessor)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

/// The `wrap_info` block of an envelope.
#[derive(Clone, Serialize)]
pub struct WrapInfo {
    pub token: String,
    pub accessor: String,
    pub ttl: u64,
    pub creation_time: String,
    pub creation_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wrapped_accessor: String,
}

impl std::fmt::Debug for WrapInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrapInfo")
            .field("accessor", &self.accessor)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// 204 on writes and deletes, 404 on reads and lists.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// An envelope around `data`, which must serialise to an object.
    pub fn data(data: impl Serialize) -> Result<Self, ApiError> {
        Ok(Self::with(Body::Data(Some(object(data)?))))
    }

    /// An envelope around `data`, which is not copied.
    #[must_use]
    pub fn map(data: Map<String, Value>) -> Self {
        Self::with(Body::Data(Some(data)))
    }

    /// An envelope whose data stand at the top level too.
    pub fn flattened(data: impl Serialize) -> Result<Self, ApiError> {
        Ok(Self::with(Body::Flattened(object(data)?)))
    }

    /// An envelope with `"data": null`.
    #[must_use]
    pub fn empty_data() -> Self {
        Self::with(Body::Data(None))
    }

    pub fn bare(data: impl Serialize) -> Result<Self, ApiError> {
        Ok(Self::with(Body::Bare(
            serde_json::to_value(data).map_err(ApiError::internal)?,
        )))
    }

    #[must_use]
    pub fn raw(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::with(Body::Raw {
            content_type,
            bytes: bytes.into(),
        })
    }

    /// `{"keys": […]}`, or the empty list's 404.
    pub fn keys(keys: Vec<String>) -> Result<Self, ApiError> {
        if keys.is_empty() {
            return Err(ApiError::not_found());
        }
        Ok(Self::map(Map::from_iter([(
            "keys".to_owned(),
            Value::from(keys),
        )])))
    }

    #[must_use]
    pub fn login(grant: Grant) -> Self {
        let auth = Some(AuthReply::Grant(Box::new(grant)));
        Self {
            auth,
            ..Self::empty_data()
        }
    }

    #[must_use]
    pub fn token(auth: Auth) -> Self {
        Self {
            auth: Some(AuthReply::Token(Box::new(auth))),
            ..Self::empty_data()
        }
    }

    /// The token for an answer that was put aside.
    #[must_use]
    pub fn wrapped(info: WrapInfo) -> Self {
        Self {
            wrap_info: Some(info),
            ..Self::empty_data()
        }
    }

    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    #[must_use]
    pub fn warn_all(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    fn with(body: Body) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

fn object(data: impl Serialize) -> Result<Map<String, Value>, ApiError> {
    match serde_json::to_value(data).map_err(ApiError::internal)? {
        Value::Object(map) => Ok(map),
        other => Err(ApiError::internal(format!(
            "answer is not an object: {}",
            kind_of(&other)
        ))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    if value.is_array() { "array" } else { "scalar" }
}

/// The JSON around every answer; keys in this order, all of them always present.
#[derive(Debug, Default)]
pub struct Envelope {
    pub request_id: String,
    pub lease: Lease,
    pub data: Option<Map<String, Value>>,
    /// Write the data before the envelope's own keys too.
    pub flattened: bool,
    pub wrap_info: Option<WrapInfo>,
    pub warnings: Vec<String>,
    pub auth: Option<Auth>,
    pub mount_type: String,
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.flattened {
            for (key, value) in self.data.iter().flatten() {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry("request_id", &self.request_id)?;
        map.serialize_entry("lease_id", &self.lease.id)?;
        map.serialize_entry("renewable", &self.lease.renewable)?;
        map.serialize_entry("lease_duration", &self.lease.duration_secs)?;
        map.serialize_entry("data", &self.data)?;
        map.serialize_entry("wrap_info", &self.wrap_info)?;
        let warnings = (!self.warnings.is_empty()).then_some(&self.warnings);
        map.serialize_entry("warnings", &warnings)?;
        map.serialize_entry("auth", &self.auth)?;
        map.serialize_entry("mount_type", &self.mount_type)?;
        map.end()
    }
}

/// What goes back to the edge.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Response {
    /// `{"errors": […]}`.
    #[must_use]
    pub fn error(error: &ApiError, authenticated: bool) -> Self {
        #[derive(Serialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let text = error.text(authenticated);
        let errors = if text.is_empty() {
            Vec::new()
        } else {
            vec![text]
        };
        Self::json(error.kind().http_status(), &Errors { errors })
    }

    /// JSON with Go's escapes and a newline at the end.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = crate::json::to_bytes(value).unwrap_or_else(|error| {
            tracing::error!(%error, "answer cannot be written as JSON");
            Bytes::from_static(b"{\"errors\":[\"internal error\"]}\n")
        });
        Self {
            status,
            content_type: JSON,
            headers: Vec::new(),
            body,
        }
    }

    /// No body, and still the type that every answer carries.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: JSON,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }
}

pub const JSON: &str = "application/json";

/// True when `address` is in one of `cidrs`, or when there are none.
#[must_use]
pub fn address_allowed(cidrs: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    cidrs.is_empty() || cidrs.iter().any(|cidr| cidr.contains(&address))
}
