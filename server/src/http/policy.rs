//! What an operator decides about a listener: bounds, proxies, headers, closed paths.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use signet_api::call::Op;

use super::request::Refused;

/// Everything that is decided before a request reaches the API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) limits: Limits,
    /// `None`: `X-Forwarded-For` means nothing.
    pub(crate) forwarded: Option<ForwardedFor>,
    pub(crate) custom_headers: CustomHeaders,
    /// For `X-Vault-Hostname`.
    pub(crate) hostname: Option<HeaderValue>,
    pub(crate) restrictions: Restrictions,
}

/// Bounds on what one request may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest body; a larger one is answered 413.
    pub(crate) body_bytes: usize,
    /// Longest time for a body to arrive.
    pub(crate) body_read: Duration,
    /// Keys and string values together; pairs of a form.
    pub(crate) json_strings: usize,
    /// Longest key or string value, as it is written.
    pub(crate) json_string_bytes: usize,
    /// Arrays and objects within each other. The decoder cannot go deeper than the default.
    pub(crate) json_depth: usize,
    /// Estimated size once decoded.
    pub(crate) json_memory_bytes: usize,
    /// Longest `X-Vault-Token` or `Authorization` header.
    pub(crate) token_bytes: usize,
    /// Longest time that a request may take, its body included.
    pub(crate) duration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 33_554_432,
            body_read: Duration::from_secs(30),
            json_strings: 10_000,
            json_string_bytes: usize::MAX,
            json_depth: 100,
            json_memory_bytes: 34_078_720,
            token_bytes: 8192,
            duration: Duration::from_secs(90),
        }
    }
}

/// Whom to believe about the address of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedFor {
    /// Proxies that may say it.
    pub(crate) authorized: Vec<IpNet>,
    /// Addresses at the end of the chain that belong to proxies.
    pub(crate) hop_skips: usize,
    pub(crate) reject_not_authorized: bool,
    pub(crate) reject_not_present: bool,
}

impl ForwardedFor {
    /// The client's address: what the proxy says, or the other end of the connection.
    pub(super) fn client(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
    ) -> Result<SocketAddr, Refused> {
        let mut values = headers.get_all("x-forwarded-for").iter().peekable();
        if values.peek().is_none() {
            return if self.reject_not_present {
                Err(Refused::bad_request(
                    "missing x-forwarded-for header and configured to reject when not present",
                ))
            } else {
                Ok(peer)
            };
        }
        let proxy = peer.ip();
        if !self
            .authorized
            .iter()
            .any(|network| network.contains(&proxy))
        {
            return if self.reject_not_authorized {
                Err(Refused::bad_request(
                    "client address not authorized for x-forwarded-for and configured to reject \
                     connection",
                ))
            } else {
                Ok(peer)
            };
        }
        let chain: Vec<&str> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let at = chain.len().checked_sub(self.hop_skips + 1);
        let Some(client) = at.and_then(|at| chain.get(at)) else {
            return Err(Refused::bad_request(format!(
                "malformed x-forwarded-for configuration or request, hops to skip ({}) would skip \
                 before earliest chain link (chain length {})",
                self.hop_skips,
                chain.len()
            )));
        };
        match client.parse::<IpAddr>() {
            Ok(address) => Ok(SocketAddr::new(address.to_canonical(), peer.port())),
            Err(_) => Err(Refused::bad_request("malformed x-forwarded-for address")),
        }
    }
}

/// Response headers of the operator's own, by status.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomHeaders(Vec<(StatusSelector, HeaderName, Vec<HeaderValue>)>);

/// Which answers get a header. The later in this order the more it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusSelector {
    All,
    /// 4 for `4xx`.
    Class(u16),
    Code(u16),
}

impl StatusSelector {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("default") {
            return Some(Self::All);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(class) = lower.strip_suffix("xx") {
            return class
                .parse()
                .ok()
                .filter(|class| (1..=5).contains(class))
                .map(Self::Class);
        }
        text.parse()
            .ok()
            .filter(|code| (100..600).contains(code))
            .map(Self::Code)
    }

    fn matches(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Class(class) => status / 100 == class,
            Self::Code(code) => status == code,
        }
    }
}

impl CustomHeaders {
    pub(crate) fn add(
        &mut self,
        status: StatusSelector,
        name: HeaderName,
        values: Vec<HeaderValue>,
    ) {
        let at = self.0.partition_point(|(other, ..)| *other <= status);
        self.0.insert(at, (status, name, values));
    }

    pub(super) fn apply(&self, status: u16, headers: &mut HeaderMap) {
        for (selector, name, values) in &self.0 {
            if selector.matches(status) {
                headers.remove(name);
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
    }
}

/// Paths that a listener does not serve.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Restrictions {
    /// Audit devices come from the configuration only.
    pub(crate) forbid_audit_by_api: bool,
    pub(crate) forbid_generate_root: bool,
    pub(crate) forbid_rekey: bool,
    pub(crate) metrics: MetricsAccess,
    /// This listener serves only what certificates point to: CRLs, OCSP, certificates of issuers.
    pub(crate) only_distribution: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MetricsAccess {
    None,
    #[default]
    Normal,
    /// This listener serves nothing else.
    Only,
}

impl Restrictions {
    pub(super) fn check(self, op: Op, path: &str) -> Result<(), Refused> {
        let Some(path) = path.strip_prefix("sys/") else {
            return match self.metrics {
                MetricsAccess::Only => Err(Refused::Error(404, String::new())),
                MetricsAccess::None | MetricsAccess::Normal => Ok(()),
            };
        };
        let is_metrics = path.trim_end_matches('/') == "metrics";
        let hidden = match self.metrics {
            MetricsAccess::None => is_metrics,
            MetricsAccess::Normal => false,
            MetricsAccess::Only => !is_metrics,
        };
        if hidden {
            return Err(Refused::Error(404, String::new()));
        }
        let closed = (self.forbid_rekey && path.starts_with("rekey"))
            || (self.forbid_generate_root && path.starts_with("generate-root"));
        if closed {
            return Err(Refused::Error(405, "unsupported operation".into()));
        }
        if self.forbid_audit_by_api && op == Op::Write && path.starts_with("audit/") {
            return Err(Refused::bad_request(
                "cannot enable audit device via API; use declarative, config-based audit device \
                 management instead",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(forwarded: &ForwardedFor, peer: &str, values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        match forwarded.client(SocketAddr::new(peer.parse().unwrap(), 9), &headers) {
            Ok(address) => Ok(address.to_string()),
            Err(Refused::Error(400, text)) => Err(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn believes_authorized_proxies_only() {
        let strict = ForwardedFor {
            authorized: vec!["10.0.0.0/8".parse().unwrap()],
            hop_skips: 0,
            reject_not_authorized: true,
            reject_not_present: true,
        };
        assert_eq!(
            client(&strict, "10.1.1.1", &["1.2.3.4"]),
            Ok("1.2.3.4:9".into())
        );
        assert_eq!(
            client(&strict, "10.1.1.1", &["9.9.9.9, 8.8.8.8", "1.2.3.4"]),
            Ok("1.2.3.4:9".into())
        );
        assert!(
            client(&strict, "11.1.1.1", &["1.2.3.4"])
                .unwrap_err()
                .contains("not authorized")
        );
        assert!(
            client(&strict, "10.1.1.1", &[])
                .unwrap_err()
                .contains("missing x-forwarded-for")
        );
        assert!(client(&strict, "10.1.1.1", &["nonsense"]).is_err());
        let skipping = ForwardedFor {
            hop_skips: 1,
            ..strict.clone()
        };
        assert_eq!(
            client(&skipping, "10.1.1.1", &["1.2.3.4, 10.2.2.2"]),
            Ok("1.2.3.4:9".into())
        );
        assert!(
            client(&skipping, "10.1.1.1", &["1.2.3.4"])
                .unwrap_err()
                .contains("hops to skip (1)")
        );
        let lenient = ForwardedFor {
            reject_not_authorized: false,
            reject_not_present: false,
            ..strict
        };
        assert_eq!(
            client(&lenient, "11.1.1.1", &["1.2.3.4"]),
            Ok("11.1.1.1:9".into())
        );
        assert_eq!(client(&lenient, "10.1.1.1", &[]), Ok("10.1.1.1:9".into()));
    }

    #[test]
    fn the_narrowest_custom_header_counts() {
        let mut custom = CustomHeaders::default();
        let name = HeaderName::from_static("x-level");
        for (selector, value) in [("404", "code"), ("default", "all"), ("4xx", "class")] {
            let value = HeaderValue::from_static(value);
            custom.add(
                StatusSelector::parse(selector).unwrap(),
                name.clone(),
                vec![value],
            );
        }
        for (status, level) in [(200, "all"), (400, "class"), (404, "code")] {
            let mut headers = HeaderMap::new();
            custom.apply(status, &mut headers);
            assert_eq!(headers.get("x-level").unwrap(), level, "{status}");
        }
        for bad in ["6xx", "xx", "99", "600", "ok"] {
            assert_eq!(StatusSelector::parse(bad), None, "{bad}");
        }
    }
}
