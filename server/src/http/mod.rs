//! The HTTP edge: bytes in, [`signet_api::call::Call`]; [`Response`] out, bytes.

mod body;
mod request;
mod response;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use signet_api::call::Peer;
use signet_api::node::Node;

pub(crate) use serve::serve;

/// Bounds on what one request may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest body; a larger one is answered 413.
    pub(crate) body_bytes: usize,
    /// Keys and string values together.
    pub(crate) json_strings: usize,
    /// Arrays and objects within each other.
    pub(crate) json_depth: usize,
    /// Longest time that a request may take, its body included.
    pub(crate) duration: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 33_554_432,
            json_strings: 10_000,
            json_depth: 100,
            duration: std::time::Duration::from_secs(90),
        }
    }
}

#[derive(Clone, Debug)]
struct Edge {
    node: Arc<Node>,
    limits: Limits,
}

/// The whole API as one service; the connection adds a [`Peer`] to each request.
pub(crate) fn router(node: Arc<Node>, limits: Limits) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Edge { node, limits })
}

async fn answer(State(edge): State<Edge>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.get::<Peer>().cloned() else {
        return response::refusal(500, "");
    };
    let work = async {
        match request::read(&edge.limits, edge.node.rng(), peer, &parts, body).await {
            Ok(call) => {
                let head = parts.method == axum::http::Method::HEAD;
                response::write(edge.node.handle(call).await, head)
            }
            Err(refused) => refused.into_response(),
        }
    };
    match tokio::time::timeout(edge.limits.duration, work).await {
        Ok(response) => response,
        Err(_) => response::refusal(503, "request took too long"),
    }
}
