//! `operator init`.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::output::print_structured;
use crate::cli::status;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Initialise a server
///
/// The server makes its keys and shows, this once, the shares of the unseal key and the first
/// root token.
///
///     $ signet operator init -key-shares=5 -key-threshold=3
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Init {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Number of shares of the unseal key. The default is 5.
    #[arg(long, alias = "n", value_name = "int")]
    key_shares: Option<i64>,
    /// Number of shares that unseal. The default is 3.
    #[arg(long, alias = "t", value_name = "int")]
    key_threshold: Option<i64>,
    /// Number of shares of the recovery key, where the server unseals itself.
    #[arg(
        long,
        value_name = "int",
        default_value_t = 5,
        hide_default_value = true
    )]
    recovery_shares: i64,
    /// Number of shares that make the recovery key, where the server unseals itself.
    #[arg(
        long,
        value_name = "int",
        default_value_t = 3,
        hide_default_value = true
    )]
    recovery_threshold: i64,
    /// Only tell whether the server is initialised: exit code 0 if it is, 2 if not.
    #[arg(long)]
    status: bool,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are those on the wire")]
struct Keys {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    recovery_keys: Option<Vec<String>>,
    recovery_keys_base64: Option<Vec<String>>,
    root_token: String,
}

/// The order is the one of JSON output.
#[derive(Serialize)]
struct Report<'a> {
    unseal_keys_b64: &'a [String],
    unseal_keys_hex: &'a [String],
    unseal_shares: i64,
    unseal_threshold: i64,
    recovery_keys_b64: Option<&'a [String]>,
    recovery_keys_hex: Option<&'a [String]>,
    recovery_keys_shares: i64,
    recovery_keys_threshold: i64,
    root_token: &'a str,
}

/// Numbers of shares in a request; those that do not apply are zero.
#[derive(Clone, Copy, Default)]
struct Shares {
    secret: i64,
    secret_threshold: i64,
    recovery: i64,
    recovery_threshold: i64,
}

impl Init {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http)?;
        if self.status {
            return print_status(cli, &client, format);
        }
        let shares = self.shares(&client);
        let body = Body::of(shares);
        let value = client
            .json(&Call::put("sys/init", &body))
            .map_err(|error| error.stop("Error initializing"))?;
        let keys: Keys = serde_json::from_value(value)
            .map_err(|error| Stop::failed(format!("Error initializing: {error}")))?;
        if format == Format::Table {
            print_keys(cli, &keys, shares);
            return Ok(());
        }
        print_structured(cli.ui, format, &keys.report(shares))
    }

    /// A server that unseals itself has recovery keys instead of unseal keys.
    fn shares(&self, client: &Client) -> Shares {
        let seals_itself = status::fetch(client).is_ok_and(|status| status.recovery_seal);
        if seals_itself {
            return Shares {
                secret: self.key_shares.unwrap_or_default(),
                secret_threshold: self.key_threshold.unwrap_or_default(),
                recovery: self.recovery_shares,
                recovery_threshold: self.recovery_threshold,
            };
        }
        Shares {
            secret: self.key_shares.unwrap_or(5),
            secret_threshold: self.key_threshold.unwrap_or(3),
            ..Shares::default()
        }
    }
}

/// The order is the one on the wire.
#[derive(Serialize)]
struct Body {
    secret_shares: i64,
    secret_threshold: i64,
    pgp_keys: Option<Vec<String>>,
    recovery_shares: i64,
    recovery_threshold: i64,
    recovery_pgp_keys: Option<Vec<String>>,
    root_token_pgp_key: &'static str,
}

impl Body {
    fn of(shares: Shares) -> Self {
        Self {
            secret_shares: shares.secret,
            secret_threshold: shares.secret_threshold,
            pgp_keys: None,
            recovery_shares: shares.recovery,
            recovery_threshold: shares.recovery_threshold,
            recovery_pgp_keys: None,
            root_token_pgp_key: "",
        }
    }
}

impl Keys {
    fn report(&self, shares: Shares) -> Report<'_> {
        Report {
            unseal_keys_b64: &self.keys_base64,
            unseal_keys_hex: &self.keys,
            unseal_shares: shares.secret,
            unseal_threshold: shares.secret_threshold,
            recovery_keys_b64: self.recovery_keys_base64.as_deref(),
            recovery_keys_hex: self.recovery_keys.as_deref(),
            recovery_keys_shares: shares.recovery,
            recovery_keys_threshold: shares.recovery_threshold,
            root_token: &self.root_token,
        }
    }
}

fn print_status(cli: &mut Cli<'_, '_>, client: &Client, format: Format) -> Outcome {
    let failed = |stop| match stop {
        Stop::Failed(text) => Stop::Usage(text),
        other => other,
    };
    let value = client
        .json(&Call::get("sys/init"))
        .map_err(|error| failed(error.stop("Error checking initialization status")))?;
    let initialized = value
        .get("initialized")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    if format == Format::Table {
        cli.ui.line(if initialized {
            "Vault is initialized"
        } else {
            "Vault is not initialized"
        });
    } else {
        print_structured(cli.ui, format, &json!({"Initialized": initialized}))?;
    }
    if initialized {
        Ok(())
    } else {
        Err(Stop::Quiet(NOT_INITIALIZED))
    }
}

fn print_keys(cli: &mut Cli<'_, '_>, keys: &Keys, shares: Shares) {
    for (index, key) in keys.keys_base64.iter().enumerate() {
        cli.ui.line(format!("Unseal Key {}: {key}", index + 1));
    }
    let recovery_keys = keys.recovery_keys_base64.as_deref().unwrap_or_default();
    for (index, key) in recovery_keys.iter().enumerate() {
        cli.ui.line(format!("Recovery Key {}: {key}", index + 1));
    }
    cli.ui
        .line(format!("\nInitial Root Token: {}", keys.root_token));
    if keys.keys_base64.is_empty() {
        cli.ui.line("\nSuccess! Vault is initialized");
    } else {
        let Shares {
            secret,
            secret_threshold,
            ..
        } = shares;
        let custody = format!(
            "Vault initialized with {secret} key shares and a key threshold of {secret_threshold}. \
             Please securely distribute the key shares printed above. When the Vault is \
             re-sealed, restarted, or stopped, you must supply at least {secret_threshold} of \
             these keys to unseal it before it can start servicing requests."
        );
        let warning = format!(
            "Vault does not store the generated root key. Without at least {secret_threshold} \
             keys to reconstruct the root key, Vault will remain permanently sealed!"
        );
        let hint = format!(
            "It is possible to generate new unseal keys, provided you have a quorum of existing \
             unseal keys shares. See \"{} operator rekey\" for more information.",
            cli.brand.command
        );
        for text in [custody, warning, hint] {
            cli.ui.line(format!("\n{}", wrap(&text, LINE_WIDTH)));
        }
    }
    if !recovery_keys.is_empty() {
        let text = format!(
            "Recovery key initialized with {} key shares and a key threshold of {}. Please \
             securely distribute the key shares printed above.",
            shares.recovery, shares.recovery_threshold
        );
        cli.ui.line(format!("\n{}", wrap(&text, LINE_WIDTH)));
    }
}

const NOT_INITIALIZED: u8 = 2;
