//! From settings to a node.

use std::sync::Arc;
use std::thread::available_parallelism;

use signet_api::keys_ahead::KeysAhead;
use signet_api::kubernetes::{LocalCluster, OutsideCluster};
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::random::SystemRng;
use signet_api::time::SystemClock;

use super::Error;
use super::pod::Pod;
use crate::config::Settings;
use crate::outbound::HttpOutbound;
use crate::probe::{Loopback, NetworkProbe};
use crate::version::COMPATIBLE_VAULT_VERSION;

/// Slow computations that may wait for a core.
const SIGNATURES_WAITING: usize = 4096;
const KEYS_WAITING: usize = 256;

/// Opens the storage and puts a sealed node on it.
pub(super) fn build(settings: &Settings) -> Result<Arc<Node>, Error> {
    let cores = available_parallelism().map_or(1, usize::from);
    let environment = Environment {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng::default()),
        pool: Pool::new(cores, SIGNATURES_WAITING),
        key_pool: Pool::new(cores, KEYS_WAITING),
        keys_ahead: Arc::new(KeysAhead::new(settings.rsa_keys_ahead)),
        outbound: Arc::new(HttpOutbound::default()),
        probe: Arc::new(NetworkProbe::new(match settings.dev {
            // There the hosts of a test are on the same machine.
            Some(_) => Loopback::Allowed,
            None => Loopback::Forbidden,
        })),
        is_public_acme_disabled: settings.is_public_acme_disabled,
        local_cluster: local_cluster(settings),
    };
    let node_settings = NodeSettings {
        system_ttl: settings.system_ttl,
        cluster_name: settings.cluster_name.clone(),
        version: COMPATIBLE_VAULT_VERSION.into(),
        build_date: String::new(),
        storage_type: settings.storage.name.into(),
        user_lockout: settings.user_lockout.clone(),
    };
    let backend = signet_storage::open(&settings.storage.engine)?;
    let node = Node::new(backend, environment, node_settings);
    node.declare_audit_devices(settings.declared.audit.clone())?;
    Ok(node)
}

fn local_cluster(settings: &Settings) -> Arc<dyn LocalCluster> {
    match &settings.kubernetes_service {
        Some(url) => Arc::new(Pod::at(url.clone())),
        None => Arc::new(OutsideCluster),
    }
}
