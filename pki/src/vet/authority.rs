//! Certificates of authorities: roots, the CSR of an intermediate, and intermediates below an
//! issuer. No role applies; the right to call these endpoints is the control.

use super::{
    CsrFacts, HexFault, LeafNotAfterBehavior, MountLifetimes, Refusal, Surroundings, Warning,
    Warnings, key,
    leaf::distinct,
    names::{NameRules, NameSources, Names},
    sans::{SanRules, SanSources},
    usage,
    validity::{self, Purpose, ValidityRequest, ValidityRules},
    verbatim::copied_extensions,
};
use crate::{
    plan::{
        BasicConstraints, Plan, SignaturePreference, Subject, SubjectAltNames, SubjectAttributes,
    },
    role::KeyType,
    time::UnixTime,
};
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;

/// Who an authority is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorityIdentity {
    /// Empty for none.
    pub common_name: String,
    /// DNS names and email addresses, separated by commas.
    pub alt_names: String,
    pub ip_sans: Vec<String>,
    pub uri_sans: Vec<String>,
    /// `OID;UTF8:value` each.
    pub other_sans: Vec<String>,
    pub exclude_cn_from_sans: bool,
    /// The subject's serialNumber attribute.
    pub serial_number: String,
    pub ou: Vec<String>,
    pub organization: Vec<String>,
    pub country: Vec<String>,
    pub locality: Vec<String>,
    pub province: Vec<String>,
    pub street_address: Vec<String>,
    pub postal_code: Vec<String>,
}

/// What the certificate of an authority says beside its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorityTerms {
    /// 0 for the mount's default.
    pub ttl_secs: u64,
    /// RFC 3339; an empty text is an error.
    pub not_after: Option<String>,
    /// 0 for 30 seconds.
    pub not_before_duration_secs: u64,
    /// −1 for no limit; `None` leaves it to the issuer.
    pub max_path_length: Option<i64>,
    pub permitted_dns_domains: Vec<String>,
    /// Only `DigitalSignature` adds to what every authority has.
    pub key_usage: Vec<String>,
    pub ext_key_usage: Vec<String>,
    pub ext_key_usage_oids: Vec<String>,
    pub signature_bits: u32,
    pub use_pss: bool,
}

/// What `sign-intermediate` is asked beside its CSR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntermediateRequest {
    pub identity: AuthorityIdentity,
    pub terms: AuthorityTerms,
    /// Judged, but the certificate begins at its usual age. Empty for none.
    pub not_before: String,
    /// Hexadecimal, with or without separators. Empty for none.
    pub skid: String,
    /// Subject, names and extensions from the CSR instead of `identity`.
    pub use_csr_values: bool,
}

/// Subject and names of the CSR of a new intermediate.
pub fn csr_content(
    identity: &AuthorityIdentity,
) -> Result<(SubjectAttributes, SubjectAltNames), Refusal> {
    vet_identity(identity, None)
}

pub(super) fn vet_root(
    identity: &AuthorityIdentity,
    terms: &AuthorityTerms,
    key_type: KeyType,
    mount: MountLifetimes,
    now: UnixTime,
) -> Result<(Plan, Warnings), Refusal> {
    let bits = terms.signature_bits;
    if key_type == KeyType::Rsa && ![0, 256, 384, 512].contains(&bits) {
        return Err(Refusal::HashBits { bits });
    }
    let (subject, sans) = vet_identity(identity, None)?;
    let (validity, clamped) = validity::decide(
        &ValidityRules::permissive(terms.not_before_duration_secs),
        ValidityRequest {
            ttl_secs: terms.ttl_secs,
            // A root begins when it is made.
            not_before: "",
            not_after: terms.not_after.as_deref(),
        },
        Purpose::Issue,
        now,
        mount,
        None,
    )?;
    let path_len = requested_path_len(terms.max_path_length.unwrap_or(-1))?;
    let mut warnings = Vec::from_iter(clamped);
    if subject == SubjectAttributes::default() {
        warnings.push(Warning::NoSubject);
    }
    if path_len == Some(0) {
        warnings.push(Warning::PathLengthZero { root: true });
    }
    let mut plan = plan(
        Subject::Attributes(subject),
        sans,
        validity,
        terms,
        path_len,
    )?;
    plan.signature.ecdsa_by_curve = true;
    Ok((plan, warnings))
}

pub(super) fn vet_intermediate(
    csr: &CsrFacts,
    request: &IntermediateRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Plan, Warnings), Refusal> {
    let IntermediateRequest {
        identity,
        terms,
        not_before,
        skid,
        use_csr_values,
    } = request;
    key::check(&csr.key, KeyType::Any, 0)?;
    let (attributes, requested_sans) = vet_identity(identity, Some(csr))?;
    let issuer = surroundings.issuer;
    let (validity, clamped) = validity::decide(
        &ValidityRules::permissive(terms.not_before_duration_secs),
        ValidityRequest {
            ttl_secs: terms.ttl_secs,
            not_before,
            not_after: terms.not_after.as_deref(),
        },
        Purpose::Sign,
        surroundings.now,
        surroundings.mount,
        // An authority may outlive its issuer: the two may meet again through a renewed issuer.
        Some((issuer.not_after, LeafNotAfterBehavior::Permit)),
    )?;
    let subject_key_id = read_subject_key_id(skid)?;
    if issuer.path_len == Some(0) {
        return Err(Refusal::IssuerPathLengthZero);
    }
    let path_len = match terms.max_path_length {
        Some(requested) => requested_path_len(requested)?,
        None => issuer.path_len.map(|limit| limit.saturating_sub(1)),
    };

    let subject_is_empty;
    let mut plan = if *use_csr_values {
        subject_is_empty = csr.raw_subject == EMPTY_NAME;
        let sans = SubjectAltNames {
            others: requested_sans.others,
            ..csr.sans.clone()
        };
        let rebuilt = (!sans.others.is_empty()).then_some(ID_CE_SUBJECT_ALT_NAME);
        let subject = Subject::Raw(csr.raw_subject.clone());
        Plan {
            copied_extensions: copied_extensions(csr, rebuilt),
            ..plan(subject, sans, validity, terms, path_len)?
        }
    } else {
        subject_is_empty = attributes == SubjectAttributes::default();
        let subject = Subject::Attributes(attributes);
        plan(subject, requested_sans, validity, terms, path_len)?
    };
    plan.subject_key_id = subject_key_id;

    let mut warnings = Vec::new();
    if validity.not_after > issuer.not_after {
        warnings.push(Warning::BeyondIssuer);
    }
    if subject_is_empty {
        warnings.push(Warning::NoSubject);
    }
    if path_len == Some(0) {
        warnings.push(Warning::PathLengthZero { root: false });
    }
    warnings.extend(clamped);
    Ok((plan, warnings))
}

/// Of a CSR only common name and serialNumber count, and only where the request has none.
fn vet_identity(
    identity: &AuthorityIdentity,
    csr: Option<&CsrFacts>,
) -> Result<(SubjectAttributes, SubjectAltNames), Refusal> {
    let AuthorityIdentity {
        common_name,
        alt_names,
        ip_sans,
        uri_sans,
        other_sans,
        exclude_cn_from_sans,
        serial_number,
        ou,
        organization,
        country,
        locality,
        province,
        street_address,
        postal_code,
    } = identity;
    let san_sources = SanSources {
        csr: None,
        ip_sans,
        uri_sans,
        other_sans,
    };
    san_sources.bound(alt_names)?;
    let names = Names::collect(&NameSources {
        csr,
        use_csr_common_name: common_name.is_empty(),
        use_csr_sans: false,
        require_cn: false,
        common_name,
        alt_names,
        serial_number,
        exclude_cn_from_sans: *exclude_cn_from_sans,
    })?;
    let names = NameRules::permissive().vet(names)?;
    let other_sans = SanRules::permissive().vet(&san_sources)?;
    let subject = SubjectAttributes {
        country: distinct(country),
        province: distinct(province),
        locality: distinct(locality),
        street_address: distinct(street_address),
        postal_code: distinct(postal_code),
        organization: distinct(organization),
        organizational_unit: distinct(ou),
        common_name: names.common_name,
        serial_number: names.serial_number,
        user_ids: Vec::new(),
    };
    let sans = other_sans.with_names(names.dns, names.emails)?;
    Ok((subject, sans))
}

fn plan(
    subject: Subject,
    sans: SubjectAltNames,
    validity: crate::time::Validity,
    terms: &AuthorityTerms,
    path_len: Option<u32>,
) -> Result<Plan, Refusal> {
    let AuthorityTerms {
        ttl_secs: _,
        not_after: _,
        not_before_duration_secs: _,
        max_path_length: _,
        permitted_dns_domains,
        key_usage,
        ext_key_usage,
        ext_key_usage_oids,
        signature_bits,
        use_pss,
    } = terms;
    let permitted_dns_domains: Vec<String> = permitted_dns_domains
        .iter()
        // An empty domain would permit every name (RFC 5280 §4.2.1.10).
        .filter(|domain| !domain.is_empty())
        .cloned()
        .collect();
    if let Some(text) = permitted_dns_domains.iter().find(|text| !text.is_ascii()) {
        let text = text.clone();
        return Err(Refusal::NotIa5 { text });
    }
    Ok(Plan {
        subject,
        sans,
        validity,
        key_usage: usage::authority_key_usage(key_usage),
        ext_key_usage: usage::requested_ext_key_usage(ext_key_usage, ext_key_usage_oids)?,
        basic_constraints: BasicConstraints::Authority { path_len },
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains,
        copied_extensions: Vec::new(),
        signature: SignaturePreference {
            hash_bits: *signature_bits,
            pss: *use_pss,
            ecdsa_by_curve: false,
        },
    })
}

fn requested_path_len(requested: i64) -> Result<Option<u32>, Refusal> {
    match requested {
        -1 => Ok(None),
        _ => u32::try_from(requested)
            .map(Some)
            .map_err(|_| Refusal::PathLength),
    }
}

fn read_subject_key_id(text: &str) -> Result<Option<Vec<u8>>, Refusal> {
    let digits = text.replace([':', '-', ' '], "");
    if digits.is_empty() {
        return Ok(None);
    }
    let fault = match digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        Some(digit) => HexFault::Digit(digit),
        None => match hex::decode(&digits) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(_) => HexFault::OddLength,
        },
    };
    Err(Refusal::SubjectKeyId(fault))
}

/// DER of a `Name` without attributes.
const EMPTY_NAME: [u8; 2] = [0x30, 0x00];
