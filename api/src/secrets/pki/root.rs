//! `root/`: self-signed authorities.

use serde_json::{Map, json};
use signet_pki::issuer::AiaUrls;
use signet_pki::key::KeyKind;
use signet_pki::role::KeyType;
use signet_pki::time::UnixTime;
use signet_pki::vet::{self, AuthorityTerms, Warning};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, NoParams, Seconds};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::{ISSUER_ID, NO_URLS};
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::authority_params::authority_params;
use crate::secrets::pki::format::Format;
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::key_source::KeySource;
use crate::secrets::pki::leaf::{lifetimes, refused};
use crate::secrets::pki::names::check_issuer_name;
use crate::secrets::pki::records::{AiaConfig, ClusterConfig};

pub(super) struct Generate;

authority_params! {
    pub(super) struct GenerateParams {
        /// internal, exported, existing or kms.
        exported: String,
        /// Name of the new issuer.
        issuer_name: Option<String>,
        /// Name of the new key.
        key_name: Option<String>,
        /// rsa, ec, ed25519 or mldsa.
        key_type: Option<String>,
        /// Size of the key; 0 for the type's default.
        key_bits: Option<i64>,
        /// Reference to the key of `existing`.
        key_ref: String = "default".into(),
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: i64,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: bool,
        /// Lifetime; the mount's default and maximum apply.
        ttl: Seconds,
        /// End of validity, RFC 3339.
        not_after: Option<String>,
        /// How long before now the certificate begins.
        not_before_duration: Seconds = Seconds(30),
        /// Longest chain below it; -1 for no limit.
        max_path_length: i64 = -1,
        /// DNS domains that certificates below it may be for.
        permitted_dns_domains: CommaList,
        /// Only DigitalSignature adds to what every authority has.
        key_usage: CommaList,
        /// Extended key usages.
        ext_key_usage: CommaList,
        /// Extended key usages as OIDs.
        ext_key_usage_oids: CommaList,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
        /// `der` (PKCS #1 or SEC 1) or `pkcs8`.
        private_key_format: String,
    }
    ignored {
        /// A root begins when it is made.
        not_before: String,
    }
}

impl Endpoint for Generate {
    type Engine = Pki;
    type Params = GenerateParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "root/generate/{exported}"),
        Route::token(Op::Write, "issuers/generate/root/{exported}"),
        Route::token(Op::Write, "root/rotate/{exported}"),
    ];
    const HELP: &'static str = "Generate a new CA certificate and private key used for signing.";

    async fn handle(cx: Cx<'_, Pki>, mut params: GenerateParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let identity = params.take_identity();
        let source = KeySource {
            exported: &params.exported,
            key_name: params.key_name.as_deref(),
            key_type: params.key_type.as_deref(),
            key_bits: params.key_bits,
            key_ref: &params.key_ref,
        };
        let wanted = source.check(&state, &draft)?;
        let format = Format::of_authority(&params.format)?;
        let rotates = cx.relative_path().starts_with("root/rotate");
        let issuer_name = match params.issuer_name.as_deref() {
            Some(name) => check_issuer_name(&draft, name, "")?,
            None if rotates && !draft.issuer_name_taken("next", "") => "next".to_owned(),
            None => String::new(),
        };
        let terms = AuthorityTerms {
            ttl_secs: params.ttl.0,
            not_after: params.not_after.clone(),
            not_before_duration_secs: params.not_before_duration.0,
            max_path_length: Some(params.max_path_length),
            permitted_dns_domains: params.permitted_dns_domains.0.clone(),
            key_usage: params.key_usage.0.clone(),
            ext_key_usage: params.ext_key_usage.0.clone(),
            ext_key_usage_oids: params.ext_key_usage_oids.0.clone(),
            signature_bits: u32::try_from(params.signature_bits).unwrap_or(u32::MAX),
            use_pss: params.use_pss,
        };
        let now = UnixTime(cx.now.secs());
        let key_type = key_type(wanted.kind());
        let (approved, warnings) = vet::vet_root(&identity, &terms, key_type, lifetimes(cx), now)
            .map_err(|refusal| refused(&refusal))?;
        let (urls, urls_warning) = urls(&state.urls, &state.cluster)?;

        let (key, placed_key) = source.obtain(cx.engine, &mut draft, wanted).await?;
        let serial = cx.engine.new_serial(cx.now)?;
        let vetted = approved.with_key(key.public_key().clone());
        let sign = {
            let key = key.clone();
            let urls = urls.clone();
            move || -> Result<_, String> {
                let tbs = vetted
                    .build_self_signed(&key, serial, &urls)
                    .map_err(|e| e.to_string())?;
                tbs.sign().map_err(|e| e.to_string())
            }
        };
        let signed = if is_slow(key.kind()) {
            cx.engine.env.environment.pool.run(sign).await?
        } else {
            sign()
        };
        let certificate = signed.map_err(ApiError::internal)?;
        let algorithm = certificate
            .signature_algorithm()
            .map_or("", |algorithm| algorithm.name());
        let issuer = draft.add_issuer(&certificate, &issuer_name, algorithm)?;
        draft.choose_default(std::slice::from_ref(&issuer));

        let mut data = Map::new();
        let shown = format.certificate(&certificate);
        data.insert("certificate".into(), json!(shown));
        data.insert("issuing_ca".into(), json!(shown));
        data.insert(
            "expiration".into(),
            json!(certificate.validity().not_after.0),
        );
        data.insert(
            "serial_number".into(),
            json!(certificate.serial().to_colon_hex()),
        );
        data.insert("issuer_id".into(), json!(issuer.id));
        data.insert("issuer_name".into(), json!(issuer_name));
        data.insert("key_id".into(), json!(placed_key.id));
        data.insert("key_name".into(), json!(draft.key_name(&placed_key.id)));
        let private_key_format = &params.private_key_format;
        source.export(&mut data, "certificate", &key, format, private_key_format)?;

        let mut batch = Batch::default();
        cx.engine
            .put_certificate(&mut batch, &issuer.id, "", &certificate);
        draft.write(&mut batch)?;
        cx.commit(batch).await?;

        let texts = |wanted: fn(&Warning) -> bool| {
            let wanted = warnings.iter().filter(move |warning| wanted(warning));
            wanted.map(ToString::to_string).collect::<Vec<_>>()
        };
        Ok(Reply::data(data)?
            .warn_all(texts(|w| matches!(w, Warning::TtlClamped { .. })))
            .warn_all(urls_warning)
            .warn_all(texts(|w| matches!(w, Warning::NoSubject)))
            .warn_all(lacks_urls(&urls).then(|| NO_URLS.to_owned()))
            .warn_all(texts(|w| matches!(w, Warning::PathLengthZero { .. }))))
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Delete, "root")];
    const HELP: &'static str = "Delete all issuers and keys.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let mut batch = Batch::default();
        draft.remove_everything(&mut batch);
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        Ok(Reply::empty_data().warn(
            "DELETE /root deletes all keys and issuers; prefer the new DELETE /key/:key_ref and \
             DELETE /issuer/:issuer_ref for finer granularity, unless removal of all keys and \
             issuers is desired.",
        ))
    }
}

fn key_type(kind: KeyKind) -> KeyType {
    match kind {
        KeyKind::Ec(_) => KeyType::Ec,
        KeyKind::Ed25519 => KeyType::Ed25519,
        KeyKind::MlDsa(_) => KeyType::MlDsa,
        KeyKind::Rsa { .. } => KeyType::Rsa,
    }
}

/// The URLs of a root, and the warning that it has none. Which id the issuer will have is not known
/// before it is signed, so that they cannot hold it.
fn urls(
    configured: &AiaConfig,
    cluster: &ClusterConfig,
) -> Result<(AiaUrls, Option<String>), ApiError> {
    if configured.enable_templating && configured.any_contains(ISSUER_ID) {
        let warning = "When generating root CA, found global AIA configuration with issuer_id \
                       template unsuitable for root generation. This AIA configuration has been \
                       ignored. To include AIA on this root CA, set the global AIA configuration \
                       to not include issuer_id and instead to refer to a static issuer name.";
        return Ok((AiaUrls::default(), Some(warning.to_owned())));
    }
    let urls = configured.resolve("", cluster).map_err(|error| {
        ApiError::bad_request(format!(
            "unable to parse AIA URL information: {error}\nUsing templated AIA URL's \
             {ISSUER_ID} field when generating root certificates is not supported."
        ))
    })?;
    Ok((urls, None))
}

fn lacks_urls(urls: &AiaUrls) -> bool {
    urls.ocsp_servers.is_empty()
        && urls.issuing_certificates.is_empty()
        && urls.crl_distribution_points.is_empty()
}
