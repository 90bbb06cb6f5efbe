//! Signature algorithms, their names and their `AlgorithmIdentifier`s.

use aws_lc_rs::digest;
use const_oid::ObjectIdentifier;

use super::{KeyError, KeyKind, MlDsa};
use crate::asn1::{Malformed, Reader, Writer, tag};
use crate::oid;
use crate::plan::SignaturePreference;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    Ecdsa(Hash),
    Ed25519,
    MlDsa(MlDsa),
    RsaPkcs1(Hash),
    /// MGF1 with the same hash, salt as long as the hash.
    RsaPss(Hash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// For checking what others signed and for identifiers; nothing is signed with it.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl SignatureAlgorithm {
    /// The algorithm an issuer with this key signs certificates and requests with.
    #[must_use]
    pub fn choose(key: KeyKind, preference: SignaturePreference) -> Self {
        let asked = match preference.hash_bits {
            256 => Some(Hash::Sha256),
            384 => Some(Hash::Sha384),
            512 => Some(Hash::Sha512),
            _ => None,
        };
        match key {
            KeyKind::Ec(curve) if preference.ecdsa_by_curve => Self::Ecdsa(curve.hash()),
            KeyKind::Ec(curve) => Self::Ecdsa(asked.unwrap_or(curve.hash())),
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::MlDsa(set) => Self::MlDsa(set),
            KeyKind::Rsa { .. } if preference.pss => Self::RsaPss(asked.unwrap_or(Hash::Sha256)),
            KeyKind::Rsa { .. } => Self::RsaPkcs1(asked.unwrap_or(Hash::Sha256)),
        }
    }

    /// The algorithm for CRLs and OCSP responses when none is configured.
    #[must_use]
    pub fn default_for(key: KeyKind) -> Self {
        Self::choose(key, SignaturePreference::default())
    }

    /// Name as in Vault's `revocation_signature_algorithm`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa(Hash::Sha1) => "ECDSAWithSHA1",
            Self::Ecdsa(Hash::Sha256) => "ECDSAWithSHA256",
            Self::Ecdsa(Hash::Sha384) => "ECDSAWithSHA384",
            Self::Ecdsa(Hash::Sha512) => "ECDSAWithSHA512",
            Self::Ed25519 => "Ed25519",
            Self::MlDsa(MlDsa::MlDsa44) => "MLDSA44",
            Self::MlDsa(MlDsa::MlDsa65) => "MLDSA65",
            Self::MlDsa(MlDsa::MlDsa87) => "MLDSA87",
            Self::RsaPkcs1(Hash::Sha1) => "SHA1WithRSA",
            Self::RsaPkcs1(Hash::Sha256) => "SHA256WithRSA",
            Self::RsaPkcs1(Hash::Sha384) => "SHA384WithRSA",
            Self::RsaPkcs1(Hash::Sha512) => "SHA512WithRSA",
            Self::RsaPss(Hash::Sha1) => "SHA1WithRSAPSS",
            Self::RsaPss(Hash::Sha256) => "SHA256WithRSAPSS",
            Self::RsaPss(Hash::Sha384) => "SHA384WithRSAPSS",
            Self::RsaPss(Hash::Sha512) => "SHA512WithRSAPSS",
        }
    }

    /// Undoes [`Self::name`], in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("PureEd25519") {
            return Some(Self::Ed25519);
        }
        SIGNING
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    #[must_use]
    pub fn fits(self, key: KeyKind) -> bool {
        match (self, key) {
            (Self::Ecdsa(_), KeyKind::Ec(_))
            | (Self::Ed25519, KeyKind::Ed25519)
            | (Self::RsaPkcs1(_) | Self::RsaPss(_), KeyKind::Rsa { .. }) => true,
            (Self::MlDsa(own), KeyKind::MlDsa(other)) => own == other,
            _ => false,
        }
    }

    /// The same hash with PKCS #1 v1.5 padding if this is RSASSA-PSS.
    #[must_use]
    pub fn without_pss(self) -> Self {
        match self {
            Self::RsaPss(hash) => Self::RsaPkcs1(hash),
            other => other,
        }
    }

    /// The preference that makes [`Self::choose`] give this algorithm for a key it fits.
    #[must_use]
    pub fn to_preference(self) -> SignaturePreference {
        let (hash, pss) = match self {
            Self::Ecdsa(hash) | Self::RsaPkcs1(hash) => (Some(hash), false),
            Self::RsaPss(hash) => (Some(hash), true),
            Self::Ed25519 | Self::MlDsa(_) => (None, false),
        };
        SignaturePreference {
            hash_bits: match hash {
                Some(Hash::Sha256) => 256,
                Some(Hash::Sha384) => 384,
                Some(Hash::Sha512) => 512,
                Some(Hash::Sha1) | None => 0,
            },
            pss,
            ecdsa_by_curve: false,
        }
    }

    /// `AlgorithmIdentifier`: parameters are NULL for PKCS #1 v1.5 (RFC 4055 §5), written out for
    /// PSS (§3.1) and absent otherwise (RFC 5758 §3.2, RFC 8410 §3, RFC 9881 §2).
    pub(crate) fn write_identifier(self, writer: &mut Writer) {
        writer.sequence(|writer| {
            writer.oid(self.oid());
            match self {
                Self::RsaPkcs1(_) => writer.null(),
                Self::RsaPss(hash) => write_pss_parameters(writer, hash),
                Self::Ecdsa(_) | Self::Ed25519 | Self::MlDsa(_) => {}
            }
        });
    }

    /// Reads an `AlgorithmIdentifier`, given whole.
    pub(crate) fn from_identifier(der: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::inside(der, tag::SEQUENCE)?;
        let oid = reader.oid()?;
        if oid == oid::RSASSA_PSS {
            return read_pss_parameters(&mut reader)?.ok_or(KeyError::UnknownSignatureAlgorithm);
        }
        EVERY
            .into_iter()
            .find(|algorithm| algorithm.oid() == oid)
            .ok_or(KeyError::UnknownSignatureAlgorithm)
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Ecdsa(Hash::Sha1) => oid::ECDSA_WITH_SHA1,
            Self::Ecdsa(Hash::Sha256) => oid::ECDSA_WITH_SHA256,
            Self::Ecdsa(Hash::Sha384) => oid::ECDSA_WITH_SHA384,
            Self::Ecdsa(Hash::Sha512) => oid::ECDSA_WITH_SHA512,
            Self::Ed25519 => oid::ED25519,
            Self::MlDsa(set) => set.oid(),
            Self::RsaPkcs1(Hash::Sha1) => oid::SHA1_WITH_RSA,
            Self::RsaPkcs1(Hash::Sha256) => oid::SHA256_WITH_RSA,
            Self::RsaPkcs1(Hash::Sha384) => oid::SHA384_WITH_RSA,
            Self::RsaPkcs1(Hash::Sha512) => oid::SHA512_WITH_RSA,
            Self::RsaPss(_) => oid::RSASSA_PSS,
        }
    }
}

impl std::fmt::Display for SignatureAlgorithm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Hash {
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
        }
    }

    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|hash| hash.oid() == oid)
    }

    pub(crate) fn digest(self, message: &[u8]) -> digest::Digest {
        digest::digest(self.algorithm(), message)
    }

    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1).
fn write_pss_parameters(writer: &mut Writer, hash: Hash) {
    let write_hash = |writer: &mut Writer| {
        writer.sequence(|writer| {
            writer.oid(hash.oid());
            writer.null();
        });
    };
    writer.sequence(|writer| {
        writer.nested(tag::explicit(0), write_hash);
        writer.nested(tag::explicit(1), |writer| {
            writer.sequence(|writer| {
                writer.oid(oid::MGF1);
                write_hash(writer);
            });
        });
        writer.nested(tag::explicit(2), |writer| {
            let salt_length = hash.algorithm().output_len();
            writer.small_unsigned(u64::try_from(salt_length).unwrap_or_default());
        });
    });
}

/// `None` for parameters other than those that [`write_pss_parameters`] writes; the hashes may lack
/// their NULL.
fn read_pss_parameters(reader: &mut Reader<'_>) -> Result<Option<SignatureAlgorithm>, Malformed> {
    let mut parameters = reader.sequence()?;
    let hash = parameters.nested(tag::explicit(0))?.sequence()?.oid()?;
    let mut mask = parameters.nested(tag::explicit(1))?.sequence()?;
    let (mask_function, mask_hash) = (mask.oid()?, mask.sequence()?.oid()?);
    let salt_length = parameters
        .nested(tag::explicit(2))?
        .take(tag::INTEGER)?
        .small_unsigned()?;
    let known = Hash::from_oid(hash).filter(|known| {
        mask_function == oid::MGF1
            && mask_hash == hash
            && u64::try_from(known.algorithm().output_len()) == Ok(salt_length)
    });
    Ok(known.map(SignatureAlgorithm::RsaPss))
}

/// All that may be used for signing.
const SIGNING: [SignatureAlgorithm; 13] = [
    SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
    SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
    SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
    SignatureAlgorithm::RsaPss(Hash::Sha256),
    SignatureAlgorithm::RsaPss(Hash::Sha384),
    SignatureAlgorithm::RsaPss(Hash::Sha512),
    SignatureAlgorithm::Ecdsa(Hash::Sha256),
    SignatureAlgorithm::Ecdsa(Hash::Sha384),
    SignatureAlgorithm::Ecdsa(Hash::Sha512),
    SignatureAlgorithm::Ed25519,
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa44),
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa65),
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa87),
];

/// All that the OID alone tells apart, the usual ones first.
const EVERY: [SignatureAlgorithm; 12] = [
    SignatureAlgorithm::Ecdsa(Hash::Sha256),
    SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
    SignatureAlgorithm::Ecdsa(Hash::Sha384),
    SignatureAlgorithm::Ecdsa(Hash::Sha512),
    SignatureAlgorithm::Ed25519,
    SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
    SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
    SignatureAlgorithm::RsaPkcs1(Hash::Sha1),
    SignatureAlgorithm::Ecdsa(Hash::Sha1),
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa44),
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa65),
    SignatureAlgorithm::MlDsa(MlDsa::MlDsa87),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Curve;

    #[test]
    fn identifiers_and_names_parse_back() {
        for algorithm in SIGNING {
            let mut writer = Writer::default();
            algorithm.write_identifier(&mut writer);
            assert_eq!(
                SignatureAlgorithm::from_identifier(writer.as_bytes()),
                Ok(algorithm)
            );
            let lower = algorithm.name().to_lowercase();
            assert_eq!(SignatureAlgorithm::from_name(&lower), Some(algorithm));
            for kind in [KeyKind::Ec(Curve::P384), KeyKind::Rsa { bits: 2048 }] {
                if algorithm.fits(kind) {
                    let again = SignatureAlgorithm::choose(kind, algorithm.to_preference());
                    assert_eq!(again, algorithm);
                }
            }
        }
        assert_eq!(SignatureAlgorithm::from_name("SHA1WithRSA"), None);
    }

    #[test]
    fn the_key_of_the_issuer_decides() {
        let wish = |hash_bits, pss, ecdsa_by_curve| SignaturePreference {
            hash_bits,
            pss,
            ecdsa_by_curve,
        };
        let rsa = KeyKind::Rsa { bits: 2048 };
        let [p256, p384, p521] = [Curve::P256, Curve::P384, Curve::P521].map(KeyKind::Ec);
        for (key, preference, expected) in [
            (rsa, wish(0, false, false), "SHA256WithRSA"),
            (rsa, wish(512, false, true), "SHA512WithRSA"),
            (rsa, wish(999, true, false), "SHA256WithRSAPSS"),
            (rsa, wish(384, true, false), "SHA384WithRSAPSS"),
            (p256, wish(0, true, false), "ECDSAWithSHA256"),
            (p256, wish(512, false, false), "ECDSAWithSHA512"),
            (p256, wish(512, false, true), "ECDSAWithSHA256"),
            (p384, wish(0, false, false), "ECDSAWithSHA384"),
            (p384, wish(256, false, false), "ECDSAWithSHA256"),
            (p521, wish(7, false, false), "ECDSAWithSHA512"),
            (KeyKind::Ed25519, wish(512, true, false), "Ed25519"),
        ] {
            assert_eq!(SignatureAlgorithm::choose(key, preference).name(), expected);
        }
    }
}
