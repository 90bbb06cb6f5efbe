//! `print`: what the other commands would use.

use clap::{Args, Subcommand};

use crate::cli::Cli;
use crate::cli::token_helper;
use crate::cli::ui::Outcome;

/// Prints what the other commands would use
#[derive(Debug, Subcommand)]
pub(crate) enum Print {
    Token(PrintToken),
}

/// Prints the token in use
///
///     $ signet print token
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct PrintToken {
    #[arg(hide = true, num_args = 0..)]
    ignored: Vec<String>,
}

impl Print {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let Self::Token(_) = self;
        let token = token_helper::current_token(cli.environment)?;
        cli.ui
            .line(token.as_deref().map(String::as_str).unwrap_or_default());
        Ok(())
    }
}
