//! A verified chain in the words of `openssl s_client`.

use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode as _, oid::ObjectIdentifier};
use x509_cert::name::Name;

#[derive(Debug, thiserror::Error)]
pub(super) enum ChainError {
    #[error("the chain ends at an issuer that nobody sent: {0}")]
    Broken(String),
    #[error("a certificate of the chain: {0}")]
    Malformed(#[from] der::Error),
}

/// What `openssl s_client` prints of the chain that a server sent, once its signatures up to `root`
/// have been verified: names by depth, then the chain as it came.
pub(super) fn show(
    served: &[CertificateDer<'_>],
    root: &CertificateDer<'_>,
) -> Result<String, ChainError> {
    let served: Vec<Certificate> = served
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<_, _>>()?;
    let root = Certificate::from_der(root)?;
    let mut text = String::new();
    for (depth, certificate) in path(&served, &root)?.iter().enumerate().rev() {
        let subject = one_line(certificate.tbs_certificate().subject());
        let _ = writeln!(text, "depth={depth} {subject}\nverify return:1");
    }
    text.push_str("---\nCertificate chain\n");
    for (index, certificate) in served.iter().enumerate() {
        let certificate = certificate.tbs_certificate();
        let subject = one_line(certificate.subject());
        let issuer = one_line(certificate.issuer());
        let _ = writeln!(text, " {index} s:{subject}\n   i:{issuer}");
    }
    text.push_str("---\nVerify return code: 0 (ok)");
    Ok(text)
}

/// From the first certificate to the root, by names.
fn path<'a>(
    served: &'a [Certificate],
    root: &'a Certificate,
) -> Result<Vec<&'a Certificate>, ChainError> {
    let mut path: Vec<&Certificate> = served.first().into_iter().collect();
    while let Some(last) = path.last()
        && *last != root
    {
        let issuer = last.tbs_certificate().issuer();
        let next = std::iter::once(root)
            .chain(served)
            .find(|candidate| candidate.tbs_certificate().subject() == issuer)
            .filter(|_| path.len() <= served.len());
        path.push(next.ok_or_else(|| ChainError::Broken(one_line(issuer)))?);
    }
    Ok(path)
}

/// `C = US, O = Example`, in the order of the certificate.
fn one_line(name: &Name) -> String {
    let mut text = String::new();
    for attribute in name.iter() {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let value = String::from_utf8_lossy(attribute.value.value());
        let known = SHORT_NAMES.iter().find(|(oid, _)| *oid == attribute.oid);
        let _ = match known {
            Some((_, short)) => write!(text, "{short} = {value}"),
            None => write!(text, "{} = {value}", attribute.oid),
        };
    }
    text
}

const SHORT_NAMES: [(ObjectIdentifier, &str); 6] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
];

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Authority {
        certificate: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn params(organization: &str, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "US");
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn root(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = params("A, Inc", name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Authority {
            certificate,
            issuer,
        }
    }

    fn leaf(issuer: &Authority) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let leaf = params("B", "leaf").signed_by(&key, &issuer.issuer).unwrap();
        leaf.der().clone()
    }

    #[test]
    fn a_root_that_was_not_sent_has_a_depth_too() {
        let root = root("root");
        let shown = show(&[leaf(&root)], &root.certificate).unwrap();
        let expected = "depth=1 C = US, O = A, Inc, CN = root\n\
                        verify return:1\n\
                        depth=0 C = US, O = B, CN = leaf\n\
                        verify return:1\n\
                        ---\n\
                        Certificate chain\n \
                        0 s:C = US, O = B, CN = leaf\n   \
                        i:C = US, O = A, Inc, CN = root\n\
                        ---\n\
                        Verify return code: 0 (ok)";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_chain_of_another_root_is_no_chain() {
        let (one, other) = (root("one"), root("other"));
        let broken = show(&[leaf(&one)], &other.certificate);
        assert!(matches!(broken, Err(ChainError::Broken(_))));
        let circle = show(&[leaf(&one), one.certificate.clone()], &other.certificate);
        assert!(matches!(circle, Err(ChainError::Broken(_))));
    }
}
