//! What the operator sets.

use std::sync::Arc;

use signet_pki::vet::CsrMode;

use super::authenticate::TokenAuthenticator;
use super::spiffe::{ServiceAccount, TrustDomain};

/// One mesh.
#[derive(Clone, Debug)]
pub struct MeshSettings {
    /// The path of a PKI mount; ends in `/`.
    pub mount: String,
    /// The name of a role of the mount; its key types, URIs, maximum and storage settings apply.
    pub role: String,
    pub trust_domain: TrustDomain,
    pub csr_mode: CsrMode,
    /// For those who ask for nothing; at least 1.
    pub default_ttl_secs: u64,
    /// At least 1.
    pub max_ttl_secs: u64,
    /// Shorten what is longer than the maximum instead of refusing it.
    pub clamp_ttl: bool,
    /// By how much certificates end earlier at most, each by its own random part; 0 for not at all.
    pub ttl_jitter_percent: u8,
    /// Who may ask on behalf of the pods of its node.
    pub trusted_node_accounts: Vec<ServiceAccount>,
    /// Take a certificate of the same mount and role as proof.
    pub client_certificates: bool,
    /// Asked in this order.
    pub tokens: Vec<Arc<dyn TokenAuthenticator>>,
    pub serving: ServingSettings,
}

/// The listener's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingSettings {
    /// DNS names and IP addresses under which clients know the server.
    pub names: Vec<String>,
    pub ttl_secs: u64,
}
