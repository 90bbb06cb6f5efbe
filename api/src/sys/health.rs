//! `sys/health`: what probes look at.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct Health;

params! {
    pub(super) struct HealthParams {
        /// Status code to answer when active.
        activecode: Option<String>,
        /// Status code to answer when a disaster recovery secondary; there are none.
        drsecondarycode: Option<String>,
        /// Status code to answer when the high availability storage is unhealthy; there is none.
        haunhealthycode: Option<String>,
        /// Status code to answer when a performance standby; there are none.
        performancestandbycode: Option<String>,
        /// Answer as if active when a performance standby; there are none.
        perfstandbyok: Option<String>,
        /// Status code to answer when removed from the cluster; that cannot happen.
        removedcode: Option<String>,
        /// Status code to answer when sealed.
        sealedcode: Option<String>,
        /// Status code to answer when a standby; there are none.
        standbycode: Option<String>,
        /// Answer as if active when a standby; there are none.
        standbyok: Option<String>,
        /// Status code to answer when not initialized.
        uninitcode: Option<String>,
    }
}

impl Endpoint for Health {
    type Engine = Sys;
    type Params = HealthParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "health")];
    const HELP: &'static str = "Returns the health status of the server.";

    async fn handle(cx: Cx<'_, Sys>, params: HealthParams) -> Result<Reply, ApiError> {
        let active = code(params.activecode.as_ref(), 200)?;
        let sealed_code = code(params.sealedcode.as_ref(), 503)?;
        let uninitialized = code(params.uninitcode.as_ref(), 501)?;
        for unused in [
            &params.drsecondarycode,
            &params.haunhealthycode,
            &params.performancestandbycode,
            &params.removedcode,
            &params.standbycode,
        ] {
            code(unused.as_ref(), 200)?;
        }
        // Nodes of those kinds do not exist.
        let _ = (params.perfstandbyok, params.standbyok);
        let initialized = cx.node.sealed.seal_config().await?.is_some();
        let core = cx.core().ok();
        let sealed = core.is_none();
        let status = match (initialized, sealed) {
            (false, _) => uninitialized,
            (true, true) => sealed_code,
            (true, false) => active,
        };
        let mode = if sealed { "unknown" } else { "disabled" };
        let mut body = json!({
            "initialized": initialized,
            "sealed": sealed,
            "standby": sealed,
            "performance_standby": false,
            "replication_performance_mode": mode,
            "replication_dr_mode": mode,
            "server_time_utc": cx.now.secs(),
            "version": cx.node.settings.version,
            "enterprise": false,
            "echo_duration_ms": 0,
            "clock_skew_ms": 0,
        });
        if let (Some(core), Some(map)) = (core, body.as_object_mut()) {
            map.insert("cluster_name".into(), core.cluster.name.clone().into());
            map.insert("cluster_id".into(), core.cluster.id.clone().into());
        }
        Ok(Reply::bare(body)?.status(status))
    }
}

/// A code that a probe asks for. Informational and impossible ones are refused.
fn code(given: Option<&String>, default: u16) -> Result<u16, ApiError> {
    match given {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|code| (200..=599).contains(code))
            .ok_or_else(|| ApiError::bad_request("")),
    }
}
