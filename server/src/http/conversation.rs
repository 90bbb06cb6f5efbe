//! A connection from its TLS handshake to its end, the same for all listeners.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::pin;

use hyper_util::server::graceful::GracefulConnection;
use signet_api::call::Peer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::connection::{Activity, ConnectionLimits};

/// A socket for both families shows IPv4 clients as mapped addresses.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client at the other end of a handshake that is over.
pub(crate) fn peer(stream: &TlsStream<TcpStream>, address: SocketAddr) -> Peer {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Peer {
        address,
        certificates: certificates
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
    }
}

/// Serves a connection until it ends. It is asked to when `stop` turns true; and when it is overdue, and
/// dropped at the check after that.
pub(crate) async fn converse<C>(
    connection: C,
    activity: &Activity,
    limits: &ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let mut checks = tokio::time::interval(limits.check_interval());
    let (mut closing, mut stopping) = (false, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = checks.tick() => {
                if !activity.is_overdue(Instant::now(), limits) {
                    continue;
                }
                if closing {
                    return;
                }
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
