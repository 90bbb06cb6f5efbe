//! What enabling, tuning, listing and moving have in common for secrets engines and auth methods.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::cli::args::{pairs_to_map, parse_flag_pair};
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::duration::{GoDuration, parse_tuned};
use crate::cli::flags::{Format, FormatFlag, HttpFlags, mount_path, two_arguments};
use crate::cli::output::print_structured;
use crate::cli::table::table;
use crate::cli::ui::{Outcome, Stop};

/// Flags of `enable`.
#[derive(Args, Debug)]
pub(crate) struct EnableFlags {
    /// Response header that the mount may set; can be given several times.
    #[arg(long)]
    allowed_response_headers: Vec<String>,
    /// Request field that audit logs show in clear; can be given several times.
    #[arg(long)]
    audit_non_hmac_request_keys: Vec<String>,
    /// Response field that audit logs show in clear; can be given several times.
    #[arg(long)]
    audit_non_hmac_response_keys: Vec<String>,
    /// Lifetime of leases for which none is asked. The default is the server's.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    default_lease_ttl: Option<GoDuration>,
    /// Text for people.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Ask for external entropy.
    #[arg(long)]
    external_entropy_access: bool,
    /// Do not cache what this mount stores.
    #[arg(long)]
    force_no_cache: bool,
    /// Whether the mount is listed to those without permission: "unauth" or "hidden".
    #[arg(long)]
    listing_visibility: Option<String>,
    /// Keep the mount out of replication.
    #[arg(long)]
    local: bool,
    /// Longest lifetime of leases. The default is the server's.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    max_lease_ttl: Option<GoDuration>,
    /// Option of the engine; can be given several times.
    #[arg(long, value_name = "key=value", value_parser = parse_flag_pair)]
    options: Vec<(String, String)>,
    /// Request header that is passed on to the mount; can be given several times.
    #[arg(long)]
    passthrough_request_headers: Vec<String>,
    /// Path of the mount. The default is its type.
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Version of the plugin to run.
    #[arg(long)]
    plugin_version: Option<String>,
    /// Wrap critical values by the seal once more.
    #[arg(long)]
    seal_wrap: bool,
    /// Version of the engine, for engines that have several.
    #[arg(long, value_name = "int")]
    version: Option<u32>,
}

/// Flags of `tune`; what is not given stays as it is.
#[derive(Args, Debug)]
pub(crate) struct TuneFlags {
    /// Response header that the mount may set; can be given several times.
    #[arg(long)]
    allowed_response_headers: Option<Vec<String>>,
    /// Request field that audit logs show in clear; can be given several times.
    #[arg(long)]
    audit_non_hmac_request_keys: Option<Vec<String>>,
    /// Response field that audit logs show in clear; can be given several times.
    #[arg(long)]
    audit_non_hmac_response_keys: Option<Vec<String>>,
    /// Lifetime of leases for which none is asked, or "system" for the server's.
    #[arg(long, value_name = "duration", value_parser = parse_tuned)]
    default_lease_ttl: Option<String>,
    /// Text for people.
    #[arg(long)]
    description: Option<String>,
    /// Whether the mount is listed to those without permission: "unauth" or "hidden".
    #[arg(long)]
    listing_visibility: Option<String>,
    /// Longest lifetime of leases, or "system" for the server's.
    #[arg(long, value_name = "duration", value_parser = parse_tuned)]
    max_lease_ttl: Option<String>,
    /// Option of the engine; can be given several times.
    #[arg(long, value_name = "key=value", value_parser = parse_flag_pair)]
    options: Vec<(String, String)>,
    /// Request header that is passed on to the mount; can be given several times.
    #[arg(long)]
    passthrough_request_headers: Option<Vec<String>>,
    /// Version of the plugin to run.
    #[arg(long)]
    plugin_version: Option<String>,
    /// Version of the engine, for engines that have several.
    #[arg(long, value_name = "int")]
    version: Option<u32>,
}

/// Extra settings that only auth methods have.
#[derive(Debug, Default)]
pub(crate) struct AuthSettings {
    pub(crate) token_type: Option<String>,
    pub(crate) user_lockout: Option<UserLockout>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct UserLockout {
    #[serde(rename = "lockout_threshold", skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<String>,
    #[serde(rename = "lockout_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) duration: Option<String>,
    #[serde(
        rename = "lockout_counter_reset_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) counter_reset_duration: Option<String>,
    #[serde(rename = "lockout_disable", skip_serializing_if = "Option::is_none")]
    pub(crate) disable: Option<bool>,
}

#[derive(Serialize)]
struct MountBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    description: &'a str,
    config: ConfigBody<'a>,
    local: bool,
    seal_wrap: bool,
    external_entropy_access: bool,
    options: Option<BTreeMap<String, String>>,
}

/// The order is the one on the wire.
#[derive(Serialize)]
struct ConfigBody<'a> {
    options: Option<BTreeMap<String, String>>,
    default_lease_ttl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    max_lease_ttl: String,
    force_no_cache: bool,
    #[serde(skip_serializing_if = "is_empty")]
    audit_non_hmac_request_keys: &'a [String],
    #[serde(skip_serializing_if = "is_empty")]
    audit_non_hmac_response_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    listing_visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "is_empty")]
    passthrough_request_headers: &'a [String],
    #[serde(skip_serializing_if = "is_empty")]
    allowed_response_headers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lockout_config: Option<UserLockout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_version: Option<&'a str>,
}

impl EnableFlags {
    /// The path given, else the type, without slashes around it.
    pub(crate) fn mount_name(&self, kind: &str) -> String {
        let path = self
            .path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or(kind);
        path.trim().trim_matches('/').to_owned()
    }

    pub(crate) fn call(&self, api_path: String, kind: &str, auth: &AuthSettings) -> Call {
        let ttl = |duration: Option<GoDuration>| duration.unwrap_or_default().to_string();
        let body = MountBody {
            kind,
            description: &self.description,
            config: ConfigBody {
                options: None,
                default_lease_ttl: ttl(self.default_lease_ttl),
                description: None,
                max_lease_ttl: ttl(self.max_lease_ttl),
                force_no_cache: self.force_no_cache,
                audit_non_hmac_request_keys: &self.audit_non_hmac_request_keys,
                audit_non_hmac_response_keys: &self.audit_non_hmac_response_keys,
                listing_visibility: self.listing_visibility.as_deref(),
                passthrough_request_headers: &self.passthrough_request_headers,
                allowed_response_headers: &self.allowed_response_headers,
                token_type: auth.token_type.as_deref(),
                user_lockout_config: None,
                plugin_version: self.plugin_version.as_deref(),
            },
            local: self.local,
            seal_wrap: self.seal_wrap,
            external_entropy_access: self.external_entropy_access,
            options: options(&self.options, self.version),
        };
        Call::post(api_path, &body)
    }
}

impl TuneFlags {
    pub(crate) fn call(&self, api_path: String, auth: &AuthSettings) -> Call {
        let list = |values: &Option<Vec<String>>| values.clone().unwrap_or_default();
        let ttl = |text: &Option<String>| text.clone().unwrap_or_default();
        let body = ConfigBody {
            options: options(&self.options, self.version),
            default_lease_ttl: ttl(&self.default_lease_ttl),
            description: self.description.as_deref(),
            max_lease_ttl: ttl(&self.max_lease_ttl),
            force_no_cache: false,
            audit_non_hmac_request_keys: &list(&self.audit_non_hmac_request_keys),
            audit_non_hmac_response_keys: &list(&self.audit_non_hmac_response_keys),
            listing_visibility: self.listing_visibility.as_deref(),
            passthrough_request_headers: &list(&self.passthrough_request_headers),
            allowed_response_headers: &list(&self.allowed_response_headers),
            token_type: auth.token_type.as_deref(),
            user_lockout_config: auth.user_lockout.clone(),
            plugin_version: self.plugin_version.as_deref(),
        };
        Call::post(api_path, &body)
    }
}

fn options(pairs: &[(String, String)], version: Option<u32>) -> Option<BTreeMap<String, String>> {
    let mut options = pairs_to_map(pairs);
    if let Some(version) = version {
        options
            .get_or_insert_default()
            .insert("version".to_owned(), version.to_string());
    }
    options
}

fn is_empty(values: &&[String]) -> bool {
    values.is_empty()
}

/// A mount as the server lists it. The order is the one of JSON output.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Mount {
    uuid: String,
    #[serde(rename = "type")]
    kind: String,
    description: String,
    accessor: String,
    config: MountConfig,
    options: Option<Map<String, Value>>,
    local: bool,
    seal_wrap: bool,
    external_entropy_access: bool,
    plugin_version: String,
    running_plugin_version: String,
    running_sha256: String,
    deprecation_status: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct MountConfig {
    default_lease_ttl: i64,
    max_lease_ttl: i64,
    force_no_cache: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    token_type: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Which of the two kinds of mount a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    Auth,
    Secrets,
}

impl MountKind {
    fn noun(self) -> &'static str {
        match self {
            Self::Auth => "auth method",
            Self::Secrets => "secrets engine",
        }
    }
}

/// All mounts, sorted by path.
pub(crate) fn fetch(
    client: &Client,
    api_path: &str,
    what: &str,
) -> Result<BTreeMap<String, Mount>, Stop> {
    let secret = client
        .secret(&Call::get(api_path))
        .map_err(|error| error.stop(what))?
        .unwrap_or_default();
    let entries = secret.data.unwrap_or_default();
    serde_json::from_value(Value::Object(entries))
        .map_err(|error| Stop::failed(format!("{what}: {error}")))
}

pub(crate) fn print_list(
    cli: &mut Cli<'_, '_>,
    kind: MountKind,
    format: Format,
    detailed: bool,
    mounts: &BTreeMap<String, Mount>,
) -> Outcome {
    if format != Format::Table {
        return print_structured(cli.ui, format, mounts);
    }
    let rows = match (detailed, kind) {
        (true, _) => detailed_rows(kind, mounts),
        (false, MountKind::Secrets) => rows(
            &["Path", "Type", "Accessor", "Description"],
            mounts.iter().map(|(path, mount)| {
                vec![
                    path.clone(),
                    mount.kind.clone(),
                    mount.accessor.clone(),
                    mount.description.clone(),
                ]
            }),
        ),
        (false, MountKind::Auth) => rows(
            &["Path", "Type", "Accessor", "Description", "Version"],
            mounts.iter().map(|(path, mount)| {
                vec![
                    path.clone(),
                    mount.kind.clone(),
                    mount.accessor.clone(),
                    mount.description.clone(),
                    mount.plugin_version.clone(),
                ]
            }),
        ),
    };
    cli.ui.line(table(&rows));
    Ok(())
}

fn detailed_rows(kind: MountKind, mounts: &BTreeMap<String, Mount>) -> Vec<Vec<String>> {
    let fourth = match kind {
        MountKind::Auth => "Token Type",
        MountKind::Secrets => "Force No Cache",
    };
    rows(
        &[
            "Path",
            "Plugin",
            "Accessor",
            "Default TTL",
            "Max TTL",
            fourth,
            "Replication",
            "Seal Wrap",
            "External Entropy Access",
            "Options",
            "Description",
            "UUID",
            "Version",
            "Running Version",
            "Running SHA256",
            "Deprecation Status",
        ],
        mounts.iter().map(|(path, mount)| {
            let ttl = |seconds: i64| match (seconds, mount.kind.as_str()) {
                (_, "cubbyhole" | "system") => String::new(),
                (0, _) => "system".to_owned(),
                (seconds, _) => seconds.to_string(),
            };
            let options = Value::Object(mount.options.clone().unwrap_or_default());
            vec![
                path.clone(),
                mount.kind.clone(),
                mount.accessor.clone(),
                ttl(mount.config.default_lease_ttl),
                ttl(mount.config.max_lease_ttl),
                match kind {
                    MountKind::Auth => mount.config.token_type.clone(),
                    MountKind::Secrets => mount.config.force_no_cache.to_string(),
                },
                if mount.local { "local" } else { "replicated" }.to_owned(),
                mount.seal_wrap.to_string(),
                mount.external_entropy_access.to_string(),
                crate::cli::output::go_value(&options),
                mount.description.clone(),
                mount.uuid.clone(),
                mount.plugin_version.clone(),
                mount.running_plugin_version.clone(),
                mount.running_sha256.clone(),
                mount.deprecation_status.clone(),
            ]
        }),
    )
}

fn rows(titles: &[&str], body: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let header = titles.iter().map(|title| (*title).to_owned()).collect();
    std::iter::once(header).chain(body).collect()
}

/// `move`: starts it and waits for its end.
#[derive(Args, Debug)]
pub(crate) struct MoveFlags {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(value_names = ["SOURCE", "DESTINATION"], num_args = 0..)]
    arguments: Vec<String>,
}

impl MoveFlags {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>, kind: MountKind) -> Outcome {
        let noun = kind.noun();
        let (source, target) = two_arguments(&self.arguments)?;
        let (source, target) = (mount_path(source), mount_path(target));
        let prefix = if kind == MountKind::Auth { "auth/" } else { "" };
        let (from, to) = (format!("{prefix}{source}"), format!("{prefix}{target}"));
        let client = cli.client(&self.http)?;
        let started = client
            .secret(&Call::post("sys/remount", &json!({"from": from, "to": to})))
            .map_err(|error| error.stop(format!("Error moving {noun} {source} to {target}")))?
            .unwrap_or_default();
        let id = started.text("migration_id").unwrap_or_default().to_owned();
        let tail = format!("{noun} {source} to {target}, with migration ID {id}");
        cli.ui.line(format!("Started moving {tail}"));
        cli.ui.line(format!(
            "Waiting for terminal status in migration of {tail}"
        ));
        loop {
            let status = client
                .secret(&Call::get(format!("sys/remount/status/{id}")))
                .map_err(|error| error.stop(format!("Error checking migration status of {tail}")))?
                .unwrap_or_default();
            let status = status
                .field("migration_info")
                .and_then(|info| info.get("status"));
            match status.and_then(Value::as_str) {
                Some("success") => {
                    cli.ui.line(format!("Success! Finished moving {tail}"));
                    return Ok(());
                }
                Some("in-progress") => std::thread::sleep(POLL_PAUSE),
                _ => {
                    return Err(Stop::Failed(format!(
                        "Failure! Error encountered moving {tail}"
                    )));
                }
            }
        }
    }
}

const POLL_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
