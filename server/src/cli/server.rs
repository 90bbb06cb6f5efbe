//! The commands that start a server.

use clap::Args;

use crate::cli::Cli;
use crate::cli::ui::{Outcome, Stop};
use crate::config::args::ServerArgs;
use crate::server;

/// Starts a development server with a ready-made PKI
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl ServerArgs {
    /// Runs a server until it is told to stop.
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let environment = cli.environment;
        let lookup = |name: &str| environment.variable(name).map(str::to_owned);
        server::run_blocking(self.clone(), &lookup)
            .map_err(|error| Stop::usage(server::error_chain(&error)))
    }
}

impl Demo {
    pub(crate) fn run(&self, _cli: &mut Cli<'_, '_>) -> Outcome {
        Err(Stop::usage("demo: not built in this build"))
    }
}
