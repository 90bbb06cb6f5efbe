//! The signing side of an issuer, with everything encoded that its certificates share.

use std::sync::Arc;

use crate::asn1::Writer;
use crate::cert::Certificate;
use crate::ext::write;
use crate::key::{PrivateKey, PublicKey};
use crate::name_constraints::NameConstraints;
use crate::oid;
use crate::plan::KeyUsage;
use crate::time::UnixTime;

/// A certificate and its private key.
#[derive(Debug)]
pub struct Issuer {
    certificate: Certificate,
    key: Arc<PrivateKey>,
    key_id: Vec<u8>,
    extensions: IssuerExtensions,
    name_constraints: NameConstraints,
}

/// URLs about an issuer, already rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AiaUrls {
    pub ocsp_servers: Vec<String>,
    pub issuing_certificates: Vec<String>,
    pub crl_distribution_points: Vec<String>,
    pub delta_crl_distribution_points: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("private key does not belong to the certificate of the issuer")]
pub struct KeyMismatch;

impl Issuer {
    pub fn new(
        certificate: Certificate,
        key: Arc<PrivateKey>,
        urls: &AiaUrls,
    ) -> Result<Self, KeyMismatch> {
        if certificate.public_key() != key.public_key() {
            return Err(KeyMismatch);
        }
        let key_id = match certificate.subject_key_id() {
            Some(identifier) => identifier.to_vec(),
            None => certificate.public_key().subject_key_id().to_vec(),
        };
        Ok(Self {
            extensions: IssuerExtensions::new(&key_id, urls),
            name_constraints: NameConstraints::of(&certificate),
            certificate,
            key,
            key_id,
        })
    }

    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// The subject key identifier, which becomes the authority key identifier of what it signs.
    #[must_use]
    pub fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// `None` for no limit.
    #[must_use]
    pub fn path_len(&self) -> Option<u32> {
        self.certificate.path_len()
    }

    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.certificate.validity().not_after
    }

    /// Whether the certificate allows it to sign CRLs.
    #[must_use]
    pub fn can_sign_crls(&self) -> bool {
        self.certificate
            .key_usage()
            .is_some_and(|usage| usage.contains(KeyUsage::CRL_SIGN))
    }

    pub(crate) fn name_constraints(&self) -> &NameConstraints {
        &self.name_constraints
    }

    pub(crate) fn extensions(&self) -> &IssuerExtensions {
        &self.extensions
    }
}

/// Extensions that all certificates of an issuer have in common, each whole or empty.
#[derive(Clone, Debug)]
pub(crate) struct IssuerExtensions {
    pub(crate) authority_key_id: Vec<u8>,
    pub(crate) authority_info_access: Vec<u8>,
    pub(crate) crl_distribution_points: Vec<u8>,
    pub(crate) freshest_crl: Vec<u8>,
}

impl IssuerExtensions {
    pub(crate) fn new(key_id: &[u8], urls: &AiaUrls) -> Self {
        let (ocsp, issuing) = (&urls.ocsp_servers, &urls.issuing_certificates);
        let points = |oid, urls: &[String]| {
            encode_unless(urls.is_empty(), |writer| {
                write::distribution_points(writer, oid, urls);
            })
        };
        Self {
            authority_key_id: encode_unless(false, |writer| {
                write::authority_key_id(writer, key_id);
            }),
            authority_info_access: encode_unless(ocsp.is_empty() && issuing.is_empty(), |writer| {
                write::authority_info_access(writer, ocsp, issuing);
            }),
            crl_distribution_points: points(
                oid::CRL_DISTRIBUTION_POINTS,
                &urls.crl_distribution_points,
            ),
            freshest_crl: points(oid::FRESHEST_CRL, &urls.delta_crl_distribution_points),
        }
    }
}

fn encode_unless(empty: bool, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    if !empty {
        write(&mut writer);
    }
    writer.into_bytes()
}
