//! The HTTP edge: bytes in, [`signet_api::call::Call`]; [`signet_api::reply::Response`] out, bytes.

mod body;
mod connection;
mod conversation;
mod cors;
mod policy;
mod request;
mod response;
mod serve;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use axum::http::{HeaderName, Method, Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use signet_api::call::Peer;
use signet_api::node::Node;
use tracing::Instrument as _;

pub(crate) use connection::{Activity, ConnectionLimits, Watched};
pub(crate) use conversation::{canonical, converse, peer};
pub(crate) use policy::{
    CustomHeaders, ForwardedFor, Limits, MetricsAccess, Policy, Restrictions, StatusSelector,
};
pub(crate) use serve::{Connections, Socket, serve};

/// The whole API behind one listener.
#[derive(Debug)]
pub(crate) struct Edge {
    node: Arc<Node>,
    policy: ArcSwap<Policy>,
    requests: AtomicU64,
}

impl Edge {
    pub(crate) fn new(node: Arc<Node>, policy: Policy) -> Arc<Self> {
        Arc::new(Self {
            node,
            policy: ArcSwap::from_pointee(policy),
            requests: AtomicU64::new(0),
        })
    }

    /// What holds for requests from now on.
    pub(crate) fn reload(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Requests since the start.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
    {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let policy = self.policy.load_full();
        let (parts, body) = request.into_parts();
        let cors = self.node.core().and_then(|core| core.cors.config());
        let origin = match cors::judge(cors.as_deref(), &parts) {
            cors::Verdict::GoOn(origin) => origin,
            cors::Verdict::Answer(answer) => return *answer,
        };
        let is_head = parts.method == Method::HEAD;
        let namespace = parts.headers.get(NAMESPACE).cloned();
        let work = async {
            let mut body = pin!(body);
            let read = request::read(&policy, &self.node, peer, &parts, body.as_mut()).await;
            body::discard(body).await;
            let call = match read {
                Ok(call) => call,
                Err(refused) => return refused.into_response(),
            };
            let span = tracing::debug_span!("request", request_id = %call.id);
            let answer = self.node.handle(call).instrument(span).await;
            response::write(answer, is_head)
        };
        let mut response = match tokio::time::timeout(policy.limits.duration, work).await {
            Ok(response) => response,
            Err(_) => response::refusal(503, "request took too long"),
        };
        let status = response.status().as_u16();
        let headers = response.headers_mut();
        if let Some(origin) = origin {
            cors::allow(&origin, headers);
        }
        if let Some(namespace) = namespace {
            headers.insert(NAMESPACE, namespace);
        }
        if let Some(hostname) = &policy.hostname {
            headers.insert(HOSTNAME, hostname.clone());
        }
        policy.custom_headers.apply(status, headers);
        response
    }
}

const HOSTNAME: HeaderName = HeaderName::from_static("x-vault-hostname");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

#[cfg(test)]
mod tests;
