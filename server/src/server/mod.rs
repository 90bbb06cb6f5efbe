//! The server as a process: from settings to sockets, and down again.

mod banner;
mod dev;
mod dev_tls;
pub(crate) mod embedded;
mod log_file;
mod logging;
pub(crate) mod machine;
mod node;
mod pod;
pub(crate) mod private_file;
mod reload;
mod signals;
mod sockets;
pub(crate) mod tls;
mod unseal;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use signet_api::error::ApiError;
use signet_api::node::Node;
use signet_storage::{BarrierError, StorageError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::args::ServerArgs;
use crate::config::env::Environment;
use crate::config::{self, Bind, ConfigError, Listener, Settings};
use crate::grpc::{GrpcError, MeshEdge};
use crate::http::{self, Connections, Edge, Socket};
use crate::kubernetes;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Api(ApiError),
    #[error("unsealing")]
    Barrier(#[from] BarrierError),
    #[error("listening at {address}")]
    Bind { address: String, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    DevTls(#[from] dev_tls::DevTlsError),
    #[error(transparent)]
    Grpc(#[from] GrpcError),
    #[error("the listener of the mesh")]
    MeshSocket(#[source] io::Error),
    #[error("starting the threads of the server")]
    Runtime(#[source] io::Error),
    #[error("{0}")]
    Seal(String),
    #[error("listening for signals")]
    Signals(#[source] io::Error),
    #[error("opening the storage")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Runs a server on threads of its own until it is told to stop.
pub(crate) fn run_blocking(args: &ServerArgs, environment: &Environment) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let result = runtime.block_on(run(args, environment));
    // Computations that are still running have nobody left to answer.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Runs a server until it is told to stop.
pub(crate) async fn run(args: &ServerArgs, environment: &Environment) -> Result<(), Error> {
    let mut settings = config::load(args, environment)?;
    let log = logging::start(&settings.log).map_err(|source| Error::File {
        path: settings
            .log
            .file
            .as_ref()
            .map(|file| file.path.clone())
            .unwrap_or_default(),
        source,
    })?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let mut signals = signals::Signals::listen().map_err(Error::Signals)?;
    let dev_files = dev::prepare(&mut settings)?;
    let node = node::build(&settings)?;
    let mesh = match &settings.declared.istio_csr {
        Some(config) => Some((
            MeshEdge::new(node.clone(), config)?,
            bind(&config.bind).await?,
        )),
        None => None,
    };
    let listening = listen(&settings.listeners).await?;
    let addresses = Addresses::of(&settings, &listening);
    let dev = if let Some(dev) = &settings.dev {
        Some(dev::unseal(&node, dev).await?)
    } else {
        unseal::automatically(&node, settings.seal.as_ref()).await?;
        None
    };
    let pid_file = settings.pid_file.clone().map(PidFile::write).transpose()?;
    banner::print(&settings, &addresses, dev.as_ref(), dev_files.as_ref());

    let (stop, stopping) = watch::channel(false);
    let connections = Connections::new();
    let mut server = Running {
        edges: Vec::new(),
        tls: Vec::new(),
        mesh: None,
    };
    let mut tasks = JoinSet::new();
    for (listener, socket) in settings.listeners.iter().zip(listening) {
        let edge = Edge::new(node.clone(), listener.policy.clone());
        server.tls.push(match &socket {
            Socket::Tls(_, config) => Some(config.clone()),
            Socket::Tcp(_) | Socket::Unix(_) => None,
        });
        server.edges.push(edge.clone());
        tasks.spawn(http::serve(
            socket,
            edge,
            listener.connections,
            connections.clone(),
            stopping.clone(),
        ));
    }
    if let Some((edge, socket)) = mesh {
        let spawned = edge.spawn(socket, &mut tasks, &stopping);
        spawned.map_err(Error::MeshSocket)?;
        server.mesh = Some(edge);
    }
    let ticker = tokio::spawn(tick(node.clone()));
    let keys = (settings.rsa_keys_ahead > 0).then(|| tokio::spawn(make_keys_ahead(node.clone())));
    let controller = settings
        .declared
        .kubernetes
        .clone()
        .map(|kubernetes| kubernetes::start(kubernetes, node.clone(), stopping.clone()));
    let started = Instant::now();
    loop {
        match signals.next().await {
            signals::Signal::Diagnose => server.diagnose(&node, &connections, started),
            signals::Signal::Reload => {
                reload::reload(args, environment, &mut settings, &log, &server, &node).await;
            }
            signals::Signal::Stop => break,
        }
    }

    tracing::info!("shutting down");
    // Fails only when nobody is left to be told.
    let _ = stop.send(true);
    let drained = async {
        while tasks.join_next().await.is_some() {}
        connections.ended().await;
        if let Some(controller) = controller {
            let _ = controller.await;
        }
    };
    tokio::select! {
        () = drained => {}
        () = tokio::time::sleep(config::DRAIN_LIMIT) => {
            tracing::warn!("connections were still busy at the end");
        }
        () = signals.stop_again() => {
            tracing::warn!("stopped without waiting for connections");
        }
    }
    ticker.abort();
    if let Some(keys) = keys {
        keys.abort();
    }
    node.seal().await;
    for listener in &settings.listeners {
        if let Bind::Unix(socket) = &listener.bind {
            sockets::remove_unix(&socket.path);
        }
    }
    drop(pid_file);
    tracing::info!("stopped");
    Ok(())
}

/// What a reload and diagnostics reach.
#[derive(Debug)]
struct Running {
    /// One for each listener, in their order.
    edges: Vec<Arc<Edge>>,
    tls: Vec<Option<Arc<ArcSwap<rustls::ServerConfig>>>>,
    mesh: Option<MeshEdge>,
}

impl Running {
    fn diagnose(&self, node: &Node, connections: &Connections, started: Instant) {
        let runtime = tokio::runtime::Handle::current();
        tracing::info!(
            uptime_secs = started.elapsed().as_secs(),
            sealed = node.core().is_none(),
            connections = connections.open(),
            requests = self.edges.iter().map(|edge| edge.requests()).sum::<u64>(),
            open_files = machine::open_files().unwrap_or_default(),
            resident_bytes = machine::resident_bytes().unwrap_or_default(),
            runtime.workers = runtime.metrics().num_workers(),
            runtime.tasks = runtime.metrics().num_alive_tasks(),
            "diagnostics"
        );
    }
}

async fn listen(listeners: &[Listener]) -> Result<Vec<Socket>, Error> {
    let mut sockets = Vec::new();
    for listener in listeners {
        let socket = match &listener.bind {
            Bind::Tcp { host, port } => {
                let tls = listener.tls.as_ref().map(tls::server_config).transpose()?;
                let bound = bind_tcp(host, *port).await?;
                match tls {
                    Some(config) => Socket::Tls(bound, Arc::new(ArcSwap::new(config))),
                    None => Socket::Tcp(bound),
                }
            }
            Bind::Unix(settings) => {
                Socket::Unix(sockets::unix(settings).map_err(|source| Error::Bind {
                    address: settings.path.display().to_string(),
                    source,
                })?)
            }
        };
        sockets.push(socket);
    }
    Ok(sockets)
}

async fn bind(bind: &Bind) -> Result<TcpListener, Error> {
    match bind {
        Bind::Tcp { host, port } => bind_tcp(host, *port).await,
        Bind::Unix(socket) => Err(Error::Bind {
            address: socket.path.display().to_string(),
            source: io::ErrorKind::Unsupported.into(),
        }),
    }
}

async fn bind_tcp(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bound = sockets::tcp(host, port).await;
    bound.map_err(|source| Error::Bind {
        address: format!("{host}:{port}"),
        source,
    })
}

/// How the server can be reached.
#[derive(Debug)]
struct Addresses {
    /// As clients are told.
    api: String,
    /// One text for each listener.
    listeners: Vec<String>,
}

impl Addresses {
    fn of(settings: &Settings, sockets: &[Socket]) -> Self {
        let mut api = settings.api_addr.clone();
        let mut listeners = Vec::new();
        for (listener, socket) in settings.listeners.iter().zip(sockets) {
            let (tls, bound) = match socket {
                Socket::Tcp(bound) => ("disabled", bound.local_addr().ok()),
                Socket::Tls(bound, _) => ("enabled", bound.local_addr().ok()),
                Socket::Unix(_) => ("disabled", None),
            };
            let kind = if bound.is_some() { "tcp" } else { "unix" };
            let address = match (&listener.bind, bound) {
                (_, Some(bound)) => bound.to_string(),
                (Bind::Unix(socket), None) => socket.path.display().to_string(),
                (Bind::Tcp { host, port }, None) => format!("{host}:{port}"),
            };
            if let Some(bound) = bound {
                let scheme = if tls == "enabled" { "https" } else { "http" };
                api.get_or_insert_with(|| format!("{scheme}://{}", reachable(bound)));
            }
            let limits = &listener.policy.limits;
            listeners.push(format!(
                "{kind} (addr: {address:?}, max_request_duration: \"{}\", max_request_size: \
                 \"{}\", tls: {tls:?})",
                signet_api::time::go_duration_short(limits.duration.as_secs()),
                limits.body_bytes,
            ));
        }
        Self {
            api: api.unwrap_or_default(),
            listeners,
        }
    }
}

/// An address to connect to, for one that listens everywhere.
fn reachable(bound: std::net::SocketAddr) -> std::net::SocketAddr {
    let mut address = bound;
    if bound.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Gives the node its time for chores, once a minute.
async fn tick(node: Arc<Node>) {
    let mut minutes = tokio::time::interval_at(Instant::now() + TICK, TICK);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        node.tick().await;
    }
}

const TICK: Duration = Duration::from_mins(1);

/// Gives the node its time for keys whenever no request has come for a moment.
async fn make_keys_ahead(node: Arc<Node>) {
    loop {
        match node.make_key_ahead().await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(IDLE_AFTER).await,
            Err(error) => {
                tracing::warn!(%error, "no key was made ahead");
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

const IDLE_AFTER: Duration = Duration::from_millis(100);

/// Holds the process id; removed at the end.
#[derive(Debug)]
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> Result<Self, Error> {
        match std::fs::write(&path, std::process::id().to_string()) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(Error::File { path, source }),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An error and what it comes from, in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
