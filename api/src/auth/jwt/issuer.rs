//! The issuer as a configuration has it: its keys, and what its tokens have to be.

use std::sync::Arc;

use signet_pki::pem;

use super::config::Config;
use crate::error::ApiError;
use crate::jwt::{
    Algorithm, Claims, Expected, JwtError, KeySet, KeySource, RemoteError, RemoteKeys, verify,
};
use crate::outbound::{Outbound, Trust};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Issuer {
    /// Empty for any.
    pub(super) name: String,
    /// Empty for none.
    pub(super) default_role: String,
    /// Empty for all that fit the keys.
    pub(super) algorithms: Vec<Algorithm>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Known(KeySet),
    /// The texts say what they are from, when they cannot be had.
    Remote(Vec<RemoteKeys>, &'static str),
}

/// Keys that cannot be had.
pub(super) struct Unusable {
    /// What everybody may know.
    pub(super) told: &'static str,
    /// What may be told to whoever configures it.
    pub(super) why: Option<String>,
}

const JWKS: &str = "error checking jwks URL";
const DISCOVERY: &str = "error checking oidc discovery URL";

impl Issuer {
    /// # Errors
    /// Keys or certificates that cannot be read.
    pub(super) fn new(config: Config, outbound: &Arc<dyn Outbound>) -> Result<Self, ApiError> {
        let remote =
            |source, ca_pem: &str| RemoteKeys::new(source, Trust::of_pem(ca_pem), outbound.clone());
        let keys = if !config.jwt_validation_pubkeys.is_empty() {
            Keys::Known(known(&config.jwt_validation_pubkeys)?)
        } else if !config.oidc_discovery_url.is_empty() {
            check_ca(
                &config.oidc_discovery_ca_pem,
                "error checking oidc_discovery_ca_pem",
            )?;
            let source = KeySource::Discovery(config.oidc_discovery_url);
            Keys::Remote(
                vec![remote(source, &config.oidc_discovery_ca_pem)],
                DISCOVERY,
            )
        } else if config.jwks_pairs.is_empty() {
            check_ca(&config.jwks_ca_pem, "error checking jwks_ca_pem")?;
            let source = KeySource::Jwks(config.jwks_url);
            Keys::Remote(vec![remote(source, &config.jwks_ca_pem)], JWKS)
        } else {
            let mut several = Vec::new();
            for pair in config.jwks_pairs {
                check_ca(&pair.jwks_ca_pem, "error checking jwks_ca_pem")?;
                several.push(remote(KeySource::Jwks(pair.jwks_url), &pair.jwks_ca_pem));
            }
            Keys::Remote(several, JWKS)
        };
        let names = config.jwt_supported_algs.iter();
        Ok(Self {
            name: config.bound_issuer,
            default_role: config.default_role,
            algorithms: names
                .filter_map(|name| Algorithm::from_name(name))
                .collect(),
            keys,
        })
    }

    /// Are there keys?
    pub(super) async fn try_out(&self, now: Timestamp) -> Result<(), Unusable> {
        let Keys::Remote(several, told) = &self.keys else {
            return Ok(());
        };
        for remote in several {
            remote.keys(now).await.map_err(|error| Unusable {
                told,
                why: (*told == DISCOVERY).then(|| error.to_string()),
            })?;
        }
        Ok(())
    }

    /// Checks a token with the keys; of several sets one has to be right.
    pub(super) async fn verify(
        &self,
        token: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Claims, RemoteError> {
        let several = match &self.keys {
            Keys::Known(keys) => return Ok(verify(token, keys, expected, now)?),
            Keys::Remote(several, _) => several,
        };
        let mut last = RemoteError::Token(JwtError::UnknownKey);
        let mut one_is_away = None;
        for remote in several {
            match remote.verify(token, expected, now).await {
                Err(RemoteError::Token(
                    error @ (JwtError::UnknownKey | JwtError::BadSignature),
                )) => {
                    last = error.into();
                }
                Err(error @ RemoteError::Unavailable(_)) => one_is_away = Some(error),
                decided => return decided,
            }
        }
        Err(one_is_away.unwrap_or(last))
    }
}

fn known(pems: &[String]) -> Result<KeySet, ApiError> {
    let sets: Vec<KeySet> = pems
        .iter()
        .map(|pem| KeySet::from_pem(pem))
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::bad_request(format!("error parsing public key: {error}")))?;
    Ok(KeySet::joined(sets))
}

fn check_ca(text: &str, fault: &str) -> Result<(), ApiError> {
    let has_one = pem::next_block(text).is_some_and(|(block, _)| block.label == "CERTIFICATE");
    if text.is_empty() || has_one {
        Ok(())
    } else {
        Err(ApiError::bad_request(fault))
    }
}
