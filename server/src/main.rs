//! The `signet` program.

mod config;
mod http;
mod server;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::config::args::ServerArgs;

#[derive(Debug, Parser)]
#[command(name = "signet")]
enum Line {
    Server(Box<ServerArgs>),
}

fn main() -> ExitCode {
    let Line::Server(args) = Line::parse_from(std::env::args().map(two_dashes));
    #[expect(clippy::disallowed_methods, reason = "the environment enters here")]
    let lookup = |name: &str| std::env::var(name).ok();
    match server::run_blocking(*args, &lookup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", server::error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Go's flags have one dash.
fn two_dashes(argument: String) -> String {
    let is_go_flag = argument
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    if is_go_flag {
        format!("-{argument}")
    } else {
        argument
    }
}
