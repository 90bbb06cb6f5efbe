//! Cross-origin requests of web pages, as far as `sys/config/cors` allows them.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response};
use bytes::Bytes;
use http_body_util::Full;
use signet_api::cors::CorsConfig;

use super::request::Refused;
use super::response;

const METHODS: [&str; 6] = ["DELETE", "GET", "OPTIONS", "POST", "PUT", "LIST"];

/// What becomes of a request.
pub(super) enum Verdict {
    /// It goes on; with an origin, the answer must name it.
    GoOn(Option<HeaderValue>),
    /// This is the answer: to a preflight request, or to a page that may not call.
    Answer(Box<Response<Full<Bytes>>>),
}

/// `None` for a server that does not care about origins.
pub(super) fn judge(config: Option<&CorsConfig>, parts: &Parts) -> Verdict {
    let (Some(config), Some(origin)) = (config, parts.headers.get(ORIGIN)) else {
        return Verdict::GoOn(None);
    };
    let refuse = |status, text: &str| {
        Verdict::Answer(Box::new(
            Refused::Error(status, text.into()).into_response(),
        ))
    };
    if !origin.to_str().is_ok_and(|origin| config.allows(origin)) {
        return refuse(403, "origin not allowed");
    }
    if parts.method != Method::OPTIONS {
        return Verdict::GoOn(Some(origin.clone()));
    }
    let method = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    if !method.is_some_and(|method| METHODS.iter().any(|allowed| method == allowed)) {
        return refuse(405, "");
    }
    let mut answer = response::write(signet_api::reply::Response::empty(204), false);
    let headers = answer.headers_mut();
    allow(origin, headers);
    let list = |items: &[&str]| HeaderValue::try_from(items.join(", "));
    if let (Ok(methods), Ok(names)) = (list(&METHODS), list(&config.headers())) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
    Verdict::Answer(Box::new(answer))
}

/// Lets the page at `origin` see the answer.
pub(super) fn allow(origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}
