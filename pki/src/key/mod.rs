//! Keys and signatures.

mod algorithm;
mod private;
mod public;

use const_oid::ObjectIdentifier;

pub use algorithm::{Hash, SignatureAlgorithm};
pub use private::{KeyFormat, PrivateKey};
pub use public::PublicKey;

use crate::asn1::Malformed;
use crate::oid;

/// Kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    Ec(Curve),
    Ed25519,
    MlDsa(MlDsa),
    Rsa { bits: u32 },
}

/// NIST curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// Recognized, but keys on it can neither be made nor used.
    P224,
    P256,
    P384,
    P521,
}

/// Parameter sets of FIPS 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MlDsa {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("key generation failed")]
    GenerationFailed,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("signature algorithm {algorithm} does not fit the key")]
    Mismatch { algorithm: SignatureAlgorithm },
    #[error("signature does not match")]
    SignatureInvalid,
    #[error("signing failed")]
    SigningFailed,
    #[error("unknown public key algorithm {0}")]
    UnknownAlgorithm(ObjectIdentifier),
    #[error("x509: unsupported elliptic curve")]
    UnknownCurve,
    #[error("unknown signature algorithm")]
    UnknownSignatureAlgorithm,
    /// No private key in any of the accepted encodings.
    #[error(
        "got errors attempting to parse DER private key:\n1. not a supported EC private key\n\
         2. not a supported PKCS#1 private key\n3. not a supported PKCS#8 private key"
    )]
    Unparsable,
    #[error("keys of this kind or size are not supported: {0:?}")]
    Unsupported(KeyKind),
}

impl KeyKind {
    /// `ec`, `ed25519`, `mldsa` or `rsa`, as Vault's `key_type`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Ec(_) => "ec",
            Self::Ed25519 => "ed25519",
            Self::MlDsa(_) => "mldsa",
            Self::Rsa { .. } => "rsa",
        }
    }

    /// As Vault's `key_bits`: 0 for Ed25519, the number of the parameter set for ML-DSA.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Ec(curve) => curve.bits(),
            Self::Ed25519 => 0,
            Self::MlDsa(MlDsa::MlDsa44) => 44,
            Self::MlDsa(MlDsa::MlDsa65) => 65,
            Self::MlDsa(MlDsa::MlDsa87) => 87,
            Self::Rsa { bits } => bits,
        }
    }
}

impl Curve {
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::P224 => 224,
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            oid::SECP224R1 => Some(Self::P224),
            oid::SECP256R1 => Some(Self::P256),
            oid::SECP384R1 => Some(Self::P384),
            oid::SECP521R1 => Some(Self::P521),
            _ => None,
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P224 => oid::SECP224R1,
            Self::P256 => oid::SECP256R1,
            Self::P384 => oid::SECP384R1,
            Self::P521 => oid::SECP521R1,
        }
    }

    /// Octets of an uncompressed point (SEC 1 §2.3.3).
    fn point_length(self) -> usize {
        match self {
            Self::P224 => 57,
            Self::P256 => 65,
            Self::P384 => 97,
            Self::P521 => 133,
        }
    }

    /// Hash that matches the strength of the curve.
    fn hash(self) -> Hash {
        match self {
            Self::P224 | Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }
}

impl MlDsa {
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            oid::ML_DSA_44 => Some(Self::MlDsa44),
            oid::ML_DSA_65 => Some(Self::MlDsa65),
            oid::ML_DSA_87 => Some(Self::MlDsa87),
            _ => None,
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::MlDsa44 => oid::ML_DSA_44,
            Self::MlDsa65 => oid::ML_DSA_65,
            Self::MlDsa87 => oid::ML_DSA_87,
        }
    }
}
