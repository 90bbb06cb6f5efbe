//! Connections: accepted, bounded, one TLS handshake each, and drained at the end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::Acceptor;
use signet_api::call::Peer;
use signet_api::mesh::Mesh;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;

use super::gate::{Gate, Place};
use crate::http::{Activity, ConnectionLimits, Watched, canonical, converse, peer};

/// What every connection needs.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) routes: Routes,
    pub(super) tls: Arc<ArcSwap<rustls::ServerConfig>>,
    pub(super) connections: Arc<Gate>,
    pub(super) mesh: Arc<Mesh>,
}

/// Accepts connections until `stop` turns true; returns when those under way have ended.
pub(super) async fn serve(socket: TcpListener, door: Door, mut stop: watch::Receiver<bool>) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let reserve = Gate::new(RESERVED_CONNECTIONS);
    // They do not queue behind all the others.
    let reserved_handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let stopping = stop.clone();
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = conversations.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: the loop must outlive it.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (place, is_reserve) = if let Some(place) = door.connections.enter() {
            (place, false)
        } else {
            door.mesh.node().metrics.mesh.connection_refused();
            // Without one of these either, the client sees a closed connection, and comes back.
            let Some(place) = reserve.enter() else {
                continue;
            };
            (place, true)
        };
        let _ = stream.set_nodelay(true);
        let conversation = Conversation {
            door: door.clone(),
            handshakes: if is_reserve {
                reserved_handshakes.clone()
            } else {
                handshakes.clone()
            },
            stop: stopping.clone(),
            is_reserve,
            _place: place,
        };
        conversations.spawn(conversation.run(stream, canonical(address)));
    }
    while conversations.join_next().await.is_some() {}
}

/// One client.
struct Conversation {
    door: Door,
    handshakes: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    /// Came when there was no place any more, and is told only that, and of the server's health.
    is_reserve: bool,
    _place: Place,
}

impl Conversation {
    async fn run(self, stream: TcpStream, address: SocketAddr) {
        let Some(stream) = self.shake_hands(stream, address).await else {
            return self.door.mesh.node().metrics.mesh.handshake_failed();
        };
        let peer = peer(&stream, address);
        self.serve(stream, peer).await;
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let shaken = match timeout(HANDSHAKE_LIMIT, self.greeted(stream)).await {
            Ok(Ok(greeting)) => self.answer(greeting).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        shaken
            .inspect_err(|error| tracing::debug!(%address, %error, "TLS handshake failed"))
            .ok()
    }

    /// Waits for the client's first message: who says nothing takes nobody's turn.
    async fn greeted(&self, stream: TcpStream) -> io::Result<StartHandshake<TcpStream>> {
        LazyConfigAcceptor::new(Acceptor::default(), stream).await
    }

    async fn answer(
        &self,
        greeting: StartHandshake<TcpStream>,
    ) -> io::Result<TlsStream<TcpStream>> {
        // That others are many is no fault of this client: its own time goes on after its turn.
        let turn = timeout(TURN_LIMIT, self.handshakes.acquire()).await?;
        // Behind those connections that have something to do by now.
        tokio::task::yield_now().await;
        let mut shaking = pin!(greeting.into_stream(self.door.tls.load_full()));
        // All that costs is in the first step; to wait for the client costs nothing.
        let first = poll_fn(|cx| Poll::Ready(shaking.as_mut().poll(cx))).await;
        drop(turn);
        match first {
            Poll::Ready(shaken) => shaken,
            Poll::Pending => timeout(HANDSHAKE_LIMIT, shaking).await?,
        }
    }

    async fn serve(self, stream: TlsStream<TcpStream>, peer: Peer) {
        let is_reserve = self.is_reserve;
        let limits = if is_reserve { RESERVE_LIMITS } else { LIMITS };
        let activity = Activity::new(Instant::now());
        let stream = Watched::new(stream, activity.clone(), limits);
        let routes = TowerToHyperService::new(self.door.routes.clone());
        let service = {
            let activity = activity.clone();
            service_fn(move |mut request: Request<Incoming>| {
                let guard = activity.request();
                let is_turned_away = is_reserve && !request.uri().path().starts_with(HEALTH);
                request.extensions_mut().insert(peer.clone());
                let answer = timeout(REQUEST_LIMIT, routes.call(request.map(Body::new)));
                async move {
                    if is_turned_away {
                        let full = Status::resource_exhausted("too many connections");
                        return Ok(full.into_http());
                    }
                    let response = match answer.await {
                        Ok(Ok(response)) => settle_size(response),
                        Ok(Err(never)) => match never {},
                        Err(_) => Status::unavailable("the request took too long").into_http(),
                    };
                    drop(guard);
                    Ok::<Response<Body>, Infallible>(response)
                }
            })
        };
        let connection = builder().serve_connection(TokioIo::new(stream), service);
        converse(connection, &activity, &limits, self.stop).await;
    }
}

/// A message that is too long is a resource that is used up, as other servers of the protocol say.
fn settle_size(mut response: Response<Body>) -> Response<Body> {
    const STATUS: &str = "grpc-status";
    if response
        .headers()
        .get(STATUS)
        .is_some_and(|status| status == "11")
    {
        let exhausted = HeaderValue::from_static("8");
        response.headers_mut().insert(STATUS, exhausted);
    }
    response
}

/// Clients that ask every 30 seconds whether the connection lives are answered, however often.
fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .max_send_buf_size(64 * 1024);
    builder
}

/// Handshakes that are computed: few, so that whoever has shaken hands waits behind few of them. More wait as
/// connections.
const MAX_HANDSHAKES: usize = 16;
/// How long a client waits for its turn.
const TURN_LIMIT: Duration = Duration::from_mins(1);
/// Up to the client's first message, and from the turn to its last one.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Agents wait for an answer without end, so the end has to come from here.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Of one connection; a node's proxy asks for eight at once.
const MAX_STREAMS: u32 = 128;
const MAX_HEADER_BYTES: u32 = 64 * 1024;
const WINDOW_BYTES: u32 = 128 * 1024;
/// For those who look after the server: their probes connect anew each time.
const RESERVED_CONNECTIONS: usize = 64;
const HEALTH: &str = "/grpc.health.v1.Health/";
const RESERVE_LIMITS: ConnectionLimits = ConnectionLimits {
    idle: Duration::from_secs(5),
    ..LIMITS
};
const LIMITS: ConnectionLimits = ConnectionLimits {
    header_read: Duration::from_secs(30),
    idle: Duration::from_mins(5),
    write_stall: Duration::from_secs(30),
    idle_bytes: 1024 * 1024,
};
