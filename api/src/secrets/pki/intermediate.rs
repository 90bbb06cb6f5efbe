//! `intermediate/` and `sign-intermediate`: authorities below others.

use std::sync::Arc;

use serde_json::{Map, json};
use signet_pki::bundle::{Bundle, Keys};
use signet_pki::csr::build::CsrPlan;
use signet_pki::plan::SignaturePreference;
use signet_pki::vet::{self, AuthorityIdentity, AuthorityTerms, IntermediateRequest, Warning};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{CommaList, Seconds, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::{Draft, Placed};
use crate::secrets::pki::format::{Format, key_encoding};
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::leaf::{key_kind, parse_csr, refused, surroundings};
use crate::secrets::pki::root::{KeySource, NO_AIA, WantedKey, urls_are_empty};

pub(super) struct Generate;

params! {
    pub(super) struct GenerateParams {
        /// internal, exported, existing or kms.
        exported: String = "existing".into(),
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
        /// Accepted: the signer decides.
        ttl: Seconds,
        /// Accepted: the signer decides.
        not_after: String,
        /// Accepted: the signer decides.
        not_before: String,
        /// Accepted: the signer decides.
        not_before_duration: Seconds,
        /// Ask for `CA:TRUE` in the CSR.
        add_basic_constraints: bool,
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
        Route::token(Op::Write, "intermediate/generate/{exported}"),
        Route::token(Op::Write, "issuers/generate/intermediate/{exported}"),
        Route::token(Op::Write, "intermediate/cross-sign"),
    ];
    const HELP: &'static str = "Generate a new CSR and private key used for signing.";

    async fn handle(cx: Cx<'_, Pki>, params: GenerateParams) -> Result<Reply, ApiError> {
        let exported = if cx.relative_path() == "intermediate/cross-sign" {
            "existing"
        } else {
            params.exported.as_str()
        };
        let format = Format::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request(
                "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
            )
        })?;
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let source = KeySource {
            exported,
            key_name: params.key_name.as_deref(),
            key_type: params.key_type.as_deref(),
            key_bits: params.key_bits,
            key_ref: &params.key_ref,
        };
        let wanted = source.check(&draft)?;
        let bits = u32::try_from(params.signature_bits).unwrap_or(u32::MAX);
        if ![0, 256, 384, 512].contains(&bits) {
            let text = format!("unsupported hash signature algorithm: {bits}");
            return Err(ApiError::bad_request(text));
        }
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
        let (subject, sans) = vet::csr_content(&identity).map_err(|refusal| refused(&refusal))?;
        let (key, placed) = match wanted {
            WantedKey::Existing => {
                let key = state
                    .key(&params.key_ref)
                    .map_err(|error| ApiError::listed(ErrorKind::BadRequest, error.to_string()))?;
                (key.key.clone(), draft.add_key(&key.key, "")?)
            }
            WantedKey::New { key_type, bits } => {
                let key = cx.engine.generate_key(key_kind(key_type, bits)?).await?;
                let placed = draft.add_key(&key, params.key_name.as_deref().unwrap_or_default())?;
                (Arc::new(key), placed)
            }
        };
        let plan = CsrPlan {
            subject,
            sans,
            authority: params.add_basic_constraints,
            signature: SignaturePreference {
                hash_bits: bits,
                pss: params.use_pss,
                ecdsa_by_curve: true,
            },
        };
        let sign = {
            let key = key.clone();
            move || plan.sign(&key)
        };
        let signed = if is_slow(key.kind()) {
            cx.engine.env.environment.pool.run(sign).await?
        } else {
            sign()
        };
        let csr = format.request(&signed.map_err(ApiError::internal)?);

        let mut data = Map::new();
        data.insert("csr".into(), json!(csr));
        data.insert("key_id".into(), json!(placed.id));
        if exported == "exported" {
            let private = format.private_key(&key, key_encoding(&params.private_key_format))?;
            if format == Format::PemBundle {
                data.insert("csr".into(), json!(format!("{}\n{csr}", private.as_str())));
            }
            data.insert("private_key".into(), json!(private.as_str()));
            data.insert("private_key_type".into(), json!(key.kind().type_name()));
        }
        let mut batch = Batch::default();
        if !placed.existed {
            draft.write(&mut batch)?;
        }
        cx.commit(batch).await?;
        let no_aia = urls_are_empty_in(&state.urls).then(|| format!("{NO_AIA}{NO_AIA_ON_CSR}"));
        Ok(Reply::data(data)?.warn_all(no_aia))
    }
}

const NO_AIA_ON_CSR: &str = " Since this certificate is an intermediate, it might be useful to \
    regenerate this certificate after fixing this problem for the root mount.";

fn urls_are_empty_in(urls: &crate::secrets::pki::records::AiaConfig) -> bool {
    urls.ocsp_servers.is_empty()
        && urls.issuing_certificates.is_empty()
        && urls.crl_distribution_points.is_empty()
}

pub(super) struct Sign;

params! {
    pub(super) struct SignParams {
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// PEM-format CSR to be signed.
        csr: String,
        /// Take subject, names and extensions from the CSR.
        use_csr_values: bool,
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
        /// Accepted: the certificate does not become an issuer here.
        issuer_name: String,
        /// Lifetime; the mount's default and maximum apply.
        ttl: Seconds,
        /// End of validity, RFC 3339.
        not_after: Option<String>,
        /// Checked only; the certificate begins at its usual age.
        not_before: String,
        /// How long before now the certificate begins.
        not_before_duration: Seconds = Seconds(30),
        /// Longest chain below it; one less than the issuer's by default.
        max_path_length: Option<i64>,
        /// DNS domains that certificates below it may be for.
        permitted_dns_domains: CommaList,
        /// Only DigitalSignature adds to what every authority has.
        key_usage: CommaList,
        /// Extended key usages.
        ext_key_usage: CommaList,
        /// Extended key usages as OIDs.
        ext_key_usage_oids: CommaList,
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: i64,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: bool,
        /// Subject key identifier, hexadecimal.
        skid: String,
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
        /// Accepted: no key is answered.
        private_key_format: String,
    }
}

impl Endpoint for Sign {
    type Engine = Pki;
    type Params = SignParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "root/sign-intermediate"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign-intermediate"),
    ];
    const HELP: &'static str = "Issue an intermediate CA certificate based on the provided CSR.";

    async fn handle(cx: Cx<'_, Pki>, params: SignParams) -> Result<Reply, ApiError> {
        let format = Format::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request("The \"format\" path parameter must be \"pem\" or \"der\"")
        })?;
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &params.issuer_ref)?;
        let csr = parse_csr(&params.csr)?;
        let request = IntermediateRequest {
            identity: AuthorityIdentity {
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
            },
            terms: AuthorityTerms {
                ttl_secs: params.ttl.0,
                not_after: params.not_after,
                not_before_duration_secs: params.not_before_duration.0,
                max_path_length: params.max_path_length,
                permitted_dns_domains: params.permitted_dns_domains.0,
                key_usage: params.key_usage.0,
                ext_key_usage: params.ext_key_usage.0,
                ext_key_usage_oids: params.ext_key_usage_oids.0,
                signature_bits: u32::try_from(params.signature_bits).unwrap_or(0),
                use_pss: params.use_pss,
            },
            not_before: params.not_before,
            skid: params.skid,
            use_csr_values: params.use_csr_values,
        };
        let (vetted, warnings) = vet::vet_intermediate(csr, &request, &surroundings(cx, issuer))
            .map_err(|refusal| refused(&refusal))?;
        let certificate = cx.engine.sign(vetted, signer, cx.now).await?;

        let own = format.certificate(&certificate);
        let chain: Vec<String> = [own.clone()]
            .into_iter()
            .chain(issuer.chain.iter().map(|link| format.link(link)))
            .collect();
        let shown = if format == Format::PemBundle {
            chain.join("\n")
        } else {
            own
        };
        let mut data = Map::new();
        data.insert("certificate".into(), json!(shown));
        data.insert("issuing_ca".into(), json!(format.link(&issuer.link)));
        data.insert("ca_chain".into(), json!(chain));
        data.insert(
            "expiration".into(),
            json!(certificate.validity().not_after.0),
        );
        data.insert(
            "serial_number".into(),
            json!(certificate.serial().to_colon_hex()),
        );

        let mut batch = Batch::default();
        cx.engine
            .put_certificate(&mut batch, &issuer.record.id, &certificate);
        cx.commit(batch).await?;

        let urls = issuer.record.aia.as_ref().unwrap_or(&state.urls);
        let resolved = urls
            .resolve(&issuer.record.id, &state.cluster)
            .unwrap_or_default();
        let text = |wanted: fn(&Warning) -> bool| {
            warnings
                .iter()
                .filter(move |w| wanted(w))
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        Ok(Reply::data(data)?
            .warn_all(text(|w| matches!(w, Warning::BeyondIssuer)))
            .warn_all(text(|w| matches!(w, Warning::NoSubject)))
            .warn_all(urls_are_empty(&resolved).then(|| NO_AIA.to_owned()))
            .warn_all(text(|w| matches!(w, Warning::PathLengthZero { .. })))
            .warn_all(text(|w| matches!(w, Warning::TtlClamped { .. }))))
    }
}

pub(super) struct Import;

params! {
    pub(super) struct ImportParams {
        /// Certificates, and keys where the path allows them, as PEM.
        pem_bundle: String,
        /// Certificates as PEM.
        certificate: String,
    }
}

impl Endpoint for Import {
    type Engine = Pki;
    type Params = ImportParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "intermediate/set-signed"),
        Route::token(Op::Write, "issuers/import/cert"),
        Route::token(Op::Write, "issuers/import/bundle"),
        Route::token(Op::Write, "config/ca"),
    ];
    const HELP: &'static str = "Import the specified issuing certificates.";

    async fn handle(cx: Cx<'_, Pki>, params: ImportParams) -> Result<Reply, ApiError> {
        let text = if params.pem_bundle.is_empty() {
            params.certificate
        } else {
            params.pem_bundle
        };
        if text.is_empty() {
            return Err(ApiError::bad_request(
                "'pem_bundle' and 'certificate' parameters were empty",
            ));
        }
        let keys_allowed = match cx.relative_path() {
            "config/ca" | "issuers/import/bundle" => Keys::Allow,
            _ => Keys::Refuse,
        };
        let bundle = Bundle::parse(&text, keys_allowed)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let mut keys = Vec::new();
        for key in &bundle.keys {
            keys.push(draft.add_key(key, "")?);
        }
        let mut issuers = Vec::new();
        for certificate in &bundle.certificates {
            issuers.push(draft.add_issuer(certificate, "", "")?);
        }
        let default_warning = draft.choose_default(&issuers);
        let mapping = draft.mapping(&issuers);
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let data = json!({
            "imported_issuers": ids(&issuers, false),
            "imported_keys": ids(&keys, false),
            "existing_issuers": ids(&issuers, true),
            "existing_keys": ids(&keys, true),
            "mapping": mapping,
        });
        Ok(Reply::data(data)?
            .warn_all(default_warning)
            .warn_all(urls_are_empty_in(&state.urls).then(|| NO_AIA.to_owned())))
    }
}

/// `None` instead of an empty list.
fn ids(placed: &[Placed], existed: bool) -> Option<Vec<&str>> {
    let ids: Vec<&str> = placed
        .iter()
        .filter(|p| p.existed == existed)
        .map(|p| p.id.as_str())
        .collect();
    (!ids.is_empty()).then_some(ids)
}
