//! One HTTP exchange over TCP or TLS. A connection serves one request: a command sends few.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::args::go_io_error;
use crate::tls_client;

/// What decides whom the client trusts and as whom it appears. All empty: the system's roots.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsSettings {
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) ca_cert: Option<String>,
    pub(crate) ca_path: Option<String>,
    pub(crate) client_cert: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) skip_verify: bool,
}

pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Error)]
pub(crate) enum TransportError {
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Http(String),
    #[error("{0}")]
    Setup(String),
    #[error("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    TimedOut,
    #[error("{0}")]
    Tls(String),
}

impl TransportError {
    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Http(_))
    }
}

pub(crate) fn exchange(
    exchange: &Exchange<'_>,
    tls: &TlsSettings,
    timeout: Duration,
) -> Result<Answer, TransportError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| TransportError::Setup(error.to_string()))?;
    runtime.block_on(async {
        tokio::time::timeout(timeout, run(exchange, tls))
            .await
            .unwrap_or(Err(TransportError::TimedOut))
    })
}

async fn run(exchange: &Exchange<'_>, tls: &TlsSettings) -> Result<Answer, TransportError> {
    let uri = exchange.uri;
    let host = uri.host().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if uri.scheme_str() != Some("https") {
        let stream = connect(host, uri.port_u16().unwrap_or(80)).await?;
        return converse(exchange, stream).await;
    }
    let config = client_config(tls)?;
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name)
        .map_err(|error| TransportError::Setup(format!("invalid server name: {error}")))?;
    let stream = connect(host, uri.port_u16().unwrap_or(443)).await?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| tls_error(&error))?;
    converse(exchange, stream).await
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, TransportError> {
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|_| TransportError::Connect(format!("dial tcp: lookup {host}: no such host")))?;
    let mut failure = format!("dial tcp: lookup {host}: no such host");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = format!("dial tcp {address}: connect: {}", reason(&error)),
        }
    }
    Err(TransportError::Connect(failure))
}

async fn converse<S>(exchange: &Exchange<'_>, stream: S) -> Result<Answer, TransportError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let http = |error: hyper::Error| TransportError::Http(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(http)?;
    let driver = tokio::spawn(connection);
    let response = sender
        .send_request(request(exchange)?)
        .await
        .map_err(http)?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT_BYTES)
        .collect()
        .await
        .map_err(|error| TransportError::Http(error.to_string()))?;
    driver.abort();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
    })
}

fn request(exchange: &Exchange<'_>) -> Result<Request<Full<Bytes>>, TransportError> {
    let setup = |error: String| TransportError::Setup(error);
    let target = exchange
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let authority = exchange
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(exchange.method)
        .uri(target)
        .body(Full::new(Bytes::copy_from_slice(exchange.body)))
        .map_err(|error| setup(error.to_string()))?;
    *request.headers_mut() = exchange.headers.clone();
    let host = HeaderValue::from_str(authority).map_err(|error| setup(error.to_string()))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TransportError> {
    let builder =
        tls_client::builder().map_err(|error| TransportError::Setup(error.to_string()))?;
    let builder = if settings.skip_verify {
        let provider = Arc::clone(builder.crypto_provider());
        let anyone = tls_client::verifier(provider, |_, _, _| Ok(()));
        builder.dangerous().with_custom_certificate_verifier(anyone)
    } else {
        builder.with_root_certificates(roots(settings)?)
    };
    match (&settings.client_cert, &settings.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = pem_certificates(certificate, &read(certificate)?)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|error| TransportError::Setup(format!("{key}: {error}")))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TransportError::Setup(format!("client certificate: {error}")))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(TransportError::Setup(
            "both client cert and client key must be provided".to_owned(),
        )),
    }
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, TransportError> {
    let mut given = Vec::new();
    if let Some(path) = &settings.ca_cert {
        given.extend(pem_certificates(path, &read(path)?)?);
    } else if let Some(pem) = &settings.ca_pem {
        given.extend(pem_certificates("CACERT_BYTES", pem)?);
    } else if let Some(directory) = &settings.ca_path {
        let loaded = rustls_native_certs::load_certs_from_paths(None, Some(directory.as_ref()));
        given.extend(loaded.certs);
        if given.is_empty() {
            return Err(TransportError::Setup(format!(
                "no certificates found in {directory}"
            )));
        }
    } else {
        return Ok(tls_client::system_roots());
    }
    tls_client::roots_of(given)
        .map_err(|error| TransportError::Setup(format!("CA certificate: {error}")))
}

fn read(path: &str) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path)
        .map_err(|error| TransportError::Setup(format!("open {path}: {}", go_io_error(&error))))
}

fn pem_certificates(
    source: &str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    tls_client::pem_certificates(pem)
        .map_err(|error| TransportError::Setup(format!("{source}: {error}")))
}

fn tls_error(error: &io::Error) -> TransportError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    TransportError::Tls(match inner {
        Some(rustls::Error::InvalidMessage(_)) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        // Another authority of the same name shows as a bad signature.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::BadSignature | CertificateError::UnknownIssuer,
        )) => "tls: failed to verify certificate: x509: certificate signed by unknown authority"
            .to_owned(),
        Some(rustls::Error::InvalidCertificate(fault)) => {
            format!("tls: failed to verify certificate: x509: {fault}")
        }
        Some(other) => format!("tls: {other}"),
        None => reason(error),
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

const ANSWER_LIMIT_BYTES: usize = 256 * 1024 * 1024;
