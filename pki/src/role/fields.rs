//! Reading the settings of a role that have a syntax of their own.

use std::net::{IpAddr, Ipv6Addr};

use const_oid::ObjectIdentifier;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::vet::{
    go_text::quote,
    timestamp::{self, TimestampError},
};

/// Why a setting of a role cannot be taken; displays as Vault's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("error parsing allowed_ip_sans_cidr: invalid CIDR address: {text}")]
    Cidr { text: String },
    #[error(
        "cn_validations value incorrect: cannot specify `disabled` along with `email` or `hostname`"
    )]
    CnValidationDisabledWithOthers,
    #[error("cn_validations value incorrect: `{name}` specified multiple times")]
    CnValidationRepeated { name: &'static str },
    #[error("cn_validations value incorrect: unknown type: `{name}`")]
    CnValidationUnknown { name: String },
    #[error(
        "{} could not be parsed as a valid oid for an extended key usage",
        quote(text)
    )]
    ExtKeyUsageOid { text: String },
    #[error("unsupported bit length for {family} key: {bits}")]
    KeyBits { family: &'static str, bits: i64 },
    #[error("unknown key type {name}")]
    KeyType { name: String },
    #[error(
        "Unknown value for field `not_after_bound`. Possible values are `permit`, `ttl-limited`, \
         `forbid`, or an explicit timestamp."
    )]
    NotAfterBound,
    #[error(
        "Unknown value for field `not_before_bound`. Possible values are `permit` `duration` or \
         `forbid`"
    )]
    NotBeforeBound,
    #[error("error parsing allowed_other_sans: {0}")]
    OtherSan(OtherSanSyntax),
    #[error(
        "policy identifier {} is neither a valid OID: {as_oid}, Nor JSON Policy Identifier: \
         {as_json}",
        quote(text)
    )]
    PolicyIdentifier {
        text: String,
        as_oid: String,
        as_json: String,
    },
    #[error("\"ttl\" value must be less than \"max_ttl\" value")]
    TtlAboveMaxTtl,
    #[error("RSA keys < 2048 bits are unsafe and not supported: got {bits}")]
    WeakRsa { bits: i64 },
}

impl FieldError {
    /// Whether Vault answers 500 with this sentence. All of these are mistakes of the client, so
    /// 400 is the honest answer.
    #[must_use]
    pub fn is_internal_in_vault(&self) -> bool {
        matches!(
            self,
            Self::CnValidationDisabledWithOthers
                | Self::CnValidationRepeated { .. }
                | Self::CnValidationUnknown { .. }
                | Self::PolicyIdentifier { .. }
        )
    }
}

/// Family of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// Every family; in roles only.
    Any,
    Ec,
    Ed25519,
    MlDsa,
    Rsa,
}

impl KeyType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Ec => "ec",
            Self::Ed25519 => "ed25519",
            Self::MlDsa => "mldsa",
            Self::Rsa => "rsa",
        }
    }
}

/// Reads a key type and a key size together; 0 bits means the family's default.
///
/// # Errors
/// [`FieldError::KeyType`], [`FieldError::KeyBits`], [`FieldError::WeakRsa`].
pub fn validate_key_type_bits(key_type: &str, bits: i64) -> Result<(KeyType, u32), FieldError> {
    let (key_type, family, allowed): (_, _, &[u32]) = match key_type {
        // Sizes mean nothing here and are kept only to be shown again.
        "any" => return Ok((KeyType::Any, u32::try_from(bits).unwrap_or(0))),
        "ed25519" => return Ok((KeyType::Ed25519, u32::try_from(bits).unwrap_or(0))),
        "ec" => (KeyType::Ec, "EC", &[224, 256, 384, 521]),
        "mldsa" => (KeyType::MlDsa, "ML-DSA", &[44, 65, 87]),
        "rsa" => (KeyType::Rsa, "RSA", &[2048, 3072, 4096, 8192]),
        other => {
            return Err(FieldError::KeyType {
                name: other.to_owned(),
            });
        }
    };
    if bits == 0 {
        let default = match key_type {
            KeyType::Any | KeyType::Ed25519 => 0,
            KeyType::Ec => 256,
            KeyType::MlDsa => 44,
            KeyType::Rsa => 2048,
        };
        return Ok((key_type, default));
    }
    if key_type == KeyType::Rsa && bits < 2048 {
        return Err(FieldError::WeakRsa { bits });
    }
    match u32::try_from(bits) {
        Ok(bits) if allowed.contains(&bits) => Ok((key_type, bits)),
        _ => Err(FieldError::KeyBits { family, bits }),
    }
}

/// What a common name has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CnValidation {
    /// Anything; stands alone.
    Disabled,
    Email,
    Hostname,
}

impl CnValidation {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Email => "email",
            Self::Hostname => "hostname",
        }
    }
}

/// Reads `cn_validations`, in any case; an empty list means email and hostname.
///
/// # Errors
/// The `CnValidation…` variants.
pub fn cn_validations(names: &[String]) -> Result<Vec<CnValidation>, FieldError> {
    let mut validations = Vec::new();
    for name in names {
        let validation = match name.to_ascii_lowercase().as_str() {
            "disabled" => CnValidation::Disabled,
            "email" => CnValidation::Email,
            "hostname" => CnValidation::Hostname,
            other => {
                return Err(FieldError::CnValidationUnknown {
                    name: other.to_owned(),
                });
            }
        };
        if validations.contains(&validation) {
            let name = validation.as_str();
            return Err(FieldError::CnValidationRepeated { name });
        }
        validations.push(validation);
    }
    if validations.contains(&CnValidation::Disabled) && validations.len() > 1 {
        return Err(FieldError::CnValidationDisabledWithOthers);
    }
    if validations.is_empty() {
        validations = vec![CnValidation::Email, CnValidation::Hostname];
    }
    Ok(validations)
}

/// Reads `allowed_ip_sans_cidr`; host bits are cleared and IPv4 written as IPv6 becomes IPv4.
///
/// # Errors
/// [`FieldError::Cidr`].
pub fn allowed_ip_sans_cidr(texts: &[String]) -> Result<Vec<IpNet>, FieldError> {
    let read = |text: &String| {
        parse_range(text)
            .map(canonical)
            .ok_or_else(|| FieldError::Cidr { text: text.clone() })
    };
    texts.iter().map(read).collect()
}

/// Like `ipnet`, but an octet with leading zeros, which some read as octal, is an error.
fn parse_range(text: &str) -> Option<IpNet> {
    let (address, prefix_len) = text.split_once('/')?;
    let net = IpNet::new(address.parse().ok()?, prefix_len.parse().ok()?).ok()?;
    Some(net.trunc())
}

fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped_prefix_len = v6.prefix_len().checked_sub(96);
    match (v6.network().to_ipv4_mapped(), mapped_prefix_len) {
        (Some(address), Some(prefix_len)) => {
            Ipv4Net::new(address, prefix_len).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// An IPv4 address inside IPv6 is the same address to the rules and in the certificate.
pub(crate) fn canonical_ip(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::to_canonical(&v6),
    }
}

/// Checks `allowed_other_sans`, which is kept as written.
///
/// # Errors
/// [`FieldError::OtherSan`].
pub fn allowed_other_sans(texts: Vec<String>) -> Result<Vec<String>, FieldError> {
    if texts.len() == 1 && texts.iter().all(|text| text == "*") {
        return Ok(texts);
    }
    for text in &texts {
        other_san_parts(text).map_err(FieldError::OtherSan)?;
    }
    Ok(texts)
}

/// Why `OID;UTF8:value` could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherSanSyntax {
    #[error("expected a colon in other SAN {}", quote(text))]
    Colon { text: String },
    #[error("expected a semicolon in other SAN {}", quote(text))]
    Semicolon { text: String },
    #[error(
        "only utf8 other SANs are supported; found non-supported type in other SAN {}",
        quote(text)
    )]
    Type { text: String },
}

/// The OID, as written, and the value.
pub(crate) fn other_san_parts(text: &str) -> Result<(&str, &str), OtherSanSyntax> {
    let owned = || text.to_owned();
    let (oid, rest) = text
        .split_once(';')
        .ok_or_else(|| OtherSanSyntax::Semicolon { text: owned() })?;
    let (kind, value) = rest
        .split_once(':')
        .ok_or_else(|| OtherSanSyntax::Colon { text: owned() })?;
    if !kind.eq_ignore_ascii_case("utf8") && !kind.eq_ignore_ascii_case("utf-8") {
        return Err(OtherSanSyntax::Type { text: owned() });
    }
    Ok((oid, value))
}

/// Reads `ext_key_usage_oids`.
///
/// # Errors
/// [`FieldError::ExtKeyUsageOid`].
pub fn ext_key_usage_oids(texts: &[String]) -> Result<Vec<ObjectIdentifier>, FieldError> {
    let read = |text: &String| {
        ObjectIdentifier::new(text).map_err(|_| FieldError::ExtKeyUsageOid { text: text.clone() })
    };
    texts.iter().map(read).collect()
}

/// What a request may say about `not_before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotBeforeBound {
    /// Nothing older than `not_before_duration`.
    Duration,
    Forbid,
    Permit,
}

impl NotBeforeBound {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Forbid => "forbid",
            Self::Permit => "permit",
        }
    }
}

impl std::str::FromStr for NotBeforeBound {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        match text {
            "duration" => Ok(Self::Duration),
            "forbid" => Ok(Self::Forbid),
            "permit" => Ok(Self::Permit),
            _ => Err(FieldError::NotBeforeBound),
        }
    }
}

/// What a request may say about `not_after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NotAfterBound {
    Forbid,
    Permit,
    /// Nothing beyond the TTL that the role gives.
    TtlLimited,
    /// Nothing beyond this RFC 3339 time, kept as written.
    Until(String),
}

impl NotAfterBound {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Forbid => "forbid",
            Self::Permit => "permit",
            Self::TtlLimited => "ttl-limited",
            Self::Until(text) => text,
        }
    }
}

impl TryFrom<String> for NotAfterBound {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        match text.as_str() {
            "forbid" => Ok(Self::Forbid),
            "permit" => Ok(Self::Permit),
            "ttl-limited" => Ok(Self::TtlLimited),
            _ => match timestamp::parse(&text) {
                Ok(_) => Ok(Self::Until(text)),
                Err(TimestampError { .. }) => Err(FieldError::NotAfterBound),
            },
        }
    }
}

impl From<NotAfterBound> for String {
    fn from(bound: NotAfterBound) -> Self {
        bound.as_str().to_owned()
    }
}
