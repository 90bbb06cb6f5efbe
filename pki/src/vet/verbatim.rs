//! `sign-verbatim`: the one permissive door for certificates that are no authorities.

use super::{
    CsrFacts, Refusal, Surroundings, Warnings, key,
    leaf::{LeafRequest, csr_warnings, decide_validity},
    names::{NameRules, NameSources, Names},
    sans::{SanRules, SanSources},
    usage,
    validity::{Purpose, ValidityRules},
};
use crate::{
    plan::{BasicConstraints, Plan, RawExtension, SignaturePreference, Subject, SubjectAltNames},
    role::{DEFAULT_NOT_BEFORE_DURATION_SECS, KeyType, Role},
};
use const_oid::{
    ObjectIdentifier,
    db::rfc5280::{ID_CE_BASIC_CONSTRAINTS, ID_CE_SUBJECT_ALT_NAME},
};

/// What a client may ask for beside its CSR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerbatimRequest {
    /// Of its names only `other_sans` reach the certificate.
    pub leaf: LeafRequest,
    /// The caller fills in the default of the API; empty means no extension.
    pub key_usage: Vec<String>,
    pub ext_key_usage: Vec<String>,
    pub ext_key_usage_oids: Vec<String>,
    pub signature_bits: u32,
    pub use_pss: bool,
    /// `None` leaves it to the role.
    pub basic_constraints_valid_for_non_ca: Option<bool>,
}

pub(super) fn vet(
    role: Option<&Role>,
    csr: &CsrFacts,
    request: &VerbatimRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Plan, Warnings), Refusal> {
    let VerbatimRequest {
        leaf,
        key_usage,
        ext_key_usage,
        ext_key_usage_oids,
        signature_bits,
        use_pss,
        basic_constraints_valid_for_non_ca,
    } = request;
    key::check(&csr.key, KeyType::Any, 0)?;
    let san_sources = SanSources {
        csr: Some(csr),
        ip_sans: &leaf.ip_sans,
        uri_sans: &leaf.uri_sans,
        other_sans: &leaf.other_sans,
    };
    san_sources.bound(&leaf.alt_names)?;
    // The names are judged although the CSR's are copied: what cannot be written is refused.
    let names = Names::collect(&NameSources {
        csr: Some(csr),
        use_csr_common_name: true,
        use_csr_sans: true,
        require_cn: false,
        common_name: &leaf.common_name,
        alt_names: &leaf.alt_names,
        serial_number: &leaf.serial_number,
        exclude_cn_from_sans: leaf.exclude_cn_from_sans,
    })?;
    let names = NameRules::permissive().vet(names)?;
    let other_sans = SanRules::permissive().vet(&san_sources)?;
    let validity_rules = ValidityRules {
        ttl_secs: role.map_or(0, |role| role.ttl_secs),
        max_ttl_secs: role.map_or(0, |role| role.max_ttl_secs),
        ..ValidityRules::permissive(role.map_or(DEFAULT_NOT_BEFORE_DURATION_SECS, |role| {
            role.not_before_duration_secs
        }))
    };
    let (validity, clamped) = decide_validity(&validity_rules, leaf, Purpose::Sign, surroundings)?;

    let vetted_sans = other_sans.with_names(names.dns, names.emails)?;
    let writes_basic_constraints = basic_constraints_valid_for_non_ca
        .unwrap_or_else(|| role.is_some_and(|role| role.basic_constraints_valid_for_non_ca));
    // Other names are written anew, so the CSR's own SAN extension must not be there as well.
    let rebuilt = (!vetted_sans.others.is_empty()).then_some(ID_CE_SUBJECT_ALT_NAME);
    let plan = Plan {
        subject: Subject::Raw(csr.raw_subject.clone()),
        sans: SubjectAltNames {
            others: vetted_sans.others,
            ..csr.sans.clone()
        },
        validity,
        key_usage: usage::key_usage(key_usage),
        ext_key_usage: usage::requested_ext_key_usage(ext_key_usage, ext_key_usage_oids)?,
        basic_constraints: if writes_basic_constraints {
            BasicConstraints::EndEntity
        } else {
            BasicConstraints::Absent
        },
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains: Vec::new(),
        copied_extensions: copied_extensions(csr, rebuilt),
        signature: SignaturePreference {
            hash_bits: *signature_bits,
            pss: *use_pss,
            ecdsa_by_curve: false,
        },
    };
    let warnings = csr_warnings(leaf, csr, true, true, clamped, writes_basic_constraints);
    Ok((plan, warnings))
}

/// The CSR's extensions as they are. Never `BasicConstraints`: that decides about authorities.
pub(super) fn copied_extensions(
    csr: &CsrFacts,
    also_without: Option<ObjectIdentifier>,
) -> Vec<RawExtension> {
    csr.extensions
        .iter()
        .filter(|extension| extension.oid != ID_CE_BASIC_CONSTRAINTS)
        .filter(|extension| Some(extension.oid) != also_without)
        .cloned()
        .collect()
}
