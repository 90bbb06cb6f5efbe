//! One call of the API, before it is sent.

use std::fmt;

use hyper::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::output::go_escaped;

/// One call of the API, on a path below `/v1/`.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
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
            .map(Zeroizing::new)
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

/// Bodies hold passwords and keys.
impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// `-output-policy`: the policy that allows the call.
pub(crate) fn policy_for(call: &Call) -> String {
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

/// A path as it stands in the address of a request.
pub(crate) fn escaped_path(path: &str) -> String {
    escaped(&clean_path(path), b"-_.~$&+,/:;=@")
}

pub(crate) fn escaped_query(text: &str) -> String {
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
    fn hides_the_body_from_debug_output() {
        let call = Call::put("sys/unseal", &json!({"key": "share"}));
        assert!(!format!("{call:?}").contains("share"));
    }

    #[test]
    fn cleans_paths_as_go_does() {
        assert_eq!(escaped_path("/a//b/./c/../d/"), "a/b/d");
        assert_eq!(escaped_path("a/spiffe:x=1@2"), "a/spiffe:x=1@2");
    }
}
