//! `sys/capabilities`: what a token may do on a path.

use serde_json::{Map, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{CommaList, params};
use crate::reply::Reply;
use crate::sys::Sys;
use crate::token::{GivenToken, Token};

pub(super) struct OfCaller;

params! {
    pub(super) struct OfCallerParams {
        /// Use 'paths' instead.
        path: CommaList,
        /// Paths on which capabilities are being queried.
        paths: CommaList,
        /// Accepted: it is always the token of the request.
        token: GivenToken,
    }
}

impl Endpoint for OfCaller {
    type Engine = Sys;
    type Params = OfCallerParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "capabilities-self")];
    const HELP: &'static str = "Fetches the capabilities of the given token on the given path.";

    async fn handle(cx: Cx<'_, Sys>, params: OfCallerParams) -> Result<Reply, ApiError> {
        let _ = params.token;
        capabilities(cx, cx.caller()?, params.path, params.paths).await
    }
}

pub(super) struct OfToken;

params! {
    pub(super) struct OfTokenParams {
        /// Use 'paths' instead.
        path: CommaList,
        /// Paths on which capabilities are being queried.
        paths: CommaList,
        /// Token for which capabilities are being queried.
        token: GivenToken,
    }
}

impl Endpoint for OfToken {
    type Engine = Sys;
    type Params = OfTokenParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "capabilities")];
    const HELP: &'static str = "Fetches the capabilities of the given token on the given path.";

    async fn handle(cx: Cx<'_, Sys>, params: OfTokenParams) -> Result<Reply, ApiError> {
        let secret = params
            .token
            .optional()?
            .ok_or_else(|| refused("no token found"))?;
        let found = cx.core()?.tokens.lookup(secret, cx.now).await?;
        let token = found.ok_or_else(|| refused("invalid token"))?;
        capabilities(cx, &token, params.path, params.paths).await
    }
}

pub(super) struct OfAccessor;

params! {
    pub(super) struct OfAccessorParams {
        /// Accessor of the token for which capabilities are being queried.
        accessor: String,
        /// Use 'paths' instead.
        path: CommaList,
        /// Paths on which capabilities are being queried.
        paths: CommaList,
    }
}

impl Endpoint for OfAccessor {
    type Engine = Sys;
    type Params = OfAccessorParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "capabilities-accessor")];
    const HELP: &'static str = "Fetches the capabilities of the token associated with the given accessor, on the given path.";

    async fn handle(cx: Cx<'_, Sys>, params: OfAccessorParams) -> Result<Reply, ApiError> {
        if params.accessor.is_empty() {
            return Err(ApiError::bad_request("missing accessor"));
        }
        let tokens = &cx.core()?.tokens;
        let found = tokens.lookup_accessor(&params.accessor, cx.now).await?;
        let token = found.ok_or_else(|| refused("invalid accessor"))?;
        capabilities(cx, &token, params.path, params.paths).await
    }
}

async fn capabilities(
    cx: Cx<'_, Sys>,
    token: &Token,
    path: CommaList,
    paths: CommaList,
) -> Result<Reply, ApiError> {
    let mut paths = if paths.0.is_empty() { path.0 } else { paths.0 };
    paths.retain(|path| !path.is_empty());
    if paths.is_empty() {
        return Err(ApiError::bad_request("paths must be supplied"));
    }
    let acl = cx.core()?.policies.acl(token, cx.now).await?;
    let mut data = Map::new();
    for path in &paths {
        data.insert(path.clone(), json!(acl.capabilities(path)));
    }
    if let [only] = paths.as_slice() {
        data.insert("capabilities".into(), json!(acl.capabilities(only)));
    }
    Reply::flattened(data)
}

fn refused(text: &str) -> ApiError {
    ApiError::listed(ErrorKind::BadRequest, text)
}
