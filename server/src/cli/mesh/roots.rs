//! The roots of a mount, fetched from a server.

use serde_json::Value;
use x509_cert::Certificate;
use x509_cert::der::pem::{LineEnding, PemLabel as _};
use x509_cert::der::{DecodePem as _, Encode as _};

use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::secret::Secret;
use crate::cli::ui::Stop;

/// The self-signed certificates among the issuers of `mount` and in their chains, as PEM with one newline after each.
/// Sorted by their DER, none twice: the bytes depend on the certificates alone, and are those that the server publishes.
pub(super) fn of_mount(client: &Client, mount: &str) -> Result<String, Stop> {
    let issuers = client
        .secret(&Call::list(format!("{mount}/issuers")))
        .map_err(|error| error.stop(format!("Error listing the issuers of {mount}")))?
        .and_then(|secret| secret.keys())
        .unwrap_or_default();
    let mut roots: Vec<Vec<u8>> = Vec::new();
    for issuer in issuers {
        let secret = client
            .secret(&Call::get(format!("{mount}/issuer/{issuer}/json")))
            .map_err(|error| error.stop(format!("Error reading the issuer {issuer} of {mount}")))?
            .unwrap_or_default();
        for pem in certificates(&secret) {
            let unreadable = |error: &dyn std::fmt::Display| {
                Stop::failed(format!(
                    "The certificate of issuer {issuer} cannot be read: {error}"
                ))
            };
            let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
            let named = certificate.tbs_certificate();
            if named.issuer() == named.subject() {
                roots.push(certificate.to_der().map_err(|error| unreadable(&error))?);
            }
        }
    }
    if roots.is_empty() {
        return Err(Stop::failed(format!(
            "No issuer of {mount} is self-signed: import the root's certificate there too"
        )));
    }
    roots.sort_unstable();
    roots.dedup();
    roots
        .iter()
        .map(|der| x509_cert::der::pem::encode_string(Certificate::PEM_LABEL, LineEnding::LF, der))
        .collect::<Result<String, _>>()
        .map_err(|error| Stop::failed(format!("Error writing PEM: {error}")))
}

/// The certificate of an issuer and its chain.
fn certificates(secret: &Secret) -> Vec<String> {
    let chain = match secret.field("ca_chain") {
        Some(Value::Array(_)) => secret.texts("ca_chain").unwrap_or_default(),
        _ => Vec::new(),
    };
    secret
        .text("certificate")
        .map(str::to_owned)
        .into_iter()
        .chain(chain)
        .collect()
}
