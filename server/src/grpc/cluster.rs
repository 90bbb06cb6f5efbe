//! How to ask a cluster about its tokens: what is configured, and for the rest the pod that this
//! process runs in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use signet_api::kubernetes::{LocalCluster, LocalPod, base_url};
use zeroize::Zeroizing;

use crate::config::Kubernetes;

#[derive(Debug)]
pub(super) struct ConfiguredCluster {
    host: Option<String>,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    pod: Arc<dyn LocalCluster>,
}

impl ConfiguredCluster {
    pub(super) fn new(config: &Kubernetes, pod: Arc<dyn LocalCluster>) -> Self {
        Self {
            host: config.host.clone(),
            ca_file: config.ca_file.clone(),
            token_file: config.token_file.clone(),
            pod,
        }
    }

    /// Files are read for each use: somebody renews them.
    async fn complete(&self) -> Result<LocalPod, String> {
        let own = self.pod.pod().await;
        let ca_pem = match &self.ca_file {
            Some(path) => Some(read(path).await?),
            // The own cluster's authority says nothing of another one.
            None if self.host.is_some() => None,
            None => own.ca_pem,
        };
        let token = match &self.token_file {
            Some(path) => Some(Zeroizing::new(read(path).await?.trim().to_owned())),
            None => own.token,
        };
        // Without a token of its own the server would ask with the one it asks about, and take its
        // own lack of rights for the token's.
        if token.as_ref().is_none_or(|token| token.is_empty()) {
            return Err("token_file is needed outside of a cluster".into());
        }
        Ok(LocalPod {
            host: self.host.as_deref().map(base_url).or(own.host),
            ca_pem,
            token,
        })
    }
}

#[async_trait]
impl LocalCluster for ConfiguredCluster {
    async fn pod(&self) -> LocalPod {
        match self.complete().await {
            Ok(pod) => pod,
            Err(reason) => {
                tracing::error!(reason, "the API server cannot be asked about tokens");
                // Nobody is asked.
                LocalPod::default()
            }
        }
    }
}

async fn read(path: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| format!("{}: {error}", path.display()))
}
