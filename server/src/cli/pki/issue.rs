//! `pki issue`: an intermediate authority in one mount, signed by an issuer in another.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::cli::args::parse_pairs;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::client_error::ClientError;
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags};
use crate::cli::pki::{read, text, trimmed, usage};
use crate::cli::secret::Secret;
use crate::cli::ui::{Outcome, Stop};

/// Makes an intermediate authority
///
/// PARENT is the path of the issuer that signs it, `CHILD_MOUNT` the mount in which it is to be. The
/// parameters are those of intermediate/generate and sign-intermediate together; at least one is
/// needed.
///
///     $ signet pki issue -issuer_name=web pki_root/issuer/root pki_int common_name=Web ttl=8760h
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Issue {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    target: Target,

    #[arg(value_name = "PARENT CHILD_MOUNT KEY=VALUE...", num_args = 0..)]
    arguments: Vec<String>,
}

/// What the new authority is to be in its mount.
#[derive(Args, Debug)]
#[command(next_help_heading = "Command Options")]
pub(super) struct Target {
    /// Name of the new issuer.
    #[arg(long = "issuer_name")]
    issuer_name: Option<String>,

    /// "internal" for a new key, "existing" for one that the mount has.
    #[arg(long = "type", default_value = "internal")]
    pub(super) key_source: String,
}

impl Issue {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let [parent, mount, pairs @ ..] = self.arguments.as_slice() else {
            return Err(too_few());
        };
        if pairs.is_empty() {
            return Err(too_few());
        }
        let fields = parse_pairs(pairs, cli.ui)
            .map_err(|error| Stop::usage(format!("Failed to parse K=V data: {error}")))?;
        let format = cli.format(&self.format)?;
        let client = cli.client(&self.http)?;
        let issuer = self
            .target
            .issue(&client, trimmed(parent), trimmed(mount), fields)?;
        cli.print(format, &FieldFlag::default(), &issuer)
    }
}

fn too_few() -> Stop {
    Stop::usage(
        "Not enough arguments expected parent issuer and child-mount location and some key_value \
         argument",
    )
}

impl Target {
    /// Generates, signs and imports; what the mount then says of the new issuer.
    pub(super) fn issue(
        &self,
        client: &Client,
        parent: &str,
        mount: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Secret, Stop> {
        let parent_issuer = read(client, parent)
            .map_err(|error| usage(&format!("Unable to access parent issuer {parent}"), error))?;
        let generate = format!("{mount}/intermediate/generate/{}", self.key_source);
        let request = write(client, &Call::put(&generate, &fields)).map_err(|error| {
            let what = format!("Given Intermediate Mount {mount} Does Not Exist");
            match error.status() {
                Some(404) => usage(&what, error),
                _ => usage(&format!("Failed to generate a request on {mount}"), error),
            }
        })?;
        let csr = text(&request, "csr")
            .ok_or_else(|| Stop::usage("the answer to generating a request has no csr"))?;
        fields.insert("csr".into(), csr.into());
        let sign = format!("{parent}/sign-intermediate");
        let signed = write(client, &Call::put(&sign, &fields))
            .map_err(|error| usage(&format!("Failed to sign the request with {parent}"), error))?;
        let certificate = text(&signed, "certificate").unwrap_or_default();
        let id = import(client, mount, &certificate)?;
        if let Some(name) = &self.issuer_name {
            rename(client, mount, &id, name)?;
        }
        // The chain is to be in the mount too, under the names that it has elsewhere.
        let parent_certificate = text(&parent_issuer, "certificate").unwrap_or_default();
        let parent_id = import(client, mount, &parent_certificate)?;
        let parent_name = text(&parent_issuer, "issuer_name").unwrap_or_default();
        if !parent_name.is_empty() {
            rename(client, mount, &parent_id, &parent_name)?;
        }
        read(client, &format!("{mount}/issuer/{id}"))
            .map_err(|error| usage(&format!("Failed to read the new issuer {id}"), error))
    }
}

/// Imports a certificate; the id that it has in the mount.
fn import(client: &Client, mount: &str, certificate: &str) -> Result<String, Stop> {
    let body = json!({ "pem_bundle": certificate });
    let imported = write(
        client,
        &Call::put(format!("{mount}/issuers/import/cert"), &body),
    )
    .map_err(|error| usage(&format!("Failed to import into {mount}"), error))?;
    let first = imported
        .field("imported_issuers")
        .and_then(|ids| ids.get(0))
        .and_then(Value::as_str)
        .map(str::to_owned);
    // One that was there before is not imported, but is told of too.
    let existing = || text_at(&imported, "existing_issuers");
    let mapped = || {
        let mapping = imported.field("mapping")?.as_object()?;
        mapping.keys().next().cloned()
    };
    first
        .or_else(existing)
        .or_else(mapped)
        .ok_or_else(|| Stop::usage(format!("nothing was imported into {mount}")))
}

fn text_at(secret: &Secret, field: &str) -> Option<String> {
    let first = secret.field(field)?.get(0)?;
    first.as_str().map(str::to_owned)
}

fn rename(client: &Client, mount: &str, id: &str, name: &str) -> Result<(), Stop> {
    let call = Call::patch(
        format!("{mount}/issuer/{id}"),
        &json!({ "issuer_name": name }),
    );
    write(client, &call)
        .map(drop)
        .map_err(|error| usage(&format!("Failed to name issuer {id} {name}"), error))
}

fn write(client: &Client, call: &Call) -> Result<Secret, ClientError> {
    Ok(client.secret(call)?.unwrap_or_default())
}
