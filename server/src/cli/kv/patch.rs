//! `kv patch`: changes parts of a secret.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::cli::args::parse_pairs;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::client_error::ClientError;
use crate::cli::data::{bad_data, no_value};
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags};
use crate::cli::secret::Secret;
use crate::cli::ui::{Outcome, Stop};

use super::{Location, print_written};

/// Change parts of a secret
///
///     $ signet kv patch -mount=secret app password=hunter3
///     $ signet kv patch -mount=secret -remove-data=password app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Patch {
    /// Version that must be the newest for the write to happen.
    #[arg(long, value_name = "int")]
    cas: Option<u64>,
    /// How to do it: "patch" has the server change the secret, "rw" reads it and writes it back.
    /// The default is patch, and rw where that is not allowed.
    #[arg(long)]
    method: Option<String>,
    /// Path of the store; KEY is then relative to it.
    #[arg(long)]
    mount: Option<String>,
    /// Field to take away; can be given several times.
    #[arg(long, value_name = "string")]
    remove_data: Vec<String>,
    #[arg(value_names = ["KEY", "[DATA K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
}

impl Patch {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let Some((key, pairs)) = self.arguments.split_first() else {
            return Err(Stop::usage("Not enough arguments (expected >1, got 0)"));
        };
        if pairs.is_empty() && self.remove_data.is_empty() {
            return Err(Stop::usage("Must supply data"));
        }
        let mut changes = parse_pairs(pairs, cli.ui).map_err(bad_data)?;
        for name in &self.remove_data {
            changes.insert(name.clone(), Value::Null);
        }
        let client = cli.client(&self.http)?;
        let location = Location::find(cli, &self.http, self.mount.as_deref(), key)?;
        if !location.versioned {
            return Err(Stop::failed(
                "K/V engine mount must be version 2 for patch support",
            ));
        }
        let path = location.path("data");
        let secret = match self.method.as_deref() {
            Some("patch") => self
                .patch(&client, &path, &changes)
                .map_err(|error| error.stop(format!("Error writing data to {path}")))?,
            Some("rw") => self.read_and_write(&client, &path, changes)?,
            None | Some("") => match self.patch(&client, &path, &changes) {
                Err(error) if error.status() == Some(403) => {
                    self.read_and_write(&client, &path, changes)?
                }
                answer => {
                    answer.map_err(|error| error.stop(format!("Error writing data to {path}")))?
                }
            },
            Some(other) => {
                return Err(Stop::failed(format!(
                    "Unsupported method provided to -method flag: {other}"
                )));
            }
        };
        print_written(cli, format, &self.field, &path, secret.as_ref())
    }

    fn patch(
        &self,
        client: &Client,
        path: &str,
        changes: &Map<String, Value>,
    ) -> Result<Option<Secret>, ClientError> {
        let options = match self.cas {
            Some(version) => json!({ "cas": version }),
            None => json!({}),
        };
        let body = json!({ "data": changes, "options": options });
        client.done(&Call::patch(path, &body))
    }

    /// The write happens only on what was read.
    fn read_and_write(
        &self,
        client: &Client,
        path: &str,
        changes: Map<String, Value>,
    ) -> Result<Option<Secret>, Stop> {
        let secret = client
            .secret(&Call::get(path))
            .map_err(|error| error.stop(format!("Error doing pre-read at {path}")))?
            .ok_or_else(|| no_value(path))?;
        let data = secret.field("data").and_then(Value::as_object);
        let Some(mut data) = data.cloned() else {
            return Err(Stop::failed(format!(
                "No data found at {path}; patch only works on existing data"
            )));
        };
        for (name, value) in changes {
            if value.is_null() {
                data.remove(&name);
            } else {
                data.insert(name, value);
            }
        }
        let read = secret.field("metadata").and_then(|all| all.get("version"));
        let version = self.cas.map(Value::from).or_else(|| read.cloned());
        let body = json!({ "data": data, "options": { "cas": version } });
        client
            .secret(&Call::put(path, &body))
            .map_err(|error| error.stop(format!("Error writing data to {path}")))
    }
}
