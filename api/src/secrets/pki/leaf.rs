//! `issue/`, `sign/` and `sign-verbatim/`: certificates for those who are not authorities.

use std::sync::Arc;

use serde_json::{Map, Value};
use signet_pki::cert::Certificate;
use signet_pki::csr::Csr;
use signet_pki::key::{Curve, KeyFormat, KeyKind, MlDsa, PrivateKey};
use signet_pki::role::{KeyType, Role};
use signet_pki::time::UnixTime;
use signet_pki::vet::{
    self, IssuerFacts, LeafRequest, MountLifetimes, Refusal, Surroundings, VerbatimRequest,
    Warnings,
};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route, captured};
use crate::error::ApiError;
use crate::expiry;
use crate::params::{CommaList, Joined, Seconds, params};
use crate::reply::{Lease, Reply};
use crate::secrets::pki::Pki;
use crate::secrets::pki::format::{Format, key_encoding};
use crate::secrets::pki::revoke::LEASED_SERIAL;
use crate::secrets::pki::state::IssuerState;
use crate::time::Timestamp;

params! {
    /// What `issue` and `sign` have in common.
    pub(super) struct LeafParams {
        /// The requested common name; if empty, the role must allow that.
        common_name: String,
        /// Requested DNS names and email addresses, separated by commas.
        alt_names: String,
        /// Requested IP addresses.
        ip_sans: CommaList,
        /// Requested URIs.
        uri_sans: CommaList,
        /// Requested other names, each as `OID;UTF8:value`.
        other_sans: CommaList,
        /// Requested user ids for the subject.
        user_ids: CommaList,
        /// The subject's serialNumber attribute, not the serial number of the certificate.
        serial_number: String,
        /// Lifetime; the role's or mount's by default, and never more than its maximum.
        ttl: Seconds,
        /// End of validity, RFC 3339; excludes ttl.
        not_after: Option<String>,
        /// Do not add the common name to the subject alternative names.
        exclude_cn_from_sans: bool,
        /// Leave self-signed certificates out of the chain.
        remove_roots_from_chain: bool,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
    }
}

impl LeafParams {
    fn output(&self) -> Result<Output, ApiError> {
        Output::new(&self.format, self.remove_roots_from_chain)
    }

    fn request(self, not_before: String) -> LeafRequest {
        LeafRequest {
            common_name: self.common_name,
            alt_names: self.alt_names,
            ip_sans: self.ip_sans.0,
            uri_sans: self.uri_sans.0,
            other_sans: self.other_sans.0,
            user_ids: self.user_ids.0,
            serial_number: self.serial_number,
            exclude_cn_from_sans: self.exclude_cn_from_sans,
            ttl_secs: self.ttl.0,
            not_before,
            not_after: self.not_after,
        }
    }
}

pub(super) struct Issue;

params! {
    pub(super) struct IssueParams {
        /// The name of the role whose rules apply.
        role: String,
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// Begin of validity, RFC 3339, where the role permits it.
        not_before: String,
        /// Type of the key, for roles that leave it open.
        key_type: Option<String>,
        /// Size of the key, for roles that leave it open.
        key_bits: Option<i64>,
        /// `der` (PKCS #1 or SEC 1) or `pkcs8`.
        private_key_format: String,
    }
}

impl Endpoint for Issue {
    type Engine = Pki;
    type Params = Joined<IssueParams, LeafParams>;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "issue/{role}"),
        Route::token(Op::Write, "issuer/{issuer_ref}/issue/{role}"),
    ];
    const HELP: &'static str = "Request a certificate and its key using a certain role.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Pki>, params: Self::Params) -> Result<Reply, ApiError> {
        let Joined { own, common } = params;
        let role = role(cx, &own.role).await?;
        let key = vet::issue_key(&role, own.key_type.as_deref(), own.key_bits)
            .map_err(|refusal| refused(&refusal))?;
        let reference = issuer_reference(cx, &own.issuer_ref, &role.issuer_ref);
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &reference)?;
        let output = common.output()?;
        let request = common.request(own.not_before);
        let (approved, mut warnings) = vet::vet_issue(&role, &request, &surroundings(cx, issuer))
            .map_err(|refusal| refused(&refusal))?;
        warnings.extend(key.warning);
        let private_key = cx
            .engine
            .generate_key(key_kind(key.key_type, key.bits)?)
            .await?;
        let vetted = approved.with_key(private_key.public_key().clone());
        let certificate = cx.engine.sign(vetted, signer, cx.now).await?;
        let encoding = key_encoding(&own.private_key_format);
        let data = output.with_key(issuer, &certificate, &private_key, encoding)?;
        let role = (own.role.as_str(), &*role);
        finish(cx, role, issuer, &certificate, data, warnings).await
    }
}

pub(super) struct Sign;

params! {
    pub(super) struct SignParams {
        /// The name of the role whose rules apply.
        role: String,
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// PEM-format CSR to be signed.
        csr: String,
        /// Checked against the role; the certificate begins at its usual age.
        not_before: String,
    }
}

impl Endpoint for Sign {
    type Engine = Pki;
    type Params = Joined<SignParams, LeafParams>;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "sign/{role}"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign/{role}"),
    ];
    const HELP: &'static str =
        "Request certificates using a certain role with the provided details.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Pki>, params: Self::Params) -> Result<Reply, ApiError> {
        let Joined { own, common } = params;
        let role = role(cx, &own.role).await?;
        let reference = issuer_reference(cx, &own.issuer_ref, &role.issuer_ref);
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &reference)?;
        let output = common.output()?;
        let csr = parse_csr(&own.csr)?;
        let request = common.request(own.not_before);
        let (vetted, warnings) = vet::vet_sign(&role, csr, &request, &surroundings(cx, issuer))
            .map_err(|refusal| refused(&refusal))?;
        let certificate = cx.engine.sign(vetted, signer, cx.now).await?;
        let data = output.certificate(issuer, &certificate);
        let role = (own.role.as_str(), &*role);
        finish(cx, role, issuer, &certificate, data, warnings).await
    }
}

pub(super) struct SignVerbatim;

params! {
    pub(super) struct SignVerbatimParams {
        /// A role whose lifetimes and storage settings apply.
        role: String,
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// PEM-format CSR to be signed.
        csr: String,
        /// Ignored in favour of the CSR.
        common_name: String,
        /// Ignored in favour of the CSR.
        alt_names: String,
        /// Ignored in favour of the CSR.
        ip_sans: CommaList,
        /// Ignored in favour of the CSR.
        uri_sans: CommaList,
        /// Further other names, each as `OID;UTF8:value`.
        other_sans: CommaList,
        /// Requested user ids for the subject.
        user_ids: CommaList,
        /// Ignored in favour of the CSR.
        serial_number: String,
        /// Lifetime; the role's or mount's by default, and never more than its maximum.
        ttl: Seconds,
        /// End of validity, RFC 3339; excludes ttl.
        not_after: Option<String>,
        /// Checked only; the certificate begins at its usual age.
        not_before: String,
        /// Do not add the common name to the subject alternative names.
        exclude_cn_from_sans: bool,
        /// Key usages where the CSR has none.
        key_usage: CommaList = default_key_usage(),
        /// Extended key usages where the CSR has none.
        ext_key_usage: CommaList,
        /// Extended key usages as OIDs, where the CSR has none.
        ext_key_usage_oids: CommaList,
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: i64,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: bool,
        /// Mark the certificate as not an authority.
        basic_constraints_valid_for_non_ca: Option<bool>,
        /// Leave self-signed certificates out of the chain.
        remove_roots_from_chain: bool,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
    }
}

fn default_key_usage() -> CommaList {
    CommaList(
        ["DigitalSignature", "KeyAgreement", "KeyEncipherment"]
            .map(str::to_owned)
            .to_vec(),
    )
}

impl Endpoint for SignVerbatim {
    type Engine = Pki;
    type Params = SignVerbatimParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "sign-verbatim"),
        Route::token(Op::Write, "sign-verbatim/{role}"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign-verbatim"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign-verbatim/{role}"),
    ];
    const HELP: &'static str = "Issue a certificate directly from the provided CSR.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Pki>, params: SignVerbatimParams) -> Result<Reply, ApiError> {
        let named = cx.relative_path().rsplit('/').next() != Some("sign-verbatim");
        let role = if named {
            Some(role(cx, &params.role).await?)
        } else {
            None
        };
        let ignored_role = (!named && !params.role.is_empty()).then(|| captured(&["role"]));
        let reference = match &role {
            Some(role) => issuer_reference(cx, &params.issuer_ref, &role.issuer_ref),
            None => params.issuer_ref.clone(),
        };
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &reference)?;
        let output = Output::new(&params.format, params.remove_roots_from_chain)?;
        let csr = parse_csr(&params.csr)?;
        let request = VerbatimRequest {
            leaf: LeafRequest {
                common_name: params.common_name,
                alt_names: params.alt_names,
                ip_sans: params.ip_sans.0,
                uri_sans: params.uri_sans.0,
                other_sans: params.other_sans.0,
                user_ids: params.user_ids.0,
                serial_number: params.serial_number,
                exclude_cn_from_sans: params.exclude_cn_from_sans,
                ttl_secs: params.ttl.0,
                not_before: params.not_before,
                not_after: params.not_after,
            },
            key_usage: params.key_usage.0,
            ext_key_usage: params.ext_key_usage.0,
            ext_key_usage_oids: params.ext_key_usage_oids.0,
            signature_bits: u32::try_from(params.signature_bits).unwrap_or(0),
            use_pss: params.use_pss,
            basic_constraints_valid_for_non_ca: params.basic_constraints_valid_for_non_ca,
        };
        let surroundings = surroundings(cx, issuer);
        let (vetted, warnings) = vet::vet_verbatim(role.as_deref(), csr, &request, &surroundings)
            .map_err(|refusal| refused(&refusal))?;
        let certificate = cx.engine.sign(vetted, signer, cx.now).await?;
        let data = output.certificate(issuer, &certificate);
        let no_role = Role::default();
        let rules = role.as_deref().unwrap_or(&no_role);
        // Such a certificate says what the CSR says: no role stands for it.
        let reply = finish(cx, ("", rules), issuer, &certificate, data, warnings).await?;
        Ok(reply.warn_all(ignored_role))
    }
}

async fn role(cx: Cx<'_, Pki>, name: &str) -> Result<Arc<Role>, ApiError> {
    cx.engine
        .state
        .role(name)
        .await?
        .ok_or_else(|| ApiError::bad_request(format!("unknown role: {name}")))
}

/// The issuer of the path, or else the role's; one in the body does not count.
fn issuer_reference(cx: Cx<'_, Pki>, from_path: &str, of_role: &str) -> String {
    let in_path = cx.relative_path().starts_with("issuer/");
    if in_path {
        from_path.to_owned()
    } else {
        of_role.to_owned()
    }
}

pub(super) fn surroundings<'a>(cx: Cx<'a, Pki>, issuer: &IssuerState) -> Surroundings<'a> {
    Surroundings {
        now: UnixTime(cx.now.secs()),
        mount: lifetimes(cx),
        issuer: IssuerFacts {
            not_after: issuer.certificate.validity().not_after,
            leaf_not_after: issuer.record.leaf_not_after,
            path_len: issuer.certificate.path_len(),
        },
        identity: &|_expression| None,
    }
}

pub(super) fn lifetimes(cx: Cx<'_, Pki>) -> MountLifetimes {
    let settings = &cx.engine.env.settings;
    MountLifetimes {
        default_ttl_secs: settings.default_ttl_secs(),
        max_ttl_secs: settings.max_ttl_secs(),
    }
}

pub(super) fn refused(refusal: &Refusal) -> ApiError {
    ApiError::bad_request(refusal.to_string())
}

pub(super) fn parse_csr(text: &str) -> Result<Csr, ApiError> {
    if text.is_empty() {
        return Err(ApiError::bad_request("\"csr\" is empty"));
    }
    Csr::parse_pem(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// The kind of key that a checked type and size mean.
pub(super) fn key_kind(key_type: KeyType, bits: u32) -> Result<KeyKind, ApiError> {
    let unsupported = || {
        let name = key_type.as_str();
        ApiError::bad_request(format!(
            "{name} keys of {bits} bits cannot be made by this server"
        ))
    };
    match (key_type, bits) {
        (KeyType::Rsa, bits) => Ok(KeyKind::Rsa { bits }),
        (KeyType::Ec, 256) => Ok(KeyKind::Ec(Curve::P256)),
        (KeyType::Ec, 384) => Ok(KeyKind::Ec(Curve::P384)),
        (KeyType::Ec, 521) => Ok(KeyKind::Ec(Curve::P521)),
        (KeyType::Ed25519, _) => Ok(KeyKind::Ed25519),
        (KeyType::MlDsa, 44) => Ok(KeyKind::MlDsa(MlDsa::MlDsa44)),
        (KeyType::MlDsa, 65) => Ok(KeyKind::MlDsa(MlDsa::MlDsa65)),
        (KeyType::MlDsa, 87) => Ok(KeyKind::MlDsa(MlDsa::MlDsa87)),
        _ => Err(unsupported()),
    }
}

/// How the answer shows the certificate and its chain.
struct Output {
    format: Format,
    remove_roots: bool,
}

impl Output {
    fn new(format: &str, remove_roots: bool) -> Result<Self, ApiError> {
        let format = Format::parse(format).ok_or_else(|| {
            ApiError::bad_request(
                "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
            )
        })?;
        Ok(Self {
            format,
            remove_roots,
        })
    }

    fn certificate(&self, issuer: &IssuerState, certificate: &Certificate) -> Map<String, Value> {
        let mut data = Map::new();
        let chain: Vec<Value> = issuer
            .chain
            .iter()
            .filter(|link| !(self.remove_roots && link.is_root))
            .map(|link| self.format.link(link).into())
            .collect();
        if !chain.is_empty() {
            data.insert("ca_chain".into(), chain.into());
        }
        let shown = match self.format {
            Format::PemBundle => bundle(None, issuer, certificate),
            Format::Der | Format::Pem => self.format.certificate(certificate),
        };
        let validity = certificate.validity();
        data.insert("certificate".into(), shown.into());
        data.insert("issuing_ca".into(), self.format.link(&issuer.link).into());
        data.insert("expiration".into(), validity.not_after.0.into());
        data.insert("not_before".into(), validity.not_before.0.into());
        data.insert(
            "serial_number".into(),
            certificate.serial().to_colon_hex().into(),
        );
        data
    }

    fn with_key(
        &self,
        issuer: &IssuerState,
        certificate: &Certificate,
        key: &PrivateKey,
        encoding: KeyFormat,
    ) -> Result<Map<String, Value>, ApiError> {
        let mut data = self.certificate(issuer, certificate);
        let shown = self.format.private_key(key, encoding)?;
        if self.format == Format::PemBundle {
            // In the bundle the key always has its traditional encoding.
            let traditional = self.format.private_key(key, KeyFormat::Traditional)?;
            let bundled = bundle(Some(&traditional), issuer, certificate);
            data.insert("certificate".into(), bundled.into());
        }
        data.insert("private_key".into(), shown.as_str().into());
        data.insert("private_key_type".into(), key.kind().type_name().into());
        Ok(data)
    }
}

/// Key, certificate and chain in one text.
fn bundle(key: Option<&str>, issuer: &IssuerState, certificate: &Certificate) -> String {
    let own = certificate.to_pem_without_newline();
    let chain = issuer.chain.iter().map(|link| link.trimmed_pem());
    key.into_iter()
        .chain([own.as_str()])
        .chain(chain)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Stores the certificate, and its lease where the role wants one, before it is answered.
async fn finish(
    cx: Cx<'_, Pki>,
    (role_name, role): (&str, &Role),
    issuer: &IssuerState,
    certificate: &Certificate,
    data: Map<String, Value>,
    warnings: Warnings,
) -> Result<Reply, ApiError> {
    let mut batch = Batch::default();
    if !role.no_store {
        cx.engine
            .put_certificate(&mut batch, &issuer.record.id, role_name, certificate);
    }
    let mut reply = Reply::map(data).warn_all(warnings.iter().map(ToString::to_string));
    if role.generate_lease {
        reply.lease = Some(lease(cx, &mut batch, certificate)?);
    }
    if !batch.is_empty() {
        cx.commit(batch).await?;
    }
    Ok(reply)
}

/// A lease whose end revokes the certificate.
fn lease(cx: Cx<'_, Pki>, batch: &mut Batch, certificate: &Certificate) -> Result<Lease, ApiError> {
    let end = Timestamp::from_secs(certificate.validity().not_after.0);
    let mut data = Map::new();
    let serial = certificate.serial().to_colon_hex();
    data.insert(LEASED_SERIAL.into(), serial.into());
    let path = cx.relative_path();
    expiry::register_secret(cx.request, batch, path, end.secs_since(cx.now), data)
}
