//! The way to the API server.

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::config::KubernetesSettings;

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("setting up the client")]
    Client(#[from] kube::Error),
    #[error("no kubeconfig is configured, and this is no pod")]
    InCluster(#[from] InClusterError),
    #[error("kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
}

/// A client of the cluster that a kubeconfig names, or else of the one around this process. Tokens that the cluster
/// rotates are read anew. Nothing is sent yet.
pub(super) async fn client(settings: &KubernetesSettings) -> Result<Client, ConnectError> {
    let config = match &settings.kubeconfig {
        Some(path) => {
            let options = KubeConfigOptions {
                context: settings.context.clone(),
                ..KubeConfigOptions::default()
            };
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
        }
        None => Config::incluster()?,
    };
    Ok(Client::try_from(config)?)
}
