//! `pki reissue`: an authority like another one.

use clap::Args;

use crate::cli::Cli;
use crate::cli::args::parse_pairs;
use crate::cli::flags::{FieldFlag, FormatFlag, HttpFlags};
use crate::cli::pki::issue::Target;
use crate::cli::pki::{Issuer, read, text, trimmed, usage};
use crate::cli::ui::{Outcome, Stop};

/// Makes an intermediate authority after the pattern of another
///
/// PARENT is the path of the issuer that signs it, TEMPLATE the path of the issuer that it is to be
/// like, `CHILD_MOUNT` the mount in which it is to be. Parameters that are given count more than the
/// template.
///
///     $ signet pki reissue pki_root/issuer/root pki_int/issuer/old pki_int ttl=8760h
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Reissue {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    target: Target,

    #[arg(value_name = "PARENT TEMPLATE CHILD_MOUNT [KEY=VALUE...]", num_args = 0..)]
    arguments: Vec<String>,
}

impl Reissue {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let [parent, template, mount, pairs @ ..] = self.arguments.as_slice() else {
            return Err(Stop::usage(
                "Not enough arguments: expected parent issuer, template issuer and child-mount \
                 location",
            ));
        };
        let given = parse_pairs(pairs, cli.ui)
            .map_err(|error| Stop::usage(format!("Failed to parse K=V data: {error}")))?;
        let format = cli.format(&self.format)?;
        let client = cli.client(&self.http)?;
        let template = trimmed(template);
        let what = format!("Error fetching template certificate {template} ");
        let secret = read(&client, template).map_err(|error| usage(&what, error))?;
        let issuer =
            Issuer::from_secret(secret).map_err(|error| Stop::usage(format!("{what}: {error}")))?;
        let has_new_key = self.target.key_source != "existing";
        let mut fields = issuer.chained.template(has_new_key);
        if !has_new_key {
            let key = text(&issuer.secret, "key_id").unwrap_or_default();
            fields.insert("key_ref".into(), key.into());
        }
        fields.extend(given);
        let issuer = self
            .target
            .issue(&client, trimmed(parent), trimmed(mount), fields)?;
        cli.print(format, &FieldFlag::default(), &issuer)
    }
}
