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
mod client;
mod completion;
mod data;
mod duration;
mod flags;
mod help;
mod kv;
mod lease;
mod login;
mod mount;
mod operator;
mod output;
mod path_help;
mod policy;
mod policy_format;
mod print;
mod secret;
mod secrets;
mod server;
mod status;
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
use crate::cli::flags::{Format, FormatFlag, HttpFlags};
use crate::cli::ui::{Outcome, Stop, Ui};
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
    Demo(server::Demo),
    #[command(subcommand)]
    Kv(kv::Kv),
    #[command(subcommand)]
    Lease(lease::Lease),
    List(data::List),
    Login(login::Login),
    #[command(subcommand)]
    Operator(operator::Operator),
    Patch(data::Patch),
    PathHelp(path_help::PathHelp),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Print(print::Print),
    Read(data::Read),
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    Server(Box<crate::config::args::ServerArgs>),
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
        Command::Operator(operator) => operator.run(cli),
        Command::Patch(patch) => patch.run(cli),
        Command::PathHelp(path_help) => path_help.run(cli),
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
mod tests {
    use super::*;
    use crate::cli::test_ui::TestUi;

    fn run_line(line: &[&str]) -> (u8, String, String) {
        let mut streams = TestUi::with_input("");
        let line = line.iter().map(|&word| word.to_owned()).collect();
        let code = run_with(line, &Environment::default(), &mut streams.ui());
        (code, streams.out(), streams.err())
    }

    #[test]
    fn the_declared_commands_are_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn prints_the_version_under_every_spelling() {
        for line in [
            ["vault", "-version"],
            ["vault", "version"],
            ["vault", "-v"],
            ["vault", "--version"],
        ] {
            let (code, out, _) = run_line(&line);
            assert_eq!(
                (code, out.split(' ').nth(1)),
                (0, Some("v1.19.5")),
                "{line:?}"
            );
        }
    }

    #[test]
    fn help_names_the_tool_that_was_called() {
        let (code, out, _) = run_line(&["vault", "secrets", "enable", "-h"]);
        assert_eq!(code, 0);
        assert!(
            out.starts_with("Usage: vault secrets enable [options] TYPE\n"),
            "{out}"
        );
        assert!(
            out.contains("\nHTTP Options:\n\n  -address=<string>\n"),
            "{out}"
        );
        assert!(out.contains("\n  -max-lease-ttl=<duration>\n"), "{out}");
    }

    #[test]
    fn every_command_has_help() {
        fn visit(command: &clap::Command, path: &mut Vec<String>) {
            assert!(
                command.get_about().is_some() || path.is_empty(),
                "{path:?} has no about"
            );
            for flag in command
                .get_arguments()
                .filter(|argument| argument.get_long().is_some())
            {
                assert!(
                    flag.get_help().is_some(),
                    "{path:?} {} has no help",
                    flag.get_id()
                );
            }
            for subcommand in command.get_subcommands() {
                path.push(subcommand.get_name().to_owned());
                visit(subcommand, path);
                path.pop();
            }
        }
        visit(&Line::command(), &mut Vec::new());
    }

    #[test]
    fn an_unknown_command_shows_usage_and_exits_127() {
        let (code, out, err) = run_line(&["signet", "nope"]);
        assert_eq!((code, out.as_str()), (127, ""));
        assert!(err.starts_with("Usage: signet <command> [args]\n"), "{err}");
        assert_eq!(run_line(&["signet", "secrets", "nope"]).0, 1);
    }

    #[test]
    fn names_a_bad_value_as_go_does() {
        let (code, _, err) = run_line(&["vault", "secrets", "enable", "-max-lease-ttl=abc", "pki"]);
        assert_eq!(code, 1);
        assert_eq!(
            err,
            "invalid value \"abc\" for flag -max-lease-ttl: time: invalid duration \"abc\"\n"
        );
        let (_, _, err) = run_line(&["vault", "read", "-header=b", "x"]);
        assert_eq!(
            err,
            "invalid value \"b\" for flag -header: missing = in KV pair: \"b\"\n"
        );
    }

    #[test]
    fn a_stray_blank_in_a_pair_fails_before_anything_is_sent() {
        let line = [
            "vault",
            "write",
            "pki/root/generate/internal",
            "common_name=",
            "RH Custom Root CA",
        ];
        let (code, out, err) = run_line(&line);
        assert_eq!((code, out.as_str()), (1, ""));
        assert_eq!(
            err,
            "Failed to parse K=V data: invalid key/value pair \"RH Custom Root CA\": format must be key=value\n"
        );
    }

    #[test]
    fn counts_arguments_in_vaults_words() {
        for (line, text) in [
            (
                vec!["vault", "secrets", "enable"],
                "Not enough arguments (expected 1, got 0)\n",
            ),
            (
                vec!["vault", "secrets", "enable", "a", "b"],
                "Too many arguments (expected 1, got 2)\n",
            ),
            (
                vec!["vault", "token", "capabilities"],
                "Not enough arguments (expected 1-2, got 0)\n",
            ),
            (
                vec!["vault", "write", "p"],
                "Must supply data or use -force\n",
            ),
            (
                vec!["vault", "read", "-format=bogus", "x"],
                "Invalid output format: bogus\n",
            ),
        ] {
            let (code, _, err) = run_line(&line);
            assert_eq!((code, err.as_str()), (1, text), "{line:?}");
        }
    }

    #[test]
    fn enable_sends_what_vault_sends() {
        let line = [
            "vault",
            "secrets",
            "enable",
            "-output-curl-string",
            "-max-lease-ttl=87600h",
            "pki",
        ];
        let (code, out, err) = run_line(&line);
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(
            out,
            "curl -X POST -H \"X-Vault-Request: true\" -d '{\"type\":\"pki\",\"description\":\"\",\
             \"config\":{\"options\":null,\"default_lease_ttl\":\"0s\",\"max_lease_ttl\":\"87600h0m0s\",\
             \"force_no_cache\":false},\"local\":false,\"seal_wrap\":false,\
             \"external_entropy_access\":false,\"options\":null}' \
             \"https://127.0.0.1:8200/v1/sys/mounts/pki\"\n"
        );
    }

    #[test]
    fn prints_completions_for_the_name_it_was_called_by() {
        let (code, out, _) = run_line(&["vault", "completion", "bash"]);
        assert_eq!(code, 0);
        assert!(out.contains("complete -F _vault"), "{out}");
    }
}
