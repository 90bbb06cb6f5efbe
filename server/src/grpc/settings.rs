//! From the checked configuration to what the API works with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use signet_api::jwt::{KeySet, KeySource, RemoteKeys};
use signet_api::kubernetes::{Bearer, ReviewerSettings, TokenReviewer};
use signet_api::mesh::{
    IssuerKeys, JwksAuthenticator, KubernetesAuthenticator, MeshSettings, NodePods,
    TokenAuthenticator,
};
use signet_api::node::Node;
use signet_api::outbound::Trust;

use super::GrpcError;
use super::cluster::ConfiguredCluster;
use crate::config::{
    ConfigError, IstioCsr, Jwks, Keys, Kubernetes, TokenAuthenticator as Configured,
};

/// Where the pods of clusters are, by cluster id.
pub(crate) type PodsOfClusters = HashMap<String, Arc<dyn NodePods>>;

pub(super) fn build(
    config: &IstioCsr,
    node: &Node,
    pods: &PodsOfClusters,
) -> Result<MeshSettings, GrpcError> {
    let mut tokens: Vec<Arc<dyn TokenAuthenticator>> = Vec::new();
    let mut is_first_cluster = true;
    for authenticator in &config.tokens {
        match authenticator {
            Configured::Jwks(jwks) => tokens.push(Arc::new(jwks_authenticator(jwks, node)?)),
            Configured::Kubernetes(kubernetes) => {
                let pods = pods.get(&kubernetes.cluster_id).cloned();
                let reviewer = reviewer(kubernetes, node);
                tokens.push(Arc::new(KubernetesAuthenticator {
                    cluster_id: kubernetes.cluster_id.clone(),
                    is_local: is_first_cluster,
                    reviewer,
                    audiences: kubernetes.audiences.clone(),
                    pods,
                }));
                is_first_cluster = false;
            }
        }
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

fn jwks_authenticator(config: &Jwks, node: &Node) -> Result<JwksAuthenticator, GrpcError> {
    let keys = match &config.keys {
        Keys::File(path) => {
            let json = read(path)?;
            let keys = KeySet::from_jwks(json.as_bytes());
            IssuerKeys::Fixed(keys.map_err(|error| fault(path, &error))?)
        }
        Keys::Url { url, ca_file } => {
            let trust = match ca_file {
                Some(path) => Trust::of_pem(&read(path)?),
                None => Trust::System,
            };
            let outbound = node.environment.outbound.clone();
            let source = KeySource::Jwks(url.clone());
            IssuerKeys::Remote(RemoteKeys::new(source, trust, outbound))
        }
    };
    Ok(JwksAuthenticator {
        keys,
        issuer: config.issuer.clone(),
        audiences: config.audiences.clone(),
        cluster_id: config.cluster_id.clone(),
        nodes: Arc::new(config.nodes.clone()),
    })
}

fn reviewer(config: &Kubernetes, node: &Node) -> TokenReviewer {
    let environment = &node.environment;
    let cluster = ConfiguredCluster::new(config, environment.local_cluster.clone());
    // Where and how is for the cluster to say, each time anew.
    let settings = ReviewerSettings {
        host: String::new(),
        ca_pem: String::new(),
        bearer: Bearer::Local,
        timeout: REVIEW_LIMIT,
    };
    TokenReviewer::new(settings, environment.outbound.clone(), Arc::new(cluster))
}

fn read(path: &Path) -> Result<String, GrpcError> {
    std::fs::read_to_string(path).map_err(|error| fault(path, &error))
}

fn fault(path: &Path, error: &dyn std::error::Error) -> GrpcError {
    let text = format!("istio_csr: {}: {error}", path.display());
    ConfigError(vec![text]).into()
}

/// Less than a request may take.
const REVIEW_LIMIT: Duration = Duration::from_secs(8);
