//! `sys/health` and `sys/seal-status`: what probes and clients look at first.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, Params, params};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct Health;

params! {
    pub(super) struct HealthParams {
        /// Status code to answer when active.
        activecode: Option<i64>,
        /// Status code to answer when sealed.
        sealedcode: Option<i64>,
        /// Status code to answer when not initialized.
        uninitcode: Option<i64>,
        /// Accepted: there are no standby nodes.
        standbyok: bool,
    }
}

impl Endpoint for Health {
    type Engine = Sys;
    type Params = HealthParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "health")];
    const HELP: &'static str = "Returns the health status of the server.";

    async fn handle(cx: Cx<'_, Sys>, params: HealthParams) -> Result<Reply, ApiError> {
        let _ = params.standbyok;
        let initialized = cx.node.sealed.seal_config().await?.is_some();
        let core = cx.core().ok();
        let sealed = core.is_none();
        let (code, default) = match (initialized, sealed) {
            (false, _) => (params.uninitcode, 501),
            (true, true) => (params.sealedcode, 503),
            (true, false) => (params.activecode, 200),
        };
        let mode = if sealed { "unknown" } else { "disabled" };
        let mut body = json!({
            "initialized": initialized,
            "sealed": sealed,
            "standby": sealed,
            "replication_performance_mode": mode,
            "replication_dr_mode": mode,
            "server_time_utc": cx.now.secs(),
            "version": cx.node.settings.version,
            "enterprise": false,
        });
        if let (Some(core), Some(map)) = (core, body.as_object_mut()) {
            map.insert("cluster_name".into(), core.cluster.name.clone().into());
            map.insert("cluster_id".into(), core.cluster.id.clone().into());
        }
        let status = code
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(default);
        Ok(Reply::bare(body)?.status(status))
    }
}

pub(super) struct SealStatus;

impl Endpoint for SealStatus {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "seal-status")];
    const HELP: &'static str = "Returns the seal status of the server.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let _ = cx;
        let _ = NoParams::FIELDS;
        Reply::bare(json!({}))
    }
}
