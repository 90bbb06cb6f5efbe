//! Certificates of mesh workloads, as Istio's agents and ztunnel ask for them: the names are the
//! identities that the caller proved, never what a CSR claims.

use std::fmt;

use const_oid::{
    ObjectIdentifier,
    db::rfc5280::{ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME},
};
use der::Decode;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName};

use super::{
    CsrFacts, KeyFacts, KeyKind, Origin, Refusal, Warning, Warnings, key,
    patterns::glob_matches,
    uri::is_uri_reference,
    usage,
    validity::{after, before},
};
use crate::{
    dn,
    plan::{
        BasicConstraints, KeyUsage, Plan, RawExtension, SignaturePreference, Subject,
        SubjectAltNames, SubjectAttributes,
    },
    role::Role,
    time::{UnixTime, Validity},
};

/// What a workload's certificate is to say.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadRequest<'a> {
    /// Its keys, its URIs and nothing else of it counts.
    pub role: &'a Role,
    /// SPIFFE ids of the caller, proved by the way it connected. At least one.
    pub identities: &'a [String],
    pub csr_mode: CsrMode,
    /// In seconds as the caller sent it; 0 and less mean the default.
    pub asked_secs: i64,
    pub lifetimes: WorkloadLifetimes,
}

/// What becomes of names that a workload's CSR holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrMode {
    /// Only the key of the CSR counts.
    Overwrite,
    /// The CSR has to name exactly the identities and ask for nothing else.
    Strict,
}

/// How long workload certificates live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadLifetimes {
    pub default_secs: u64,
    pub max_secs: u64,
    /// Shorten what is too long instead of refusing it.
    pub clamp: bool,
}

/// Where a CSR, or the identity itself, is not what a workload may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadMismatch {
    Extension { oid: ObjectIdentifier },
    ExtKeyUsage,
    Identity { identity: String },
    KeyUsage,
    Names,
    NoIdentity,
    Subject,
    Uris,
}

impl fmt::Display for WorkloadMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extension { oid } => write!(f, "the CSR asks for the extension {oid}"),
            Self::ExtKeyUsage => {
                f.write_str("the CSR asks for other extended key usages than client and server")
            }
            Self::Identity { identity } => write!(f, "{identity:?} is not a SPIFFE id"),
            Self::KeyUsage => {
                f.write_str("the CSR asks for a key usage that workloads do not have")
            }
            Self::Names => f.write_str("the CSR holds other names than URIs"),
            Self::NoIdentity => f.write_str("the caller has no identity"),
            Self::Subject => f.write_str("the CSR holds a subject"),
            Self::Uris => f.write_str("the URIs of the CSR are not those of the caller"),
        }
    }
}

pub(super) fn vet(
    csr: &CsrFacts,
    request: &WorkloadRequest<'_>,
    issuer_not_after: UnixTime,
    now: UnixTime,
) -> Result<(Plan, Warnings), Refusal> {
    let role = request.role;
    key::check(&csr.key, role.key_type, role.key_bits)?;
    check_key(&csr.key)?;
    check_identities(request.identities).map_err(Refusal::Workload)?;
    check_role(request.identities, role)?;
    if request.csr_mode == CsrMode::Strict {
        check_csr(csr, request.identities).map_err(Refusal::Workload)?;
    }
    let (validity, warnings) = decide_validity(request, issuer_not_after, now)?;
    let plan = Plan {
        subject: Subject::Attributes(SubjectAttributes::default()),
        sans: SubjectAltNames {
            uris: request.identities.to_vec(),
            ..SubjectAltNames::default()
        },
        validity,
        key_usage: WORKLOAD_KEY_USAGE,
        ext_key_usage: usage::ext_key_usage(
            &[(true, usage::SERVER_AUTH), (true, usage::CLIENT_AUTH)],
            &[],
            &[],
        ),
        basic_constraints: BasicConstraints::EndEntity,
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains: Vec::new(),
        copied_extensions: Vec::new(),
        signature: SignaturePreference::default(),
    };
    Ok((plan, warnings))
}

/// What every proxy of a mesh can use: Envoy by default has neither P-521 nor Ed25519, and loads no
/// RSA key below 2048 bits.
fn check_key(key: &KeyFacts) -> Result<(), Refusal> {
    match (&key.kind, key.bits) {
        (KeyKind::Ec, 256 | 384) | (KeyKind::Rsa, LEAST_RSA_BITS..) => Ok(()),
        (kind, bits) => Err(Refusal::WorkloadKey {
            kind: kind.name().to_owned(),
            bits,
        }),
    }
}

fn check_role(identities: &[String], role: &Role) -> Result<(), Refusal> {
    let from = Origin::Request;
    if role.allowed_uri_sans.is_empty() {
        return Err(Refusal::UriForbidden { from });
    }
    let is_allowed = |identity: &String| {
        role.allowed_uri_sans
            .iter()
            .any(|glob| glob_matches(glob, identity))
    };
    if identities.iter().all(is_allowed) {
        Ok(())
    } else {
        Err(Refusal::UriNotAllowed { from })
    }
}

fn check_identities(identities: &[String]) -> Result<(), WorkloadMismatch> {
    if identities.is_empty() {
        return Err(WorkloadMismatch::NoIdentity);
    }
    match identities.iter().find(|identity| !is_spiffe_id(identity)) {
        Some(identity) => Err(WorkloadMismatch::Identity {
            identity: identity.clone(),
        }),
        None => Ok(()),
    }
}

/// A trust domain and a path without query, fragment, port or empty segments (SPIFFE-ID §2).
fn is_spiffe_id(text: &str) -> bool {
    let Some((trust_domain, path)) = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let is_domain_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    !trust_domain.is_empty()
        && trust_domain.bytes().all(is_domain_byte)
        && path.split('/').all(is_segment)
        && text.len() <= LONGEST_SPIFFE_ID
        && is_uri_reference(text)
}

fn check_csr(csr: &CsrFacts, identities: &[String]) -> Result<(), WorkloadMismatch> {
    // Istio's agents send an organization that is empty, ztunnel no attribute at all.
    if !dn::is_blank(&csr.raw_subject) {
        return Err(WorkloadMismatch::Subject);
    }
    let SubjectAltNames {
        dns,
        emails,
        ips,
        uris,
        others,
    } = &csr.sans;
    if !(dns.is_empty() && emails.is_empty() && ips.is_empty() && others.is_empty()) {
        return Err(WorkloadMismatch::Names);
    }
    for extension in &csr.extensions {
        check_extension(extension)?;
    }
    let sorted = |uris: &[String]| {
        let mut uris = uris.to_vec();
        uris.sort_unstable();
        uris
    };
    if sorted(uris) != sorted(identities) {
        return Err(WorkloadMismatch::Uris);
    }
    Ok(())
}

fn check_extension(extension: &RawExtension) -> Result<(), WorkloadMismatch> {
    match extension.oid {
        // Kinds of names that a CSR's summary does not list must not slip through.
        ID_CE_SUBJECT_ALT_NAME => {
            let is_uri =
                |name: &GeneralName| matches!(name, GeneralName::UniformResourceIdentifier(_));
            SubjectAltName::from_der(&extension.value)
                .is_ok_and(|names| names.0.iter().all(is_uri))
                .then_some(())
                .ok_or(WorkloadMismatch::Names)
        }
        // BIT STRING of one byte: at most digitalSignature and keyEncipherment.
        ID_CE_KEY_USAGE => match extension.value.as_slice() {
            [0x03, 0x02, 0..8, bits] if bits & !0xa0 == 0 => Ok(()),
            _ => Err(WorkloadMismatch::KeyUsage),
        },
        ID_CE_EXT_KEY_USAGE => {
            let allowed = usage::ext_key_usage(
                &[(true, usage::SERVER_AUTH), (true, usage::CLIENT_AUTH)],
                &[],
                &[],
            );
            ExtendedKeyUsage::from_der(&extension.value)
                .is_ok_and(|usages| usages.0.iter().all(|usage| allowed.contains(usage)))
                .then_some(())
                .ok_or(WorkloadMismatch::ExtKeyUsage)
        }
        oid => Err(WorkloadMismatch::Extension { oid }),
    }
}

fn decide_validity(
    request: &WorkloadRequest<'_>,
    issuer_not_after: UnixTime,
    now: UnixTime,
) -> Result<(Validity, Warnings), Refusal> {
    let WorkloadLifetimes {
        default_secs,
        max_secs,
        clamp,
    } = request.lifetimes;
    let asked_secs = u64::try_from(request.asked_secs)
        .ok()
        .filter(|secs| *secs > 0);
    if let Some(asked_secs) = asked_secs
        && asked_secs > max_secs
        && !clamp
    {
        let most_secs = max_secs;
        return Err(Refusal::WorkloadLifetime {
            asked_secs,
            most_secs,
        });
    }
    let wanted_secs = asked_secs.unwrap_or(default_secs);
    let lifetime_secs = wanted_secs.min(max_secs);
    let not_after = after(now, lifetime_secs)
        .min(issuer_not_after)
        .min(UnixTime::MAX);
    if not_after <= now {
        return Err(Refusal::NotAfterBeyondIssuer {
            not_after: after(now, lifetime_secs),
            issuer_not_after,
        });
    }
    // Renewal happens half-way through: a certificate must not be born nearly used up.
    let remaining_secs = u64::try_from(not_after.0.saturating_sub(now.0)).unwrap_or(0);
    let not_before = before(now, MOST_BACKDATING_SECS.min(remaining_secs / 10));
    let mut warnings = Vec::new();
    if wanted_secs > max_secs {
        warnings.push(Warning::TtlClamped {
            ttl_secs: wanted_secs,
            max_ttl_secs: max_secs,
        });
    }
    let validity = Validity {
        not_before,
        not_after,
    };
    Ok((validity, warnings))
}

const LEAST_RSA_BITS: u32 = 2048;
/// digitalSignature and keyEncipherment.
const WORKLOAD_KEY_USAGE: KeyUsage = KeyUsage(1 | 1 << 2);
const LONGEST_SPIFFE_ID: usize = 2048;
/// Clients may hold the difference between what they asked and what they got to 30 seconds.
const MOST_BACKDATING_SECS: u64 = 30;

#[cfg(test)]
mod tests;
