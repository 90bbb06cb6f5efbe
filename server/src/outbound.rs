//! Requests to other servers, over HTTP/1.1 with TLS by rustls.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use signet_api::outbound::{self, Outbound, OutboundError, Request, Response, Trust};

use crate::tls_client;

/// Keeps connections alive, for each set of trusted certificates its own. Follows no redirect and
/// asks no proxy.
#[derive(Debug, Default)]
pub(crate) struct HttpOutbound {
    clients: Mutex<HashMap<Trust, HttpsClient>>,
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sets of trusted certificates; one more empties all.
const MAX_CLIENTS: usize = 64;
const IDLE: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 8;

#[async_trait]
impl Outbound for HttpOutbound {
    async fn send(&self, request: Request) -> Result<Response, OutboundError> {
        let client = self.client(&request.trust)?;
        let timeout = request.timeout;
        tokio::time::timeout(timeout, exchange(&client, request))
            .await
            .unwrap_or(Err(OutboundError::TimedOut(timeout)))
    }
}

impl HttpOutbound {
    fn client(&self, trust: &Trust) -> Result<HttpsClient, OutboundError> {
        if let Some(client) = self.clients.lock().get(trust) {
            return Ok(client.clone());
        }
        let client = new_client(trust)?;
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(trust.clone(), client.clone());
        Ok(client)
    }
}

fn new_client(trust: &Trust) -> Result<HttpsClient, OutboundError> {
    let roots = match trust {
        Trust::System => tls_client::system_roots(),
        Trust::Pem(pem) => {
            let certificates = tls_client::pem_certificates(pem.as_bytes())
                .map_err(OutboundError::InvalidTrust)?;
            tls_client::roots_of(certificates)
                .map_err(|error| OutboundError::InvalidTrust(error.to_string()))?
        }
    };
    let config = tls_client::builder()
        .map_err(|error| OutboundError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(connector))
}

async fn exchange(client: &HttpsClient, request: Request) -> Result<Response, OutboundError> {
    let limit = request.max_response_bytes;
    let response = client
        .request(to_http(&request)?)
        .await
        .map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), limit)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                OutboundError::TooLong(limit)
            } else {
                OutboundError::Unreachable(error.to_string())
            }
        })?
        .to_bytes();
    Ok(Response { status, body })
}

fn to_http(request: &Request) -> Result<hyper::Request<Full<Bytes>>, OutboundError> {
    let invalid = |what: &str| OutboundError::Invalid(format!("{what} of {:?}", request.url));
    let uri: Uri = request.url.parse().map_err(|_| invalid("syntax"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(invalid("scheme or host"));
    }
    let method = match request.method {
        outbound::Method::Get => Method::GET,
        outbound::Method::Post => Method::POST,
    };
    let mut http = hyper::Request::builder()
        .method(method)
        .uri(uri)
        .header("user-agent", concat!("signet/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &request.headers {
        // The value is not in the error: it may be a credential.
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid(name))?;
        value.set_sensitive(true);
        http = http.header(*name, value);
    }
    let body = Full::new(request.body.clone());
    http.body(body).map_err(|_| invalid("syntax"))
}

/// The innermost cause says the most.
fn failure(error: &hyper_util::client::legacy::Error) -> OutboundError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = tls_error(inner) {
            return OutboundError::Tls(tls.to_string());
        }
        text = inner.to_string();
        cause = inner.source();
    }
    OutboundError::Unreachable(text)
}

/// What an I/O error wraps is not its source, and it may be wrapped several times.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => tls_error(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

#[cfg(test)]
mod tests;
