//! Looks at hosts whose names ACME clients claim.
//!
//! Every look makes connections of its own, so that one client's proof never rides on another's,
//! and each step has its limit.

mod names;
mod tls;
mod web;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use signet_api::probe::{Handshake, Host, Page, Probe, ProbeError};
use tokio::net::TcpStream;

/// The real network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkProbe {
    ports: Ports,
    loopback: Loopback,
}

/// Whether a host may be this machine. What listens there often trusts whoever can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loopback {
    Allowed,
    Forbidden,
}

/// Where hosts listen: clients do not choose it, for others than the owner of a name may hold its
/// other ports.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http: u16,
    tls: u16,
}

impl NetworkProbe {
    pub(crate) fn new(loopback: Loopback) -> Self {
        let ports = Ports { http: 80, tls: 443 };
        Self { ports, loopback }
    }

    /// The first of the host's addresses that takes a connection.
    async fn connect(
        &self,
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
            // The address that is called is the one that was looked at: no name can change between.
            if !may_be_called(address, self.loopback) {
                last = failed(format!("{address} is not the address of a host to look at"));
                continue;
            }
            match connect_to(address, port).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Private networks are where most hosts are that get certificates here. On link-local addresses are
/// the metadata services of clouds, which answer to whoever asks from this machine.
fn may_be_called(address: IpAddr, loopback: Loopback) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let is_forbidden = is_link_local
        || address.is_multicast()
        || address.is_unspecified()
        || address == AWS_METADATA_V6
        || (address.is_loopback() && loopback == Loopback::Forbidden);
    !is_forbidden
}

/// `fd00:ec2::254`: a metadata service on a private address.
const AWS_METADATA_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

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
        web::page(self, host, path, resolver).await
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
            let host = Host::Name(name.to_owned());
            let stream = self.connect(&host, self.ports.tls, resolver).await?;
            tls::handshake(stream, name, protocol).await
        };
        in_time(look).await
    }
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
