//! Connections: accepted, bounded, and drained at the end.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use signet_api::call::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::Edge;
use super::connection::{Activity, ConnectionLimits, Watched};
use super::conversation::{canonical, converse, peer};

/// What clients connect to.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    /// TLS with whatever the configuration is when a client connects.
    Tls(TcpListener, Arc<ArcSwap<rustls::ServerConfig>>),
    Unix(UnixListener),
}

/// All connections of the process, bounded in number.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    pub(crate) fn open(&self) -> usize {
        MAX_CONNECTIONS - self.places.available_permits()
    }

    /// Waits until the last one has ended.
    pub(crate) async fn ended(&self) {
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        // Fails only when closed, and nobody closes it.
        let _ = self.places.acquire_many(all).await;
    }
}

/// More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 16_384;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Line and headers of one request together.
const MAX_HEADER_BYTES: usize = 256 * 1024;
const MAX_HEADERS: usize = 256;

/// Accepts connections until `stop` turns true; those under way finish by themselves.
pub(crate) async fn serve(
    socket: Socket,
    edge: Arc<Edge>,
    limits: ConnectionLimits,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
) {
    let builder = Arc::new(builder());
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket, &connections) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: the loop must outlive it.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let conversation = Conversation {
            builder: builder.clone(),
            edge: edge.clone(),
            limits,
            stop: stopping.clone(),
            _place: place,
        };
        match (stream, &socket) {
            (Stream::Unix(stream), _) => {
                let peer = Peer {
                    address: NO_ADDRESS,
                    certificates: Arc::new([]),
                };
                tokio::spawn(conversation.run(stream, peer));
            }
            (Stream::Tcp(stream, address), Socket::Tls(_, config)) => {
                let acceptor = TlsAcceptor::from(config.load_full());
                tokio::spawn(conversation.run_tls(acceptor, stream, address));
            }
            (Stream::Tcp(stream, address), _) => {
                let peer = Peer {
                    address,
                    certificates: Arc::new([]),
                };
                tokio::spawn(conversation.run(stream, peer));
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

async fn accept(
    socket: &Socket,
    connections: &Connections,
) -> io::Result<(Stream, OwnedSemaphorePermit)> {
    let place = connections.places.clone().acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let stream = match socket {
        Socket::Tcp(listener) | Socket::Tls(listener, _) => {
            let (stream, address) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Stream::Tcp(stream, canonical(address))
        }
        Socket::Unix(listener) => Stream::Unix(listener.accept().await?.0),
    };
    Ok((stream, place))
}

/// What clients of Unix sockets have for an address: none that a CIDR could mean.
const NO_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Idle time and slow headers are told apart in `connection`.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX));
    builder
}

/// One client.
struct Conversation {
    builder: Arc<auto::Builder<TokioExecutor>>,
    edge: Arc<Edge>,
    limits: ConnectionLimits,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Conversation {
    async fn run_tls(self, acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) {
        let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(%address, "TLS handshake took too long");
                return;
            }
        };
        let peer = peer(&stream, address);
        self.run(stream, peer).await;
    }

    async fn run<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            builder,
            edge,
            limits,
            stop,
            _place,
        } = self;
        let activity = Activity::new(Instant::now());
        let stream = Watched::new(stream, activity.clone(), limits);
        let service = {
            let activity = activity.clone();
            service_fn(move |request: hyper::Request<Incoming>| {
                let guard = activity.request();
                let (edge, peer) = (edge.clone(), peer.clone());
                async move {
                    let response = edge.answer(request, peer).await;
                    drop(guard);
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        converse(connection, &activity, &limits, stop).await;
    }
}
