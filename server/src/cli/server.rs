//! The commands that start a server.

use clap::Args;

use crate::cli::Cli;
use crate::cli::ui::{Outcome, Stop};

/// Starts a Signet server
///
/// Start a development server, unsealed, in memory, with a known root token:
///
///     $ signet server -dev -dev-root-token-id=root
///
/// Start a server from a configuration file:
///
///     $ signet server -config=/etc/signet/config.hcl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Server {
    /// Configuration file, or a directory of `.hcl` and `.json` files; can be given several times.
    #[arg(long)]
    pub(crate) config: Vec<String>,

    /// Start in memory, initialised and unsealed. Everything is lost when the server stops.
    #[arg(long)]
    pub(crate) dev: bool,

    /// Address to listen on with -dev. The default is 127.0.0.1:8200. This can also be specified
    /// via the `VAULT_DEV_LISTEN_ADDRESS` environment variable.
    #[arg(long)]
    pub(crate) dev_listen_address: Option<String>,

    /// Do not write the root token of -dev to the token helper.
    #[arg(long)]
    pub(crate) dev_no_store_token: bool,

    /// Root token of -dev. This can also be specified via the `VAULT_DEV_ROOT_TOKEN_ID` environment
    /// variable.
    #[arg(long)]
    pub(crate) dev_root_token_id: Option<String>,

    /// As -dev, with a certificate made at start.
    #[arg(long)]
    pub(crate) dev_tls: bool,

    /// Directory for the certificate, key and CA of -dev-tls.
    #[arg(long)]
    pub(crate) dev_tls_cert_dir: Option<String>,

    /// File to write the log to as well.
    #[arg(long)]
    pub(crate) log_file: Option<String>,

    /// Format of the log: "standard" or "json".
    #[arg(long)]
    pub(crate) log_format: Option<String>,

    /// Least important level to log: "trace", "debug", "info", "warn" or "error".
    #[arg(long)]
    pub(crate) log_level: Option<String>,
}

/// Starts a development server with a ready-made PKI
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl Server {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        cli.ui.warn(format!("cannot start with {self:?}"));
        Err(Stop::usage("server: not built in this build"))
    }
}

impl Demo {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        cli.ui.warn(format!("cannot start with {self:?}"));
        Err(Stop::usage("demo: not built in this build"))
    }
}
