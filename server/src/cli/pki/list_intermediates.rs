//! `pki list-intermediates`.

use clap::Args;
use serde_json::{Map, Value};
use signet_api::certificate::Relation;
use signet_api::time::{Clock as _, SystemClock};

use crate::cli::Cli;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags};
use crate::cli::pki::{Issuer, print_object, read, trimmed, usage};
use crate::cli::table::table;
use crate::cli::ui::{Outcome, Stop};

/// Lists issuers and whether a certain one has issued them
///
/// PARENT is the path of an issuer. Each CHILD is the path of an issuer, or of a mount whose issuers
/// are meant; without any, the issuers of all PKI mounts are looked at.
///
///     $ signet pki list-intermediates pki_root/issuer/root pki_int
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ListIntermediates {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    criteria: Criteria,

    /// Call issuers by their names where they have one.
    #[arg(long = "use_names", help_heading = "Command Options")]
    use_names: bool,

    #[arg(value_name = "PARENT [CHILD...]", num_args = 0..)]
    arguments: Vec<String>,
}

/// What a match is: all that is wanted has to hold.
#[derive(Args, Debug)]
#[command(next_help_heading = "Command Options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, independent of the others"
)]
struct Criteria {
    /// The key of the parent has signed the certificate.
    #[arg(long = "direct_sign", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    direct_sign: bool,

    /// Trusting the parent is enough to trust the certificate.
    #[arg(long = "indirect_sign", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    indirect_sign: bool,

    /// The key identifiers of both fit.
    #[arg(long = "key_id_match", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    key_id_match: bool,

    /// The parent is in the chain of the certificate.
    #[arg(long = "path_match", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    path_match: bool,

    /// The names of both fit.
    #[arg(long = "subject_match", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    subject_match: bool,
}

impl Criteria {
    fn hold(&self, relation: Relation) -> bool {
        [
            (self.direct_sign, relation.signature_match),
            (self.indirect_sign, relation.trust_match),
            (self.key_id_match, relation.key_id_match),
            (self.path_match, relation.path_match),
            (self.subject_match, relation.subject_match),
        ]
        .into_iter()
        .all(|(is_wanted, holds)| holds || !is_wanted)
    }
}

impl ListIntermediates {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let Some((parent, children)) = self.arguments.split_first() else {
            return Err(Stop::usage(
                "Not enough arguments (expected potential parent, got nothing)",
            ));
        };
        let client = cli.client(&self.http)?;
        let path = trimmed(parent);
        let secret = read(&client, path).map_err(|error| {
            usage(
                &format!("Failed to read parent issuer on path {path}"),
                error,
            )
        })?;
        let parent = Issuer::from_secret(secret).map_err(|error| {
            Stop::usage(format!(
                "Failed to read parent issuer on path {path}: {error}"
            ))
        })?;
        let mut matches = Map::new();
        for path in candidates(&client, children)? {
            let read = read(&client, &path)
                .map_err(|error| usage(&format!("Failed to read issuer on path {path}"), error))?;
            let issuer = Issuer::from_secret(read).map_err(|error| {
                Stop::usage(format!("Failed to read issuer on path {path}: {error}"))
            })?;
            let relation = parent
                .chained
                .relation_to(&issuer.chained, SystemClock.now());
            let name = self.name_of(&path, &issuer);
            matches.insert(name, Value::from(self.criteria.hold(relation)));
        }
        if format != Format::Table {
            return print_object(cli, format, &matches);
        }
        let mut rows = vec![vec!["intermediate".to_owned(), "match?".to_owned()]];
        rows.extend(
            matches
                .into_iter()
                .map(|(name, is_match)| vec![name, is_match.to_string()]),
        );
        cli.ui.line(format!("{}\n\n", table(&rows)));
        Ok(())
    }

    fn name_of(&self, path: &str, issuer: &Issuer) -> String {
        let name = issuer.secret.field("issuer_name").and_then(Value::as_str);
        match (
            name.filter(|name| self.use_names && !name.is_empty()),
            path.rsplit_once('/'),
        ) {
            (Some(name), Some((folder, _))) => format!("{folder}/{name}"),
            _ => path.to_owned(),
        }
    }
}

/// The paths of all issuers that are meant.
fn candidates(client: &Client, children: &[String]) -> Result<Vec<String>, Stop> {
    let named: Vec<String> = if children.is_empty() {
        let mounts =
            read(client, "sys/mounts").map_err(|error| usage("Failed to list mounts", error))?;
        let mounts = mounts.data.unwrap_or_default();
        mounts
            .iter()
            .filter(|(_, mount)| mount.get("type").and_then(Value::as_str) == Some("pki"))
            .map(|(path, _)| path.clone())
            .collect()
    } else {
        children.to_vec()
    };
    let mut paths = Vec::new();
    for name in named {
        let path = trimmed(&name);
        if path.contains("/issuer/") {
            paths.push(path.to_owned());
            continue;
        }
        let listed = client
            .secret(&Call::list(format!("{path}/issuers")))
            .map_err(|error| usage(&format!("Failed to list issuers of {path}"), error))?;
        let keys = listed.as_ref().and_then(|listed| listed.field("keys"));
        let ids = keys.and_then(Value::as_array).into_iter().flatten();
        paths.extend(
            ids.filter_map(Value::as_str)
                .map(|id| format!("{path}/issuer/{id}")),
        );
    }
    Ok(paths)
}
