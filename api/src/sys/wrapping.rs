//! `sys/wrapping/`: answers that were put aside.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{FreeForm, params};
use crate::reply::{Body, Reply};
use crate::sys::Sys;
use crate::token::GivenToken;
use crate::wrap;

params! {
    pub(super) struct WrappingParams {
        /// The wrapping token; without it, the token of the request is one.
        token: GivenToken,
    }
}

pub(super) struct Wrap;

impl Endpoint for Wrap {
    type Engine = Sys;
    type Params = FreeForm;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "wrapping/wrap")];
    const HELP: &'static str = "Response-wraps an arbitrary JSON object.";

    async fn handle(cx: Cx<'_, Sys>, params: FreeForm) -> Result<Reply, ApiError> {
        if cx.call.wrap.is_none() {
            return Err(ApiError::bad_request(
                "endpoint requires response wrapping to be used",
            ));
        }
        Reply::data(params.0)
    }
}

pub(super) struct LookUp;

impl Endpoint for LookUp {
    type Engine = Sys;
    type Params = WrappingParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "wrapping/lookup"),
        Route::unauthenticated(Op::Write, "wrapping/lookup"),
    ];
    const HELP: &'static str = "Looks up the properties of a response-wrapped token.";

    async fn handle(cx: Cx<'_, Sys>, params: WrappingParams) -> Result<Reply, ApiError> {
        let token = wrap::find(cx.core()?, &cx.call, &params.token, cx.now).await?;
        Reply::data(json!({
            "creation_path": token.path,
            "creation_time": token.created_at.rfc3339(),
            "creation_ttl": token.creation_ttl_secs,
        }))
    }
}

pub(super) struct Unwrap;

impl Endpoint for Unwrap {
    type Engine = Sys;
    type Params = WrappingParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "wrapping/unwrap")];
    const HELP: &'static str = "Unwraps a response-wrapped token.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Sys>, params: WrappingParams) -> Result<Reply, ApiError> {
        let opened = wrap::open(cx.request, &params.token).await?;
        cx.commit(opened.batch).await?;
        wrap::discard(cx.request, &opened.token).await?;
        Ok(Reply {
            body: Body::Unwrapped(opened.wrapping.into_bytes()),
            ..Reply::default()
        })
    }
}

pub(super) struct Rewrap;

impl Endpoint for Rewrap {
    type Engine = Sys;
    type Params = WrappingParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "wrapping/rewrap")];
    const HELP: &'static str = "Rotates a response-wrapped token.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Sys>, params: WrappingParams) -> Result<Reply, ApiError> {
        let mut opened = wrap::open(cx.request, &params.token).await?;
        let info = wrap::put_aside(cx.request, &mut opened.batch, opened.wrapping)?;
        cx.commit(opened.batch).await?;
        wrap::discard(cx.request, &opened.token).await?;
        Ok(Reply::wrapped(info))
    }
}
