//! `completion`: scripts with which shells complete commands and flags.

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::flags::one_argument;
use crate::cli::ui::{Outcome, Stop};

/// Prints a script with which a shell completes commands
///
/// Let bash complete commands and flags, now and in later shells:
///
///     $ signet completion bash > /etc/bash_completion.d/signet
///
/// The shells are bash, elvish, fish, powershell and zsh.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completion {
    #[arg(value_name = "SHELL")]
    arguments: Vec<String>,
}

impl Completion {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>, mut root: clap::Command) -> Outcome {
        let name = one_argument(&self.arguments)?;
        let shell = Shell::from_str(name, true).map_err(|_| {
            Stop::usage(format!(
                "Unknown shell: {name}. There are: bash, elvish, fish, powershell, zsh"
            ))
        })?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut root, cli.brand.command, &mut script);
        cli.ui.line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}

/// The answer to `-autocomplete-install`: this program changes no file of the user's shell.
pub(crate) const INSTALL_NOTE: &str = "To complete commands, add this line to the start-up file of your shell:\n\n    \
     source <(signet completion bash)";
