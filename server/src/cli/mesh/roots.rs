//! The roots of a mount, fetched from a server.

use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::pem::{LineEnding, PemLabel as _};
use x509_cert::der::{DecodePem as _, Encode as _};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};

use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::secret::Secret;
use crate::cli::ui::Stop;

/// The self-signed certificates among the issuers of `mount` that are not revoked, as PEM with one newline after each, the
/// oldest first: the bytes depend on the certificates alone, and are those that the server itself publishes.
pub(super) fn of_mount(client: &Client, mount: &str) -> Result<String, Stop> {
    let issuers = client
        .secret(&Call::list(format!("{mount}/issuers")))
        .map_err(|error| error.stop(format!("Error listing the issuers of {mount}")))?
        .and_then(|secret| secret.keys())
        .unwrap_or_default();
    let mut roots: Vec<(Duration, Vec<u8>)> = Vec::new();
    for issuer in issuers {
        let secret = client
            .secret(&Call::get(format!("{mount}/issuer/{issuer}")))
            .map_err(|error| error.stop(format!("Error reading the issuer {issuer} of {mount}")))?
            .unwrap_or_default();
        let root = root(&secret).map_err(|error| {
            Stop::failed(format!(
                "The certificate of the issuer {issuer} cannot be read: {error}"
            ))
        })?;
        roots.extend(root);
    }
    if roots.is_empty() {
        return Err(Stop::failed(format!(
            "No issuer of {mount} is self-signed: import the root's certificate there too"
        )));
    }
    roots.sort_unstable();
    roots
        .iter()
        .map(|(_, der)| {
            x509_cert::der::pem::encode_string(Certificate::PEM_LABEL, LineEnding::LF, der)
        })
        .collect::<Result<String, _>>()
        .map_err(|error| Stop::failed(format!("Error writing PEM: {error}")))
}

/// The certificate of an issuer with the begin of its validity, if it is to be trusted.
fn root(issuer: &Secret) -> Result<Option<(Duration, Vec<u8>)>, x509_cert::der::Error> {
    let is_revoked = issuer.field("revoked").and_then(serde_json::Value::as_bool);
    let certificate = Certificate::from_pem(issuer.text("certificate").unwrap_or_default())?;
    if is_revoked == Some(true) || !is_self_signed(&certificate)? {
        return Ok(None);
    }
    let not_before = certificate.tbs_certificate().validity().not_before;
    Ok(Some((not_before.to_unix_duration(), certificate.to_der()?)))
}

/// By its names and the identifiers of its keys; the server has verified the signature.
fn is_self_signed(certificate: &Certificate) -> Result<bool, x509_cert::der::Error> {
    let fields = certificate.tbs_certificate();
    let authority: Option<(bool, AuthorityKeyIdentifier)> = fields.get_extension()?;
    let subject: Option<(bool, SubjectKeyIdentifier)> = fields.get_extension()?;
    let authority = authority.and_then(|(_critical, identifier)| identifier.key_identifier);
    let is_own_key = match (authority, subject) {
        (Some(authority), Some((_critical, subject))) => authority == subject.0,
        _ => true,
    };
    Ok(fields.issuer() == fields.subject() && is_own_key)
}
