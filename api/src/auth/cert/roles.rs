//! `certs/{name}`: roles made, changed, read, listed and deleted.

use signet_storage::Batch;

use crate::auth::token_fields::{OldFields, TokenSettings, WithToken};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, PageParams, Seconds, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::CertAuth;
use super::ocsp::Responders;
use super::role::{Role, Trusted};

/// Longest name of a role, in bytes.
const MAX_NAME_BYTES: usize = 1024;

pub(super) struct List;

impl Endpoint for List {
    type Engine = CertAuth;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs")];
    const HELP: &'static str = "List the trusted certificates used for authentication.";

    async fn handle(cx: Cx<'_, CertAuth>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(cx.engine.store.roles.keys("", after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// The name of the certificate.
        name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = CertAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "certs/{name}")];
    const HELP: &'static str = "Read a trusted certificate used for authentication.";

    async fn handle(cx: Cx<'_, CertAuth>, params: NameParams) -> Result<Reply, ApiError> {
        let name = checked_name(&params.name)?;
        Ok(match cx.engine.store.roles.record::<Role>(&name).await? {
            None => Reply::nothing(),
            Some(stored) => Reply::map(stored.value.shown()),
        })
    }
}

params! {
    pub(super) struct OwnParams {
        /// A comma-separated list of names. At least one must exist in the Common Name. Supports globbing.
        allowed_common_names: Option<CommaList>,
        /// A comma-separated list of DNS names. At least one must exist in the SANs. Supports globbing.
        allowed_dns_sans: Option<CommaList>,
        /// A comma-separated list of Email Addresses. At least one must exist in the SANs. Supports globbing.
        allowed_email_sans: Option<CommaList>,
        /// A comma-separated list of oid extensions, whose values become metadata of the token.
        allowed_metadata_extensions: Option<CommaList>,
        /// A comma-separated list of names. At least one must exist in either the Common Name or SANs. Supports globbing.
        allowed_names: Option<CommaList>,
        /// A comma-separated list of Organizational Units names. At least one must exist in the OU field. Supports globbing.
        allowed_organizational_units: Option<CommaList>,
        /// A comma-separated list of URIs. At least one must exist in the SANs. Supports globbing.
        allowed_uri_sans: Option<CommaList>,
        /// Deprecated: use "token_bound_cidrs".
        bound_cidrs: Option<CommaList>,
        /// The public certificate that should be trusted. Must be x509 PEM encoded.
        certificate: Option<String>,
        /// The display name to use for clients using this certificate. The default is the name of the certificate.
        display_name: Option<String>,
        /// Deprecated: use "token_ttl".
        lease: Option<Seconds>,
        /// Deprecated: use "token_max_ttl".
        max_ttl: Option<Seconds>,
        /// The name of the certificate.
        name: String,
        /// Certificates in PEM that may sign OCSP responses, besides the issuer and those that it made for OCSP.
        ocsp_ca_certificates: Option<String>,
        /// Whether to ask an OCSP responder about the certificate at each login and renewal.
        ocsp_enabled: Option<bool>,
        /// Whether to let in a certificate of which no responder says anything. Defaults to false.
        ocsp_fail_open: Option<bool>,
        /// Whether all responders have to agree, instead of the first that answers.
        ocsp_query_all_servers: Option<bool>,
        /// A comma-separated list of URLs of OCSP responders, asked instead of those that the certificate names.
        ocsp_servers_override: Option<CommaList>,
        /// Deprecated: use "token_period".
        period: Option<Seconds>,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// A comma-separated string or array of extensions formatted as "oid:value", or as "hex:oid:value" where the value is the DER in hexadecimal. All of them must match. Supports globbing.
        required_extensions: Option<CommaList>,
        /// Deprecated: use "token_ttl".
        ttl: Option<Seconds>,
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = CertAuth;
    type Params = WithToken<OwnParams>;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "certs/{name}")];
    const HELP: &'static str = "Trust a certificate or an authority, or change what it may do.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, CertAuth>, params: WithToken<OwnParams>) -> Result<Reply, ApiError> {
        let WithToken::<OwnParams> { own, common: token } = params;
        let name = checked_name(&own.name)?;
        let store = &cx.engine.store;
        let previous = store.roles.record::<Role>(&name).await?;
        let mut role = previous
            .as_ref()
            .map_or_else(Role::default, |stored| stored.value.clone());
        let old = OldFields {
            bound_cidrs: own.bound_cidrs,
            max_ttl: own.max_ttl,
            period: own.period,
            policies: own.policies,
            ttl: own.ttl.or(own.lease),
            ..OldFields::default()
        };
        token.apply(old, &mut role.token)?;
        let warnings = check_lifetimes(&role.token, cx.engine.settings.max_ttl_secs())?;
        let constraints = &mut role.constraints;
        for (target, given) in [
            (&mut constraints.common_names, own.allowed_common_names),
            (&mut constraints.dns_names, own.allowed_dns_sans),
            (&mut constraints.emails, own.allowed_email_sans),
            (&mut constraints.extensions, own.required_extensions),
            (&mut constraints.names, own.allowed_names),
            (
                &mut constraints.organizational_units,
                own.allowed_organizational_units,
            ),
            (&mut constraints.uris, own.allowed_uri_sans),
            (
                &mut role.metadata_extensions,
                own.allowed_metadata_extensions,
            ),
            (&mut role.ocsp.servers_override, own.ocsp_servers_override),
        ] {
            if let Some(CommaList(given)) = given {
                *target = given.into_iter().filter(|item| !item.is_empty()).collect();
            }
        }
        for (target, given) in [
            (&mut role.ocsp.enabled, own.ocsp_enabled),
            (&mut role.ocsp.fail_open, own.ocsp_fail_open),
            (&mut role.ocsp.query_all_servers, own.ocsp_query_all_servers),
        ] {
            *target = given.unwrap_or(*target);
        }
        if let Some(certificates) = own.ocsp_ca_certificates {
            role.ocsp.ca_certificates = certificates;
        }
        Responders::new(role.ocsp.clone(), 0)?;
        if let Some(display_name) = own.display_name {
            role.display_name = display_name;
        }
        if role.display_name.is_empty() {
            role.display_name.clone_from(&name);
        }
        if let Some(certificate) = own.certificate {
            role.certificate = certificate;
        }
        Trusted::parse(&role.certificate)?;
        let mut batch = Batch::default();
        store.put_role(&mut batch, &name, &role, previous.as_ref())?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }

    async fn exists(cx: Cx<'_, CertAuth>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        let name = checked_name(name)?;
        Ok(cx.engine.store.roles.get(&name).await?.is_some())
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = CertAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "certs/{name}")];
    const HELP: &'static str = "Trust a certificate no more.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, CertAuth>, params: NameParams) -> Result<Reply, ApiError> {
        let mut batch = Batch::default();
        let name = checked_name(&params.name)?;
        cx.engine.store.roles.delete(&mut batch, &name);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

/// The one form of a name.
fn checked_name(name: &str) -> Result<String, ApiError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(ApiError::bad_request(format!(
            "name is longer than {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(name.to_lowercase())
}

/// Warns of what the mount cuts off; `max_ttl_secs` is the mount's.
fn check_lifetimes(token: &TokenSettings, max_ttl_secs: u64) -> Result<Vec<String>, ApiError> {
    if token.ttl_exceeds_max() {
        return Err(ApiError::bad_request("ttl should be shorter than max_ttl"));
    }
    let default = "current mount/system default";
    let warnings = [
        ("ttl", token.ttl_secs, default),
        ("max_ttl", token.max_ttl_secs, default),
        ("period", token.period_secs, "the backend's maximum TTL"),
    ]
    .into_iter()
    .filter(|(_, given_secs, _)| *given_secs > max_ttl_secs)
    .map(|(name, given_secs, bound)| {
        format!(
            "Given {name} of {given_secs} seconds is greater than {bound} of {max_ttl_secs} seconds"
        )
    });
    Ok(warnings.collect())
}
