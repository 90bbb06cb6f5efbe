//! TLS with hosts whose certificates nobody vouches for.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use signet_api::probe::{Handshake, Host, ProbeError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::{Decode as _, Encode as _};

use super::failed;

/// A connection on which a page can be fetched.
pub(super) async fn with_anybody(
    stream: TcpStream,
    host: &Host,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let name = match host {
        Host::Address(address) => ServerName::IpAddress(IpAddr::from(*address)),
        Host::Name(name) => server_name(name)?,
    };
    start(stream, name, Vec::new()).await
}

/// What the host shows to whoever speaks `protocol`.
pub(super) async fn handshake(
    stream: TcpStream,
    name: &str,
    protocol: &[u8],
) -> Result<Handshake, ProbeError> {
    let stream = start(stream, server_name(name)?, vec![protocol.to_vec()]).await?;
    let (_, connection) = stream.get_ref();
    let certificates = connection.peer_certificates().unwrap_or_default();
    Ok(Handshake {
        protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
        certificates: certificates.iter().map(|it| it.to_vec()).collect(),
    })
}

async fn start(
    stream: TcpStream,
    name: ServerName<'static>,
    protocols: Vec<Vec<u8>>,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(OwnKey::of(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| failed("TLS cannot be used"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols;
    // Its errors are fixed sentences and names of TLS.
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| failed(format!("TLS handshake failed: {error}")))
}

fn server_name(name: &str) -> Result<ServerName<'static>, ProbeError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| failed(format!("{name} is no name that TLS could know")))
}

/// Takes every certificate, but only from whoever has its key. Extensions do not matter here: that
/// of ACME is critical, and libraries do not know it.
#[derive(Debug)]
struct OwnKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl OwnKey {
    fn of(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let unreadable =
            || rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        let certificate =
            x509_cert::Certificate::from_der(certificate).map_err(|_| unreadable())?;
        let key = certificate.tbs_certificate().subject_public_key_info();
        let identifier = key.algorithm.to_der().map_err(|_| unreadable())?;
        // Without tag and length, as the algorithms have it.
        let identifier = inside(&identifier).ok_or_else(unreadable)?;
        let bits = key.subject_public_key.as_bytes().ok_or_else(unreadable)?;
        let candidates = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter());
        for algorithm in candidates {
            if algorithm.public_key_alg_id().as_ref() == identifier
                && algorithm
                    .verify_signature(bits, message, signed.signature())
                    .is_ok()
            {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::BadSignature,
        ))
    }
}

/// The content of a short SEQUENCE.
fn inside(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x30, length @ 0..=127, content @ ..] if content.len() == usize::from(*length) => {
            Some(content)
        }
        _ => None,
    }
}

impl ServerCertVerifier for OwnKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
