//! `secrets`: the engines that keep or make secrets, such as PKI.

use clap::{Args, Subcommand};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::flags::{FormatFlag, HttpFlags, expect_arguments, mount_path, one_argument};
use crate::cli::mount::{
    AuthSettings, EnableFlags, MountKind, MoveFlags, TuneFlags, fetch, print_list,
};
use crate::cli::ui::Outcome;

/// Interact with secrets engines
///
///     $ signet secrets enable pki
///     $ signet secrets tune -max-lease-ttl=87600h pki
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Secrets {
    Disable(Disable),
    Enable(Enable),
    List(List),
    Move(Move),
    Tune(Tune),
}

/// Disable a secrets engine
///
/// Everything that the engine stored is deleted, its leases are revoked.
///
///     $ signet secrets disable pki
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Disable {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

/// Enable a secrets engine
///
///     $ signet secrets enable -path=pki_int -max-lease-ttl=43800h pki
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Enable {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    mount: EnableFlags,
    #[arg(value_name = "TYPE", num_args = 0..)]
    arguments: Vec<String>,
}

/// List enabled secrets engines
///
///     $ signet secrets list -detailed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Show settings and versions too.
    #[arg(long)]
    detailed: bool,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// Move a secrets engine to a new path
///
/// Leases of the engine are revoked.
///
///     $ signet secrets move pki pki_old
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Move {
    #[command(flatten)]
    flags: MoveFlags,
}

/// Tune the settings of a secrets engine
///
///     $ signet secrets tune -max-lease-ttl=87600h pki
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Tune {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    mount: TuneFlags,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

impl Secrets {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Disable(disable) => disable.run(cli),
            Self::Enable(enable) => enable.run(cli),
            Self::List(list) => list.run(cli),
            Self::Move(moving) => moving.flags.run(cli, MountKind::Secrets),
            Self::Tune(tune) => tune.run(cli),
        }
    }
}

impl Disable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = mount_path(one_argument(&self.arguments)?);
        cli.client(&self.http)?
            .send(&Call::delete(format!("sys/mounts/{path}")))
            .map_err(|error| error.stop(format!("Error disabling secrets engine at {path}")))?;
        cli.ui.line(format!(
            "Success! Disabled the secrets engine (if it existed) at: {path}"
        ));
        Ok(())
    }
}

impl Enable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let kind = one_argument(&self.arguments)?.trim();
        let name = self.mount.mount_name(kind);
        let call = self
            .mount
            .call(format!("sys/mounts/{name}"), kind, &AuthSettings::default());
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop("Error enabling"))?;
        cli.ui.line(format!(
            "Success! Enabled the {kind} secrets engine at: {name}/"
        ));
        Ok(())
    }
}

impl List {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http)?;
        let mounts = fetch(&client, "sys/mounts", "Error listing secrets engines")?;
        print_list(cli, MountKind::Secrets, format, self.detailed, &mounts)
    }
}

impl Tune {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = mount_path(one_argument(&self.arguments)?);
        let call = self
            .mount
            .call(format!("sys/mounts/{path}tune"), &AuthSettings::default());
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop(format!("Error tuning secrets engine {path}")))?;
        cli.ui
            .line(format!("Success! Tuned the secrets engine at: {path}"));
        Ok(())
    }
}
