//! A server to test against.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use signet_api::call::{Call, Op, Peer, WrapRequest};
use signet_api::keys_ahead::KeysAhead;
use signet_api::kubernetes::OutsideCluster;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::SystemTtl;
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::random::{SeededRng, uuid};
use signet_api::reply::Response;
use signet_api::time::{FixedClock, Timestamp};
use signet_api::token::TokenRecord;
use signet_storage::{Backend, Batch, Engine, SealConfig, UnsealKey};
use zeroize::Zeroizing;

use crate::outbound::FakeOutbound;
use crate::probe::FakeProbe;

pub(crate) const ROOT: &str = "root";

pub(crate) struct Server {
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<FixedClock>,
    /// Answers what the server asks of others.
    pub(crate) outbound: Arc<FakeOutbound>,
    /// Shows what the server looks at.
    pub(crate) probe: Arc<FakeProbe>,
    /// Set by `start`.
    unseal_key: Option<UnsealKey>,
}

/// Status and body; `Null` without one.
pub(crate) type Answer = (u16, Value);

impl Server {
    /// Unsealed, with the root token `root`.
    pub(crate) async fn start() -> Self {
        Self::start_on(signet_storage::open(&Engine::Inmem).unwrap()).await
    }

    /// As [`Self::start`], on this storage.
    pub(crate) async fn start_on(backend: Arc<dyn Backend>) -> Self {
        Self::initialized(Self::sealed_on(backend)).await
    }

    /// As [`Self::start`], where ACME accounts have to be bound.
    pub(crate) async fn start_without_public_acme() -> Self {
        let backend = signet_storage::open(&Engine::Inmem).unwrap();
        Self::initialized(Self::sealed_with(backend, true)).await
    }

    async fn initialized(mut server: Self) -> Self {
        let config = SealConfig::shamir(1, 1).unwrap();
        let root = Some(Zeroizing::new(ROOT.to_owned()));
        let initialized = server.node.initialize(config, None, root).await.unwrap();
        let unseal_key = UnsealKey::from_bytes(&initialized.shares[0]).unwrap();
        server.unseal_key = Some(unseal_key);
        server.node.start_initialized(&initialized).await.unwrap();
        server
    }

    /// A server process on a store; nothing is initialized or unsealed.
    pub(crate) fn sealed_on(backend: Arc<dyn Backend>) -> Self {
        Self::sealed_with(backend, false)
    }

    fn sealed_with(backend: Arc<dyn Backend>, is_public_acme_disabled: bool) -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::from_secs(1_800_000_000)));
        let outbound = Arc::new(FakeOutbound::default());
        let probe = Arc::new(FakeProbe::default());
        let environment = Environment {
            clock: clock.clone(),
            rng: Arc::new(SeededRng::default()),
            pool: Pool::new(2, 64),
            key_pool: Pool::new(2, 64),
            keys_ahead: Arc::new(KeysAhead::new(2)),
            outbound: outbound.clone(),
            probe: probe.clone(),
            is_public_acme_disabled,
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
        let node = Node::new(backend, environment, settings);
        Self {
            node,
            clock,
            outbound,
            probe,
            unseal_key: None,
        }
    }

    /// Seals and unseals: what is not stored is forgotten.
    pub(crate) async fn restart(&self) {
        let unseal_key = self.unseal_key.as_ref().unwrap();
        self.node.seal().await;
        let store = self.node.sealed.unseal(unseal_key).await.unwrap();
        self.node.start(store).await.unwrap();
    }

    /// Mounts an auth method under its own name.
    pub(crate) async fn enable_auth(&self, kind: &str) {
        let data = serde_json::json!({ "type": kind });
        assert_eq!(
            self.write(ROOT, &format!("sys/auth/{kind}"), data).await.0,
            204
        );
    }

    pub(crate) async fn call(&self, call: Call) -> Answer {
        answer(&self.node.handle(call).await)
    }

    /// The whole answer, for bodies that are not JSON.
    pub(crate) async fn response(&self, call: Call) -> Response {
        self.node.handle(call).await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, data: Value) -> Answer {
        self.call(call(Op::Patch, path, token, data)).await
    }

    pub(crate) async fn read(&self, token: &str, path: &str) -> Answer {
        self.call(call(Op::Read, path, token, Value::Null)).await
    }

    pub(crate) async fn list(&self, token: &str, path: &str) -> Answer {
        self.call(call(Op::List, &format!("{path}/"), token, Value::Null))
            .await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.call(call(Op::Delete, path, token, Value::Null)).await
    }

    pub(crate) async fn write(&self, token: &str, path: &str, data: Value) -> Answer {
        self.call(call(Op::Write, path, token, data)).await
    }

    /// A token with one policy of its own, whose rules are given.
    pub(crate) async fn token_with(&self, name: &str, rules: &str) -> String {
        let answer = self
            .write(
                ROOT,
                &format!("sys/policies/acl/{name}"),
                serde_json::json!({ "policy": rules }),
            )
            .await;
        assert_eq!(answer.0, 204, "{answer:?}");
        let core = self.node.core().unwrap();
        let record = TokenRecord {
            policies: vec![name.to_owned()],
            path: "auth/token/create".into(),
            no_lease: true,
            ..TokenRecord::default()
        };
        let mut batch = Batch::default();
        let token = core.tokens.create(&mut batch, record, None).unwrap();
        core.store.commit(batch).await.unwrap();
        token.secret.to_string()
    }

    pub(crate) async fn write_wrapped(
        &self,
        token: &str,
        path: &str,
        data: Value,
        ttl_secs: u64,
    ) -> Answer {
        let wrap = Some(WrapRequest { ttl_secs });
        self.call(Call {
            wrap,
            ..call(Op::Write, path, token, data)
        })
        .await
    }
}

/// A request from 127.0.0.1; an empty token is none.
pub(crate) fn call(op: Op, path: &str, token: &str, data: Value) -> Call {
    Call {
        id: uuid(&SeededRng::default()).unwrap(),
        op,
        path: path.to_owned(),
        data: match data {
            Value::Object(map) => map,
            _ => Map::new(),
        },
        raw_body: Bytes::new(),
        token: (!token.is_empty()).then(|| Zeroizing::new(token.to_owned())),
        wrap: None,
        peer: Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 40_000)),
            certificates: Arc::new([]),
        },
        headers: Vec::new(),
    }
}

fn answer(response: &Response) -> Answer {
    let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    (response.status, body)
}

/// The first error text of an answer.
pub(crate) fn error(answer: &Answer) -> &str {
    answer.1["errors"][0].as_str().unwrap_or_default()
}
