//! Looking at hosts whose names a client claims to control (the challenges of ACME, RFC 8555 §8).
//!
//! This crate does no I/O of its own; whoever runs it brings the [`Probe`] that does. Where it
//! connects is said by clients that nobody knows: each look is bounded in time and size, and sends
//! nothing that is secret.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// What can be seen of a host from outside. Names are looked up with `resolver`, or as this machine
/// looks up names when there is none.
#[async_trait]
pub trait Probe: Send + Sync + fmt::Debug {
    /// `GET http://<host><path>`, following redirects. Certificates of `https` do not count.
    ///
    /// # Errors
    /// When there is no complete answer, or one longer than [`MAX_PAGE_BYTES`].
    async fn page(
        &self,
        host: &Host,
        path: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Page, ProbeError>;

    /// The texts of the TXT records of `name`; parts of one record are joined.
    ///
    /// # Errors
    /// When there are none, or nobody answers.
    async fn texts(
        &self,
        name: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Vec<String>, ProbeError>;

    /// A TLS handshake for the host name `name` that offers the one application protocol
    /// `protocol`. The other side has to have the key of its certificate; who vouches for it does
    /// not count.
    ///
    /// # Errors
    /// When there is no handshake.
    async fn handshake(
        &self,
        name: &str,
        protocol: &[u8],
        resolver: Option<SocketAddr>,
    ) -> Result<Handshake, ProbeError>;
}

/// Of an answer over HTTP. Ample for a key authorization.
pub const MAX_PAGE_BYTES: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The application protocol that was agreed on.
    pub protocol: Option<Vec<u8>>,
    /// DER, the host's own first.
    pub certificates: Vec<Vec<u8>>,
}

/// Why nothing was seen. The text is for the client that asked, and holds nothing that the host
/// sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ProbeError(pub String);

/// Sees nothing: for a server that is to reach nobody, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

#[async_trait]
impl Probe for NoProbe {
    async fn page(
        &self,
        _host: &Host,
        _path: &str,
        _resolver: Option<SocketAddr>,
    ) -> Result<Page, ProbeError> {
        Err(nobody())
    }

    async fn texts(
        &self,
        _name: &str,
        _resolver: Option<SocketAddr>,
    ) -> Result<Vec<String>, ProbeError> {
        Err(nobody())
    }

    async fn handshake(
        &self,
        _name: &str,
        _protocol: &[u8],
        _resolver: Option<SocketAddr>,
    ) -> Result<Handshake, ProbeError> {
        Err(nobody())
    }
}

fn nobody() -> ProbeError {
    ProbeError("this server reaches nobody".into())
}
