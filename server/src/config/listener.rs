//! `listener` blocks.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::section::{Block, Report, Section};
use super::tls::{self, TlsSettings};
use crate::http::{
    ConnectionLimits, CustomHeaders, ForwardedFor, Limits, MetricsAccess, Policy, Restrictions,
    StatusSelector,
};

/// One socket to accept connections on.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) bind: Bind,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) policy: Policy,
    pub(crate) connections: ConnectionLimits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// Host and port; an empty host is every address of the machine.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(UnixSocket),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnixSocket {
    pub(crate) path: PathBuf,
    /// Permission bits; `None` leaves what the system gives.
    pub(crate) mode: Option<u32>,
    /// Names or numbers.
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
}

pub(crate) const DEFAULT_PORT: u16 = 8200;

/// What holds for all listeners alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) max_request_duration: Option<Duration>,
    pub(crate) hostname: Option<HeaderValue>,
    pub(crate) forbid_audit_by_api: bool,
}

pub(crate) fn read(block: Block, shared: &Shared, report: &mut Report) -> Option<Listener> {
    let place = block.place().clone();
    let kind = block.label(0).to_ascii_lowercase();
    let mut section = block.section;
    // In an old notation the kind stands inside.
    let kind = match section.filled_text("type", report) {
        Some(inner) if kind.is_empty() => inner.to_ascii_lowercase(),
        _ => kind,
    };
    let bind = match kind.as_str() {
        "tcp" => tcp(&mut section, report),
        "unix" => unix(&mut section, report),
        other => {
            report.error(&place, format_args!("unsupported listener type {other:?}"));
            return None;
        }
    };
    let tls = if kind == "tcp" {
        tls::read(&mut section, report)
    } else {
        section.ignore(&["tls_disable"]);
        None
    };
    let connections = connection_limits(&mut section, report);
    let policy = policy(&mut section, shared, report);
    section.ignore(&["cluster_address", "bind_addr_family"]);
    section.warn_unsupported(
        &[
            "cors_enabled",
            "cors_allowed_origins",
            "cors_allowed_headers",
            "inflight_requests_logging",
            "profiling",
            "role",
        ],
        report,
    );
    section.refuse(
        &[
            "proxy_protocol_behavior",
            "proxy_protocol_authorized_addrs",
            "redact_addresses",
            "redact_cluster_name",
            "redact_version",
            "x_forwarded_for_client_cert_header",
            "x_forwarded_for_client_cert_header_decoders",
        ],
        report,
    );
    let chroot_place = section.place_of("chroot_namespace");
    if let Some(namespace) = section.filled_text("chroot_namespace", report)
        && !matches!(namespace.as_str(), "root" | "root/" | "/")
    {
        report.error(
            &chroot_place,
            "chroot_namespace is not supported: there are no namespaces",
        );
    }
    section.finish(report);
    Some(Listener {
        bind: bind?,
        tls,
        policy,
        connections,
    })
}

/// Plain HTTP with every default.
pub(crate) fn plain(bind: Bind, shared: &Shared) -> Listener {
    let defaults = Limits::default();
    Listener {
        bind,
        tls: None,
        policy: Policy {
            limits: Limits {
                duration: shared.max_request_duration.unwrap_or(defaults.duration),
                ..defaults
            },
            hostname: shared.hostname.clone(),
            restrictions: Restrictions {
                forbid_audit_by_api: shared.forbid_audit_by_api,
                ..Restrictions::default()
            },
            ..Policy::default()
        },
        connections: ConnectionLimits::default(),
    }
}

fn tcp(section: &mut Section, report: &mut Report) -> Option<Bind> {
    let place = section.place_of("address");
    let address = section
        .filled_text("address", report)
        .unwrap_or_else(|| "127.0.0.1".into());
    match tcp_address(&address) {
        Ok(bind) => Some(bind),
        Err(error) => {
            report.error(&place, error);
            None
        }
    }
}

/// `host:port`, `host`, `:port` or `[v6]:port`.
pub(crate) fn tcp_address(address: &str) -> Result<Bind, String> {
    tcp_address_or(address, DEFAULT_PORT)
}

/// Host and port, with a port for addresses that have none.
pub(crate) fn tcp_address_or(address: &str, default_port: u16) -> Result<Bind, String> {
    if address.contains("{{") {
        return Err(format!("address templates are not supported: {address:?}"));
    }
    let whole_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !whole_v6 && !port.ends_with(']') => {
            let port = port
                .parse()
                .map_err(|_| format!("invalid port in address {address:?}"))?;
            (host, port)
        }
        _ => (address, default_port),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok(Bind::Tcp {
        host: host.to_owned(),
        port,
    })
}

fn unix(section: &mut Section, report: &mut Report) -> Option<Bind> {
    let mode_place = section.place_of("socket_mode");
    let mode = section.filled_text("socket_mode", report).and_then(|text| {
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777);
        if mode.is_none() {
            report.error(
                &mode_place,
                "socket_mode must be octal permission bits, e.g. \"660\"",
            );
        }
        mode
    });
    let user = section.filled_text("socket_user", report);
    let group = section.filled_text("socket_group", report);
    let Some(path) = section.path("address", report) else {
        report.error(
            &section.place,
            "a unix listener needs an address: the path of its socket",
        );
        return None;
    };
    Some(Bind::Unix(UnixSocket {
        path,
        mode,
        user,
        group,
    }))
}

fn connection_limits(section: &mut Section, report: &mut Report) -> ConnectionLimits {
    let defaults = ConnectionLimits::default();
    let mut duration = |key, default| {
        section
            .duration(key, report)
            .filter(|duration| !duration.is_zero())
            .unwrap_or(default)
    };
    ConnectionLimits {
        header_read: duration("http_read_header_timeout", defaults.header_read),
        idle: duration("http_idle_timeout", defaults.idle),
        write_stall: duration("http_write_timeout", defaults.write_stall),
        idle_bytes: defaults.idle_bytes,
    }
}

fn policy(section: &mut Section, shared: &Shared, report: &mut Report) -> Policy {
    let restrictions = Restrictions {
        forbid_audit_by_api: shared.forbid_audit_by_api,
        forbid_generate_root: section
            .flag("disable_unauthed_generate_root_endpoints", report)
            .unwrap_or(false),
        forbid_rekey: section
            .flag("disable_unauthed_rekey_endpoints", report)
            .unwrap_or(false),
        metrics: metrics(section, report),
        only_distribution: only_distribution(section, report),
    };
    Policy {
        limits: limits(section, shared, report),
        forwarded: forwarded(section, report),
        custom_headers: custom_headers(section, report),
        hostname: shared.hostname.clone(),
        restrictions,
    }
}

/// Other purposes are those of other products, for which every listener is an `api`.
fn only_distribution(section: &mut Section, report: &mut Report) -> bool {
    let place = section.place_of("purpose");
    let purposes = section.list("purpose", report).unwrap_or_default();
    let is_wanted = purposes.iter().any(|purpose| purpose == DISTRIBUTION);
    if is_wanted && purposes.len() > 1 {
        report.error(
            &place,
            format_args!("a listener whose purpose is {DISTRIBUTION:?} has no other"),
        );
    }
    is_wanted
}

const DISTRIBUTION: &str = "pki_distribution";

fn limits(section: &mut Section, shared: &Shared, report: &mut Report) -> Limits {
    let defaults = Limits::default();
    let mut size = |key: &str, default: usize| {
        section
            .count(key, report)
            .filter(|count| *count > 0)
            .map_or(default, |count| {
                usize::try_from(count).unwrap_or(usize::MAX)
            })
    };
    let body_bytes = size("max_request_size", defaults.body_bytes);
    let json_memory_bytes = size("max_request_json_memory", defaults.json_memory_bytes);
    let json_strings = size("max_request_json_strings", defaults.json_strings);
    let token_bytes = size("max_token_header_size", defaults.token_bytes);
    let json_depth = size("max_json_depth", defaults.json_depth).min(defaults.json_depth);
    let json_string_bytes = size("max_json_string_value_length", defaults.json_string_bytes);
    section.warn_unsupported(
        &[
            "max_json_object_entry_count",
            "max_json_array_element_count",
        ],
        report,
    );
    Limits {
        body_bytes,
        json_strings,
        json_depth,
        json_memory_bytes,
        json_string_bytes,
        token_bytes,
        body_read: section
            .duration("http_read_timeout", report)
            .filter(|duration| !duration.is_zero())
            .unwrap_or(defaults.body_read),
        duration: section
            .duration("max_request_duration", report)
            .filter(|duration| !duration.is_zero())
            .or(shared.max_request_duration)
            .unwrap_or(defaults.duration),
    }
}

fn metrics(section: &mut Section, report: &mut Report) -> MetricsAccess {
    let Some(mut telemetry) = section.block("telemetry", report) else {
        return MetricsAccess::Normal;
    };
    telemetry.warn_unsupported(&["unauthenticated_metrics_access"], report);
    let only = telemetry.flag("metrics_only", report).unwrap_or(false);
    let disallow = telemetry.flag("disallow_metrics", report).unwrap_or(false);
    if only && disallow {
        report.error(
            &telemetry.place,
            "metrics_only and disallow_metrics exclude each other",
        );
    }
    telemetry.finish(report);
    match (only, disallow) {
        (true, _) => MetricsAccess::Only,
        (_, true) => MetricsAccess::None,
        _ => MetricsAccess::Normal,
    }
}

fn forwarded(section: &mut Section, report: &mut Report) -> Option<ForwardedFor> {
    let place = section.place_of("x_forwarded_for_authorized_addrs");
    let addresses = section.list("x_forwarded_for_authorized_addrs", report);
    let skips_place = section.place_of("x_forwarded_for_hop_skips");
    let hop_skips = section
        .count("x_forwarded_for_hop_skips", report)
        .unwrap_or(0);
    let reject_not_authorized = section
        .flag("x_forwarded_for_reject_not_authorized", report)
        .unwrap_or(true);
    let reject_not_present = section
        .flag("x_forwarded_for_reject_not_present", report)
        .unwrap_or(true);
    let addresses = addresses.filter(|addresses| !addresses.is_empty())?;
    let mut authorized = Vec::new();
    for address in addresses {
        match network(&address) {
            Some(network) => authorized.push(network),
            None => report.error(
                &place,
                format_args!(
                    "x_forwarded_for_authorized_addrs: {address:?} is no IP address or CIDR"
                ),
            ),
        }
    }
    let Ok(hop_skips) = usize::try_from(hop_skips) else {
        report.error(&skips_place, "x_forwarded_for_hop_skips is too large");
        return None;
    };
    Some(ForwardedFor {
        authorized,
        hop_skips,
        reject_not_authorized,
        reject_not_present,
    })
}

fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

fn custom_headers(section: &mut Section, report: &mut Report) -> CustomHeaders {
    let mut headers = CustomHeaders::default();
    for block in section.blocks("custom_response_headers", 1, report) {
        let Some(status) = StatusSelector::parse(block.label(0)) else {
            report.error(
                block.place(),
                format_args!(
                    "{:?} is no status: default, 1xx to 5xx or a code",
                    block.label(0)
                ),
            );
            continue;
        };
        for (field, _) in block.section.entries() {
            let name = HeaderName::try_from(field.key.as_str()).ok();
            let reserved = name.as_ref().is_some_and(|name| {
                name.as_str().starts_with("x-vault-")
                    || matches!(
                        name.as_str(),
                        "content-length"
                            | "content-type"
                            | "transfer-encoding"
                            | "connection"
                            | "date"
                    )
            });
            let (Some(name), false) = (name, reserved) else {
                report.error(
                    &field.place,
                    format_args!("the response header {:?} cannot be set", field.key),
                );
                continue;
            };
            let values: Option<Vec<HeaderValue>> = field.texts().and_then(|texts| {
                texts
                    .iter()
                    .map(|text| HeaderValue::from_str(text).ok())
                    .collect()
            });
            match values {
                Some(values) => headers.add(status, name, values),
                None => report.error(
                    &field.place,
                    format_args!(
                        "the response header {:?} has a value that is no header text",
                        field.key
                    ),
                ),
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_operators_write_them() {
        let tcp = |host: &str, port| Bind::Tcp {
            host: host.into(),
            port,
        };
        for (text, bind) in [
            ("127.0.0.1:8200", tcp("127.0.0.1", 8200)),
            ("0.0.0.0", tcp("0.0.0.0", 8200)),
            (":8201", tcp("", 8201)),
            ("[::1]:0", tcp("::1", 0)),
            ("[::]", tcp("::", 8200)),
            ("::1", tcp("::1", 8200)),
            ("localhost:1", tcp("localhost", 1)),
        ] {
            assert_eq!(tcp_address(text), Ok(bind), "{text}");
        }
        for text in ["127.0.0.1:x", "a:70000", "{{ GetPrivateIP }}:8200"] {
            assert!(tcp_address(text).is_err(), "{text}");
        }
    }
}
