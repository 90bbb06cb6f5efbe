//! `operator unseal`.

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{FormatFlag, HttpFlags, expect_arguments};
use crate::cli::operator::ASK_FOR_KEY;
use crate::cli::status;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Unseal the server with one key share
///
/// Without KEY it is asked for, which keeps it out of the history of the shell.
///
///     $ signet operator unseal
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Unseal {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// The share belongs to a migration of the seal.
    #[arg(long)]
    migrate: bool,
    /// Discard the shares given so far.
    #[arg(long)]
    reset: bool,
    #[arg(value_name = "[KEY]", num_args = 0..)]
    arguments: Vec<String>,
}

impl Unseal {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        if self.arguments.len() > 1 {
            let count = self.arguments.len();
            return Err(Stop::usage(format!(
                "Too many arguments (expected 1, got {count})"
            )));
        }
        expect_arguments(&self.arguments, 0, 1)?;
        let client = cli.client(&self.http)?;
        let body = if self.reset {
            json!({"key": "", "reset": true, "migrate": false})
        } else {
            let key = self.key(cli)?;
            json!({"key": key.as_str(), "reset": false, "migrate": self.migrate})
        };
        let what = if self.reset {
            "Error discarding unseal keys"
        } else {
            "Error unsealing"
        };
        let value = client
            .json(&Call::put("sys/unseal", &body))
            .map_err(|error| error.stop(what))?;
        let mut status = status::parse(value)?;
        status.add_leader(&client)?;
        status::print(cli, format, &status)
    }

    fn key(&self, cli: &mut Cli<'_, '_>) -> Result<Zeroizing<String>, Stop> {
        if let Some(key) = self.arguments.first() {
            return Ok(Zeroizing::new(key.trim().to_owned()));
        }
        if self.http.non_interactive {
            return Err(Stop::usage(
                "A key is missing and -non-interactive forbids to ask for it",
            ));
        }
        cli.ui.ask_hidden(ASK_FOR_KEY).map_err(|error| {
            let text = format!(
                "An error occurred attempting to ask for an unseal key. The raw error message is \
                 shown below, but usually this is because you attempted to pipe a value into the \
                 unseal command or you are executing outside of a terminal (tty). You should run \
                 the unseal command from a terminal for maximum security. If this is not an \
                 option, the unseal key can be provided as the first argument to the unseal \
                 command. The raw error was: {error}"
            );
            Stop::Usage(wrap(&text, LINE_WIDTH))
        })
    }
}
