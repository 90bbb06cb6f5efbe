//! `istio_csr { … }`: certificates for the workloads of a mesh, straight from a PKI mount.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use signet_api::mesh::{ConfiguredNodes, CsrMode, ServiceAccount, ServingSettings, TrustDomain};

use super::listener::{self, Bind};
use super::section::{Block, Report, Section};

/// The block, checked.
#[derive(Clone, Debug)]
pub(crate) struct IstioCsr {
    pub(crate) bind: Bind,
    /// Ends in `/`.
    pub(crate) mount: String,
    pub(crate) role: String,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) mode: CsrMode,
    pub(crate) default_ttl_secs: u64,
    pub(crate) max_ttl_secs: u64,
    pub(crate) clamp_ttl: bool,
    pub(crate) ttl_jitter_percent: u8,
    pub(crate) trusted_node_accounts: Vec<ServiceAccount>,
    pub(crate) serving: ServingSettings,
    pub(crate) limits: MeshLimits,
    pub(crate) client_certificates: bool,
    pub(crate) tokens: Vec<TokenAuthenticator>,
}

/// How much may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MeshLimits {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

/// `authenticator "jwks"` and `authenticator "kubernetes"`.
#[derive(Clone, Debug)]
pub(crate) enum TokenAuthenticator {
    Jwks(Jwks),
    Kubernetes(Kubernetes),
}

#[derive(Clone, Debug)]
pub(crate) struct Jwks {
    pub(crate) keys: Keys,
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    /// `None` takes tokens whatever cluster they are said to come from.
    pub(crate) cluster_id: Option<String>,
    pub(crate) nodes: ConfiguredNodes,
}

/// Where the keys of a token's issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    File(PathBuf),
    Url {
        url: String,
        ca_file: Option<PathBuf>,
    },
}

/// Empty texts and paths mean the cluster that this server runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kubernetes {
    pub(crate) cluster_id: String,
    pub(crate) host: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) audiences: Vec<String>,
}

impl IstioCsr {
    /// The clusters whose pods are to be watched: none where no node's proxy may ask for them.
    pub(crate) fn clusters_with_proxies(&self) -> Vec<&Kubernetes> {
        if self.trusted_node_accounts.is_empty() {
            return Vec::new();
        }
        let clusters = self.tokens.iter();
        clusters
            .filter_map(|authenticator| match authenticator {
                TokenAuthenticator::Kubernetes(cluster) => Some(cluster),
                TokenAuthenticator::Jwks(_) => None,
            })
            .collect()
    }
}

pub(super) fn read(mut section: Section, report: &mut Report) -> Option<IstioCsr> {
    let place = section.place.clone();
    let bind = address(&mut section, report);
    let mut required = |key: &str| {
        let found = section.filled_text(key, report);
        if found.is_none() {
            report.error(&place, format_args!("istio_csr needs {key}"));
        }
        found
    };
    let (mount, role) = (required("mount"), required("role"));
    let trust_domain = trust_domain(&mut section, report);
    let names = section.list("dns_names", report).unwrap_or_default();
    if names.is_empty() {
        report.error(
            &place,
            "istio_csr needs dns_names: the names that clients look for in the server's certificate",
        );
    }
    let mode = choice(
        &mut section,
        "mode",
        [
            ("strict", CsrMode::Strict),
            ("overwrite", CsrMode::Overwrite),
        ],
        report,
    );
    let clamp_ttl = choice(
        &mut section,
        "max_ttl_behavior",
        [("clamp", true), ("error", false)],
        report,
    );
    let max_ttl_secs = lifetime(&mut section, "max_ttl", DAY_SECS, report);
    let default_place = section.place_of("default_ttl");
    let default_ttl_secs = lifetime(
        &mut section,
        "default_ttl",
        max_ttl_secs.min(DAY_SECS),
        report,
    );
    if default_ttl_secs > max_ttl_secs {
        report.error(&default_place, "default_ttl is longer than max_ttl");
    }
    let serving = ServingSettings {
        names,
        ttl_secs: lifetime(&mut section, "serving_ttl", DAY_SECS, report),
    };
    let jitter_place = section.place_of("ttl_jitter_percent");
    let jitter = section.count("ttl_jitter_percent", report).unwrap_or(0);
    if jitter > MOST_JITTER_PERCENT {
        report.error(
            &jitter_place,
            format_args!("ttl_jitter_percent is at most {MOST_JITTER_PERCENT}"),
        );
    }
    let trusted_node_accounts = accounts(&mut section, "trusted_node_accounts", report);
    let limits = MeshLimits {
        connections: limit(&mut section, "max_connections", 16_384, report),
        requests: limit(&mut section, "max_requests", 16_384, report),
    };
    let (client_certificates, tokens) = authenticators(&mut section, report);
    if !client_certificates && tokens.is_empty() && report.errors.is_empty() {
        report.error(&place, "istio_csr needs an authenticator block");
    }
    section.finish_strictly("istio_csr", report);
    Some(IstioCsr {
        bind: bind?,
        mount: format!("{}/", mount?.trim_matches('/')),
        role: role?,
        trust_domain: trust_domain?,
        mode: mode?,
        default_ttl_secs,
        max_ttl_secs,
        clamp_ttl: clamp_ttl?,
        ttl_jitter_percent: u8::try_from(jitter).ok()?,
        trusted_node_accounts,
        serving,
        limits,
        client_certificates,
        tokens,
    })
}

fn address(section: &mut Section, report: &mut Report) -> Option<Bind> {
    let place = section.place_of("address");
    let text = section.filled_text("address", report);
    let text = text.as_deref().unwrap_or("0.0.0.0");
    match listener::tcp_address_or(text, DEFAULT_PORT) {
        Ok(bind) => Some(bind),
        Err(error) => {
            report.error(&place, format_args!("address: {error}"));
            None
        }
    }
}

fn trust_domain(section: &mut Section, report: &mut Report) -> Option<TrustDomain> {
    let place = section.place_of("trust_domain");
    let text = section.filled_text("trust_domain", report);
    let text = text.as_deref().unwrap_or("cluster.local");
    let parsed = TrustDomain::parse(text);
    if parsed.is_none() {
        report.error(
            &place,
            format_args!("{text:?} is not a trust domain: small letters, digits and -._"),
        );
    }
    parsed
}

/// One of two words; the first one is the default.
fn choice<T: Copy>(
    section: &mut Section,
    key: &str,
    words: [(&str, T); 2],
    report: &mut Report,
) -> Option<T> {
    let place = section.place_of(key);
    let [(first, default), (second, _)] = words;
    let Some(text) = section.filled_text(key, report) else {
        return Some(default);
    };
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        report.error(
            &place,
            format_args!("{key} must be {first:?} or {second:?}, not {text:?}"),
        );
    }
    found.map(|(_, meaning)| *meaning)
}

fn lifetime(section: &mut Section, key: &str, default_secs: u64, report: &mut Report) -> u64 {
    let place = section.place_of(key);
    match section.duration(key, report) {
        None => default_secs,
        Some(given) if given < Duration::from_secs(1) => {
            report.error(&place, format_args!("{key} must be at least a second"));
            default_secs
        }
        Some(given) => given.as_secs(),
    }
}

fn limit(section: &mut Section, key: &str, default: usize, report: &mut Report) -> usize {
    let place = section.place_of(key);
    match section.count(key, report) {
        None => default,
        Some(count) => match usize::try_from(count) {
            Ok(count) if count > 0 => count,
            _ => {
                report.error(&place, format_args!("{key} must be more than 0"));
                default
            }
        },
    }
}

fn accounts(section: &mut Section, key: &str, report: &mut Report) -> Vec<ServiceAccount> {
    let place = section.place_of(key);
    let texts = section.list(key, report).unwrap_or_default();
    let mut accounts = Vec::new();
    for text in texts {
        match ServiceAccount::parse(&text) {
            Some(account) => accounts.push(account),
            None => report.error(
                &place,
                format_args!("{key}: {text:?} is not a service account: namespace/name"),
            ),
        }
    }
    accounts
}

fn authenticators(section: &mut Section, report: &mut Report) -> (bool, Vec<TokenAuthenticator>) {
    let mut client_certificates = false;
    let mut tokens = Vec::new();
    let mut clusters = Vec::new();
    for block in section.blocks("authenticator", 1, report) {
        let place = block.place().clone();
        match block.label(0) {
            "client_certificate" => {
                if client_certificates {
                    report.error(&place, "two authenticators are \"client_certificate\"");
                }
                client_certificates = true;
                block
                    .section
                    .finish_strictly("authenticator \"client_certificate\"", report);
            }
            "jwks" => tokens.extend(jwks(block, report).map(TokenAuthenticator::Jwks)),
            "kubernetes" => {
                let Some(kubernetes) = kubernetes(block, report) else {
                    continue;
                };
                let id = kubernetes.cluster_id.clone();
                if clusters.contains(&id) {
                    report.error(
                        &place,
                        format_args!("two authenticators have the cluster_id {id:?}"),
                    );
                }
                clusters.push(id);
                tokens.push(TokenAuthenticator::Kubernetes(kubernetes));
            }
            other => report.error(
                &place,
                format_args!(
                    "there is no authenticator {other:?}: \"client_certificate\", \"jwks\" or \
                     \"kubernetes\""
                ),
            ),
        }
    }
    (client_certificates, tokens)
}

fn jwks(block: Block, report: &mut Report) -> Option<Jwks> {
    let mut section = block.section;
    let place = section.place.clone();
    let (file, url) = (
        section.path("file", report),
        section.filled_text("url", report),
    );
    let ca_place = section.place_of("ca_file");
    let ca_file = section.path("ca_file", report);
    let keys = match (file, url) {
        (Some(file), None) => {
            if ca_file.is_some() {
                report.error(&ca_place, "ca_file is for a url");
            }
            Some(Keys::File(file))
        }
        (None, Some(url)) => Some(Keys::Url { url, ca_file }),
        _ => {
            report.error(&place, "authenticator \"jwks\" needs file or url");
            None
        }
    };
    let issuer = section.filled_text("issuer", report);
    if issuer.is_none() {
        report.error(
            &place,
            "authenticator \"jwks\" needs issuer: the iss of the tokens",
        );
    }
    let audiences = audiences(&mut section, report);
    let cluster_id = section.filled_text("cluster_id", report);
    let nodes = nodes(&mut section, report);
    section.finish_strictly("authenticator \"jwks\"", report);
    Some(Jwks {
        keys: keys?,
        issuer: issuer?,
        audiences,
        cluster_id,
        nodes,
    })
}

fn kubernetes(block: Block, report: &mut Report) -> Option<Kubernetes> {
    let mut section = block.section;
    let place = section.place.clone();
    let cluster_id = section
        .filled_text("cluster_id", report)
        .unwrap_or_else(|| "Kubernetes".into());
    let kubernetes = Kubernetes {
        cluster_id,
        host: section.filled_text("host", report),
        ca_file: section.path("ca_file", report),
        token_file: section.path("token_file", report),
        audiences: audiences(&mut section, report),
    };
    section.finish_strictly("authenticator \"kubernetes\"", report);
    if let Some(host) = &kubernetes.host
        && !host.starts_with("https://")
        && !host.starts_with("http://")
    {
        report.error(&place, format_args!("host must be a URL, not {host:?}"));
        return None;
    }
    Some(kubernetes)
}

fn audiences(section: &mut Section, report: &mut Report) -> Vec<String> {
    let place = section.place_of("audiences");
    let Some(audiences) = section.list("audiences", report) else {
        return vec![DEFAULT_AUDIENCE.to_owned()];
    };
    if audiences.is_empty() {
        report.error(&place, "audiences must not be empty");
    }
    audiences
}

/// `nodes { node-1 = ["namespace/account"] }`: keys are names of nodes.
fn nodes(section: &mut Section, report: &mut Report) -> ConfiguredNodes {
    let mut nodes = BTreeMap::new();
    if let Some(mut block) = section.block("nodes", report) {
        let names: Vec<String> = block.names().map(str::to_owned).collect();
        for name in names {
            let accounts = accounts(&mut block, &name, report);
            nodes.insert(name, accounts);
        }
    }
    ConfiguredNodes(nodes)
}

const DAY_SECS: u64 = 86_400;
/// Where Istio's agents look for their authority.
const DEFAULT_PORT: u16 = 15_012;
/// Of the tokens that Istio mounts into its pods.
const DEFAULT_AUDIENCE: &str = "istio-ca";
/// Clients expect about what they asked for.
const MOST_JITTER_PERCENT: u64 = 20;

#[cfg(test)]
mod tests;
