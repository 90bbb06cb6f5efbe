//! What revoking and building a CRL cost with many revocations, on a durable store.
//!
//! `cargo run --release -p signet-api --example revocation_cost -- 100000 1000000`

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use signet_api::call::{Call, Op, Peer};
use signet_api::kubernetes::OutsideCluster;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::{MountConfig, SystemTtl};
use signet_api::node::{Environment, Node, NodeSettings};
use signet_api::offload::Pool;
use signet_api::outbound::NoOutbound;
use signet_api::random::{SystemRng, uuid};
use signet_api::reply::Response;
use signet_api::time::SystemClock;
use signet_storage::{Batch, DEFAULT_CACHE_BYTES, Engine, SealConfig};
use zeroize::Zeroizing;

type Outcome<T> = Result<T, Box<dyn Error>>;

const TOKEN: &str = "root";
const REVOKED_ONE_BY_ONE: u32 = 200;

#[tokio::main(worker_threads = 2)]
async fn main() -> Outcome<()> {
    let counts: Vec<u32> = std::env::args()
        .skip(1)
        .map(|count| count.parse())
        .collect::<Result<_, _>>()?;
    for count in counts {
        measure(count).await?;
    }
    Ok(())
}

async fn measure(count: u32) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let node = start(folder.path()).await?;
    let root = json!({"common_name": "Root", "key_type": "ec"});
    write(&node, "pki/root/generate/internal", root).await?;
    let role = json!({"allow_any_name": true, "key_type": "ec", "ttl": "1h"});
    write(&node, "pki/roles/web", role).await?;
    fill(&node, count).await?;
    let mut serials = Vec::new();
    let mut times = Vec::new();
    for _ in 0..REVOKED_ONE_BY_ONE {
        let began = Instant::now();
        let leaf = write(&node, "pki/issue/web", json!({"common_name": "a.example"})).await?;
        serials.push(leaf.get("serial_number").cloned().unwrap_or_default());
        times.push(began.elapsed());
    }
    // One commit too: what the disk costs.
    report(
        count,
        "issue for comparison, median, ms",
        millis(median(&mut times)),
    )?;
    report(count, "resident before the first CRL, MB", resident_mb()?)?;

    let began = Instant::now();
    let bytes = fetch(&node).await?.body.len();
    report(
        count,
        "first CRL with reading the index, ms",
        millis(began.elapsed()),
    )?;
    report(count, "size of the CRL, bytes", bytes)?;
    report(count, "resident after it, MB", resident_mb()?)?;

    let mut times = Vec::new();
    for serial in serials {
        let began = Instant::now();
        write(&node, "pki/revoke", json!({"serial_number": serial})).await?;
        times.push(began.elapsed());
    }
    report(count, "revoke, median, ms", millis(median(&mut times)))?;
    let worst = times.last().copied().unwrap_or_default();
    report(count, "revoke, worst, ms", millis(worst))?;

    let began = Instant::now();
    fetch(&node).await?;
    report(count, "CRL after a revocation, ms", millis(began.elapsed()))?;
    let began = Instant::now();
    fetch(&node).await?;
    report(count, "CRL that is there, ms", millis(began.elapsed()))?;
    report(count, "resident at the end, MB", resident_mb()?)?;
    Ok(())
}

/// Copies the record of one revocation under other serial numbers.
async fn fill(node: &Arc<Node>, count: u32) -> Outcome<()> {
    let leaf = write(node, "pki/issue/web", json!({"common_name": "a.example"})).await?;
    let serial = leaf.get("serial_number").and_then(Value::as_str);
    let serial = serial.ok_or("no certificate")?;
    write(node, "pki/revoke", json!({"serial_number": serial})).await?;
    let store = node.core().ok_or("sealed")?.store.clone();
    let serial = serial.replace(':', "-");
    let paths = store.keys("mount/", None, 10_000).await?;
    let suffix = format!("/revoked/{serial}");
    let path = paths.iter().find(|path| path.ends_with(&suffix));
    let path = format!("mount/{}", path.ok_or("no revocation")?);
    let value = store.get(&path).await?.ok_or("no revocation")?.value;
    let prefix = path.strip_suffix(&serial).ok_or("no prefix")?;
    for first in (1..count).step_by(10_000) {
        let mut batch = Batch::default();
        for n in first..count.min(first + 10_000) {
            let mut name = "01-".repeat(16);
            name.push_str(
                &n.to_be_bytes()
                    .map(|octet| format!("{octet:02x}"))
                    .join("-"),
            );
            batch.put(format!("{prefix}{name}"), value.clone());
        }
        store.commit(batch).await?;
    }
    Ok(())
}

async fn start(folder: &Path) -> Outcome<Arc<Node>> {
    let environment = Environment {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng::default()),
        pool: Pool::new(2, 64),
        key_pool: Pool::new(2, 64),
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
        storage_type: "redb".into(),
        user_lockout: LockoutSettings::default(),
    };
    let engine = Engine::Redb {
        directory: folder.to_owned(),
        cache_bytes: DEFAULT_CACHE_BYTES,
    };
    let node = Node::new(signet_storage::open(&engine)?, environment, settings);
    let root = Some(Zeroizing::new(TOKEN.to_owned()));
    let initialized = node
        .initialize(SealConfig::shamir(1, 1)?, None, root)
        .await?;
    node.start_initialized(&initialized).await?;
    let core = node.core().ok_or("sealed")?;
    core.mounts
        .mount("pki/", "pki", MountConfig::default(), false, false)
        .await?;
    Ok(node)
}

async fn write(node: &Arc<Node>, path: &str, data: Value) -> Outcome<Value> {
    let response = send(node, Op::Write, path, data).await?;
    let body: Value = serde_json::from_slice(&response.body)?;
    if response.status != 200 {
        return Err(format!("{path}: {} {body}", response.status).into());
    }
    Ok(body.get("data").cloned().unwrap_or_default())
}

async fn fetch(node: &Arc<Node>) -> Outcome<Response> {
    send(node, Op::Read, "pki/crl", Value::Null).await
}

async fn send(node: &Arc<Node>, op: Op, path: &str, data: Value) -> Outcome<Response> {
    let call = Call {
        id: uuid(node.rng())?,
        op,
        path: path.to_owned(),
        data: data.as_object().cloned().unwrap_or_else(Map::new),
        raw_body: Bytes::new(),
        token: Some(Zeroizing::new(TOKEN.to_owned())),
        wrap: None,
        peer: Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 40_000)),
            certificates: Arc::new([]),
        },
        headers: Vec::new(),
    };
    Ok(node.handle(call).await)
}

fn resident_mb() -> Outcome<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: u64 = kilobytes.unwrap_or("0").parse()?;
    Ok((kilobytes / 1024).to_string())
}

/// Sorts them too.
fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn report(count: u32, what: &str, value: impl std::fmt::Display) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{count:>8} revoked: {what}: {value}")?;
    Ok(())
}
