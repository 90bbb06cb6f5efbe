//! `kv`: the simple store of secrets, in both of its versions.
//!
//! Flags of a command stand before those that it shares, whose heading in its help they would get.

mod metadata;
mod patch;
mod versions;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::cli::args::parse_pairs;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::client_error::ClientError;
use crate::cli::data::{bad_data, no_value};
use crate::cli::flags::{
    FieldFlag, Format, FormatFlag, HttpFlags, expect_arguments, one_argument, sanitize_path,
};
use crate::cli::output::{go_value, print_structured, print_value};
use crate::cli::secret::Secret;
use crate::cli::table::{key_list, key_value_table};
use crate::cli::ui::{Outcome, Stop};

/// Interact with the key-value store
///
///     $ signet kv put -mount=secret app password=hunter2
///     $ signet kv get -mount=secret app
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Kv {
    Delete(Delete),
    Destroy(versions::Destroy),
    EnableVersioning(versions::EnableVersioning),
    Get(Get),
    List(List),
    #[command(subcommand)]
    Metadata(metadata::Metadata),
    Patch(patch::Patch),
    Put(Put),
    Rollback(versions::Rollback),
    Undelete(versions::Undelete),
}

/// Delete a secret, or its newest version
///
///     $ signet kv delete -mount=secret app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    /// Versions to delete instead of the newest, separated by commas.
    #[arg(long, value_name = "string", value_delimiter = ',')]
    versions: Vec<String>,
    #[command(flatten)]
    key: KeyFlags,
}

/// Print a secret
///
///     $ signet kv get -mount=secret -field=password app
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Get {
    /// Version to print. The default is the newest.
    #[arg(long, value_name = "int")]
    version: Option<u64>,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
}

/// List the keys at a path
///
///     $ signet kv list -mount=secret
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Path of the store; KEY is then relative to it.
    #[arg(long)]
    mount: Option<String>,
    #[arg(value_name = "[PATH]", num_args = 0..)]
    arguments: Vec<String>,
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
}

/// Store a secret
///
///     $ signet kv put -mount=secret app user=app password=hunter2
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Put {
    /// Version that must be the newest for the write to happen; 0 means that there is none.
    #[arg(long, value_name = "int")]
    cas: Option<u64>,
    /// Path of the store; KEY is then relative to it.
    #[arg(long)]
    mount: Option<String>,
    #[arg(value_names = ["KEY", "[DATA K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
}

/// What the commands take that are for one key and no more.
#[derive(Args, Debug)]
#[command(next_help_heading = "Command Options")]
struct KeyFlags {
    /// Path of the store; KEY is then relative to it.
    #[arg(long)]
    mount: Option<String>,
    #[arg(value_name = "KEY", num_args = 0..)]
    arguments: Vec<String>,
    #[command(flatten)]
    http: HttpFlags,
}

impl KeyFlags {
    fn name(&self) -> Result<&str, Stop> {
        one_argument(&self.arguments)
    }

    fn find(&self, cli: &Cli<'_, '_>) -> Result<(Client, Location), Stop> {
        let name = self.name()?;
        let client = cli.client(&self.http)?;
        let location = Location::find(cli, &self.http, self.mount.as_deref(), name)?;
        Ok((client, location))
    }
}

/// Where a key is, found by asking the server.
struct Location {
    mount: String,
    key: String,
    /// Whether secrets have versions, so that the API has `data/` and `metadata/` in its paths.
    versioned: bool,
}

impl Kv {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Delete(delete) => delete.run(cli),
            Self::Destroy(destroy) => destroy.run(cli),
            Self::EnableVersioning(enable) => enable.run(cli),
            Self::Get(get) => get.run(cli),
            Self::List(list) => list.run(cli),
            Self::Metadata(metadata) => metadata.run(cli),
            Self::Patch(patch) => patch.run(cli),
            Self::Put(put) => put.run(cli),
            Self::Rollback(rollback) => rollback.run(cli),
            Self::Undelete(undelete) => undelete.run(cli),
        }
    }
}

impl Delete {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let (client, location) = self.key.find(cli)?;
        let path = location.path("data");
        let call = if self.versions.is_empty() || !location.versioned {
            Call::delete(&path)
        } else {
            let body = json!({ "versions": self.versions });
            Call::put(location.path("delete"), &body)
        };
        client
            .send(&call)
            .map_err(|error| error.stop(format!("Error deleting {path}")))?;
        cli.ui
            .line(format!("Success! Data deleted (if it existed) at: {path}"));
        Ok(())
    }
}

impl Get {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (client, location) = self.key.find(cli)?;
        let path = location.path("data");
        let mut call = Call::get(&path);
        if let Some(version) = self.version {
            call = call.query("version", &version.to_string());
        }
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error reading {path}")))?
            .ok_or_else(|| no_value(&path))?;
        if !location.versioned {
            if format == Format::Table && self.field.field.is_none() {
                print_titled(cli, "Data", secret.data.as_ref());
                return Ok(());
            }
            return cli.print(format, &self.field, &secret);
        }
        let data = secret.field("data").and_then(Value::as_object);
        if let Some(name) = &self.field.field {
            let data = data.ok_or_else(|| Stop::failed(format!("No data found at {path}")))?;
            let value = data
                .get(name)
                .ok_or_else(|| Stop::usage(format!("Field \"{name}\" not present in map")))?;
            return print_value(cli.ui, format, value);
        }
        if format != Format::Table {
            return print_structured(cli.ui, format, &secret);
        }
        print_path(cli, "Secret Path", &path);
        print_titled(
            cli,
            "Metadata",
            secret.field("metadata").and_then(Value::as_object),
        );
        cli.ui.line("");
        if data.is_some() {
            print_titled(cli, "Data", data);
        }
        Ok(())
    }
}

impl List {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, usize::from(self.mount.is_none()), 1)?;
        let key = self
            .arguments
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        let client = cli.client(&self.http)?;
        let path = Location::find(cli, &self.http, self.mount.as_deref(), key)?.path("metadata");
        let keys = client
            .secret(&Call::list(&path))
            .map_err(|error| error.stop(format!("Error listing {path}")))?
            .and_then(|secret| secret.keys())
            .ok_or_else(|| no_value(&path))?;
        if format == Format::Table {
            cli.ui.line(key_list(&keys));
            return Ok(());
        }
        print_structured(cli.ui, format, &keys)
    }
}

impl Put {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let Some((key, pairs)) = self.arguments.split_first() else {
            return Err(Stop::usage("Not enough arguments (expected >1, got 0)"));
        };
        if pairs.is_empty() {
            return Err(Stop::usage("Must supply data"));
        }
        let fields = parse_pairs(pairs, cli.ui).map_err(bad_data)?;
        let client = cli.client(&self.http)?;
        let location = Location::find(cli, &self.http, self.mount.as_deref(), key)?;
        let path = location.path("data");
        let call = self.call(&location, &path, &fields);
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error writing data to {path}")))?;
        print_written(cli, format, &self.field, &path, secret.as_ref())
    }

    fn call(&self, location: &Location, path: &str, fields: &Map<String, Value>) -> Call {
        if !location.versioned {
            return Call::put(path, fields);
        }
        let options = match self.cas {
            Some(version) => json!({"cas": version}),
            None => json!({}),
        };
        Call::put(path, &json!({"data": fields, "options": options}))
    }
}

impl Location {
    /// Asks which store the path belongs to. A server without that question has only stores
    /// without versions.
    fn find(
        cli: &Cli<'_, '_>,
        http: &HttpFlags,
        mount: Option<&str>,
        key: &str,
    ) -> Result<Self, Stop> {
        let path = mount.map_or_else(|| sanitize_path(key), sanitize_path);
        let client = cli.client(http)?.without_preview().without_wrapping();
        let found = ask(&client, &path)?;
        let (root, versioned) = found.unwrap_or_else(|| (String::new(), false));
        let root = sanitize_path(&root);
        let key = match mount {
            Some(_) => sanitize_path(key),
            None => sanitize_path(path.strip_prefix(&root).unwrap_or(&path)),
        };
        let mount = if mount.is_some() && root.is_empty() {
            path
        } else {
            root
        };
        Ok(Self {
            mount,
            key,
            versioned,
        })
    }

    fn path(&self, part: &str) -> String {
        let part = if self.versioned { part } else { "" };
        [self.mount.as_str(), part, self.key.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/")
    }
}

/// The mount of a path and whether it keeps versions.
fn ask(client: &Client, path: &str) -> Result<Option<(String, bool)>, Stop> {
    let answer = client.secret(&Call::get(format!("sys/internal/ui/mounts/{path}")));
    let secret: Option<Secret> = match answer {
        Ok(secret) => secret,
        Err(error @ ClientError::Preview(_)) => return Err(error.stop("")),
        Err(error) => return Err(Stop::Failed(error.to_string())),
    };
    Ok(secret.and_then(|secret| {
        let version = secret
            .field("options")
            .and_then(|options| options.get("version"));
        let versioned = version.map(go_value).as_deref() == Some("2");
        Some((secret.text("path")?.to_owned(), versioned))
    }))
}

/// What became of a version that was written.
fn print_written(
    cli: &mut Cli<'_, '_>,
    format: Format,
    field: &FieldFlag,
    path: &str,
    secret: Option<&Secret>,
) -> Outcome {
    if let Some(secret) = secret
        && format == Format::Table
        && field.field.is_none()
    {
        print_path(cli, "Secret Path", path);
        print_titled(cli, "Metadata", secret.data.as_ref());
        return Ok(());
    }
    let success = format!("Success! Data written to: {path}");
    cli.print_or(format, field, secret, &success)
}

fn print_path(cli: &mut Cli<'_, '_>, title: &str, path: &str) {
    cli.ui.line(framed(title, path.chars().count()));
    cli.ui.line(format!("{path}\n"));
}

fn print_titled(cli: &mut Cli<'_, '_>, title: &str, fields: Option<&Map<String, Value>>) {
    let mut rows: Vec<(String, String)> = fields
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), go_value(value)))
        .collect();
    rows.sort();
    let widest = rows
        .iter()
        .map(|(key, _)| key.chars().count())
        .max()
        .unwrap_or(0);
    cli.ui.line(framed(title, widest + "    Value".len()));
    cli.ui.line(key_value_table(rows));
}

/// A title between two bars, together at least as wide as what it stands over.
fn framed(title: &str, width: usize) -> String {
    let bars = match width.saturating_sub(title.len() + 2) {
        0 => 4,
        bars => bars,
    };
    let bar = "=".repeat(bars.div_ceil(2));
    format!("{bar} {title} {bar}")
}
