//! The certificate of `-dev-tls`: a CA of its own and one leaf for this machine.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use signet_api::time::Timestamp;
use time::{Duration, OffsetDateTime};

use super::private_file;

/// Where the files are.
#[derive(Debug)]
pub(crate) struct DevCertificate {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DevTlsError {
    #[error("making the development certificate")]
    Make(#[from] rcgen::Error),
    #[error("writing the development certificate to {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Makes CA, certificate and key and writes them to `directory`.
pub(crate) fn create(
    directory: &Path,
    hostname: Option<&str>,
    now: Timestamp,
) -> Result<DevCertificate, DevTlsError> {
    let now = OffsetDateTime::from_unix_timestamp(now.secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (not_before, not_after) = (now - Duration::minutes(1), now + Duration::days(365));

    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Signet development CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (authority.not_before, authority.not_after) = (not_before, not_after);
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    let key = KeyPair::generate()?;
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(hostname.map(str::to_owned));
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (not_before, not_after);
    let leaf_pem = leaf
        .signed_by(&key, &Issuer::new(authority, authority_key))?
        .pem();

    let made = DevCertificate {
        authority: directory.join("vault-ca.pem"),
        certificate: directory.join("vault-cert.pem"),
        key: directory.join("vault-key.pem"),
    };
    for (path, content) in [
        (&made.authority, authority_pem.as_bytes()),
        (&made.certificate, leaf_pem.as_bytes()),
    ] {
        std::fs::write(path, content).map_err(|source| write_error(path, source))?;
    }
    let key_pem = zeroize::Zeroizing::new(key.serialize_pem());
    private_file::write(&made.key, key_pem.as_bytes())
        .map_err(|source| write_error(&made.key, source))?;
    Ok(made)
}

fn write_error(path: &Path, source: std::io::Error) -> DevTlsError {
    DevTlsError::Write {
        path: path.to_owned(),
        source,
    }
}
