//! PEM bundles of authorities and their keys, as operators import them.

use crate::cert::{Certificate, CertificateError};
use crate::key::{KeyError, PrivateKey};
use crate::pem;

/// What a bundle holds, each kind in the order of the bundle.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Authorities only.
    pub certificates: Vec<Certificate>,
    pub keys: Vec<PrivateKey>,
}

/// Whether private keys may be in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Allow,
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// `block` counts from 1.
    #[error("error when parsing block {block}: invalid PEM data")]
    InvalidPem { block: usize },
    #[error("Error parsing key {index}: failed to parse PEM block: {error}")]
    Key { index: usize, error: KeyError },
    #[error(
        "private keys found in the PEM bundle but not allowed by the path; use /issuers/import/bundle"
    )]
    KeysRefused,
    #[error("Error parsing issuer {index}: Refusing to import non-CA certificate\n{pem}")]
    NotAnAuthority { index: usize, pem: String },
    #[error("the PEM bundle has more than {MAX_BLOCKS} blocks")]
    TooManyBlocks,
    #[error(
        "provided data for import was too short; perhaps a path was passed to the API rather than \
         the contents of a PEM file"
    )]
    TooShort,
    #[error("Error parsing issuer {index}: unable to parse issuer's certificate: {error}\n{pem}")]
    UnreadableCertificate {
        index: usize,
        error: CertificateError,
        pem: String,
    },
}

impl Bundle {
    /// CRLs and parameters of elliptic curves are passed over; whatever else is no certificate has
    /// to be a private key.
    pub fn parse(text: &str, allowed: Keys) -> Result<Self, BundleError> {
        if text.len() < MIN_LENGTH {
            return Err(BundleError::TooShort);
        }
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        let mut rest = text;
        let mut count = 0;
        while !rest.trim_ascii().is_empty() {
            count += 1;
            if count > MAX_BLOCKS {
                return Err(BundleError::TooManyBlocks);
            }
            let (block, after) =
                pem::next_block(rest).ok_or(BundleError::InvalidPem { block: count })?;
            rest = after;
            match block.label {
                "CERTIFICATE" | "X509 CERTIFICATE" => certificates.push(block),
                "CRL" | "X509 CRL" | "EC PARAMS" | "EC PARAMETERS" => {}
                _ => keys.push(block),
            }
        }
        if allowed == Keys::Refuse && !keys.is_empty() {
            return Err(BundleError::KeysRefused);
        }
        let keys = keys
            .iter()
            .enumerate()
            .map(|(index, block)| {
                PrivateKey::from_der(&block.der).map_err(|error| BundleError::Key { index, error })
            })
            .collect::<Result<_, _>>()?;
        let certificates = certificates
            .iter()
            .enumerate()
            .map(|(index, block)| authority(index, block))
            .collect::<Result<_, _>>()?;
        Ok(Self { certificates, keys })
    }
}

fn authority(index: usize, block: &pem::Block<'_>) -> Result<Certificate, BundleError> {
    let pem = || pem::encode(block.label, &block.der);
    match Certificate::parse_der(block.der.to_vec()) {
        Ok(certificate) if certificate.is_authority() => Ok(certificate),
        Ok(_) => Err(BundleError::NotAnAuthority { index, pem: pem() }),
        Err(error) => Err(BundleError::UnreadableCertificate {
            index,
            error,
            pem: pem(),
        }),
    }
}

/// No PEM block with a certificate or key in it is shorter.
const MIN_LENGTH: usize = 75;
const MAX_BLOCKS: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judges::{P256, intermediate, issue, leaf_plan, root};
    use crate::key::KeyFormat;

    #[test]
    fn keeps_the_order_and_passes_over_what_is_neither() {
        let root = root(P256);
        let child = intermediate(&root, "Int", 2);
        let text = [
            "subject=/CN=Int\n".to_owned(),
            child.certificate().to_pem(),
            pem::encode("EC PARAMETERS", &[6, 0]),
            child
                .key()
                .to_pem(KeyFormat::Traditional)
                .unwrap()
                .to_string()
                + "\n",
            pem::encode("X509 CRL", &[1]),
            root.certificate()
                .to_pem()
                .replace("CERTIFICATE", "X509 CERTIFICATE"),
            root.key().to_pem(KeyFormat::Pkcs8).unwrap().to_string(),
            "\r\n ".to_owned(),
        ]
        .concat();
        let bundle = Bundle::parse(&text, Keys::Allow).unwrap();
        assert_eq!(
            bundle.certificates,
            [child.certificate().clone(), root.certificate().clone()]
        );
        let keys: Vec<_> = bundle.keys.iter().map(PrivateKey::public_key).collect();
        assert_eq!(keys, [child.public_key(), root.public_key()]);
        assert_eq!(
            Bundle::parse(&text, Keys::Refuse).err(),
            Some(BundleError::KeysRefused)
        );
    }

    #[test]
    fn says_what_is_wrong_in_the_words_clients_know() {
        let root = root(P256);
        let pem = root.certificate().to_pem();
        let leaf = issue(&root, leaf_plan("a.example.com"), root.public_key(), 3).to_pem();
        let junk = "x".repeat(80);
        for (text, expected) in [
            ("/etc/ca.pem".to_owned(), BundleError::TooShort.to_string()),
            (
                junk.clone(),
                "error when parsing block 1: invalid PEM data".to_owned(),
            ),
            (
                pem.clone() + &junk,
                "error when parsing block 2: invalid PEM data".to_owned(),
            ),
            (
                leaf.clone(),
                format!("Error parsing issuer 0: Refusing to import non-CA certificate\n{leaf}"),
            ),
        ] {
            assert_eq!(
                Bundle::parse(&text, Keys::Allow).unwrap_err().to_string(),
                expected
            );
        }
        let request = pem.clone() + &pem::encode("CERTIFICATE REQUEST", &[0x30; 60]);
        let error = Bundle::parse(&request, Keys::Allow)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(
                "Error parsing key 0: failed to parse PEM block: got errors attempting"
            ),
            "{error}"
        );
        let broken = pem + &pem::encode("CERTIFICATE", &[0x30; 60]);
        let error = Bundle::parse(&broken, Keys::Allow).unwrap_err().to_string();
        assert!(
            error.starts_with("Error parsing issuer 1: unable to parse"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in ".{75,200}") {
            let _ = Bundle::parse(&text, Keys::Allow);
        }
    }
}
