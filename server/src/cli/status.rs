//! `status`: whether the server is sealed.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::output::print_structured;
use crate::cli::table::key_value_table;
use crate::cli::ui::{Outcome, Stop};

/// Prints whether the server is sealed and which node is active
///
/// The exit code is 0 when unsealed, 2 when sealed and 1 when the server cannot be asked.
///
///     $ signet status
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Status {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// `sys/seal-status` and `sys/leader` together. The order is the one of JSON output.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SealStatus {
    #[serde(rename = "type")]
    kind: String,
    pub(crate) initialized: bool,
    pub(crate) sealed: bool,
    t: i64,
    n: i64,
    progress: i64,
    nonce: String,
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    commit_date: String,
    migration: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_id: String,
    pub(crate) recovery_seal: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    recovery_seal_type: String,
    storage_type: String,
    build_date: String,
    ha_enabled: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_self: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    active_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    leader_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    leader_cluster_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    raft_committed_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raft_applied_index: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are those on the wire")]
struct Leader {
    ha_enabled: bool,
    is_self: bool,
    active_time: String,
    leader_address: String,
    leader_cluster_address: String,
    raft_committed_index: Option<u64>,
    raft_applied_index: Option<u64>,
}

impl Status {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http).map_err(as_error)?;
        let mut status = fetch(&client).map_err(as_error)?;
        status.add_leader(&client).map_err(as_error)?;
        print(cli, format, &status)?;
        if status.sealed {
            Err(Stop::Quiet(SEALED))
        } else {
            Ok(())
        }
    }
}

pub(crate) fn fetch(client: &Client) -> Result<SealStatus, Stop> {
    let what = "Error checking seal status";
    let value = client
        .json(&Call::get("sys/seal-status"))
        .map_err(|error| error.stop(what))?;
    parse(value)
}

pub(crate) fn parse(value: Value) -> Result<SealStatus, Stop> {
    serde_json::from_value(value)
        .map_err(|error| Stop::failed(format!("Error checking seal status: {error}")))
}

pub(crate) fn print(cli: &mut Cli<'_, '_>, format: Format, status: &SealStatus) -> Outcome {
    if format == Format::Table {
        cli.ui.line(key_value_table(status.rows()));
        return Ok(());
    }
    print_structured(cli.ui, format, status)
}

impl SealStatus {
    /// Asks who leads. A sealed node of a cluster cannot tell, which is no failure.
    pub(crate) fn add_leader(&mut self, client: &Client) -> Result<(), Stop> {
        let leader = match client.json(&Call::get("sys/leader")) {
            Ok(value) => serde_json::from_value(value).unwrap_or_default(),
            Err(error) if error.status() == Some(503) => Leader::default(),
            Err(error) => return Err(error.stop("Error checking leader status")),
        };
        self.ha_enabled = leader.ha_enabled;
        if leader.ha_enabled {
            self.is_self = leader.is_self;
            self.active_time = if leader.is_self {
                leader.active_time
            } else {
                String::new()
            };
            self.leader_address = leader.leader_address;
            self.leader_cluster_address = leader.leader_cluster_address;
            self.raft_committed_index = leader.raft_committed_index.filter(|index| *index > 0);
            self.raft_applied_index = leader.raft_applied_index.filter(|index| *index > 0);
        }
        Ok(())
    }

    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut push = |key: &str, value: String| rows.push((key.to_owned(), value));
        let recovery = if self.recovery_seal { "Recovery " } else { "" };
        if self.recovery_seal_type.is_empty() {
            push(&format!("{recovery}Seal Type"), self.kind.clone());
        } else {
            push("Seal Type", self.kind.clone());
            push("Recovery Seal Type", self.recovery_seal_type.clone());
        }
        push("Initialized", self.initialized.to_string());
        push("Sealed", self.sealed.to_string());
        push(&format!("Total {recovery}Shares"), self.n.to_string());
        push("Threshold", self.t.to_string());
        if self.sealed {
            push("Unseal Progress", format!("{}/{}", self.progress, self.t));
            push("Unseal Nonce", self.nonce.clone());
        }
        if self.migration {
            push("Seal Migration in Progress", self.migration.to_string());
        }
        push("Version", self.version.clone());
        if self.build_date.is_empty() {
            push("Commit Date", self.commit_date.clone());
        } else {
            push("Build Date", self.build_date.clone());
        }
        push("Storage Type", self.storage_type.clone());
        if !self.cluster_name.is_empty() {
            push("Cluster Name", self.cluster_name.clone());
            push("Cluster ID", self.cluster_id.clone());
        }
        push("HA Enabled", self.ha_enabled.to_string());
        if self.ha_enabled {
            push("HA Cluster", self.leader_cluster_address.clone());
            if self.is_self {
                push("HA Mode", "active".to_owned());
                push("Active Since", self.active_time.clone());
            } else {
                push("HA Mode", "standby".to_owned());
                let leader = if self.leader_address.is_empty() {
                    "<none>"
                } else {
                    &self.leader_address
                };
                push("Active Node Address", leader.to_owned());
            }
        }
        if let Some(index) = self.raft_committed_index {
            push("Raft Committed Index", index.to_string());
        }
        if let Some(index) = self.raft_applied_index {
            push("Raft Applied Index", index.to_string());
        }
        rows
    }
}

/// 2 means sealed here, so every failure is 1.
fn as_error(stop: Stop) -> Stop {
    match stop {
        Stop::Failed(text) => Stop::Usage(text),
        other => other,
    }
}

const SEALED: u8 = 2;
