use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;

use super::*;

fn client(flags: &HttpFlags) -> Client {
    let environment: Environment = [("VAULT_TOKEN", "t"), ("VAULT_ADDR", "http://h:1/pre/")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Client::new(flags, &environment, Brand::of("vault")).unwrap()
}

#[test]
fn escapes_paths_and_queries_as_go_does() {
    let client = client(&HttpFlags::default());
    let call = Call::get("/cubbyhole//a b/é?x#y%41/")
        .query("w", "a b")
        .query("v", "1");
    assert_eq!(
        client.url(&call),
        "http://h:1/pre/v1/cubbyhole/a%20b/%C3%A9%3Fx%23y%2541?v=1&w=a+b"
    );
}

#[test]
fn prints_the_call_of_curl_without_the_token() {
    let flags = HttpFlags {
        wrap_ttl: Some(GoDuration::from_seconds(60)),
        namespace: Some("ns".to_owned()),
        ..HttpFlags::default()
    };
    let call = Call::put("a/b", &json!({"c": "it's"}));
    assert_eq!(
        client(&flags).curl_string(&call),
        "curl -X PUT -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(vault print token)\" \
         -H \"X-Vault-Namespace: ns/\" -H \"X-Vault-Wrap-Ttl: 1m0s\" -d '{\"c\":\"it'\"'\"'s\"}' \
         \"http://h:1/pre/v1/a/b\""
    );
}

#[test]
fn refuses_addresses_without_a_scheme() {
    assert!(Address::parse("127.0.0.1:8200").is_err());
    assert!(Address::parse("ftp://h").is_err());
    assert_eq!(
        Address::parse("https://h:1/").ok().unwrap().base,
        "https://h:1"
    );
}

#[test]
fn refuses_headers_reserved_for_the_protocol() {
    assert!(checked_headers(&[("x-vault-token".to_owned(), "t".to_owned())]).is_err());
    assert!(checked_headers(&[("Foo".to_owned(), "bar".to_owned())]).is_ok());
}

#[test]
fn retries_only_what_may_pass() {
    for (status, passing) in [
        (500, true),
        (501, false),
        (503, true),
        (429, true),
        (412, true),
        (400, false),
        (200, false),
    ] {
        assert_eq!(is_passing_status(status), passing, "{status}");
    }
}

#[test]
fn follows_one_redirect_with_method_body_and_token() {
    let (target, second) = serve(vec![answer("200 OK", "", "{\"data\":{\"a\":\"b\"}}")]);
    let location = format!("Location: {target}/v1/x\r\n");
    let (address, first) = serve(vec![answer("307 Temporary Redirect", &location, "")]);
    let secret = client_for(&address, &[]).secret(&Call::put("x", &json!({"k": "v"})));
    assert_eq!(secret.unwrap().unwrap().text("a"), Some("b"));
    for requests in [first.join().unwrap(), second.join().unwrap()] {
        let request = requests.first().unwrap();
        assert!(request.starts_with("PUT /v1/x HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nx-vault-token: t\r\n"), "{request}");
        assert!(
            request.contains("\r\nx-vault-request: true\r\n"),
            "{request}"
        );
        assert!(request.ends_with("{\"k\":\"v\"}"), "{request}");
    }
}

#[test]
fn does_not_follow_a_second_redirect() {
    let (address, server) = serve(vec![
        answer("307 Temporary Redirect", "Location: /v1/y\r\n", ""),
        answer("307 Temporary Redirect", "Location: /v1/z\r\n", ""),
    ]);
    let answer = client_for(&address, &[]).send(&Call::get("x")).unwrap();
    assert_eq!(answer.status, 307);
    assert!(
        server
            .join()
            .unwrap()
            .last()
            .unwrap()
            .starts_with("GET /v1/y ")
    );
}

#[test]
fn repeats_what_may_pass_as_often_as_it_is_told_to() {
    let sealed = || {
        answer(
            "503 Service Unavailable",
            "",
            "{\"errors\":[\"Vault is sealed\"]}",
        )
    };
    let (address, server) = serve(vec![sealed(), sealed(), answer("204 No Content", "", "")]);
    let client = client_for(&address, &[("VAULT_MAX_RETRIES", "2")]);
    assert_eq!(client.send(&Call::delete("x")).unwrap().status, 204);
    assert_eq!(server.join().unwrap().len(), 3);

    let (address, server) = serve(vec![sealed()]);
    let error = client_for(&address, &[])
        .send(&Call::get("x"))
        .err()
        .unwrap();
    assert_eq!(error.status(), Some(503));
    assert_eq!(server.join().unwrap().len(), 1);
}

#[test]
fn what_is_not_there_is_no_failure_of_a_read_but_one_of_a_write() {
    let missing = || vec![answer("404 Not Found", "", "{\"errors\":[]}")];
    let (address, _server) = serve(missing());
    assert!(
        client_for(&address, &[])
            .secret(&Call::get("x"))
            .unwrap()
            .is_none()
    );
    let (address, _server) = serve(missing());
    assert!(
        client_for(&address, &[])
            .secret(&Call::put("x", &json!({})))
            .is_err()
    );
    let warned = answer("404 Not Found", "", "{\"data\":null,\"warnings\":[\"w\"]}");
    let (address, _server) = serve(vec![warned]);
    assert!(
        client_for(&address, &[])
            .secret(&Call::get("x"))
            .unwrap()
            .is_some()
    );
}

#[test]
fn trusts_the_authority_it_is_given_and_no_other() {
    let pki = TestPki::new();
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, pki.authority.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    let other = files.path().join("other.pem");
    std::fs::write(&other, TestPki::new().authority.pem()).unwrap();
    let other = other.to_str().unwrap();

    let status = |settings: &[(&str, &str)]| {
        let (address, _server) = pki.serve();
        client_for(&address, settings)
            .send(&Call::get("x"))
            .map(|answer| answer.status)
            .map_err(|error| error.to_string())
    };
    assert_eq!(status(&[("VAULT_CACERT", ca)]), Ok(204));
    assert_eq!(status(&[("VAULT_SKIP_VERIFY", "true")]), Ok(204));
    let refusal = status(&[("VAULT_CACERT", other)]).unwrap_err();
    assert!(refusal.starts_with("Get \"https://127.0.0.1:"), "{refusal}");
    assert!(
        refusal.ends_with("x509: certificate signed by unknown authority"),
        "{refusal}"
    );
    let refusal = status(&[("VAULT_CACERT", ca), ("VAULT_TLS_SERVER_NAME", "elsewhere")]);
    assert!(refusal.unwrap_err().contains("x509: "));
    let named = [
        ("VAULT_CACERT", ca),
        ("VAULT_TLS_SERVER_NAME", "signet.test"),
    ];
    assert_eq!(status(&named), Ok(204));
}

#[test]
fn presents_its_certificate_where_one_is_asked_for() {
    let pki = TestPki::new();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", pki.authority.pem());
    let (certificate, key) = pki.issue();
    let certificate = write("client.pem", certificate.pem());
    let key = write("client-key.pem", key.serialize_pem());

    let (address, _server) = pki.serve_with_client_certificates();
    let settings = [
        ("VAULT_CACERT", ca.as_str()),
        ("VAULT_CLIENT_CERT", &certificate),
        ("VAULT_CLIENT_KEY", &key),
    ];
    assert_eq!(
        client_for(&address, &settings)
            .send(&Call::get("x"))
            .unwrap()
            .status,
        204
    );
    let (address, _server) = pki.serve_with_client_certificates();
    assert!(
        client_for(&address, &settings[..1])
            .send(&Call::get("x"))
            .is_err()
    );
    let half = client_for(&address, &settings[..2])
        .send(&Call::get("x"))
        .err()
        .unwrap();
    assert!(
        half.to_string()
            .ends_with("both client cert and client key must be provided")
    );
}

fn client_for(address: &str, settings: &[(&str, &str)]) -> Client {
    let environment: Environment = [("VAULT_TOKEN", "t"), ("VAULT_ADDR", address)]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut client = Client::new(&HttpFlags::default(), &environment, Brand::of("vault")).unwrap();
    client.retry_pause = Duration::ZERO;
    client
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Serves these answers, one a connection; returns the requests.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        answers
            .iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&mut stream);
                stream.write_all(answer.as_bytes()).unwrap();
                request
            })
            .collect()
    });
    (address, server)
}

fn read_request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return text;
        }
    }
}

struct TestPki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl TestPki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { authority }
    }

    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "signet.test".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.authority).unwrap(), key)
    }

    fn serve(&self) -> (String, JoinHandle<()>) {
        let builder = server_config().with_no_client_auth();
        self.serve_one(builder)
    }

    fn serve_with_client_certificates(&self) -> (String, JoinHandle<()>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        self.serve_one(server_config().with_client_cert_verifier(verifier))
    }

    /// Serves one connection; a client that refuses the server ends it early.
    fn serve_one(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> (String, JoinHandle<()>) {
        let (certificate, key) = self.issue();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(config).unwrap();
            let mut stream: StreamOwned<ServerConnection, TcpStream> =
                StreamOwned::new(connection, stream);
            let mut chunk = [0; 4096];
            if stream.read(&mut chunk).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(answer("204 No Content", "", "").as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        (address, server)
    }
}

fn server_config() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}
