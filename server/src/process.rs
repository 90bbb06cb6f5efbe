//! A development server.

use crate::http;
use std::sync::Arc;

use signet_api::mount::SystemTtl;
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::random::SystemRng;
use signet_api::time::SystemClock;
use signet_storage::Engine;
use signet_storage::SealConfig;

pub(crate) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let environment = Environment {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng::default()),
        pool: Pool::new(2, 1024),
        key_pool: Pool::new(2, 1024),
    };
    let settings = NodeSettings {
        system_ttl: SystemTtl::default(),
        cluster_name: String::new(),
        version: "1.19.5".into(),
        build_date: String::new(),
        user_lockout: signet_api::lockout::LockoutSettings::default(),
        storage_type: "inmem".into(),
    };
    let node = Node::new(signet_storage::open(&Engine::Inmem)?, environment, settings);
    let root = Some(zeroize::Zeroizing::new("root".to_owned()));
    let initialized = node
        .initialize(SealConfig::shamir(1, 1)?, None, root)
        .await?;
    node.start_initialized(&initialized).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8200").await?;
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    http::serve(
        listener,
        http::router(node, http::Limits::default()),
        stopped,
    )
    .await;
    Ok(())
}
