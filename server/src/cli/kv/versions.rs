//! `kv undelete`, `destroy`, `rollback` and `enable-versioning`: versions of a secret.

use clap::Args;
use serde_json::json;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::data::no_value;
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags, mount_path, one_argument};
use crate::cli::ui::{Outcome, Stop};

use super::KeyFlags;

/// Restore deleted versions of a secret
///
///     $ signet kv undelete -mount=secret -versions=3 app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Undelete {
    #[command(flatten)]
    change: Change,
}

/// Remove the data of versions of a secret for good
///
///     $ signet kv destroy -mount=secret -versions=1,2 app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Destroy {
    #[command(flatten)]
    change: Change,
}

/// What both have in common.
#[derive(Args, Debug)]
struct Change {
    /// The versions, separated by commas.
    #[arg(long, value_name = "string", value_delimiter = ',')]
    versions: Vec<String>,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    format: FormatFlag,
}

/// Make an earlier version of a secret the newest one
///
///     $ signet kv rollback -mount=secret -version=2 app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rollback {
    /// The version whose data are written again.
    #[arg(long, value_name = "int")]
    version: Option<u64>,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
}

/// Give versions to a store that has none
///
///     $ signet kv enable-versioning secret
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct EnableVersioning {
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
}

impl Undelete {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        self.change.run(cli, "undelete", "Undelete")
    }
}

impl Destroy {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        self.change.run(cli, "destroy", "Destroy")
    }
}

impl Change {
    fn run(&self, cli: &mut Cli<'_, '_>, part: &str, what: &str) -> Outcome {
        let format = cli.format(&self.format)?;
        self.key.name()?;
        if self.versions.is_empty() {
            return Err(Stop::usage(format!(
                "No versions provided, use the \"-versions\" flag to specify the version to {part}."
            )));
        }
        let (client, location) = self.key.find(cli)?;
        if !location.versioned {
            return Err(Stop::usage(format!("{what} not supported on KV Version 1")));
        }
        let path = location.path(part);
        let call = Call::put(&path, &json!({ "versions": self.versions }));
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error writing data to {path}")))?;
        let success = format!("Success! Data written to: {path}");
        cli.print_or(format, &FieldFlag::default(), secret.as_ref(), &success)
    }
}

impl Rollback {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        self.key.name()?;
        let Some(version) = self.version.filter(|version| *version > 0) else {
            return Err(Stop::usage("Version flag must be specified"));
        };
        let (client, location) = self.key.find(cli)?;
        if !location.versioned {
            return Err(Stop::failed(
                "K/V engine mount must be version 2 for rollback support",
            ));
        }
        let path = location.path("data");
        let read = |call: &Call| {
            client
                .secret(call)
                .map_err(|error| error.stop(format!("Error doing pre-read at {path}")))?
                .filter(|secret| secret.data.is_some())
                .ok_or_else(|| no_value(&path))
        };
        let newest = read(&Call::get(&path))?;
        let earlier = read(&Call::get(&path).query("version", &version.to_string()))?;
        let metadata = |name: &str| earlier.field("metadata").and_then(|all| all.get(name));
        let refuse = |what: &str| {
            Err(Stop::failed(format!(
                "Cannot roll back to a version that has been {what}"
            )))
        };
        if metadata("deletion_time").is_some_and(|time| *time != json!("")) {
            return refuse("deleted");
        }
        let Some(data) = earlier.field("data") else {
            return refuse("destroyed");
        };
        let current = newest.field("metadata").and_then(|all| all.get("version"));
        // Only where nobody has written in between.
        let body = json!({ "data": data, "options": { "cas": current } });
        let secret = client
            .secret(&Call::put(&path, &body))
            .map_err(|error| error.stop(format!("Error writing data to {path}")))?;
        let success = format!("Success! Data written to: {path}");
        cli.print_or(format, &self.field, secret.as_ref(), &success)
    }
}

impl EnableVersioning {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let path = mount_path(one_argument(&self.arguments)?);
        let call = Call::post(
            format!("sys/mounts/{path}tune"),
            &json!({ "options": { "version": "2" } }),
        );
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop(format!("Error tuning secrets engine {path}")))?;
        let success = format!("Success! Tuned the secrets engine at: {path}");
        cli.print_or(format, &FieldFlag::default(), None, &success)
    }
}
