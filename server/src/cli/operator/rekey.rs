//! `operator rekey`: new unseal keys, made by a quorum of holders of the old ones.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::operator::{key_share, nonce_for};
use crate::cli::output::print_structured;
use crate::cli::table::key_value_table;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Generate new unseal keys
///
/// Start it, then have holders of the current keys give their shares:
///
///     $ signet operator rekey -init -key-shares=5 -key-threshold=3
///     $ signet operator rekey
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rekey {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Stop the attempt and forget the shares given so far.
    #[arg(long)]
    cancel: bool,
    /// Start an attempt.
    #[arg(long)]
    init: bool,
    /// Number of new shares.
    #[arg(
        long,
        alias = "n",
        value_name = "int",
        default_value_t = 5,
        hide_default_value = true
    )]
    key_shares: i64,
    /// Number of new shares that unseal.
    #[arg(
        long,
        alias = "t",
        value_name = "int",
        default_value_t = 3,
        hide_default_value = true
    )]
    key_threshold: i64,
    /// Nonce of the attempt, which is printed at its start.
    #[arg(long)]
    nonce: Option<String>,
    /// Print how far the attempt is.
    #[arg(long)]
    status: bool,
    /// Which keys: "barrier" or "recovery". The default is barrier.
    #[arg(long, default_value = "barrier", hide_default_value = true)]
    target: String,
    /// With -init: the new keys are valid only after they have been given back. Otherwise the
    /// command is about that proof.
    #[arg(long)]
    verify: bool,
    #[arg(value_name = "[KEY]", num_args = 0..)]
    arguments: Vec<String>,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Attempt {
    nonce: String,
    started: bool,
    t: i64,
    n: i64,
    progress: i64,
    required: i64,
    pgp_fingerprints: Option<Vec<String>>,
    backup: bool,
    verification_required: bool,
    verification_nonce: String,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Verification {
    nonce: String,
    started: bool,
    t: i64,
    n: i64,
    progress: i64,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Update {
    nonce: String,
    complete: bool,
    keys: Vec<String>,
    keys_base64: Vec<String>,
    pgp_fingerprints: Option<Vec<String>>,
    backup: bool,
    verification_required: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    verification_nonce: String,
}

impl Rekey {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 1)?;
        let base = match self.target.trim().to_lowercase().as_str() {
            "barrier" => "sys/rekey",
            "recovery" => "sys/rekey-recovery-key",
            _ => return Err(Stop::usage(format!("Unknown target: {}", self.target))),
        };
        let client = cli.client(&self.http)?;
        let step = Step {
            rekey: self,
            base,
            client: &client,
            format,
        };
        match (self.init, self.cancel, self.status, self.verify) {
            (true, ..) => step.start(cli),
            (_, true, _, true) => step.cancel(cli, "verify"),
            (_, true, ..) => step.cancel(cli, "init"),
            (_, _, true, true) => step.print_verification(cli),
            (_, _, true, false) => step.print_status(cli),
            (.., true) => step.verify(cli),
            (.., false) => step.provide(cli),
        }
    }
}

struct Step<'a> {
    rekey: &'a Rekey,
    base: &'static str,
    client: &'a Client,
    format: Format,
}

impl Step<'_> {
    fn start(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let body = json!({
            "backup": false,
            "pgp_keys": null,
            "require_verification": self.rekey.verify,
            "secret_shares": self.rekey.key_shares,
            "secret_threshold": self.rekey.key_threshold,
        });
        let value = self
            .client
            .json(&Call::put(self.path("init"), &body))
            .map_err(|error| error.stop("Error initializing rekey"))?;
        let attempt: Attempt = parse(value)?;
        if self.format == Format::Table {
            let text = "WARNING! The keys are shown once, when the last share has been given. If \
                        you lose them then, there is no recovery. Use -verify to keep the current \
                        keys valid until the new ones have been proven to be in your hands.";
            cli.ui.warn(wrap(text, LINE_WIDTH));
            cli.ui.line("");
        }
        self.print_attempt(cli, &attempt)
    }

    fn cancel(&self, cli: &mut Cli<'_, '_>, what: &str) -> Outcome {
        self.client
            .send(&Call::delete(self.path(what)))
            .map_err(|error| error.stop("Error canceling rekey"))?;
        cli.ui
            .line("Success! Canceled rekeying (if it was started)");
        Ok(())
    }

    fn print_status(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let attempt: Attempt = self.fetch("init", "Error reading rekey status")?;
        self.print_attempt(cli, &attempt)
    }

    fn print_verification(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let verification: Verification =
            self.fetch("verify", "Error reading rekey verification status")?;
        if self.format != Format::Table {
            return print_structured(cli.ui, self.format, &verification);
        }
        cli.ui.line(key_value_table(vec![
            row("Started", &verification.started),
            row("New Shares", &verification.n),
            row("New Threshold", &verification.t),
            row("Verification Nonce", &verification.nonce),
            row(
                "Verification Progress",
                &format!("{}/{}", verification.progress, verification.t),
            ),
        ]));
        Ok(())
    }

    fn provide(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let attempt: Attempt = self.fetch("init", "Error getting rekey status")?;
        if !attempt.started {
            return Err(Stop::Usage(not_started(cli, "operator rekey -init")));
        }
        let value = self.send_share(cli, "update", &attempt.nonce)?;
        if value.get("complete").and_then(Value::as_bool) != Some(true) {
            let attempt: Attempt = self.fetch("init", "Error getting rekey status")?;
            return self.print_attempt(cli, &attempt);
        }
        let update: Update = parse(value)?;
        if self.format != Format::Table {
            return print_structured(cli.ui, self.format, &update);
        }
        self.print_keys(cli, &attempt, &update)
    }

    fn verify(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let what = "Error getting rekey verification status";
        let verification: Verification = self.fetch("verify", what)?;
        if !verification.started {
            return Err(Stop::Usage(not_started(
                cli,
                "operator rekey -init -verify",
            )));
        }
        let value = self.send_share(cli, "verify", &verification.nonce)?;
        if value.get("complete").and_then(Value::as_bool) != Some(true) {
            return self.print_verification(cli);
        }
        if self.format != Format::Table {
            return print_structured(cli.ui, self.format, &value);
        }
        let text = "Success! Rekey verification complete. The previously provided keys are now \
                    invalid; the verified ones are in effect.";
        cli.ui.line(wrap(text, LINE_WIDTH));
        Ok(())
    }

    /// Sends one share to `update` or `verify`.
    fn send_share(
        &self,
        cli: &mut Cli<'_, '_>,
        to: &str,
        current_nonce: &str,
    ) -> Result<Value, Stop> {
        let argument = self.rekey.arguments.first().map(String::as_str);
        let nonce = nonce_for(self.rekey.nonce.as_deref(), current_nonce, argument)?;
        if argument.is_none() {
            cli.ui.line(format!("Rekey operation nonce: {nonce}"));
        }
        let key = key_share(cli, &self.rekey.http, argument)?;
        let body = json!({"key": key.as_str(), "nonce": nonce});
        self.client
            .json(&Call::put(self.path(to), &body))
            .map_err(|error| error.stop("Error posting unseal key"))
    }

    fn print_attempt(&self, cli: &mut Cli<'_, '_>, attempt: &Attempt) -> Outcome {
        if self.format != Format::Table {
            return print_structured(cli.ui, self.format, attempt);
        }
        let mut rows = vec![
            row("Nonce", &attempt.nonce),
            row("Started", &attempt.started),
        ];
        if attempt.started {
            rows.push(row(
                "Progress",
                &format!("{}/{}", attempt.progress, attempt.required),
            ));
            rows.push(row("New Shares", &attempt.n));
            rows.push(row("New Threshold", &attempt.t));
            rows.push(row("Verification Required", &attempt.verification_required));
            if !attempt.verification_nonce.is_empty() {
                rows.push(row("Verification Nonce", &attempt.verification_nonce));
            }
        }
        cli.ui.line(key_value_table(rows));
        Ok(())
    }

    fn print_keys(&self, cli: &mut Cli<'_, '_>, attempt: &Attempt, update: &Update) -> Outcome {
        cli.ui.line("");
        for (index, key) in update.keys_base64.iter().enumerate() {
            cli.ui.line(format!("Key {}: {key}", index + 1));
        }
        cli.ui.line(format!("\nOperation nonce: {}", update.nonce));
        let (n, t, product) = (attempt.n, attempt.t, cli.brand.product);
        let text = if update.verification_required {
            format!(
                "{product} has created a new unseal key, split into {n} key shares and a key \
                 threshold of {t}. These will not be active until after verification is \
                 complete. Please securely distribute the key shares printed above. When \
                 {product} is re-sealed, restarted, or stopped, you must supply at least {t} of \
                 these keys to unseal it before it can start servicing requests."
            )
        } else {
            format!(
                "{product} unseal keys rekeyed to {n} key shares and a key threshold of {t}. \
                 Please securely distribute the key shares printed above. When {product} is \
                 re-sealed, restarted, or stopped, you must supply at least {t} of these keys to \
                 unseal it before it can start servicing requests."
            )
        };
        cli.ui.line(format!("\n{}", wrap(&text, LINE_WIDTH)));
        if !update.verification_required {
            return Ok(());
        }
        let text = "Again, these key shares are _not_ valid until verification is performed. Do \
                    not lose or discard your current key shares until then. If you cancel the \
                    rekey process or seal the server before, the new shares are discarded and the \
                    current ones remain valid. The current verification status, including initial \
                    nonce, is shown below.";
        cli.ui.warn(wrap(text, LINE_WIDTH));
        cli.ui.line("");
        self.print_verification(cli)
    }

    fn fetch<T: for<'de> Deserialize<'de>>(&self, what: &str, failure: &str) -> Result<T, Stop> {
        let value = self
            .client
            .json(&Call::get(self.path(what)))
            .map_err(|error| error.stop(failure))?;
        parse(value)
    }

    fn path(&self, end: &str) -> String {
        format!("{}/{end}", self.base)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Stop> {
    serde_json::from_value(value)
        .map_err(|error| Stop::failed(format!("Error getting rekey status: {error}")))
}

fn not_started(cli: &Cli<'_, '_>, command: &str) -> String {
    let text = format!(
        "No rekey is in progress. Start a rekey process by running \"{} {command}\".",
        cli.brand.command
    );
    wrap(&text, LINE_WIDTH)
}

fn row(key: &str, value: &impl ToString) -> (String, String) {
    (key.to_owned(), value.to_string())
}
