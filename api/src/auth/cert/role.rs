//! A role: which certificates may log in, and what tokens they get.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::pem;
use signet_storage::{Record, Version};

use crate::auth::token_fields::TokenSettings;
use crate::error::ApiError;

use super::constraints::Constraints;
use super::describe::allows_client_authentication;
use super::ocsp::{OcspSettings, Responders};
use super::state::Config;

/// A role as it is stored, under its name in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    /// PEM, as written.
    pub(super) certificate: String,
    pub(super) display_name: String,
    pub(super) constraints: Constraints,
    /// Object identifiers of extensions that become metadata of the token.
    pub(super) metadata_extensions: Vec<String>,
    pub(super) ocsp: OcspSettings,
    pub(super) token: TokenSettings,
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

impl Role {
    /// What reading the role shows.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let mut data = self.token.shown();
        data.extend(self.constraints.shown());
        let mut put = |name: &str, value: Value| data.insert(name.into(), value);
        put(
            "allowed_metadata_extensions",
            list_or_null(&self.metadata_extensions),
        );
        put("certificate", self.certificate.clone().into());
        put("display_name", self.display_name.clone().into());
        self.ocsp.show(&mut data);
        data
    }
}

/// An empty list is shown as null.
pub(super) fn list_or_null(list: &[String]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

/// Whom a role trusts.
#[derive(Debug)]
pub(super) enum Trusted {
    /// Certificates that these authorities signed, directly or not.
    Authorities(Vec<Certificate>),
    /// This one certificate, compared by all of its bytes.
    Pinned {
        leaf: Box<Certificate>,
        chain: Vec<Certificate>,
    },
}

/// Most certificates of one role.
const MAX_CERTIFICATES: usize = 100;

impl Trusted {
    /// Reads the PEM of a role. A first certificate that is no authority's is meant itself; what
    /// stands behind it is its chain.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut certificates = certificates_of(text)?;
        let first = certificates.first().ok_or_else(unreadable)?;
        if first.is_authority() {
            certificates.retain(Certificate::is_authority);
            return Ok(Self::Authorities(certificates));
        }
        if !allows_client_authentication(first) {
            return Err(ApiError::bad_request(
                "nonCA certificates should have TLS client authentication set as an extended key \
                 usage",
            ));
        }
        let leaf = certificates.remove(0);
        Ok(Self::Pinned {
            leaf: Box::new(leaf),
            chain: certificates,
        })
    }

    /// Those that may have signed the certificate of a client.
    pub(super) fn authorities(&self) -> &[Certificate] {
        match self {
            Self::Authorities(authorities) => authorities,
            Self::Pinned { chain, .. } => chain,
        }
    }
}

/// Every certificate of a PEM text, which has to have one.
pub(super) fn certificates_of(text: &str) -> Result<Vec<Certificate>, ApiError> {
    let mut certificates = Vec::new();
    let mut rest = text;
    while let Some((block, after)) = pem::next_block(rest) {
        rest = after;
        if certificates.len() >= MAX_CERTIFICATES {
            return Err(ApiError::bad_request(format!(
                "more than {MAX_CERTIFICATES} certificates"
            )));
        }
        let parsed = Certificate::parse_der(block.der.to_vec()).map_err(|_| unreadable())?;
        certificates.push(parsed);
    }
    if certificates.is_empty() {
        return Err(unreadable());
    }
    Ok(certificates)
}

fn unreadable() -> ApiError {
    ApiError::bad_request("failed to parse certificate")
}

/// A role as it is kept in memory.
#[derive(Debug)]
pub(super) struct LoadedRole {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) version: Version,
    pub(super) trusted: Trusted,
    pub(super) responders: Responders,
}

impl LoadedRole {
    pub(super) fn new(
        name: String,
        role: Role,
        version: Version,
        config: &Config,
    ) -> Result<Arc<Self>, ApiError> {
        let trusted = Trusted::parse(&role.certificate)?;
        let responders = Responders::new(role.ocsp.clone(), config.ocsp_cache_size)?;
        Ok(Arc::new(Self {
            name,
            role,
            version,
            trusted,
            responders,
        }))
    }
}
