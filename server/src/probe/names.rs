//! Names and what DNS says of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use signet_api::probe::ProbeError;

use super::{EXCHANGE, failed};

/// For one question; a second one follows when it is not answered.
const QUESTION: Duration = Duration::from_secs(3);

/// The addresses of a host. Without a `resolver` as everything on this machine finds them.
pub(super) async fn addresses(
    name: &str,
    resolver: Option<SocketAddr>,
) -> Result<Vec<IpAddr>, ProbeError> {
    let not_found = || failed(format!("failed to look up addresses of {name}"));
    let lookup = async {
        let Some(server) = resolver else {
            let found = tokio::net::lookup_host((name, 0)).await;
            let found = found.map_err(|_| not_found())?;
            return Ok(found.map(|address| address.ip()).collect());
        };
        let found = at(server)?.lookup_ip(absolute(name)?).await;
        Ok(found.map_err(|_| not_found())?.iter().collect())
    };
    match tokio::time::timeout(EXCHANGE, lookup).await {
        Ok(outcome) => outcome,
        Err(_) => Err(not_found()),
    }
}

/// The TXT records of a name.
pub(super) async fn texts(
    name: &str,
    resolver: Option<SocketAddr>,
) -> Result<Vec<String>, ProbeError> {
    let via = resolver.map(|server| format!(" via resolver {server}"));
    let not_found = || {
        failed(format!(
            "failed to lookup TXT records for domain ({name}){}",
            via.as_deref().unwrap_or_default()
        ))
    };
    let resolver = match resolver {
        Some(server) => at(server)?,
        None => of_machine()?,
    };
    let lookup = resolver.lookup(absolute(name)?, RecordType::TXT);
    let Ok(Ok(found)) = tokio::time::timeout(EXCHANGE, lookup).await else {
        return Err(not_found());
    };
    let texts = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => {
                let parts: Vec<u8> = text.txt_data.iter().flatten().copied().collect();
                Some(String::from_utf8_lossy(&parts).into_owned())
            }
            _ => None,
        });
    Ok(texts.collect())
}

/// Search domains of this machine have nothing to do with names of clients.
fn absolute(name: &str) -> Result<Name, ProbeError> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
        .map_err(|_| failed(format!("{name} is no name that DNS could know")))
}

/// Asks one server. A new one for each look: what others found is not to be believed for longer.
fn at(server: SocketAddr) -> Result<TokioResolver, ProbeError> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    build(builder)
}

fn of_machine() -> Result<TokioResolver, ProbeError> {
    let builder = TokioResolver::builder_tokio()
        .map_err(|_| failed("the DNS configuration of the server cannot be read"))?;
    build(builder)
}

fn build(
    mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
) -> Result<TokioResolver, ProbeError> {
    let options = builder.options_mut();
    options.timeout = QUESTION;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder
        .build()
        .map_err(|_| failed("the DNS configuration of the server cannot be used"))
}
