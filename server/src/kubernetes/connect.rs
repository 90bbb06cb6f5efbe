//! The way to the API server.

use std::path::PathBuf;

use hyper::Uri;
use hyper::http::uri::InvalidUri;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::pods::ClusterAddress;
use crate::config::KubernetesSettings;

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
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

/// A client of the cluster at an address. Nothing is sent yet.
pub(super) fn client_at(address: &ClusterAddress) -> Result<Client, ConnectError> {
    let of_pod = |name: &str| PathBuf::from(format!("{SERVICE_ACCOUNT}/{name}"));
    let mut config = match &address.host {
        Some(host) => {
            let mut config = Config::new(host.parse::<Uri>()?);
            config.root_cert_file = Some(of_pod("ca.crt"));
            config.auth_info.token_file = Some(of_pod("token").display().to_string());
            config
        }
        None => Config::incluster()?,
    };
    if let Some(path) = &address.ca_file {
        config.root_cert = None;
        config.root_cert_file = Some(path.clone());
    }
    if let Some(path) = &address.token_file {
        config.auth_info.token_file = Some(path.display().to_string());
    }
    Ok(Client::try_from(config)?)
}

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
