//! What engines on files do beyond one opening.

use signet_storage::{Expect, StorageError, Version, open};

use super::{Fixture, batch, deletion, value, version};

pub(crate) async fn everything_is_there_after_reopening(fixture: &Fixture) {
    let store = fixture.open();
    let kept = store
        .commit(batch(&[("a/b", "1"), ("gone", "1")]))
        .await
        .unwrap();
    let mut large = deletion("gone");
    large.put("large", vec![7; 2_000_000]);
    store.commit(large).await.unwrap();
    drop(store);
    for _ in 0..2 {
        let store = fixture.open();
        assert_eq!(value(&store, "a/b").await.as_deref(), Some("1"));
        assert_eq!(version(&store, "a/b").await, Some(kept));
        assert_eq!(
            store.get("large").await.unwrap().unwrap().value.len(),
            2_000_000
        );
        assert_eq!(store.keys("", None, 10).await.unwrap(), ["a/b", "large"]);
    }
}

pub(crate) async fn versions_go_on_after_reopening(fixture: &Fixture) {
    let mut last = Version(0);
    for round in 0..5 {
        let store = fixture.open();
        let mut change = batch(&[("a", "1")]);
        if round > 0 {
            change.expect("a", Expect::Version(last));
        }
        let next = store.commit(change).await.unwrap();
        assert!(next > last);
        last = store.commit(batch(&[("a", "2")])).await.unwrap();
        store.commit(deletion("b")).await.unwrap();
    }
}

pub(crate) async fn a_store_opens_in_one_place_only(fixture: &Fixture) {
    let store = fixture.open();
    let error = open(&fixture.engine).unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    store.commit(batch(&[("a", "1")])).await.unwrap();
    drop(store);
    assert_eq!(value(&fixture.open(), "a").await.as_deref(), Some("1"));
}

pub(crate) async fn files_are_for_their_owner_only(fixture: &Fixture) {
    use std::os::unix::fs::PermissionsExt;

    let mut changes = batch(&[("a", "1")]);
    changes.put("large", vec![7; 2_000_000]);
    fixture.open().commit(changes).await.unwrap();
    let store = fixture.open();
    let data = fixture.directory.path().join("data");
    let mut directories = vec![data.clone()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
        // What lies in the private directory is out of reach, whatever its own mode.
        assert!(
            mode == 0o700 || directory != data,
            "{}: {mode:o}",
            directory.display()
        );
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
                continue;
            }
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}: {mode:o}", entry.path().display());
            files += 1;
        }
    }
    assert!(files >= 2, "{files}");
    drop(store);
}

pub(crate) async fn a_failed_open_leaves_the_directory_unlocked(fixture: &Fixture) {
    let data = fixture.directory.path().join("data");
    std::fs::write(&data, "a file").unwrap();
    let error = open(&fixture.engine).unwrap_err();
    assert!(matches!(error, StorageError::Directory { .. }), "{error}");
    std::fs::remove_file(&data).unwrap();

    // Neither engine takes foreign bytes for its own.
    std::fs::create_dir_all(data.join("sled")).unwrap();
    std::fs::write(data.join("signet.redb"), vec![0xa5; 10_000]).unwrap();
    std::fs::write(data.join("sled/conf"), vec![0xa5; 10_000]).unwrap();
    open(&fixture.engine).unwrap_err();
    std::fs::remove_dir_all(data.join("sled")).unwrap();
    std::fs::remove_file(data.join("signet.redb")).unwrap();
    fixture.open().commit(batch(&[("a", "1")])).await.unwrap();
}
