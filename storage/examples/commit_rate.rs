//! Durable commits per second of each engine.
//!
//! `cargo run --release -p signet-storage --example commit_rate -- [DIRECTORY] [COMMITS] [ENGINE…]`
//!
//! Each commit is one record of 1.2 kB under a time-ordered key and its index entry, as a
//! certificate is stored; GROUP committers run at the same time, so that the engine may share one
//! flush among that many. DIRECTORY must lie on the disk to measure, not on tmpfs.

#![expect(clippy::print_stdout, reason = "prints a table")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use signet_storage::{Backend, Batch, DEFAULT_CACHE_BYTES, Engine, Expect, open};

const RECORD_BYTES: usize = 1200;
const GROUPS: [u32; 3] = [1, 32, 128];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let commits: u32 = arguments.next().as_deref().unwrap_or("20000").parse()?;
    println!(
        "{:>8} {:>8} {:>12} {:>12} {:>12}",
        "engine", "group", "records/s", "us/commit", "reopen ms"
    );
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = ["inmem", "redb", "sled"].map(str::to_owned).to_vec();
    }
    for name in &names {
        for group in GROUPS {
            let directory = tempfile::tempdir_in(&parent)?;
            let engine = engine(name, directory.path());
            // Alone, each commit waits for the disk by itself.
            let commits = if group == 1 { commits / 10 } else { commits };
            let store = open(&engine)?;
            let seconds = run(&store, group, commits).await?;
            drop(store);
            let reopening = Instant::now();
            drop(open(&engine)?);
            let reopen = reopening.elapsed();
            println!(
                "{name:>8} {group:>8} {:>12.0} {:>12.1} {:>12.1}",
                f64::from(commits) / seconds,
                seconds * 1e6 / f64::from(commits) * f64::from(group),
                reopen.as_secs_f64() * 1e3,
            );
        }
    }
    Ok(())
}

fn engine(name: &str, directory: &Path) -> Engine {
    let directory = directory.join("data");
    let cache_bytes = DEFAULT_CACHE_BYTES;
    match name {
        "redb" => Engine::Redb {
            directory,
            cache_bytes,
        },
        "sled" => Engine::Sled {
            directory,
            cache_bytes,
        },
        _ => Engine::Inmem,
    }
}

async fn run(store: &Arc<dyn Backend>, group: u32, commits: u32) -> Result<f64, Box<dyn Error>> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let committers: Vec<_> = (0..group)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= u64::from(commits) {
                        return Ok(());
                    }
                    store.commit(certificate(number)).await?;
                }
            })
        })
        .collect();
    for committer in committers {
        let result: Result<(), signet_storage::StorageError> = committer.await?;
        result?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// What issuing a certificate writes: the certificate, which must be new, and its expiry.
fn certificate(number: u64) -> Batch {
    // Milliseconds and a random part, at 40 certificates in a millisecond.
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let serial = format!("{:012x}{random:016x}", 1_800_000_000_000 + number / 40);
    let path = format!("logical/pki/certs/{serial}");
    let mut batch = Batch::new();
    batch.expect(path.as_str(), Expect::Absent);
    batch.put(path, vec![0x5a; RECORD_BYTES]);
    batch.put(
        format!("logical/pki/expiry/{:012x}/{serial}", number / 40),
        Vec::new(),
    );
    batch
}
