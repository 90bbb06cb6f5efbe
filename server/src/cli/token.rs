//! `token`: tokens by themselves.

use std::collections::BTreeMap;

use clap::{ArgAction, Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::cli::Cli;
use crate::cli::args::{pairs_to_map, parse_flag_pair};
use crate::cli::call::Call;
use crate::cli::duration::GoDuration;
use crate::cli::flags::{FieldFlag, Format, FormatFlag, HttpFlags, expect_arguments};
use crate::cli::output::print_structured;
use crate::cli::ui::{Outcome, Stop};

/// Interact with tokens
///
///     $ signet token create -policy=issuers -ttl=1h
///     $ signet token revoke hvs.CAESI...
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Token {
    Capabilities(Capabilities),
    Create(Box<Create>),
    Lookup(Lookup),
    Renew(Renew),
    Revoke(Revoke),
}

/// Print what a token may do at a path
///
/// Without TOKEN it is about the token in use.
///
///     $ signet token capabilities pki/issue/web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Capabilities {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// The first argument is an accessor.
    #[arg(long)]
    accessor: bool,
    #[arg(value_names = ["[TOKEN | ACCESSOR]", "PATH"], num_args = 0..)]
    arguments: Vec<String>,
}

/// Create a token
///
///     $ signet token create -policy=issuers -ttl=1h -metadata=user=alice
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Create {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    /// Name for logs.
    #[arg(long, default_value = "", hide_default_value = true)]
    display_name: String,
    /// Alias of the entity that the token is for; needs -role.
    #[arg(long, default_value = "", hide_default_value = true)]
    entity_alias: String,
    /// Lifetime that no renewal can exceed.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    explicit_max_ttl: Option<GoDuration>,
    /// The token itself; needs sudo. The default is a random one.
    #[arg(long)]
    id: Option<String>,
    /// Pair to keep with the token; can be given several times.
    #[arg(long, value_name = "key=value", value_parser = parse_flag_pair)]
    metadata: Vec<(String, String)>,
    /// Leave the policy "default" out.
    #[arg(long)]
    no_default_policy: bool,
    /// Make a token without a parent, which outlives the one in use; needs sudo.
    #[arg(long)]
    orphan: bool,
    /// Lifetime that every renewal starts anew; needs sudo.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    period: Option<GoDuration>,
    /// Policy of the token; can be given several times.
    #[arg(long)]
    policy: Vec<String>,
    /// Whether the token can be renewed. The default is true.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = true,
        default_missing_value = "true", hide_default_value = true)]
    renewable: bool,
    /// Role to create the token by, which may override other flags.
    #[arg(long)]
    role: Option<String>,
    /// Lifetime.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    ttl: Option<GoDuration>,
    /// "service" or "batch". The default is service.
    #[arg(long = "type", default_value = "service", hide_default_value = true)]
    kind: String,
    /// Number of requests after which the token is revoked. The default is no limit.
    #[arg(
        long,
        value_name = "int",
        default_value_t = 0,
        hide_default_value = true
    )]
    use_limit: i64,
    #[arg(hide = true, num_args = 0..)]
    arguments: Vec<String>,
}

/// Print what the server knows about a token
///
/// Without TOKEN it is about the token in use.
///
///     $ signet token lookup
///     $ signet token lookup -accessor 9793c9b3
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Lookup {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
    #[arg(value_name = "[TOKEN | ACCESSOR]", num_args = 0..)]
    arguments: Vec<String>,
}

/// Renew a token
///
/// Without TOKEN it is about the token in use.
///
///     $ signet token renew -increment=30m
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Renew {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
    /// Lifetime to ask for.
    #[arg(long, alias = "i", value_name = "duration", value_parser = GoDuration::parse)]
    increment: Option<GoDuration>,
    #[arg(value_name = "[TOKEN | ACCESSOR]", num_args = 0..)]
    arguments: Vec<String>,
}

/// Revoke a token and its children
///
///     $ signet token revoke hvs.CAESI...
///     $ signet token revoke -accessor 9793c9b3
///     $ signet token revoke -self
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Revoke {
    #[command(flatten)]
    http: HttpFlags,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
    /// "orphan" leaves the children alive; "path" revokes all tokens that the auth method at the
    /// path made. The default is the token and its children.
    #[arg(long, default_value = "", hide_default_value = true)]
    mode: String,
    /// Revoke the token in use.
    #[arg(long = "self")]
    own: bool,
    #[arg(value_name = "[TOKEN | ACCESSOR]", num_args = 0..)]
    arguments: Vec<String>,
}

/// The order is the one on the wire.
#[derive(Serialize)]
struct CreateBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: &'a Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<BTreeMap<String, String>>,
    ttl: String,
    explicit_max_ttl: String,
    period: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_parent: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_default_policy: bool,
    display_name: &'a str,
    num_uses: i64,
    renewable: bool,
    #[serde(rename = "type")]
    kind: &'a str,
    entity_alias: &'a str,
}

impl Token {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::Capabilities(capabilities) => capabilities.run(cli),
            Self::Create(create) => create.run(cli),
            Self::Lookup(lookup) => lookup.run(cli),
            Self::Renew(renew) => renew.run(cli),
            Self::Revoke(revoke) => revoke.run(cli),
        }
    }
}

impl Capabilities {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 1, 2)?;
        let client = cli.client(&self.http)?;
        let call = match (self.arguments.as_slice(), self.accessor) {
            ([accessor, path], true) => Call::post(
                "sys/capabilities-accessor",
                &json!({"accessor": accessor, "path": path}),
            ),
            ([token, path], false) => {
                Call::post("sys/capabilities", &json!({"path": path, "token": token}))
            }
            ([path], false) => Call::post(
                "sys/capabilities-self",
                &json!({"path": path, "token": client.token().unwrap_or_default()}),
            ),
            _ => {
                return Err(Stop::usage(
                    "Not enough arguments (expected 2 with -accessor, got 1)",
                ));
            }
        };
        let path = self
            .arguments
            .last()
            .map(String::as_str)
            .unwrap_or_default();
        let secret = client
            .secret(&call)
            .map_err(|error| error.stop("Error listing capabilities"))?
            .unwrap_or_default();
        let mut capabilities = secret
            .texts("capabilities")
            .or_else(|| secret.texts(path))
            .ok_or_else(|| Stop::usage("No capabilities found"))?;
        capabilities.sort();
        if format == Format::Table {
            cli.ui.line(capabilities.join(", "));
            return Ok(());
        }
        print_structured(cli.ui, format, &capabilities)
    }
}

impl Create {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        expect_arguments(&self.arguments, 0, 0)?;
        let text = |duration: Option<GoDuration>| duration.unwrap_or_default().to_string();
        let body = CreateBody {
            id: self.id.as_deref(),
            policies: &self.policy,
            meta: pairs_to_map(&self.metadata),
            ttl: text(self.ttl),
            explicit_max_ttl: text(self.explicit_max_ttl),
            period: text(self.period),
            no_parent: self.orphan,
            no_default_policy: self.no_default_policy,
            display_name: &self.display_name,
            num_uses: self.use_limit,
            renewable: self.renewable,
            kind: &self.kind,
            entity_alias: &self.entity_alias,
        };
        let path = match &self.role {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create".to_owned(),
        };
        let secret = cli
            .client(&self.http)?
            .secret(&Call::post(path, &body))
            .map_err(|error| error.stop("Error creating token"))?
            .unwrap_or_default();
        cli.print(format, &self.field, &secret)
    }
}

impl Lookup {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let call = match optional_token(&self.arguments, self.accessor)? {
            None => Call::get("auth/token/lookup-self"),
            Some(accessor) if self.accessor => {
                Call::post("auth/token/lookup-accessor", &json!({"accessor": accessor}))
            }
            Some(token) => Call::post("auth/token/lookup", &json!({"token": token})),
        };
        let secret = cli
            .client(&self.http)?
            .secret(&call)
            .map_err(|error| error.stop("Error looking up token"))?
            .unwrap_or_default();
        cli.print(format, &self.field, &secret)
    }
}

impl Renew {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let increment = self.increment.unwrap_or_default().whole_seconds();
        let call = match optional_token(&self.arguments, self.accessor)? {
            None => Call::put("auth/token/renew-self", &json!({"increment": increment})),
            Some(accessor) if self.accessor => Call::post(
                "auth/token/renew-accessor",
                &json!({"accessor": accessor, "increment": increment}),
            ),
            Some(token) => Call::put(
                "auth/token/renew",
                &json!({"increment": increment, "token": token}),
            ),
        };
        let secret = cli
            .client(&self.http)?
            .secret(&call)
            .map_err(|error| error.stop("Error renewing token"))?
            .unwrap_or_default();
        cli.print(format, &self.field, &secret)
    }
}

impl Revoke {
    fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let call = self.call()?;
        cli.client(&self.http)?
            .send(&call)
            .map_err(|error| error.stop("Error revoking token"))?;
        cli.ui.line("Success! Revoked token (if it existed)");
        Ok(())
    }

    fn call(&self) -> Result<Call, Stop> {
        let count = self.arguments.len();
        let target = match (self.arguments.as_slice(), self.own) {
            ([], true) => None,
            ([target], false) => Some(target.trim().trim_start_matches('/')),
            (_, true) => {
                return Err(Stop::usage(format!(
                    "Too many arguments with -self (expected 0, got {count})"
                )));
            }
            ([], false) => {
                return Err(Stop::usage(
                    "Not enough arguments (expected 1 or -self, got 0)",
                ));
            }
            (_, false) => {
                return Err(Stop::usage(format!(
                    "Too many arguments (expected 1 or -self, got {count})"
                )));
            }
        };
        let null = serde_json::Value::Null;
        match (target, self.accessor, self.mode.as_str()) {
            (None, false, "") => Ok(Call::put("auth/token/revoke-self", &null)),
            (Some(accessor), true, "") => Ok(Call::post(
                "auth/token/revoke-accessor",
                &json!({"accessor": accessor}),
            )),
            (Some(token), false, "") => {
                Ok(Call::put("auth/token/revoke", &json!({"token": token})))
            }
            (Some(token), false, "orphan") => Ok(Call::put(
                "auth/token/revoke-orphan",
                &json!({"token": token}),
            )),
            (Some(prefix), false, "path") => Ok(Call::put(
                format!("sys/leases/revoke-prefix/{prefix}"),
                &null,
            )),
            (None, true, _) => Err(Stop::usage("Cannot use -self with -accessor")),
            (None, false, _) => Err(Stop::usage("Cannot use -self with -mode")),
            (_, true, "orphan") => Err(Stop::usage("Cannot use -accessor with -mode=orphan")),
            (_, true, "path") => Err(Stop::usage("Cannot use -accessor with -mode=path")),
            _ => Err(Stop::usage(format!("Invalid mode: {}", self.mode))),
        }
    }
}

/// The token or accessor named on the command line; without one it is about the token in use.
fn optional_token(arguments: &[String], accessor: bool) -> Result<Option<&str>, Stop> {
    let count = arguments.len();
    match (arguments, accessor) {
        ([], false) => Ok(None),
        ([one], _) => Ok(Some(one.trim())),
        ([], true) => Err(Stop::usage(
            "Not enough arguments with -accessor (expected 1, got 0)",
        )),
        (_, true) => Err(Stop::usage(format!(
            "Too many arguments with -accessor (expected 1, got {count})"
        ))),
        (_, false) => Err(Stop::usage(format!(
            "Too many arguments (expected 0-1, got {count})"
        ))),
    }
}
