//! The public keys that may have signed a token.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::{AnyRef, BitString, UintRef};
use der::{Encode, Sequence};
use serde::Deserialize;
use serde_json::{Value, json};
use signet_pki::cert::Certificate;
use signet_pki::key::PublicKey;
use signet_pki::{oid, pem};
use thiserror::Error;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::Algorithm;

/// Keys with the ids and algorithms they are bound to.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    /// The only algorithm the key is for; `None` for all that fit its kind.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) public: PublicKey,
}

/// Keys that are taken from one document; issuers have a handful.
const MAX_KEYS: usize = 128;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeySetError {
    #[error("not a JSON Web Key Set: {0}")]
    NotAKeySet(String),
    #[error("data does not contain any valid public keys")]
    NoKeys,
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517 §5). Keys that are not for verifying signatures, or of a
    /// kind that is not known here, are passed over, as §5 asks.
    ///
    /// # Errors
    /// When it is not one, or no key of it can be used.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|error| KeySetError::NotAKeySet(error.to_string()))?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let jwks = document.keys.into_iter();
        let keys = jwks.filter_map(|value| serde_json::from_value::<Jwk>(value).ok()?.key());
        Self::of(keys.collect())
    }

    /// Reads public keys and certificates in PEM. They have no ids: each is tried.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_pem(text: &str) -> Result<Self, KeySetError> {
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some((block, after)) = pem::next_block(rest) {
            rest = after;
            let public = match block.label {
                "PUBLIC KEY" => PublicKey::from_spki_der(&block.der).ok(),
                "CERTIFICATE" => Certificate::parse_der(block.der.to_vec())
                    .ok()
                    .map(|certificate| certificate.public_key().clone()),
                _ => None,
            };
            keys.extend(public.map(|public| Key {
                id: None,
                algorithm: None,
                public,
            }));
            if keys.len() > MAX_KEYS {
                return Err(KeySetError::TooMany);
            }
        }
        Self::of(keys)
    }

    /// The keys of several sets as one.
    #[must_use]
    pub fn joined(sets: impl IntoIterator<Item = Self>) -> Self {
        let keys = sets.into_iter().flat_map(|set| set.keys).collect();
        Self { keys }
    }

    fn of(keys: Vec<Key>) -> Result<Self, KeySetError> {
        if keys.is_empty() {
            return Err(KeySetError::NoKeys);
        }
        Ok(Self { keys })
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// One public key that stands for whoever holds its private key.
#[derive(Clone, Debug)]
pub(crate) struct OwnKey {
    pub(crate) public: PublicKey,
    /// RFC 7638, with SHA-256, in base64.
    pub(crate) thumbprint: String,
    /// As a JSON Web Key, nothing else in it.
    pub(crate) jwk: Value,
}

impl OwnKey {
    /// `None` for what is no JSON Web Key, or one of a kind that is not known here, or one that is
    /// not for signatures.
    pub(crate) fn from_jwk(value: &Value) -> Option<Self> {
        // A list would be read as the members in their order.
        let jwk = Jwk::deserialize(value.as_object().map(|_| value)?).ok()?;
        let members = jwk.members();
        let digest = digest::digest(&digest::SHA256, members.to_string().as_bytes());
        Some(Self {
            public: jwk.key()?.public,
            thumbprint: URL_SAFE_NO_PAD.encode(digest),
            jwk: members,
        })
    }
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let public = self.public_key()?;
        let algorithm = match self.alg.as_deref() {
            None => None,
            // A key that is for something else is not for this.
            Some(name) => Some(Algorithm::from_name(name).filter(|a| a.fits(public.kind()))?),
        };
        Some(Key {
            id: self.kid,
            algorithm,
            public,
        })
    }

    /// What the kind of key needs, as it came, and sorted.
    fn members(&self) -> Value {
        match self.kty.as_str() {
            "RSA" => json!({"e": self.e, "kty": self.kty, "n": self.n}),
            "EC" => json!({"crv": self.crv, "kty": self.kty, "x": self.x, "y": self.y}),
            _ => json!({"crv": self.crv, "kty": self.kty, "x": self.x}),
        }
    }

    fn public_key(&self) -> Option<PublicKey> {
        let (algorithm, key) = match (self.kty.as_str(), self.crv.as_str()) {
            ("RSA", _) => {
                let (modulus, exponent) = (decode(&self.n)?, decode(&self.e)?);
                let key = RsaPublicKey {
                    modulus: UintRef::new(&modulus).ok()?,
                    public_exponent: UintRef::new(&exponent).ok()?,
                };
                let null = Some(AnyRef::NULL.into());
                (identifier(oid::RSA_ENCRYPTION, null), key.to_der().ok()?)
            }
            ("EC", curve) => {
                let (curve, length) = match curve {
                    "P-256" => (oid::SECP256R1, 32),
                    "P-384" => (oid::SECP384R1, 48),
                    "P-521" => (oid::SECP521R1, 66),
                    _ => return None,
                };
                let (x, y) = (decode(&self.x)?, decode(&self.y)?);
                if x.len() != length || y.len() != length {
                    return None;
                }
                let curve = Some(der::Any::from(curve));
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                (identifier(oid::EC_PUBLIC_KEY, curve), point)
            }
            ("OKP", "Ed25519") => (identifier(oid::ED25519, None), decode(&self.x)?),
            _ => return None,
        };
        let spki = SubjectPublicKeyInfoOwned {
            algorithm,
            subject_public_key: BitString::from_bytes(&key).ok()?,
        };
        PublicKey::from_spki_der(&spki.to_der().ok()?).ok()
    }
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

fn identifier(
    oid: der::oid::ObjectIdentifier,
    parameters: Option<der::Any>,
) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc\
                 _BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0\
                 _FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI\
                 4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let key = OwnKey::from_jwk(&jwk).unwrap();
        assert_eq!(
            key.thumbprint,
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn keys_for_other_things_stand_for_nobody() {
        let x = "11qYAycgjk5nt3n9wPo2Q0BrfOZt3qnh4ZkiKJlDkmg";
        let key = |extra: Value| {
            let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
            let jwk_map = jwk.as_object_mut().unwrap();
            jwk_map.extend(extra.as_object().unwrap().clone());
            OwnKey::from_jwk(&jwk)
        };
        assert!(key(json!({})).is_some());
        for extra in [
            json!({"use": "enc"}),
            json!({"key_ops": ["sign"]}),
            json!({"alg": "RS256"}),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"x": "AAAA"}),
            json!({"x": 1}),
        ] {
            assert!(key(extra.clone()).is_none(), "{extra}");
        }
        assert!(OwnKey::from_jwk(&json!(["OKP"])).is_none());
    }
}
