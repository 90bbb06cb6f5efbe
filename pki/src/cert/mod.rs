//! Certificates (RFC 5280 §4).

pub mod build;
pub mod check;

use std::ops::Range;

use const_oid::ObjectIdentifier;

use crate::asn1::{Malformed, Reader, tag};
use crate::ext::read;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::pem;
use crate::plan::{BasicConstraints, KeyUsage, RawExtension, SubjectAltNames};
use crate::serial::SerialNumber;
use crate::time::Validity;

/// A certificate as bytes, with what is often asked of it already read.
///
/// Equal if the bytes are.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    /// Where `tbsCertificate` is in `der`.
    signed: Range<usize>,
    /// Where the content of `signatureValue` starts in `der`.
    signature_start: usize,
    version: u64,
    serial: SerialNumber,
    issuer: Vec<u8>,
    validity: Validity,
    subject: Vec<u8>,
    public_key: PublicKey,
    extensions: Vec<RawExtension>,
    signature_algorithm: Option<SignatureAlgorithm>,
    basic_constraints: BasicConstraints,
    key_usage: Option<KeyUsage>,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("certificate contains no PEM data")]
    NoPemBlock,
    #[error("certificate is larger than {MAX_BYTES} bytes")]
    TooLarge,
}

impl Certificate {
    /// Reads the first PEM block, whatever its label.
    pub fn parse_pem(text: &str) -> Result<Self, CertificateError> {
        let (block, _) = pem::next_block(text).ok_or(CertificateError::NoPemBlock)?;
        Self::parse_der(block.der.to_vec())
    }

    pub fn parse_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        if der.len() > MAX_BYTES {
            return Err(CertificateError::TooLarge);
        }
        let mut outer = Reader::inside(&der, tag::SEQUENCE)?;
        let signed = outer.take(tag::SEQUENCE)?;
        let algorithm = outer.take(tag::SEQUENCE)?.whole;
        let signature_length = outer.bit_string()?.len();
        outer.finish()?;

        let mut tbs = signed.reader();
        let version = match tbs.optional(tag::explicit(0))? {
            Some(version) => version
                .reader()
                .take(tag::INTEGER)?
                .small_unsigned()?
                .saturating_add(1),
            None => 1,
        };
        let serial = SerialNumber::from_magnitude(tbs.take(tag::INTEGER)?.unsigned()?)?;
        if tbs.take(tag::SEQUENCE)?.whole != algorithm {
            return Err(Malformed("inner and outer signature algorithm differ").into());
        }
        let issuer = tbs.take(tag::SEQUENCE)?.whole.to_vec();
        let mut validity = tbs.sequence()?;
        let validity = Validity {
            not_before: validity.next()?.time()?,
            not_after: validity.next()?.time()?,
        };
        let subject = tbs.take(tag::SEQUENCE)?.whole.to_vec();
        let public_key = PublicKey::from_spki_der(tbs.take(tag::SEQUENCE)?.whole)?;
        tbs.optional(tag::implicit(1))?;
        tbs.optional(tag::implicit(2))?;
        let extensions = match tbs.optional(tag::explicit(3))? {
            Some(explicit) => read::extensions(explicit.reader().sequence()?)?,
            None => Vec::new(),
        };
        tbs.finish()?;

        let value = |oid| value_of(&extensions, oid);
        let basic_constraints = value(oid::BASIC_CONSTRAINTS).map(read::basic_constraints);
        let key_usage = value(oid::KEY_USAGE).map(read::key_usage);
        let subject_key_id = value(oid::SUBJECT_KEY_IDENTIFIER).map(read::subject_key_id);
        let authority_key_id = value(oid::AUTHORITY_KEY_IDENTIFIER).map(read::authority_key_id);
        let outer_header = der.len() - Reader::inside(&der, tag::SEQUENCE)?.remaining();
        Ok(Self {
            signed: outer_header..outer_header + signed.whole.len(),
            signature_start: der.len() - signature_length,
            version,
            serial,
            issuer,
            validity,
            subject,
            public_key,
            signature_algorithm: SignatureAlgorithm::from_identifier(algorithm).ok(),
            basic_constraints: basic_constraints
                .transpose()?
                .unwrap_or(BasicConstraints::Absent),
            key_usage: key_usage.transpose()?,
            subject_key_id: subject_key_id.transpose()?,
            authority_key_id: authority_key_id.transpose()?.flatten(),
            extensions,
            der,
        })
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// `tbsCertificate`, which is what was signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.der.get(self.signed.clone()).unwrap_or_default()
    }

    #[must_use]
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }

    /// With a newline at the end.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.der)
    }

    #[must_use]
    pub fn to_pem_without_newline(&self) -> String {
        pem::encode_without_newline(PEM_LABEL, &self.der)
    }

    /// 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    #[must_use]
    pub fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// DER of the issuer's `Name`.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// DER of the subject's `Name`.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// `None` if the algorithm is not known.
    #[must_use]
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        self.signature_algorithm
    }

    #[must_use]
    pub fn extensions(&self) -> &[RawExtension] {
        &self.extensions
    }

    /// Content of the extension's `extnValue`.
    #[must_use]
    pub fn extension_value(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        value_of(&self.extensions, oid)
    }

    #[must_use]
    pub fn basic_constraints(&self) -> BasicConstraints {
        self.basic_constraints
    }

    #[must_use]
    pub fn is_authority(&self) -> bool {
        matches!(self.basic_constraints, BasicConstraints::Authority { .. })
    }

    /// `None` for no limit, and for certificates that are no authority.
    #[must_use]
    pub fn path_len(&self) -> Option<u32> {
        match self.basic_constraints {
            BasicConstraints::Authority { path_len } => path_len,
            BasicConstraints::Absent | BasicConstraints::EndEntity => None,
        }
    }

    /// `None` if there is no such extension.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority_key_id.as_deref()
    }

    /// Empty if there is no such extension.
    pub fn subject_alt_names(&self) -> Result<SubjectAltNames, Malformed> {
        self.extension_value(oid::SUBJECT_ALT_NAME)
            .map(read::subject_alt_names)
            .transpose()
            .map(Option::unwrap_or_default)
    }

    /// Whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether subject and issuer are the same name and the certificate's own key signed it.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.verify_signature(&self.public_key).is_ok()
    }

    /// Whether `parent` bears the name of the issuer and signed this. Says nothing about whether it
    /// was allowed to.
    #[must_use]
    pub fn is_signed_by(&self, parent: &Self) -> bool {
        self.issuer == parent.subject && self.verify_signature(&parent.public_key).is_ok()
    }

    pub fn verify_signature(&self, signer: &PublicKey) -> Result<(), KeyError> {
        let algorithm = self
            .signature_algorithm
            .ok_or(KeyError::UnknownSignatureAlgorithm)?;
        let signature = self.der.get(self.signature_start..).unwrap_or_default();
        signer.verify(algorithm, self.tbs_der(), signature)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Certificate({})", self.serial)
    }
}

fn value_of(extensions: &[RawExtension], oid: ObjectIdentifier) -> Option<&[u8]> {
    extensions
        .iter()
        .find(|extension| extension.oid == oid)
        .map(|extension| extension.value.as_slice())
}

const PEM_LABEL: &str = "CERTIFICATE";

/// Ample for ML-DSA keys and signatures and a thousand names.
const MAX_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
