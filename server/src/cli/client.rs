//! The client of the HTTP API: address, headers, redirects and retries.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Uri};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::cli::brand::Brand;
use crate::cli::call::{Call, escaped_path, escaped_query, policy_for};
use crate::cli::client_error::{ApiError, ClientError};
use crate::cli::duration::GoDuration;
use crate::cli::flags::HttpFlags;
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
    /// Before the first retry; later ones wait longer.
    retry_pause: Duration,
    timeout: Duration,
    tls: TlsSettings,
    token: Option<Zeroizing<String>>,
    wrap_ttl: Option<GoDuration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preview {
    Curl,
    Nothing,
    Policy,
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
            retry_pause: FIRST_PAUSE,
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

    /// As [`Self::secret`], where 404 is a failure whatever it carries.
    pub(crate) fn done(&self, call: &Call) -> Result<Option<Secret>, ClientError> {
        let answer = self.send(call)?;
        if answer.body.is_empty() {
            return Ok(None);
        }
        parse_secret(&answer.body).map(Some)
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
            errors: ApiError::messages(&answer.body),
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
            std::thread::sleep((self.retry_pause * retries).min(LONGEST_PAUSE));
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

fn shell_quoted(text: &str) -> String {
    text.replace('\'', "'\"'\"'")
}

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
const MERGE_PATCH: &str = "application/merge-patch+json";
const REDIRECTS: [u16; 3] = [301, 302, 307];
#[cfg(test)]
mod tests;
