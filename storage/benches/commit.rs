//! What the barrier and a commit cost: `cargo bench -p signet-storage`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has to stop"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use signet_storage::{
    Batch, DEFAULT_CACHE_BYTES, Engine, Expect, InitParams, SealConfig, Sealed, UnsealKey,
    Unsealed, open, system_random,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// About a certificate.
const RECORD: [u8; 900] = [7; 900];

fn main() {
    divan::main();
}

#[divan::bench]
fn encrypt(bencher: Bencher<'_, '_>) {
    let store = store(&Engine::Inmem, &runtime());
    bencher.bench(|| store.seal_blob("bench", &RECORD).unwrap());
}

#[divan::bench]
fn decrypt(bencher: Bencher<'_, '_>) {
    let store = store(&Engine::Inmem, &runtime());
    let sealed = store.seal_blob("bench", &RECORD).unwrap();
    bencher.bench(|| store.open_blob("bench", &sealed).unwrap());
}

/// This many committers at once share a flush; the figure is for all of them.
#[divan::bench(args = [1, 8, 32, 128], sample_count = 50)]
fn commit_to_disk(bencher: Bencher<'_, '_>, committers: usize) {
    let directory = TempDir::new().unwrap();
    let engine = Engine::Redb {
        directory: directory.path().to_owned(),
        cache_bytes: DEFAULT_CACHE_BYTES,
    };
    commit(bencher, &engine, committers);
}

#[divan::bench(args = [1, 32])]
fn commit_in_memory(bencher: Bencher<'_, '_>, committers: usize) {
    commit(bencher, &Engine::Inmem, committers);
}

fn commit(bencher: Bencher<'_, '_>, engine: &Engine, committers: usize) {
    let runtime = runtime();
    let store = store(engine, &runtime);
    let next = AtomicU64::new(0);
    bencher.counter(ItemsCount::new(committers)).bench(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..committers)
                .map(|_| {
                    let path = format!("cert/{:020}", next.fetch_add(1, Ordering::Relaxed));
                    let mut batch = Batch::new();
                    batch.expect(path.clone(), Expect::Absent);
                    batch.put(path, RECORD.to_vec());
                    let store = store.clone();
                    tokio::spawn(async move { store.commit(batch).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        });
    });
}

fn store(engine: &Engine, runtime: &Runtime) -> Arc<Unsealed> {
    let params = InitParams {
        config: SealConfig::shamir(1, 1).unwrap(),
        unseal_key: UnsealKey::from_bytes(&[1; 32]).unwrap(),
        now_unix_nanos: 1_800_000_000_000_000_000,
    };
    let sealed = Sealed::new(open(engine).unwrap());
    let initialized = runtime.block_on(sealed.initialize(params, &mut system_random()));
    initialized.unwrap().unsealed
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().build().unwrap()
}
