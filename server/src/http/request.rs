//! HTTP requests as calls: methods, paths, headers, where the data come from.

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use serde_json::{Map, Value};
use signet_api::call::{Call, Op, Peer, WrapRequest};
use signet_api::node::Node;
use signet_api::params::parse_bool;
use signet_api::params::parse_go_duration_nanos;
use signet_api::random::uuid;
use zeroize::Zeroizing;

use super::{NAMESPACE, Policy, body, response};

/// Why a request never becomes a call.
#[derive(Debug)]
pub(super) enum Refused {
    /// Status and text; no text for an empty list of errors.
    Error(u16, String),
    Redirect(String),
}

impl Refused {
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::Error(400, text.into())
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        match self {
            Self::Error(status, text) => response::refusal(status, &text),
            Self::Redirect(location) => response::redirect(&location),
        }
    }
}

/// Reads a request to its end.
pub(super) async fn read<B>(
    policy: &Policy,
    node: &Node,
    mut peer: Peer,
    parts: &Parts,
    body: B,
) -> Result<Call, Refused>
where
    B: Body<Data = Bytes>,
{
    if let Some(forwarded) = &policy.forwarded {
        peer.address = forwarded.client(peer.address, &parts.headers)?;
    }
    let mut path = path(parts)?;
    check_namespace(&path, &parts.headers)?;
    let query = query_pairs(parts.uri.query().unwrap_or_default());
    let op = operation(&parts.method, &path, &query, &parts.headers)?;
    policy.restrictions.check(op, &path)?;
    let only_distribution = policy.restrictions.only_distribution;
    if only_distribution && !node.distributes(op, &path) {
        return Err(Refused::Error(404, String::new()));
    }
    if op == Op::List && !path.ends_with('/') {
        path.push('/');
    }
    if matches!(op, Op::Write | Op::Patch) && path.ends_with('/') {
        return Err(Refused::bad_request("cannot write to a path ending in '/'"));
    }
    let (token, wrap) = if only_distribution {
        // Nobody asks for either here, and plain HTTP is no place for tokens.
        (None, None)
    } else {
        (
            token(&parts.headers, policy.limits.token_bytes)?,
            wrap_request(&parts.headers)?,
        )
    };
    let (data, raw_body) = match op {
        Op::Write | Op::Patch => {
            let bytes = body::collect(body, &policy.limits).await?;
            let content_type = header(&parts.headers, "content-type").unwrap_or_default();
            (body::fields(&policy.limits, content_type, &bytes)?, bytes)
        }
        Op::Delete | Op::Help | Op::List | Op::Read => (query_data(query), Bytes::new()),
    };
    Ok(Call {
        id: uuid(node.rng()).map_err(|_| Refused::Error(500, "internal error".into()))?,
        op,
        path,
        data,
        raw_body,
        token,
        wrap,
        peer,
        headers: kept_headers(&parts.headers),
    })
}

/// The decoded path behind `/v1/`.
fn path(parts: &Parts) -> Result<String, Refused> {
    let decoded = decoded(parts.uri.path())?;
    if let Some(clean) = cleaned(&decoded) {
        let query = parts.uri.query().map(|query| format!("?{query}"));
        let location = format!("{}{}", encoded(&clean), query.unwrap_or_default());
        return Err(Refused::Redirect(location));
    }
    let path = decoded
        .strip_prefix("/v1/")
        .ok_or_else(|| Refused::Error(404, String::new()))?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.chars().all(is_printable) {
        return Err(Refused::bad_request(""));
    }
    Ok(path.to_owned())
}

/// Whether a character may stand in a path: neither control nor invisible.
fn is_printable(character: char) -> bool {
    if character == ' ' {
        return true;
    }
    let invisible = matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..
    );
    !(character.is_control() || character.is_whitespace() || invisible)
}

/// There is one namespace, and it has several names.
fn check_namespace(path: &str, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(namespace) = headers.get(NAMESPACE) else {
        return Ok(());
    };
    if matches!(
        namespace.as_bytes(),
        b"" | b"/" | b"root" | b"root/" | b"/root" | b"/root/"
    ) {
        return Ok(());
    }
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let system = path.strip_prefix("sys/").map(first);
    match system.as_deref() {
        Some("seal-status") => Ok(()),
        Some(
            "generate-root" | "health" | "in-flight-req" | "init" | "metrics" | "pprof" | "raw"
            | "rekey" | "seal" | "step-down" | "storage" | "unseal",
        ) => Err(Refused::bad_request("operation unavailable in namespaces")),
        _ => Err(Refused::Error(404, "namespace not found".into())),
    }
}

fn operation(
    method: &Method,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Op, Refused> {
    let value = |name: &str| {
        query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    };
    match method.as_str() {
        "GET" => {
            if value("help").is_some_and(|help| !help.is_empty()) {
                return Ok(Op::Help);
            }
            let asks = |name: &str| match value(name).map(parse_bool) {
                None => Ok(false),
                Some(Some(asked)) => Ok(asked),
                Some(None) => Err(Refused::bad_request("")),
            };
            match (asks("list")?, asks("scan")?) {
                (true, true) => Err(Refused::bad_request("")),
                (true, false) => Ok(Op::List),
                (false, true) => Err(Refused::Error(405, "unsupported operation".into())),
                (false, false) => Ok(Op::Read),
            }
        }
        "DELETE" => Ok(Op::Delete),
        "HEAD" if path == "sys/health" || path.ends_with("acme/new-nonce") => Ok(Op::Read),
        "HELP" => Ok(Op::Help),
        "LIST" => Ok(Op::List),
        "OPTIONS" => Err(Refused::bad_request(
            "cannot handle internal-only request operation",
        )),
        "PATCH" => match header(headers, "content-type") {
            None | Some("") => Err(Refused::bad_request("mime: no media type")),
            Some(given) if media_type(given).eq_ignore_ascii_case(MERGE_PATCH) => Ok(Op::Patch),
            Some(given) => {
                let provided = media_type(given).to_ascii_lowercase();
                Err(Refused::Error(
                    415,
                    format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {provided}"),
                ))
            }
        },
        "POST" | "PUT" => Ok(Op::Write),
        _ => Err(Refused::Error(405, String::new())),
    }
}

const MERGE_PATCH: &str = "application/merge-patch+json";

pub(super) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The first `X-Vault-Token`, or else a bearer token.
fn token(headers: &HeaderMap, limit_bytes: usize) -> Result<Option<Zeroizing<String>>, Refused> {
    let own = header(headers, "x-vault-token")
        .map(str::trim)
        .filter(|token| !token.is_empty());
    let bearer = || {
        header(headers, "authorization")?
            .strip_prefix("Bearer ")
            .map(str::trim)
            .filter(|token| !token.is_empty())
    };
    let Some(token) = own.or_else(bearer) else {
        return Ok(None);
    };
    if token.len() > limit_bytes {
        return Err(Refused::bad_request("token header is too large"));
    }
    Ok(Some(Zeroizing::new(token.to_owned())))
}

fn wrap_request(headers: &HeaderMap) -> Result<Option<WrapRequest>, Refused> {
    let Some(text) = header(headers, "x-vault-wrap-ttl").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let secs = match text.parse::<i64>() {
        Ok(secs) => secs,
        Err(_) => {
            parse_go_duration_nanos(text).map_err(|error| {
                Refused::bad_request(format!("error parsing X-Vault-Wrap-TTL header: {error}"))
            })? / 1_000_000_000
        }
    };
    match u64::try_from(secs) {
        Ok(0) => Ok(None),
        Ok(ttl_secs) => Ok(Some(WrapRequest { ttl_secs })),
        Err(_) => Err(Refused::bad_request(
            "error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative",
        )),
    }
}

/// All headers but credentials and what only the connection cares for.
fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "accept"
                    | "accept-encoding"
                    | "authorization"
                    | "connection"
                    | "content-length"
                    | "cookie"
                    | "expect"
                    | "proxy-authorization"
                    | "transfer-encoding"
                    | "x-vault-request"
                    | "x-vault-token"
            )
        })
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect()
}

/// The path without empty and dot segments, when it has any.
fn cleaned(path: &str) -> Option<String> {
    let dirty = path.contains("//")
        || (path.contains("/.") && path.split('/').any(|part| matches!(part, "." | "..")));
    if !dirty {
        return None;
    }
    let mut clean: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    let trailing = if path.ends_with('/') && !clean.is_empty() {
        "/"
    } else {
        ""
    };
    Some(format!("/{}{trailing}", clean.join("/")))
}

fn decoded(path: &str) -> Result<Cow<'_, str>, Refused> {
    if path.contains('%') {
        let decoded = percent_decoded(path, false).ok_or_else(|| Refused::bad_request(""))?;
        Ok(Cow::Owned(decoded))
    } else {
        Ok(Cow::Borrowed(path))
    }
}

/// A path as it may stand in a URL.
fn encoded(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes()
        .fold(String::with_capacity(path.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

/// `None` when an escape is broken or the bytes are not UTF-8.
pub(super) fn percent_decoded(text: &str, plus_is_space: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let mut decoded = [0];
                hex_decode(digits, &mut decoded)?;
                out.extend(decoded);
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

fn hex_decode(digits: [u8; 2], out: &mut [u8; 1]) -> Option<()> {
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let [high, low] = digits;
    *out = [digit(high)? << 4 | digit(low)?];
    Some(())
}

pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decoded(name, true)?, percent_decoded(value, true)?))
        })
        .collect()
}

/// One value is a string, several are a list.
fn query_data(query: Vec<(String, String)>) -> Map<String, Value> {
    let mut data = Map::new();
    for (name, value) in query {
        if matches!(name.as_str(), "help" | "list" | "scan") {
            continue;
        }
        let value = Value::String(value);
        match data.get_mut(&name) {
            None => {
                data.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_paths_as_a_redirect_target() {
        for (path, clean) in [
            ("/v1//sys/health", Some("/v1/sys/health")),
            ("/v1/a/../b", Some("/v1/b")),
            ("/v1/a/./b/", Some("/v1/a/b/")),
            ("/v1/../../x", Some("/x")),
            ("/v1/a..b/c", None),
        ] {
            assert_eq!(cleaned(path).as_deref(), clean, "{path}");
        }
    }

    #[test]
    fn repeated_query_values_become_a_list() {
        let data = query_data(query_pairs("a=1&b=x%20y&a=2&list=true&a=3"));
        assert_eq!(
            Value::Object(data),
            serde_json::json!({"a": ["1", "2", "3"], "b": "x y"})
        );
    }

    #[test]
    fn broken_escapes_are_refused() {
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(bad, false), None, "{bad}");
        }
        assert_eq!(percent_decoded("a%2Fb+c", false).as_deref(), Some("a/b+c"));
    }
}
