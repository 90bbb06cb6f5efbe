//! The signature algorithms of RFC 7518 §3.1 and RFC 8037 that a public key can verify.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use signet_pki::key::{Curve, KeyKind, PublicKey};

/// `none` and the algorithms with a shared secret have no value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Es256,
    Es384,
    Es512,
    EdDsa,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

const NAMES: [(Algorithm, &str); 10] = [
    (Algorithm::Es256, "ES256"),
    (Algorithm::Es384, "ES384"),
    (Algorithm::Es512, "ES512"),
    (Algorithm::EdDsa, "EdDSA"),
    (Algorithm::Ps256, "PS256"),
    (Algorithm::Ps384, "PS384"),
    (Algorithm::Ps512, "PS512"),
    (Algorithm::Rs256, "RS256"),
    (Algorithm::Rs384, "RS384"),
    (Algorithm::Rs512, "RS512"),
];

impl Algorithm {
    /// What [`Self::from_name`] takes.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// The algorithm of an `alg` header; names are compared with their case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(algorithm, _)| *algorithm)
    }

    /// Can a key of this kind make such signatures? One kind of elliptic curve has one algorithm.
    #[must_use]
    pub fn fits(self, key: KeyKind) -> bool {
        self.verifier(key).is_some()
    }

    /// Is `signature` one of `message` by `key`? False also where the key does not fit.
    #[must_use]
    pub(crate) fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        self.verifier(key.kind()).is_some_and(|verifier| {
            UnparsedPublicKey::new(verifier, key.subject_public_key())
                .verify(message, signature)
                .is_ok()
        })
    }

    fn verifier(self, key: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (self, key) {
            (Self::Es256, KeyKind::Ec(Curve::P256)) => &signature::ECDSA_P256_SHA256_FIXED,
            (Self::Es384, KeyKind::Ec(Curve::P384)) => &signature::ECDSA_P384_SHA384_FIXED,
            (Self::Es512, KeyKind::Ec(Curve::P521)) => &signature::ECDSA_P521_SHA512_FIXED,
            (Self::EdDsa, KeyKind::Ed25519) => &signature::ED25519,
            (Self::Ps256, KeyKind::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA256,
            (Self::Ps384, KeyKind::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA384,
            (Self::Ps512, KeyKind::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA512,
            (Self::Rs256, KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Self::Rs384, KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rs512, KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_the_algorithms_of_its_kind_only() {
        let fitting = |key| {
            let names = NAMES.iter().filter(|(algorithm, _)| algorithm.fits(key));
            names.map(|(_, name)| *name).collect::<Vec<_>>()
        };
        let rsa = ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
        assert_eq!(fitting(KeyKind::Rsa { bits: 2048 }), rsa);
        assert_eq!(fitting(KeyKind::Ec(Curve::P256)), ["ES256"]);
        assert_eq!(fitting(KeyKind::Ec(Curve::P384)), ["ES384"]);
        assert_eq!(fitting(KeyKind::Ec(Curve::P521)), ["ES512"]);
        assert_eq!(fitting(KeyKind::Ed25519), ["EdDSA"]);
    }

    #[test]
    fn shared_secrets_and_no_signature_are_no_algorithms() {
        for name in [
            "none", "None", "HS256", "HS384", "HS512", "rs256", "", "ES256K",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
