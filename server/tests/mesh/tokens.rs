//! An issuer of service accounts' tokens, and its bad copies.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) struct Issuer {
    key: EcdsaKeyPair,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { key }
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "ES256", "kid": "one", "typ": "JWT"}), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes());
        format!("{message}.{}", encode(signature.unwrap()))
    }

    /// The uncompressed point.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    pub(crate) fn jwks(&self) -> Value {
        let point = self.public_key();
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
            "x": encode(&point[1..33]), "y": encode(&point[33..65]),
        }]})
    }
}

/// What a projected token says, for a pod called `<account>-1` on `node-a`.
pub(crate) fn claims(namespace: &str, account: &str) -> Value {
    let now = now_secs();
    json!({
        "iss": "https://kubernetes.default.svc",
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "aud": ["istio-ca"],
        "iat": now, "nbf": now, "exp": now + 43_200,
        "jti": "0f7a1a3e-5a5b-4c55-9a0d-1c2d3e4f5a6b",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": "sa-uid"},
            "pod": {"name": format!("{account}-1"), "uid": "pod-uid"},
            "node": {"name": "node-a", "uid": "node-uid"},
        },
    })
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn now_secs() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    now.unix_timestamp()
}
