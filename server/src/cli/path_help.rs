//! `path-help`: the server's own documentation of a path.

use clap::Args;
use serde_json::Value;

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, one_argument, sanitize_path};
use crate::cli::output::print_structured;
use crate::cli::ui::Outcome;

/// Prints the server's help on a path
///
///     $ signet path-help pki/roles/web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct PathHelp {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

impl PathHelp {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let path = sanitize_path(one_argument(&self.arguments)?);
        let help = cli
            .client(&self.http)?
            .json(&Call::get(path).query("help", "1"))
            .map_err(|error| error.stop("Error retrieving help"))?;
        if format == Format::Table {
            let text = help.get("help").and_then(Value::as_str).unwrap_or_default();
            cli.ui.line(text.trim());
            return Ok(());
        }
        print_structured(cli.ui, format, &help)
    }
}
