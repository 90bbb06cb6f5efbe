//! Signed requests: JSON Web Signatures in flattened form (RFC 7515 §7.2.2, RFC 8555 §6.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use signet_pki::key::KeyKind;

use crate::jwt::{Algorithm, OwnKey};
use crate::secrets::pki::acme::problem::{Kind, Problem};

/// A request as it came; nothing of it is believed yet.
#[derive(Clone, Copy)]
pub(in crate::secrets::pki) struct Message<'m> {
    pub(super) protected: &'m str,
    pub(super) payload: &'m str,
    pub(super) signature: &'m str,
}

/// The protected header.
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) signer: Signer,
    /// Empty when there is none.
    pub(super) nonce: String,
    /// Empty when there is none.
    pub(super) url: String,
}

/// Who says that it signed.
pub(super) enum Signer {
    /// The URL of an account.
    Account(String),
    /// A key that comes with the request.
    Key(OwnKey),
}

/// What is signed; `None` for an empty payload, which asks only to read (RFC 8555 §6.3).
pub(super) type Payload = Option<Map<String, Value>>;

impl Message<'_> {
    pub(super) fn header(&self) -> Result<Header, Problem> {
        if self.protected.is_empty() {
            return Err(Kind::Malformed.because("missing required field 'protected'"));
        }
        let header = object(
            "protected",
            &decode("protected", self.protected, MAX_HEADER_BYTES)?,
        )?;
        let text = |name: &str| match header.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(Kind::Malformed.because(format!(
                "failed to json unmarshal 'protected': {name} is not a string"
            ))),
        };
        let invalid = |what: &str| {
            Kind::Malformed.because(format!(
                "failed to json unmarshal 'protected': invalid header: {what}"
            ))
        };
        let algorithm = Algorithm::from_name(text("alg")?).ok_or_else(|| {
            Kind::BadSignatureAlgorithm
                .because(
                    "failed to json unmarshal 'protected': invalid header: unexpected value for \
                     'algo'",
                )
                .member("algorithms", Algorithm::names().collect::<Vec<_>>())
        })?;
        if header.contains_key("crit") {
            return Err(invalid("critical extensions are not supported"));
        }
        let jwk = header.get("jwk").filter(|jwk| !jwk.is_null());
        let signer = match (text("kid")?, jwk) {
            ("", None) => {
                return Err(invalid("got neither required fields of 'kid' nor 'jwk'"));
            }
            (kid, None) => Signer::Account(kid.to_owned()),
            ("", Some(jwk)) => Signer::Key(key(jwk, algorithm)?),
            (_, Some(_)) => {
                return Err(invalid(
                    "got both account 'kid' and 'jwk' in the same message; expected only one",
                ));
            }
        };
        Ok(Header {
            algorithm,
            signer,
            nonce: text("nonce")?.to_owned(),
            url: text("url")?.to_owned(),
        })
    }

    /// What `key` signed.
    pub(super) fn verify(&self, algorithm: Algorithm, key: &OwnKey) -> Result<Payload, Problem> {
        let signature = decode("signature", self.signature, MAX_SIGNATURE_BYTES)?;
        let payload = decode("payload", self.payload, MAX_PAYLOAD_BYTES)?;
        if !algorithm.verify(&key.public, self.signed().as_bytes(), &signature) {
            return Err(Kind::Malformed.because("failed to verify signature"));
        }
        if payload.is_empty() {
            return Ok(None);
        }
        let payload = object("payload", &payload)
            .map_err(|problem| problem.context("failed to verify signature"))?;
        Ok(Some(payload))
    }

    pub(super) fn signed(&self) -> String {
        format!("{}.{}", self.protected, self.payload)
    }
}

fn key(jwk: &Value, algorithm: Algorithm) -> Result<OwnKey, Problem> {
    let unsupported = |what: &str| {
        Kind::BadPublicKey.because(format!("failed to json unmarshal 'protected': {what}"))
    };
    let key = OwnKey::from_jwk(jwk).ok_or_else(|| unsupported("the key cannot be used"))?;
    if let KeyKind::Rsa { bits } = key.public.kind()
        && !(2048..=8192).contains(&bits)
    {
        return Err(unsupported("RSA keys have 2048 to 8192 bits"));
    }
    if !algorithm.fits(key.public.kind()) {
        return Err(unsupported("the key does not fit the algorithm"));
    }
    Ok(key)
}

pub(super) fn decode(name: &str, text: &str, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    if text.len() / 4 * 3 > max_bytes {
        return Err(Kind::Malformed.because(format!("'{name}' is too long")));
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        Kind::Malformed.because(format!(
            "failed to base64 parse '{name}': illegal base64 data"
        ))
    })
}

pub(super) fn object(name: &str, json: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(json).map_err(|_| {
        Kind::Malformed.because(format!(
            "failed to json unmarshal '{name}': it is not a JSON object"
        ))
    })
}

/// Ample for an RSA key of 8192 bits.
pub(super) const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Ample for the largest CSR in base64.
pub(super) const MAX_PAYLOAD_BYTES: usize = 96 * 1024;
/// Of an RSA key of 8192 bits.
const MAX_SIGNATURE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    struct Client(EcdsaKeyPair);

    impl Client {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        }

        fn jwk(&self) -> Value {
            let point = self.0.public_key().as_ref();
            let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
        }

        fn header(&self) -> Value {
            json!({"alg": "ES256", "nonce": "n", "url": "u", "jwk": self.jwk()})
        }

        fn sign(&self, header: &Value, payload: &str) -> [String; 3] {
            let protected = URL_SAFE_NO_PAD.encode(header.to_string());
            let payload = URL_SAFE_NO_PAD.encode(payload);
            let signed = format!("{protected}.{payload}");
            let signature = self
                .0
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap();
            [protected, payload, URL_SAFE_NO_PAD.encode(signature)]
        }
    }

    fn message(parts: &[String; 3]) -> Message<'_> {
        let [protected, payload, signature] = parts;
        Message {
            protected,
            payload,
            signature,
        }
    }

    fn read(parts: &[String; 3]) -> Result<Payload, Problem> {
        let message = message(parts);
        let header = message.header()?;
        match header.signer {
            Signer::Key(key) => message.verify(header.algorithm, &key),
            Signer::Account(_) => panic!("no account"),
        }
    }

    #[test]
    fn what_the_key_signed_is_read() {
        let client = Client::new();
        let payload = read(&client.sign(&client.header(), r#"{"a":1}"#)).unwrap();
        assert_eq!(payload.unwrap().get("a"), Some(&json!(1)));
        assert_eq!(read(&client.sign(&client.header(), "")).unwrap(), None);
    }

    #[test]
    fn what_the_key_did_not_sign_is_refused() {
        let client = Client::new();
        let good = client.sign(&client.header(), "{}");
        let other = Client::new().sign(&client.header(), "{}");
        let mut parts = good.clone();
        parts[1] = URL_SAFE_NO_PAD.encode(r#"{"a":1}"#);
        for forged in [
            parts,
            other,
            [good[0].clone(), good[1].clone(), String::new()],
        ] {
            let problem = read(&forged).unwrap_err();
            let text = "failed to verify signature: the request message was malformed";
            assert_eq!(
                (problem.kind, problem.detail.as_str()),
                (Kind::Malformed, text)
            );
        }
    }

    #[test]
    fn headers_are_refused_for_what_is_wrong_with_them() {
        let client = Client::new();
        let changed = |name: &str, value: Value| {
            let mut header = client.header();
            header[name] = value;
            read(&client.sign(&header, "{}")).unwrap_err()
        };
        let short = URL_SAFE_NO_PAD.encode([1; 200]);
        let weak = json!({"kty": "RSA", "e": "AQAB", "n": short});
        for (problem, kind, text) in [
            (
                changed("alg", json!("none")),
                Kind::BadSignatureAlgorithm,
                "'algo'",
            ),
            (
                changed("alg", json!("HS256")),
                Kind::BadSignatureAlgorithm,
                "'algo'",
            ),
            (
                changed("alg", Value::Null),
                Kind::BadSignatureAlgorithm,
                "'algo'",
            ),
            (
                changed("alg", json!(1)),
                Kind::Malformed,
                "alg is not a string",
            ),
            (
                changed("alg", json!("RS256")),
                Kind::BadPublicKey,
                "does not fit",
            ),
            (changed("crit", json!(["x"])), Kind::Malformed, "critical"),
            (changed("jwk", Value::Null), Kind::Malformed, "neither"),
            (changed("kid", json!("k")), Kind::Malformed, "got both"),
            (
                changed("jwk", json!({"kty": "EC"})),
                Kind::BadPublicKey,
                "cannot be used",
            ),
            (changed("jwk", weak), Kind::BadPublicKey, "2048 to 8192"),
        ] {
            assert_eq!(problem.kind, kind, "{text}: {problem:?}");
            assert!(problem.detail.contains(text), "{text}: {problem:?}");
        }
    }

    #[test]
    fn messages_that_are_none_are_refused() {
        let client = Client::new();
        let good = client.sign(&client.header(), "{}");
        let with = |at: usize, part: &str| {
            let mut parts = good.clone();
            part.clone_into(&mut parts[at]);
            read(&parts).unwrap_err().detail
        };
        assert!(with(0, "").starts_with("missing required field 'protected'"));
        assert!(with(0, "!!").starts_with("failed to base64 parse 'protected'"));
        assert!(with(0, "W10").contains("not a JSON object"));
        assert!(with(0, &"A".repeat(20_000)).starts_with("'protected' is too long"));
        assert!(with(1, "!!").starts_with("failed to base64 parse 'payload'"));
        assert!(with(1, &"A".repeat(200_000)).starts_with("'payload' is too long"));
        assert!(with(2, "!!").starts_with("failed to base64 parse 'signature'"));
        let list = client.sign(&client.header(), "[]");
        assert!(
            read(&list)
                .unwrap_err()
                .detail
                .contains("not a JSON object")
        );
    }

    proptest! {
        #[test]
        fn no_message_makes_the_reader_panic(protected in "\\PC{0,60}", json in "\\PC{0,60}") {
            let encoded = URL_SAFE_NO_PAD.encode(&json);
            for parts in [[protected, json.clone(), json], [encoded.clone(), encoded.clone(), encoded]] {
                let _ = message(&parts).header();
            }
        }
    }
}
