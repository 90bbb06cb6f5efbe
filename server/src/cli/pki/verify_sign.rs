//! `pki verify-sign`.

use clap::Args;
use serde_json::json;
use signet_api::certificate::Relation;
use signet_api::time::{Clock as _, SystemClock};

use crate::cli::Cli;
use crate::cli::client::Client;
use crate::cli::flags::{Format, FormatFlag, HttpFlags};
use crate::cli::pki::{Issuer, print_object, read, trimmed};
use crate::cli::table::table;
use crate::cli::ui::{Outcome, Stop};

/// Checks whether one certificate may be the issuer of another
///
/// Both are paths of issuers, such as pki/issuer/default. Tells of five things:
///
///   - `signature_match`: the key of the one has signed the other;
///   - `path_match`: the one is in the chain of the other;
///   - `key_id_match`: the key identifiers of both fit;
///   - `subject_match`: the names of both fit;
///   - `trust_match`: who trusts the one has, with the chain, reason to trust the other.
///
/// For example:
///
///     $ signet pki verify-sign pki_root/issuer/root pki_int/issuer/default
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct VerifySign {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[arg(value_name = "POSSIBLE-ISSUER POSSIBLE-ISSUED", num_args = 0..)]
    arguments: Vec<String>,
}

impl VerifySign {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (parent, child) = match self.arguments.as_slice() {
            [parent, child] => (trimmed(parent), trimmed(child)),
            [] => {
                return Err(Stop::usage(
                    "Not enough arguments (expected potential issuer and issued, got nothing)",
                ));
            }
            [_] => {
                return Err(Stop::usage(
                    "Not enough arguments (expected both potential issuer and issued, got only \
                     one)",
                ));
            }
            more => {
                return Err(Stop::usage(format!(
                    "Too many arguments (expected only potential issuer and issued, got {} \
                     arguments)",
                    more.len()
                )));
            }
        };
        let client = cli.client(&self.http)?;
        let fields = fields(relation(&client, parent, child)?);
        if format != Format::Table {
            let object: serde_json::Map<_, _> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            return print_object(cli, format, &object);
        }
        let mut rows = vec![vec!["field".to_owned(), "value".to_owned()]];
        rows.extend(fields.map(|(name, value)| vec![name.to_owned(), value.to_string()]));
        cli.ui.line(format!(
            "issuer:{parent}\nissued:{child}\n\n{}\n\n",
            table(&rows)
        ));
        Ok(())
    }
}

fn relation(client: &Client, parent: &str, child: &str) -> Result<Relation, Stop> {
    let fetch = |path: &str| {
        let failed = |detail: String| {
            Stop::usage(format!(
                "Failed to run verification: error: unable to fetch issuer {path}: {detail}"
            ))
        };
        let secret = read(client, path).map_err(|error| match error.stop("") {
            Stop::Printed(text) => Stop::Printed(text),
            Stop::Failed(text) => failed(text.trim_start_matches(": ").to_owned()),
            other => other,
        })?;
        Issuer::from_secret(secret)
            .map_err(|error| failed(format!("unable to parse issuer {path}'s CA chain: {error}")))
    };
    let (parent, child) = (fetch(parent)?, fetch(child)?);
    Ok(parent
        .chained
        .relation_to(&child.chained, SystemClock.now()))
}

fn fields(relation: Relation) -> [(&'static str, bool); 5] {
    [
        ("key_id_match", relation.key_id_match),
        ("path_match", relation.path_match),
        ("signature_match", relation.signature_match),
        ("subject_match", relation.subject_match),
        ("trust_match", relation.trust_match),
    ]
}
