//! `mesh`: what a service mesh needs of a mount, for where no controller writes it into the cluster.

mod istiod_tls;
mod root;
mod roots;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Cli;
use crate::cli::flags::Format;
use crate::cli::output::print_structured;
use crate::cli::ui::Outcome;

/// Give a service mesh its root and istiod its certificate
///
///     $ signet mesh root -manifest pki_int_ca | kubectl apply -n httpbin -f -
///     $ signet mesh istiod-tls -directory=/etc/istiod pki_int_ca istiod
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Mesh {
    IstiodTls(istiod_tls::IstiodTls),
    Root(root::Root),
}

impl Mesh {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        match self {
            Self::IstiodTls(istiod_tls) => istiod_tls.run(cli),
            Self::Root(root) => root.run(cli),
        }
    }
}

/// Prints an object of Kubernetes, as YAML where no other format is asked for.
fn print_manifest<T: Serialize>(cli: &mut Cli<'_, '_>, format: Format, object: &T) -> Outcome {
    let format = match format {
        Format::Table => Format::Yaml,
        other => other,
    };
    print_structured(cli.ui, format, object)
}
