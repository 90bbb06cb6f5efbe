//! `read`, `write`, `patch`, `list` and `delete`: any path of the API.

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::Cli;
use crate::cli::args::{parse_pairs, parse_texts};
use crate::cli::call::Call;
use crate::cli::flags::{
    FieldFlag, Format, FormatFlag, HttpFlags, expect_arguments, sanitize_path,
};
use crate::cli::output::{print_structured, print_warnings, raw_is_for_read};
use crate::cli::table::{detailed_list, key_list};
use crate::cli::ui::{Outcome, Stop};

/// Reads data
///
/// Reads what is at a path: a role, a certificate, a secret. Pairs K=V become query parameters.
///
///     $ signet read pki/roles/web
///     $ signet read -field=certificate pki/cert/ca
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Read {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    #[arg(value_names = ["PATH", "[DATA K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
}

/// Writes data, configuration and secrets
///
/// Data are pairs "key=value". A value "@file" is read from that file and "-" from the standard
/// input; a whole JSON object is given as "@file.json" or "-". A key given twice makes a list.
///
///     $ signet write pki/roles/web allow_any_name=true max_ttl=72h
///     $ signet write pki/issuers/import/bundle pem_bundle=@ca.pem
///     $ signet write -f auth/approle/role/web/secret-id
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Write {
    #[command(flatten)]
    change: Change,
}

/// Changes single fields of data
///
/// As "signet write", but fields that are not given keep their values.
///
///     $ signet patch pki/issuer/default issuer_name=root-2026
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Patch {
    #[command(flatten)]
    change: Change,
}

/// What `write` and `patch` have in common.
#[derive(Args, Debug)]
struct Change {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    /// Send the request without data, as some paths need none.
    #[arg(long, alias = "f")]
    force: bool,
    #[arg(value_names = ["PATH", "[DATA K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
}

/// Lists the keys at a path
///
///     $ signet list pki/roles
///     $ signet list -detailed pki/issuers
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Show what is known about each key, where the path tells. This can also be specified via
    /// the `VAULT_DETAILED` environment variable.
    #[arg(long, help_heading = "Output Options")]
    detailed: bool,
    /// Start behind this key, where the path supports pages.
    #[arg(long)]
    after: Option<String>,
    /// List at most this many keys, where the path supports pages.
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    limit: Option<i64>,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

/// Deletes what is at a path
///
///     $ signet delete pki/roles/web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    #[arg(value_names = ["PATH", "[DATA K=V...]"], num_args = 0..)]
    arguments: Vec<String>,
}

impl Read {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (path, rest) = path_and_rest(&self.arguments, "1")?;
        let query = parse_texts(rest, cli.ui).map_err(bad_data)?;
        let client = cli.client(&self.http)?;
        let call = Call::get(&path).queries(query);
        if format == Format::Raw {
            let answer = client
                .send(&call)
                .map_err(|error| error.stop(format!("Error reading: {path}")))?;
            cli.ui.raw(&answer.body);
            return Ok(());
        }
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error reading {path}")))?
            .ok_or_else(|| no_value(&path))?;
        cli.print(format, &self.field, &secret)
    }
}

impl Write {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        self.change.run(cli, |path, body| Call::put(path, &body))
    }
}

impl Patch {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        self.change.run(cli, |path, body| Call::patch(path, &body))
    }
}

impl Change {
    fn run(
        &self,
        cli: &mut Cli<'_, '_>,
        call: impl FnOnce(&str, Option<&Map<String, Value>>) -> Call,
    ) -> Outcome {
        let format = cli.format(&self.format)?;
        if format == Format::Raw {
            return Err(raw_is_for_read());
        }
        let (path, rest) = path_and_rest(&self.arguments, "1")?;
        if rest.is_empty() && !self.force {
            return Err(Stop::usage("Must supply data or use -force"));
        }
        let fields = parse_pairs(rest, cli.ui).map_err(bad_data)?;
        // Without any pair the body is the JSON `null`.
        let body = (!rest.is_empty()).then_some(&fields);
        let client = cli.client(&self.http)?;
        let secret = client
            .secret(&call(&path, body))
            .map_err(|error| error.stop(format!("Error writing data to {path}")))?;
        let success = format!("Success! Data written to: {path}");
        cli.print_or(format, &self.field, secret.as_ref(), &success)
    }
}

impl List {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 1, 1)?;
        let path = sanitize_path(
            self.arguments
                .first()
                .map(String::as_str)
                .unwrap_or_default(),
        );
        let mut call = Call::list(&path);
        if let Some(after) = &self.after {
            call = call.query("after", after);
        }
        if let Some(limit) = self.limit.filter(|limit| *limit >= 0) {
            call = call.query("limit", &limit.to_string());
        }
        let client = cli.client(&self.http)?;
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error listing {path}")))?
            .ok_or_else(|| no_value(&path))?;
        if secret.wrap_info.is_some() {
            return cli.print(format, &FieldFlag::default(), &secret);
        }
        let keys = secret.keys().ok_or_else(|| no_value(&path))?;
        let detailed = self.detailed
            || cli
                .environment
                .setting("DETAILED")
                .is_some_and(|text| text == "1" || text == "true");
        match format {
            Format::Raw => Err(raw_is_for_read()),
            Format::Table => {
                print_warnings(cli.ui, &cli.brand, &secret);
                let text = match secret.field("key_info").filter(|_| detailed) {
                    Some(key_info) => detailed_list(&keys, key_info),
                    None => key_list(&keys),
                };
                cli.ui.line(text);
                Ok(())
            }
            _ if detailed => print_structured(cli.ui, format, &secret),
            _ => print_structured(cli.ui, format, &keys),
        }
    }
}

impl Delete {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (path, rest) = path_and_rest(&self.arguments, "at least 1")?;
        let query = parse_texts(rest, cli.ui).map_err(bad_data)?;
        let client = cli.client(&self.http)?;
        let secret = client
            .secret(&Call::delete(&path).queries(query))
            .map_err(|error| error.stop(format!("Error deleting {path}")))?;
        let success = format!("Success! Data deleted (if it existed) at: {path}");
        cli.print_or(format, &self.field, secret.as_ref(), &success)
    }
}

pub(crate) fn bad_data(error: impl std::fmt::Display) -> Stop {
    Stop::usage(format!("Failed to parse K=V data: {error}"))
}

pub(crate) fn no_value(path: &str) -> Stop {
    Stop::failed(format!("No value found at {path}"))
}

fn path_and_rest<'a>(
    arguments: &'a [String],
    expected: &str,
) -> Result<(String, &'a [String]), Stop> {
    let (path, rest) = arguments
        .split_first()
        .ok_or_else(|| Stop::usage(format!("Not enough arguments (expected {expected}, got 0)")))?;
    Ok((sanitize_path(path), rest))
}
