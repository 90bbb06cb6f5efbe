//! `issue` and `sign`: certificates under a role.

use std::borrow::Cow;

use super::{
    CsrFacts, Refusal, Surroundings, Warning, Warnings, key,
    names::{NameRules, NameSources, Names},
    patterns::Allowed,
    sans::{SanRules, SanSources, vet_user_ids},
    template::Templates,
    usage,
    validity::{self, Purpose, ValidityRequest, ValidityRules},
};
use crate::{
    plan::{BasicConstraints, Plan, SignaturePreference, Subject, SubjectAttributes},
    role::{PolicyIdentifier, Role},
};

/// What a client may ask for in one certificate. Empty texts and lists, and 0, mean nothing was
/// asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafRequest {
    pub common_name: String,
    /// DNS names and email addresses, separated by commas.
    pub alt_names: String,
    pub ip_sans: Vec<String>,
    pub uri_sans: Vec<String>,
    /// `OID;UTF8:value` each.
    pub other_sans: Vec<String>,
    pub user_ids: Vec<String>,
    /// The subject's serialNumber attribute.
    pub serial_number: String,
    pub exclude_cn_from_sans: bool,
    pub ttl_secs: u64,
    /// RFC 3339.
    pub not_before: String,
    /// RFC 3339; an empty text is an error.
    pub not_after: Option<String>,
}

pub(super) fn vet(
    role: &Role,
    csr: Option<&CsrFacts>,
    request: &LeafRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Plan, Warnings), Refusal> {
    // Every setting is named, so that one which nobody reads does not compile.
    let Role {
        // These decide what happens around vetting, not what a certificate says.
        issuer_ref: _,
        generate_lease: _,
        no_store: _,
        // `name_rules` reads these.
        allow_any_name: _,
        allow_bare_domains: _,
        allow_glob_domains: _,
        allow_localhost: _,
        allow_subdomains: _,
        allow_wildcard_certificates: _,
        allowed_serial_numbers: _,
        cn_validations: _,
        enforce_hostnames: _,
        ttl_secs,
        max_ttl_secs,
        allowed_domains,
        allowed_domains_template,
        allow_globs_in_identity_templates,
        allow_ip_sans,
        allowed_ip_sans_cidr,
        allowed_uri_sans,
        allowed_uri_sans_template,
        allowed_other_sans,
        allowed_user_ids,
        server_flag,
        client_flag,
        code_signing_flag,
        email_protection_flag,
        key_type,
        key_bits,
        signature_bits,
        use_pss,
        key_usage,
        ext_key_usage,
        ext_key_usage_oids,
        use_csr_common_name,
        use_csr_sans,
        ou,
        organization,
        country,
        locality,
        province,
        street_address,
        postal_code,
        require_cn,
        policy_identifiers,
        basic_constraints_valid_for_non_ca,
        not_before_duration_secs,
        not_before,
        not_before_bound,
        not_after,
        not_after_bound,
    } = role;

    if let Some(csr) = csr {
        key::check(&csr.key, *key_type, *key_bits)?;
    }
    let templates = |enabled: bool| Templates {
        enabled,
        allow_globs: *allow_globs_in_identity_templates,
        identity: surroundings.identity,
    };
    let san_sources = SanSources {
        csr: csr.filter(|_| *use_csr_sans),
        ip_sans: &request.ip_sans,
        uri_sans: &request.uri_sans,
        other_sans: &request.other_sans,
    };
    san_sources.bound(&request.alt_names)?;
    let names = Names::collect(&NameSources {
        csr,
        use_csr_common_name: *use_csr_common_name,
        use_csr_sans: *use_csr_sans,
        require_cn: *require_cn,
        common_name: &request.common_name,
        alt_names: &request.alt_names,
        serial_number: &request.serial_number,
        exclude_cn_from_sans: request.exclude_cn_from_sans,
    })?;
    let name_rules = name_rules(
        role,
        templates(*allowed_domains_template).render_all(allowed_domains),
    );
    let names = name_rules.vet(names)?;
    let san_rules = SanRules {
        allowed_other_sans: Allowed::Listed(allowed_other_sans),
        allow_ip_sans: *allow_ip_sans,
        allowed_ip_sans_cidr,
        allowed_uri_sans: Some(templates(*allowed_uri_sans_template).render_all(allowed_uri_sans)),
    };
    let other_sans = san_rules.vet(&san_sources)?;

    let validity_rules = ValidityRules {
        ttl_secs: *ttl_secs,
        max_ttl_secs: *max_ttl_secs,
        not_before_duration_secs: *not_before_duration_secs,
        not_before,
        not_before_bound: *not_before_bound,
        not_after,
        not_after_bound,
    };
    let purpose = if csr.is_some() {
        Purpose::Sign
    } else {
        Purpose::Issue
    };
    let (validity, clamped) = decide_validity(&validity_rules, request, purpose, surroundings)?;
    let user_ids = vet_user_ids(&request.user_ids, csr, Allowed::Listed(allowed_user_ids))?;

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
        user_ids,
    };
    let plan = Plan {
        subject: Subject::Attributes(subject),
        sans: other_sans.with_names(names.dns, names.emails)?,
        validity,
        key_usage: usage::key_usage(key_usage),
        ext_key_usage: usage::ext_key_usage(
            &[
                (*server_flag, usage::SERVER_AUTH),
                (*client_flag, usage::CLIENT_AUTH),
                (*code_signing_flag, usage::CODE_SIGNING),
                (*email_protection_flag, usage::EMAIL_PROTECTION),
            ],
            ext_key_usage,
            ext_key_usage_oids,
        ),
        basic_constraints: if *basic_constraints_valid_for_non_ca {
            BasicConstraints::EndEntity
        } else {
            BasicConstraints::Absent
        },
        subject_key_id: None,
        policies: policy_identifiers
            .iter()
            .map(PolicyIdentifier::information)
            .cloned()
            .collect(),
        permitted_dns_domains: Vec::new(),
        copied_extensions: Vec::new(),
        signature: SignaturePreference {
            hash_bits: *signature_bits,
            pss: *use_pss,
            ecdsa_by_curve: csr.is_none(),
        },
    };
    let warnings = match csr {
        None => clamped.into_iter().collect(),
        Some(csr) => csr_warnings(
            request,
            csr,
            *use_csr_common_name,
            *use_csr_sans,
            clamped,
            *basic_constraints_valid_for_non_ca,
        ),
    };
    Ok((plan, warnings))
}

/// What a role says about names; `allowed_domains` are its own with their templates rendered.
pub(super) fn name_rules<'a>(role: &'a Role, allowed_domains: Vec<Cow<'a, str>>) -> NameRules<'a> {
    NameRules {
        cn_validations: &role.cn_validations,
        allowed_serial_numbers: Allowed::Listed(&role.allowed_serial_numbers),
        allow_wildcard_certificates: role.allow_wildcard_certificates,
        enforce_hostnames: role.enforce_hostnames,
        allow_any_name: role.allow_any_name,
        allow_localhost: role.allow_localhost,
        allow_bare_domains: role.allow_bare_domains,
        allow_subdomains: role.allow_subdomains,
        allow_glob_domains: role.allow_glob_domains,
        allowed_domains,
    }
}

pub(super) fn decide_validity(
    rules: &ValidityRules<'_>,
    request: &LeafRequest,
    purpose: Purpose,
    surroundings: &Surroundings<'_>,
) -> Result<(crate::time::Validity, Option<Warning>), Refusal> {
    let issuer = surroundings.issuer;
    validity::decide(
        rules,
        ValidityRequest {
            ttl_secs: request.ttl_secs,
            not_before: &request.not_before,
            not_after: request.not_after.as_deref(),
        },
        purpose,
        surroundings.now,
        surroundings.mount,
        Some((issuer.not_after, issuer.leaf_not_after)),
    )
}

pub(super) fn csr_warnings(
    request: &LeafRequest,
    csr: &CsrFacts,
    use_csr_common_name: bool,
    use_csr_sans: bool,
    clamped: Option<Warning>,
    basic_constraints_are_written: bool,
) -> Warnings {
    let mut warnings = Vec::new();
    if use_csr_common_name && !request.common_name.is_empty() {
        warnings.push(Warning::CommonNameIgnored);
    }
    if use_csr_sans && !request.alt_names.is_empty() {
        warnings.push(Warning::AltNamesIgnored);
    }
    warnings.extend(clamped);
    if csr.has_basic_constraints && !basic_constraints_are_written {
        warnings.push(Warning::BasicConstraintsIgnored);
    }
    warnings
}

/// Values of a subject attribute: each once, in the order given, without empty ones.
pub(super) fn distinct(values: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for value in values {
        if !value.is_empty() && !distinct.contains(value) {
            distinct.push(value.clone());
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
