//! `server`: the only command that stays.

use crate::cli::Cli;
use crate::cli::ui::{Outcome, Stop};
use crate::config::args::ServerArgs;

impl ServerArgs {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        crate::server::run_blocking(self, cli.environment)
            .map_err(|error| Stop::usage(crate::server::error_chain(&error)))
    }
}
