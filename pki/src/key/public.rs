//! Public keys as `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::{Curve, Hash, KeyError, KeyKind, MlDsa, SignatureAlgorithm};
use crate::asn1::{Malformed, Reader, Writer, tag};
use crate::oid;

/// A public key of a known kind. Equal if the `SubjectPublicKeyInfo` is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki: Box<[u8]>,
    kind: KeyKind,
    /// Where the content of the BIT STRING starts; it goes to the end.
    key_start: usize,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::inside(spki, tag::SEQUENCE)?;
        let mut algorithm = reader.sequence()?;
        let key = reader.bit_string()?;
        reader.finish()?;
        let kind = match algorithm.oid()? {
            oid::RSA_ENCRYPTION => {
                algorithm.take(tag::NULL)?;
                KeyKind::Rsa {
                    bits: rsa_bits(key)?,
                }
            }
            oid::EC_PUBLIC_KEY => {
                let curve = Curve::from_oid(algorithm.oid()?).ok_or(KeyError::UnknownCurve)?;
                if key.len() != curve.point_length() || key.first() != Some(&4) {
                    return Err(Malformed("point of the elliptic curve is not uncompressed").into());
                }
                KeyKind::Ec(curve)
            }
            oid::ED25519 => KeyKind::Ed25519,
            other => {
                KeyKind::MlDsa(MlDsa::from_oid(other).ok_or(KeyError::UnknownAlgorithm(other))?)
            }
        };
        algorithm.finish()?;
        let expected_length = match kind {
            KeyKind::Ed25519 => 32,
            KeyKind::MlDsa(MlDsa::MlDsa44) => 1312,
            KeyKind::MlDsa(MlDsa::MlDsa65) => 1952,
            KeyKind::MlDsa(MlDsa::MlDsa87) => 2592,
            KeyKind::Ec(_) | KeyKind::Rsa { .. } => key.len(),
        };
        if key.len() != expected_length {
            return Err(Malformed("public key has the wrong length").into());
        }
        Ok(Self {
            spki: spki.into(),
            kind,
            key_start: spki.len().saturating_sub(key.len()),
        })
    }

    /// From the content of the BIT STRING, which has to be a key of this kind.
    pub(super) fn from_parts(kind: KeyKind, key: &[u8]) -> Self {
        let mut writer = Writer::with_capacity(key.len() + 32);
        writer.sequence(|writer| {
            writer.sequence(|writer| match kind {
                KeyKind::Ec(curve) => {
                    writer.oid(oid::EC_PUBLIC_KEY);
                    writer.oid(curve.oid());
                }
                KeyKind::Ed25519 => writer.oid(oid::ED25519),
                KeyKind::MlDsa(set) => writer.oid(set.oid()),
                KeyKind::Rsa { .. } => {
                    writer.oid(oid::RSA_ENCRYPTION);
                    writer.null();
                }
            });
            writer.bit_string(key);
        });
        let spki = writer.into_bytes().into_boxed_slice();
        Self {
            key_start: spki.len().saturating_sub(key.len()),
            spki,
            kind,
        }
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Content of `subjectPublicKey`.
    #[must_use]
    pub fn subject_public_key(&self) -> &[u8] {
        self.spki.get(self.key_start..).unwrap_or_default()
    }

    /// SHA-1 of `subjectPublicKey` (RFC 5280 §4.2.1.2, method 1).
    #[must_use]
    pub fn subject_key_id(&self) -> [u8; 20] {
        Hash::Sha1
            .digest(self.subject_public_key())
            .as_ref()
            .try_into()
            .unwrap_or_default()
    }

    /// Checks `signature` over `message`.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        let verifier = self.verifier(algorithm)?;
        UnparsedPublicKey::new(verifier, self.subject_public_key())
            .verify(message, signature)
            .map_err(|_| KeyError::SignatureInvalid)
    }

    fn verifier(
        &self,
        algorithm: SignatureAlgorithm,
    ) -> Result<&'static dyn VerificationAlgorithm, KeyError> {
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        Ok(match (self.kind, algorithm) {
            (KeyKind::Ec(Curve::P256), Ecdsa(Hash::Sha1)) => &signature::ECDSA_P256_SHA1_ASN1,
            (KeyKind::Ec(Curve::P256), Ecdsa(Hash::Sha256)) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::Ec(Curve::P256), Ecdsa(Hash::Sha384)) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::Ec(Curve::P256), Ecdsa(Hash::Sha512)) => &signature::ECDSA_P256_SHA512_ASN1,
            (KeyKind::Ec(Curve::P384), Ecdsa(Hash::Sha256)) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::Ec(Curve::P384), Ecdsa(Hash::Sha384)) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::Ec(Curve::P384), Ecdsa(Hash::Sha512)) => &signature::ECDSA_P384_SHA512_ASN1,
            (KeyKind::Ec(Curve::P521), Ecdsa(Hash::Sha1)) => &signature::ECDSA_P521_SHA1_ASN1,
            (KeyKind::Ec(Curve::P521), Ecdsa(Hash::Sha256)) => &signature::ECDSA_P521_SHA256_ASN1,
            (KeyKind::Ec(Curve::P521), Ecdsa(Hash::Sha384)) => &signature::ECDSA_P521_SHA384_ASN1,
            (KeyKind::Ec(Curve::P521), Ecdsa(Hash::Sha512)) => &signature::ECDSA_P521_SHA512_ASN1,
            (KeyKind::Ec(Curve::P224), Ecdsa(_)) => return Err(KeyError::Unsupported(self.kind)),
            (KeyKind::Ed25519, Ed25519) => &signature::ED25519,
            (KeyKind::MlDsa(own), SignatureAlgorithm::MlDsa(other)) if own == other => match own {
                MlDsa::MlDsa44 => &signature::ML_DSA_44,
                MlDsa::MlDsa65 => &signature::ML_DSA_65,
                MlDsa::MlDsa87 => &signature::ML_DSA_87,
            },
            (KeyKind::Rsa { .. }, RsaPkcs1(hash)) => match hash {
                Hash::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            },
            (KeyKind::Rsa { .. }, RsaPss(Hash::Sha256)) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa { .. }, RsaPss(Hash::Sha384)) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa { .. }, RsaPss(Hash::Sha512)) => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return Err(KeyError::Mismatch { algorithm }),
        })
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PublicKey({:?}, ", self.kind)?;
        for octet in self.subject_key_id() {
            write!(formatter, "{octet:02x}")?;
        }
        formatter.write_str(")")
    }
}

/// Size of the modulus of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Result<u32, Malformed> {
    let mut reader = Reader::inside(key, tag::SEQUENCE)?;
    let modulus = reader.take(tag::INTEGER)?.unsigned()?;
    let exponent = reader.take(tag::INTEGER)?.unsigned()?;
    reader.finish()?;
    let (Some(high), false) = (modulus.first(), exponent.is_empty()) else {
        return Err(Malformed(
            "RSA modulus or exponent is not a positive number",
        ));
    };
    let bits = modulus.len() * 8;
    u32::try_from(bits)
        .map(|bits| bits - high.leading_zeros())
        .map_err(|_| Malformed("RSA modulus is too large"))
}
