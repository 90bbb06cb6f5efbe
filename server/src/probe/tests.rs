use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rcgen::{
    CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use signet_api::probe::MAX_PAGE_BYTES;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A DNS server for which every name but `nobody.example` is 127.0.0.1, and which has the TXT
/// records of a challenge.
async fn dns() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            let question = Message::from_vec(&packet[..length]).unwrap();
            let answer = answered(&question).to_vec().unwrap();
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    address
}

fn answered(question: &Message) -> Message {
    let query = question.queries.first().unwrap().clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    let name = query.name().clone();
    let data = match (name.to_ascii().as_str(), query.query_type()) {
        ("nobody.example." | "_acme-challenge.nobody.example.", _) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            Vec::new()
        }
        (_, RecordType::A) => vec![RData::A(Ipv4Addr::LOCALHOST.into())],
        ("_acme-challenge.a.example.", RecordType::TXT) => vec![
            RData::TXT(TXT::new(vec!["first".to_owned()])),
            RData::TXT(TXT::new(vec!["sec".to_owned(), "ond".to_owned()])),
        ],
        // An owner may have the records of somebody else's zone.
        ("_acme-challenge.b.example.", RecordType::TXT) => {
            let target = Name::from_ascii("other.example.").unwrap();
            let text = RData::TXT(TXT::new(vec!["of other".to_owned()]));
            answer.add_answer(Record::from_rdata(target.clone(), 60, text));
            vec![RData::CNAME(CNAME(target))]
        }
        _ => Vec::new(),
    };
    for data in data {
        answer.add_answer(Record::from_rdata(name.clone(), 60, data));
    }
    answer.add_query(query);
    answer
}

/// Answers every connection with what `answer` makes of the request's first line, and gives its
/// port.
async fn web(tls: Option<Arc<ServerConfig>>, answer: fn(&str) -> String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => converse(stream, answer).await,
                Some(config) => {
                    let acceptor = TlsAcceptor::from(config.clone());
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, answer).await;
                    }
                }
            }
        }
    });
    port
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: fn(&str) -> String) {
    let mut seen = Vec::new();
    let mut chunk = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(count @ 1..) => seen.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    let seen = String::from_utf8(seen).unwrap();
    // Who does not wait for the end has seen enough.
    stream.write_all(answer(&seen).as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn page(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

/// Port 1 is nobody's.
fn probe(http: u16, tls: u16) -> NetworkProbe {
    NetworkProbe {
        ports: Ports { http, tls },
        loopback: Loopback::Allowed,
    }
}

fn name() -> Host {
    Host::Name("a.example".to_owned())
}

async fn body(probe: NetworkProbe, path: &str) -> Result<String, String> {
    let page = probe.page(&name(), path, Some(dns().await)).await;
    let page = page.map_err(|error| error.0)?;
    Ok(format!(
        "{} {}",
        page.status,
        String::from_utf8_lossy(&page.body)
    ))
}

#[tokio::test]
async fn a_page_is_asked_for_by_the_name_of_the_host() {
    let port = web(None, |request| {
        let plain = request.to_ascii_lowercase();
        let is_right = plain.starts_with("get /x http/1.1\r\n")
            && plain.contains("\r\nhost: a.example\r\n")
            && plain.contains("\r\nuser-agent: signet/");
        page(if is_right { "right" } else { "wrong" })
    })
    .await;
    assert_eq!(body(probe(port, 1), "/x").await.unwrap(), "200 right");
    let address = Host::Address(Ipv4Addr::LOCALHOST.into());
    let answer = probe(port, 1).page(&address, "/x", None).await.unwrap();
    assert_eq!(&answer.body[..], b"wrong", "the host is the address");
}

#[test]
fn private_networks_are_looked_at_and_the_machine_s_own_services_are_not() {
    for (text, expected) in [
        ("10.1.2.3", true),
        ("192.168.0.1", true),
        ("fd00::1", true),
        ("203.0.113.9", true),
        ("127.0.0.1", false),
        ("127.83.0.1", false),
        ("::1", false),
        ("::ffff:127.0.0.1", false),
        ("169.254.169.254", false),
        ("::ffff:169.254.169.254", false),
        ("fe80::1", false),
        ("fd00:ec2::254", false),
        ("0.0.0.0", false),
        ("::", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
    ] {
        let address = text.parse().unwrap();
        assert_eq!(
            may_be_called(address, Loopback::Forbidden),
            expected,
            "{text}"
        );
    }
    assert!(may_be_called(Ipv4Addr::LOCALHOST.into(), Loopback::Allowed));
}

#[tokio::test]
async fn this_machine_is_not_looked_at_whether_named_directly_or_by_a_redirect() {
    let port = web(None, |_| page("secret")).await;
    let probe = NetworkProbe {
        loopback: Loopback::Forbidden,
        ..probe(port, 1)
    };
    let refused = "127.0.0.1 is not the address of a host to look at";
    assert_eq!(body(probe, "/x").await.unwrap_err(), refused);
    let address = Host::Address(Ipv4Addr::LOCALHOST.into());
    let error = probe.page(&address, "/x", None).await.unwrap_err();
    assert_eq!(error.0, refused);
    let error = probe.handshake("a.example", b"x", Some(dns().await)).await;
    assert_eq!(error.err().unwrap().0, refused);
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let port = web(None, |request| match request.split(' ').nth(1).unwrap() {
        "/relative" => redirect("end?x=1"),
        "/absolute" => redirect("http://b.example/end?x=1"),
        "/end?x=1" => page(if request.contains("a.example") {
            "own"
        } else {
            "other"
        }),
        "/loop" => redirect("/loop"),
        "/ftp" => redirect("ftp://a.example/"),
        "/port" => redirect("http://a.example:8200/v1/sys/health"),
        "/long" => redirect(&format!("/{}", "x".repeat(2000))),
        path => match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) => page("arrived"),
            Ok(left) => redirect(&format!("/{}", left - 1)),
            Err(_) => page("?"),
        },
    })
    .await;
    let fetch = async |path: &'static str| body(probe(port, 1), path).await;
    assert_eq!(fetch("/relative").await.unwrap(), "200 own");
    assert_eq!(fetch("/absolute").await.unwrap(), "200 other");
    assert_eq!(fetch("/10").await.unwrap(), "200 arrived");
    for (path, reason) in [
        ("/11", "more than 10 redirects"),
        ("/loop", "more than 10 redirects"),
        ("/ftp", "no URL of http or https"),
        ("/port", "redirected to port 8200"),
        ("/long", "too long"),
    ] {
        assert!(fetch(path).await.unwrap_err().contains(reason), "{path}");
    }
}

#[tokio::test]
async fn a_redirect_to_tls_does_not_ask_who_vouches_for_the_certificate() {
    let (config, _) = certificate(&["whoever.example"], &[], None);
    let tls = web(Some(config), |_| page("over TLS")).await;
    let http = web(None, |_| redirect("https://a.example/")).await;
    assert_eq!(body(probe(http, tls), "/").await.unwrap(), "200 over TLS");
    let refused = body(probe(http, 1), "/").await.unwrap_err();
    assert!(refused.contains("connection to 127.0.0.1:1"), "{refused}");
}

#[tokio::test]
async fn pages_that_are_too_long_or_no_pages_are_refused() {
    let longest = web(None, |_| page(&"x".repeat(MAX_PAGE_BYTES))).await;
    assert!(body(probe(longest, 1), "/").await.is_ok());
    let too_long = web(None, |_| page(&"x".repeat(MAX_PAGE_BYTES + 1))).await;
    let chunked = web(None, |_| {
        let chunks = format!("80\r\n{}\r\n", "x".repeat(128)).repeat(100);
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
    })
    .await;
    let no_http = web(None, |_| "220 mail.example ESMTP\r\n".to_owned()).await;
    let nothing = web(None, |_| String::new()).await;
    let cut = web(None, |_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_owned()
    })
    .await;
    for (port, reason) in [
        (too_long, "longer than 512 bytes"),
        (chunked, "longer than 512 bytes"),
        (no_http, "does not speak HTTP"),
        (nothing, "does not speak HTTP"),
        (cut, "ends too early"),
        (1, "connection to 127.0.0.1:1"),
    ] {
        let refused = body(probe(port, 1), "/").await.unwrap_err();
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
}

#[tokio::test]
async fn the_status_of_the_page_is_told() {
    let port = web(None, |_| {
        "HTTP/1.1 404 No\r\ncontent-length: 1\r\n\r\nx".to_owned()
    })
    .await;
    assert_eq!(body(probe(port, 1), "/").await.unwrap(), "404 x");
}

#[tokio::test]
async fn names_are_looked_up_with_the_given_resolver() {
    let server = dns().await;
    let resolver = Some(server);
    let probe = probe(1, 1);
    let texts = probe.texts("_acme-challenge.a.example", resolver).await;
    assert_eq!(texts.unwrap(), ["first", "second"]);
    let texts = probe.texts("_acme-challenge.b.example", resolver).await;
    assert_eq!(texts.unwrap(), ["of other"]);
    let missing = probe
        .texts("_acme-challenge.nobody.example", resolver)
        .await;
    let text = format!(
        "failed to lookup TXT records for domain (_acme-challenge.nobody.example) via resolver {server}"
    );
    assert_eq!(missing, Err(ProbeError(text)));
    let nobody = Host::Name("nobody.example".to_owned());
    let missing = probe.page(&nobody, "/", resolver).await.unwrap_err();
    assert_eq!(missing.0, "failed to look up addresses of nobody.example");
}

/// A server with a certificate of its own for these names, which speaks these protocols.
fn certificate(
    names: &[&str],
    protocols: &[&[u8]],
    key: Option<KeyPair>,
) -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let key = key.unwrap_or_else(|| KeyPair::generate().unwrap());
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (config(&certificate, &key, protocols, None), certificate)
}

fn config(
    certificate: &CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&[u8]],
    only: Option<&'static rustls::SupportedProtocolVersion>,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    // Not `with_single_cert`, which looks whether they fit.
    let pair = rustls::sign::CertifiedKey::new(vec![certificate.clone()], signer);
    let versions = only.map_or_else(|| rustls::ALL_VERSIONS.to_vec(), |only| vec![only]);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    Arc::new(config)
}

async fn shake_hands(config: Arc<ServerConfig>) -> Result<Handshake, String> {
    let port = web(Some(config), |_| String::new()).await;
    let resolver = Some(dns().await);
    let shaken = probe(1, port).handshake("a.example", ACME, resolver).await;
    shaken.map_err(|error| error.0)
}

const ACME: &[u8] = b"acme-tls/1";

#[tokio::test]
async fn a_handshake_tells_certificate_and_protocol() {
    for key in [
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
    ] {
        let (config, der) = certificate(&["a.example"], &[ACME], Some(key));
        let expected = Handshake {
            protocol: Some(ACME.to_vec()),
            certificates: vec![der.to_vec()],
        };
        assert_eq!(shake_hands(config).await, Ok(expected));
    }
    let (config, _) = certificate(&["a.example"], &[], None);
    assert_eq!(shake_hands(config).await.unwrap().protocol, None);
    let (config, _) = certificate(&["a.example"], &[b"h2"], None);
    let refused = shake_hands(config).await.unwrap_err();
    assert!(refused.contains("TLS handshake failed"), "{refused}");
}

#[tokio::test]
async fn whoever_shows_a_certificate_has_to_have_its_key() {
    let own = KeyPair::generate().unwrap();
    let (_, of_other) = certificate(&["a.example"], &[], None);
    for version in rustls::ALL_VERSIONS {
        let refused = shake_hands(config(&of_other, &own, &[ACME], Some(version))).await;
        let text = "TLS handshake failed: invalid peer certificate: BadSignature";
        assert_eq!(refused, Err(text.to_owned()), "{version:?}");
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&own).unwrap().der().clone();
        let shaken = shake_hands(config(&certificate, &own, &[ACME], Some(version))).await;
        assert_eq!(
            shaken.unwrap().protocol.as_deref(),
            Some(ACME),
            "{version:?}"
        );
    }
}
