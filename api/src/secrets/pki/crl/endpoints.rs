//! The CRLs as clients fetch them, and `crl/rotate`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::conditional::Condition;
use crate::secrets::pki::crl::published::{List, Published};
use crate::secrets::pki::state::IssuerState;

/// The default issuer's lists, not wrapped in JSON.
pub(in crate::secrets::pki) struct Fetch;

impl Endpoint for Fetch {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "crl"),
        Route::unauthenticated(Op::Read, "crl/pem"),
        Route::unauthenticated(Op::Read, "crl/delta"),
        Route::unauthenticated(Op::Read, "crl/delta/pem"),
        Route::unauthenticated(Op::Read, "cert/crl/raw"),
        Route::unauthenticated(Op::Read, "cert/crl/raw/pem"),
        Route::unauthenticated(Op::Read, "cert/delta-crl/raw"),
        Route::unauthenticated(Op::Read, "cert/delta-crl/raw/pem"),
    ];
    const HELP: &'static str = "Fetch the CRL of the default issuer.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let shape = Shape::of_path(cx.relative_path());
        let content_type = if shape.is_pem { PEM } else { DER };
        let state = cx.engine.state.state().await?;
        let Ok(issuer) = state.issuer("default") else {
            return Ok(nothing(content_type));
        };
        let Some(published) = published_of(cx, issuer).await? else {
            return Ok(nothing(content_type));
        };
        let list = shape.list(&published);
        shape.condition(cx, "default", issuer, list).reply(|| {
            let body = if shape.is_pem {
                list.trimmed_pem()
            } else {
                list.der.clone()
            };
            Ok(Reply::raw(content_type, body))
        })
    }
}

/// The default issuer's lists in JSON.
pub(in crate::secrets::pki) struct FetchJson;

impl Endpoint for FetchJson {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "cert/crl"),
        Route::unauthenticated(Op::Read, "cert/delta-crl"),
    ];
    const HELP: &'static str = "Fetch the CRL of the default issuer in JSON.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let shape = Shape::of_path(cx.relative_path());
        let state = cx.engine.state.state().await?;
        let issuer = state
            .issuer("default")
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let Some(published) = published_of(cx, issuer).await? else {
            return Err(ApiError::not_found());
        };
        let list = shape.list(&published);
        shape.condition(cx, "default", issuer, list).reply(|| {
            Reply::data(json!({
                "certificate": text(&list.trimmed_pem())?,
                "revocation_time": 0,
                "revocation_time_rfc3339": "",
            }))
        })
    }
}

params! {
    pub(in crate::secrets::pki) struct IssuerParams {
        /// Reference to the issuer: its id, its name or `default`.
        issuer_ref: String,
    }
}

/// The lists of any issuer.
pub(in crate::secrets::pki) struct FetchOfIssuer;

impl Endpoint for FetchOfIssuer {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl/der"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl/pem"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl/delta"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl/delta/der"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/crl/delta/pem"),
    ];
    const HELP: &'static str = "Fetch the CRL of an issuer.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let path = cx.relative_path();
        let shape = Shape::of_path(path);
        let is_json = !shape.is_pem && !path.ends_with("/der");
        let state = cx.engine.state.state().await?;
        let failed = |text: String| ApiError::listed(ErrorKind::Internal, text);
        let issuer = state
            .issuer(&params.issuer_ref)
            .map_err(|error| failed(error.to_string()))?;
        let Some(published) = published_of(cx, issuer).await? else {
            return Err(failed(format!(
                "unable to find CRL for issuer: id:{}/ref:{}",
                issuer.record.id, params.issuer_ref
            )));
        };
        let list = shape.list(&published);
        let resource = params.issuer_ref.to_ascii_lowercase();
        shape
            .condition(cx, &resource, issuer, list)
            .reply(|| match (is_json, shape.is_pem) {
                (true, _) => Reply::data(json!({ "crl": text(&list.pem())? })),
                (false, true) => Ok(Reply::raw(PEM, list.pem())),
                (false, false) => Ok(Reply::raw(DER, list.der.clone())),
            })
    }
}

/// Build all lists now.
pub(in crate::secrets::pki) struct Rotate;

impl Endpoint for Rotate {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "crl/rotate")];
    const HELP: &'static str = "Force a rebuild of the CRL.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let warnings = cx.engine.crls.rotate(&state, false, cx.now).await?;
        Ok(Reply::data(json!({ "success": true }))?.warn_all(warnings))
    }
}

/// Build all delta lists now.
pub(in crate::secrets::pki) struct RotateDelta;

impl Endpoint for RotateDelta {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "crl/rotate-delta")];
    const HELP: &'static str = "Force a rebuild of the delta CRL.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let reply = Reply::data(json!({ "success": true }))?;
        if !state.crl_config.enable_delta {
            return Ok(reply.warn(
                "requested rebuild of delta CRL when delta CRL is not enabled; this is a no-op",
            ));
        }
        let warnings = cx.engine.crls.rotate(&state, true, cx.now).await?;
        Ok(reply.warn_all(warnings))
    }
}

/// Which list a path asks for, and how it is written.
#[derive(Clone, Copy)]
struct Shape {
    is_delta: bool,
    is_pem: bool,
}

impl Shape {
    fn of_path(path: &str) -> Self {
        Self {
            is_delta: path
                .split('/')
                .any(|segment| matches!(segment, "delta" | "delta-crl")),
            is_pem: path.ends_with("/pem"),
        }
    }

    fn list(self, published: &Published) -> &Arc<List> {
        if self.is_delta {
            &published.delta
        } else {
            &published.complete
        }
    }

    fn condition(
        self,
        cx: Cx<'_, Pki>,
        reference: &str,
        issuer: &IssuerState,
        list: &List,
    ) -> Condition {
        let kind = if self.is_delta { "delta" } else { "complete" };
        let resource = format!("crl/{kind}/{reference}");
        Condition::check(cx, &resource, &(issuer.authority, list.number()))
    }
}

async fn published_of(
    cx: Cx<'_, Pki>,
    issuer: &IssuerState,
) -> Result<Option<Arc<Published>>, ApiError> {
    let state = cx.engine.state.state().await?;
    cx.engine
        .crls
        .current(&state, issuer.authority, cx.now)
        .await
}

fn nothing(content_type: &'static str) -> Reply {
    Reply::raw(content_type, "").status(204)
}

fn text(pem: &Bytes) -> Result<&str, ApiError> {
    std::str::from_utf8(pem).map_err(ApiError::internal)
}

const DER: &str = "application/pkix-crl";
const PEM: &str = "application/x-pem-file";
