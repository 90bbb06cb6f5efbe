//! The way to the API server.

use hyper::Uri;
use hyper::http::uri::InvalidUri;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use signet_api::kubernetes::base_url;

use crate::config::{Kubernetes, KubernetesSettings};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the address of the API server")]
    Address(#[from] InvalidUri),
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

/// A client of a cluster that tokens come from, by its configuration and else by what the pod of this process has. Nothing
/// is sent yet.
pub(super) fn client_of_cluster(cluster: &Kubernetes) -> Result<Client, ConnectError> {
    let mut config = match &cluster.host {
        Some(host) => {
            // The own cluster's authority says nothing of another one.
            let mut config = Config::new(base_url(host).parse::<Uri>()?);
            config.auth_info.token_file = Some(OWN_TOKEN.to_owned());
            config
        }
        None => Config::incluster()?,
    };
    if let Some(path) = &cluster.ca_file {
        config.root_cert = None;
        config.root_cert_file = Some(path.clone());
    }
    if let Some(path) = &cluster.token_file {
        config.auth_info.token_file = Some(path.display().to_string());
    }
    Ok(Client::try_from(config)?)
}

const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
