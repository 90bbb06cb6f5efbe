//! A burst on the Istio CSR API: all clients at once, each with a TLS connection of its own, as
//! after the restart of a cluster.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;

use crate::Error;
use crate::client::request;
use crate::load::percentile_millis;
use crate::scenario::{prepare_pki, workload_csr};
use crate::server::{Kind, Server};

pub(crate) const NAME: &str = "mesh-burst";

const ISSUER: &str = "https://kubernetes.default.svc";
const SERVER_NAME: &str = "istiod.istio-system.svc";
const CREATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

pub(crate) struct Burst {
    clients: usize,
    seconds: f64,
    p50_millis: f64,
    p99_millis: f64,
    health_asked: usize,
    health_p50_millis: f64,
    health_longest_millis: f64,
    resident_mib: f64,
}

impl Burst {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "clients": self.clients,
            "seconds": self.seconds,
            "p50_millis": self.p50_millis,
            "p99_millis": self.p99_millis,
            "health_asked": self.health_asked,
            "health_p50_millis": self.health_p50_millis,
            "health_longest_millis": self.health_longest_millis,
            "resident_mib": self.resident_mib,
        })
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{NAME}: {} clients served in {:.1} s, p50 {:.0} ms, p99 {:.0} ms; health asked {} times \
             meanwhile, p50 {:.1} ms, longest {:.1} ms; {:.0} MiB resident",
            self.clients,
            self.seconds,
            self.p50_millis,
            self.p99_millis,
            self.health_asked,
            self.health_p50_millis,
            self.health_longest_millis,
            self.resident_mib,
        )
    }
}

/// # Errors
/// Also when a single client is not served.
pub(crate) async fn run(program: &Path, clients: usize) -> Result<Burst, Error> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let data = Rc::new(TempDir::new()?);
    let jwks = data.path().join("jwks.json");
    std::fs::write(&jwks, key_set(&key)?.to_string())?;
    let config = data.path().join("mesh.hcl");
    let text = format!(
        "istio_csr {{\n  address = \"{address}\"\n  mount = \"pki\"\n  role = \"web\"\n  dns_names = \
         [\"{SERVER_NAME}\"]\n  authenticator \"jwks\" {{\n    file = \"{}\"\n    issuer = \
         \"{ISSUER}\"\n  }}\n}}\n",
        jwks.display()
    );
    std::fs::write(&config, text)?;
    let server = Server::start_with(Kind::Signet, program, data, Some(&config)).await?;
    prepare_pki(&server, "ec", 256).await?;
    let mut connection = server.connect().await?;
    let root = request("GET", "/v1/pki/ca/pem", "", b"");
    let root = connection.send(&root).await?.to_vec();

    let client = Client {
        address,
        tls: tls(&root)?,
    };
    client.wait().await?;
    let watch = Watch::start(client.clone());
    let message = frame(&field(1, workload_csr()?.as_bytes()));
    let authorization = format!("Bearer {}", token(&key)?);
    let ask = Rc::new((client, message, authorization));
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let ask = ask.clone();
            spawn_local(async move {
                let began = Instant::now();
                let (client, message, authorization) = &*ask;
                let mut sender = client.connect().await?;
                call(&mut sender, CREATE, message.clone(), authorization).await?;
                Ok::<_, Error>(began.elapsed())
            })
        })
        .collect();
    let mut latencies = Vec::with_capacity(clients);
    for task in tasks {
        latencies.push(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut waits = watch.stop()?;
    latencies.sort_unstable();
    waits.sort_unstable();
    Ok(Burst {
        clients,
        seconds,
        p50_millis: percentile_millis(&latencies, 50),
        p99_millis: percentile_millis(&latencies, 99),
        health_asked: waits.len(),
        health_p50_millis: percentile_millis(&waits, 50),
        health_longest_millis: percentile_millis(&waits, 100),
        resident_mib: server.resident_mib()?,
    })
}

/// Asks for the server's health, on a thread of its own so that the clients do not hold it up.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>, Error>>,
}

impl Watch {
    const INTERVAL: Duration = Duration::from_millis(20);

    fn start(client: Client) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = ended.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut sender = client.connect().await?;
                let mut waits = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    call(&mut sender, HEALTH, frame(b""), "").await?;
                    waits.push(asked.elapsed());
                    tokio::time::sleep(Self::INTERVAL).await;
                }
                Ok(waits)
            })
        });
        Self { ended, thread }
    }

    fn stop(self) -> Result<Vec<Duration>, Error> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watch panicked")?
    }
}

#[derive(Clone)]
struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Client {
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER_NAME)?;
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Until there is a serving certificate.
    async fn wait(&self) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.connect().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the certificate service does not answer".into())
    }
}

fn tls(root_pem: &[u8]) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Clients of a burst have never met the server before.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config).into())
}

/// One gRPC call, which has to succeed.
async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    path: &str,
    message: Bytes,
    authorization: &str,
) -> Result<(), Error> {
    let mut builder = hyper::Request::post(format!("https://{SERVER_NAME}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if !authorization.is_empty() {
        builder = builder.header("authorization", authorization);
    }
    sender.ready().await?;
    let response = sender
        .send_request(builder.body(Full::new(message))?)
        .await?;
    // A refusal has its status in the headers, all else has it behind the messages.
    let in_headers = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await?;
    let in_trailers = body
        .trailers()
        .and_then(|it| it.get("grpc-status").cloned());
    match in_trailers.or(in_headers) {
        Some(status) if status == "0" => Ok(()),
        status => Err(format!("{path}: grpc-status {status:?}").into()),
    }
}

/// A message with its length in front, uncompressed.
fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message]
        .concat()
        .into()
}

/// A field of bytes, in Protocol Buffers' notation.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![(number << 3) | 2];
    let mut length = value.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    out.extend_from_slice(value);
    out
}

fn key_set(key: &EcdsaKeyPair) -> Result<Value, Error> {
    let point = key.public_key().as_ref();
    let (x, y) = (point.get(1..33), point.get(33..65));
    let (x, y) = x.zip(y).ok_or("the public key is no point of P-256")?;
    Ok(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
        "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
    }]}))
}

/// Of the service account that the CSR names.
fn token(key: &EcdsaKeyPair) -> Result<String, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server takes tokens of its own time only"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": ISSUER,
        "sub": "system:serviceaccount:default:web",
        "aud": ["istio-ca"],
        "iat": now, "nbf": now, "exp": now + 3600,
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": {"name": "web", "uid": "sa-uid"},
            "pod": {"name": "web-1", "uid": "pod-uid"},
        },
    });
    let header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
    let [header, claims] =
        [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = key.sign(&SystemRandom::new(), message.as_bytes())?;
    Ok(format!(
        "{message}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(signature)
    ))
}
