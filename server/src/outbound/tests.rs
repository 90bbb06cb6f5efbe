use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers every request of every connection with `answer`; gives its port and counts connections.
async fn serve(answer: &'static str, tls: Option<Arc<ServerConfig>>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => answer_all(stream, answer).await,
                    Some(config) => {
                        let acceptor = tokio_rustls::TlsAcceptor::from(config);
                        if let Ok(stream) = acceptor.accept(stream).await {
                            answer_all(stream, answer).await;
                        }
                    }
                }
            });
        }
    });
    (port, connections)
}

async fn answer_all(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &'static str) {
    let mut seen = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        seen.extend_from_slice(&chunk[..count]);
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            // Who does not wait for the answer has seen enough.
            stream.write_all(answer.as_bytes()).await.ok();
        }
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn get(url: String, trust: Trust) -> Request {
    Request::get(url, trust)
}

/// A server certificate for `localhost`, and the authority that vouches for it in PEM.
fn certificate() -> (Arc<ServerConfig>, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (Arc::new(config), authority.pem())
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let (port, connections) = serve(HELLO, None).await;
    let outbound = HttpOutbound::default();
    for _ in 0..3 {
        let url = format!("http://127.0.0.1:{port}/x");
        let response = outbound.send(get(url, Trust::System)).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let (config, authority) = certificate();
    let (port, _) = serve(HELLO, Some(config)).await;
    let outbound = HttpOutbound::default();
    let url = format!("https://localhost:{port}/");
    let trusted = Trust::of_pem(&authority);
    let response = outbound
        .send(get(url.clone(), trusted.clone()))
        .await
        .unwrap();
    assert_eq!(response.status, 200);
    let (_, other) = certificate();
    for trust in [Trust::System, Trust::of_pem(&other)] {
        let refused = outbound.send(get(url.clone(), trust)).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Tls(_)), "{refused}");
    }
    let other_name = format!("https://127.0.0.1:{port}/");
    let refused = outbound.send(get(other_name, trusted)).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Tls(_)), "{refused}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_others() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (port, _) = serve(moved, None).await;
    let url = format!("http://127.0.0.1:{port}/");
    let response = HttpOutbound::default().send(get(url, Trust::System)).await;
    assert_eq!(response.unwrap().status, 302);
}

#[tokio::test]
async fn long_and_late_answers_are_errors() {
    let (port, _) = serve(HELLO, None).await;
    let url = format!("http://127.0.0.1:{port}/");
    let mut request = get(url, Trust::System);
    request.max_response_bytes = 4;
    let refused = HttpOutbound::default().send(request).await;
    assert_eq!(refused, Err(OutboundError::TooLong(4)));

    let (port, _) = serve("", None).await;
    let mut request = get(format!("http://127.0.0.1:{port}/"), Trust::System);
    request.timeout = Duration::from_millis(20);
    let refused = HttpOutbound::default().send(request).await;
    assert_eq!(
        refused,
        Err(OutboundError::TimedOut(Duration::from_millis(20)))
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_without_the_credential() {
    let outbound = HttpOutbound::default();
    for url in ["ftp://a.example/", "/x", "", "http://"] {
        let refused = outbound.send(get(url.into(), Trust::System)).await;
        assert!(matches!(refused, Err(OutboundError::Invalid(_))), "{url}");
    }
    let request = get("http://127.0.0.1:1/".into(), Trust::System).bearer("se\ncret");
    let refused = outbound.send(request).await.unwrap_err().to_string();
    assert!(!refused.contains("cret"), "{refused}");
    let pem = Trust::of_pem("not a certificate");
    let refused = outbound.send(get("https://localhost:1/".into(), pem)).await;
    assert!(matches!(refused, Err(OutboundError::InvalidTrust(_))));
    let closed = outbound
        .send(get("http://127.0.0.1:1/".into(), Trust::System))
        .await;
    assert!(
        matches!(closed, Err(OutboundError::Unreachable(_))),
        "{closed:?}"
    );
}
