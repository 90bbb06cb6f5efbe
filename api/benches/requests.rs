//! Whole requests without a network and without a disk, and the JSON of an answer:
//! `cargo bench -p signet-api`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has to stop"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use serde_json::{Map, Value, json};
use signet_api::call::{Call, Op, Peer};
use signet_api::kubernetes::OutsideCluster;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::SystemTtl;
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::outbound::NoOutbound;
use signet_api::random::{SystemRng, uuid};
use signet_api::time::SystemClock;
use signet_pki::csr::build::CsrPlan;
use signet_pki::key::{Curve, KeyKind, PrivateKey};
use signet_pki::pem;
use signet_pki::plan::{SignaturePreference, SubjectAltNames, SubjectAttributes};
use signet_storage::{Engine, SealConfig};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

fn main() {
    divan::main();
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let server = Server::start();
    let request = json!({"csr": workload_csr(), "ttl": "1h"});
    bencher.bench(|| server.write("root", "pki/sign/web", &request));
}

#[divan::bench]
fn issue(bencher: Bencher<'_, '_>) {
    let server = Server::start();
    let request = json!({"common_name": "web.example.com", "ttl": "1h"});
    bencher.bench(|| server.write("root", "pki/issue/web", &request));
}

#[divan::bench]
fn login(bencher: Bencher<'_, '_>) {
    let server = Server::start();
    server.write("root", "sys/auth/approle", &json!({"type": "approle"}));
    let role = json!({"token_ttl": "10m", "role_id": "bench"});
    server.write("root", "auth/approle/role/web", &role);
    let secret = json!({"secret_id": "bench-secret"});
    server.write("root", "auth/approle/role/web/custom-secret-id", &secret);
    let login = json!({"role_id": "bench", "secret_id": "bench-secret"});
    bencher.bench(|| server.write("", "auth/approle/login", &login));
}

#[divan::bench]
fn json_of_an_answer(bencher: Bencher<'_, '_>) {
    let server = Server::start();
    let request = json!({"csr": workload_csr(), "ttl": "1h"});
    let answer = server.write("root", "pki/sign/web", &request);
    bencher.bench(|| signet_api::json::to_bytes(&answer).unwrap());
}

struct Server {
    node: Arc<Node>,
    runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let environment = Environment {
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng::default()),
            pool: Pool::new(1, 64),
            key_pool: Pool::new(1, 64),
            keys_ahead: Arc::default(),
            outbound: Arc::new(NoOutbound),
            probe: Arc::new(signet_api::probe::NoProbe),
            is_public_acme_disabled: false,
            local_cluster: Arc::new(OutsideCluster),
        };
        let settings = NodeSettings {
            system_ttl: SystemTtl::default(),
            cluster_name: String::new(),
            version: "1.19.5".into(),
            build_date: String::new(),
            storage_type: "inmem".into(),
            user_lockout: LockoutSettings::default(),
        };
        let backend = signet_storage::open(&Engine::Inmem).unwrap();
        let node = Node::new(backend, environment, settings);
        let root = Some(Zeroizing::new("root".to_owned()));
        let config = SealConfig::shamir(1, 1).unwrap();
        let started = async {
            let initialized = node.initialize(config, None, root).await?;
            node.start_initialized(&initialized).await
        };
        runtime.block_on(started).unwrap();
        let server = Self { node, runtime };
        server.write("root", "sys/mounts/pki", &json!({"type": "pki"}));
        let root = json!({"common_name": "Root", "key_type": "ec", "ttl": "700h"});
        server.write("root", "pki/root/generate/internal", &root);
        let role = json!({
            "allow_any_name": true, "enforce_hostnames": false, "require_cn": false,
            "key_type": "ec", "allowed_uri_sans": "spiffe://*", "ttl": "1h", "max_ttl": "1h",
        });
        server.write("root", "pki/roles/web", &role);
        server
    }

    /// `Null` for an empty answer.
    fn write(&self, token: &str, path: &str, data: &Value) -> Value {
        let call = Call {
            id: uuid(self.node.rng()).unwrap(),
            op: Op::Write,
            path: path.to_owned(),
            data: data.as_object().cloned().unwrap_or_else(Map::new),
            raw_body: Bytes::new(),
            token: (!token.is_empty()).then(|| Zeroizing::new(token.to_owned())),
            wrap: None,
            peer: Peer {
                address: SocketAddr::from(([127, 0, 0, 1], 40_000)),
                certificates: Arc::new([]),
            },
            headers: Vec::new(),
        };
        let response = self.runtime.block_on(self.node.handle(call));
        assert!(response.status < 300, "{path}: {:?}", response.body);
        serde_json::from_slice(&response.body).unwrap_or_default()
    }
}

fn workload_csr() -> String {
    let plan = CsrPlan {
        subject: SubjectAttributes::default(),
        sans: SubjectAltNames {
            uris: vec!["spiffe://cluster.local/ns/default/sa/web".to_owned()],
            ..SubjectAltNames::default()
        },
        authority: false,
        signature: SignaturePreference::default(),
    };
    let key = PrivateKey::generate(KeyKind::Ec(Curve::P256)).unwrap();
    pem::encode("CERTIFICATE REQUEST", &plan.sign(&key).unwrap())
}
