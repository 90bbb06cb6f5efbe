//! `root/`: self-signed authorities.

use serde_json::{Map, json};
use signet_pki::key::PrivateKey;
use signet_pki::role::{KeyType, validate_key_type_bits};
use signet_pki::time::UnixTime;
use signet_pki::vet::{self, AuthorityIdentity, AuthorityTerms, Warning};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{CommaList, Seconds, params};
use crate::reply::Reply;
use crate::route::is_name;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::format::{Format, key_encoding};
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::leaf::{key_kind, lifetimes, refused};
use crate::secrets::pki::records::AiaConfig;

pub(super) struct Generate;

params! {
    pub(super) struct GenerateParams {
        /// internal, exported, existing or kms.
        exported: String,
        /// The common name of the authority.
        common_name: String,
        /// DNS names and email addresses, separated by commas.
        alt_names: String,
        /// IP addresses.
        ip_sans: CommaList,
        /// URIs.
        uri_sans: CommaList,
        /// Other names, each as `OID;UTF8:value`.
        other_sans: CommaList,
        /// Do not add the common name to the subject alternative names.
        exclude_cn_from_sans: bool,
        /// Name of the new issuer.
        issuer_name: Option<String>,
        /// Name of the new key.
        key_name: Option<String>,
        /// rsa, ec or ed25519.
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
        /// Accepted: a root begins when it is made.
        not_before: String,
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
        /// Organizational units of the subject.
        ou: CommaList,
        /// Organizations of the subject.
        organization: CommaList,
        /// Countries of the subject.
        country: CommaList,
        /// Localities of the subject.
        locality: CommaList,
        /// Provinces of the subject.
        province: CommaList,
        /// Street addresses of the subject.
        street_address: CommaList,
        /// Postal codes of the subject.
        postal_code: CommaList,
        /// The subject's serialNumber attribute.
        serial_number: String,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
        /// `der` (PKCS #1 or SEC 1) or `pkcs8`.
        private_key_format: String,
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
        let format = Format::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request(
                "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
            )
        })?;
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        if cx.relative_path().starts_with("root/rotate")
            && params.issuer_name.is_none()
            && !draft.issuer_name_taken("next")
        {
            params.issuer_name = Some("next".into());
        }
        let issuer_name = check_issuer_name(&draft, params.issuer_name.as_deref())?;
        let source = KeySource {
            exported: &params.exported,
            key_name: params.key_name.as_deref(),
            key_type: params.key_type.as_deref(),
            key_bits: params.key_bits,
            key_ref: &params.key_ref,
        };
        let wanted = source.check(&draft)?;
        let key_type = match &wanted {
            WantedKey::Existing => {
                let key = state
                    .key(&params.key_ref)
                    .map_err(|error| ApiError::listed(ErrorKind::BadRequest, error.to_string()))?;
                key_type_of(&key.key)
            }
            WantedKey::New { key_type, .. } => *key_type,
        };
        let identity = AuthorityIdentity {
            common_name: params.common_name,
            alt_names: params.alt_names,
            ip_sans: params.ip_sans.0,
            uri_sans: params.uri_sans.0,
            other_sans: params.other_sans.0,
            exclude_cn_from_sans: params.exclude_cn_from_sans,
            serial_number: params.serial_number,
            ou: params.ou.0,
            organization: params.organization.0,
            country: params.country.0,
            locality: params.locality.0,
            province: params.province.0,
            street_address: params.street_address.0,
            postal_code: params.postal_code.0,
        };
        let terms = AuthorityTerms {
            ttl_secs: params.ttl.0,
            not_after: params.not_after,
            not_before_duration_secs: params.not_before_duration.0,
            max_path_length: Some(params.max_path_length),
            permitted_dns_domains: params.permitted_dns_domains.0,
            key_usage: params.key_usage.0,
            ext_key_usage: params.ext_key_usage.0,
            ext_key_usage_oids: params.ext_key_usage_oids.0,
            signature_bits: u32::try_from(params.signature_bits).unwrap_or(u32::MAX),
            use_pss: params.use_pss,
        };
        let now = UnixTime(cx.now.secs());
        let (approved, vet_warnings) =
            vet::vet_root(&identity, &terms, key_type, lifetimes(cx), now)
                .map_err(|refusal| refused(&refusal))?;
        // Which id the issuer will have is not known yet, so URLs cannot hold it.
        let (urls, aia_warning) = root_urls(&state.urls, &state.cluster)?;

        let (key, placed_key) = match wanted {
            WantedKey::Existing => {
                let key = state.key(&params.key_ref).map_err(ApiError::internal)?;
                (key.key.clone(), draft.add_key(&key.key, "")?)
            }
            WantedKey::New { key_type, bits } => {
                let key = cx.engine.generate_key(key_kind(key_type, bits)?).await?;
                let placed = draft.add_key(&key, params.key_name.as_deref().unwrap_or_default())?;
                (std::sync::Arc::new(key), placed)
            }
        };
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
        let default_warning = draft.choose_default(std::slice::from_ref(&issuer));

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
        data.insert(
            "key_name".into(),
            json!(params.key_name.unwrap_or_default()),
        );
        if params.exported == "exported" {
            let private = format.private_key(&key, key_encoding(&params.private_key_format))?;
            if format == Format::PemBundle {
                let bundle = format!("{}\n{shown}", private.as_str());
                data.insert("certificate".into(), json!(bundle));
            }
            data.insert("private_key".into(), json!(private.as_str()));
            data.insert("private_key_type".into(), json!(key.kind().type_name()));
        }

        let mut batch = Batch::default();
        cx.engine
            .put_certificate(&mut batch, &issuer.id, &certificate);
        draft.write(&mut batch)?;
        cx.commit(batch).await?;

        let (path_warnings, other): (Vec<_>, Vec<_>) = vet_warnings
            .into_iter()
            .partition(|warning| matches!(warning, Warning::PathLengthZero { .. }));
        let (subject_warnings, clamped): (Vec<_>, Vec<_>) = other
            .into_iter()
            .partition(|warning| matches!(warning, Warning::NoSubject));
        Ok(Reply::data(data)?
            .warn_all(subject_warnings.iter().map(ToString::to_string))
            .warn_all(clamped.iter().map(ToString::to_string))
            .warn_all(urls_are_empty(&urls).then(|| NO_AIA.to_owned()))
            .warn_all(path_warnings.iter().map(ToString::to_string))
            .warn_all(aia_warning)
            .warn_all(default_warning))
    }
}

/// What the parameters say of the key.
pub(super) struct KeySource<'p> {
    pub(super) exported: &'p str,
    pub(super) key_name: Option<&'p str>,
    pub(super) key_type: Option<&'p str>,
    pub(super) key_bits: Option<i64>,
    pub(super) key_ref: &'p str,
}

/// The key that an authority is made with.
pub(super) enum WantedKey {
    Existing,
    New { key_type: KeyType, bits: u32 },
}

impl KeySource<'_> {
    pub(super) fn check(&self, draft: &Draft<'_>) -> Result<WantedKey, ApiError> {
        match self.exported {
            "existing" => {
                if self.key_type.is_some() || self.key_bits.is_some() {
                    return Err(ApiError::bad_request(
                        "invalid parameter for the kms/existing path parameter, key_type nor \
                         key_bits arguments can be set in this mode",
                    ));
                }
                if self.key_ref.is_empty() {
                    return Err(ApiError::bad_request(
                        "missing argument key_ref for existing type",
                    ));
                }
                Ok(WantedKey::Existing)
            }
            "exported" | "internal" => {
                check_key_name(draft, self.key_name)?;
                let key_type = self.key_type.unwrap_or("rsa");
                let (key_type, bits) = validate_key_type_bits(key_type, self.key_bits.unwrap_or(0))
                    .map_err(|error| ApiError::bad_request(error.to_string()))?;
                if key_type == KeyType::Any {
                    return Err(ApiError::bad_request("unknown key type: any"));
                }
                Ok(WantedKey::New { key_type, bits })
            }
            "kms" => Err(ApiError::bad_request(
                "keys of an external key manager are not supported",
            )),
            _ => Err(ApiError::bad_request(
                "the \"exported\" path parameter must be \"internal\", \"existing\", exported\" or \
                 \"kms\"",
            )),
        }
    }
}

pub(super) fn key_type_of(key: &PrivateKey) -> KeyType {
    match key.kind().type_name() {
        "ec" => KeyType::Ec,
        "ed25519" => KeyType::Ed25519,
        _ => KeyType::Rsa,
    }
}

/// The name of a new issuer; empty when none was given.
pub(super) fn check_issuer_name(draft: &Draft<'_>, name: Option<&str>) -> Result<String, ApiError> {
    let Some(name) = name else {
        return Ok(String::new());
    };
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::bad_request("expected non-empty issuer name"));
    }
    if name.eq_ignore_ascii_case("default") {
        return Err(ApiError::bad_request(
            "reserved keyword 'default' can not be used as issuer name",
        ));
    }
    if !is_name(name) {
        return Err(ApiError::bad_request(
            "issuer name contained invalid characters",
        ));
    }
    if draft.issuer_name_taken(name) {
        return Err(ApiError::bad_request("issuer name already in use"));
    }
    Ok(name.to_owned())
}

fn check_key_name(draft: &Draft<'_>, name: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = name else { return Ok(()) };
    if name.eq_ignore_ascii_case("default") {
        return Err(ApiError::bad_request(
            "reserved keyword 'default' can not be used as key name",
        ));
    }
    if !is_name(name) {
        return Err(ApiError::bad_request(
            "key name contained invalid characters",
        ));
    }
    if draft.key_name_taken(name) {
        return Err(ApiError::bad_request("key name already in use"));
    }
    Ok(())
}

fn root_urls(
    configured: &AiaConfig,
    cluster: &crate::secrets::pki::records::ClusterConfig,
) -> Result<(signet_pki::issuer::AiaUrls, Option<String>), ApiError> {
    if configured.enable_templating && configured.any_contains("{{issuer_id}}") {
        return Ok((
            signet_pki::issuer::AiaUrls::default(),
            Some(
                "When generating root CA, found global AIA configuration with issuer_id template \
                 unsuitable for root generation. This AIA configuration has been ignored. To \
                 include AIA on this root CA, set the global AIA configuration to not include \
                 issuer_id and instead to refer to a static issuer name."
                    .to_owned(),
            ),
        ));
    }
    let urls = configured.resolve("", cluster).map_err(|error| {
        let text = format!("unable to parse AIA URL information: {error}");
        ApiError::listed(ErrorKind::BadRequest, text)
    })?;
    Ok((urls, None))
}

pub(super) fn urls_are_empty(urls: &signet_pki::issuer::AiaUrls) -> bool {
    urls.ocsp_servers.is_empty()
        && urls.issuing_certificates.is_empty()
        && urls.crl_distribution_points.is_empty()
}

pub(super) const NO_AIA: &str = "This mount hasn't configured any authority information access \
    (AIA) fields; this may make it harder for systems to find missing certificates in the chain or \
    to validate revocation status of certificates. Consider updating /config/urls or the newly \
    generated issuer with this information.";
