//! The client of the HTTP API: addresses, headers, retries and the wording of failures.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Uri};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::cli::brand::Brand;
use crate::cli::duration::GoDuration;
use crate::cli::flags::HttpFlags;
use crate::cli::output::go_escaped;
use crate::cli::secret::Secret;
use crate::cli::token_helper;
use crate::cli::transport::{self, Answer, Exchange, TlsSettings, TransportError};
use crate::cli::ui::Stop;
use crate::config::env::Environment;
use crate::version::SIGNET_VERSION;

pub(crate) struct Client {
    address: Address,
    brand: Brand,
    disable_redirects: bool,
    headers: Vec<(String, String)>,
    max_retries: u32,
    mfa: Vec<String>,
    namespace: Option<String>,
    preview: Preview,
    timeout: Duration,
    tls: TlsSettings,
    token: Option<Zeroizing<String>>,
    wrap_ttl: Option<GoDuration>,
}

/// One call of the API, on a path below `/v1/`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("{0}")]
    Answer(#[from] Box<ApiError>),
    /// The answer cannot be read.
    #[error("{0}")]
    Content(String),
    /// Not a failure: `-output-curl-string` or `-output-policy` was given.
    #[error("{0}")]
    Preview(String),
    #[error("{method} \"{url}\": {source}")]
    Transport {
        method: String,
        url: String,
        source: TransportError,
    },
}

/// An answer of 400 or above.
#[derive(Debug)]
pub(crate) struct ApiError {
    method: Method,
    url: String,
    namespace: Option<String>,
    pub(crate) status: u16,
    /// The messages, or nothing when the body is not an error envelope.
    errors: Option<Vec<String>>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preview {
    Curl,
    Nothing,
    Policy,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A list, which travels as a `GET` with `list=true`.
    pub(crate) fn list(path: impl Into<String>) -> Self {
        Self::get(path).query("list", "true")
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::PUT, path).body(body)
    }

    pub(crate) fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, path).body(body)
    }

    pub(crate) fn patch(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::PATCH, path).body(body)
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn queries(mut self, pairs: Vec<(String, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    fn body(mut self, body: &impl Serialize) -> Self {
        // Bodies are maps with string keys, texts and numbers: they always serialise.
        self.body = serde_json::to_string(body)
            .ok()
            .map(|text| Zeroizing::new(go_escaped(&text).into_bytes()));
        self
    }

    fn is_list(&self) -> bool {
        self.method == Method::GET
            && self
                .query
                .iter()
                .any(|(name, value)| name == "list" && value == "true")
    }
}

impl Client {
    pub(crate) fn new(
        flags: &HttpFlags,
        environment: &Environment,
        brand: Brand,
    ) -> Result<Self, Stop> {
        let address = flags
            .agent_address
            .as_deref()
            .or_else(|| environment.setting("AGENT_ADDR"))
            .or(flags.address.as_deref())
            .or_else(|| environment.setting("ADDR"))
            .unwrap_or(DEFAULT_ADDRESS);
        let preview = match (flags.output_curl_string, flags.output_policy) {
            (true, _) => Preview::Curl,
            (false, true) => Preview::Policy,
            (false, false) => Preview::Nothing,
        };
        let mut mfa = flags.mfa.clone();
        if mfa.is_empty() {
            mfa.extend(environment.setting("MFA").map(str::to_owned));
        }
        Ok(Self {
            address: Address::parse(address)?,
            brand,
            disable_redirects: flags.disable_redirects
                || environment
                    .setting("DISABLE_REDIRECTS")
                    .is_some_and(is_true),
            headers: checked_headers(&flags.header)?,
            max_retries: environment.setting("MAX_RETRIES").map_or(Ok(0), |text| {
                text.parse().map_err(|_| bad_setting("MAX_RETRIES", text))
            })?,
            mfa,
            namespace: flags
                .namespace
                .as_deref()
                .or_else(|| environment.setting("NAMESPACE"))
                .map(|namespace| namespace.trim_matches('/'))
                .filter(|namespace| !namespace.is_empty())
                .map(|namespace| format!("{namespace}/")),
            preview,
            timeout: timeout(environment)?,
            tls: tls_settings(flags, environment),
            token: token_helper::current_token(environment)?,
            wrap_ttl: wrap_ttl(flags, environment)?,
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address.base
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref().map(String::as_str)
    }

    pub(crate) fn with_token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(|token| Zeroizing::new(token.to_owned()));
        self
    }

    pub(crate) fn without_wrapping(mut self) -> Self {
        self.wrap_ttl = None;
        self
    }

    /// For questions that must be asked even where the command itself only shows its request.
    pub(crate) fn without_preview(mut self) -> Self {
        self.preview = Preview::Nothing;
        self
    }

    /// The answer in its envelope; nothing when there is none (204), or when what was read or
    /// listed does not exist.
    pub(crate) fn secret(&self, call: &Call) -> Result<Option<Secret>, ClientError> {
        match self.send(call) {
            Ok(answer) if answer.body.is_empty() => Ok(None),
            Ok(answer) => parse_secret(&answer.body).map(Some),
            Err(ClientError::Answer(error)) if error.status == 404 => {
                // A 404 may still carry data or warnings, such as a deleted version of a secret.
                let carried = parse_secret(&error.body)
                    .ok()
                    .filter(|secret| secret.data.is_some() || secret.warnings.is_some());
                match carried {
                    Some(secret) => Ok(Some(secret)),
                    None if call.method == Method::GET => Ok(None),
                    None => Err(ClientError::Answer(error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The answer as bare JSON.
    pub(crate) fn json(&self, call: &Call) -> Result<Value, ClientError> {
        let answer = self.send(call)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| ClientError::Content(error.to_string()))
    }

    /// The answer as it comes, with redirects followed and failed attempts repeated.
    pub(crate) fn send(&self, call: &Call) -> Result<Answer, ClientError> {
        match self.preview {
            Preview::Curl => return Err(ClientError::Preview(self.curl_string(call))),
            Preview::Nothing => {}
            Preview::Policy => return Err(ClientError::Preview(policy_for(call))),
        }
        let mut url = self.url(call);
        let mut answer = self.attempt(call, &url)?;
        if REDIRECTS.contains(&answer.status)
            && !self.disable_redirects
            && let Some(target) = redirect_target(&url, &answer)
        {
            if url.starts_with("https://") && !target.starts_with("https://") {
                return Err(ClientError::Content(
                    "redirect would cause protocol downgrade".to_owned(),
                ));
            }
            url = target;
            answer = self.attempt(call, &url)?;
        }
        if answer.status < 400 {
            return Ok(answer);
        }
        Err(ClientError::Answer(Box::new(ApiError {
            method: call.method.clone(),
            url,
            namespace: self.namespace.clone(),
            status: answer.status,
            errors: error_messages(&answer.body),
            body: answer.body,
        })))
    }

    fn attempt(&self, call: &Call, url: &str) -> Result<Answer, ClientError> {
        let failure = |source| ClientError::Transport {
            method: go_method(&call.method),
            url: url.to_owned(),
            source,
        };
        let uri: Uri = url
            .parse()
            .map_err(|error| failure(TransportError::Setup(format!("{error}"))))?;
        let headers = self.header_map(call).map_err(failure)?;
        let exchange = Exchange {
            method: &call.method,
            uri: &uri,
            headers: &headers,
            body: call.body.as_ref().map_or(&[], |body| body.as_slice()),
        };
        let mut retries = 0;
        loop {
            let result = transport::exchange(&exchange, &self.tls, self.timeout);
            let try_again = match &result {
                Ok(answer) => is_passing_status(answer.status),
                Err(error) => error.is_passing(),
            };
            if !try_again || retries == self.max_retries {
                return result.map_err(failure);
            }
            retries += 1;
            std::thread::sleep((FIRST_PAUSE * retries).min(LONGEST_PAUSE));
        }
    }

    fn url(&self, call: &Call) -> String {
        let mut url = format!("{}/v1/{}", self.address.base, escaped_path(&call.path));
        let mut query = call.query.clone();
        query.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(&escaped_query(name));
            url.push('=');
            url.push_str(&escaped_query(value));
        }
        url
    }

    /// Names and values in the order of `-output-curl-string`; the token is left out.
    fn header_pairs(&self, call: &Call) -> Vec<(String, String)> {
        let mut pairs = vec![("X-Vault-Request".to_owned(), "true".to_owned())];
        if call.method == Method::PATCH {
            pairs.push(("Content-Type".to_owned(), MERGE_PATCH.to_owned()));
        }
        if let Some(namespace) = &self.namespace {
            pairs.push(("X-Vault-Namespace".to_owned(), namespace.clone()));
        }
        if let Some(wrap_ttl) = self.wrap_ttl {
            pairs.push(("X-Vault-Wrap-Ttl".to_owned(), wrap_ttl.to_string()));
        }
        pairs.extend(
            self.mfa
                .iter()
                .map(|mfa| ("X-Vault-Mfa".to_owned(), mfa.clone())),
        );
        pairs.extend(self.headers.iter().cloned());
        pairs
    }

    fn header_map(&self, call: &Call) -> Result<HeaderMap, TransportError> {
        let setup = |error: String| TransportError::Setup(error);
        let mut headers = HeaderMap::new();
        for (name, value) in self.header_pairs(call) {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|error| setup(error.to_string()))?;
            let value = HeaderValue::from_str(&value).map_err(|error| setup(error.to_string()))?;
            headers.append(name, value);
        }
        if let Some(token) = &self.token {
            let mut value =
                HeaderValue::from_str(token).map_err(|error| setup(error.to_string()))?;
            value.set_sensitive(true);
            headers.insert("x-vault-token", value);
        }
        let agent = format!("signet/{SIGNET_VERSION}");
        headers.insert(
            USER_AGENT,
            HeaderValue::from_str(&agent).map_err(|error| setup(error.to_string()))?,
        );
        if call.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }

    fn curl_string(&self, call: &Call) -> String {
        let mut words = vec!["curl".to_owned()];
        if self.tls.skip_verify {
            words.push("--insecure".to_owned());
        }
        if call.method != Method::GET {
            words.push(format!("-X {}", call.method));
        }
        for (flag, path) in [
            ("--cacert", &self.tls.ca_cert),
            ("--capath", &self.tls.ca_path),
            ("--cert", &self.tls.client_cert),
            ("--key", &self.tls.client_key),
        ] {
            words.extend(
                path.iter()
                    .map(|path| format!("{flag} '{}'", shell_quoted(path))),
            );
        }
        let mut pairs = self.header_pairs(call);
        if self.token.is_some() {
            pairs.insert(
                1,
                (
                    "X-Vault-Token".to_owned(),
                    format!("$({} print token)", self.brand.command),
                ),
            );
        }
        words.extend(
            pairs
                .iter()
                .map(|(name, value)| format!("-H \"{name}: {value}\"")),
        );
        if let Some(body) = &call.body {
            words.push(format!(
                "-d '{}'",
                shell_quoted(&String::from_utf8_lossy(body))
            ));
        }
        words.push(format!("\"{}\"", self.url(call)));
        words.join(" ")
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Error making API request.\n\n")?;
        if let Some(namespace) = &self.namespace {
            writeln!(formatter, "Namespace: {namespace}")?;
        }
        writeln!(formatter, "URL: {} {}", self.method, self.url)?;
        match &self.errors {
            Some(errors) => {
                write!(formatter, "Code: {}. Errors:\n\n", self.status)?;
                let bullets: Vec<String> =
                    errors.iter().map(|error| format!("* {error}")).collect();
                formatter.write_str(&bullets.join("\n"))
            }
            None => {
                write!(formatter, "Code: {}. Raw Message:\n\n", self.status)?;
                formatter.write_str(&String::from_utf8_lossy(&self.body))
            }
        }
    }
}

impl std::error::Error for ApiError {}

impl ClientError {
    /// Ends the command, telling what it was about: `Error reading x: …`.
    pub(crate) fn stop(self, what: impl std::fmt::Display) -> Stop {
        match self {
            Self::Preview(text) => Stop::Printed(text),
            error => Stop::Failed(format!("{what}: {error}")),
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(error) => Some(error.status),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("address", &self.address.base)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

struct Address {
    /// Scheme, authority and the path in front of `/v1/`, without a slash at the end.
    base: String,
}

impl Address {
    fn parse(text: &str) -> Result<Self, Stop> {
        let wrong = |reason: &str| {
            Stop::failed(format!(
                "failed to create client: parse \"{text}\": {reason}"
            ))
        };
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(wrong("first path segment in URL cannot contain colon"));
        };
        if !matches!(scheme, "http" | "https") {
            return Err(wrong("unsupported protocol scheme"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("invalid address"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("no Host in request URL"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            base: format!("{scheme}://{authority}{path}"),
        })
    }
}

fn parse_secret(body: &[u8]) -> Result<Secret, ClientError> {
    let wrong = |error: serde_json::Error| ClientError::Content(error.to_string());
    // Answers below sys/ repeat data at the top, so a name may occur twice: let the last one win.
    let value: Value = serde_json::from_slice(body).map_err(wrong)?;
    serde_json::from_value(value).map_err(wrong)
}

fn error_messages(body: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let messages = value.get("errors")?.as_array()?;
    Some(
        messages
            .iter()
            .filter_map(|message| message.as_str().map(str::to_owned))
            .collect(),
    )
}

fn redirect_target(url: &str, answer: &Answer) -> Option<String> {
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    if location.contains("://") {
        return Some(location.to_owned());
    }
    let uri: Uri = url.parse().ok()?;
    Some(format!(
        "{}://{}{location}",
        uri.scheme_str()?,
        uri.authority()?
    ))
}

fn is_passing_status(status: u16) -> bool {
    matches!(status, 412 | 429) || (status >= 500 && status != 501)
}

fn go_method(method: &Method) -> String {
    let name = method.as_str();
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    format!("{first}{}", rest.to_lowercase())
}

fn policy_for(call: &Call) -> String {
    let capabilities: &[&str] = match call.method {
        Method::DELETE => &["delete"],
        Method::PATCH => &["patch"],
        Method::GET if call.is_list() => &["list"],
        Method::GET => &["read"],
        _ => &["create", "update"],
    };
    let path = clean_path(&call.path);
    let sudo = needs_sudo(&path).then_some("sudo");
    let mut capabilities: Vec<&str> = capabilities.iter().copied().chain(sudo).collect();
    capabilities.sort_unstable();
    let capabilities: Vec<String> = capabilities
        .iter()
        .map(|capability| format!("\"{capability}\""))
        .collect();
    format!(
        "path \"{path}\" {{\n  capabilities = [{}]\n}}",
        capabilities.join(", ")
    )
}

fn needs_sudo(path: &str) -> bool {
    SUDO_PATHS.contains(&path) || SUDO_PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

fn checked_headers(headers: &[(String, String)]) -> Result<Vec<(String, String)>, Stop> {
    let forbidden = headers
        .iter()
        .find(|(name, _)| name.to_lowercase().starts_with("x-vault-"));
    match forbidden {
        Some((name, _)) => Err(Stop::failed(format!(
            "failed to setup Headers[{name}]: Header starting by 'X-Vault-' are for internal usage only"
        ))),
        None => Ok(headers.to_vec()),
    }
}

fn tls_settings(flags: &HttpFlags, environment: &Environment) -> TlsSettings {
    let choose = |flag: &Option<String>, suffix: &str| {
        flag.clone()
            .or_else(|| environment.setting(suffix).map(str::to_owned))
    };
    TlsSettings {
        ca_pem: environment
            .setting("CACERT_BYTES")
            .map(|pem| pem.as_bytes().to_vec()),
        ca_cert: choose(&flags.ca_cert, "CACERT"),
        ca_path: choose(&flags.ca_path, "CAPATH"),
        client_cert: choose(&flags.client_cert, "CLIENT_CERT"),
        client_key: choose(&flags.client_key, "CLIENT_KEY"),
        server_name: choose(&flags.tls_server_name, "TLS_SERVER_NAME"),
        skip_verify: flags.tls_skip_verify
            || environment.setting("SKIP_VERIFY").is_some_and(is_true),
    }
}

fn timeout(environment: &Environment) -> Result<Duration, Stop> {
    let Some(text) = environment.setting("CLIENT_TIMEOUT") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let seconds = GoDuration::parse(text).ok().map(GoDuration::whole_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs)
        .ok_or_else(|| bad_setting("CLIENT_TIMEOUT", text))
}

fn wrap_ttl(flags: &HttpFlags, environment: &Environment) -> Result<Option<GoDuration>, Stop> {
    let wrap_ttl = match (flags.wrap_ttl, environment.setting("WRAP_TTL")) {
        (Some(duration), _) => Some(duration),
        (None, Some(text)) => {
            Some(GoDuration::parse(text).map_err(|_| bad_setting("WRAP_TTL", text))?)
        }
        (None, None) => None,
    };
    Ok(wrap_ttl.filter(|duration| !duration.is_zero()))
}

fn bad_setting(name: &str, value: &str) -> Stop {
    Stop::failed(format!(
        "failed to read environment: invalid value \"{value}\" of VAULT_{name}"
    ))
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Without empty, `.` and `..` segments.
fn clean_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments.join("/")
}

fn escaped_path(path: &str) -> String {
    escaped(&clean_path(path), b"-_.~$&+,/:;=@")
}

fn escaped_query(text: &str) -> String {
    escaped(text, b"-_.~ ").replace(' ', "+")
}

fn escaped(text: &str, allowed: &[u8]) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || allowed.contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn shell_quoted(text: &str) -> String {
    text.replace('\'', "'\"'\"'")
}

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(1000);
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
const MERGE_PATCH: &str = "application/merge-patch+json";
const REDIRECTS: [u16; 3] = [301, 302, 307];
const SUDO_PATHS: [&str; 7] = [
    "auth/token/accessors",
    "sys/audit",
    "sys/config/cors",
    "sys/remount",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/seal",
];
const SUDO_PREFIXES: [&str; 10] = [
    "sys/audit/",
    "sys/auth/",
    "sys/config/auditing/",
    "sys/internal/inspect/",
    "sys/leases/lookup/",
    "sys/leases/revoke-force/",
    "sys/leases/revoke-prefix/",
    "sys/plugins/catalog/",
    "sys/raw",
    "sys/step-down",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client(flags: &HttpFlags) -> Client {
        let environment: Environment = [("VAULT_TOKEN", "t"), ("VAULT_ADDR", "http://h:1/pre/")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Client::new(flags, &environment, Brand::of("vault")).unwrap()
    }

    #[test]
    fn escapes_paths_and_queries_as_go_does() {
        let client = client(&HttpFlags::default());
        let call = Call::get("/cubbyhole//a b/é?x#y%41/")
            .query("w", "a b")
            .query("v", "1");
        assert_eq!(
            client.url(&call),
            "http://h:1/pre/v1/cubbyhole/a%20b/%C3%A9%3Fx%23y%2541?v=1&w=a+b"
        );
    }

    #[test]
    fn prints_the_call_of_curl_without_the_token() {
        let flags = HttpFlags {
            wrap_ttl: Some(GoDuration::from_seconds(60)),
            namespace: Some("ns".to_owned()),
            ..HttpFlags::default()
        };
        let call = Call::put("a/b", &json!({"c": "it's"}));
        assert_eq!(
            client(&flags).curl_string(&call),
            "curl -X PUT -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(vault print token)\" \
             -H \"X-Vault-Namespace: ns/\" -H \"X-Vault-Wrap-Ttl: 1m0s\" -d '{\"c\":\"it'\"'\"'s\"}' \
             \"http://h:1/pre/v1/a/b\""
        );
    }

    #[test]
    fn prints_the_policy_a_call_needs() {
        assert_eq!(
            policy_for(&Call::list("pki/roles")),
            "path \"pki/roles\" {\n  capabilities = [\"list\"]\n}"
        );
        assert_eq!(
            policy_for(&Call::post("sys/auth/approle", &json!({}))),
            "path \"sys/auth/approle\" {\n  capabilities = [\"create\", \"sudo\", \"update\"]\n}"
        );
    }

    #[test]
    fn words_api_errors_as_vault_does() {
        let error = ApiError {
            method: Method::PUT,
            url: "http://h/v1/x".to_owned(),
            namespace: None,
            status: 400,
            errors: error_messages(b"{\"errors\":[\"a\",\"b\"]}"),
            body: Vec::new(),
        };
        assert_eq!(
            error.to_string(),
            "Error making API request.\n\nURL: PUT http://h/v1/x\nCode: 400. Errors:\n\n* a\n* b"
        );
        assert_eq!(error_messages(b"<html>"), None);
    }

    #[test]
    fn refuses_addresses_without_a_scheme() {
        assert!(Address::parse("127.0.0.1:8200").is_err());
        assert!(Address::parse("ftp://h").is_err());
        assert_eq!(
            Address::parse("https://h:1/").ok().unwrap().base,
            "https://h:1"
        );
    }

    #[test]
    fn refuses_headers_reserved_for_the_protocol() {
        assert!(checked_headers(&[("x-vault-token".to_owned(), "t".to_owned())]).is_err());
        assert!(checked_headers(&[("Foo".to_owned(), "bar".to_owned())]).is_ok());
    }

    #[test]
    fn retries_only_what_may_pass() {
        for (status, passing) in [
            (500, true),
            (501, false),
            (503, true),
            (429, true),
            (412, true),
            (400, false),
            (200, false),
        ] {
            assert_eq!(is_passing_status(status), passing, "{status}");
        }
    }
}
