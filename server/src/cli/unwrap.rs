//! `unwrap`: fetches an answer that was wrapped in a token.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::ui::Outcome;

/// Unwraps an answer
///
/// The token that wraps it can be used once. Without TOKEN it is the token in use.
///
///     $ signet unwrap hvs.CAESI...
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Unwrap {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    #[arg(value_name = "[TOKEN]", num_args = 0..)]
    arguments: Vec<String>,
}

impl Unwrap {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 1)?;
        let client = cli.client(&self.http)?;
        let token = self.arguments.first().map(|token| token.trim());
        // Who has no token of his own unwraps by the wrapping token itself.
        let (client, body) = match token.filter(|token| !token.is_empty()) {
            Some(token) if client.token().is_none_or(|own| own == token) => {
                (client.with_token(Some(token)), Value::Null)
            }
            Some(token) => (client, json!({"token": token})),
            None => (client, Value::Null),
        };
        let secret = client
            .secret(&Call::put("sys/wrapping/unwrap", &body))
            .map_err(|error| error.stop("Error unwrapping"))?;
        let success = "Successfully unwrapped. There was no data in the wrapped secret.";
        cli.print_or(format, &self.field, secret.as_ref(), success)
    }
}
