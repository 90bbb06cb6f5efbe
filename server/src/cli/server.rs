//! The commands that start a server.

use clap::Args;

use crate::cli::Cli;
use crate::cli::ui::{Outcome, Stop};
use crate::config::args::ServerArgs;

/// Starts a development server with a ready-made PKI
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl ServerArgs {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        crate::server::run_blocking(self, cli.environment)
            .map_err(|error| Stop::usage(crate::server::error_chain(&error)))
    }
}

impl Demo {
    pub(crate) fn run(&self, _cli: &mut Cli<'_, '_>) -> Outcome {
        Err(Stop::usage("demo: not built in this build"))
    }
}
