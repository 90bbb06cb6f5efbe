//! `auth`: the methods by which clients get tokens.

use clap::{Args, Subcommand};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::duration::GoDuration;
use crate::cli::flags::{FormatFlag, HttpFlags, expect_arguments, mount_path, one_argument};
use crate::cli::login;
use crate::cli::mount::{
    AuthSettings, EnableFlags, MountKind, MoveFlags, TuneFlags, UserLockout, fetch, print_list,
};
use crate::cli::ui::{Outcome, Stop};

/// Interact with auth methods
///
/// This is about the methods themselves; to get a token, use "signet login".
///
///     $ signet auth enable approle
///     $ signet auth list
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Auth {
    Disable(Disable),
    Enable(Enable),
    Help(Help),
    List(List),
    Move(Move),
    Tune(Tune),
}

/// Disable an auth method
///
/// All tokens that came from the method are revoked.
///
///     $ signet auth disable approle
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Disable {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

/// Enable an auth method
///
///     $ signet auth enable -path=ci approle
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Enable {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    mount: EnableFlags,
    /// Type of the tokens that the method makes: "default-service", "default-batch", "service" or
    /// "batch".
    #[arg(long)]
    token_type: Option<String>,
    #[arg(value_name = "TYPE", num_args = 0..)]
    arguments: Vec<String>,
}

/// Print how to log in by an auth method
///
///     $ signet auth help userpass
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Help {
    #[command(flatten)]
    http: HttpFlags,
    #[arg(value_names = ["TYPE | PATH"], num_args = 0..)]
    arguments: Vec<String>,
}

/// List enabled auth methods
///
///     $ signet auth list -detailed
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

/// Move an auth method to a new path
///
/// Tokens that came from the method are revoked.
///
///     $ signet auth move approle ci
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Move {
    #[command(flatten)]
    flags: MoveFlags,
}

/// Tune the settings of an auth method
///
///     $ signet auth tune -max-lease-ttl=12h approle
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Tune {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    mount: TuneFlags,
    /// Type of the tokens that the method makes: "default-service", "default-batch", "service" or
    /// "batch".
    #[arg(long)]
    token_type: Option<String>,
    /// Time after which failed attempts are forgotten.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    user_lockout_counter_reset_duration: Option<GoDuration>,
    /// Never lock users out.
    #[arg(long)]
    user_lockout_disable: bool,
    /// How long a user stays locked out.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    user_lockout_duration: Option<GoDuration>,
    /// Failed attempts after which a user is locked out.
    #[arg(long, value_name = "uint")]
    user_lockout_threshold: Option<u32>,
    #[arg(value_name = "PATH", num_args = 0..)]
    arguments: Vec<String>,
}

impl Auth {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Disable(disable) => disable.run(cli),
            Self::Enable(enable) => enable.run(cli),
            Self::Help(help) => help.run(cli),
            Self::List(list) => list.run(cli),
            Self::Move(moving) => moving.flags.run(cli, MountKind::Auth),
            Self::Tune(tune) => tune.run(cli),
        }
    }
}

impl Disable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = mount_path(one_argument(&self.arguments)?);
        cli.client(&self.http)?
            .send(&Call::delete(format!("sys/auth/{path}")))
            .map_err(|error| error.stop(format!("Error disabling auth method at {path}")))?;
        cli.ui.line(format!(
            "Success! Disabled the auth method (if it existed) at: {path}"
        ));
        Ok(())
    }
}

impl Enable {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let kind = one_argument(&self.arguments)?.trim();
        let name = self.mount.mount_name(kind);
        let settings = AuthSettings {
            token_type: self.token_type.clone(),
            user_lockout: None,
        };
        let call = self.mount.call(format!("sys/auth/{name}"), kind, &settings);
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop(format!("Error enabling {kind} auth")))?;
        cli.ui
            .line(format!("Success! Enabled {kind} auth method at: {name}/"));
        Ok(())
    }
}

impl Help {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let name = one_argument(&self.arguments)?;
        let method = match login::help_of(name) {
            Some(_) => name.to_owned(),
            None => self.type_at(cli, name)?,
        };
        let text = login::help_of(&method).ok_or_else(|| {
            Stop::usage(format!(
                "No method-specific CLI handler available for auth method \"{method}\""
            ))
        })?;
        cli.ui.line(cli.brand.apply(text));
        Ok(())
    }

    /// The type of the method at this path.
    fn type_at(&self, cli: &Cli<'_, '_>, path: &str) -> Result<String, Stop> {
        let secret = cli
            .client(&self.http)?
            .secret(&Call::get("sys/auth"))
            .map_err(|error| error.stop("Error listing auth methods"))?
            .unwrap_or_default();
        let kind = secret
            .field(&mount_path(path))
            .and_then(|mount| mount.get("type")?.as_str().map(str::to_owned));
        kind.ok_or_else(|| {
            Stop::usage(format!(
                "Auth method not enabled on the server at path \"{path}\""
            ))
        })
    }
}

impl List {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let client = cli.client(&self.http)?;
        let mounts = fetch(&client, "sys/auth", "Error listing enabled authentications")?;
        print_list(cli, MountKind::Auth, format, self.detailed, &mounts)
    }
}

impl Tune {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let path = mount_path(one_argument(&self.arguments)?);
        let settings = AuthSettings {
            token_type: self.token_type.clone(),
            user_lockout: self.user_lockout(),
        };
        let call = self
            .mount
            .call(format!("sys/mounts/auth/{path}tune"), &settings);
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop(format!("Error tuning auth method {path}")))?;
        cli.ui
            .line(format!("Success! Tuned the auth method at: {path}"));
        Ok(())
    }

    fn user_lockout(&self) -> Option<UserLockout> {
        let text = |duration: Option<GoDuration>| duration.map(|duration| duration.to_string());
        let lockout = UserLockout {
            threshold: self
                .user_lockout_threshold
                .map(|threshold| threshold.to_string()),
            duration: text(self.user_lockout_duration),
            counter_reset_duration: text(self.user_lockout_counter_reset_duration),
            disable: self.user_lockout_disable.then_some(true),
        };
        let given = lockout.threshold.is_some()
            || lockout.duration.is_some()
            || lockout.counter_reset_duration.is_some()
            || lockout.disable.is_some();
        given.then_some(lockout)
    }
}
