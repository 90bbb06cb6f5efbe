//! Answers as HTTP.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

/// An answer with the headers that every answer has.
pub(super) fn write(answer: signet_api::reply::Response, is_head: bool) -> Response<Full<Bytes>> {
    // Nobody who asks for headers alone expects more.
    let (body, status) = match (is_head, answer.status) {
        (true, 204) => (Bytes::new(), 200),
        (true, status) => (Bytes::new(), status),
        (false, status) => (answer.body, status),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    common(headers);
    if !answer.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// `{"errors":[…]}` for what never reaches the API; no text gives an empty list.
pub(super) fn refusal(status: u16, text: &str) -> Response<Full<Bytes>> {
    let errors: &[&str] = if text.is_empty() { &[] } else { &[text] };
    let answer =
        signet_api::reply::Response::json(status, &serde_json::json!({ "errors": errors }));
    let mut response = write(answer, false);
    if status == 503 {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Sends the client to the same path without empty and dot segments.
pub(super) fn redirect(location: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    common(headers);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(signet_api::reply::JSON),
    );
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    response
}

fn common(headers: &mut HeaderMap) {
    headers.reserve(6);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
}
