//! From the checked configuration to what the API works with.

use std::sync::Arc;

use signet_api::mesh::{MeshSettings, TokenAuthenticator};

use super::GrpcError;
use crate::config::{ConfigError, IstioCsr, TokenAuthenticator as Configured};

pub(super) fn build(config: &IstioCsr) -> Result<MeshSettings, GrpcError> {
    let mut tokens = Vec::new();
    for authenticator in &config.tokens {
        tokens.push(token_authenticator(authenticator)?);
    }
    Ok(MeshSettings {
        mount: config.mount.clone(),
        role: config.role.clone(),
        trust_domain: config.trust_domain.clone(),
        csr_mode: config.mode,
        default_ttl_secs: config.default_ttl_secs,
        max_ttl_secs: config.max_ttl_secs,
        clamp_ttl: config.clamp_ttl,
        ttl_jitter_percent: config.ttl_jitter_percent,
        trusted_node_accounts: config.trusted_node_accounts.clone(),
        client_certificates: config.client_certificates,
        tokens,
        serving: config.serving.clone(),
    })
}

fn token_authenticator(_config: &Configured) -> Result<Arc<dyn TokenAuthenticator>, GrpcError> {
    let text = "authenticators of tokens are not supported by this build".to_owned();
    Err(ConfigError(vec![text]).into())
}
