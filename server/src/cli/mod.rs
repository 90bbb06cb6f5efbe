//! The command line: the same commands as Vault's tool, spoken to any server of that API.
//!
//! [`Command`] is the list of commands; each family has a file of its own. A line passes
//! `argv` (Go's flags), clap (types), the command's `run`, and comes back as an exit code:
//! 0 done, 1 used wrongly, 2 refused by the server.

mod args;
mod argv;
mod audit;
mod auth;
mod brand;
mod call;
mod client;
mod client_error;
mod completion;
mod data;
mod demo;
mod duration;
mod flags;
mod help;
mod kv;
mod lease;
mod login;
mod mesh;
mod mount;
mod operator;
mod output;
mod path_help;
mod pki;
mod policy;
mod policy_format;
mod print;
mod secret;
mod secrets;
mod server;
mod status;
mod table;
#[cfg(test)]
mod test_ui;
mod token;
mod token_helper;
mod transport;
mod ui;
mod unwrap;

use std::error::Error;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::argv::Request;
use crate::cli::brand::Brand;
use crate::cli::client::Client;
use crate::cli::flags::{FieldFlag, Format, FormatFlag, HttpFlags};
use crate::cli::output::print_secret;
use crate::cli::secret::Secret;
use crate::cli::ui::{Outcome, Stop, Ui};
use crate::config::args::ServerArgs;
use crate::config::env::Environment;

/// Runs the command of this line; the first argument is the name of the program.
pub(crate) fn run(arguments: Vec<String>, environment: &Environment) -> ExitCode {
    let mut ui = Ui::of_process();
    ExitCode::from(run_with(arguments, environment, &mut ui))
}

#[derive(Debug, Parser)]
#[command(
    name = "signet",
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// Every command. `server` and `demo` start a server, all others talk to one.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Auth(auth::Auth),
    Completion(completion::Completion),
    Delete(data::Delete),
    Demo(demo::Demo),
    #[command(subcommand)]
    Kv(kv::Kv),
    #[command(subcommand)]
    Lease(lease::Lease),
    List(data::List),
    Login(login::Login),
    #[command(subcommand)]
    Mesh(mesh::Mesh),
    #[command(subcommand)]
    Operator(operator::Operator),
    Patch(data::Patch),
    PathHelp(path_help::PathHelp),
    #[command(subcommand)]
    Pki(pki::Pki),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Print(print::Print),
    Read(data::Read),
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    Server(Box<ServerArgs>),
    Status(status::Status),
    #[command(subcommand)]
    Token(token::Token),
    Unwrap(unwrap::Unwrap),
    Version(Version),
    Write(data::Write),
}

/// Prints the version of this program
#[derive(Debug, clap::Args)]
struct Version {
    #[arg(value_name = "", hide = true)]
    ignored: Vec<String>,
}

/// What every command works with.
struct Cli<'a, 'b> {
    brand: Brand,
    environment: &'a Environment,
    ui: &'a mut Ui<'b>,
}

impl Cli<'_, '_> {
    fn client(&self, flags: &HttpFlags) -> Result<Client, Stop> {
        Client::new(flags, self.environment, self.brand)
    }

    /// The format asked for by flag or environment; `raw` only where the command has it.
    fn format(&self, flag: &FormatFlag) -> Result<Format, Stop> {
        match flag
            .format
            .as_deref()
            .or_else(|| self.environment.setting("FORMAT"))
        {
            Some(text) => text.parse(),
            None => Ok(Format::Table),
        }
    }

    fn print(&mut self, format: Format, field: &FieldFlag, secret: &Secret) -> Outcome {
        print_secret(self.ui, &self.brand, format, field.field.as_deref(), secret)
    }

    /// Prints the answer, or `success` where the server had nothing to say.
    fn print_or(
        &mut self,
        format: Format,
        field: &FieldFlag,
        secret: Option<&Secret>,
        success: &str,
    ) -> Outcome {
        if let Some(secret) = secret {
            return self.print(format, field, secret);
        }
        if format == Format::Table {
            self.ui.line(success);
        }
        Ok(())
    }
}

fn run_with(arguments: Vec<String>, environment: &Environment, ui: &mut Ui<'_>) -> u8 {
    let mut arguments = arguments.into_iter();
    let brand = Brand::of(&arguments.next().unwrap_or_default());
    let arguments: Vec<String> = arguments.collect();
    let root = Line::command();
    let request = match argv::understand(&root, &arguments) {
        Ok(request) => request,
        Err(stop) => return end(ui, Err(stop)),
    };
    match request {
        Request::Autocomplete => {
            ui.line(completion::INSTALL_NOTE.replace("signet", brand.command));
            0
        }
        Request::Help(path) => {
            ui.line(help::render(&root, &path, &brand));
            0
        }
        Request::Run { line, misplaced } => {
            if !misplaced.is_empty() {
                ui.warn(format!(
                    "Command flags must be provided before positional arguments. The following \
                     arguments will not be parsed as flags: [{}]",
                    misplaced.join(",")
                ));
            }
            let mut cli = Cli {
                brand,
                environment,
                ui,
            };
            let outcome = parse(line).and_then(|command| dispatch(command, &mut cli));
            end(ui, outcome)
        }
        Request::Unclear { path, reason } => {
            if let Some(reason) = reason {
                ui.warn(reason);
            }
            ui.warn(help::render(&root, &path, &brand));
            if path.is_empty() { UNKNOWN_COMMAND } else { 1 }
        }
        Request::Version => {
            ui.line(brand.version_line());
            0
        }
    }
}

fn parse(line: Vec<String>) -> Result<Command, Stop> {
    let words = std::iter::once("signet".to_owned()).chain(line);
    Line::try_parse_from(words)
        .map(|line| line.command)
        .map_err(|error| Stop::Usage(go_words(&error)))
}

fn dispatch(command: Command, cli: &mut Cli<'_, '_>) -> Outcome {
    match command {
        Command::Audit(audit) => audit.run(cli),
        Command::Auth(auth) => auth.run(cli),
        Command::Completion(completion) => completion.run(cli, Line::command()),
        Command::Delete(delete) => delete.run(cli),
        Command::Demo(demo) => demo.run(cli),
        Command::Kv(kv) => kv.run(cli),
        Command::Lease(lease) => lease.run(cli),
        Command::List(list) => list.run(cli),
        Command::Login(login) => login.run(cli),
        Command::Mesh(mesh) => mesh.run(cli),
        Command::Operator(operator) => operator.run(cli),
        Command::Patch(patch) => patch.run(cli),
        Command::PathHelp(path_help) => path_help.run(cli),
        Command::Pki(pki) => pki.run(cli),
        Command::Policy(policy) => policy.run(cli),
        Command::Print(print) => print.run(cli),
        Command::Read(read) => read.run(cli),
        Command::Secrets(secrets) => secrets.run(cli),
        Command::Server(server) => server.run(cli),
        Command::Status(status) => status.run(cli),
        Command::Token(token) => token.run(cli),
        Command::Unwrap(unwrap) => unwrap.run(cli),
        Command::Version(_) => {
            cli.ui.line(cli.brand.version_line());
            Ok(())
        }
        Command::Write(write) => write.run(cli),
    }
}

fn end(ui: &mut Ui<'_>, outcome: Outcome) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(Stop::Failed(text)) => {
            ui.warn(text);
            2
        }
        Err(Stop::Printed(text)) => {
            ui.line(text);
            0
        }
        Err(Stop::Quiet(code)) => code,
        Err(Stop::Usage(text)) => {
            ui.warn(text);
            1
        }
    }
}

/// A mistake that clap found, in the words of Go's `flag` package.
fn go_words(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let flag = argument
        .split([' ', '=', '['])
        .next()
        .unwrap_or_default()
        .trim_start_matches('-');
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            let reason = error
                .source()
                .map_or_else(|| "parse error".to_owned(), ToString::to_string);
            format!("invalid value \"{value}\" for flag -{flag}: {reason}")
        }
        _ => error.render().to_string().trim_end().to_owned(),
    }
}

/// Exit code when there is no such command.
const UNKNOWN_COMMAND: u8 = 127;

#[cfg(test)]
mod tests;
