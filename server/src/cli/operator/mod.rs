//! `operator`: running a server and keeping its keys.

mod generate_root;
mod init;
mod keyring;
mod members;
mod rekey;
mod unseal;

use clap::{Args, Subcommand};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{HttpFlags, expect_arguments};
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Commands for those who run the server
///
///     $ signet operator init -key-shares=5 -key-threshold=3
///     $ signet operator unseal
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Operator {
    GenerateRoot(generate_root::GenerateRoot),
    Init(init::Init),
    KeyStatus(keyring::KeyStatus),
    Members(members::Members),
    Rekey(Box<rekey::Rekey>),
    Rotate(keyring::Rotate),
    Seal(Seal),
    StepDown(StepDown),
    Unseal(unseal::Unseal),
}

/// Seal the server
///
/// It forgets its keys and answers nothing until it is unsealed.
///
///     $ signet operator seal
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Seal {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// Have the active node resign
///
///     $ signet operator step-down
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct StepDown {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

impl Operator {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::GenerateRoot(generate_root) => generate_root.run(cli),
            Self::Init(init) => init.run(cli),
            Self::KeyStatus(key_status) => key_status.run(cli),
            Self::Members(members) => members.run(cli),
            Self::Rekey(rekey) => rekey.run(cli),
            Self::Rotate(rotate) => rotate.run(cli),
            Self::Seal(seal) => seal.run(cli),
            Self::StepDown(step_down) => step_down.run(cli),
            Self::Unseal(unseal) => unseal.run(cli),
        }
    }
}

impl Seal {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        expect_arguments(&self.arguments, 0, 0)?;
        cli.client(&self.http)?
            .send(&Call::put("sys/seal", &Value::Null))
            .map_err(|error| error.stop("Error sealing"))?;
        cli.ui.line("Success! Vault is sealed.");
        Ok(())
    }
}

impl StepDown {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http)?;
        client
            .send(&Call::put("sys/step-down", &Value::Null))
            .map_err(|error| error.stop("Error stepping down"))?;
        cli.ui
            .line(format!("Success! Stepped down: {}", client.address()));
        Ok(())
    }
}

/// A key share: the argument, the standard input for `-`, else asked for on the terminal.
fn key_share(
    cli: &mut Cli<'_, '_>,
    http: &HttpFlags,
    argument: Option<&str>,
) -> Result<Zeroizing<String>, Stop> {
    match argument {
        Some("-") => {
            let bytes = cli
                .ui
                .read_input()
                .map_err(|error| Stop::usage(format!("Failed to read from stdin: {error}")))?;
            Ok(Zeroizing::new(
                String::from_utf8_lossy(&bytes).trim().to_owned(),
            ))
        }
        Some(key) => Ok(Zeroizing::new(key.trim().to_owned())),
        None if http.non_interactive => Err(Stop::usage(
            "A key is missing and -non-interactive forbids to ask for it",
        )),
        None => cli.ui.ask_hidden(ASK_FOR_KEY).map_err(|error| {
            let text = format!(
                "An error occurred attempting to ask for the unseal key. The raw error message is \
                 shown below, but usually this is because you attempted to pipe a value into the \
                 command or you are executing outside of a terminal (tty). If you want to pipe \
                 the value, pass \"-\" as the argument to read from stdin. The raw error was: \
                 {error}"
            );
            Stop::Usage(wrap(&text, LINE_WIDTH))
        }),
    }
}

/// The nonce given, which must be given with a key that is not asked for: the user then saw it.
fn nonce_for<'a>(
    given: Option<&'a str>,
    current: &'a str,
    argument: Option<&str>,
) -> Result<&'a str, Stop> {
    match (given.filter(|nonce| !nonce.is_empty()), argument) {
        (Some(nonce), _) => Ok(nonce),
        (None, Some(_)) => Err(Stop::usage(
            "Missing nonce value: specify it via the -nonce flag",
        )),
        (None, None) => Ok(current),
    }
}

const ASK_FOR_KEY: &str = "Unseal Key (will be hidden): ";
