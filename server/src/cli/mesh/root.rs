//! `mesh root`: the roots that the workloads of a mesh trust.

use clap::Args;
use serde_json::json;

use crate::cli::Cli;
use crate::cli::flags::{Format, FormatFlag, HttpFlags, one_argument, sanitize_path};
use crate::cli::mesh::{print_manifest, roots};
use crate::cli::output::print_structured;
use crate::cli::ui::Outcome;
use crate::kubernetes;

/// Print the roots of a PKI mount
///
/// They are the self-signed certificates among the issuers of MOUNT, as PEM, in an order that depends on them alone: the
/// text changes only when a root comes or goes.
///
///     $ signet mesh root pki_int_ca > root-cert.pem
///
/// The `ConfigMap` that the pods of Istio mount, for one namespace:
///
///     $ signet mesh root -manifest pki_int_ca | kubectl apply -n httpbin -f -
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Root {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Namespace to write into the manifest. Without it the manifest is for the namespace that kubectl uses.
    #[arg(long, value_name = "name")]
    kube_namespace: Option<String>,
    /// Print the `ConfigMap` istio-ca-root-cert instead, as YAML or in the format of -format.
    #[arg(long)]
    manifest: bool,
    #[arg(value_name = "MOUNT", num_args = 0..)]
    arguments: Vec<String>,
}

impl Root {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let mount = sanitize_path(one_argument(&self.arguments)?);
        let roots = roots::of_mount(&cli.client(&self.http)?, &mount)?;
        if self.manifest {
            let map = kubernetes::config_map(self.kube_namespace.as_deref(), &roots);
            return print_manifest(cli, format, &map);
        }
        if format == Format::Table {
            cli.ui.line(roots.trim_end());
            return Ok(());
        }
        print_structured(cli.ui, format, &json!({"root_bundle": roots}))
    }
}
