//! `sign-self-issued`: an authority's own certificate, signed anew by an issuer of the mount.

use serde_json::json;
use signet_pki::cert::Certificate;
use signet_pki::vet;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::format::key_family;

pub(super) struct Sign;

params! {
    pub(super) struct SignParams {
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// PEM-format self-issued certificate.
        certificate: String,
        /// Refuse a certificate whose key is of another family than the issuer's.
        require_matching_certificate_algorithms: bool,
    }
}

impl Endpoint for Sign {
    type Engine = Pki;
    type Params = SignParams;

    const ROUTES: &'static [Route] = &[
        Route::sudo(Op::Write, "root/sign-self-issued"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign-self-issued"),
    ];
    const HELP: &'static str = "Re-issue a self-signed certificate based on the provided one.";

    async fn handle(cx: Cx<'_, Pki>, params: SignParams) -> Result<Reply, ApiError> {
        let certificate = parse(&params.certificate)?;
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &params.issuer_ref)?;
        let vetted = vet::reissue(&certificate, signer)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let own = key_family(signer.public_key().kind());
        let submitted = key_family(certificate.public_key().kind());
        if params.require_matching_certificate_algorithms && own != submitted {
            return Err(ApiError::bad_request(format!(
                "signing certificate's public key algorithm ({own}) does not match submitted \
                 certificate's ({submitted}), and require_matching_certificate_algorithms is true"
            )));
        }
        let reissued = cx
            .engine
            .sign_with_serial(vetted, signer, certificate.serial())
            .await?;
        Reply::data(json!({
            "certificate": reissued.to_pem_without_newline(),
            "issuing_ca": issuer.link.trimmed_pem(),
        }))
    }
}

fn parse(text: &str) -> Result<Certificate, ApiError> {
    let (block, rest) = signet_pki::pem::next_block(text)
        .ok_or_else(|| ApiError::bad_request("certificate could not be PEM-decoded"))?;
    let mut others = 0;
    let mut rest = rest;
    while let Some((_, after)) = signet_pki::pem::next_block(rest) {
        others += 1;
        rest = after;
    }
    if others > 0 {
        let text = format!("{} certificates found in PEM file, expected 1", others + 1);
        return Err(ApiError::bad_request(text));
    }
    Certificate::parse_der(block.der.to_vec())
        .map_err(|error| ApiError::bad_request(format!("error parsing certificate: {error}")))
}
