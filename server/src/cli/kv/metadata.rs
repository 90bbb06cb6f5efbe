//! `kv metadata`: what is known about a secret besides its data.

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Map, Value};

use crate::cli::Cli;
use crate::cli::args::parse_flag_pair;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::data::no_value;
use crate::cli::duration::GoDuration;
use crate::cli::flags::{FieldFlag, Format, FormatFlag};
use crate::cli::ui::{Outcome, Stop};

use super::{KeyFlags, print_path, print_titled};

/// Interact with what is known about a secret
///
///     $ signet kv metadata put -mount=secret -max-versions=5 app
///     $ signet kv metadata get -mount=secret app
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Metadata {
    Delete(Delete),
    Get(Get),
    Patch(Patch),
    Put(Put),
}

/// Remove a secret with all its versions for good
///
///     $ signet kv metadata delete -mount=secret app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    #[command(flatten)]
    key: KeyFlags,
}

/// Print what is known about a secret and its versions
///
///     $ signet kv metadata get -mount=secret app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Get {
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
}

/// Set what holds for a secret
///
///     $ signet kv metadata put -mount=secret -custom-metadata=owner=me app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Put {
    #[command(flatten)]
    change: Change,
}

/// Change parts of what holds for a secret
///
///     $ signet kv metadata patch -mount=secret -remove-custom-metadata=owner app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Patch {
    /// Entry of the custom metadata to take away; can be given several times.
    #[arg(long, value_name = "string")]
    remove_custom_metadata: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// What both have in common.
#[derive(Args, Debug)]
struct Change {
    /// Whether every write has to name the version that it counts on.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    cas_required: Option<bool>,
    /// Entry of the custom metadata; can be given several times.
    #[arg(long, value_name = "key=value", value_parser = parse_flag_pair)]
    custom_metadata: Vec<(String, String)>,
    /// How long after its creation a version is deleted.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    delete_version_after: Option<GoDuration>,
    /// How many versions are kept.
    #[arg(long, value_name = "int")]
    max_versions: Option<u64>,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    format: FormatFlag,
}

impl Metadata {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Delete(delete) => delete.run(cli),
            Self::Get(get) => get.run(cli),
            Self::Patch(patch) => {
                let removed = &patch.remove_custom_metadata;
                patch
                    .change
                    .run(cli, removed, |path, body| Call::patch(path, body))
            }
            Self::Put(put) => put.change.run(cli, &[], |path, body| Call::put(path, body)),
        }
    }
}

impl Delete {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let (client, path) = find(cli, &self.key)?;
        client
            .send(&Call::delete(&path))
            .map_err(|error| error.stop(format!("Error deleting {path}")))?;
        cli.ui
            .line(format!("Success! Data deleted (if it existed) at: {path}"));
        Ok(())
    }
}

impl Get {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (client, path) = find(cli, &self.key)?;
        let secret = client
            .secret(&Call::get(&path))
            .map_err(|error| error.stop(format!("Error reading {path}")))?
            .ok_or_else(|| no_value(&path))?;
        if format != Format::Table || self.field.field.is_some() {
            return cli.print(format, &self.field, &secret);
        }
        let mut metadata = secret.data.unwrap_or_default();
        let versions = metadata.remove("versions");
        print_path(cli, "Metadata Path", &path);
        print_titled(cli, "Metadata", Some(&metadata));
        let mut versions: Vec<(u64, &Map<String, Value>)> = versions
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(number, version)| Some((number.parse().ok()?, version.as_object()?)))
            .collect();
        versions.sort_by_key(|(number, _)| *number);
        for (number, version) in versions {
            cli.ui.line("");
            print_titled(cli, &format!("Version {number}"), Some(version));
        }
        Ok(())
    }
}

impl Change {
    fn run(
        &self,
        cli: &mut Cli<'_, '_>,
        removed: &[String],
        call: impl FnOnce(&str, &Map<String, Value>) -> Call,
    ) -> Outcome {
        let format = cli.format(&self.format)?;
        let (client, path) = find(cli, &self.key)?;
        let body = self.body(removed);
        let secret = client
            .done(&call(&path, &body))
            .map_err(|error| error.stop(format!("Error writing data to {path}")))?;
        let success = format!("Success! Data written to: {path}");
        cli.print_or(format, &FieldFlag::default(), secret.as_ref(), &success)
    }

    fn body(&self, removed: &[String]) -> Map<String, Value> {
        let mut body = Map::new();
        if let Some(required) = self.cas_required {
            body.insert("cas_required".into(), required.into());
        }
        let mut custom: Map<String, Value> = self
            .custom_metadata
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        custom.extend(removed.iter().map(|name| (name.clone(), Value::Null)));
        if !custom.is_empty() {
            body.insert("custom_metadata".into(), custom.into());
        }
        if let Some(duration) = self.delete_version_after {
            body.insert("delete_version_after".into(), duration.to_string().into());
        }
        if let Some(most) = self.max_versions {
            body.insert("max_versions".into(), most.into());
        }
        body
    }
}

/// The path of the metadata.
fn find(cli: &Cli<'_, '_>, key: &KeyFlags) -> Result<(Client, String), Stop> {
    let (client, location) = key.find(cli)?;
    if !location.versioned {
        return Err(Stop::usage("Metadata not supported on KV Version 1"));
    }
    Ok((client, location.path("metadata")))
}
