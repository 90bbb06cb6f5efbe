//! Looks at hosts whose names ACME clients claim.
//!
//! Every look makes connections of its own, so that one client's proof never rides on another's,
//! and each step has its limit.

mod names;
mod tls;
mod web;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use signet_api::probe::{Handshake, Host, Page, Probe, ProbeError};
use tokio::net::TcpStream;

/// The real network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkProbe {
    ports: Ports,
}

/// Where hosts listen: clients do not choose it, for others than the owner of a name may hold its
/// other ports.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http: u16,
    tls: u16,
}

impl Default for NetworkProbe {
    fn default() -> Self {
        let ports = Ports { http: 80, tls: 443 };
        Self { ports }
    }
}

/// For one connection with everything that is sent over it.
const EXCHANGE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// Of a host; the rest is not tried.
const MAX_ADDRESSES: usize = 4;

#[async_trait]
impl Probe for NetworkProbe {
    async fn page(
        &self,
        host: &Host,
        path: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Page, ProbeError> {
        web::page(self.ports, host, path, resolver).await
    }

    async fn texts(
        &self,
        name: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Vec<String>, ProbeError> {
        names::texts(name, resolver).await
    }

    async fn handshake(
        &self,
        name: &str,
        protocol: &[u8],
        resolver: Option<SocketAddr>,
    ) -> Result<Handshake, ProbeError> {
        let look = async {
            let stream = connect(&Host::Name(name.to_owned()), self.ports.tls, resolver).await?;
            tls::handshake(stream, name, protocol).await
        };
        in_time(look).await
    }
}

/// The first of the host's addresses that takes a connection.
async fn connect(
    host: &Host,
    port: u16,
    resolver: Option<SocketAddr>,
) -> Result<TcpStream, ProbeError> {
    let addresses = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => names::addresses(name, resolver).await?,
    };
    let mut last = failed("the name has no address");
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match connect_to(address, port).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(address: IpAddr, port: u16) -> Result<TcpStream, ProbeError> {
    let target = SocketAddr::new(address, port);
    match tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(format!("connection to {target}: {error}"))),
        Err(_) => Err(failed(format!("connection to {target}: no answer in time"))),
    }
}

async fn in_time<T>(look: impl Future<Output = Result<T, ProbeError>>) -> Result<T, ProbeError> {
    match tokio::time::timeout(EXCHANGE, look).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed("no complete answer in time")),
    }
}

fn failed(text: impl Into<String>) -> ProbeError {
    ProbeError(text.into())
}

#[cfg(test)]
mod tests;
