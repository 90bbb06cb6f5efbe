//! `operator members`.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{Format, FormatFlag, HttpFlags};
use crate::cli::output::print_structured;
use crate::cli::table::table;
use crate::cli::ui::{Outcome, Stop};

/// List the nodes of the cluster
///
///     $ signet operator members
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Members {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(hide = true, num_args = 0..)]
    ignored: Vec<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Cluster {
    #[serde(rename(serialize = "Nodes"))]
    nodes: Vec<Node>,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are those on the wire")]
struct Node {
    hostname: String,
    api_address: String,
    cluster_address: String,
    active_node: bool,
    last_echo: Option<String>,
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    upgrade_version: String,
}

impl Members {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let what = "Error reading HA status";
        let secret = cli
            .client(&self.http)?
            .secret(&Call::get("sys/ha-status"))
            .map_err(|error| error.stop(what))?
            .unwrap_or_default();
        let cluster: Cluster =
            serde_json::from_value(Value::Object(secret.data.unwrap_or_default()))
                .map_err(|error| Stop::failed(format!("{what}: {error}")))?;
        if format != Format::Table {
            return print_structured(cli.ui, format, &cluster);
        }
        let header = TITLES.map(str::to_owned).to_vec();
        let body = cluster.nodes.into_iter().map(|node| {
            vec![
                node.hostname,
                node.api_address,
                node.cluster_address,
                node.active_node.to_string(),
                node.version,
                node.upgrade_version,
                node.last_echo.unwrap_or_default(),
            ]
        });
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(body).collect();
        cli.ui.line(table(&rows));
        Ok(())
    }
}

const TITLES: [&str; 7] = [
    "Host Name",
    "API Address",
    "Cluster Address",
    "Active Node",
    "Version",
    "Upgrade Version",
    "Last Echo",
];
