//! `pki`: authorities in several mounts, and what they are to each other.

mod issue;
mod list_intermediates;
mod reissue;
mod verify_sign;

use clap::Subcommand;
use serde_json::{Map, Value};
use signet_api::certificate::Chained;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::client_error::ClientError;
use crate::cli::flags::Format;
use crate::cli::output::print_structured;
use crate::cli::secret::Secret;
use crate::cli::ui::{Outcome, Stop};

/// Works with the authorities of PKI mounts
#[derive(Debug, Subcommand)]
pub(crate) enum Pki {
    Issue(issue::Issue),
    ListIntermediates(list_intermediates::ListIntermediates),
    Reissue(reissue::Reissue),
    VerifySign(verify_sign::VerifySign),
}

impl Pki {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Issue(issue) => issue.run(cli),
            Self::ListIntermediates(list) => list.run(cli),
            Self::Reissue(reissue) => reissue.run(cli),
            Self::VerifySign(verify) => verify.run(cli),
        }
    }
}

/// An issuer as its mount shows it.
struct Issuer {
    secret: Secret,
    chained: Chained,
}

impl Issuer {
    fn from_secret(secret: Secret) -> Result<Self, String> {
        let certificate =
            text(&secret, "certificate").ok_or("response did not contain field: certificate")?;
        let chain = secret
            .field("ca_chain")
            .ok_or("response did not contain field: ca_chain")?;
        let chain: Vec<&str> = chain
            .as_array()
            .map(|chain| chain.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let chained = Chained::parse(&certificate, chain).map_err(|error| error.to_string())?;
        Ok(Self { secret, chained })
    }
}

/// As JSON or YAML; the latter with an empty line at the end, as the reference has it here.
fn print_object(cli: &mut Cli<'_, '_>, format: Format, object: &Map<String, Value>) -> Outcome {
    print_structured(cli.ui, format, object)?;
    if format == Format::Yaml {
        cli.ui.line("");
    }
    Ok(())
}

/// Reads what must be there.
fn read(client: &Client, path: &str) -> Result<Secret, ClientError> {
    client
        .secret(&Call::get(path))?
        .ok_or_else(|| ClientError::Content(format!("no value found at {path}")))
}

/// A text among the data.
fn text(secret: &Secret, field: &str) -> Option<String> {
    secret.field(field)?.as_str().map(str::to_owned)
}

/// Without the slashes that people write around paths.
fn trimmed(path: &str) -> &str {
    path.trim_matches('/')
}

/// A mistake of whoever typed the command, in the code that the reference gives it.
fn usage(what: &str, error: ClientError) -> Stop {
    match error.stop(what) {
        Stop::Failed(text) => Stop::Usage(text),
        other => other,
    }
}
