//! `operator key-status` and `operator rotate`: the key that encrypts what is stored.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::output::print_structured;
use crate::cli::table::plain_table;
use crate::cli::ui::{Outcome, Stop};

/// Print the term and age of the encryption key
///
///     $ signet operator key-status
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct KeyStatus {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// Rotate the encryption key
///
/// New data are encrypted by a new key; old keys stay in the ring for old data.
///
///     $ signet operator rotate
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rotate {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// The order is the one of JSON output.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Keyring {
    term: i64,
    install_time: String,
    encryptions: i64,
}

impl KeyStatus {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let keyring = fetch(&cli.client(&self.http)?)?;
        if format == Format::Table {
            cli.ui.line(keyring.table());
            return Ok(());
        }
        print_structured(cli.ui, format, &keyring)
    }
}

impl Rotate {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http)?;
        client
            .send(&Call::put("sys/rotate", &Value::Null))
            .map_err(|error| error.stop("Error rotating key"))?;
        let keyring = fetch(&client)?;
        if format == Format::Table {
            cli.ui.line("Success! Rotated key\n");
            cli.ui.line(keyring.table());
            return Ok(());
        }
        print_structured(cli.ui, format, &keyring)
    }
}

fn fetch(client: &Client) -> Result<Keyring, Stop> {
    let what = "Error reading key status";
    let secret = client
        .secret(&Call::get("sys/key-status"))
        .map_err(|error| error.stop(what))?
        .unwrap_or_default();
    serde_json::from_value(Value::Object(secret.data.unwrap_or_default()))
        .map_err(|error| Stop::failed(format!("{what}: {error}")))
}

impl Keyring {
    fn table(&self) -> String {
        let rows = [
            ("Key Term", self.term.to_string()),
            ("Install Time", short_time(&self.install_time)),
            ("Encryption Count", self.encryptions.to_string()),
        ];
        plain_table(&rows.map(|(key, value)| vec![key.to_owned(), value]))
    }
}

/// `25 Nov 26 00:13 UTC`.
fn short_time(text: &str) -> String {
    let format =
        format_description!("[day] [month repr:short] [year repr:last_two] [hour]:[minute] UTC");
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| time.to_offset(time::UtcOffset::UTC).format(&format).ok())
        .unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_the_time_of_installation() {
        assert_eq!(
            short_time("2026-11-25T00:13:52.374733698Z"),
            "25 Nov 26 00:13 UTC"
        );
        assert_eq!(
            short_time("2026-11-05T23:13:52-02:00"),
            "06 Nov 26 01:13 UTC"
        );
        assert_eq!(short_time("soon"), "soon");
    }
}
