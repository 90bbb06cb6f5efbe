//! `kill -9` in the middle of concurrent commits: what was acknowledged is there afterwards, and no
//! batch is half there.
//!
//! This test binary runs itself as the process that is killed. `SIGNET_CRASH_CYCLES` raises the
//! number of kills for each engine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rand_core::Rng;
use signet_storage::{Backend, Batch, Expect, Version, open};

use crate::support::SeededRng;
use crate::support::suite::Fixture;

const WORKERS: u32 = 8;
const RECORDS_PER_BATCH: u64 = 3;

/// Set for the process that is to be killed: engine and directory.
const CHILD_VARIABLE: &str = "SIGNET_CRASH_CHILD";
const CYCLES_VARIABLE: &str = "SIGNET_CRASH_CYCLES";

#[test]
fn redb_loses_nothing_acknowledged_when_killed() {
    survive_kills("redb", &Fixture::redb());
}

#[test]
fn sled_loses_nothing_acknowledged_when_killed() {
    survive_kills("sled", &Fixture::sled());
}

/// Not a test of its own: writes until it is killed, if it was started for that.
#[test]
fn child_writes_until_killed() {
    let Some(name) = std::env::var_os(CHILD_VARIABLE) else {
        return;
    };
    let name = name.into_string().unwrap();
    let (engine, directory) = name.split_once(':').unwrap();
    let mut fixture = if engine == "redb" {
        Fixture::redb()
    } else {
        Fixture::sled()
    };
    fixture.use_directory(directory.as_ref());
    say("opening");
    let store = fixture.open();
    say("open");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| tokio::spawn(write(Arc::clone(&store), worker)))
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

/// Commits batch after batch, each raising the worker's counter, and says so once acknowledged.
async fn write(store: Arc<dyn Backend>, worker: u32) {
    let counter = format!("counter/{worker}");
    let (mut count, mut version) = match store.get(&counter).await.unwrap() {
        None => (0, None),
        Some(entry) => (number(&entry.value), Some(entry.version)),
    };
    loop {
        count += 1;
        let mut batch = Batch::new();
        batch.expect(
            counter.as_str(),
            version.map_or(Expect::Absent, Expect::Version),
        );
        batch.put(counter.as_str(), count.to_be_bytes().to_vec());
        for record in 0..RECORDS_PER_BATCH {
            batch.put(path(worker, count, record), content(worker, count, record));
        }
        version = Some(store.commit(batch).await.unwrap());
        say(&format!("ack {worker} {count}"));
    }
}

fn path(worker: u32, count: u64, record: u64) -> String {
    // Spread out, so that one batch touches several pages.
    format!("records/{record}/{worker}/{count:08}")
}

fn content(worker: u32, count: u64, record: u64) -> Vec<u8> {
    let seed = u64::from(worker) << 40 | count << 4 | record;
    let mut bytes = vec![0; 300 + usize::try_from(count % 900).unwrap()];
    SeededRng(seed).fill_bytes(&mut bytes);
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn survive_kills(engine: &str, fixture: &Fixture) {
    let cycles = std::env::var_os(CYCLES_VARIABLE)
        .map_or(12, |cycles| cycles.into_string().unwrap().parse().unwrap());
    let seed = std::process::id();
    let mut rng = SeededRng(seed.into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    for cycle in 0..cycles {
        let lines = match cycle % 4 {
            // While the store opens, which after a kill includes its repair.
            0 => 1,
            1 => 2 + rng.next_u32() % 4,
            _ => rng.next_u32() % 600,
        };
        run_and_kill(engine, fixture, lines, &mut acknowledged);
        runtime.block_on(check(
            fixture,
            &acknowledged,
            &format!("seed {seed}, cycle {cycle}"),
        ));
    }
    assert!(
        cycles < 12 || acknowledged.len() == 8,
        "the child did not get to write"
    );
}

fn run_and_kill(
    engine: &str,
    fixture: &Fixture,
    lines: u32,
    acknowledged: &mut BTreeMap<u32, u64>,
) {
    let mut child = start(engine, fixture);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut said = 0;
    while out.read_line(&mut line).unwrap() > 0 {
        // The last line may be cut off, and then was not said.
        if line.ends_with('\n') {
            if let Some(acknowledgement) = line.strip_prefix("ack ") {
                let (worker, count) = acknowledgement.trim().split_once(' ').unwrap();
                acknowledged.insert(worker.parse().unwrap(), count.parse().unwrap());
            }
            if line.starts_with("open") || line.starts_with("ack") {
                said += 1;
            }
        }
        line.clear();
        if said == lines {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the child ended by itself: {status}");
}

fn start(engine: &str, fixture: &Fixture) -> Child {
    let directory = fixture.directory.path().display();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_writes_until_killed", "--nocapture"])
        .env(CHILD_VARIABLE, format!("{engine}:{directory}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn check(fixture: &Fixture, acknowledged: &BTreeMap<u32, u64>, when: &str) {
    let store = open(&fixture.engine).unwrap();
    let mut last_version = Version(0);
    for worker in 0..WORKERS {
        let counter = store.get(&format!("counter/{worker}")).await.unwrap();
        let count = counter.as_ref().map_or(0, |entry| number(&entry.value));
        let promised = acknowledged.get(&worker).copied().unwrap_or(0);
        assert!(
            count >= promised,
            "{when}: worker {worker} has {count} of {promised}"
        );
        for record in 0..RECORDS_PER_BATCH {
            let prefix = format!("records/{record}/{worker}/");
            let found = store.scan(&prefix, None, usize::MAX).await.unwrap();
            // Batches 1 to `count`, all of them and nothing else.
            assert_eq!(
                u64::try_from(found.len()).unwrap(),
                count,
                "{when}: {prefix}"
            );
            for (expected, (key, entry)) in (1..).zip(&found) {
                assert_eq!(*key, format!("{expected:08}"), "{when}: {prefix}");
                assert!(
                    entry.value == content(worker, expected, record),
                    "{when}: {prefix}{key}"
                );
                last_version = last_version.max(entry.version);
            }
        }
    }
    let mut next = Batch::new();
    next.delete("nothing");
    assert!(store.commit(next).await.unwrap() > last_version, "{when}");
}
