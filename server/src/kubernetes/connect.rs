//! The way to the API server.

use std::path::Path;

use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::uri::InvalidUri;
use hyper::{Request, Uri};
use kube::client::{Body, ClientBuilder};
use kube::config::{AuthInfo, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use signet_api::kubernetes::base_url;
use tower::util::MapRequestLayer;
use zeroize::Zeroizing;

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
    let Some(path) = cluster.token_file.clone() else {
        return Ok(Client::try_from(config)?);
    };
    config.auth_info = AuthInfo::default();
    let with_token = MapRequestLayer::new(move |request| authorized(request, &path));
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&with_token)
        .build())
}

/// The client itself would send the end of a line that is behind the token in its file.
fn authorized(mut request: Request<Body>, token_file: &Path) -> Request<Body> {
    match bearer(token_file) {
        Ok(bearer) => drop(request.headers_mut().insert(AUTHORIZATION, bearer)),
        Err(reason) => {
            tracing::error!(path = %token_file.display(), reason, "no token for the API server");
        }
    }
    request
}

fn bearer(token_file: &Path) -> Result<HeaderValue, String> {
    let token = std::fs::read_to_string(token_file).map_err(|error| error.to_string())?;
    let token = Zeroizing::new(token);
    let header = Zeroizing::new(format!("Bearer {}", token.trim()));
    let mut header = HeaderValue::from_str(&header).map_err(|error| error.to_string())?;
    header.set_sensitive(true);
    Ok(header)
}

const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
