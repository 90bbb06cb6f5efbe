//! What a PKI mount stores. Paths are relative to the mount.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use signet_pki::cert::Certificate;
use signet_pki::serial::SerialNumber;
use signet_pki::vet::LeafNotAfterBehavior;
use signet_storage::Record;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::time::Timestamp;

pub(super) const ISSUERS: &str = "issuer/";
pub(super) const KEYS: &str = "key/";
pub(super) const CONFIG: &str = "config/";
pub(super) const ISSUERS_CONFIG: &str = "config/issuers";
pub(super) const KEYS_CONFIG: &str = "config/keys";
pub(super) const URLS_CONFIG: &str = "config/urls";
/// Changes with every change of issuers or keys, which therefore cannot pass each other.
pub(super) const REVISION: &str = "issuers-revision";
pub(super) const CLUSTER_CONFIG: &str = "config/cluster";

pub(super) fn issuer_path(id: &str) -> String {
    format!("{ISSUERS}{id}")
}

pub(super) fn key_path(id: &str) -> String {
    format!("{KEYS}{id}")
}

pub(super) fn role_path(name: &str) -> String {
    format!("role/{name}")
}

pub(super) const CERTIFICATES: &str = "cert/";
pub(super) const REVOKED: &str = "revoked/";

pub(super) fn certificate_path(serial: SerialNumber) -> String {
    format!("{CERTIFICATES}{}", serial.to_hyphen_hex())
}

pub(super) fn revoked_path(serial: SerialNumber) -> String {
    format!("{REVOKED}{}", serial.to_hyphen_hex())
}

/// An issuer: a CA certificate and how it may be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IssuerRecord {
    pub(super) id: String,
    /// Empty for none.
    #[serde(default)]
    pub(super) name: String,
    /// Empty for an issuer without a key here.
    #[serde(default)]
    pub(super) key_id: String,
    #[serde(with = "base64_bytes")]
    pub(super) certificate: Vec<u8>,
    /// Ids, itself first; made when issuers come and go.
    #[serde(default)]
    pub(super) chain: Vec<String>,
    /// Ids in the operator's order; empty for the chain that is found.
    #[serde(default)]
    pub(super) manual_chain: Vec<String>,
    pub(super) usage: Usage,
    #[serde(default)]
    pub(super) leaf_not_after: LeafNotAfterBehavior,
    /// As the API names it; empty for the key's default.
    #[serde(default)]
    pub(super) revocation_signature_algorithm: String,
    #[serde(default)]
    pub(super) revoked_at: Option<Timestamp>,
    /// See [`IssuerRecord::urls`].
    #[serde(default)]
    pub(super) aia: Option<AiaConfig>,
    pub(super) modified_at: Timestamp,
}

impl Record for IssuerRecord {
    const FORMAT: u8 = 1;
}

/// What an issuer may be used for; reading is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) crl_signing: bool,
    pub(super) issuing_certificates: bool,
    pub(super) ocsp_signing: bool,
}

impl Usage {
    pub(super) const NONE: Self = Self {
        crl_signing: false,
        issuing_certificates: false,
        ocsp_signing: false,
    };

    pub(super) const ALL: Self = Self {
        crl_signing: true,
        issuing_certificates: true,
        ocsp_signing: true,
    };

    /// The names, sorted, joined by commas.
    pub(super) fn names(self) -> String {
        let mut names = Vec::new();
        if self.crl_signing {
            names.push("crl-signing");
        }
        if self.issuing_certificates {
            names.push("issuing-certificates");
        }
        if self.ocsp_signing {
            names.push("ocsp-signing");
        }
        names.push("read-only");
        names.join(",")
    }
}

/// URLs that certificates point to, as configured: templates not yet filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AiaConfig {
    pub(super) issuing_certificates: Vec<String>,
    pub(super) crl_distribution_points: Vec<String>,
    pub(super) delta_crl_distribution_points: Vec<String>,
    pub(super) ocsp_servers: Vec<String>,
    pub(super) enable_templating: bool,
}

impl Record for AiaConfig {
    const FORMAT: u8 = 1;
}

/// A private key of the mount.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) id: String,
    /// Empty for none.
    #[serde(default)]
    pub(super) name: String,
    /// PKCS #8.
    #[serde(with = "secret_base64")]
    pub(super) pkcs8: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Record for KeyRecord {
    const FORMAT: u8 = 1;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct IssuersConfig {
    /// Empty for none.
    pub(super) default: String,
    pub(super) default_follows_latest_issuer: bool,
}

impl Record for IssuersConfig {
    const FORMAT: u8 = 1;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeysConfig {
    /// Empty for none.
    pub(super) default: String,
}

impl Record for KeysConfig {
    const FORMAT: u8 = 1;
}

/// Where clients reach this mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClusterConfig {
    pub(super) path: String,
    pub(super) aia_path: String,
}

impl Record for ClusterConfig {
    const FORMAT: u8 = 1;
}

/// A stored certificate: what it takes to show it and to revoke it.
///
/// Written on every issuance, so not JSON: format, length of the issuer's id, the id, length of the
/// role's name, the name, DER. Format 1 has no role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateRecord {
    /// Empty when no issuer of the mount made it.
    pub(super) issuer_id: String,
    /// The role that allowed it; empty where there was none or it is not known.
    pub(super) role: String,
    pub(super) der: Vec<u8>,
}

impl CertificateRecord {
    const FORMAT: u8 = 2;

    pub(super) fn encode(issuer_id: &str, role: &str, der: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(der.len() + issuer_id.len() + role.len() + 3);
        out.push(Self::FORMAT);
        for text in [issuer_id, role] {
            // Ids are UUIDs; a name longer than a byte can say stays unknown.
            let text = if text.len() > 255 { "" } else { text };
            out.push(u8::try_from(text.len()).unwrap_or(0));
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(der);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ApiError> {
        let (format, rest) = bytes.split_first().ok_or_else(damaged_certificate)?;
        let has_role = match format {
            1 => false,
            2 => true,
            other => {
                let text = format!("stored certificate has format {other}");
                return Err(ApiError::internal(text));
            }
        };
        let (issuer_id, rest) = short_text(rest)?;
        let (role, der) = if has_role {
            short_text(rest)?
        } else {
            ("", rest)
        };
        Ok(Self {
            issuer_id: issuer_id.to_owned(),
            role: role.to_owned(),
            der: der.to_vec(),
        })
    }
}

/// A text behind a byte that says how long it is, and what follows.
fn short_text(bytes: &[u8]) -> Result<(&str, &[u8]), ApiError> {
    let (length, rest) = bytes.split_first().ok_or_else(damaged_certificate)?;
    let (text, rest) = rest
        .split_at_checked(usize::from(*length))
        .ok_or_else(damaged_certificate)?;
    let text = std::str::from_utf8(text).map_err(|_| damaged_certificate())?;
    Ok((text, rest))
}

fn damaged_certificate() -> ApiError {
    ApiError::internal("stored certificate is damaged")
}

/// A revoked certificate.
///
/// Read by the million when a CRL is built, so not JSON: format, both times, the authority, then
/// the issuer's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RevokedRecord {
    pub(super) revoked_at: Timestamp,
    /// End of the certificate's validity.
    pub(super) not_after: Timestamp,
    /// On whose CRL it is; [`AuthorityId::UNKNOWN`] puts it on that of the default issuer.
    pub(super) authority: AuthorityId,
    /// Empty when unknown.
    pub(super) issuer_id: String,
}

impl RevokedRecord {
    const FORMAT: u8 = 1;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(33 + self.issuer_id.len());
        out.push(Self::FORMAT);
        out.extend_from_slice(&self.revoked_at.0.to_be_bytes());
        out.extend_from_slice(&self.not_after.0.to_be_bytes());
        out.extend_from_slice(&self.authority.0);
        out.extend_from_slice(self.issuer_id.as_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ApiError> {
        let damaged = || ApiError::internal("stored revocation is damaged");
        let ([format], rest) = bytes.split_first_chunk::<1>().ok_or_else(damaged)?;
        if *format != Self::FORMAT {
            return Err(ApiError::internal(format!(
                "stored revocation has format {format}"
            )));
        }
        let (revoked_at, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (not_after, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (authority, issuer_id) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let issuer_id = std::str::from_utf8(issuer_id).map_err(|_| damaged())?;
        Ok(Self {
            revoked_at: Timestamp(i64::from_be_bytes(*revoked_at)),
            not_after: Timestamp(i64::from_be_bytes(*not_after)),
            authority: AuthorityId(*authority),
            issuer_id: issuer_id.to_owned(),
        })
    }
}

/// Names what issuers with the same key and the same subject have in common: one CRL. Survives the
/// deletion of an issuer, and is the same again when it is imported again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AuthorityId([u8; 16]);

impl AuthorityId {
    pub(super) const UNKNOWN: Self = Self([0; 16]);

    pub(super) fn of(certificate: &Certificate) -> Self {
        let subject = certificate.subject_der();
        let mut hash = digest::Context::new(&digest::SHA256);
        // The subject is DER, so that where it ends is plain.
        hash.update(subject);
        hash.update(certificate.public_key().spki_der());
        let digest = hash.finish();
        let id = digest.as_ref().first_chunk::<16>().copied();
        Self(id.unwrap_or_default())
    }

    pub(super) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl std::fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(D::Error::custom)
    }
}

mod secret_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Zeroizing<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(bytes.as_slice())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        STANDARD
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_survive_the_round_trip() {
        let record = RevokedRecord {
            revoked_at: Timestamp(1_800_000_000_123_456_789),
            not_after: Timestamp(-1),
            authority: AuthorityId([7; 16]),
            issuer_id: "0cd8cea9-5781-86a5-03d6-736a57348dd0".into(),
        };
        let bytes = record.encode();
        assert_eq!(RevokedRecord::decode(&bytes).unwrap(), record);
        for end in 0..33 {
            assert!(RevokedRecord::decode(&bytes[..end]).is_err(), "{end}");
        }
        let id = record.authority;
        assert_eq!(AuthorityId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(AuthorityId::from_hex("07"), None);
    }

    #[test]
    fn certificate_records_survive_the_round_trip() {
        let id = "0cd8cea9-5781-86a5-03d6-736a57348dd0";
        for role in ["mesh", ""] {
            let bytes = CertificateRecord::encode(id, role, b"der");
            let record = CertificateRecord {
                issuer_id: id.into(),
                role: role.into(),
                der: b"der".to_vec(),
            };
            assert_eq!(CertificateRecord::decode(&bytes).unwrap(), record);
        }
        let record = CertificateRecord {
            issuer_id: "id".into(),
            role: String::new(),
            der: b"der".to_vec(),
        };
        assert_eq!(CertificateRecord::decode(b"\x01\x02idder").unwrap(), record);
        for damaged in [
            &b""[..],
            b"\x01",
            b"\x01\x05abc",
            b"\x02\x00",
            b"\x03\x00\x00",
        ] {
            assert!(CertificateRecord::decode(damaged).is_err());
        }
    }
}
