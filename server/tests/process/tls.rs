//! TLS from the client's side.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Server, after, ask};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key for `name`.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn client(
    server: &Server,
    authority_pem: &str,
    identity: Option<&(String, String)>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, server.connect())
}

fn write_identity(directory: &Path, identity: &(String, String)) {
    std::fs::write(directory.join("c.pem"), &identity.0).unwrap();
    std::fs::write(directory.join("k.pem"), &identity.1).unwrap();
}

fn write_config(directory: &Path, extra: &str) -> String {
    let config = directory.join("c.hcl");
    let text = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{ address = \"127.0.0.1:0\"\n\
         tls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n{extra} }}\n",
        directory.join("c.pem").display(),
        directory.join("k.pem").display()
    );
    std::fs::write(&config, text).unwrap();
    format!("-config={}", config.display())
}

fn is_served(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> bool {
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return false;
        }
    }
    // In TLS 1.3 the server judges the client's certificate after the client is done.
    let request = b"GET /v1/sys/seal-status HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = [0; 12];
    stream.write_all(request).is_ok()
        && stream.read_exact(&mut first).is_ok()
        && &first == b"HTTP/1.1 200"
}

/// A development server that leaves its certificates there.
fn with_own_authority(directory: &Path) -> Server {
    Server::start(&[
        "-dev-tls",
        "-dev-root-token-id=root",
        "-dev-listen-address=127.0.0.1:0",
        &format!("-dev-tls-cert-dir={}", directory.display()),
    ])
}

#[test]
fn the_certificate_of_the_connection_logs_in() {
    let directory = tempfile::tempdir().unwrap();
    let server = with_own_authority(directory.path());
    let pem = std::fs::read_to_string(directory.path().join("vault-ca.pem")).unwrap();
    let authority = Authority::new();
    let send = |identity: Option<&(String, String)>, path: &str, body: &str| {
        let mut stream = client(&server, &pem, identity);
        ask(&mut stream, "POST", path, body)
    };
    let body = r#"{"type":"cert"}"#;
    assert_eq!(send(None, "/v1/sys/auth/cert", body).status, 204);
    let trusted = authority.pem.replace('\r', "").replace('\n', "\\n");
    let body = format!(r#"{{"certificate":"{trusted}","token_policies":"p"}}"#);
    assert_eq!(send(None, "/v1/auth/cert/certs/web", &body).status, 204);
    let own = authority.issue("client.example.com");
    let login = "/v1/auth/cert/login";
    let answer = send(Some(&own), login, "{}");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains(r#""cert_name":"web""#),
        "{}",
        answer.body
    );
    let strange = Authority::new().issue("client.example.com");
    assert_eq!(send(Some(&strange), login, "{}").status, 400);
    let answer = send(None, login, "{}");
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("no client certificate found"),
        "{}",
        answer.body
    );
    server.stop();
}

#[test]
fn dev_tls_brings_its_own_authority() {
    let directory = tempfile::tempdir().unwrap();
    let server = with_own_authority(directory.path());
    let api = after(&server.banner, "VAULT_ADDR='");
    assert_eq!(api, format!("https://{}", server.address));
    let authority = after(&server.banner, "VAULT_CACERT='");
    assert_eq!(Path::new(&authority), directory.path().join("vault-ca.pem"));
    let pem = std::fs::read_to_string(authority).unwrap();
    let mut stream = client(&server, &pem, None);
    assert_eq!(ask(&mut stream, "GET", "/v1/sys/health", "").status, 200);
    let key = std::fs::metadata(directory.path().join("vault-key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    drop(stream);
    server.stop();
}

#[test]
fn dev_tls_without_a_directory_leaves_no_files() {
    let server = Server::start(&["-dev", "-dev-tls", "-dev-listen-address=127.0.0.1:0"]);
    let authority = after(&server.banner, "VAULT_CACERT='");
    assert!(Path::new(&authority).exists());
    server.stop();
    assert!(!Path::new(&authority).exists());
}

#[test]
fn a_new_certificate_is_taken_without_dropping_connections() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    write_identity(directory.path(), &old.issue("localhost"));
    let server = Server::start(&[&write_config(directory.path(), "")]);
    let mut before = client(&server, &old.pem, None);
    assert_eq!(
        ask(&mut before, "GET", "/v1/sys/seal-status", "").status,
        200
    );

    write_identity(directory.path(), &new.issue("localhost"));
    server.signal("HUP");
    server.wait_for_log("configuration reloaded");
    assert!(is_served(&mut client(&server, &new.pem, None)));
    assert!(!is_served(&mut client(&server, &old.pem, None)));
    assert_eq!(
        ask(&mut before, "GET", "/v1/sys/seal-status", "").status,
        200
    );

    std::fs::write(directory.path().join("k.pem"), "broken").unwrap();
    server.signal("HUP");
    server.wait_for_log("certificate not reloaded");
    assert!(is_served(&mut client(&server, &new.pem, None)));
    drop(before);
    server.stop();
}

#[test]
fn client_certificates_are_required_and_verified_when_the_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    write_identity(directory.path(), &servers.issue("localhost"));
    let authorities = directory.path().join("clients.pem");
    std::fs::write(&authorities, &clients.pem).unwrap();
    let extra =
        format!("tls_client_ca_file = {authorities:?}\ntls_require_and_verify_client_cert = true");
    let server = Server::start(&[&write_config(directory.path(), &extra)]);
    assert!(is_served(&mut client(
        &server,
        &servers.pem,
        Some(&clients.issue("a"))
    )));
    assert!(!is_served(&mut client(
        &server,
        &servers.pem,
        Some(&strangers.issue("a"))
    )));
    assert!(!is_served(&mut client(&server, &servers.pem, None)));
    server.stop();
}

#[test]
fn client_certificates_are_asked_for_but_not_judged_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let (servers, strangers) = (Authority::new(), Authority::new());
    write_identity(directory.path(), &servers.issue("localhost"));
    let server = Server::start(&[&write_config(directory.path(), "")]);
    assert!(is_served(&mut client(
        &server,
        &servers.pem,
        Some(&strangers.issue("a"))
    )));
    assert!(is_served(&mut client(&server, &servers.pem, None)));
    server.stop();
}
