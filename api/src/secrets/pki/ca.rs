//! `ca`, `ca_chain` and their kin: the default issuer's certificates, for everybody.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::conditional::Condition;
use crate::secrets::pki::state::IssuerState;

pub(super) struct Fetch;

impl Endpoint for Fetch {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "ca"),
        Route::unauthenticated(Op::Read, "ca/pem"),
        Route::unauthenticated(Op::Read, "cert/ca/raw"),
        Route::unauthenticated(Op::Read, "cert/ca/raw/pem"),
    ];
    const HELP: &'static str = "Fetch the certificate of the default issuer.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let is_pem = cx.relative_path().ends_with("/pem");
        let content_type = if is_pem { PEM } else { DER };
        let state = cx.engine.state.state().await?;
        let Ok(issuer) = state.issuer("default") else {
            return Ok(Reply::raw(content_type, "").status(204));
        };
        Condition::check(cx, "ca", &issuer.link.der).reply(|| {
            Ok(if is_pem {
                Reply::raw(content_type, issuer.link.trimmed_pem().to_owned())
            } else {
                Reply::raw(content_type, issuer.link.der.clone())
            })
        })
    }
}

pub(super) struct FetchChain;

impl Endpoint for FetchChain {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Read, "ca_chain")];
    const HELP: &'static str = "Fetch the chain of the default issuer.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        // PEM under the content type of DER, as clients have always got it.
        Ok(match state.issuer("default") {
            Err(_) => Reply::raw(DER, "").status(204),
            Ok(issuer) => Reply::raw(DER, chain(issuer)),
        })
    }
}

pub(super) struct FetchJson;

impl Endpoint for FetchJson {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "cert/ca"),
        Route::unauthenticated(Op::Read, "cert/ca_chain"),
    ];
    const HELP: &'static str = "Fetch the certificate or chain of the default issuer in JSON.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = state
            .issuer("default")
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        if cx.relative_path().ends_with("ca_chain") {
            let chain = chain(issuer);
            return Reply::data(json!({
                "ca_chain": chain,
                "certificate": chain,
                "revocation_time": 0,
                "revocation_time_rfc3339": "",
            }));
        }
        Condition::check(cx, "ca", &issuer.link.der).reply(|| {
            Reply::data(json!({
                "certificate": issuer.link.trimmed_pem(),
                "revocation_time": 0,
                "revocation_time_rfc3339": "",
            }))
        })
    }
}

fn chain(issuer: &IssuerState) -> String {
    let links: Vec<&str> = issuer.chain.iter().map(|link| link.trimmed_pem()).collect();
    links.join("\n")
}

pub(super) const DER: &str = "application/pkix-cert";
pub(super) const PEM: &str = "application/pem-certificate-chain";
