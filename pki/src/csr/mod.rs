//! Certificate requests (PKCS #10, RFC 2986).

pub mod build;

use crate::asn1::{Malformed, Reader, tag};
use crate::dn::NameView;
use crate::ext::read;
use crate::key::{Hash, KeyError, KeyKind, PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::pem;
use crate::plan::{RawExtension, SubjectAltNames};

/// A certificate request whose signature has not been looked at.
#[derive(Clone, Debug)]
pub struct Csr {
    /// `certificationRequestInfo`.
    signed: Vec<u8>,
    subject: Vec<u8>,
    name: NameView,
    public_key: Result<PublicKey, KeyError>,
    extensions: Vec<RawExtension>,
    alt_names: SubjectAltNames,
    signature_algorithm: Result<SignatureAlgorithm, KeyError>,
    signature: Vec<u8>,
}

/// A certificate request signed with the key it asks a certificate for.
#[derive(Debug)]
pub struct VerifiedCsr {
    csr: Csr,
    public_key: PublicKey,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    #[error("certificate request could not be parsed: {0}")]
    Key(KeyError),
    #[error("certificate request could not be parsed: {0}")]
    Malformed(#[from] Malformed),
    #[error("csr contains no data")]
    NoPemBlock,
    #[error("request signature invalid")]
    SignatureInvalid,
    #[error("certificate request could not be parsed: larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("signature of the request cannot be checked: keys of kind {0:?} are not supported")]
    UnsupportedKey(KeyKind),
}

impl Csr {
    /// Reads the first PEM block, whatever its label.
    pub fn parse_pem(text: &str) -> Result<Self, CsrError> {
        if text.len() > 2 * MAX_BYTES {
            return Err(CsrError::TooLarge);
        }
        let (block, _) = pem::next_block(text).ok_or(CsrError::NoPemBlock)?;
        Self::parse_der(&block.der)
    }

    pub fn parse_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_BYTES {
            return Err(CsrError::TooLarge);
        }
        let mut outer = Reader::inside(der, tag::SEQUENCE)?;
        let signed = outer.take(tag::SEQUENCE)?;
        let algorithm = outer.take(tag::SEQUENCE)?;
        let signature = outer.bit_string()?;
        outer.finish()?;

        let mut info = signed.reader();
        info.take(tag::INTEGER)?;
        let subject = info.take(tag::SEQUENCE)?;
        let public_key = match PublicKey::from_spki_der(info.take(tag::SEQUENCE)?.whole) {
            Err(error @ (KeyError::Malformed(_) | KeyError::UnknownCurve)) => {
                return Err(CsrError::Key(error));
            }
            other => other,
        };
        let extensions = match info.optional(tag::explicit(0))? {
            Some(attributes) => requested_extensions(attributes.reader())?,
            None => Vec::new(),
        };
        info.finish()?;
        let alt_names = extensions
            .iter()
            .find(|extension| extension.oid == oid::SUBJECT_ALT_NAME)
            .map(|extension| read::subject_alt_names(&extension.value))
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            signed: signed.whole.to_vec(),
            subject: subject.whole.to_vec(),
            name: NameView::parse(subject.whole)?,
            public_key,
            extensions,
            alt_names,
            signature_algorithm: SignatureAlgorithm::from_identifier(algorithm.whole),
            signature: signature.to_vec(),
        })
    }

    /// `certificationRequestInfo`, which is what was signed.
    #[must_use]
    pub fn info_der(&self) -> &[u8] {
        &self.signed
    }

    /// DER of the subject `Name`.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The last commonName of the subject, empty if there is none.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.name.common_name
    }

    /// The last serialNumber attribute of the subject, empty if there is none.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.name.serial_number
    }

    #[must_use]
    pub fn user_ids(&self) -> &[String] {
        &self.name.user_ids
    }

    /// Names of the requested `SubjectAltName` extension, in its order.
    #[must_use]
    pub fn alt_names(&self) -> &SubjectAltNames {
        &self.alt_names
    }

    /// All requested extensions, in their order, each OID once.
    #[must_use]
    pub fn extensions(&self) -> &[RawExtension] {
        &self.extensions
    }

    #[must_use]
    pub fn has_basic_constraints(&self) -> bool {
        self.extensions
            .iter()
            .any(|extension| extension.oid == oid::BASIC_CONSTRAINTS)
    }

    /// # Errors
    /// [`KeyError::UnknownAlgorithm`] for algorithms that are read but never accepted, such as DSA.
    pub fn public_key(&self) -> Result<&PublicKey, &KeyError> {
        self.public_key.as_ref()
    }

    /// Whether the signature, right or wrong, is over a hash that can be forged.
    #[must_use]
    pub fn is_signed_with_sha1(&self) -> bool {
        use SignatureAlgorithm::{Ecdsa, RsaPkcs1, RsaPss};
        matches!(
            self.signature_algorithm,
            Ok(Ecdsa(Hash::Sha1) | RsaPkcs1(Hash::Sha1) | RsaPss(Hash::Sha1))
        )
    }

    /// Checks that whoever asks holds the private key.
    pub fn verify(self) -> Result<VerifiedCsr, CsrError> {
        let (Ok(public_key), Ok(algorithm)) = (&self.public_key, &self.signature_algorithm) else {
            return Err(CsrError::SignatureInvalid);
        };
        public_key
            .verify(*algorithm, &self.signed, &self.signature)
            .map_err(|error| match error {
                KeyError::Unsupported(kind) => CsrError::UnsupportedKey(kind),
                _ => CsrError::SignatureInvalid,
            })?;
        let public_key = public_key.clone();
        Ok(VerifiedCsr {
            csr: self,
            public_key,
        })
    }
}

impl VerifiedCsr {
    #[must_use]
    pub fn csr(&self) -> &Csr {
        &self.csr
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    #[must_use]
    pub fn into_public_key(self) -> PublicKey {
        self.public_key
    }
}

/// Extensions of all `extensionRequest` attributes (RFC 2985 §5.4.2). Other attributes are passed
/// over without a look inside.
fn requested_extensions(mut attributes: Reader<'_>) -> Result<Vec<RawExtension>, Malformed> {
    let mut requested: Vec<RawExtension> = Vec::new();
    while !attributes.is_empty() {
        let mut attribute = attributes.sequence()?;
        if attribute.oid()? != oid::EXTENSION_REQUEST {
            continue;
        }
        let mut values = attribute.nested(tag::SET)?;
        for extension in read::extensions(values.sequence()?)? {
            if requested.iter().any(|earlier| earlier.oid == extension.oid) {
                return Err(Malformed("extension is requested twice"));
            }
            requested.push(extension);
        }
        if requested.len() > MAX_EXTENSIONS {
            return Err(Malformed("too many extensions"));
        }
    }
    Ok(requested)
}

/// Ample for an RSA key of 8192 bits and a thousand names.
const MAX_BYTES: usize = 64 * 1024;
const MAX_EXTENSIONS: usize = 128;

#[cfg(test)]
mod tests;
