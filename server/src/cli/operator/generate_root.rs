//! `operator generate-root`: a new root token, made by a quorum of key holders.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::operator::{key_share, nonce_for};
use crate::cli::output::print_structured;
use crate::cli::table::plain_table;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Generate a new root token
///
/// Start it, have key holders give their shares, and decode the result:
///
///     $ signet operator generate-root -init
///     $ signet operator generate-root
///     $ signet operator generate-root -decode=... -otp=...
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct GenerateRoot {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Stop the attempt and forget the shares given so far.
    #[arg(long)]
    cancel: bool,
    /// Encoded token to decode with -otp; "-" reads it from the standard input.
    #[arg(long, default_value = "", hide_default_value = true)]
    decode: String,
    /// Print a one-time password for -init.
    #[arg(long)]
    generate_otp: bool,
    /// Start an attempt.
    #[arg(long)]
    init: bool,
    /// Nonce of the attempt, which is printed at its start.
    #[arg(long)]
    nonce: Option<String>,
    /// One-time password for -init or -decode.
    #[arg(long, default_value = "", hide_default_value = true)]
    otp: String,
    /// Print how far the attempt is.
    #[arg(long)]
    status: bool,
    #[arg(value_name = "[KEY]", num_args = 0..)]
    arguments: Vec<String>,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Attempt {
    nonce: String,
    started: bool,
    progress: i64,
    required: i64,
    complete: bool,
    encoded_token: String,
    encoded_root_token: String,
    pgp_fingerprint: String,
    otp: String,
    otp_length: usize,
}

impl GenerateRoot {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 1)?;
        if !self.decode.is_empty() {
            return self.print_decoded(cli, format);
        }
        let client = cli.client(&self.http)?;
        if self.generate_otp {
            let otp = one_time_password(fetch(&client)?.otp_length)?;
            if format == Format::Table {
                cli.ui.line(otp.as_str());
                return Ok(());
            }
            print_structured(cli.ui, format, &json!({"otp": otp.as_str()}))
        } else if self.init {
            self.start(cli, &client, format)
        } else if self.cancel {
            client
                .send(&Call::delete(ATTEMPT))
                .map_err(|error| error.stop("Error canceling root token generation"))?;
            cli.ui
                .line("Success! Root token generation canceled (if it was started)");
            Ok(())
        } else if self.status {
            print_attempt(cli, format, &fetch(&client)?)
        } else {
            self.provide(cli, &client, format)
        }
    }

    fn print_decoded(&self, cli: &mut Cli<'_, '_>, format: Format) -> Outcome {
        let encoded = if self.decode == "-" {
            let bytes = cli
                .ui
                .read_input()
                .map_err(|error| Stop::usage(format!("Failed to read from stdin: {error}")))?;
            String::from_utf8_lossy(&bytes).trim().to_owned()
        } else {
            self.decode.clone()
        };
        if self.otp.is_empty() {
            return Err(Stop::usage("Missing otp: use -otp to supply it"));
        }
        let token = decode(&encoded, &self.otp)
            .map_err(|reason| Stop::usage(format!("Error decoding root token: {reason}")))?;
        if format == Format::Table {
            cli.ui.line(token.as_str());
            return Ok(());
        }
        print_structured(cli.ui, format, &json!({"token": token.as_str()}))
    }

    fn start(&self, cli: &mut Cli<'_, '_>, client: &Client, format: Format) -> Outcome {
        let body = json!({"otp": self.otp, "pgp_key": ""});
        let value = client
            .json(&Call::put(ATTEMPT, &body))
            .map_err(|error| error.stop("Error initializing root generation"))?;
        let attempt = parse(value)?;
        if format == Format::Table && self.otp.is_empty() {
            let text = "A One-Time-Password has been generated for you and is shown in the OTP \
                        field. You will need this value to decode the resulting root token, so \
                        keep it safe.";
            cli.ui.warn(wrap(text, LINE_WIDTH));
        }
        print_attempt(cli, format, &attempt)
    }

    fn provide(&self, cli: &mut Cli<'_, '_>, client: &Client, format: Format) -> Outcome {
        let attempt = fetch(client)?;
        if !attempt.started {
            let hint = format!(
                "No root generation is in progress. Start a root generation by running \"{} \
                 operator generate-root -init\".",
                cli.brand.command
            );
            let length = format!(
                "If starting root generation using the OTP method and generating your own OTP, \
                 the length of the OTP string needs to be {} characters in length.",
                attempt.otp_length
            );
            return Err(Stop::Usage(format!(
                "{}\n{}",
                wrap(&hint, LINE_WIDTH),
                wrap(&length, LINE_WIDTH)
            )));
        }
        let argument = self.arguments.first().map(String::as_str);
        let nonce = nonce_for(self.nonce.as_deref(), &attempt.nonce, argument)?;
        if argument.is_none() {
            cli.ui.line(format!("Operation nonce: {nonce}"));
        }
        let key = key_share(cli, &self.http, argument)?;
        let body = json!({"key": key.as_str(), "nonce": nonce});
        let value = client
            .json(&Call::put("sys/generate-root/update", &body))
            .map_err(|error| error.stop("Error posting unseal key"))?;
        print_attempt(cli, format, &parse(value)?)
    }
}

fn fetch(client: &Client) -> Result<Attempt, Stop> {
    let value = client
        .json(&Call::get(ATTEMPT))
        .map_err(|error| error.stop("Error getting root generation status"))?;
    parse(value)
}

fn parse(value: Value) -> Result<Attempt, Stop> {
    serde_json::from_value(value)
        .map_err(|error| Stop::failed(format!("Error getting root generation status: {error}")))
}

fn print_attempt(cli: &mut Cli<'_, '_>, format: Format, attempt: &Attempt) -> Outcome {
    if format != Format::Table {
        return print_structured(cli.ui, format, attempt);
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut push = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
    push("Nonce", attempt.nonce.clone());
    push("Started", attempt.started.to_string());
    push(
        "Progress",
        format!("{}/{}", attempt.progress, attempt.required),
    );
    push("Complete", attempt.complete.to_string());
    if !attempt.pgp_fingerprint.is_empty() {
        push("PGP Fingerprint", attempt.pgp_fingerprint.clone());
    }
    let encoded = [&attempt.encoded_token, &attempt.encoded_root_token];
    if let Some(token) = encoded.into_iter().find(|token| !token.is_empty()) {
        push("Encoded Token", token.clone());
    }
    if !attempt.otp.is_empty() {
        push("OTP", attempt.otp.clone());
    }
    if attempt.otp_length > 0 {
        push("OTP Length", attempt.otp_length.to_string());
    }
    cli.ui.line(plain_table(&rows));
    Ok(())
}

/// The token: the encoded bytes, each combined with the byte of the password by exclusive or.
fn decode(encoded: &str, otp: &str) -> Result<Zeroizing<String>, String> {
    let bytes = STANDARD_NO_PAD
        .decode(encoded)
        .or_else(|_| STANDARD.decode(encoded))
        .map(Zeroizing::new)
        .map_err(|error| format!("error decoding base64'd token: {error}"))?;
    if bytes.len() != otp.len() {
        return Err(format!(
            "error xoring token: length of byte slices is not equivalent: {} != {}",
            bytes.len(),
            otp.len()
        ));
    }
    let token = bytes
        .iter()
        .zip(otp.bytes())
        .map(|(byte, key)| byte ^ key)
        .collect();
    String::from_utf8(token)
        .map(Zeroizing::new)
        .map_err(|_| "the decoded token is not a text: wrong one-time password".to_owned())
}

/// Letters and digits, each as likely as any other.
fn one_time_password(length: usize) -> Result<Zeroizing<String>, Stop> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut password = Zeroizing::new(String::new());
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while password.len() < length {
        provider
            .secure_random
            .fill(bytes.as_mut_slice())
            .map_err(|_| Stop::usage("Error generating OTP: no randomness"))?;
        // Six bits choose among 64; the two choices without a character are drawn again.
        let characters = bytes
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3f)));
        for character in characters.take(length - password.len()) {
            password.push(char::from(*character));
        }
    }
    Ok(password)
}

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ATTEMPT: &str = "sys/generate-root/attempt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_the_reference_server_encoded() {
        let token = decode(
            "RHYuVV5wVjxSPGcucicJHSUDNh5xGTciPwE",
            "7Xhbf7by8FPAGEgzFIaREUaGjd",
        );
        assert_eq!(token.unwrap().as_str(), "s.F78G4Ejz7o5bngcJWL4LVeUe");
    }

    #[test]
    fn explains_why_nothing_can_be_decoded() {
        assert_eq!(
            decode("abc", "abcd").unwrap_err(),
            "error xoring token: length of byte slices is not equivalent: 2 != 4"
        );
        assert!(
            decode("!!", "abcd")
                .unwrap_err()
                .starts_with("error decoding base64'd token: ")
        );
    }

    #[test]
    fn one_time_passwords_have_the_length_asked_for_and_differ() {
        let first = one_time_password(28).ok().unwrap();
        let second = one_time_password(28).ok().unwrap();
        assert_eq!(first.len(), 28);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(first, second);
    }
}
