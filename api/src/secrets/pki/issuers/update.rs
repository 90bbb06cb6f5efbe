//! Changing an issuer: POST replaces all its settings, PATCH those that are given.

use signet_pki::key::{Hash, MlDsa, SignatureAlgorithm};
use signet_pki::plan::KeyUsage;
use signet_pki::vet::LeafNotAfterBehavior;
use signet_storage::Batch;

use super::{find, pss_warning, reference_warning, view};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::GivenUrls;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::format::key_family;
use crate::secrets::pki::names::check_issuer_name;
use crate::secrets::pki::records::{AiaConfig, IssuerRecord, Usage};
use crate::secrets::pki::state::{IssuerState, State};

params! {
    pub(in crate::secrets::pki) struct UpdateParams {
        /// Reference to the issuer: its id, its name or `default`.
        issuer_ref: String,
        /// Name of the issuer.
        issuer_name: Option<String>,
        /// What becomes of a certificate that would outlive the issuer: err, truncate or permit.
        leaf_not_after_behavior: Option<String>,
        /// References to the issuers of the chain in its order; `self` for this one.
        manual_chain: Option<CommaList>,
        /// read-only, issuing-certificates, crl-signing and ocsp-signing.
        usage: Option<CommaList>,
        /// Signature algorithm of CRLs and OCSP responses; empty for the key's default.
        revocation_signature_algorithm: Option<String>,
        /// URLs of the issuer's certificate.
        issuing_certificates: Option<CommaList>,
        /// URLs of the CRL.
        crl_distribution_points: Option<CommaList>,
        /// URLs of the delta CRL.
        delta_crl_distribution_points: Option<CommaList>,
        /// URLs of the OCSP responder.
        ocsp_servers: Option<CommaList>,
        /// Fill in `{{issuer_id}}`, `{{cluster_path}}` and `{{cluster_aia_path}}`.
        enable_aia_url_templating: Option<bool>,
    }
}

pub(in crate::secrets::pki) struct Replace;

impl Endpoint for Replace {
    type Engine = Pki;
    type Params = UpdateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "issuer/{issuer_ref}")];
    const HELP: &'static str = "Set all settings of an issuer; what is left out gets its default.";

    async fn handle(cx: Cx<'_, Pki>, params: UpdateParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        let base = IssuerRecord {
            name: String::new(),
            manual_chain: Vec::new(),
            usage: Usage::ALL,
            leaf_not_after: LeafNotAfterBehavior::default(),
            revocation_signature_algorithm: String::new(),
            aia: None,
            ..issuer.record.clone()
        };
        store(cx, &state, issuer, base, params).await
    }
}

pub(in crate::secrets::pki) struct Patch;

impl Endpoint for Patch {
    type Engine = Pki;
    type Params = UpdateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Patch, "issuer/{issuer_ref}")];
    const HELP: &'static str = "Change some settings of an issuer.";

    async fn handle(cx: Cx<'_, Pki>, mut params: UpdateParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        let mut base = issuer.record.clone();
        // Here, unlike where all is replaced, there is another way to keep the name.
        if params.issuer_name.as_deref() == Some("") {
            params.issuer_name = None;
            base.name.clear();
        }
        store(cx, &state, issuer, base, params).await
    }
}

async fn store(
    cx: Cx<'_, Pki>,
    state: &State,
    issuer: &IssuerState,
    mut record: IssuerRecord,
    params: UpdateParams,
) -> Result<Reply, ApiError> {
    let mut draft = Draft::new(cx.engine, state, cx.now);
    if let Some(name) = &params.issuer_name {
        record.name = check_issuer_name(&draft, name, &record.id)?;
    }
    if let Some(name) = &params.leaf_not_after_behavior {
        record.leaf_not_after = parse_behavior(name)?;
    }
    if let Some(CommaList(names)) = &params.usage {
        record.usage = parse_usage(names)?;
    }
    check_usage(&record, issuer)?;
    if let Some(name) = &params.revocation_signature_algorithm {
        record.revocation_signature_algorithm = parse_algorithm(name, issuer)?.to_owned();
    }
    if let Some(CommaList(references)) = &params.manual_chain {
        record.manual_chain = resolve_chain(state, references, &record.id)?;
    }
    record.aia = change_urls(record.aia.take().unwrap_or_default(), params)?;
    let urls_warning = record
        .aia
        .as_ref()
        .filter(|own| own.has_urls())
        .and_then(|own| own.warning(&record.id, &state.cluster));
    let lost_name = if record.name == issuer.record.name {
        ""
    } else {
        &issuer.record.name
    };

    draft.replace_issuer(record);
    let mut batch = Batch::default();
    draft.write(&mut batch)?;
    cx.commit(batch).await?;

    let state = cx.engine.state.state().await?;
    let changed = find(&state, &issuer.record.id)?;
    Ok(Reply::data(view(changed))?
        .warn_all(pss_warning(changed))
        .warn_all(urls_warning)
        .warn_all(reference_warning(cx, lost_name).await?))
}

/// The issuer's own URLs; `None` where it has none and the mount's apply.
fn change_urls(mut aia: AiaConfig, params: UpdateParams) -> Result<Option<AiaConfig>, ApiError> {
    aia.change(GivenUrls {
        issuing_certificates: params.issuing_certificates,
        crl_distribution_points: params.crl_distribution_points,
        delta_crl_distribution_points: params.delta_crl_distribution_points,
        ocsp_servers: params.ocsp_servers,
    });
    if let Some(enable) = params.enable_aia_url_templating {
        aia.enable_templating = enable;
    }
    aia.check()?;
    Ok((aia != AiaConfig::default()).then_some(aia))
}

pub(super) fn behavior_name(behavior: LeafNotAfterBehavior) -> &'static str {
    match behavior {
        LeafNotAfterBehavior::Err => "err",
        LeafNotAfterBehavior::Permit => "permit",
        LeafNotAfterBehavior::Truncate => "truncate",
    }
}

fn parse_behavior(name: &str) -> Result<LeafNotAfterBehavior, ApiError> {
    match name {
        "err" => Ok(LeafNotAfterBehavior::Err),
        "permit" => Ok(LeafNotAfterBehavior::Permit),
        "truncate" => Ok(LeafNotAfterBehavior::Truncate),
        _ => Err(ApiError::bad_request(
            "Unknown value for field `leaf_not_after_behavior`. Possible values are `err`, \
             `truncate`, and `permit`.",
        )),
    }
}

fn parse_usage(names: &[String]) -> Result<Usage, ApiError> {
    let mut usage = Usage::NONE;
    for name in names {
        match name.as_str() {
            "crl-signing" => usage.crl_signing = true,
            "issuing-certificates" => usage.issuing_certificates = true,
            "ocsp-signing" => usage.ocsp_signing = true,
            "read-only" => {}
            _ => {
                return Err(ApiError::bad_request(format!(
                    "Unable to parse specified usages: [{}] - valid values are {}",
                    names.join(" "),
                    Usage::ALL.names()
                )));
            }
        }
    }
    Ok(usage)
}

fn check_usage(record: &IssuerRecord, issuer: &IssuerState) -> Result<(), ApiError> {
    if record.usage.issuing_certificates && record.revoked_at.is_some() {
        return Err(ApiError::bad_request(
            "This issuer was revoked; unable to modify its usage to include certificate signing \
             again. Reissue this certificate (preferably with a new key) and modify that entry \
             instead.",
        ));
    }
    let key_usage = issuer.certificate.key_usage();
    let may_sign_crls = key_usage.is_some_and(|usage| usage.contains(KeyUsage::CRL_SIGN));
    if record.usage.crl_signing && !may_sign_crls {
        return Err(ApiError::bad_request(
            "This issuer's underlying certificate lacks the CRLSign KeyUsage value; unable to set \
             CRLSigningUsage on this issuer as a result.",
        ));
    }
    Ok(())
}

/// The algorithm's name in its canonical case; empty for the key's default.
fn parse_algorithm(name: &str, issuer: &IssuerState) -> Result<&'static str, ApiError> {
    if name.is_empty() {
        return Ok("");
    }
    let algorithm = SignatureAlgorithm::from_name(name).ok_or_else(|| {
        ApiError::bad_request(
            "Unknown signature algorithm value: 0 - valid values are ecdsawithsha256, \
             ecdsawithsha384, ecdsawithsha512, ed25519, mldsa44, mldsa65, mldsa87, pureed25519, \
             sha256withrsa, sha256withrsapss, sha384withrsa, sha384withrsapss, sha512withrsa, \
             sha512withrsapss",
        )
    })?;
    let key = issuer.certificate.public_key().kind();
    if !algorithm.fits(key) {
        return Err(ApiError::bad_request(format!(
            "unable to use issuer of type {} to sign with {} key type",
            key_family(key),
            algorithm_text(algorithm)
        )));
    }
    Ok(algorithm.name())
}

/// An algorithm as this one message names it.
fn algorithm_text(algorithm: SignatureAlgorithm) -> String {
    let hash = |hash: Hash| match hash {
        Hash::Sha1 => "SHA1",
        Hash::Sha256 => "SHA256",
        Hash::Sha384 => "SHA384",
        Hash::Sha512 => "SHA512",
    };
    match algorithm {
        SignatureAlgorithm::Ecdsa(with) => format!("ECDSA-{}", hash(with)),
        SignatureAlgorithm::Ed25519 => "Ed25519".into(),
        SignatureAlgorithm::MlDsa(MlDsa::MlDsa44) => "ML-DSA-44".into(),
        SignatureAlgorithm::MlDsa(MlDsa::MlDsa65) => "ML-DSA-65".into(),
        SignatureAlgorithm::MlDsa(MlDsa::MlDsa87) => "ML-DSA-87".into(),
        SignatureAlgorithm::RsaPkcs1(with) => format!("{}-RSA", hash(with)),
        SignatureAlgorithm::RsaPss(with) => format!("{}-RSAPSS", hash(with)),
    }
}

/// The ids of the issuers that a manual chain names.
fn resolve_chain(
    state: &State,
    references: &[String],
    own_id: &str,
) -> Result<Vec<String>, ApiError> {
    references
        .iter()
        .map(|reference| {
            if reference == "self" {
                return Ok(own_id.to_owned());
            }
            let found = state.issuer(reference);
            found
                .map(|issuer| issuer.record.id.clone())
                .map_err(|error| ApiError::bad_request(error.to_string()))
        })
        .collect()
}
