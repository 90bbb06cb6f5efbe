//! A client as Istio's agents and ztunnel are: TLS, one call, a CSR.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use signet_proto::istio::IstioCertificateRequest;
use signet_proto::istio::istio_certificate_service_client::IstioCertificateServiceClient;
use signet_proto::{Kind, Struct};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{ISTIOD, Mesh};

/// Whom it trusts, how it speaks TLS, and what pair it holds.
#[derive(Clone)]
pub(crate) struct Agent {
    address: SocketAddr,
    tls: ClientConfig,
    /// DER of the certificate that the server showed last.
    pub(crate) seen: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Agent {
    /// As Istio's agents: TLS 1.2 or 1.3, no client certificate.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self::speaking(mesh, &[&TLS12, &TLS13], None)
    }

    /// TLS 1.3 only.
    pub(crate) fn ztunnel(mesh: &Mesh) -> Self {
        Self::speaking(mesh, &[&TLS13], None)
    }

    /// With a client certificate: PEM of certificate and chain, and the key.
    pub(crate) fn with_pair(mesh: &Mesh, chain: &str, key: &KeyPair) -> Self {
        Self::speaking(mesh, &[&TLS12, &TLS13], Some((chain, key)))
    }

    pub(crate) fn speaking(
        mesh: &Mesh,
        versions: &[&'static rustls::SupportedProtocolVersion],
        pair: Option<(&str, &KeyPair)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(mesh.root.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut tls = match pair {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                let chain = chain.map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            address: mesh.address,
            tls,
            seen: Arc::default(),
        }
    }

    /// Takes whatever certificate the server shows.
    pub(crate) fn trusting_anybody(mut self) -> Self {
        self.tls
            .dangerous()
            .set_certificate_verifier(Arc::new(Anybody));
        self
    }

    pub(crate) async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let agent = Arc::new(self.clone());
        let connect = move |_| {
            let agent = agent.clone();
            async move { agent.stream().await.map(TokioIo::new) }
        };
        Endpoint::from_static("http://mesh")
            .connect_with_connector(tower::service_fn(connect))
            .await
    }

    /// A connection without HTTP.
    pub(crate) async fn stream(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(ISTIOD).unwrap();
        let connector = TlsConnector::from(Arc::new(self.tls.clone()));
        let stream = connector.connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        *self.seen.lock().unwrap() = shown.first().map(|shown| shown.to_vec());
        Ok(stream)
    }

    /// One call on a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Vec<String>, Status> {
        let channel = self.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(chain_of(&error)))?;
        call(channel, ask).await
    }

    /// What the health service says of certificates.
    pub(crate) async fn is_serving(&self) -> Result<bool, Status> {
        let channel = self.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(chain_of(&error)))?;
        health(channel, "istio.v1.auth.IstioCertificateService").await
    }
}

pub(crate) async fn health(channel: Channel, service: &str) -> Result<bool, Status> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await?;
    Ok(answer.into_inner().status() == ServingStatus::Serving)
}

/// One call on an open connection.
pub(crate) async fn call(channel: Channel, ask: &Ask) -> Result<Vec<String>, Status> {
    let metadata = Struct {
        fields: ask
            .metadata
            .iter()
            .map(|(key, kind)| {
                let kind = Some(kind.clone());
                (key.clone(), signet_proto::Value { kind })
            })
            .collect(),
    };
    let mut request = Request::new(IstioCertificateRequest {
        csr: ask.csr.clone(),
        validity_duration: ask.validity_secs,
        metadata: Some(metadata),
    });
    for (name, value) in &ask.headers {
        let name = tonic::metadata::MetadataKey::from_bytes(name.as_bytes()).unwrap();
        request.metadata_mut().append(name, value.parse().unwrap());
    }
    let mut client = IstioCertificateServiceClient::new(channel);
    let answer = client.create_certificate(request).await?;
    Ok(answer.into_inner().cert_chain)
}

/// What is asked for.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) csr: String,
    pub(crate) validity_secs: i64,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) metadata: BTreeMap<String, Kind>,
}

impl Ask {
    /// For an hour; agents always name a signer, usually none.
    pub(crate) fn new(csr: &str) -> Self {
        let signer = Kind::StringValue(String::new());
        Self {
            csr: csr.to_owned(),
            validity_secs: 3600,
            headers: Vec::new(),
            metadata: BTreeMap::from([("CertSigner".to_owned(), signer)]),
        }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn for_secs(mut self, validity_secs: i64) -> Self {
        self.validity_secs = validity_secs;
        self
    }

    pub(crate) fn on_behalf_of(mut self, identity: &str) -> Self {
        let identity = Kind::StringValue(identity.to_owned());
        self.metadata
            .insert("ImpersonatedIdentity".to_owned(), identity);
        self
    }
}

pub(crate) fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// A CSR with one URI; change `params` before signing for another one.
pub(crate) fn params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params
}

/// As of ztunnel: no subject at all.
pub(crate) fn ztunnel_csr(uri: &str, key: &KeyPair) -> String {
    params(uri).serialize_request(key).unwrap().pem().unwrap()
}

/// As of a sidecar: a subject of one organization, which is an empty `PrintableString`.
pub(crate) fn sidecar_csr(uri: &str, key: &KeyPair) -> String {
    let mut params = params(uri);
    let nobody = DnValue::PrintableString("".try_into().unwrap());
    params
        .distinguished_name
        .push(DnType::OrganizationName, nobody);
    params.serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn code(answer: Result<Vec<String>, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
