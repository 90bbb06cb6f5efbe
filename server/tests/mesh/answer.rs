//! What clients of the protocol hold against an answer, ztunnel most of all.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};

/// An answer that holds.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) elements: Vec<String>,
    pub(crate) leaf: Certificate,
    /// With colons.
    pub(crate) serial: String,
    pub(crate) roots: usize,
}

impl Answer {
    /// Fails the test unless every client would take `elements` for `identity`.
    pub(crate) fn check(elements: Vec<String>, identity: &str) -> Self {
        assert!(elements.len() >= 2, "no root certificate present");
        for element in &elements {
            assert!(
                element.ends_with('\n') && !element.ends_with("\n\n"),
                "{element:?}"
            );
        }
        let (bundle, chain) = elements.split_last().unwrap();
        let chain: Vec<_> = chain.iter().map(|element| only(element)).collect();
        let roots = all(bundle);
        for root in &roots {
            let root = Certificate::from_der(root).unwrap();
            let (subject, issuer) = (
                root.tbs_certificate().subject(),
                root.tbs_certificate().issuer(),
            );
            assert_eq!(subject, issuer, "a root that is none");
        }
        let (leaf, intermediates) = chain.split_first().unwrap();
        verify(leaf, intermediates, &roots);
        let parsed = Certificate::from_der(leaf).unwrap();
        check_leaf(&parsed, identity);
        Self {
            serial: serial(&parsed),
            leaf: parsed,
            roots: roots.len(),
            elements,
        }
    }

    /// As an agent serves it: all elements.
    pub(crate) fn chain(&self) -> String {
        self.elements.concat()
    }

    /// Seconds from the beginning to the end of its validity, and from the beginning to `now`.
    pub(crate) fn times(&self, now: i64) -> (i64, i64) {
        let validity = self.leaf.tbs_certificate().validity();
        let secs = |time: &x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap()
        };
        let begin = secs(&validity.not_before);
        (secs(&validity.not_after) - begin, now - begin)
    }
}

pub(crate) fn serial(certificate: &Certificate) -> String {
    let bytes = certificate.tbs_certificate().serial_number().as_bytes();
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.join(":")
}

fn only(element: &str) -> CertificateDer<'static> {
    let mut found = all(element);
    assert_eq!(found.len(), 1, "one certificate per element");
    found.remove(0)
}

fn all(element: &str) -> Vec<CertificateDer<'static>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(element.as_bytes()).collect();
    found.unwrap()
}

/// As a peer does, both when it is the client and when it is the server.
fn verify(leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], roots: &[CertificateDer<'_>]) {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone().into_owned()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms.all;
    let parsed = ParsedCertificate::try_from(leaf).unwrap();
    let now = UnixTime::now();
    verify_server_cert_signed_by_trust_anchor(&parsed, &store, chain, now, algorithms).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .unwrap();
    clients.verify_client_cert(leaf, chain, now).unwrap();
}

fn check_leaf(leaf: &Certificate, identity: &str) {
    let tbs = leaf.tbs_certificate();
    let (is_critical, names) = tbs.get_extension::<SubjectAltName>().unwrap().unwrap();
    let uris: Vec<&str> = names
        .0
        .iter()
        .map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => uri.as_str(),
            other => panic!("{other:?} beside the identity"),
        })
        .collect();
    assert_eq!(uris, [identity]);
    assert_eq!(tbs.subject().to_der().unwrap(), [0x30, 0], "a subject");
    assert!(is_critical, "names that may be passed over");
    let (_, usages) = tbs.get_extension::<ExtendedKeyUsage>().unwrap().unwrap();
    let usages: Vec<String> = usages.0.iter().map(ToString::to_string).collect();
    for usage in ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"] {
        assert!(usages.iter().any(|had| had == usage), "{usages:?}");
    }
    let (_, usage) = tbs.get_extension::<KeyUsage>().unwrap().unwrap();
    assert!(usage.0.contains(KeyUsages::DigitalSignature));
    assert!(!usage.0.contains(KeyUsages::KeyCertSign));
    let constraints = tbs.get_extension::<BasicConstraints>().unwrap();
    assert!(constraints.is_none_or(|(_, constraints)| !constraints.ca));
}
