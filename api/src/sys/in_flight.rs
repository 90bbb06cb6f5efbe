//! `sys/in-flight-req`: requests that are being answered right now.

use serde_json::{Map, Value, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct InFlightRequests;

impl Endpoint for InFlightRequests {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "in-flight-req")];
    const HELP: &'static str = "Reports in-flight requests.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let running: Map<String, Value> = cx
            .node
            .in_flight
            .all()
            .into_iter()
            .map(|running| {
                let call = &running.call;
                let shown = json!({
                    "start_time": running.began.rfc3339(),
                    "client_remote_address": call.peer.address.to_string(),
                    "request_path": format!("/v1/{}", call.path),
                    "request_method": method(call.op),
                    "client_id": "",
                });
                (call.id.clone(), shown)
            })
            .collect();
        Reply::bare(running)
    }
}

fn method(op: Op) -> &'static str {
    match op {
        Op::Delete => "DELETE",
        Op::Help | Op::Read => "GET",
        Op::List => "LIST",
        Op::Patch => "PATCH",
        Op::Write => "PUT",
    }
}
