//! A key, its certificate with the chain, and the roots these are to be verified with.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::{Map, Value};
use signet_api::time::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

use super::IstiodNames;

/// Three texts of PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServingPair {
    /// The certificate, then its intermediates.
    pub(crate) chain: String,
    pub(crate) key: Zeroizing<String>,
    pub(crate) roots: String,
}

/// When a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

/// Why a pair does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the answer has no {0}")]
    Absent(&'static str),
    #[error("the certificate is for {found:?} instead of {wanted:?}")]
    Names {
        found: BTreeSet<String>,
        wanted: BTreeSet<String>,
    },
    #[error("{0} cannot be read: {1}")]
    Unreadable(&'static str, String),
    #[error("the chain does not lead to a root of the mount: {0}")]
    Untrusted(rustls::Error),
    #[error("the key is not that of the certificate: {0}")]
    WrongKey(rustls::Error),
}

impl ServingPair {
    /// From the answer of `issue` and the roots of its mount.
    pub(crate) fn from_answer(data: &Map<String, Value>, roots: &str) -> Result<Self, Unfit> {
        let text = |name| {
            data.get(name)
                .and_then(Value::as_str)
                .ok_or(Unfit::Absent(name))
        };
        let intermediates = data.get("ca_chain").and_then(Value::as_array);
        let chain = std::iter::once(text("certificate")?)
            .chain(
                intermediates
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str),
            )
            .flat_map(|pem| [pem.trim_end(), "\n"])
            .collect();
        Ok(Self {
            chain,
            key: Zeroizing::new(format!("{}\n", text("private_key")?.trim_end())),
            roots: roots.to_owned(),
        })
    }

    /// Is this what istiod is to serve at `now`? The names must be these exactly, the chain must lead to the roots, and the
    /// key must belong to the certificate.
    pub(crate) fn check(&self, names: &IstiodNames, now: Timestamp) -> Result<Validity, Unfit> {
        let chain = certificates("the chain", &self.chain)?;
        let [leaf, intermediates @ ..] = chain.as_slice() else {
            return Err(Unfit::Absent("certificate"));
        };
        let parsed = Certificate::from_der(leaf)
            .map_err(|error| Unfit::Unreadable("the certificate", error.to_string()))?;
        let wanted: BTreeSet<String> = names.dns_names().into_iter().chain([names.uri()]).collect();
        let found = alternative_names(&parsed)?;
        if found != wanted {
            return Err(Unfit::Names { found, wanted });
        }
        self.check_trust(leaf, intermediates, names, now)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| Unfit::Unreadable("the key", error.to_string()))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(Unfit::WrongKey)?;
        let validity = parsed.tbs_certificate().validity();
        let secs = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        Ok(Validity {
            not_before: secs(validity.not_before),
            not_after: secs(validity.not_after),
        })
    }

    fn check_trust(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        names: &IstiodNames,
        now: Timestamp,
    ) -> Result<(), Unfit> {
        let mut roots = RootCertStore::empty();
        for root in certificates("the roots", &self.roots)? {
            roots.add(root).map_err(Unfit::Untrusted)?;
        }
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Unfit::Unreadable("the roots", error.to_string()))?;
        let name = names
            .dns_names()
            .into_iter()
            .next()
            .unwrap_or_else(|| names.common_name());
        let name = ServerName::try_from(name)
            .map_err(|error| Unfit::Unreadable("the name", error.to_string()))?;
        let secs = u64::try_from(now.secs()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        verifier
            .verify_server_cert(leaf, intermediates, &name, &[], now)
            .map(|_verified| ())
            .map_err(Unfit::Untrusted)
    }
}

impl fmt::Debug for ServingPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServingPair")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Unfit::Unreadable(what, error.to_string()))
}

/// DNS names and URIs. Of any other kind there must be none.
fn alternative_names(certificate: &Certificate) -> Result<BTreeSet<String>, Unfit> {
    let unreadable = |detail: String| Unfit::Unreadable("the names of the certificate", detail);
    let found = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .map_err(|error| unreadable(error.to_string()))?;
    found
        .map(|(_critical, names)| names.0)
        .unwrap_or_default()
        .into_iter()
        .map(|name| match name {
            GeneralName::DnsName(name) => Ok(name.as_str().to_owned()),
            GeneralName::UniformResourceIdentifier(uri) => Ok(uri.as_str().to_owned()),
            other => Err(unreadable(format!("there is {other:?}"))),
        })
        .collect()
}
