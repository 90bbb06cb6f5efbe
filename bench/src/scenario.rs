//! What is measured.

use std::cell::RefCell;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::Error;
use crate::calibrate::Operation;
use crate::client::{request, typed_request};
use crate::load::Work;
use crate::server::{ROOT, Server};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The cryptography that no server can leave out.
    pub(crate) limit: &'static [Operation],
    prepare: fn(&Server) -> Prepared<'_>,
}

type Prepared<'a> = Pin<Box<dyn Future<Output = Result<Work, Error>> + 'a>>;

impl Scenario {
    /// Sets the server up and gives what to ask of it.
    pub(crate) async fn prepare(&self, server: &Server) -> Result<Work, Error> {
        (self.prepare)(server).await
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "sign-p256",
        about: "a P-256 CSR signed by a P-256 issuer",
        limit: &[Operation::P256Verify, Operation::P256Sign],
        prepare: |server| Box::pin(sign(server, "ec", 256)),
    },
    Scenario {
        name: "sign-p256-fresh",
        about: "the same, over a connection of its own for each",
        limit: &[Operation::P256Verify, Operation::P256Sign],
        prepare: |server| Box::pin(sign_on_fresh_connections(server)),
    },
    Scenario {
        name: "sign-rsa2048",
        about: "a P-256 CSR signed by an RSA-2048 issuer",
        limit: &[Operation::P256Verify, Operation::Rsa2048Sign],
        prepare: |server| Box::pin(sign(server, "rsa", 2048)),
    },
    Scenario {
        name: "sign-rsa4096",
        about: "a P-256 CSR signed by an RSA-4096 issuer",
        limit: &[Operation::P256Verify, Operation::Rsa4096Sign],
        prepare: |server| Box::pin(sign(server, "rsa", 4096)),
    },
    Scenario {
        name: "issue-p256",
        about: "a P-256 key and its certificate, P-256 issuer",
        limit: &[Operation::P256Generate, Operation::P256Sign],
        prepare: |server| Box::pin(issue(server, "ec", 256)),
    },
    Scenario {
        name: "issue-rsa2048",
        about: "an RSA-2048 key and its certificate, P-256 issuer",
        limit: &[Operation::Rsa2048Generate, Operation::P256Sign],
        prepare: |server| Box::pin(issue(server, "rsa", 2048)),
    },
    Scenario {
        name: "login",
        about: "an AppRole login",
        limit: &[],
        prepare: |server| Box::pin(login(server)),
    },
    Scenario {
        name: "login-sign",
        about: "an AppRole login and one signature with its token, as cert-manager does",
        limit: &[Operation::P256Verify, Operation::P256Sign],
        prepare: |server| Box::pin(login_and_sign(server)),
    },
    Scenario {
        name: "read",
        about: "a certificate read by its serial number",
        limit: &[],
        prepare: |server| Box::pin(read(server)),
    },
    Scenario {
        name: "revoke",
        about: "certificates revoked, each once",
        limit: &[],
        prepare: |server| Box::pin(revoke(server)),
    },
    Scenario {
        name: "ocsp",
        about: "an OCSP request for one certificate",
        limit: &[Operation::P256Sign],
        prepare: |server| Box::pin(ocsp(server)),
    },
    Scenario {
        name: "crl",
        about: "the CRL with 100 entries",
        limit: &[],
        prepare: |server| Box::pin(crl(server)),
    },
    Scenario {
        name: "list",
        about: "a page of 100 out of 1 000 serial numbers",
        limit: &[],
        prepare: |server| Box::pin(list(server)),
    },
];

/// A workload's CSR with one SPIFFE URI, as a mesh sends it.
pub(crate) fn workload_csr() -> Result<String, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let uri = Ia5String::try_from("spiffe://cluster.local/ns/default/sa/web")?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    Ok(params.serialize_request(&key)?.pem()?)
}

pub(crate) fn post(path: &str, token: &str, data: &Value) -> Vec<u8> {
    request("POST", path, token, data.to_string().as_bytes())
}

async fn sign(server: &Server, key_type: &str, key_bits: u32) -> Result<Work, Error> {
    prepare_pki(server, key_type, key_bits).await?;
    let data = json!({"csr": workload_csr()?, "ttl": "1h"});
    Ok(Work::Repeat(post("/v1/pki/sign/web", ROOT, &data)))
}

async fn sign_on_fresh_connections(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let data = json!({"csr": workload_csr()?, "ttl": "1h"});
    Ok(Work::OnFreshConnections(post(
        "/v1/pki/sign/web",
        ROOT,
        &data,
    )))
}

/// A mount with a role `issue` for keys that the server makes.
pub(crate) async fn prepare_issue(
    server: &Server,
    key_type: &str,
    key_bits: u32,
) -> Result<(), Error> {
    prepare_pki(server, "ec", 256).await?;
    let role = json!({"allow_any_name": true, "key_type": key_type, "key_bits": key_bits,
        "ttl": "1h", "max_ttl": "1h"});
    server.write("/v1/pki/roles/issue", &role).await?;
    Ok(())
}

async fn issue(server: &Server, key_type: &str, key_bits: u32) -> Result<Work, Error> {
    prepare_issue(server, key_type, key_bits).await?;
    let name = json!({"common_name": "web.example.com", "ttl": "1h"});
    Ok(Work::Repeat(post("/v1/pki/issue/issue", ROOT, &name)))
}

async fn prepare_login(server: &Server) -> Result<Vec<u8>, Error> {
    let auth = json!({"type": "approle"});
    server.write("/v1/sys/auth/approle", &auth).await?;
    let policy = json!({"policy": "path \"pki/sign/web\" { capabilities = [\"update\"] }"});
    server.write("/v1/sys/policies/acl/signer", &policy).await?;
    let role = json!({"token_ttl": "10m", "role_id": "bench", "token_policies": "signer"});
    server.write("/v1/auth/approle/role/web", &role).await?;
    let secret = json!({"secret_id": "bench-secret"});
    let path = "/v1/auth/approle/role/web/custom-secret-id";
    server.write(path, &secret).await?;
    let login = json!({"role_id": "bench", "secret_id": "bench-secret"});
    Ok(post("/v1/auth/approle/login", "", &login))
}

async fn login(server: &Server) -> Result<Work, Error> {
    Ok(Work::Repeat(prepare_login(server).await?))
}

async fn login_and_sign(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let data = json!({"csr": workload_csr()?, "ttl": "1h"});
    Ok(Work::LoginThen {
        login: prepare_login(server).await?,
        path: "/v1/pki/sign/web".to_owned(),
        body: data.to_string().into_bytes(),
    })
}

async fn read(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let serials = issued(server, 1).await?;
    let serial = serials.first().ok_or("nothing was issued")?;
    let path = format!("/v1/pki/cert/{serial}");
    Ok(Work::Repeat(request("GET", &path, ROOT, b"")))
}

async fn revoke(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let serials = issued(server, 20_000).await?;
    Ok(Work::Each(RefCell::new(revocations(&serials))))
}

fn revocations(serials: &[String]) -> Vec<Vec<u8>> {
    serials
        .iter()
        .map(|serial| post("/v1/pki/revoke", ROOT, &json!({"serial_number": serial})))
        .collect()
}

async fn ocsp(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let serials = issued(server, 1).await?;
    let serial = serials
        .first()
        .ok_or("nothing was issued")?
        .replace(':', "");
    let get = request("GET", "/v1/pki/ca/pem", "", b"");
    let mut connection = server.connect().await?;
    let mut issuer = tempfile::NamedTempFile::new()?;
    issuer.write_all(connection.send(&get).await?)?;
    let asked = tempfile::NamedTempFile::new()?;
    let status = Command::new("openssl")
        .args(["ocsp", "-no_nonce", "-issuer"])
        .arg(issuer.path())
        .arg("-serial")
        .arg(format!("0x{serial}"))
        .arg("-reqout")
        .arg(asked.path())
        .output()?;
    let body = std::fs::read(asked.path())?;
    if body.is_empty() {
        return Err(String::from_utf8_lossy(&status.stderr).into());
    }
    let content_type = "application/ocsp-request";
    let request = typed_request("POST", "/v1/pki/ocsp", "", content_type, &body);
    Ok(Work::Repeat(request))
}

async fn crl(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    let mut connection = server.connect().await?;
    for revocation in revocations(&issued(server, 100).await?) {
        connection.send(&revocation).await?;
    }
    Ok(Work::Repeat(request("GET", "/v1/pki/crl", "", b"")))
}

async fn list(server: &Server) -> Result<Work, Error> {
    prepare_pki(server, "ec", 256).await?;
    issued(server, 1_000).await?;
    let path = "/v1/pki/certs?list=true&limit=100";
    Ok(Work::Repeat(request("GET", path, ROOT, b"")))
}

/// The serial numbers of new certificates.
pub(crate) async fn issued(server: &Server, count: usize) -> Result<Vec<String>, Error> {
    Ok(issued_with_latencies(server, count).await?.0)
}

/// Beside the serial numbers how long each took, sorted.
pub(crate) async fn issued_with_latencies(
    server: &Server,
    count: usize,
) -> Result<(Vec<String>, Vec<Duration>), Error> {
    const CONNECTIONS: usize = 32;
    let data = json!({"csr": workload_csr()?, "ttl": "1h"});
    let request = Rc::new(post("/v1/pki/sign/web", ROOT, &data));
    let mut tasks = Vec::new();
    for number in 0..CONNECTIONS.min(count) {
        let mine = (number..count).step_by(CONNECTIONS).count();
        let (mut connection, request) = (server.connect().await?, request.clone());
        tasks.push(spawn_local(async move {
            let mut made = Vec::with_capacity(mine);
            for _ in 0..mine {
                let began = Instant::now();
                let answer = connection.json(&request).await?;
                let serial = answer.pointer("/data/serial_number");
                let serial = serial.and_then(Value::as_str).ok_or("no serial number")?;
                made.push((serial.to_owned(), began.elapsed()));
            }
            Ok::<_, Error>(made)
        }));
    }
    let mut made = Vec::with_capacity(count);
    for task in tasks {
        made.extend(task.await??);
    }
    let (serials, mut latencies): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    latencies.sort_unstable();
    Ok((serials, latencies))
}

/// A mount `pki` with a root of this key type and a role `web` that takes anything.
pub(crate) async fn prepare_pki(
    server: &Server,
    key_type: &str,
    key_bits: u32,
) -> Result<(), Error> {
    let mount = json!({"type": "pki", "config": {"max_lease_ttl": "8760h"}});
    server.write("/v1/sys/mounts/pki", &mount).await?;
    let root = json!({
        "common_name": "Root", "key_type": key_type, "key_bits": key_bits, "ttl": "8760h",
    });
    server
        .write("/v1/pki/root/generate/internal", &root)
        .await?;
    let role = json!({
        "allow_any_name": true, "enforce_hostnames": false, "require_cn": false, "key_type": "ec",
        "allowed_uri_sans": "spiffe://*", "ttl": "1h", "max_ttl": "1h",
    });
    server.write("/v1/pki/roles/web", &role).await?;
    Ok(())
}
