//! What is measured.

use std::future::Future;
use std::pin::Pin;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use serde_json::json;

use crate::Error;
use crate::client::Template;
use crate::server::{Server, prepare_pki, template};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    prepare: fn(&Server) -> Prepared<'_>,
}

type Prepared<'a> = Pin<Box<dyn Future<Output = Result<Template, Error>> + 'a>>;

impl Scenario {
    /// Sets the server up and gives the request to repeat.
    pub(crate) async fn prepare(&self, server: &Server) -> Result<Template, Error> {
        (self.prepare)(server).await
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "sign-p256",
        prepare: |server| Box::pin(sign(server, "ec", 256)),
    },
    Scenario {
        name: "sign-rsa2048",
        prepare: |server| Box::pin(sign(server, "rsa", 2048)),
    },
    Scenario {
        name: "sign-rsa4096",
        prepare: |server| Box::pin(sign(server, "rsa", 4096)),
    },
    Scenario {
        name: "issue-p256",
        prepare: |server| Box::pin(issue(server)),
    },
    Scenario {
        name: "login",
        prepare: |server| Box::pin(login(server)),
    },
];

/// A workload's CSR with one SPIFFE URI, as a mesh sends it.
async fn sign(server: &Server, key_type: &str, key_bits: u32) -> Result<Template, Error> {
    prepare_pki(server, key_type, key_bits).await?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let uri = Ia5String::try_from("spiffe://cluster.local/ns/default/sa/web")?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    let csr = params.serialize_request(&key)?.pem()?;
    Ok(template(
        "/v1/pki/sign/web",
        "root",
        &json!({"csr": csr, "ttl": "1h"}),
    ))
}

async fn issue(server: &Server) -> Result<Template, Error> {
    prepare_pki(server, "ec", 256).await?;
    let name = json!({"common_name": "web.example.com", "ttl": "1h"});
    Ok(template("/v1/pki/issue/web", "root", &name))
}

async fn login(server: &Server) -> Result<Template, Error> {
    server
        .write("/v1/sys/auth/approle", &json!({"type": "approle"}))
        .await?;
    let role = json!({"token_ttl": "10m", "role_id": "bench"});
    server.write("/v1/auth/approle/role/web", &role).await?;
    let secret = json!({"secret_id": "bench-secret"});
    server
        .write("/v1/auth/approle/role/web/custom-secret-id", &secret)
        .await?;
    let login = json!({"role_id": "bench", "secret_id": "bench-secret"});
    Ok(template("/v1/auth/approle/login", "", &login))
}
