//! The life of the controller: connect, wait for the Lease, act while it is held, give it up.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use signet_api::node::Node;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::authority::{Authority, AuthorityError};
use super::lease::{Candidate, RETRY};
use super::{backoff, connect, istiod_secret, root_config_maps};
use crate::config::KubernetesSettings;
use crate::server::error_chain;

/// How often the roots of the mount are looked at; they are in memory.
const ROOTS_EVERY: Duration = Duration::from_secs(10);

/// Keeps what `settings` say in the cluster until `stopping` becomes true. Never fails: what does not work is logged and
/// tried again.
pub(crate) fn start(
    settings: KubernetesSettings,
    node: Arc<Node>,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut failures = 0;
        let client = loop {
            match connect::client(&settings).await {
                Ok(client) => break client,
                Err(error) => {
                    failures += 1;
                    tracing::error!(error = %error_chain(&error), "connecting to Kubernetes");
                }
            }
            if stops_within(&mut stopping, backoff::pause(failures)).await {
                return;
            }
        };
        run(client, settings, node, stopping).await;
    })
}

/// As [`start`], with a client.
pub(super) async fn run(
    client: Client,
    settings: KubernetesSettings,
    node: Arc<Node>,
    mut stopping: watch::Receiver<bool>,
) {
    let authority = Authority::new(node, settings.mount.clone());
    let identity = match identity(&authority) {
        Ok(identity) => identity,
        Err(error) => {
            tracing::error!(error = %error_chain(&error), "no Kubernetes controller");
            return;
        }
    };
    let mut candidate = Candidate::new(
        client.clone(),
        &settings.lease_namespace,
        &settings.lease_name,
        identity,
    );
    let mut is_waiting_for_unsealing = false;
    loop {
        if authority.is_unsealed() {
            is_waiting_for_unsealing = false;
            match candidate.try_hold(authority.now()).await {
                Ok(true) => {
                    lead(
                        &client,
                        &settings,
                        &authority,
                        &mut candidate,
                        &mut stopping,
                    )
                    .await;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error_chain(&error), "asking for the Lease"),
            }
        } else if !std::mem::replace(&mut is_waiting_for_unsealing, true) {
            tracing::info!("the server is sealed: nothing is kept in Kubernetes");
        }
        if stops_within(&mut stopping, RETRY).await {
            return;
        }
    }
}

/// Acts until the Lease is lost, the server is sealed, or it stops.
async fn lead(
    client: &Client,
    settings: &KubernetesSettings,
    authority: &Authority,
    candidate: &mut Candidate,
    stopping: &mut watch::Receiver<bool>,
) {
    tracing::info!(
        identity = candidate.identity(),
        "keeping the mesh's certificates in Kubernetes"
    );
    let (publish, roots) = watch::channel(None);
    let secret = async {
        match &settings.istiod {
            Some(istiod) => {
                istiod_secret::keep(client.clone(), istiod, authority, roots.clone()).await;
            }
            None => std::future::pending().await,
        }
    };
    let maps = root_config_maps::keep(client.clone(), &settings.namespace_selector, roots.clone());
    tokio::select! {
        () = hold(candidate, authority, stopping) => {}
        () = follow_roots(authority, &publish) => {}
        () = maps => {}
        () = secret => {}
    }
    match candidate.release(authority.now()).await {
        Ok(()) => tracing::info!("no longer keeping the mesh's certificates in Kubernetes"),
        Err(error) => tracing::warn!(error = %error_chain(&error), "giving the Lease up"),
    }
}

/// Renews the Lease; returns when there must be no more acting.
async fn hold(
    candidate: &mut Candidate,
    authority: &Authority,
    stopping: &mut watch::Receiver<bool>,
) {
    loop {
        if stops_within(stopping, RETRY).await || !authority.is_unsealed() {
            return;
        }
        match candidate.try_hold(authority.now()).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("another replica has the Lease");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "renewing the Lease");
                if candidate.is_over() {
                    return;
                }
            }
        }
    }
}

/// Publishes the roots of the mount whenever they change.
async fn follow_roots(authority: &Authority, publish: &watch::Sender<Option<Arc<str>>>) {
    let mut last_error = String::new();
    loop {
        let roots: Option<Arc<str>> = match authority.roots().await {
            Ok(roots) => {
                last_error.clear();
                Some(roots.into())
            }
            Err(error) => {
                let error = error.to_string();
                if error != last_error {
                    tracing::warn!(%error, "there are no roots to publish");
                }
                last_error = error;
                None
            }
        };
        publish.send_if_modified(|published| {
            let is_new = *published != roots;
            *published = roots;
            is_new
        });
        tokio::time::sleep(ROOTS_EVERY).await;
    }
}

/// The host's name, for people, and a random part, for this process alone.
fn identity(authority: &Authority) -> Result<String, AuthorityError> {
    let host = crate::server::machine::hostname().unwrap_or_else(|| "signet".to_owned());
    Ok(format!("{host}_{}", authority.unique_name()?))
}

/// Waits; true when the server stops meanwhile.
async fn stops_within(stopping: &mut watch::Receiver<bool>, wait: Duration) -> bool {
    let stopped = stopping.wait_for(|stops| *stops);
    // An end without a word is an end too.
    tokio::time::timeout(wait, stopped).await.is_ok()
}
