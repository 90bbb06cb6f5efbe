//! Why a certificate is not issued. Data inside; displays as the sentence that Vault's clients know.

use std::fmt;

use super::{
    go_text::{duration, quote},
    oid_text::OidTextError,
    timestamp::{self, TimestampError},
    workload::WorkloadMismatch,
};
use crate::{
    csr::CsrError,
    role::{FieldError, KeyType, OtherSanSyntax},
    time::UnixTime,
};

/// One broken rule; the first that is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("common name {name} not allowed by this role")]
    CommonName { name: String },
    #[error(
        "the common_name field is required, or must be provided in a CSR with \
         \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false"
    )]
    CommonNameMissing,
    #[error(transparent)]
    Csr(CsrError),
    #[error("role requires a minimum of a {least_bits}-bit key, but CSR's key is {bits} bits")]
    CsrKeySize { least_bits: u32, bits: u32 },
    #[error("role requires keys of type {}", required.as_str())]
    CsrKeyType { required: KeyType },
    #[error("Unknown key type in CSR: {name}")]
    CsrKeyUnknown { name: String },
    #[error(
        "Refusing to sign CSR with empty PublicKey. This usually means the SubjectPublicKeyInfo \
         field has an OID not recognized by Go, such as 1.2.840.113549.1.1.10 for rsaPSS."
    )]
    CsrKeyUnrecognized,
    #[error("RSA keys < 2048 bits are unsafe and not supported")]
    CsrKeyWeak,
    #[error("subject alternate name {name} not allowed by this role")]
    DnsName { name: String },
    #[error("email address {address} not allowed by this role")]
    Email { address: String },
    #[error(transparent)]
    ExtKeyUsageOid(FieldError),
    #[error("unsupported hash signature algorithm: {bits}")]
    HashBits { bits: u32 },
    #[error("idna: invalid label {}", quote(label))]
    Idna { label: String },
    #[error(
        "IP Subject Alternative Names are not allowed in this role, but was provided via {from}"
    )]
    IpForbidden { from: Origin },
    #[error("the IP address {} is not allowed in this role", quote(address))]
    IpOutsideRanges { address: String },
    #[error("the value {} is not a valid IP address", quote(text))]
    IpSyntax { text: String },
    #[error(
        "signing certificate has a max path length of zero, and cannot issue further CA certificates"
    )]
    IssuerPathLengthZero,
    #[error("failed to validate role: {0}")]
    KeyParameters(FieldError),
    #[error("unknown key type: any")]
    KeyTypeAny,
    #[error(
        "role key type \"any\" not allowed for issuing certificates without providing key_type \
         and/or key_bits request parameters"
    )]
    KeyTypeMissing,
    #[error(
        "not_after_bound is set to {bound}. Cannot statisfy request as that would result in \
         notAfter of {} that is beyond the maximum timestamp of {}",
        timestamp::format(*not_after),
        timestamp::format(*latest)
    )]
    NotAfterBeyondBound {
        bound: String,
        not_after: UnixTime,
        latest: UnixTime,
    },
    #[error(
        "cannot satisfy request, as TTL would result in notAfter of {} that is beyond the \
         expiration of the CA certificate at {}",
        timestamp::format(*not_after),
        timestamp::format(*issuer_not_after)
    )]
    NotAfterBeyondIssuer {
        not_after: UnixTime,
        issuer_not_after: UnixTime,
    },
    #[error(
        "not_after_bound is set to ttl-limited. Cannot satisfy request as that would result in \
         notAfter of {} that is beyond the TTL of {}",
        timestamp::format(*not_after),
        duration(*ttl_secs)
    )]
    NotAfterBeyondTtl { not_after: UnixTime, ttl_secs: u64 },
    #[error("not_after_bound is set to forbid. not_after cannot be provided.")]
    NotAfterForbidden,
    #[error(
        "cannot satisfy request, as NotAfter date {} is in the past",
        timestamp::format(*not_after)
    )]
    NotAfterPast { not_after: UnixTime },
    #[error("cannot satisfy request, as notAfter would be beyond the year 9999")]
    NotAfterUnwritable,
    #[error(
        "The certificate's Not Before ({}) is {} the certificate's Not After ({})",
        timestamp::format(*not_before),
        if not_before == not_after { "equal to" } else { "later than" },
        timestamp::format(*not_after)
    )]
    NotBeforeAfterNotAfter {
        not_before: UnixTime,
        not_after: UnixTime,
    },
    #[error("not_before_bound is set to forbid. not_before cannot be provided.")]
    NotBeforeForbidden,
    #[error(
        "not_before_bound is set to duration. Cannot satisfy request as it would result in \
         notBefore of {} that is older than the allowed not_before_duration of {}",
        timestamp::format(*not_before),
        duration(*oldest_secs)
    )]
    NotBeforeTooOld {
        not_before: UnixTime,
        oldest_secs: u64,
    },
    #[error(
        "unable to create certificate: x509: {} cannot be encoded as an IA5String",
        quote(text)
    )]
    NotIa5 { text: String },
    #[error("error marshaling other SANs: {0}")]
    OtherSanOid(OidTextError),
    #[error("other SAN OID {oid} not allowed by this role")]
    OtherSanOidForbidden { oid: String },
    #[error("could not parse requested other SAN: {0}")]
    OtherSanSyntax(OtherSanSyntax),
    #[error("other SAN {value} not allowed for OID {oid} by this role")]
    OtherSanValueForbidden { oid: String, value: String },
    #[error(
        "unable to create certificate: x509: invalid MaxPathLen, must be greater or equal to -1"
    )]
    PathLength,
    #[error("serial_number {serial_number} not allowed by this role")]
    SerialNumber { serial_number: String },
    #[error("cannot parse requested SKID value as hex: encoding/hex: {0}")]
    SubjectKeyId(HexFault),
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    #[error("too many subject alternative names: {count} given, at most {most} allowed")]
    TooManyNames { count: usize, most: usize },
    #[error(
        "Either ttl or not_after should be provided. Both should not be provided in the same \
         request."
    )]
    TtlAndNotAfter,
    #[error(
        "URI Subject Alternative Names are not allowed in this role, but were provided via {from}"
    )]
    UriForbidden { from: Origin },
    #[error(
        "URI Subject Alternative Names were provided via {from} which are not valid for this role"
    )]
    UriNotAllowed { from: Origin },
    #[error(
        "the provided URI Subject Alternative Name {} is not a valid URI",
        quote(uri)
    )]
    UriSyntax { uri: String },
    #[error("user_id {user_id} is not allowed by this role")]
    UserId { user_id: String },
    #[error("the request does not fit the identity of the workload: {0}")]
    Workload(WorkloadMismatch),
    #[error("proxies of a mesh cannot use {kind} keys of {bits} bits")]
    WorkloadKey { kind: String, bits: u32 },
    #[error("requested a validity of {asked_secs} seconds, at most {most_secs} are allowed")]
    WorkloadLifetime { asked_secs: u64, most_secs: u64 },
    #[error("the request is signed with SHA-1")]
    WorkloadSignature,
}

impl Refusal {
    /// Whether Vault answers 500 where this says the client asked for something impossible; 400 is
    /// the honest answer.
    #[must_use]
    pub fn is_internal_in_vault(&self) -> bool {
        matches!(
            self,
            Self::KeyParameters(_) | Self::NotIa5 { .. } | Self::OtherSanOid(_) | Self::PathLength
        )
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Csr,
    Request,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csr => "CSR",
            Self::Request => "the API",
        })
    }
}

/// Why a text is not hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexFault {
    Digit(char),
    OddLength,
}

impl fmt::Display for HexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit(digit) => {
                write!(f, "invalid byte: U+{:04X} '{digit}'", u32::from(*digit))
            }
            Self::OddLength => f.write_str("odd length hex string"),
        }
    }
}
