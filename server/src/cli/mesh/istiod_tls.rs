//! `mesh istiod-tls`: the pair that istiod serves with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use signet_api::time::{Clock as _, SystemClock};

use crate::cli::Cli;
use crate::cli::args::go_io_error;
use crate::cli::call::Call;
use crate::cli::duration::GoDuration;
use crate::cli::flags::{FormatFlag, HttpFlags, sanitize_path, two_arguments};
use crate::cli::mesh::{print_manifest, roots};
use crate::cli::ui::{Outcome, Stop};
use crate::kubernetes::{self, IstiodNames, ServingPair};
use crate::server::private_file;

/// Issue the certificate that istiod serves with
///
/// Asks ROLE of the PKI mount MOUNT for a certificate with the names of istiod and the identity
/// `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/istiod-service-account`. What comes back is checked before it is written: its
/// names, its key, and that it leads to a root of the mount.
///
/// The three files that istiod reads, the key for nobody else to read:
///
///     $ signet mesh istiod-tls -directory=/var/run/secrets/istiod/tls pki_int_ca istiod
///
/// The Secret that istiod mounts:
///
///     $ signet mesh istiod-tls -manifest pki_int_ca istiod | kubectl apply -f -
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct IstiodTls {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    /// Directory for the files tls.crt, tls.key and ca.crt. It is made where it does not exist.
    #[arg(long, value_name = "path")]
    directory: Option<String>,
    /// Further DNS name for the certificate; can be given several times.
    #[arg(long, value_name = "name")]
    dns_name: Vec<String>,
    /// Namespace in which istiod runs. The default is istio-system.
    #[arg(long, value_name = "name", default_value = "istio-system")]
    kube_namespace: String,
    /// Print the Secret, as YAML or in the format of -format. It contains the private key.
    #[arg(long)]
    manifest: bool,
    /// Revision of istiod, default for the one without; can be given several times. The default is default.
    #[arg(long, value_name = "name")]
    revision: Vec<String>,
    /// Name of the Secret. The default is istiod-tls.
    #[arg(long, value_name = "name", default_value = "istiod-tls")]
    secret: String,
    /// Trust domain of the mesh. The default is cluster.local.
    #[arg(long, value_name = "name", default_value = "cluster.local")]
    trust_domain: String,
    /// Lifetime of the certificate; that of the role where none is given.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    ttl: Option<GoDuration>,
    #[arg(value_names = ["MOUNT", "ROLE"], num_args = 0..)]
    arguments: Vec<String>,
}

impl IstiodTls {
    pub(super) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let (mount, role) = two_arguments(&self.arguments)?;
        let mount = sanitize_path(mount);
        if self.manifest == self.directory.is_some() {
            return Err(Stop::usage("Give one of -directory and -manifest"));
        }
        let ttl = self.ttl.map(seconds).transpose()?;
        let names = self.names();
        let client = cli.client(&self.http)?;
        let issue = format!("{mount}/issue/{role}");
        let call = Call::put(issue.clone(), &names.request(ttl));
        let data = client
            .secret(&call)
            .map_err(|error| error.stop(format!("Error writing data to {issue}")))?
            .and_then(|secret| secret.data)
            .ok_or_else(|| Stop::failed(format!("No certificate came back from {issue}")))?;
        // An intermediate that was just made is no reason to write what nobody can verify.
        let roots = roots::of_mount(&client, &mount)?;
        let pair = ServingPair::from_answer(&data, &roots)
            .and_then(|pair| pair.check(&names, SystemClock.now()).map(|_validity| pair))
            .map_err(|error| {
                Stop::failed(format!("What the role {role} issues does not do: {error}"))
            })?;
        let Some(directory) = &self.directory else {
            let secret = kubernetes::secret(Some(&self.kube_namespace), &self.secret, &pair);
            return print_manifest(cli, format, &secret);
        };
        write_files(Path::new(directory), &pair)?;
        cli.ui.line(format!(
            "Success! Wrote tls.crt, tls.key and ca.crt to: {directory}"
        ));
        Ok(())
    }

    fn names(&self) -> IstiodNames {
        let revisions = if self.revision.is_empty() {
            vec!["default".to_owned()]
        } else {
            self.revision.clone()
        };
        IstiodNames {
            namespace: self.kube_namespace.clone(),
            revisions,
            further_dns_names: self.dns_name.clone(),
            trust_domain: self.trust_domain.clone(),
        }
    }
}

fn seconds(ttl: GoDuration) -> Result<Duration, Stop> {
    u64::try_from(ttl.whole_seconds())
        .map(Duration::from_secs)
        .map_err(|_| Stop::usage("-ttl must not be negative"))
}

fn write_files(directory: &Path, pair: &ServingPair) -> Result<(), Stop> {
    let failed = |path: &Path, error: &std::io::Error| {
        let reason = go_io_error(error);
        Stop::failed(format!("Error writing {}: {reason}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    // The certificate last: whoever watches it finds the key that belongs to it.
    let key = directory.join("tls.key");
    private_file::write(&key, pair.key.as_bytes()).map_err(|error| failed(&key, &error))?;
    for (name, text) in [("ca.crt", &pair.roots), ("tls.crt", &pair.chain)] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
