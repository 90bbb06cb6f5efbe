//! Other servers, as a test has them answer.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use signet_api::outbound::{Outbound, OutboundError, Request, Response};
use tokio::sync::Semaphore;

type Script = Box<dyn FnMut(&Request) -> Result<Response, OutboundError> + Send>;

/// Nobody answers until [`FakeOutbound::answer`] says how.
#[derive(Default)]
pub(crate) struct FakeOutbound {
    script: Mutex<Option<Script>>,
    sent: Mutex<Vec<Request>>,
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl std::fmt::Debug for FakeOutbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeOutbound")
    }
}

impl FakeOutbound {
    pub(crate) fn answer(
        &self,
        script: impl FnMut(&Request) -> Result<Response, OutboundError> + Send + 'static,
    ) {
        *self.script.lock() = Some(Box::new(script));
    }

    /// The same for all.
    pub(crate) fn answer_json(&self, status: u16, body: &Value) {
        let body = body.to_string();
        self.answer(move |_| Ok(response(status, &body)));
    }

    /// What was sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<Request> {
        std::mem::take(&mut self.sent.lock())
    }

    /// From now on answers wait for permits of the returned gate.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock() = Some(gate.clone());
        gate
    }

    /// Returns when `count` requests are under way or answered.
    pub(crate) async fn until_sent(&self, count: usize) {
        while self.sent.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        body: body.as_bytes().to_vec().into(),
    }
}

pub(crate) fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    let found = request.headers.iter().find(|(given, _)| *given == name);
    found.map_or("", |(_, value)| value.as_str())
}

#[async_trait]
impl Outbound for FakeOutbound {
    async fn send(&self, request: Request) -> Result<Response, OutboundError> {
        self.sent.lock().push(request.clone());
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        match self.script.lock().as_mut() {
            Some(script) => script(&request),
            None => Err(OutboundError::Unreachable("connection refused".into())),
        }
    }
}
