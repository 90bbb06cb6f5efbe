//! A server with a mesh: root, intermediate, role, and an issuer of tokens.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::support::{ROOT, Scratch, Server, free_address};
use crate::tokens::{Issuer, claims};

pub(crate) const ISTIOD: &str = "istiod.istio-system.svc";
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/web/sa/front";

pub(crate) struct Mesh {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    /// Of the service accounts' tokens.
    pub(crate) issuer: Issuer,
    /// PEM.
    pub(crate) root: String,
}

impl Mesh {
    /// In memory, ready to serve, with `jwks` and `client_certificate` and these further settings.
    pub(crate) async fn start(settings: &str) -> Self {
        let mut mesh = Self::unprovisioned(settings);
        mesh.provision();
        mesh.wait_until_ready().await;
        mesh
    }

    /// As [`Self::start`], on disk.
    pub(crate) async fn persistent(settings: &str) -> Self {
        let (address, issuer) = (free_address(), Issuer::new());
        let server = Server::persistent_with(|scratch| config(scratch, address, &issuer, settings));
        let mut mesh = Self {
            server,
            address,
            issuer,
            root: String::new(),
        };
        mesh.provision();
        mesh.wait_until_ready().await;
        mesh
    }

    /// Without mounts.
    pub(crate) fn unprovisioned(settings: &str) -> Self {
        let (address, issuer) = (free_address(), Issuer::new());
        let server = Server::dev_with(|scratch| config(scratch, address, &issuer, settings));
        Self {
            server,
            address,
            issuer,
            root: String::new(),
        }
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, settings: &str) {
        let scratch = &self.server.scratch;
        let text = config(scratch, self.address, &self.issuer, settings);
        scratch.write("config.hcl", &text);
    }

    /// A root, an intermediate that knows it, and the role.
    pub(crate) fn provision(&mut self) {
        self.root = self.new_root("pki");
        self.enable("pki_int_ca");
        self.new_intermediate("pki", "default");
        self.role(&json!({}));
    }

    pub(crate) fn enable(&self, path: &str) {
        self.write(&format!("sys/mounts/{path}"), &json!({"type": "pki"}));
        let tune = json!({"max_lease_ttl": "87600h"});
        self.write(&format!("sys/mounts/{path}/tune"), &tune);
    }

    /// A mount with a self-signed authority.
    pub(crate) fn new_root(&self, path: &str) -> String {
        self.enable(path);
        let root = json!({"common_name": format!("Root at {path}"), "key_type": "ec",
                          "ttl": "87600h"});
        let answer = self.write(&format!("{path}/root/generate/internal"), &root);
        answer["certificate"].as_str().unwrap().to_owned()
    }

    /// An issuer of the mesh's mount below the root at `path`, imported with that root; gives back
    /// its id.
    pub(crate) fn new_intermediate(&self, path: &str, issuer_name: &str) -> String {
        let request =
            json!({"common_name": format!("Intermediate {issuer_name}"), "key_type": "ec"});
        let csr = self.write("pki_int_ca/intermediate/generate/internal", &request);
        let request = json!({"csr": csr["csr"], "ttl": "43800h", "format": "pem_bundle"});
        let signed = self.write(&format!("{path}/root/sign-intermediate"), &request);
        let bundle = json!({"certificate": signed["certificate"]});
        let imported = self.write("pki_int_ca/intermediate/set-signed", &bundle);
        let mapping = imported["mapping"].as_object().unwrap();
        let with_key = mapping.iter().find(|(_, key)| key.as_str() != Some(""));
        with_key.unwrap().0.clone()
    }

    /// The role of the mesh, with these settings over the usual ones.
    pub(crate) fn role(&self, settings: &Value) {
        let mut role = json!({
            "key_type": "any", "allowed_uri_sans": "spiffe://cluster.local/*",
            "require_cn": false, "max_ttl": "720h",
        });
        for (key, value) in settings.as_object().unwrap() {
            role[key] = value.clone();
        }
        self.write("pki_int_ca/roles/mesh", &role);
    }

    /// Data of an answer that must be good.
    pub(crate) fn write(&self, path: &str, data: &Value) -> Value {
        let (status, answer) = self
            .server
            .post(&self.server.token, &format!("/v1/{path}"), data);
        assert!(matches!(status, 200 | 204), "{path}: {status} {answer}");
        answer["data"].clone()
    }

    pub(crate) fn read(&self, path: &str) -> Value {
        let (status, answer) = self.server.get(&self.server.token, &format!("/v1/{path}"));
        assert_eq!(status, 200, "{path}: {answer}");
        answer["data"].clone()
    }

    /// A good token of the service account.
    pub(crate) fn token(&self, namespace: &str, account: &str) -> String {
        self.issuer.token(&claims(namespace, account))
    }

    pub(crate) async fn wait_until_ready(&self) {
        self.wait_for("not ready", async || {
            Agent::new(self).is_serving().await.unwrap_or(false)
        })
        .await;
    }

    /// Asks until the answer is yes.
    pub(crate) async fn wait_for(&self, otherwise: &str, ask: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ask().await {
            let log = || self.server.scratch.read("log");
            assert!(Instant::now() < deadline, "{otherwise}: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) const AUTHENTICATORS: &str = "authenticator \"jwks\" {\n  file = \"JWKS\"\n  \
    issuer = \"https://kubernetes.default.svc\"\n  nodes {\n    node-a = [\"web/front\"]\n  \
    }\n}\nauthenticator \"client_certificate\" {}\n";

/// Settings that name no authenticator get the usual ones.
fn config(scratch: &Scratch, address: SocketAddr, issuer: &Issuer, settings: &str) -> String {
    scratch.write("jwks.json", &issuer.jwks().to_string());
    // With the end of a line, as editors leave it.
    scratch.write("reviewer", "reviewer\n");
    let authenticators = if settings.contains("authenticator") {
        ""
    } else {
        AUTHENTICATORS
    };
    let text = format!(
        "istio_csr {{\n  address = \"{address}\"\n  mount = \"pki_int_ca\"\n  role = \"mesh\"\n  \
         dns_names = [\"{ISTIOD}\", \"127.0.0.1\"]\n{settings}\n{authenticators}}}\n"
    );
    text.replace("JWKS", &scratch.path("jwks.json"))
        .replace("SCRATCH", scratch.path("").trim_end_matches('/'))
}

/// The token with which tests call the HTTP API of a development server.
pub(crate) const OPERATOR: &str = ROOT;
