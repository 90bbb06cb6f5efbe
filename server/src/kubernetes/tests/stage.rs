//! A server with a mount, a cluster beside it, and replicas of the controller.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use serde_json::{Map, Value, json};
use signet_api::call::{Call, Op, Peer};
use signet_api::kubernetes::OutsideCluster;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::SystemTtl;
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::random::SeededRng;
use signet_api::secrets::pki::root_bundle;
use signet_api::time::{FixedClock, Timestamp};
use signet_storage::{Engine, SealConfig, UnsealKey};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::fake_kubernetes::{FakeKubernetes, ReplyBody};
use crate::config::{IstiodSettings, KubernetesSettings};
use crate::kubernetes::IstiodNames;
use crate::kubernetes::controller::run;
use crate::outbound::HttpOutbound;

pub(super) const ISTIO: &str = "istio-system";
const ROOT_TOKEN: &str = "root";

pub(super) struct Stage {
    pub(super) cluster: FakeKubernetes,
    pub(super) node: Arc<Node>,
    pub(super) clock: Arc<FixedClock>,
    pub(super) settings: KubernetesSettings,
    unseal_key: UnsealKey,
}

/// One replica of the controller.
pub(super) struct Replica {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Stage {
    /// A root at `pki/` with the role `istiod`, and a cluster with the namespace `istio-system`, which is selected.
    pub(super) async fn new() -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::from_secs(1_800_000_000)));
        let environment = Environment {
            clock: clock.clone(),
            probe: Arc::new(signet_api::probe::NoProbe),
            is_public_acme_disabled: false,
            local_cluster: Arc::new(OutsideCluster),
            outbound: Arc::new(HttpOutbound::default()),
            rng: Arc::new(SeededRng::default()),
            pool: Pool::new(2, 64),
            key_pool: Pool::new(2, 64),
            keys_ahead: Arc::default(),
        };
        let node_settings = NodeSettings {
            system_ttl: SystemTtl::default(),
            cluster_name: String::new(),
            version: "1.19.5".into(),
            build_date: String::new(),
            storage_type: "inmem".into(),
            user_lockout: LockoutSettings::default(),
        };
        let backend = signet_storage::open(&Engine::Inmem).unwrap();
        let node = Node::new(backend, environment, node_settings);
        let shares = SealConfig::shamir(1, 1).unwrap();
        let token = Some(Zeroizing::new(ROOT_TOKEN.to_owned()));
        let initialized = node.initialize(shares, None, token).await.unwrap();
        let unseal_key = UnsealKey::from_bytes(&initialized.shares[0]).unwrap();
        node.start_initialized(&initialized).await.unwrap();
        let stage = Self {
            cluster: FakeKubernetes::new(),
            node,
            clock,
            settings: settings(),
            unseal_key,
        };
        stage.cluster.namespace(ISTIO, &json!({"mesh": "yes"}));
        stage
            .write(
                "sys/mounts/pki",
                json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}}),
            )
            .await;
        let root = json!({"common_name": "Root", "key_type": "ec", "issuer_name": "first", "ttl": "87600h"});
        stage.write("pki/root/generate/internal", root).await;
        stage.write_role("24h").await;
        stage
    }

    pub(super) async fn write_role(&self, ttl: &str) {
        let role = json!({"allow_any_name": true, "allowed_uri_sans": "spiffe://*", "key_type": "ec",
            "require_cn": false, "ttl": ttl, "max_ttl": "48h", "not_before_duration": "0s"});
        self.write("pki/roles/istiod", role).await;
    }

    pub(super) async fn write(&self, path: &str, data: Value) -> Value {
        self.call(Op::Write, path, data).await
    }

    pub(super) async fn call(&self, op: Op, path: &str, data: Value) -> Value {
        let Value::Object(data) = data else {
            panic!("fields are an object")
        };
        let call = Call {
            id: "1".into(),
            op,
            path: path.into(),
            data,
            raw_body: Bytes::new(),
            token: Some(Zeroizing::new(ROOT_TOKEN.into())),
            wrap: None,
            peer: Peer {
                address: ([127, 0, 0, 1], 1).into(),
                certificates: Arc::new([]),
            },
            headers: Vec::new(),
        };
        let response = self.node.handle(call).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        assert!(response.status < 300, "{path}: {body}");
        body["data"].clone()
    }

    pub(super) async fn delete(&self, path: &str) {
        self.call(Op::Delete, path, Value::Object(Map::new())).await;
    }

    pub(super) async fn roots(&self) -> String {
        root_bundle(&self.node.core().unwrap(), "pki")
            .await
            .unwrap()
    }

    pub(super) async fn unseal(&self) {
        let store = self.node.sealed.unseal(&self.unseal_key).await.unwrap();
        self.node.start(store).await.unwrap();
    }

    pub(super) fn client(&self) -> Client {
        client(&self.cluster)
    }

    pub(super) fn replica(&self) -> Replica {
        let (stop, stopping) = watch::channel(false);
        let running = run(
            self.client(),
            self.settings.clone(),
            self.node.clone(),
            stopping,
        );
        Replica {
            stop,
            task: tokio::spawn(running),
        }
    }

    /// The roots in the ConfigMap of a namespace.
    pub(super) fn published(&self, namespace: &str) -> Option<String> {
        let map = self
            .cluster
            .get("configmaps", namespace, "istio-ca-root-cert")?;
        Some(map["data"]["root-cert.pem"].as_str()?.to_owned())
    }

    pub(super) async fn until_published(&self, namespace: &str, roots: &str) {
        self.cluster
            .until("the roots are published", |_| {
                self.published(namespace).as_deref() == Some(roots)
            })
            .await;
    }

    /// Lets the controller do whatever it would do in this time.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) fn holder(&self) -> String {
        let lease = self.cluster.get("leases", ISTIO, "signet");
        lease
            .and_then(|lease| Some(lease["spec"]["holderIdentity"].as_str()?.to_owned()))
            .unwrap_or_default()
    }
}

impl Replica {
    /// As when the server stops.
    pub(super) async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }

    /// As when the process is killed.
    pub(super) fn kill(self) {
        self.task.abort();
    }
}

fn settings() -> KubernetesSettings {
    KubernetesSettings {
        mount: "pki".into(),
        kubeconfig: None,
        context: None,
        namespace_selector: "mesh=yes".into(),
        lease_namespace: ISTIO.into(),
        lease_name: "signet".into(),
        istiod: Some(IstiodSettings {
            role: "istiod".into(),
            secret_name: "istiod-tls".into(),
            names: IstiodNames {
                namespace: ISTIO.into(),
                revisions: vec!["default".into(), "basic".into()],
                further_dns_names: Vec::new(),
                trust_domain: "cluster.local".into(),
            },
            ttl: None,
            renew_before: None,
        }),
    }
}

pub(super) fn client(cluster: &FakeKubernetes) -> Client {
    let cluster = cluster.clone();
    let service = tower::service_fn(move |request: hyper::Request<kube::client::Body>| {
        let cluster = cluster.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let target = head.uri.path_and_query().unwrap().as_str();
            let reply = cluster.handle(head.method.as_str(), target, &body);
            let body: UnsyncBoxBody<Bytes, Infallible> = match reply.body {
                ReplyBody::Whole(bytes) => Full::new(Bytes::from(bytes)).boxed_unsync(),
                ReplyBody::Lines(lines) => {
                    let frames = stream::unfold(lines, |mut lines| async move {
                        let line = lines.recv().await?;
                        Some((Ok(Frame::data(Bytes::from(line))), lines))
                    });
                    StreamBody::new(frames).boxed_unsync()
                }
            };
            let response = hyper::Response::builder().status(reply.status).body(body);
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    Client::new(service, "default")
}
