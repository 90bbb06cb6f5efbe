//! Everything that is set from outside: files, flags, the environment.
//!
//! Files are read twice: first into [`section::Section`]s, loosely as HCL or JSON, then key by key
//! into checked [`Settings`]. A key that is accepted is acted on; one that cannot be acted on is
//! warned of, or refused where passing over it would be dangerous.

pub(crate) mod args;
mod declared;
pub(crate) mod env;
mod istio_csr;
mod kubernetes;
mod listener;
mod log;
mod seal;
pub(crate) mod section;
mod storage;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderValue;
use signet_api::audit::DeclaredDevice;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::SystemTtl;
use signet_api::seal::StaticSeal;
use signet_storage::Engine;
use zeroize::Zeroizing;

use self::args::ServerArgs;
use self::env::Environment;
pub(crate) use self::istio_csr::{IstioCsr, Jwks, Keys, Kubernetes, TokenAuthenticator};
pub(crate) use self::kubernetes::{IstiodSettings, KubernetesSettings};
pub(crate) use self::listener::{Bind, Listener, UnixSocket};
pub(crate) use self::log::{Keep, LogFileSettings, LogFormat, LogSettings};
use self::section::{Place, Report, Section};
pub(crate) use self::storage::Storage;
pub(crate) use self::tls::{ClientCertificates, TlsSettings, Versions};

/// A whole server, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) storage: Storage,
    /// `None`: people unseal the server with key shares.
    pub(crate) seal: Option<StaticSeal>,
    pub(crate) dev: Option<DevSettings>,
    pub(crate) system_ttl: SystemTtl,
    pub(crate) user_lockout: LockoutSettings,
    /// Empty for a generated name.
    pub(crate) cluster_name: String,
    /// As clients reach the server; `None` derives it from the first listener.
    pub(crate) api_addr: Option<String>,
    pub(crate) log: LogSettings,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) declared: Declared,
    /// RSA-2048 keys to be made while the server is idle; 0 for none.
    pub(crate) rsa_keys_ahead: usize,
    /// ACME only for accounts that are bound to somebody known, whatever mounts are set to.
    pub(crate) is_public_acme_disabled: bool,
    /// URL of the API server of the cluster that this process runs in, if it does.
    pub(crate) kubernetes_service: Option<String>,
    /// For the log, once there is one.
    pub(crate) warnings: Vec<String>,
}

/// What parts of the server beyond the process act on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) audit: Vec<DeclaredDevice>,
    pub(crate) istio_csr: Option<IstioCsr>,
    pub(crate) kubernetes: Option<KubernetesSettings>,
}

/// What `-dev` asks for.
#[derive(Clone, Debug)]
pub(crate) struct DevSettings {
    /// `None` makes one.
    pub(crate) root_token: Option<Zeroizing<String>>,
    /// The home directory that gets `.vault-token`; `None` writes none.
    pub(crate) token_home: Option<PathBuf>,
    /// Where keys and data survive; `None` for memory.
    pub(crate) directory: Option<PathBuf>,
    /// Whether the store at `secret/` keeps versions.
    pub(crate) kv_versions: bool,
    /// The certificate of the first listener is to be made at start.
    pub(crate) tls: Option<DevTls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevTls {
    /// `None` for a temporary directory.
    pub(crate) directory: Option<PathBuf>,
}

/// The faults of a configuration, all of them.
#[derive(Debug, thiserror::Error)]
#[error("error loading configuration:\n  * {}", .0.join("\n  * "))]
pub(crate) struct ConfigError(pub(crate) Vec<String>);

/// Reads files, flags and environment.
pub(crate) fn load(args: &ServerArgs, environment: &Environment) -> Result<Settings, ConfigError> {
    let mut report = Report::default();
    refuse_flags(args, &mut report);
    let mut file = read_files(args, environment, &mut report);
    let settings = settings(&mut file, args, environment, &mut report);
    file.finish(&mut report);
    match settings {
        Some(settings) if report.errors.is_empty() => Ok(Settings {
            warnings: report.warnings,
            ..settings
        }),
        _ => Err(ConfigError(report.errors)),
    }
}

fn refuse_flags(args: &ServerArgs, report: &mut Report) {
    for (given, flag) in [
        (args.dev_ha, "-dev-ha"),
        (args.dev_three_node, "-dev-three-node"),
        (args.dev_cluster_json.is_some(), "-dev-cluster-json"),
    ] {
        if given {
            report.general_error(format!(
                "{flag} is not supported: this server has no clusters"
            ));
        }
    }
    if args.recovery {
        report.general_error("-recovery is not supported: there is no recovery mode");
    }
    for (given, flag) in [
        (args.dev_kv_v1, "-dev-kv-v1"),
        (args.dev_storage_path.is_some(), "-dev-storage-path"),
        (args.dev_listen_address.is_some(), "-dev-listen-address"),
        (args.dev_root_token_id.is_some(), "-dev-root-token-id"),
    ] {
        if given && !args.is_dev() {
            report.general_error(format!("{flag} needs -dev"));
        }
    }
    if args.dev_tls_cert_dir.is_some() && !args.dev_tls {
        report.general_error("-dev-tls-cert-dir needs -dev-tls");
    }
}

/// All files as if they were one; of a repeated key the last counts.
fn read_files(args: &ServerArgs, environment: &Environment, report: &mut Report) -> Section {
    let place = Place {
        file: "configuration".into(),
        line: 0,
        column: 0,
    };
    let mut all = Section::new(place, Vec::new());
    let mut given = args.config.clone();
    if let (true, Some(path)) = (given.is_empty(), environment.setting("CONFIG_PATH")) {
        given.push(path.into());
    }
    if given.is_empty() && !args.is_dev() {
        report.general_error(
            "must specify at least one config path using -config, or start with -dev",
        );
    }
    for path in given {
        match files_at(&path) {
            Ok(files) => {
                if files.is_empty() {
                    report.general_error(format!("no .hcl or .json file in {}", path.display()));
                }
                for file in files {
                    read_file(&file, &mut all, report);
                }
            }
            Err(error) => report.general_error(format!("{}: {error}", path.display())),
        }
    }
    all
}

/// The file itself, or the configuration files of the directory in alphabetical order.
fn files_at(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let is_config = file
            .extension()
            .is_some_and(|extension| extension == "hcl" || extension == "json");
        if is_config && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path, all: &mut Section, report: &mut Report) {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return report.general_error(format!("{name}: {error}")),
    };
    match signet_api::hcl::read(&text) {
        Ok(items) => {
            let place = Place {
                file: name.into(),
                line: 1,
                column: 1,
            };
            all.append(Section::new(place, items));
        }
        Err(error) => report.errors.push(format!(
            "{name}:{}:{}: {}",
            error.line, error.column, error.message
        )),
    }
}

fn settings(
    file: &mut Section,
    args: &ServerArgs,
    environment: &Environment,
    report: &mut Report,
) -> Option<Settings> {
    ignore_and_warn(file, report);
    let log = log::read(file, args, environment, report);
    let shared = shared(file, report);
    let mut listeners: Vec<Listener> = file
        .blocks("listener", 1, report)
        .into_iter()
        .filter_map(|block| listener::read(block, &shared, report))
        .collect();
    let dev = args.is_dev().then(|| dev(args, environment));
    if dev.is_some()
        && let Some(listener) = dev_listener(args, environment, &shared, report)
    {
        listeners.insert(0, listener);
    }
    if listeners.is_empty() && report.errors.is_empty() {
        report.general_error("no listener is configured");
    }
    let storage = storage(file, dev.as_ref(), environment, report);
    let seal = seal(file, dev.is_some(), environment, report);
    let api_addr = file.filled_text("api_addr", report);
    let api_addr = ["API_ADDR", "REDIRECT_ADDR"]
        .iter()
        .find_map(|name| environment.setting(name))
        .map(str::to_owned)
        .or(api_addr);
    let lockout_off = environment
        .setting("DISABLE_USER_LOCKOUT")
        .is_some_and(|text| signet_api::params::parse_bool(text) == Some(true));
    // What cannot be read is taken for the safe answer.
    let is_public_acme_disabled = environment
        .setting("DISABLE_PUBLIC_ACME")
        .is_some_and(|text| signet_api::params::parse_bool(text) != Some(false));
    declared::telemetry(file, report);
    let declared = Declared {
        audit: declared::audit(file, report),
        istio_csr: file
            .block("istio_csr", report)
            .and_then(|section| istio_csr::read(section, report)),
        kubernetes: kubernetes::read(file, report),
    };
    let system_ttl = system_ttl(file, report);
    let user_lockout = declared::lockout(file, lockout_off, report);
    let cluster_name = file.text("cluster_name", report).unwrap_or_default();
    let pid_file = file.path("pid_file", report);
    let rsa_keys_ahead = rsa_keys_ahead(file, report);
    Some(Settings {
        listeners,
        // Last: whatever else is wrong is to be reported too.
        storage: storage?,
        seal,
        dev,
        system_ttl,
        user_lockout,
        cluster_name,
        api_addr,
        log,
        pid_file,
        declared,
        rsa_keys_ahead,
        is_public_acme_disabled,
        kubernetes_service: kubernetes_service(environment),
        warnings: Vec::new(),
    })
}

fn rsa_keys_ahead(file: &mut Section, report: &mut Report) -> usize {
    /// About two kilobytes each.
    const MOST: usize = 10_000;
    let place = file.place_of("rsa_keys_ahead");
    let count = file.count("rsa_keys_ahead", report).unwrap_or(0);
    match usize::try_from(count) {
        Ok(count) if count <= MOST => count,
        _ => {
            report.error(&place, format!("rsa_keys_ahead is more than {MOST}"));
            0
        }
    }
}

/// Kubernetes tells every pod where its API server is.
fn kubernetes_service(environment: &Environment) -> Option<String> {
    let host = environment.variable("KUBERNETES_SERVICE_HOST")?;
    let port = environment.variable("KUBERNETES_SERVICE_PORT")?;
    Some(if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    })
}

fn shared(file: &mut Section, report: &mut Report) -> listener::Shared {
    let hostname = file
        .flag("enable_response_header_hostname", report)
        .unwrap_or(false)
        .then(crate::server::machine::hostname)
        .flatten();
    let audit_by_api = file
        .flag("unsafe_allow_api_audit_creation", report)
        .unwrap_or(true);
    listener::Shared {
        max_request_duration: file
            .duration("default_max_request_duration", report)
            .filter(|duration| !duration.is_zero()),
        hostname: hostname.and_then(|name| HeaderValue::from_str(&name).ok()),
        forbid_audit_by_api: !audit_by_api,
    }
}

fn storage(
    file: &mut Section,
    dev: Option<&DevSettings>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Storage> {
    let mut blocks = file.blocks("storage", 1, report);
    blocks.extend(file.blocks("backend", 1, report));
    if let Some(dev) = dev {
        let in_memory = |block: &section::Block| block.label(0) == "inmem";
        if let Some(block) = blocks.iter().find(|block| !in_memory(block)) {
            report.error(
                block.place(),
                "-dev keeps its data in memory, or in the directory of -dev-storage-path",
            );
        }
        return Some(match &dev.directory {
            Some(directory) => Storage::redb(directory.clone()),
            None => Storage {
                engine: Engine::Inmem,
                name: "inmem",
            },
        });
    }
    let Some(block) = blocks.pop() else {
        report.general_error("A storage backend must be specified");
        return None;
    };
    if let Some(other) = blocks.first() {
        report.error(other.place(), "only one storage block is allowed");
    }
    let path = environment.setting("RAFT_PATH").map(PathBuf::from);
    storage::read(block, path, report)
}

fn seal(
    file: &mut Section,
    is_dev: bool,
    environment: &Environment,
    report: &mut Report,
) -> Option<StaticSeal> {
    let mut blocks = file.blocks("seal", 1, report);
    let block = blocks.pop()?;
    if let Some(other) = blocks.first() {
        report.error(other.place(), "only one seal block is allowed");
    }
    if is_dev {
        report.error(block.place(), "a seal block cannot be used with -dev");
        return None;
    }
    seal::read(block, environment, report)
}

fn system_ttl(file: &mut Section, report: &mut Report) -> SystemTtl {
    let defaults = SystemTtl::default();
    let place = file.place_of("default_lease_ttl");
    let mut secs = |key, default| {
        file.duration(key, report)
            .map(|duration| duration.as_secs())
            .filter(|secs| *secs > 0)
            .unwrap_or(default)
    };
    let max_secs = secs("max_lease_ttl", defaults.max_secs);
    let default_secs = secs("default_lease_ttl", defaults.default_secs.min(max_secs));
    if default_secs > max_secs {
        report.error(&place, "default_lease_ttl is longer than max_lease_ttl");
    }
    SystemTtl {
        default_secs,
        max_secs,
    }
}

fn dev(args: &ServerArgs, environment: &Environment) -> DevSettings {
    let root_token = args
        .dev_root_token_id
        .clone()
        .or_else(|| environment.setting("DEV_ROOT_TOKEN_ID").map(str::to_owned))
        .filter(|token| !token.is_empty());
    DevSettings {
        root_token: root_token.map(Zeroizing::new),
        token_home: (!args.dev_no_store_token)
            .then(|| environment.variable("HOME").map(PathBuf::from))
            .flatten(),
        directory: args.dev_storage_path.clone(),
        kv_versions: !args.dev_kv_v1,
        tls: args.dev_tls.then(|| DevTls {
            directory: args.dev_tls_cert_dir.clone(),
        }),
    }
}

fn dev_listener(
    args: &ServerArgs,
    environment: &Environment,
    shared: &listener::Shared,
    report: &mut Report,
) -> Option<Listener> {
    let address = args
        .dev_listen_address
        .as_deref()
        .or_else(|| environment.setting("DEV_LISTEN_ADDRESS"))
        .unwrap_or("127.0.0.1:8200");
    match listener::tcp_address(address) {
        Ok(bind) => Some(listener::plain(bind, shared)),
        Err(error) => {
            report.general_error(format!("-dev-listen-address: {error}"));
            None
        }
    }
}

fn ignore_and_warn(file: &mut Section, report: &mut Report) {
    file.ignore(&[
        "allow_audit_log_prefixing",
        "cache_size",
        "cluster_addr",
        "cluster_cipher_suites",
        "detect_deadlocks",
        "disable_cache",
        "disable_clustering",
        "disable_indexing",
        "disable_mlock",
        "disable_performance_standby",
        "disable_sealwrap",
        "imprecise_lease_role_tracking",
        "plugin_file_permissions",
        "plugin_file_uid",
    ]);
    file.warn_unsupported(
        &[
            "disable_printable_check",
            "enable_response_header_raft_node_id",
            "entropy",
            "experiments",
            "ha_storage",
            "introspection_endpoint",
            "kms_library",
            "license_path",
            "log_requests_level",
            "plugin_directory",
            "plugin_tmpdir",
            "raw_storage_endpoint",
            "reporting",
            "service_registration",
            "ui",
        ],
        report,
    );
    file.refuse(&["administrative_namespace_path", "initialize"], report);
}

/// Whether two settings may follow each other without a restart, as far as sockets go.
pub(crate) fn same_sockets(old: &[Listener], new: &[Listener]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.bind == new.bind)
}

/// Long enough for a request that is under way.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
