//! `sys/internal/counters`: how many tokens and entities there are.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct Tokens;

impl Endpoint for Tokens {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "internal/counters/tokens")];
    const HELP: &'static str = "Count of active service tokens.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let total = cx.core()?.tokens.count().await?;
        Reply::data(json!({ "counters": { "service_tokens": { "total": total } } }))
    }
}

pub(super) struct Entities;

impl Endpoint for Entities {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "internal/counters/entities")];
    const HELP: &'static str = "Count of entities; none are kept.";

    async fn handle(_cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::data(json!({ "counters": { "entities": { "total": 0 } } }))
    }
}
