//! The `signet` program: the certificate authority and the client that speaks to it.

mod cli;
mod config;
mod grpc;
mod http;
mod kubernetes;
mod outbound;
mod probe;
mod server;
mod tls_client;
mod version;

use std::process::ExitCode;

use crate::config::env::Environment;

fn main() -> ExitCode {
    let arguments = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    cli::run(arguments, &Environment::of_process())
}
