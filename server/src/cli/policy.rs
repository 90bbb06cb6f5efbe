//! `policy`: who may do what.

use std::fs;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::Cli;
use crate::cli::args::go_io_error;
use crate::cli::call::Call;
use crate::cli::flags::{
    Format, FormatFlag, HttpFlags, expect_arguments, one_argument, two_arguments,
};
use crate::cli::output::print_structured;
use crate::cli::policy_format::format_policy;
use crate::cli::ui::{Outcome, Stop};

/// Interact with policies
///
///     $ signet policy write issuers ./issuers.hcl
///     $ signet policy list
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Policy {
    Delete(Delete),
    Fmt(Fmt),
    List(List),
    Read(Read),
    Write(Write),
}

/// Delete a policy
///
/// Tokens that have the policy lose what it allowed at once.
///
///     $ signet policy delete issuers
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_name = "NAME", num_args = 0..)]
    arguments: Vec<String>,
}

/// Lay a policy file out in the usual form
///
/// The file is overwritten.
///
///     $ signet policy fmt ./issuers.hcl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Fmt {
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

/// List the names of all policies
///
///     $ signet policy list
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// Print the text of a policy
///
///     $ signet policy read issuers
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Read {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(value_name = "NAME", num_args = 0..)]
    arguments: Vec<String>,
}

/// Upload a policy from a file
///
/// The file "-" is the standard input.
///
///     $ signet policy write issuers ./issuers.hcl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Write {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_names = ["NAME", "PATH"], num_args = 0..)]
    arguments: Vec<String>,
}

impl Policy {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Delete(delete) => delete.run(cli),
            Self::Fmt(fmt) => fmt.run(cli),
            Self::List(list) => list.run(cli),
            Self::Read(read) => read.run(cli),
            Self::Write(write) => write.run(cli),
        }
    }
}

impl Delete {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let name = policy_name(one_argument(&self.arguments)?);
        cli.client(&self.http)?
            .send(&Call::delete(format!("sys/policies/acl/{name}")))
            .map_err(|error| error.stop(format!("Error deleting {name}")))?;
        cli.ui.line(format!("Success! Deleted policy: {name}"));
        Ok(())
    }
}

impl Fmt {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = one_argument(&self.arguments)?;
        let text = fs::read_to_string(path).map_err(|error| {
            Stop::usage(format!(
                "Error reading source file: open {path}: {}",
                go_io_error(&error)
            ))
        })?;
        let formatted = format_policy(&text)
            .map_err(|error| Stop::usage(format!("failed to parse policy: {error}")))?;
        fs::write(path, formatted).map_err(|error| {
            Stop::usage(format!(
                "Error writing result: open {path}: {}",
                go_io_error(&error)
            ))
        })?;
        cli.ui.line(format!("Success! Formatted policy: {path}"));
        Ok(())
    }
}

impl List {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let secret = cli
            .client(&self.http)?
            .secret(&Call::list("sys/policies/acl"))
            .map_err(|error| error.stop("Error listing policies"))?
            .unwrap_or_default();
        let names = secret
            .keys()
            .or_else(|| secret.texts("policies"))
            .unwrap_or_default();
        if format == Format::Table {
            for name in names {
                cli.ui.line(name);
            }
            return Ok(());
        }
        print_structured(cli.ui, format, &names)
    }
}

impl Read {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let name = policy_name(one_argument(&self.arguments)?);
        let secret = cli
            .client(&self.http)?
            .secret(&Call::get(format!("sys/policies/acl/{name}")))
            .map_err(|error| error.stop(format!("Error reading policy named {name}")))?;
        let text = secret
            .as_ref()
            .and_then(|secret| secret.text("policy").or_else(|| secret.text("rules")))
            .ok_or_else(|| Stop::failed(format!("No policy named: {name}")))?;
        if format == Format::Table {
            cli.ui.line(text.trim());
            return Ok(());
        }
        print_structured(cli.ui, format, &json!({"policy": text}))
    }
}

impl Write {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let (given, path) = two_arguments(&self.arguments)?;
        let name = policy_name(given);
        let text = read_policy(cli, path)?;
        if name != given.trim() {
            cli.ui.warn(format!(
                "Policy name was converted from \"{given}\" to \"{name}\""
            ));
        }
        cli.client(&self.http)?
            .send(&Call::put(
                format!("sys/policies/acl/{name}"),
                &json!({"policy": text}),
            ))
            .map_err(|error| error.stop("Error uploading policy"))?;
        cli.ui.line(format!("Success! Uploaded policy: {name}"));
        Ok(())
    }
}

fn read_policy(cli: &mut Cli<'_, '_>, path: &str) -> Result<String, Stop> {
    if path == "-" {
        let bytes = cli
            .ui
            .read_input()
            .map_err(|error| Stop::failed(format!("Error reading policy: {error}")))?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    fs::read_to_string(path).map_err(|error| {
        Stop::failed(format!(
            "Error opening policy file: open {path}: {}",
            go_io_error(&error)
        ))
    })
}

/// Names have no upper case on the server either.
fn policy_name(text: &str) -> String {
    text.trim().to_lowercase()
}
