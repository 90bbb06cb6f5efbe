//! The gRPC edge of a mesh: bytes in, [`signet_api::mesh::CertificateCall`]; a chain out.
//!
//! ```text
//! connections: accept, TLS --> service: message to call --> signet_api::mesh
//! certificate: the listener's own, issued and renewed     health: whether all that works
//! ```

mod certificate;
mod cluster;
mod connections;
mod gate;
mod service;
mod settings;
mod tls;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use signet_api::mesh::Mesh;
use signet_api::node::Node;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Bind, ConfigError, IstioCsr, Kubernetes};
use crate::kubernetes;
use certificate::ServingKey;
use connections::Door;
use gate::Gate;
pub(crate) use settings::PodsOfClusters;

/// Why a mesh cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrpcError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("making the first certificate of the mesh's listener: {0}")]
    FirstCertificate(String),
    #[error("watching the pods of a cluster")]
    Kubernetes(#[from] kubernetes::ConnectError),
    #[error("TLS of the mesh's listener")]
    Tls(#[from] rustls::Error),
}

/// A mesh that is served, as a reload reaches it.
#[derive(Debug)]
pub(crate) struct MeshEdge {
    mesh: Arc<Mesh>,
    watched: Mutex<Watched>,
    bind: Bind,
    key: Arc<ServingKey>,
    tls: Arc<ArcSwap<rustls::ServerConfig>>,
    connections: Arc<Gate>,
    requests: Arc<Gate>,
}

/// The clusters whose pods are watched, as they were configured.
#[derive(Debug, Default)]
struct Watched {
    clusters: Vec<Kubernetes>,
    pods: PodsOfClusters,
}

impl Watched {
    fn of(config: &IstioCsr) -> Result<Self, GrpcError> {
        let clusters = config.clusters_with_proxies();
        Ok(Self {
            pods: kubernetes::pods_of_clusters(&clusters)?,
            clusters: clusters.into_iter().cloned().collect(),
        })
    }
}

impl MeshEdge {
    /// To be called inside a runtime.
    pub(crate) fn new(node: Arc<Node>, config: &IstioCsr) -> Result<Self, GrpcError> {
        let watched = Watched::of(config)?;
        let settings = settings::build(config, &node, &watched.pods)?;
        let key = Arc::new(ServingKey::self_signed()?);
        let tls = tls::server_config(key.clone(), config.client_certificates)?;
        Ok(Self {
            mesh: Mesh::new(node, settings),
            watched: Mutex::new(watched),
            bind: config.bind.clone(),
            key,
            tls: Arc::new(ArcSwap::new(tls)),
            connections: Gate::new(config.limits.connections),
            requests: Gate::new(config.limits.requests),
        })
    }

    /// Serves until `stop` turns true.
    pub(crate) fn spawn(
        &self,
        socket: TcpListener,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<()> {
        let address = socket.local_addr()?;
        let settings = self.mesh.settings();
        tracing::info!(
            %address,
            mount = settings.mount,
            role = settings.role,
            trust_domain = %settings.trust_domain,
            "serving the workloads of a mesh"
        );
        let (health, routes) = service::routes(&self.mesh, &self.requests);
        let door = Door {
            routes,
            tls: self.tls.clone(),
            connections: self.connections.clone(),
            mesh: self.mesh.clone(),
        };
        tasks.spawn(connections::serve(socket, door, stop.clone()));
        tasks.spawn(certificate::keep(
            self.mesh.clone(),
            self.key.clone(),
            health,
            stop.clone(),
        ));
        Ok(())
    }

    /// Takes over what may change while the server runs; with a fault, nothing. To be called inside a runtime.
    pub(crate) fn reload(&self, config: &IstioCsr) -> Result<(), GrpcError> {
        if config.bind != self.bind {
            let text = "moving the listener of istio_csr needs a restart".to_owned();
            return Err(ConfigError(vec![text]).into());
        }
        let mut watched = self.watched.lock();
        let is_watched = watched.clusters.iter().eq(config.clusters_with_proxies());
        let fresh = (!is_watched).then(|| Watched::of(config)).transpose()?;
        let pods = &fresh.as_ref().unwrap_or(&watched).pods;
        let settings = settings::build(config, self.mesh.node(), pods)?;
        let tls = tls::server_config(self.key.clone(), config.client_certificates)?;
        if let Some(fresh) = fresh {
            *watched = fresh;
        }
        self.mesh.reload(settings);
        self.tls.store(tls);
        self.connections.resize(config.limits.connections);
        self.requests.resize(config.limits.requests);
        Ok(())
    }
}
