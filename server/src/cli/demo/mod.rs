//! `demo`: a certificate authority for a service mesh from nothing to mutual TLS, in one command.

mod chain;
mod mesh;
mod stage;
mod story;

use clap::Args;

use crate::cli::Cli;
use crate::cli::ui::{Outcome, Stop};
use crate::server::embedded::EmbeddedServer;
use crate::server::error_chain;

/// Shows a service mesh's certificate authority from nothing to mutual TLS
///
/// Starts a server in memory at a free port of this machine, sends it the commands of the
/// walk-through one after the other and shows what each answers: root, intermediate, role,
/// `AppRole`, what `cert-manager` does for two workloads, and a connection between these two.
/// Nothing is read from the environment, and nothing is left behind.
///
///     $ signet demo
///
/// Keep the server for commands of your own:
///
///     $ signet demo -keep
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Demo {
    /// Leave the server and the files there at the end, until the command is interrupted.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let failed = |error| Stop::failed(format!("demo: {}", error_chain(&error)));
        let server = EmbeddedServer::start(ROOT_TOKEN).map_err(failed)?;
        let mut stage = stage::Stage::new(cli.ui, server.url())?;
        story::play(&mut stage, &server)?;
        if self.keep {
            let directory = stage.directory().display().to_string();
            let invite = || {
                stage.heading("The server keeps running until you press Ctrl-C");
                stage.line(format_args!(
                    "    $ export VAULT_ADDR={}\n    $ export VAULT_TOKEN={}\n    $ cd {directory}",
                    server.url(),
                    server.root_token(),
                ));
            };
            server.wait_for_stop(invite).map_err(failed)?;
        }
        Ok(())
    }
}

const ROOT_TOKEN: &str = "root";
