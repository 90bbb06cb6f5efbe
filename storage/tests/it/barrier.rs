//! Initialization, sealing, key rotation and views, over the in-memory engine.

use std::sync::Arc;

use crate::support::SeededRng;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use signet_storage::seal::shamir;
use signet_storage::{
    Backend, BarrierError, Batch, Engine, Expect, InitParams, Initialized, Observer, Record,
    SealConfig, SealKind, Sealed, StorageError, UnsealKey, Unsealed, View, open,
};

const NOW: u64 = 1_800_000_000_000_000_000;

struct Store {
    backend: Arc<dyn Backend>,
    unsealed: Arc<Unsealed>,
    key: UnsealKey,
}

async fn store() -> Store {
    let backend = open(&Engine::Inmem).unwrap();
    let key = UnsealKey::from_bytes(&[1; 32]).unwrap();
    let Initialized { unsealed, .. } =
        initialize(&backend, SealConfig::shamir(1, 1).unwrap(), &key)
            .await
            .unwrap();
    Store {
        backend,
        unsealed,
        key,
    }
}

async fn initialize(
    backend: &Arc<dyn Backend>,
    config: SealConfig,
    key: &UnsealKey,
) -> Result<Initialized, BarrierError> {
    let params = InitParams {
        config,
        unseal_key: key.clone(),
        now_unix_nanos: NOW,
    };
    Sealed::new(Arc::clone(backend))
        .initialize(params, &mut SeededRng(7))
        .await
}

fn put(path: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(path, value.as_bytes().to_vec());
    batch
}

async fn read(unsealed: &Unsealed, path: &str) -> Option<String> {
    let entry = unsealed.get(path).await.unwrap()?;
    Some(String::from_utf8(entry.value).unwrap())
}

#[tokio::test]
async fn says_how_it_is_sealed_without_any_key() {
    let backend = open(&Engine::Inmem).unwrap();
    let sealed = Sealed::new(Arc::clone(&backend));
    assert_eq!(sealed.seal_config().await.unwrap(), None);
    let config = SealConfig::shamir(5, 3).unwrap();
    let key = UnsealKey::generate(&mut SeededRng(1));
    let made = initialize(&backend, config.clone(), &key).await.unwrap();
    assert_eq!(made.shares.len(), 5);
    assert_eq!(sealed.seal_config().await.unwrap(), Some(config));
}

#[tokio::test]
async fn any_threshold_of_the_shares_unseals() {
    let backend = open(&Engine::Inmem).unwrap();
    let key = UnsealKey::generate(&mut SeededRng(1));
    let made = initialize(&backend, SealConfig::shamir(5, 3).unwrap(), &key)
        .await
        .unwrap();
    made.unsealed.commit(put("a", "secret")).await.unwrap();
    for chosen in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
        let shares: Vec<_> = chosen
            .iter()
            .map(|&at| made.shares[at].as_slice())
            .collect();
        let joined = UnsealKey::from_bytes(&shamir::combine(&shares).unwrap()).unwrap();
        let unsealed = Sealed::new(Arc::clone(&backend))
            .unseal(&joined)
            .await
            .unwrap();
        assert_eq!(read(&unsealed, "a").await.as_deref(), Some("secret"));
    }
    let two: Vec<_> = made
        .shares
        .iter()
        .take(2)
        .map(|share| share.as_slice())
        .collect();
    let wrong = UnsealKey::from_bytes(&shamir::combine(&two).unwrap()).unwrap();
    let error = Sealed::new(backend).unseal(&wrong).await.unwrap_err();
    assert!(matches!(error, BarrierError::WrongUnsealKey));
}

#[tokio::test]
async fn a_static_seal_hands_out_no_shares() {
    let backend = open(&Engine::Inmem).unwrap();
    let key = UnsealKey::from_text(&"ab".repeat(32)).unwrap();
    let made = initialize(&backend, SealConfig::static_key("k1"), &key)
        .await
        .unwrap();
    assert!(made.shares.is_empty());
    let config = Sealed::new(Arc::clone(&backend))
        .seal_config()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (config.kind, config.key_id.as_deref()),
        (SealKind::Static, Some("k1"))
    );
    Sealed::new(backend).unseal(&key).await.unwrap();
}

#[tokio::test]
async fn of_two_initializations_one_succeeds() {
    let backend = open(&Engine::Inmem).unwrap();
    let config = SealConfig::shamir(1, 1).unwrap();
    let key = UnsealKey::from_bytes(&[1; 32]).unwrap();
    let other = UnsealKey::from_bytes(&[2; 32]).unwrap();
    let (first, second) = tokio::join!(
        initialize(&backend, config.clone(), &key),
        initialize(&backend, config, &other),
    );
    assert!(first.is_ok());
    assert!(matches!(
        second.unwrap_err(),
        BarrierError::AlreadyInitialized
    ));
    Sealed::new(backend).unseal(&key).await.unwrap();
}

#[tokio::test]
async fn an_empty_store_cannot_be_unsealed() {
    let backend = open(&Engine::Inmem).unwrap();
    let key = UnsealKey::from_bytes(&[1; 32]).unwrap();
    let error = Sealed::new(backend).unseal(&key).await.unwrap_err();
    assert!(matches!(error, BarrierError::NotInitialized));
}

#[tokio::test]
async fn nothing_but_the_seal_configuration_is_readable_below_the_barrier() {
    let store = store().await;
    store
        .unsealed
        .commit(put("mount/secret", "hunter2 hunter2"))
        .await
        .unwrap();
    for (path, entry) in store.backend.scan("", None, 100).await.unwrap() {
        let readable = String::from_utf8_lossy(&entry.value).contains("secret_shares");
        assert_eq!(readable, path == "core/seal-config", "{path}");
        assert!(
            !entry.value.windows(7).any(|window| window == b"hunter2"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_record_copied_to_another_path_is_refused() {
    let store = store().await;
    store.unsealed.commit(put("a", "secret")).await.unwrap();
    let stolen = store.backend.get("a").await.unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put("b", stolen.value);
    store.backend.commit(batch).await.unwrap();
    let error = store.unsealed.get("b").await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { path, .. } if path == "b"));
}

#[tokio::test]
async fn refuses_writes_to_the_records_of_the_barrier() {
    let store = store().await;
    for path in [
        "core/keyring",
        "core/root-key",
        "core/seal-config",
        "core/derivation-secret",
    ] {
        let error = store.unsealed.commit(put(path, "x")).await.unwrap_err();
        assert!(matches!(error, StorageError::InvalidPath { .. }), "{path}");
    }
    store
        .unsealed
        .commit(put("core/mounts", "x"))
        .await
        .unwrap();
}

#[tokio::test]
async fn rotation_changes_the_key_and_keeps_old_records_readable() {
    let store = store().await;
    store.unsealed.commit(put("old", "1")).await.unwrap();
    assert_eq!(store.unsealed.key_status().term, 1);
    assert_eq!(store.unsealed.key_status().install_time_unix_nanos, NOW);
    let term = store
        .unsealed
        .rotate(NOW + 5, &mut SeededRng(9))
        .await
        .unwrap();
    assert_eq!(term, 2);
    store.unsealed.commit(put("new", "2")).await.unwrap();
    let status = store.unsealed.key_status();
    assert_eq!((status.term, status.install_time_unix_nanos), (2, NOW + 5));

    let again = Sealed::new(Arc::clone(&store.backend))
        .unseal(&store.key)
        .await
        .unwrap();
    for unsealed in [&store.unsealed, &again] {
        assert_eq!(read(unsealed, "old").await.as_deref(), Some("1"));
        assert_eq!(read(unsealed, "new").await.as_deref(), Some("2"));
    }
    let old = store.backend.get("old").await.unwrap().unwrap().value;
    let new = store.backend.get("new").await.unwrap().unwrap().value;
    assert_eq!((old[3], new[3]), (1, 2));
}

#[tokio::test]
async fn learns_of_a_rotation_that_another_process_made() {
    let store = store().await;
    let other = Sealed::new(Arc::clone(&store.backend))
        .unseal(&store.key)
        .await
        .unwrap();
    other.rotate(NOW, &mut SeededRng(9)).await.unwrap();
    other.commit(put("new", "2")).await.unwrap();
    assert_eq!(read(&store.unsealed, "new").await.as_deref(), Some("2"));
    assert_eq!(store.unsealed.key_status().term, 2);
    // And its own next rotation builds on that one.
    assert_eq!(
        store
            .unsealed
            .rotate(NOW, &mut SeededRng(10))
            .await
            .unwrap(),
        3
    );
}

#[tokio::test]
async fn encryption_counts_never_go_back_over_restarts() {
    let store = store().await;
    for round in 0..20 {
        let mut batch = Batch::new();
        for at in 0..500 {
            batch.put(format!("r/{round}/{at}"), vec![0; 8]);
        }
        store.unsealed.commit(batch).await.unwrap();
    }
    let mut refused = Batch::new();
    for at in 0..5000 {
        refused.put(format!("refused/{at}"), vec![0; 8]);
    }
    refused.expect("r/0/0", Expect::Absent);
    store.unsealed.commit(refused).await.unwrap_err();
    store.unsealed.commit(put("last", "1")).await.unwrap();
    let before = store.unsealed.key_status().encryptions;
    assert!((15_000..15_100).contains(&before), "{before}");
    let again = Sealed::new(Arc::clone(&store.backend))
        .unseal(&store.key)
        .await
        .unwrap();
    let after = again.key_status().encryptions;
    assert!((before..before + 8192).contains(&after), "{before} {after}");
}

#[tokio::test]
async fn a_rekey_changes_the_unseal_key_and_nothing_else() {
    let store = store().await;
    store.unsealed.commit(put("a", "secret")).await.unwrap();
    let derived = store.unsealed.derive_key("tokens");
    let new_key = UnsealKey::from_bytes(&[2; 32]).unwrap();
    let config = SealConfig::shamir(3, 2).unwrap();
    store.unsealed.rewrap(&config, &new_key).await.unwrap();

    assert!(store.unsealed.verify_unseal_key(&new_key).await.unwrap());
    assert!(!store.unsealed.verify_unseal_key(&store.key).await.unwrap());
    let sealed = Sealed::new(Arc::clone(&store.backend));
    assert!(matches!(
        sealed.unseal(&store.key).await.unwrap_err(),
        BarrierError::WrongUnsealKey
    ));
    let unsealed = sealed.unseal(&new_key).await.unwrap();
    assert_eq!(read(&unsealed, "a").await.as_deref(), Some("secret"));
    assert_eq!(unsealed.derive_key("tokens"), derived);
    assert_eq!(sealed.seal_config().await.unwrap(), Some(config));
}

#[tokio::test]
async fn derived_keys_differ_by_label_and_store_and_outlast_rotation() {
    let store = store().await;
    let tokens = store.unsealed.derive_key("tokens");
    assert_ne!(tokens, store.unsealed.derive_key("audit"));
    store.unsealed.rotate(NOW, &mut SeededRng(9)).await.unwrap();
    assert_eq!(tokens, store.unsealed.derive_key("tokens"));

    let backend = open(&Engine::Inmem).unwrap();
    let params = InitParams {
        config: SealConfig::shamir(1, 1).unwrap(),
        unseal_key: store.key.clone(),
        now_unix_nanos: NOW,
    };
    let other = Sealed::new(backend)
        .initialize(params, &mut SeededRng(8))
        .await
        .unwrap();
    assert_ne!(tokens, other.unsealed.derive_key("tokens"));
}

#[tokio::test]
async fn a_blob_opens_only_in_its_context_and_after_rotation_too() {
    let store = store().await;
    let blob = store.unsealed.seal_blob("batch-token", b"claims").unwrap();
    store.unsealed.rotate(NOW, &mut SeededRng(9)).await.unwrap();
    assert_eq!(
        store.unsealed.open_blob("batch-token", &blob).unwrap(),
        b"claims"
    );
    assert!(store.unsealed.open_blob("other", &blob).is_err());
    assert!(
        store
            .unsealed
            .open_blob("batch-token", &blob[..20])
            .is_err()
    );
    assert!(store.unsealed.open_blob("batch-token", b"").is_err());
}

#[tokio::test]
async fn keys_do_not_show_in_debug() {
    let store = store().await;
    let text = format!("{:?}", store.unsealed);
    assert!(text.starts_with("Unsealed {") && text.contains("..") && !text.contains("key:"));
    let derived = hex::encode(*store.unsealed.derive_key("tokens"));
    assert!(!text.contains(&derived));
    assert_eq!(
        format!("{:?}", put("a", "secret"))
            .matches("secret")
            .count(),
        0
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Role {
    name: String,
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

#[tokio::test]
async fn a_view_reads_and_writes_below_its_prefix_only() {
    let store = store().await;
    let mount = View::new(Arc::clone(&store.unsealed), "logical/1/");
    let roles = mount.child("role/");
    let other = View::new(Arc::clone(&store.unsealed), "logical/10");
    assert_eq!(
        (roles.prefix(), other.prefix()),
        ("logical/1/role/", "logical/10/")
    );

    let mut batch = Batch::new();
    roles.expect(&mut batch, "web", Expect::Absent);
    roles
        .put_record(&mut batch, "web", &Role { name: "web".into() })
        .unwrap();
    let mut second = Batch::new();
    other.put(&mut second, "x/y", b"z".to_vec());
    batch.merge(second);
    let version = mount.commit(batch).await.unwrap();

    let stored = mount.record::<Role>("role/web").await.unwrap().unwrap();
    assert_eq!(
        (stored.value.name.as_str(), stored.version),
        ("web", version)
    );
    assert_eq!(mount.keys("", None, 10).await.unwrap(), ["role/web"]);
    assert_eq!(other.children("", None, 10).await.unwrap(), ["x/"]);
    assert_eq!(
        roles
            .scan_records::<Role>("", None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(other.record::<Role>("role/web").await.unwrap().is_none());

    let mut stale = Batch::new();
    roles.expect(&mut stale, "web", Expect::Absent);
    roles.delete(&mut stale, "web");
    let error = roles.commit(stale).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict { path } if path == "logical/1/role/web"));
}

#[tokio::test]
async fn deletes_a_whole_prefix_and_nothing_beside_it() {
    let store = store().await;
    let view = View::new(Arc::clone(&store.unsealed), "m/");
    for round in 0..3 {
        let mut batch = Batch::new();
        for at in 0..500 {
            view.put(&mut batch, &format!("certs/{round}-{at}"), vec![0]);
        }
        view.put(&mut batch, &format!("certs-{round}"), vec![0]);
        view.commit(batch).await.unwrap();
    }
    view.delete_prefix("certs/").await.unwrap();
    assert_eq!(
        view.keys("", None, 10).await.unwrap(),
        ["certs-0", "certs-1", "certs-2"]
    );
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn changed(&self, paths: &[&str]) {
        self.0
            .lock()
            .extend(paths.iter().map(|&path| path.to_owned()));
    }
}

#[tokio::test]
async fn an_observer_hears_relative_paths_for_as_long_as_it_lives() {
    let store = store().await;
    let view = View::new(Arc::clone(&store.unsealed), "m/");
    let heard = Arc::new(Heard::default());
    view.child("role").watch(heard.clone());
    drop(view);
    store.unsealed.commit(put("m/role/a", "1")).await.unwrap();
    store.unsealed.commit(put("m/other", "1")).await.unwrap();
    let mut batch = Batch::new();
    batch.delete("m/role/a");
    store.unsealed.commit(batch).await.unwrap();
    assert_eq!(*heard.0.lock(), ["a", "a"]);
    let weak = Arc::downgrade(&heard);
    drop(heard);
    assert!(weak.upgrade().is_none());
    store.unsealed.commit(put("m/role/b", "1")).await.unwrap();
}
