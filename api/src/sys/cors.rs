//! `sys/config/cors`: which web pages of other origins may call the API.

use serde_json::json;
use signet_storage::Batch;

use crate::call::Op;
use crate::cors::CorsConfig;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, NoParams, params};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct ReadCors;

impl Endpoint for ReadCors {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Read, "config/cors")];
    const HELP: &'static str = "Return the current CORS settings.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        match cx.core()?.cors.config() {
            None => Reply::flattened(json!({ "enabled": false })),
            Some(config) => Reply::flattened(json!({
                "enabled": true,
                "allowed_origins": config.allowed_origins,
                "allowed_headers": config.headers(),
            })),
        }
    }
}

pub(super) struct WriteCors;

params! {
    pub(super) struct CorsParams {
        /// Request headers that may be sent, beyond the standard ones.
        allowed_headers: CommaList,
        /// Origins that may call, or "*" for all.
        allowed_origins: CommaList,
        /// Accepted for old clients; CORS is enabled by setting origins.
        enable: Option<bool>,
    }
}

impl Endpoint for WriteCors {
    type Engine = Sys;
    type Params = CorsParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "config/cors")];
    const HELP: &'static str = "Configure the CORS settings.";

    async fn handle(cx: Cx<'_, Sys>, params: CorsParams) -> Result<Reply, ApiError> {
        let _ = params.enable;
        let origins = params.allowed_origins.0;
        if origins.iter().all(String::is_empty) {
            return Err(ApiError::bad_request(
                "at least one origin or the wildcard must be provided",
            ));
        }
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            return Err(ApiError::bad_request(
                "to allow all origins the '*' must be the only value for allowed_origins",
            ));
        }
        let config = CorsConfig {
            allowed_origins: origins,
            allowed_headers: params.allowed_headers.0,
        };
        let cors = &cx.core()?.cors;
        let mut batch = Batch::default();
        cors.stage(&mut batch, Some(&config))?;
        cx.commit(batch).await?;
        cors.adopt(Some(config));
        Ok(Reply::nothing())
    }
}

pub(super) struct DeleteCors;

impl Endpoint for DeleteCors {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Delete, "config/cors")];
    const HELP: &'static str = "Remove the CORS settings; no page of another origin may call.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let cors = &cx.core()?.cors;
        let mut batch = Batch::default();
        cors.stage(&mut batch, None)?;
        cx.commit(batch).await?;
        cors.adopt(None);
        Ok(Reply::nothing())
    }
}
