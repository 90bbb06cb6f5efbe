//! `sys/metrics`: what monitoring reads.

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::metrics::{to_json, to_prometheus};
use crate::params::params;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct ReadMetrics;

params! {
    pub(super) struct MetricsParams {
        /// Format to export metrics into: empty for JSON, or "prometheus".
        format: String,
    }
}

impl Endpoint for ReadMetrics {
    type Engine = Sys;
    type Params = MetricsParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "metrics")];
    const HELP: &'static str = "Export the metrics aggregated for telemetry purpose.";

    async fn handle(cx: Cx<'_, Sys>, params: MetricsParams) -> Result<Reply, ApiError> {
        let wants_text = cx
            .call
            .header("accept")
            .is_some_and(|accept| accept.contains("application/openmetrics-text"));
        match params.format.as_str() {
            "" | "prometheus" => {}
            other => {
                let text = format!("metric response format {other:?} unknown");
                return Ok(Reply::raw("text/plain", text).status(400));
            }
        }
        let metrics = cx.node.metrics(cx.core()?, cx.now).await?;
        if params.format == "prometheus" || wants_text {
            let text = to_prometheus(&metrics);
            return Ok(Reply::raw("text/plain; version=0.0.4; charset=utf-8", text));
        }
        Reply::bare(to_json(&metrics, cx.now))
    }
}
