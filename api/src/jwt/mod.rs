//! Signed tokens (RFC 7519, RFC 7515): the one verifier of the server.
//!
//! It is our own, over the keys and the cryptographic library that the rest of the server uses.
//! The crate `jsonwebtoken` reads the clock itself, lacks ES512, and brings a second reader of PEM
//! and DER; without these what it does is the hundred lines below.
//!
//! The algorithm of a token has to fit the key that verifies it, so a public key is never taken for
//! a shared secret, and `none` is no algorithm. Times are checked against an argument.

mod algorithm;
mod claims;
mod key_set;
mod remote;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::time::Timestamp;

pub use algorithm::Algorithm;
pub use claims::Claims;
pub(crate) use key_set::OwnKey;
pub use key_set::{KeySet, KeySetError};
pub use remote::{KeySource, KeysUnavailable, RemoteError, RemoteKeys};

/// Longer tokens are not looked at.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What a token has to be besides signed.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// `iss` is one of these; empty for any.
    pub issuers: Vec<String>,
    /// `aud` has one of these. Empty: a token that names an audience is refused, for it is meant
    /// for somebody else.
    pub audiences: Vec<String>,
    /// `sub`; `None` for any.
    pub subject: Option<String>,
    /// Empty for all that fit the key.
    pub algorithms: Vec<Algorithm>,
    pub leeways: Leeways,
}

/// By how much the clocks of issuer and verifier may differ, and what stands in for absent times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeways {
    /// A token is good for this long after `exp`.
    pub late_secs: u64,
    /// A token is good for this long before `nbf` and `iat`.
    pub early_secs: u64,
    /// A token without `exp` ends this long after the later of `nbf` and `iat`; `None`: it is
    /// refused.
    pub life_without_exp_secs: Option<u64>,
    /// A token with neither `nbf` nor `iat` begins this long before `exp`; `None`: it has begun.
    pub start_before_exp_secs: Option<u64>,
    /// A token with none of `exp`, `nbf` and `iat` is good at any time; otherwise it is refused.
    pub may_be_timeless: bool,
}

impl Default for Leeways {
    /// No time after `exp`, which is required; a minute before `nbf` and `iat`.
    fn default() -> Self {
        Self {
            late_secs: 0,
            early_secs: 60,
            life_without_exp_secs: None,
            start_before_exp_secs: None,
            may_be_timeless: false,
        }
    }
}

/// Why a token is refused. The texts hold nothing of the token except names of claims.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JwtError {
    #[error("error verifying token signature: {0}")]
    Malformed(&'static str),
    /// A key that fits was found, and it did not make this signature.
    #[error(
        "error verifying token signature: no known key successfully validated the token signature"
    )]
    BadSignature,
    /// None of the keys can have made this signature; newer keys might.
    #[error(
        "error verifying token signature: no known key successfully validated the token signature"
    )]
    UnknownKey,
    #[error("invalid algorithm (alg) header parameter: token signed with unexpected algorithm")]
    UnexpectedAlgorithm,
    #[error("claim {0:?} has the wrong type")]
    WrongType(String),
    #[error("invalid issuer (iss) claim")]
    Issuer,
    #[error("invalid subject (sub) claim")]
    Subject,
    #[error("invalid audience (aud) claim: audience claim does not match any expected audience")]
    Audience,
    #[error("audience claim found in JWT but no audiences bound to the role")]
    UnexpectedAudience,
    #[error("no issued at (iat), not before (nbf), or expiration time (exp) claims in token")]
    NoTimes,
    #[error("no expiration time (exp) claim in token")]
    NoExpiration,
    #[error("invalid expiration time (exp) claim: token is expired")]
    Expired,
    #[error("invalid not before (nbf) claim: token not yet valid")]
    NotYetValid,
    #[error("invalid issued at (iat) claim: token issued in the future")]
    IssuedInFuture,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 §4.1.11); none is.
    #[serde(default)]
    crit: Option<Value>,
}

/// Checks signature, times and names of a token in compact form.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now: Timestamp,
) -> Result<Claims, JwtError> {
    let parts = Parts::of(token)?;
    check_signature(&parts, keys, &expected.algorithms)?;
    let claims = parts.claims()?;
    check_claims(&claims, expected, now)?;
    Ok(claims)
}

/// The claims of a token whose signature somebody else checks, such as the API server that issued
/// it. Their times and names are checked, the signature is not: they are good to refuse a token
/// early, never to accept it.
pub fn check_unverified(
    token: &str,
    expected: &Expected,
    now: Timestamp,
) -> Result<Map<String, Value>, JwtError> {
    let claims = Parts::of(token)?.claims()?;
    check_claims(&claims, expected, now)?;
    Ok(claims.into_all())
}

/// The claims of a token, unchecked: to choose the keys that verify it, never to accept it.
pub fn unverified_claims(token: &str) -> Result<Map<String, Value>, JwtError> {
    Ok(Parts::of(token)?.claims()?.into_all())
}

struct Parts<'t> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// What is signed: header and payload as they came.
    signed: &'t str,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::Malformed("token is too long"));
        }
        let wrong_count = JwtError::Malformed("compact JWS format must have three parts");
        let Some((signed, signature)) = token.rsplit_once('.') else {
            return Err(wrong_count);
        };
        let Some((header, payload)) = signed.split_once('.') else {
            return Err(wrong_count);
        };
        if payload.contains('.') {
            return Err(wrong_count);
        }
        let not_an_object = |_| JwtError::Malformed("header is not a JSON object with an alg");
        // First an object: a list would be read as the fields in their order.
        let header: Map<String, Value> =
            serde_json::from_slice(&decode(header)?).map_err(not_an_object)?;
        let header = serde_json::from_value(Value::Object(header)).map_err(not_an_object)?;
        Ok(Self {
            header,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed,
        })
    }

    fn claims(&self) -> Result<Claims, JwtError> {
        let claims = serde_json::from_slice(&self.payload)
            .map_err(|_| JwtError::Malformed("payload is not a JSON object"))?;
        Ok(Claims::new(claims))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JwtError::Malformed("illegal base64 data"))
}

fn check_signature(
    parts: &Parts<'_>,
    keys: &KeySet,
    algorithms: &[Algorithm],
) -> Result<(), JwtError> {
    let header = &parts.header;
    if header.crit.is_some() {
        return Err(JwtError::BadSignature);
    }
    let algorithm = Algorithm::from_name(&header.alg).ok_or(JwtError::BadSignature)?;
    if !algorithms.is_empty() && !algorithms.contains(&algorithm) {
        return Err(JwtError::UnexpectedAlgorithm);
    }
    let mut key_was_named = false;
    for key in &keys.keys {
        match (&header.kid, &key.id) {
            (Some(wanted), Some(id)) if wanted != id => continue,
            (Some(_), Some(_)) => key_was_named = true,
            _ => {}
        }
        let fits =
            key.algorithm.is_none_or(|only| only == algorithm) && algorithm.fits(key.public.kind());
        if fits && algorithm.verify(&key.public, parts.signed.as_bytes(), &parts.signature) {
            return Ok(());
        }
    }
    Err(if key_was_named {
        JwtError::BadSignature
    } else {
        JwtError::UnknownKey
    })
}

fn check_claims(claims: &Claims, expected: &Expected, now: Timestamp) -> Result<(), JwtError> {
    claims.check_types()?;
    if !expected.issuers.is_empty() && !expected.issuers.iter().any(|i| i == claims.issuer()) {
        return Err(JwtError::Issuer);
    }
    if expected
        .subject
        .as_deref()
        .is_some_and(|subject| subject != claims.subject())
    {
        return Err(JwtError::Subject);
    }
    check_audiences(claims, &expected.audiences)?;
    check_times(claims, expected.leeways, now)
}

fn check_audiences(claims: &Claims, expected: &[String]) -> Result<(), JwtError> {
    let given = claims.audiences();
    if expected.is_empty() {
        return if given.is_empty() {
            Ok(())
        } else {
            Err(JwtError::UnexpectedAudience)
        };
    }
    if given
        .iter()
        .any(|audience| expected.iter().any(|e| e == audience))
    {
        Ok(())
    } else {
        Err(JwtError::Audience)
    }
}

fn check_times(claims: &Claims, leeways: Leeways, now: Timestamp) -> Result<(), JwtError> {
    let issued = claims.seconds("iat")?;
    let start = claims.seconds("nbf")?;
    let end = claims.seconds("exp")?;
    if issued.is_none() && start.is_none() && end.is_none() {
        return if leeways.may_be_timeless {
            Ok(())
        } else {
            Err(JwtError::NoTimes)
        };
    }
    let now = now.secs();
    let latest_start = issued.max(start);
    let end = match (end, leeways.life_without_exp_secs, latest_start) {
        (Some(end), _, _) => end,
        (None, Some(life), Some(start)) => start.saturating_add(signed(life)),
        _ => return Err(JwtError::NoExpiration),
    };
    if end.saturating_add(signed(leeways.late_secs)) <= now {
        return Err(JwtError::Expired);
    }
    let begun_by = now.saturating_add(signed(leeways.early_secs));
    let start = start.or(issued).or_else(|| {
        let before = leeways.start_before_exp_secs?;
        Some(end.saturating_sub(signed(before)))
    });
    if start.is_some_and(|start| start > begun_by) {
        return Err(JwtError::NotYetValid);
    }
    if issued.is_some_and(|issued| issued > begun_by) {
        return Err(JwtError::IssuedInFuture);
    }
    Ok(())
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
