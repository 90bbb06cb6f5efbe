//! `sys/leader`, `sys/ha-status` and `sys/host-info`: the one node there is.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct Leader;

impl Endpoint for Leader {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "leader")];
    const HELP: &'static str =
        "Returns the high availability status and current leader instance of the server.";

    async fn handle(_cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::bare(json!({
            "ha_enabled": false,
            "is_self": false,
            "active_time": "0001-01-01T00:00:00Z",
            "leader_address": "",
            "leader_cluster_address": "",
            "performance_standby": false,
            "performance_standby_last_remote_wal": 0,
        }))
    }
}

pub(super) struct HaStatus;

impl Endpoint for HaStatus {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "ha-status")];
    const HELP: &'static str = "Provides information about the nodes in the cluster.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::flattened(json!({ "nodes": [{
            "hostname": host_name().await,
            "api_address": "",
            "cluster_address": "",
            "active_node": true,
            "last_echo": null,
            "version": cx.node.settings.version,
        }] }))
    }
}

pub(super) struct HostInfo;

impl Endpoint for HostInfo {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "host-info")];
    const HELP: &'static str = "Information about the host that the server runs on.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cpus: Vec<_> = (0..cores).map(|cpu| json!({ "cpu": cpu })).collect();
        Reply::data(json!({
            "timestamp": cx.now.rfc3339(),
            "cpu": cpus,
            "cpu_times": null,
            "disk": null,
            "host": {
                "hostname": host_name().await,
                "os": std::env::consts::OS,
                "kernelArch": std::env::consts::ARCH,
            },
            "memory": null,
        }))
    }
}

async fn host_name() -> String {
    let read = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await;
    read.map_or_else(|_| "localhost".into(), |name| name.trim().to_owned())
}
