//! `audit`: the devices that record every request.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::Cli;
use crate::cli::args::parse_texts;
use crate::cli::call::Call;
use crate::cli::flags::{
    Format, FormatFlag, HttpFlags, expect_arguments, mount_path, one_argument,
};
use crate::cli::output::{go_value, print_structured};
use crate::cli::table::table;
use crate::cli::ui::{Outcome, Stop};

/// Interact with audit devices
///
/// While no enabled device can record, the server answers no request.
///
///     $ signet audit enable file file_path=/var/log/signet-audit.log
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Audit {
    Disable(Disable),
    Enable(Enable),
    List(List),
}

/// Disable an audit device
///
///     $ signet audit disable file
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Disable {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

/// Enable an audit device
///
///     $ signet audit enable file file_path=/var/log/signet-audit.log
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Enable {
    #[command(flatten)]
    http: HttpFlags,
    /// Text for people.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Keep the device out of replication.
    #[arg(long)]
    local: bool,
    /// Path of the device. The default is its type.
    #[arg(long)]
    path: Option<String>,
    #[arg(value_names = ["TYPE", "[CONFIG K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
}

/// List enabled audit devices
///
///     $ signet audit list -detailed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Show options too.
    #[arg(long)]
    detailed: bool,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

#[derive(Serialize)]
struct EnableBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    description: &'a str,
    options: BTreeMap<String, String>,
    local: bool,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Device {
    #[serde(rename = "type")]
    kind: String,
    description: String,
    options: Map<String, Value>,
    local: bool,
    path: String,
}

impl Audit {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Disable(disable) => disable.run(cli),
            Self::Enable(enable) => enable.run(cli),
            Self::List(list) => list.run(cli),
        }
    }
}

impl Disable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = mount_path(one_argument(&self.arguments)?);
        cli.client(&self.http)?
            .send(&Call::delete(format!("sys/audit/{path}")))
            .map_err(|error| error.stop("Error disabling audit device"))?;
        cli.ui.line(format!(
            "Success! Disabled audit device (if it was enabled) at: {path}"
        ));
        Ok(())
    }
}

impl Enable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let Some((kind, pairs)) = self.arguments.split_first() else {
            return Err(Stop::usage(
                "Error enabling audit device: audit type missing. Valid types include 'file', 'socket' and 'syslog'.",
            ));
        };
        let options = parse_texts(pairs, cli.ui)
            .map_err(|error| Stop::usage(format!("Failed to parse configuration: {error}")))?;
        let path = mount_path(self.path.as_deref().unwrap_or(kind));
        let body = EnableBody {
            kind,
            description: &self.description,
            options: options.into_iter().collect(),
            local: self.local,
        };
        cli.client(&self.http)?
            .send(&Call::put(format!("sys/audit/{path}"), &body))
            .map_err(|error| error.stop("Error enabling audit device"))?;
        cli.ui.line(format!(
            "Success! Enabled the {kind} audit device at: {path}"
        ));
        Ok(())
    }
}

impl List {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let what = "Error listing audits";
        let secret = cli
            .client(&self.http)?
            .secret(&Call::get("sys/audit"))
            .map_err(|error| error.stop(what))?
            .unwrap_or_default();
        let devices: BTreeMap<String, Device> =
            serde_json::from_value(Value::Object(secret.data.unwrap_or_default()))
                .map_err(|error| Stop::failed(format!("{what}: {error}")))?;
        if format != Format::Table {
            return print_structured(cli.ui, format, &devices);
        }
        if devices.is_empty() {
            cli.ui.line("No audit devices are enabled.");
            return Err(Stop::Quiet(2));
        }
        cli.ui.line(table(&self.rows(&devices)));
        Ok(())
    }

    fn rows(&self, devices: &BTreeMap<String, Device>) -> Vec<Vec<String>> {
        let mut header = vec!["Path", "Type", "Description"];
        if self.detailed {
            header.extend(["Replication", "Options"]);
        }
        let header = header.into_iter().map(str::to_owned).collect();
        let body = devices.iter().map(|(path, device)| {
            let mut row = vec![
                path.clone(),
                device.kind.clone(),
                device.description.clone(),
            ];
            if self.detailed {
                let options: Vec<String> = device
                    .options
                    .iter()
                    .map(|(key, value)| format!("{key}={}", go_value(value)))
                    .collect();
                row.push(if device.local { "local" } else { "replicated" }.to_owned());
                row.push(options.join(" "));
            }
            row
        });
        std::iter::once(header).chain(body).collect()
    }
}
