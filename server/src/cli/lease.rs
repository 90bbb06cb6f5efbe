//! `lease`: what the server will take back.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::duration::GoDuration;
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags, expect_arguments, one_argument};
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Interact with leases
///
///     $ signet lease renew pki/issue/web/2f6a614c
///     $ signet lease revoke -prefix pki/issue/web
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Lease {
    Lookup(Lookup),
    Renew(Renew),
    Revoke(Revoke),
}

/// Print what the server knows about a lease
///
///     $ signet lease lookup pki/issue/web/2f6a614c
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Lookup {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(value_name = "ID", num_args = 0..)]
    arguments: Vec<String>,
}

/// Renew a lease
///
///     $ signet lease renew -increment=1h pki/issue/web/2f6a614c
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Renew {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Lifetime to ask for.
    #[arg(long, alias = "i", value_name = "duration", value_parser = GoDuration::parse)]
    increment: Option<GoDuration>,
    #[arg(value_name = "ID", num_args = 0..)]
    arguments: Vec<String>,
}

/// Revoke a lease and what it stands for
///
///     $ signet lease revoke pki/issue/web/2f6a614c
///     $ signet lease revoke -prefix pki/issue/web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Revoke {
    #[command(flatten)]
    http: HttpFlags,
    /// Forget the leases even where revoking fails; needs -prefix.
    #[arg(long, alias = "f")]
    force: bool,
    /// Revoke every lease that starts with ID.
    #[arg(long)]
    prefix: bool,
    /// Wait until everything is revoked, and fail if something is not.
    #[arg(long)]
    sync: bool,
    #[arg(value_name = "ID", num_args = 0..)]
    arguments: Vec<String>,
}

impl Lease {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Lookup(lookup) => lookup.run(cli),
            Self::Renew(renew) => renew.run(cli),
            Self::Revoke(revoke) => revoke.run(cli),
        }
    }
}

impl Lookup {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let id = lease_id(&self.arguments)?;
        let secret = cli
            .client(&self.http)?
            .secret(&Call::put("sys/leases/lookup", &json!({"lease_id": id})))
            .map_err(|error| error.stop(format!("error looking up lease id {id}")))?
            .unwrap_or_default();
        cli.print(format, &FieldFlag::default(), &secret)
    }
}

impl Renew {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let id = lease_id(&self.arguments)?;
        let increment = self.increment.unwrap_or_default().whole_seconds();
        let body = json!({"increment": increment, "lease_id": id});
        let secret = cli
            .client(&self.http)?
            .secret(&Call::put("sys/leases/renew", &body))
            .map_err(|error| error.stop(format!("Error renewing {id}")))?
            .unwrap_or_default();
        cli.print(format, &FieldFlag::default(), &secret)
    }
}

impl Revoke {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let id = one_argument(&self.arguments)?.trim();
        if self.force && !self.prefix {
            return Err(Stop::usage(
                "Specifying -force requires also specifying -prefix",
            ));
        }
        let body = json!({"sync": self.sync});
        let (call, failure, success) = if self.force {
            let text = format!(
                "Warning! Force-removing leases can cause {} to become out of sync with secret \
                 engines!",
                cli.brand.product
            );
            cli.ui.warn(wrap(&text, LINE_WIDTH));
            (
                Call::put(format!("sys/leases/revoke-force/{id}"), &Value::Null),
                format!("Error force revoking leases with prefix {id}"),
                format!("Success! Force revoked any leases with prefix: {id}"),
            )
        } else if self.prefix {
            (
                Call::put(format!("sys/leases/revoke-prefix/{id}"), &body),
                format!("Error revoking leases with prefix {id}"),
                format!("Success! Revoked any leases with prefix: {id}"),
            )
        } else {
            (
                Call::put(format!("sys/leases/revoke/{id}"), &body),
                format!("Error revoking lease {id}"),
                format!("Success! Revoked lease: {id}"),
            )
        };
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop(failure))?;
        let queued = !self.force && !self.sync;
        cli.ui.line(if queued { QUEUED } else { &success });
        Ok(())
    }
}

fn lease_id(arguments: &[String]) -> Result<&str, Stop> {
    if arguments.is_empty() {
        return Err(Stop::usage("Missing ID!"));
    }
    expect_arguments(arguments, 1, 1)?;
    Ok(arguments.first().map(|id| id.trim()).unwrap_or_default())
}

const QUEUED: &str = "All revocation operations queued successfully!";
