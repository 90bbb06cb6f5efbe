//! Two workloads and a connection between them, each of which proves who it is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    ServerConnection, Stream,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::tls_client;

/// Who can prove to be `identity`.
#[derive(Debug)]
pub(super) struct Workload {
    /// A SPIFFE ID.
    pub(super) identity: String,
    /// The workload's certificate first, the root last.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// What the client saw.
#[derive(Debug)]
pub(super) struct Meeting {
    /// The chain as the server sent it in the handshake.
    pub(super) served: Vec<CertificateDer<'static>>,
    pub(super) answer: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MeshError {
    #[error("network: {0}")]
    Network(#[source] io::Error),
    /// The server ended the connection.
    #[error("{0}")]
    Refused(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("TLS: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Connects over the loopback interface; without a client, one that has no certificate.
pub(super) fn connect(
    server: &Workload,
    client: Option<&Workload>,
    root: &CertificateDer<'static>,
) -> Result<Meeting, MeshError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let roots = Arc::new(roots);
    let server_config = server_config(server, &roots, &provider)?;
    let client_config = client_config(&server.identity, client, &roots, &provider)?;
    let mut server_tls = ServerConnection::new(server_config)?;
    // Who it is says its certificate, not the address.
    let address = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut client_tls = ClientConnection::new(client_config, address)?;
    let (mut server_end, mut client_end) = connected().map_err(MeshError::Network)?;
    let answer = std::thread::scope(|scope| {
        // What went wrong at this end, the other one is told by an alert.
        scope.spawn(|| serve(&mut Stream::new(&mut server_tls, &mut server_end)));
        ask(&mut Stream::new(&mut client_tls, &mut client_end))
    });
    let answer = answer.map_err(|error| match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => MeshError::Refused(error.to_string()),
        _ => MeshError::Network(error),
    })?;
    let certificates = client_tls.peer_certificates().unwrap_or_default();
    Ok(Meeting {
        served: certificates
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
        answer,
    })
}

fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for stream in [&server, &client] {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((server, client))
}

/// Reads one line and greets whoever the certificate says the client is.
fn serve(stream: &mut Stream<'_, ServerConnection, TcpStream>) -> io::Result<()> {
    let mut line = [0; QUESTION.len()];
    stream.read_exact(&mut line)?;
    let certificates = stream.conn.peer_certificates().unwrap_or_default();
    let client = certificates.first().and_then(identity_of);
    let client = client.unwrap_or_else(|| "whoever you are".into());
    write!(stream, "hello, {client}")?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn ask(stream: &mut Stream<'_, ClientConnection, TcpStream>) -> io::Result<String> {
    stream.write_all(QUESTION)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn server_config(
    workload: &Workload,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, MeshError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(workload.chain.clone(), workload.key.clone_key())?;
    Ok(Arc::new(config))
}

fn client_config(
    server_identity: &str,
    workload: Option<&Workload>,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, MeshError> {
    let (expected, roots) = (server_identity.to_owned(), roots.clone());
    let algorithms = provider.signature_verification_algorithms.all;
    // As a mesh verifies servers: a chain to the root, and a SPIFFE ID in the place of a host name.
    let verifier = tls_client::verifier(provider.clone(), move |leaf, intermediates, now| {
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms)?;
        if identity_of(leaf).as_ref() == Some(&expected) {
            Ok(())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    });
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match workload {
        Some(workload) => {
            builder.with_client_auth_cert(workload.chain.clone(), workload.key.clone_key())?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The only URI among the names of a certificate.
fn identity_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let (_, names) = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .ok()??;
    match names.0.as_slice() {
        [GeneralName::UniformResourceIdentifier(uri)] => Some(uri.as_str().to_owned()),
        _ => None,
    }
}

const QUESTION: &[u8; 5] = b"hello";

/// For a peer that is at the other end of the same process.
const PATIENCE: Duration = Duration::from_secs(30);
