//! Private keys, parsed once and kept ready for signing.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RsaKeyPair, RsaSignatureEncoding,
};
use zeroize::Zeroizing;

use super::{Curve, Hash, KeyError, KeyKind, MlDsa, PublicKey, SignatureAlgorithm};
use crate::asn1::{Malformed, Reader, tag};
use crate::pem;

/// A private key. Its memory is wiped when it is dropped, and `Debug` shows the public key only.
pub struct PrivateKey {
    pair: Pair,
    public_key: PublicKey,
}

/// How a private key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    Pkcs8,
    /// PKCS #1 for RSA, SEC 1 for EC, PKCS #8 for the others.
    Traditional,
}

enum Pair {
    Ec(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(MlDsa, PqdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Makes a key with the cryptographic library's own generator. RSA sizes are 2048, 3072, 4096
    /// and 8192.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let failed = |_| KeyError::GenerationFailed;
        let pair = match kind {
            KeyKind::Ec(curve) => {
                let (algorithm, _) = ec_signing(curve).ok_or(KeyError::Unsupported(kind))?;
                Pair::Ec(curve, EcdsaKeyPair::generate(algorithm).map_err(failed)?)
            }
            KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyKind::MlDsa(set) => Pair::MlDsa(
                set,
                PqdsaKeyPair::generate(ml_dsa_signing(set)).map_err(failed)?,
            ),
            KeyKind::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    _ => return Err(KeyError::Unsupported(kind)),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
        };
        Self::from_pair(pair)
    }

    /// Reads SEC 1, PKCS #1 or PKCS #8, whichever it is.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let pair = parse_ec(der)
            .or_else(|| RsaKeyPair::from_der(der).ok().map(Pair::Rsa))
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Pair::Rsa))
            .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(Pair::Ed25519))
            .or_else(|| parse_ml_dsa(der))
            .ok_or(KeyError::Unparsable)?;
        Self::from_pair(pair)
    }

    /// Reads the first PEM block, whatever its label.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (block, _) = pem::next_block(text).ok_or(KeyError::Unparsable)?;
        Self::from_der(&block.der)
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.public_key.kind()
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        const FAILED: KeyError = KeyError::SigningFailed;
        let rng = SystemRandom::new();
        match (&self.pair, algorithm) {
            (Pair::Ec(curve, pair), SignatureAlgorithm::Ecdsa(hash)) if hash != Hash::Sha1 => {
                let signature = if curve.hash() == hash {
                    pair.sign(&rng, message)
                } else {
                    pair.sign_digest(&fit_digest(*curve, hash, message)?)
                };
                Ok(signature.map_err(|_| FAILED)?.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), SignatureAlgorithm::Ed25519) => {
                let signature = pair.try_sign(message).map_err(|_| FAILED)?;
                Ok(signature.as_ref().to_vec())
            }
            (Pair::MlDsa(own, pair), SignatureAlgorithm::MlDsa(asked)) if *own == asked => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).map_err(|_| FAILED)?;
                signature.truncate(length);
                Ok(signature)
            }
            (Pair::Rsa(pair), _) => {
                let padding = rsa_signing(algorithm).ok_or(KeyError::Mismatch { algorithm })?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &rng, message, &mut signature)
                    .map_err(|_| FAILED)?;
                Ok(signature)
            }
            _ => Err(KeyError::Mismatch { algorithm }),
        }
    }

    pub fn to_der(&self, format: KeyFormat) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        const FAILED: KeyError = KeyError::Malformed(Malformed("key cannot be written"));
        Ok(Zeroizing::new(match (&self.pair, format) {
            (Pair::Ec(_, pair), KeyFormat::Traditional) => {
                let der: EcPrivateKeyRfc5915Der<'_> =
                    pair.private_key().as_der().map_err(|_| FAILED)?;
                der.as_ref().to_vec()
            }
            (Pair::Ec(_, pair), KeyFormat::Pkcs8) => {
                pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec()
            }
            (Pair::Ed25519(pair), _) => pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec(),
            (Pair::MlDsa(_, pair), _) => pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec(),
            (Pair::Rsa(pair), format) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| FAILED)?;
                match format {
                    KeyFormat::Pkcs8 => der.as_ref().to_vec(),
                    KeyFormat::Traditional => pkcs8_private_key(der.as_ref())?.to_vec(),
                }
            }
        }))
    }

    /// Without a newline at the end.
    pub fn to_pem(&self, format: KeyFormat) -> Result<Zeroizing<String>, KeyError> {
        let label = match (&self.pair, format) {
            (Pair::Ec(..), KeyFormat::Traditional) => "EC PRIVATE KEY",
            (Pair::Rsa(_), KeyFormat::Traditional) => "RSA PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let der = self.to_der(format)?;
        Ok(Zeroizing::new(pem::encode_without_newline(label, &der)))
    }

    fn from_pair(pair: Pair) -> Result<Self, KeyError> {
        let (kind, key) = match &pair {
            Pair::Ec(curve, pair) => (KeyKind::Ec(*curve), pair.public_key().as_ref()),
            Pair::Ed25519(pair) => (KeyKind::Ed25519, pair.public_key().as_ref()),
            Pair::MlDsa(set, pair) => (KeyKind::MlDsa(*set), pair.public_key().as_ref()),
            Pair::Rsa(pair) => (KeyKind::Rsa { bits: 0 }, pair.public_key().as_ref()),
        };
        // Read back, which also learns the size of an RSA key.
        let public_key = PublicKey::from_spki_der(PublicKey::from_parts(kind, key).spki_der())?;
        Ok(Self { pair, public_key })
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PrivateKey")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

fn parse_ec(der: &[u8]) -> Option<Pair> {
    [Curve::P256, Curve::P384, Curve::P521]
        .into_iter()
        .find_map(|curve| {
            let (algorithm, _) = ec_signing(curve)?;
            let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
            Some(Pair::Ec(curve, pair))
        })
}

fn parse_ml_dsa(der: &[u8]) -> Option<Pair> {
    [MlDsa::MlDsa44, MlDsa::MlDsa65, MlDsa::MlDsa87]
        .into_iter()
        .find_map(|set| {
            let pair = PqdsaKeyPair::from_pkcs8(ml_dsa_signing(set), der).ok()?;
            Some(Pair::MlDsa(set, pair))
        })
}

/// Content of `privateKey` of a PKCS #8 structure (RFC 5958 §2).
fn pkcs8_private_key(der: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::inside(der, tag::SEQUENCE)?;
    reader.take(tag::INTEGER)?;
    reader.sequence()?;
    Ok(reader.take(tag::OCTET_STRING)?.content)
}

/// Signing algorithm with the curve's own hash, and the length of that hash.
fn ec_signing(curve: Curve) -> Option<(&'static EcdsaSigningAlgorithm, usize)> {
    match curve {
        Curve::P224 => None,
        Curve::P256 => Some((&signature::ECDSA_P256_SHA256_ASN1_SIGNING, 32)),
        Curve::P384 => Some((&signature::ECDSA_P384_SHA384_ASN1_SIGNING, 48)),
        Curve::P521 => Some((&signature::ECDSA_P521_SHA512_ASN1_SIGNING, 64)),
    }
}

fn ml_dsa_signing(set: MlDsa) -> &'static PqdsaSigningAlgorithm {
    match set {
        MlDsa::MlDsa44 => &signature::ML_DSA_44_SIGNING,
        MlDsa::MlDsa65 => &signature::ML_DSA_65_SIGNING,
        MlDsa::MlDsa87 => &signature::ML_DSA_87_SIGNING,
    }
}

fn rsa_signing(algorithm: SignatureAlgorithm) -> Option<&'static RsaSignatureEncoding> {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha256) => Some(&signature::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384) => Some(&signature::RSA_PKCS1_SHA384),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512) => Some(&signature::RSA_PKCS1_SHA512),
        SignatureAlgorithm::RsaPss(Hash::Sha256) => Some(&signature::RSA_PSS_SHA256),
        SignatureAlgorithm::RsaPss(Hash::Sha384) => Some(&signature::RSA_PSS_SHA384),
        SignatureAlgorithm::RsaPss(Hash::Sha512) => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// The digest of `message` as a digest of the curve's own hash length with the same meaning.
///
/// The library signs only digests of the curve's own hash. ECDSA takes the leftmost bits of a
/// digest as an integer (FIPS 186-5 §6.4.1), so cutting a longer digest to the length of the curve
/// or putting zeros before a shorter one changes nothing.
fn fit_digest(curve: Curve, hash: Hash, message: &[u8]) -> Result<Digest, KeyError> {
    let digest = hash.digest(message);
    let (_, length) = ec_signing(curve).ok_or(KeyError::SigningFailed)?;
    let missing = length.saturating_sub(digest.as_ref().len());
    let fitted: Vec<u8> = std::iter::repeat_n(0, missing)
        .chain(digest.as_ref().iter().copied())
        .take(length)
        .collect();
    Digest::import_less_safe(&fitted, curve.hash().algorithm()).map_err(|_| KeyError::SigningFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> [KeyKind; 6] {
        [
            KeyKind::Ec(Curve::P256),
            KeyKind::Ec(Curve::P384),
            KeyKind::Ec(Curve::P521),
            KeyKind::Ed25519,
            KeyKind::MlDsa(MlDsa::MlDsa44),
            KeyKind::Rsa { bits: 2048 },
        ]
    }

    #[test]
    fn every_format_parses_back_to_the_same_key() {
        for kind in kinds() {
            let key = PrivateKey::generate(kind).unwrap();
            assert_eq!(key.kind(), kind);
            for format in [KeyFormat::Pkcs8, KeyFormat::Traditional] {
                let pem = key.to_pem(format).unwrap();
                let again = PrivateKey::from_pem(&pem).unwrap();
                assert_eq!(again.public_key(), key.public_key());
                assert_eq!(again.to_pem(format).unwrap(), pem);
            }
        }
    }

    #[test]
    fn every_fitting_algorithm_signs_what_the_public_key_verifies() {
        let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
        let mut algorithms: Vec<_> = hashes.map(SignatureAlgorithm::Ecdsa).into();
        algorithms.extend(hashes.map(SignatureAlgorithm::RsaPkcs1));
        algorithms.extend(hashes.map(SignatureAlgorithm::RsaPss));
        algorithms.extend([
            SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::MlDsa(MlDsa::MlDsa44),
        ]);
        for kind in kinds() {
            let key = PrivateKey::generate(kind).unwrap();
            for algorithm in algorithms.iter().copied() {
                let signature = key.sign(algorithm, b"message");
                assert_eq!(
                    signature.is_ok(),
                    algorithm.fits(kind),
                    "{kind:?} {algorithm}"
                );
                if let Ok(signature) = signature {
                    let public = key.public_key();
                    assert_eq!(public.verify(algorithm, b"message", &signature), Ok(()));
                    assert_eq!(
                        public.verify(algorithm, b"massage", &signature),
                        Err(KeyError::SignatureInvalid)
                    );
                }
            }
        }
    }

    #[test]
    fn debug_shows_no_private_part() {
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        let shown = format!("{key:?}");
        assert!(
            shown.starts_with("PrivateKey { public_key: PublicKey(Ed25519, "),
            "{shown}"
        );
        assert!(shown.ends_with("), .. }"), "{shown}");
    }

    #[test]
    fn refuses_kinds_that_cannot_be_made() {
        for kind in [KeyKind::Ec(Curve::P224), KeyKind::Rsa { bits: 1024 }] {
            assert_eq!(
                PrivateKey::generate(kind).err(),
                Some(KeyError::Unsupported(kind))
            );
        }
    }

    #[test]
    fn refuses_bytes_that_are_no_key() {
        for der in [&b""[..], b"\x30\x00", &[0x30; 100]] {
            assert_eq!(PrivateKey::from_der(der).err(), Some(KeyError::Unparsable));
        }
    }
}
