//! TLS 1.2 and 1.3, HTTP/2 only. Which client certificate counts is for the API to judge.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use super::certificate::ServingKey;
use crate::server::tls::AnyClient;

pub(super) fn server_config(
    key: Arc<ServingKey>,
    client_certificates: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = if client_certificates {
        builder.with_client_cert_verifier(Arc::new(AnyClient {
            provider,
            subjects: Vec::new(),
        }))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(key);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring a client certificate back without its key.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
