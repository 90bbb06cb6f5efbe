//! Two workloads and a connection between them, each of which proves who it is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme, Stream,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

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
    let served = client_tls.peer_certificates().unwrap_or_default();
    Ok(Meeting {
        served: served
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
    let verifier = Arc::new(IdentityVerifier {
        identity: server_identity.to_owned(),
        roots: roots.clone(),
        provider: provider.clone(),
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

/// As a mesh verifies servers: a chain to the root, and a SPIFFE ID in the place of a host name.
#[derive(Debug)]
struct IdentityVerifier {
    identity: String,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for IdentityVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        if identity_of(end_entity).as_ref() == Some(&self.identity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

const QUESTION: &[u8; 5] = b"hello";

/// For a peer that is at the other end of the same process.
const PATIENCE: Duration = Duration::from_secs(30);
