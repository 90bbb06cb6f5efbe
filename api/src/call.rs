//! A request as the edges hand it over: no HTTP in it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What a client wants to do to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    Delete,
    /// Describe the path; any valid token may.
    Help,
    List,
    Patch,
    Read,
    Write,
}

/// Response wrapping, asked for by `X-Vault-Wrap-TTL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapRequest {
    /// At least 1.
    pub ttl_secs: u64,
}

/// Who is at the other end of the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// DER certificates of the TLS client, leaf first; empty without one. Not verified here.
    pub certificates: Arc<[Vec<u8>]>,
}

/// One request.
pub struct Call {
    pub id: String,
    pub op: Op,
    /// Decoded, without `/v1/`, no empty or dot segments. A list ends in `/`.
    pub path: String,
    /// Fields of the body, or of the query for reads, lists and deletes.
    pub data: Map<String, Value>,
    /// The body as it came, for endpoints that do not speak JSON.
    pub raw_body: Bytes,
    pub token: Option<Zeroizing<String>>,
    pub wrap: Option<WrapRequest>,
    pub peer: Peer,
    /// Lower-case names, in the order in which they came.
    pub headers: Vec<(String, String)>,
}

impl Call {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("op", &self.op)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
