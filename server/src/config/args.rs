//! The command line of `signet server`.

use std::path::PathBuf;

/// Starts a server
///
/// Start a development server, unsealed, in memory, with a known root token:
///
///     $ signet server -dev -dev-root-token-id=root
///
/// Start a server from a configuration file:
///
///     $ signet server -config=/etc/signet/config.hcl
#[derive(Clone, Debug, Default, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServerArgs {
    /// Configuration file, or a directory of `.hcl` and `.json` files; can be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,

    /// Start initialized and unsealed, in memory: everything is lost when the server stops.
    #[arg(long)]
    pub(crate) dev: bool,

    /// Not supported: this server has no clusters.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) dev_cluster_json: Option<PathBuf>,

    /// Not supported: this server has no clusters.
    #[arg(long, hide = true)]
    pub(crate) dev_ha: bool,

    /// Mount version 1 of the key-value engine at `secret/` with -dev.
    #[arg(long)]
    pub(crate) dev_kv_v1: bool,

    /// Address to listen on with -dev. The default is 127.0.0.1:8200. This can also be specified
    /// via the `VAULT_DEV_LISTEN_ADDRESS` environment variable.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dev_listen_address: Option<String>,

    /// Do not write the root token of -dev to ~/.vault-token.
    #[arg(long)]
    pub(crate) dev_no_store_token: bool,

    /// Root token of -dev. This can also be specified via the `VAULT_DEV_ROOT_TOKEN_ID` environment
    /// variable.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) dev_root_token_id: Option<String>,

    /// Keep the data of -dev in this directory, so that they survive a restart. The unseal key and
    /// the root token are kept there too: anybody who can read the directory owns the server.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dev_storage_path: Option<PathBuf>,

    /// Not supported: this server has no clusters.
    #[arg(long, hide = true)]
    pub(crate) dev_three_node: bool,

    /// As -dev, with a certificate made at start.
    #[arg(long)]
    pub(crate) dev_tls: bool,

    /// Directory for vault-ca.pem, vault-cert.pem and vault-key.pem of -dev-tls.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dev_tls_cert_dir: Option<PathBuf>,

    /// Accepted: the process ends whenever the server stops.
    #[arg(long, hide = true)]
    pub(crate) exit_on_core_shutdown: bool,

    /// File to write the log to as well.
    #[arg(long, value_name = "PATH")]
    pub(crate) log_file: Option<PathBuf>,

    /// Format of the log: "standard" or "json".
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,

    /// Least important level to log: "trace", "debug", "info", "warn" or "error".
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// Start a new log file when the current one has this many bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) log_rotate_bytes: Option<u64>,

    /// Start a new log file when the current one is this old. The default is 24h.
    #[arg(long, value_name = "DURATION")]
    pub(crate) log_rotate_duration: Option<String>,

    /// Number of old log files to keep; 0 keeps all, -1 none.
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) log_rotate_max_files: Option<i64>,

    /// Not supported.
    #[arg(long, hide = true)]
    pub(crate) recovery: bool,
}

impl ServerArgs {
    /// `-dev-tls` asks for `-dev` too.
    pub(crate) fn is_dev(&self) -> bool {
        self.dev || self.dev_tls
    }
}
