//! Answers as HTTP.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;

/// An answer with the headers that every answer has.
pub(super) fn write(answer: signet_api::reply::Response, head: bool) -> Response<Body> {
    let body = if head { Bytes::new() } else { answer.body };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    common(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// `{"errors":[…]}` for what never reaches the API; no text gives an empty list.
pub(super) fn refusal(status: u16, text: &str) -> Response<Body> {
    let errors: &[&str] = if text.is_empty() { &[] } else { &[text] };
    let answer =
        signet_api::reply::Response::json(status, &serde_json::json!({ "errors": errors }));
    write(answer, false)
}

/// Sends the client to the same path without empty and dot segments.
pub(super) fn redirect(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    common(response.headers_mut());
    if let Ok(location) = HeaderValue::try_from(location) {
        response
            .headers_mut()
            .insert(axum::http::header::LOCATION, location);
    }
    response
}

fn common(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
}
