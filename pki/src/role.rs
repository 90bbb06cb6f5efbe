//! The rules under which a mount issues certificates: one role, every setting typed.

mod fields;
mod policy_identifier;
mod view;

use const_oid::ObjectIdentifier;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use fields::OtherSanSyntax;
pub use fields::{
    CnValidation, FieldError, KeyType, NotAfterBound, NotBeforeBound, allowed_ip_sans_cidr,
    allowed_other_sans, cn_validations, ext_key_usage_oids, validate_key_type_bits,
};
pub(crate) use fields::{canonical_ip, other_san_parts};
pub use policy_identifier::{PolicyIdentifier, policy_identifiers, policy_identifiers_from_text};

/// What certificates a role allows and what they contain.
///
/// `Role::default()` holds the defaults of the API. A field that is absent in a stored role has its
/// default, so that the stored form can grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Name or id of the issuer, or `default`; resolved when the role is used.
    pub issuer_ref: String,
    /// 0 means the mount's default.
    pub ttl_secs: u64,
    /// 0 means the mount's maximum.
    pub max_ttl_secs: u64,
    pub allow_localhost: bool,
    pub allowed_domains: Vec<String>,
    /// Entries of `allowed_domains` may hold identity templates.
    pub allowed_domains_template: bool,
    /// Values that an identity template stands for may hold `*`.
    pub allow_globs_in_identity_templates: bool,
    pub allow_bare_domains: bool,
    pub allow_subdomains: bool,
    pub allow_glob_domains: bool,
    pub allow_wildcard_certificates: bool,
    pub allow_any_name: bool,
    pub enforce_hostnames: bool,
    pub allow_ip_sans: bool,
    /// Empty allows every address.
    pub allowed_ip_sans_cidr: Vec<IpNet>,
    /// Globs; empty allows none.
    pub allowed_uri_sans: Vec<String>,
    pub allowed_uri_sans_template: bool,
    /// `OID;UTF8:glob`, or the single element `*`; empty allows none.
    pub allowed_other_sans: Vec<String>,
    /// Values or globs for the subject's serialNumber attribute; empty allows none.
    pub allowed_serial_numbers: Vec<String>,
    /// Values or globs for the subject's UID attributes; empty allows none.
    pub allowed_user_ids: Vec<String>,
    pub server_flag: bool,
    pub client_flag: bool,
    pub code_signing_flag: bool,
    pub email_protection_flag: bool,
    pub key_type: KeyType,
    pub key_bits: u32,
    /// Digest size of the signature; a size that the issuer's key cannot use means its default.
    pub signature_bits: u32,
    pub use_pss: bool,
    /// As written; names that are not known have no effect.
    pub key_usage: Vec<String>,
    /// As written; names that are not known have no effect.
    pub ext_key_usage: Vec<String>,
    #[serde(with = "oids_as_text")]
    pub ext_key_usage_oids: Vec<ObjectIdentifier>,
    pub use_csr_common_name: bool,
    pub use_csr_sans: bool,
    pub ou: Vec<String>,
    pub organization: Vec<String>,
    pub country: Vec<String>,
    pub locality: Vec<String>,
    pub province: Vec<String>,
    pub street_address: Vec<String>,
    pub postal_code: Vec<String>,
    pub generate_lease: bool,
    pub no_store: bool,
    pub require_cn: bool,
    /// Never empty.
    pub cn_validations: Vec<CnValidation>,
    pub policy_identifiers: Vec<PolicyIdentifier>,
    pub basic_constraints_valid_for_non_ca: bool,
    /// 0 means 30 seconds when a certificate is issued.
    pub not_before_duration_secs: u64,
    /// RFC 3339; checked when it is used. Empty for none.
    pub not_before: String,
    pub not_before_bound: NotBeforeBound,
    /// RFC 3339; checked when it is used. Empty for none.
    pub not_after: String,
    pub not_after_bound: NotAfterBound,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            issuer_ref: DEFAULT_ISSUER.to_owned(),
            ttl_secs: 0,
            max_ttl_secs: 0,
            allow_localhost: true,
            allowed_domains: Vec::new(),
            allowed_domains_template: false,
            allow_globs_in_identity_templates: false,
            allow_bare_domains: false,
            allow_subdomains: false,
            allow_glob_domains: false,
            allow_wildcard_certificates: true,
            allow_any_name: false,
            enforce_hostnames: true,
            allow_ip_sans: true,
            allowed_ip_sans_cidr: Vec::new(),
            allowed_uri_sans: Vec::new(),
            allowed_uri_sans_template: false,
            allowed_other_sans: Vec::new(),
            allowed_serial_numbers: Vec::new(),
            allowed_user_ids: Vec::new(),
            server_flag: true,
            client_flag: true,
            code_signing_flag: false,
            email_protection_flag: false,
            key_type: KeyType::Rsa,
            key_bits: 2048,
            signature_bits: 0,
            use_pss: false,
            key_usage: DEFAULT_KEY_USAGE.map(str::to_owned).to_vec(),
            ext_key_usage: Vec::new(),
            ext_key_usage_oids: Vec::new(),
            use_csr_common_name: true,
            use_csr_sans: true,
            ou: Vec::new(),
            organization: Vec::new(),
            country: Vec::new(),
            locality: Vec::new(),
            province: Vec::new(),
            street_address: Vec::new(),
            postal_code: Vec::new(),
            generate_lease: false,
            no_store: false,
            require_cn: true,
            cn_validations: vec![CnValidation::Email, CnValidation::Hostname],
            policy_identifiers: Vec::new(),
            basic_constraints_valid_for_non_ca: false,
            not_before_duration_secs: DEFAULT_NOT_BEFORE_DURATION_SECS,
            not_before: String::new(),
            not_before_bound: NotBeforeBound::Permit,
            not_after: String::new(),
            not_after_bound: NotAfterBound::Permit,
        }
    }
}

impl Role {
    /// Applies the rules that join several settings; to be called on every write.
    ///
    /// # Errors
    /// [`FieldError::TtlAboveMaxTtl`].
    pub fn settle(&mut self) -> Result<Option<RoleWarning>, FieldError> {
        if self.max_ttl_secs > 0 && self.ttl_secs > self.max_ttl_secs {
            return Err(FieldError::TtlAboveMaxTtl);
        }
        if self.issuer_ref.is_empty() {
            DEFAULT_ISSUER.clone_into(&mut self.issuer_ref);
        }
        if !self.generate_lease {
            return Ok(None);
        }
        if self.no_store {
            self.generate_lease = false;
            return Ok(Some(RoleWarning::NoStoreBeatsLease));
        }
        Ok(Some(RoleWarning::LeaseDiscouraged))
    }
}

/// What a role write answers beside the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleWarning {
    LeaseDiscouraged,
    NoStoreBeatsLease,
}

impl RoleWarning {
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::LeaseDiscouraged => {
                "it is encouraged to disable generate_lease and rely on PKI's native capabilities \
                 when possible; this option can cause instance-wide issues with large numbers of \
                 issued certificates"
            }
            Self::NoStoreBeatsLease => {
                "mutually exclusive values no_store=true and generate_lease=true were both \
                 specified; no_store=true takes priority"
            }
        }
    }
}

const DEFAULT_ISSUER: &str = "default";
const DEFAULT_KEY_USAGE: [&str; 3] = ["DigitalSignature", "KeyAgreement", "KeyEncipherment"];
/// Age of a new certificate where nothing else is said: room for clocks that are behind.
pub(crate) const DEFAULT_NOT_BEFORE_DURATION_SECS: u64 = 30;

mod oids_as_text {
    use const_oid::ObjectIdentifier;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        oids: &[ObjectIdentifier],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(oids.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ObjectIdentifier>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| ObjectIdentifier::new(text).map_err(D::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests;
