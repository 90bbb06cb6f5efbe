//! `roles/`: what may be issued to whom.

use serde_json::{Value, json};
use signet_pki::role::{self, FieldError, NotAfterBound, NotBeforeBound, Role};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, FieldKind, FromField, PageParams, Seconds, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::records::role_path;
use crate::secrets::pki::state::RoleRecord;

pub(super) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "roles")];
    const HELP: &'static str = "List the existing roles in this backend.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(cx.engine.env.view.keys("role/", after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// Name of the role.
        name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "roles/{name}")];
    const HELP: &'static str = "Read a role.";

    async fn handle(cx: Cx<'_, Pki>, params: NameParams) -> Result<Reply, ApiError> {
        match cx.engine.state.role(&params.name).await? {
            None => Ok(Reply::nothing()),
            Some(role) => Reply::data(role.to_json()),
        }
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Pki;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "roles/{name}")];
    const HELP: &'static str = "Delete a role.";

    async fn handle(cx: Cx<'_, Pki>, params: NameParams) -> Result<Reply, ApiError> {
        let mut batch = Batch::default();
        cx.engine
            .env
            .view
            .delete(&mut batch, &role_path(&params.name));
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = RoleParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "roles/{name}")];
    const HELP: &'static str = "Create a role, or replace it as a whole.";

    async fn handle(cx: Cx<'_, Pki>, mut params: RoleParams) -> Result<Reply, ApiError> {
        // The default size belongs to the type that is given, not to the default type.
        params.key_bits.get_or_insert(0);
        store(cx, Role::default(), params).await
    }
}

pub(super) struct Patch;

impl Endpoint for Patch {
    type Engine = Pki;
    type Params = RoleParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Patch, "roles/{name}")];
    const HELP: &'static str = "Change some settings of a role.";

    async fn handle(cx: Cx<'_, Pki>, params: RoleParams) -> Result<Reply, ApiError> {
        let role = cx
            .engine
            .state
            .role(&params.name)
            .await?
            .ok_or_else(|| ApiError::bad_request("Unable to fetch role entry to patch"))?;
        store(cx, Role::clone(&role), params).await
    }
}

async fn store(cx: Cx<'_, Pki>, mut role: Role, params: RoleParams) -> Result<Reply, ApiError> {
    let name = params.name.clone();
    params
        .apply(&mut role)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let warning = role
        .settle()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let mut batch = Batch::default();
    let record = RoleRecord(role.clone());
    cx.engine
        .env
        .view
        .put_record(&mut batch, &role_path(&name), &record)?;
    cx.commit(batch).await?;
    let mut reply = Reply::data(role.to_json())?;
    reply
        .warnings
        .extend(warning.map(|warning| warning.text().to_owned()));
    let state = cx.engine.state.state().await?;
    if state.issuer(&role.issuer_ref).is_err() {
        let reference = &role.issuer_ref;
        reply.warnings.push(if reference == "default" {
            "Issuing Certificate was set to default, but no default issuing certificate \
             (configurable at /config/issuers) is currently set"
                .to_owned()
        } else {
            format!(
                "Issuing Certificate was set to {reference} but no issuing certificate currently \
                 has that name"
            )
        });
    }
    Ok(reply)
}

params! {
    pub(super) struct RoleParams {
        /// Name of the role.
        name: String,
        /// Reference to the issuer of certificates of this role.
        issuer_ref: Option<String>,
        /// Lifetime where a request does not say; 0 for the mount's default.
        ttl: DurationChange,
        /// Longest lifetime; 0 for the mount's maximum.
        max_ttl: DurationChange,
        /// Allow localhost and localdomain.
        allow_localhost: Option<bool>,
        /// Domains that names may be in, as the other settings say.
        allowed_domains: Option<CommaList>,
        /// Fill in identity templates in allowed_domains.
        allowed_domains_template: Option<bool>,
        /// Permit globs in what identity templates are filled with.
        allow_globs_in_identity_templates: Option<bool>,
        /// Allow the domains themselves.
        allow_bare_domains: Option<bool>,
        /// Allow names below the domains.
        allow_subdomains: Option<bool>,
        /// Allow globs in allowed_domains.
        allow_glob_domains: Option<bool>,
        /// Allow wildcard certificates.
        allow_wildcard_certificates: Option<bool>,
        /// Allow any name.
        allow_any_name: Option<bool>,
        /// Require names to be valid host names.
        enforce_hostnames: Option<bool>,
        /// Allow IP addresses.
        allow_ip_sans: Option<bool>,
        /// Ranges that IP addresses must be in; empty for any.
        allowed_ip_sans_cidr: Option<CommaList>,
        /// Allowed URIs, with globs; empty for none.
        allowed_uri_sans: Option<CommaList>,
        /// Fill in identity templates in allowed_uri_sans.
        allowed_uri_sans_template: Option<bool>,
        /// Allowed other names, `OID;UTF8:glob` each, or `*` for any; empty for none.
        allowed_other_sans: Option<CommaList>,
        /// Allowed serialNumber attributes, with globs; empty for none.
        allowed_serial_numbers: Option<CommaList>,
        /// Allowed user ids, with globs; empty for none.
        allowed_user_ids: Option<CommaList>,
        /// Extended key usage serverAuth.
        server_flag: Option<bool>,
        /// Extended key usage clientAuth.
        client_flag: Option<bool>,
        /// Extended key usage codeSigning.
        code_signing_flag: Option<bool>,
        /// Extended key usage emailProtection.
        email_protection_flag: Option<bool>,
        /// rsa, ec, ed25519 or any.
        key_type: Option<String>,
        /// Size of the key; 0 for the type's default.
        key_bits: Option<i64>,
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: Option<i64>,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: Option<bool>,
        /// Key usages, by their Go names without the prefix.
        key_usage: Option<CommaList>,
        /// Extended key usages, by their Go names without the prefix.
        ext_key_usage: Option<CommaList>,
        /// Extended key usages as OIDs.
        ext_key_usage_oids: Option<CommaList>,
        /// Take the common name from the CSR when signing.
        use_csr_common_name: Option<bool>,
        /// Take the subject alternative names from the CSR when signing.
        use_csr_sans: Option<bool>,
        /// Organizational units of the subject.
        ou: Option<CommaList>,
        /// Organizations of the subject.
        organization: Option<CommaList>,
        /// Countries of the subject.
        country: Option<CommaList>,
        /// Localities of the subject.
        locality: Option<CommaList>,
        /// Provinces of the subject.
        province: Option<CommaList>,
        /// Street addresses of the subject.
        street_address: Option<CommaList>,
        /// Postal codes of the subject.
        postal_code: Option<CommaList>,
        /// Attach leases to certificates.
        generate_lease: Option<bool>,
        /// Do not store certificates.
        no_store: Option<bool>,
        /// Require a common name.
        require_cn: Option<bool>,
        /// Checks of the common name: email, hostname, or disabled.
        cn_validations: Option<CommaList>,
        /// Certificate policies: OIDs, or JSON objects with oid, notice and cps.
        policy_identifiers: Option<Value>,
        /// Mark certificates as not being authorities.
        basic_constraints_valid_for_non_ca: Option<bool>,
        /// How long before now certificates begin.
        not_before_duration: DurationChange,
        /// Begin of validity, RFC 3339, whatever the request says.
        not_before: Option<String>,
        /// permit, duration or forbid.
        not_before_bound: Option<String>,
        /// End of validity, RFC 3339, whatever the request says.
        not_after: Option<String>,
        /// permit, ttl-limited, forbid, or an RFC 3339 time.
        not_after_bound: Option<String>,
    }
    ignored {
        /// Kept for old clients.
        backend: String,
    }
}

/// What becomes of a duration.
#[derive(Clone, Copy)]
enum DurationChange {
    Keep,
    /// `null` was given.
    Reset,
    Set(u64),
}

impl FromField for DurationChange {
    const KIND: FieldKind = FieldKind::DurationSecs;

    fn from_value(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::Reset);
        }
        Seconds::from_value(value).map(|secs| Self::Set(secs.0))
    }

    fn absent() -> Self {
        Self::Keep
    }
}

impl DurationChange {
    fn apply(self, setting: &mut u64, default: u64) {
        match self {
            Self::Keep => {}
            Self::Reset => *setting = default,
            Self::Set(secs) => *setting = secs,
        }
    }
}

impl RoleParams {
    /// Puts what was given into `role`.
    fn apply(self, role: &mut Role) -> Result<(), FieldError> {
        set(&mut role.issuer_ref, self.issuer_ref);
        let default = Role::default();
        self.ttl.apply(&mut role.ttl_secs, default.ttl_secs);
        self.max_ttl
            .apply(&mut role.max_ttl_secs, default.max_ttl_secs);
        set(&mut role.allow_localhost, self.allow_localhost);
        set(&mut role.allowed_domains, list(self.allowed_domains));
        set(
            &mut role.allowed_domains_template,
            self.allowed_domains_template,
        );
        set(
            &mut role.allow_globs_in_identity_templates,
            self.allow_globs_in_identity_templates,
        );
        set(&mut role.allow_bare_domains, self.allow_bare_domains);
        set(&mut role.allow_subdomains, self.allow_subdomains);
        set(&mut role.allow_glob_domains, self.allow_glob_domains);
        set(
            &mut role.allow_wildcard_certificates,
            self.allow_wildcard_certificates,
        );
        set(&mut role.allow_any_name, self.allow_any_name);
        set(&mut role.enforce_hostnames, self.enforce_hostnames);
        set(&mut role.allow_ip_sans, self.allow_ip_sans);
        if let Some(CommaList(ranges)) = self.allowed_ip_sans_cidr {
            role.allowed_ip_sans_cidr = role::allowed_ip_sans_cidr(&ranges)?;
        }
        set(&mut role.allowed_uri_sans, list(self.allowed_uri_sans));
        set(
            &mut role.allowed_uri_sans_template,
            self.allowed_uri_sans_template,
        );
        if let Some(CommaList(names)) = self.allowed_other_sans {
            role.allowed_other_sans = role::allowed_other_sans(names)?;
        }
        set(
            &mut role.allowed_serial_numbers,
            list(self.allowed_serial_numbers),
        );
        set(&mut role.allowed_user_ids, list(self.allowed_user_ids));
        set(&mut role.server_flag, self.server_flag);
        set(&mut role.client_flag, self.client_flag);
        set(&mut role.code_signing_flag, self.code_signing_flag);
        set(&mut role.email_protection_flag, self.email_protection_flag);
        let key_type = self
            .key_type
            .unwrap_or_else(|| role.key_type.as_str().to_owned());
        let key_bits = self.key_bits.unwrap_or(i64::from(role.key_bits));
        (role.key_type, role.key_bits) = role::validate_key_type_bits(&key_type, key_bits)?;
        set(
            &mut role.signature_bits,
            self.signature_bits
                .map(|bits| u32::try_from(bits).unwrap_or(u32::MAX)),
        );
        set(&mut role.use_pss, self.use_pss);
        set(&mut role.key_usage, list(self.key_usage));
        set(&mut role.ext_key_usage, list(self.ext_key_usage));
        if let Some(CommaList(oids)) = self.ext_key_usage_oids {
            role.ext_key_usage_oids = role::ext_key_usage_oids(&oids)?;
        }
        set(&mut role.use_csr_common_name, self.use_csr_common_name);
        set(&mut role.use_csr_sans, self.use_csr_sans);
        set(&mut role.ou, list(self.ou));
        set(&mut role.organization, list(self.organization));
        set(&mut role.country, list(self.country));
        set(&mut role.locality, list(self.locality));
        set(&mut role.province, list(self.province));
        set(&mut role.street_address, list(self.street_address));
        set(&mut role.postal_code, list(self.postal_code));
        set(&mut role.generate_lease, self.generate_lease);
        set(&mut role.no_store, self.no_store);
        set(&mut role.require_cn, self.require_cn);
        if let Some(CommaList(checks)) = self.cn_validations {
            role.cn_validations = role::cn_validations(&checks)?;
        }
        if let Some(given) = self.policy_identifiers {
            role.policy_identifiers = policy_identifiers(&given)?;
        }
        set(
            &mut role.basic_constraints_valid_for_non_ca,
            self.basic_constraints_valid_for_non_ca,
        );
        self.not_before_duration.apply(
            &mut role.not_before_duration_secs,
            default.not_before_duration_secs,
        );
        set(&mut role.not_before, self.not_before);
        if let Some(bound) = self.not_before_bound {
            role.not_before_bound = bound.parse::<NotBeforeBound>()?;
        }
        set(&mut role.not_after, self.not_after);
        if let Some(bound) = self.not_after_bound {
            role.not_after_bound = NotAfterBound::try_from(bound)?;
        }
        Ok(())
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn list(given: Option<CommaList>) -> Option<Vec<String>> {
    given.map(|list| list.0)
}

/// A list, or a text that holds one: OIDs, or JSON objects.
fn policy_identifiers(given: &Value) -> Result<Vec<role::PolicyIdentifier>, FieldError> {
    match given {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => role::policy_identifiers_from_text(text),
        Value::Array(values) => {
            let texts: Vec<String> = values
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect();
            role::policy_identifiers(&texts)
        }
        other => role::policy_identifiers(&[json!(other).to_string()]),
    }
}
