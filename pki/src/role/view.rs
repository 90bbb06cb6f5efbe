//! A role as the API shows it.

use serde_json::{Map, Value};

use super::{CnValidation, PolicyIdentifier, Role};

impl Role {
    /// The role under the API's names: 52 fields, durations in whole seconds, no `null`.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let Self {
            issuer_ref,
            ttl_secs,
            max_ttl_secs,
            allow_localhost,
            allowed_domains,
            allowed_domains_template,
            allow_globs_in_identity_templates,
            allow_bare_domains,
            allow_subdomains,
            allow_glob_domains,
            allow_wildcard_certificates,
            allow_any_name,
            enforce_hostnames,
            allow_ip_sans,
            allowed_ip_sans_cidr,
            allowed_uri_sans,
            allowed_uri_sans_template,
            allowed_other_sans,
            allowed_serial_numbers,
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
            generate_lease,
            no_store,
            require_cn,
            cn_validations,
            policy_identifiers,
            basic_constraints_valid_for_non_ca,
            not_before_duration_secs,
            not_before,
            not_before_bound,
            not_after,
            not_after_bound,
        } = self;
        let fields: [(&str, Value); 52] = [
            ("issuer_ref", issuer_ref.as_str().into()),
            ("ttl", (*ttl_secs).into()),
            ("max_ttl", (*max_ttl_secs).into()),
            ("allow_localhost", (*allow_localhost).into()),
            ("allowed_domains", list(allowed_domains)),
            (
                "allowed_domains_template",
                (*allowed_domains_template).into(),
            ),
            (
                "allow_globs_in_identity_templates",
                (*allow_globs_in_identity_templates).into(),
            ),
            ("allow_bare_domains", (*allow_bare_domains).into()),
            ("allow_subdomains", (*allow_subdomains).into()),
            ("allow_glob_domains", (*allow_glob_domains).into()),
            (
                "allow_wildcard_certificates",
                (*allow_wildcard_certificates).into(),
            ),
            ("allow_any_name", (*allow_any_name).into()),
            ("enforce_hostnames", (*enforce_hostnames).into()),
            // Cannot be set by any client, but clients expect the field.
            ("allow_token_displayname", false.into()),
            ("allow_ip_sans", (*allow_ip_sans).into()),
            ("allowed_ip_sans_cidr", list(allowed_ip_sans_cidr)),
            ("allowed_uri_sans", list(allowed_uri_sans)),
            (
                "allowed_uri_sans_template",
                (*allowed_uri_sans_template).into(),
            ),
            ("allowed_other_sans", list(allowed_other_sans)),
            ("allowed_serial_numbers", list(allowed_serial_numbers)),
            ("allowed_user_ids", list(allowed_user_ids)),
            ("server_flag", (*server_flag).into()),
            ("client_flag", (*client_flag).into()),
            ("code_signing_flag", (*code_signing_flag).into()),
            ("email_protection_flag", (*email_protection_flag).into()),
            ("key_type", key_type.as_str().into()),
            ("key_bits", (*key_bits).into()),
            ("signature_bits", (*signature_bits).into()),
            ("use_pss", (*use_pss).into()),
            ("key_usage", list(key_usage)),
            ("ext_key_usage", list(ext_key_usage)),
            ("ext_key_usage_oids", list(ext_key_usage_oids)),
            ("use_csr_common_name", (*use_csr_common_name).into()),
            ("use_csr_sans", (*use_csr_sans).into()),
            ("ou", list(ou)),
            ("organization", list(organization)),
            ("country", list(country)),
            ("locality", list(locality)),
            ("province", list(province)),
            ("street_address", list(street_address)),
            ("postal_code", list(postal_code)),
            ("generate_lease", (*generate_lease).into()),
            ("no_store", (*no_store).into()),
            ("require_cn", (*require_cn).into()),
            (
                "cn_validations",
                cn_validations
                    .iter()
                    .copied()
                    .map(CnValidation::as_str)
                    .collect(),
            ),
            (
                "policy_identifiers",
                policy_identifiers
                    .iter()
                    .map(PolicyIdentifier::as_str)
                    .collect(),
            ),
            (
                "basic_constraints_valid_for_non_ca",
                (*basic_constraints_valid_for_non_ca).into(),
            ),
            ("not_before_duration", (*not_before_duration_secs).into()),
            ("not_before", not_before.as_str().into()),
            ("not_before_bound", not_before_bound.as_str().into()),
            ("not_after", not_after.as_str().into()),
            ("not_after_bound", not_after_bound.as_str().into()),
        ];
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

fn list<T: ToString>(items: &[T]) -> Value {
    items.iter().map(ToString::to_string).collect()
}
