//! `sys/config`: the running configuration.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct SanitizedState;

impl Endpoint for SanitizedState {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config/state/sanitized")];
    const HELP: &'static str = "Returns the configuration of the server without its secrets.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let settings = &cx.node.settings;
        let seal = cx.node.seal_status().await?.kind;
        Reply::data(json!({
            "cluster_name": settings.cluster_name,
            "default_lease_ttl": settings.system_ttl.default_secs,
            "max_lease_ttl": settings.system_ttl.max_secs,
            "seals": [{ "type": seal.as_str(), "disabled": false }],
            "storage": { "type": settings.storage_type },
        }))
    }
}

pub(super) struct Reload;

params! {
    pub(super) struct ReloadParams {
        /// The part of the configuration to read again.
        subsystem: String,
    }
}

impl Endpoint for Reload {
    type Engine = Sys;
    type Params = ReloadParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "config/reload/{subsystem}")];
    const HELP: &'static str =
        "Reload a part of the configuration. Certificates and log files are reloaded by SIGHUP.";

    async fn handle(_cx: Cx<'_, Sys>, params: ReloadParams) -> Result<Reply, ApiError> {
        Err(ApiError::bad_request(format!(
            "subsystem {:?} cannot be reloaded here; send the process a SIGHUP",
            params.subsystem
        )))
    }
}
