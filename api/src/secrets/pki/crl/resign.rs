//! `resign-crls` and what it has in common with `sign-revocation-list`: lists that are signed as
//! they are asked for, and of which nothing is kept.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use signet_pki::crl::{Crl, CrlPlan, RevokedCertificate};
use signet_pki::plan::RawExtension;
use signet_pki::time::UnixTime;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, params, parse_duration_secs};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::crl::groups::{CrlSigner, crl_signer};
use crate::secrets::pki::state::{IssuerState, State};

pub(in crate::secrets::pki) struct Resign;

params! {
    pub(in crate::secrets::pki) struct ResignParams {
        /// Reference to the issuer: its id, its name or `default`.
        issuer_ref: String,
        /// The lists to merge, each one PEM block, all of them signed by the issuer.
        crls: CommaList,
        /// Number of the new list.
        crl_number: i64,
        /// Number of the list that the new one adds to, which makes it a delta CRL; -1 for none.
        delta_crl_base_number: Option<i64>,
        /// How long the new list is valid.
        next_update: String,
        /// `pem` or `der`.
        format: String,
    }
}

impl Endpoint for Resign {
    type Engine = Pki;
    type Params = ResignParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "issuer/{issuer_ref}/resign-crls")];
    const HELP: &'static str = "Merge revocation lists of an issuer and sign the result.";

    async fn handle(cx: Cx<'_, Pki>, params: ResignParams) -> Result<Reply, ApiError> {
        let order = Order::new(
            params.crl_number,
            params.delta_crl_base_number,
            &params.next_update,
            &params.format,
        )?;
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = list_signer(&state, &params.issuer_ref)?;
        let mut merged = Merged::default();
        for (index, text) in params.crls.0.iter().enumerate() {
            let crl = parse(text)
                .map_err(|detail| refused(format!("failed decoding crl {index}: {detail}")))?;
            let key = issuer.certificate.public_key();
            if crl.issuer_der() != issuer.certificate.subject_der()
                || crl.verify_signature(key).is_err()
            {
                return Err(refused(format!(
                    "CRL index: {index} was not signed by requested issuer"
                )));
            }
            merged.add(crl.revoked);
        }
        let revoked = merged.entries.into_values().collect();
        let reply = order.sign(cx, signer, revoked, Vec::new()).await?;
        Ok(reply.warn_all(merged.warnings))
    }
}

/// The list that a caller wants.
pub(super) struct Order {
    number: u64,
    delta_base: Option<u64>,
    valid_secs: i64,
    is_der: bool,
}

impl Order {
    pub(super) fn new(
        number: i64,
        delta_base: Option<i64>,
        next_update: &str,
        format: &str,
    ) -> Result<Self, ApiError> {
        let is_der = match format.to_ascii_lowercase().as_str() {
            "" | "pem" => false,
            "der" => true,
            _ => return Err(refused(format!("unknown format value of {format}"))),
        };
        let number = u64::try_from(number)
            .map_err(|_| refused("crl_number parameter must be 0 or greater".into()))?;
        let delta_base = match delta_base.unwrap_or(-1) {
            -1 => None,
            base => Some(u64::try_from(base).map_err(|_| {
                refused("delta_crl_base_number parameter must be -1 or greater".into())
            })?),
        };
        let valid_secs = if next_update.is_empty() {
            DEFAULT_VALID_SECS
        } else {
            parse_duration_secs(next_update)
                .map_err(|error| refused(format!("invalid value for next_update: {error}")))?
        };
        if valid_secs <= 0 {
            return Err(refused(
                "next_update parameter must be greater than 0".into(),
            ));
        }
        Ok(Self {
            number,
            delta_base,
            valid_secs,
            is_der,
        })
    }

    pub(super) async fn sign(
        &self,
        cx: Cx<'_, Pki>,
        signer: CrlSigner,
        revoked: Vec<RevokedCertificate>,
        extensions: Vec<RawExtension>,
    ) -> Result<Reply, ApiError> {
        let now_secs = cx.now.secs();
        let plan = CrlPlan {
            number: self.number,
            delta_base: self.delta_base,
            this_update: UnixTime(now_secs),
            next_update: Some(UnixTime(now_secs.saturating_add(self.valid_secs))),
            algorithm: signer.algorithm,
            extensions,
        };
        // However few the entries: the key may be a slow one.
        let sign = move || plan.sign(&signer.issuer, revoked);
        let der = cx
            .engine
            .env
            .environment
            .pool
            .run(sign)
            .await?
            .map_err(|error| ApiError::internal(format!("error signing CRL: {error}")))?;
        let crl = if self.is_der {
            STANDARD.encode(der)
        } else {
            signet_pki::pem::encode("X509 CRL", &der)
        };
        Reply::data(json!({ "crl": crl }))
    }
}

/// The issuer that a caller names, and how it signs lists.
pub(super) fn list_signer<'s>(
    state: &'s State,
    reference: &str,
) -> Result<(&'s IssuerState, CrlSigner), ApiError> {
    let issuer = state
        .issuer(reference)
        .map_err(|error| refused(format!("failed to resolve issuer issuer_ref: {error}")))?;
    let record = &issuer.record;
    let id = &record.id;
    if !record.usage.crl_signing {
        let name = match record.name.as_str() {
            "" => String::new(),
            name => format!(" / name:{name}"),
        };
        return Err(refused(format!(
            "error while attempting to use issuer {id}: requested usage crl-signing for issuer \
             [id:{id}{name}] but only had usage {}",
            record.usage.names()
        )));
    }
    let signer = crl_signer(issuer, state).ok_or_else(|| {
        refused(format!(
            "unable to use issuer {id} for signing: it has no key, or its certificate lacks the \
             key usage CRL Sign"
        ))
    })?;
    Ok((issuer, signer))
}

/// Errors of these paths are never lists.
pub(super) fn refused(text: String) -> ApiError {
    ApiError::bad_request(text)
}

fn parse(text: &str) -> Result<Crl, String> {
    let one_block = || "invalid crl; should be one PEM block only".to_owned();
    let (block, rest) = signet_pki::pem::next_block(text).ok_or_else(one_block)?;
    if !rest.trim().is_empty() {
        return Err(one_block());
    }
    Crl::parse_der(&block.der).map_err(|error| error.to_string())
}

/// Entries of several lists, each certificate once.
#[derive(Default)]
struct Merged {
    entries: BTreeMap<Vec<u8>, RevokedCertificate>,
    warnings: Vec<String>,
}

impl Merged {
    fn add(&mut self, revoked: Vec<RevokedCertificate>) {
        for entry in revoked {
            let serial = entry.serial;
            let known = self
                .entries
                .entry(serial.as_bytes().to_vec())
                .or_insert_with(|| entry.clone());
            if known.revoked_at == entry.revoked_at {
                continue;
            }
            let warning = format!(
                "Duplicate serial {} with different revocation times detected, using oldest \
                 revocation time",
                serial.to_colon_hex()
            );
            if self.warnings.len() < MAX_WARNINGS {
                self.warnings.push(warning);
            }
            if entry.revoked_at < known.revoked_at {
                *known = entry;
            }
        }
    }
}

const DEFAULT_VALID_SECS: i64 = 72 * 3600;
/// Of the same kind; the first ones say enough.
const MAX_WARNINGS: usize = 100;
