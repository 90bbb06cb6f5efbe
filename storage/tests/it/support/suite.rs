//! What every engine must do, as async functions over a fixture; `backend_suite!` stamps a test of
//! each for an engine.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use signet_storage::{
    Backend, Batch, DEFAULT_CACHE_BYTES, Engine, Expect, Observer, StorageError, Version, open,
};
use tempfile::TempDir;

/// An engine and the directory that it may use.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn inmem() -> Self {
        Self {
            engine: Engine::Inmem,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn redb() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::Redb {
            directory: directory.path().join("data"),
            cache_bytes: DEFAULT_CACHE_BYTES,
        };
        Self { engine, directory }
    }

    pub(crate) fn sled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::Sled {
            directory: directory.path().join("data"),
            cache_bytes: DEFAULT_CACHE_BYTES,
        };
        Self { engine, directory }
    }

    /// Works on the store of another fixture, whose directory this is.
    pub(crate) fn use_directory(&mut self, path: &Path) {
        match &mut self.engine {
            Engine::Inmem => {}
            Engine::Redb { directory, .. } | Engine::Sled { directory, .. } => {
                *directory = path.join("data");
            }
        }
    }

    pub(crate) fn open(&self) -> Arc<dyn Backend> {
        open(&self.engine).unwrap()
    }
}

macro_rules! stamp {
    ($fixture:expr, $($behaviour:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let fixture = $fixture;
                $crate::support::suite::$behaviour(&fixture).await;
            }
        )*
    };
}

macro_rules! backend_suite {
    ($module:ident, $fixture:expr) => {
        mod $module {
            use crate::support::suite::{Fixture, stamp};
            stamp! { $fixture,
                a_path_that_was_never_written_is_absent,
                reads_back_what_was_committed,
                all_records_of_a_batch_have_the_version_of_its_commit,
                versions_grow_even_over_a_deletion,
                deleting_what_does_not_exist_succeeds,
                a_conflict_writes_nothing_of_the_batch,
                each_expectation_holds_or_fails_as_it_says,
                expectations_are_about_the_state_before_the_batch,
                a_batch_of_expectations_alone_writes_nothing,
                the_last_change_of_a_path_in_a_batch_wins,
                of_64_creations_of_one_path_exactly_one_succeeds,
                a_counter_with_64_committers_loses_no_increment,
                batches_that_exclude_each_other_never_both_succeed,
                independent_concurrent_commits_all_land,
                keys_come_in_byte_order_and_below_the_prefix_only,
                pages_of_any_size_give_every_key_once,
                a_page_may_start_after_a_key_that_does_not_exist,
                a_limit_of_nothing_gives_nothing,
                scan_gives_the_values_and_versions_of_keys,
                children_are_one_level_deep_and_in_byte_order,
                children_page_over_names_that_have_keys_below,
                unicode_paths_and_prefixes_work,
                empty_and_large_values_survive,
                refuses_bad_paths_wherever_they_stand_in_a_batch,
                reading_a_bad_path_finds_nothing,
                observers_hear_of_commits_in_order_with_their_paths,
                observers_hear_before_the_committer_is_answered,
                observers_do_not_hear_of_conflicts,
                a_dropped_observer_hears_nothing,
                an_abandoned_commit_is_whole_or_not_at_all,
            }
        }
    };
}

/// For engines whose scans are snapshots.
macro_rules! snapshot_suite {
    ($module:ident, $fixture:expr) => {
        mod $module {
            use crate::support::suite::{Fixture, stamp};
            stamp! { $fixture, a_scan_sees_whole_batches, }
        }
    };
}

/// For engines that keep files.
macro_rules! durable_suite {
    ($module:ident, $fixture:expr) => {
        mod $module {
            use crate::support::suite::{Fixture, stamp};
            stamp! { $fixture,
                everything_is_there_after_reopening,
                versions_go_on_after_reopening,
                a_store_opens_in_one_place_only,
                files_are_for_their_owner_only,
                a_failed_open_leaves_the_directory_unlocked,
            }
        }
    };
}

pub(crate) use {backend_suite, durable_suite, snapshot_suite, stamp};

fn batch(changes: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::new();
    for (path, value) in changes {
        batch.put(*path, value.as_bytes().to_vec());
    }
    batch
}

fn deletion(path: &str) -> Batch {
    let mut batch = Batch::new();
    batch.delete(path);
    batch
}

fn expecting(path: &str, expect: Expect) -> Batch {
    let mut batch = Batch::new();
    batch.expect(path, expect);
    batch
}

async fn value(store: &Arc<dyn Backend>, path: &str) -> Option<String> {
    let entry = store.get(path).await.unwrap()?;
    Some(String::from_utf8(entry.value).unwrap())
}

async fn version(store: &Arc<dyn Backend>, path: &str) -> Option<Version> {
    store.get(path).await.unwrap().map(|entry| entry.version)
}

async fn fill(store: &Arc<dyn Backend>, paths: &[&str]) {
    let mut batch = Batch::new();
    for path in paths {
        batch.put(*path, path.as_bytes().to_vec());
    }
    store.commit(batch).await.unwrap();
}

pub(crate) async fn a_path_that_was_never_written_is_absent(fixture: &Fixture) {
    let store = fixture.open();
    assert_eq!(store.get("a").await.unwrap(), None);
    assert!(store.keys("", None, 10).await.unwrap().is_empty());
    assert!(store.scan("", None, 10).await.unwrap().is_empty());
    assert!(store.children("", None, 10).await.unwrap().is_empty());
}

pub(crate) async fn reads_back_what_was_committed(fixture: &Fixture) {
    let store = fixture.open();
    store
        .commit(batch(&[("a/b", "1"), ("a", "2")]))
        .await
        .unwrap();
    assert_eq!(value(&store, "a/b").await.as_deref(), Some("1"));
    assert_eq!(value(&store, "a").await.as_deref(), Some("2"));
    store.commit(batch(&[("a", "3")])).await.unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some("3"));
    store.commit(deletion("a")).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
    assert_eq!(value(&store, "a/b").await.as_deref(), Some("1"));
}

pub(crate) async fn all_records_of_a_batch_have_the_version_of_its_commit(fixture: &Fixture) {
    let store = fixture.open();
    let first = store
        .commit(batch(&[("a", "1"), ("b", "1")]))
        .await
        .unwrap();
    let second = store.commit(batch(&[("b", "2")])).await.unwrap();
    assert!(second > first);
    assert_eq!(version(&store, "a").await, Some(first));
    assert_eq!(version(&store, "b").await, Some(second));
}

pub(crate) async fn versions_grow_even_over_a_deletion(fixture: &Fixture) {
    let store = fixture.open();
    let first = store.commit(batch(&[("a", "1")])).await.unwrap();
    store.commit(deletion("a")).await.unwrap();
    let third = store.commit(batch(&[("a", "1")])).await.unwrap();
    assert!(third.0 >= first.0 + 2);
    let stale = store.commit(expecting("a", Expect::Version(first))).await;
    assert!(matches!(stale, Err(StorageError::Conflict { .. })));
}

pub(crate) async fn deleting_what_does_not_exist_succeeds(fixture: &Fixture) {
    let store = fixture.open();
    store.commit(deletion("a")).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
}

pub(crate) async fn a_conflict_writes_nothing_of_the_batch(fixture: &Fixture) {
    let store = fixture.open();
    store
        .commit(batch(&[("taken", "1"), ("kept", "1")]))
        .await
        .unwrap();
    let mut changes = batch(&[("new", "2"), ("taken", "2")]);
    changes.delete("kept");
    changes.expect("taken", Expect::Absent);
    let error = store.commit(changes).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict { path } if path == "taken"));
    assert_eq!(value(&store, "new").await, None);
    assert_eq!(value(&store, "taken").await.as_deref(), Some("1"));
    assert_eq!(value(&store, "kept").await.as_deref(), Some("1"));
}

pub(crate) async fn each_expectation_holds_or_fails_as_it_says(fixture: &Fixture) {
    let store = fixture.open();
    let written = store.commit(batch(&[("there", "1")])).await.unwrap();
    let other = Version(written.0 + 1);
    for (path, expect, holds) in [
        ("there", Expect::Absent, false),
        ("there", Expect::Present, true),
        ("there", Expect::Version(written), true),
        ("there", Expect::Version(other), false),
        ("gone", Expect::Absent, true),
        ("gone", Expect::Present, false),
        ("gone", Expect::Version(written), false),
        ("gone", Expect::Version(Version(0)), false),
    ] {
        let result = store.commit(expecting(path, expect)).await;
        assert_eq!(result.is_ok(), holds, "{path} {expect:?}");
    }
}

pub(crate) async fn expectations_are_about_the_state_before_the_batch(fixture: &Fixture) {
    let store = fixture.open();
    let mut creation = batch(&[("a", "1")]);
    creation.expect("a", Expect::Absent);
    let created = store.commit(creation).await.unwrap();
    let mut deletion = deletion("a");
    deletion.expect("a", Expect::Version(created));
    deletion.expect("a", Expect::Present);
    store.commit(deletion).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
}

pub(crate) async fn a_batch_of_expectations_alone_writes_nothing(fixture: &Fixture) {
    let store = fixture.open();
    let written = store.commit(batch(&[("a", "1")])).await.unwrap();
    assert_eq!(
        store.commit(expecting("a", Expect::Present)).await.unwrap(),
        written
    );
    assert_eq!(store.commit(Batch::new()).await.unwrap(), written);
    assert_eq!(version(&store, "a").await, Some(written));
}

pub(crate) async fn the_last_change_of_a_path_in_a_batch_wins(fixture: &Fixture) {
    let store = fixture.open();
    let mut first = batch(&[("a", "1"), ("b", "1"), ("a", "2")]);
    first.delete("b");
    let mut second = batch(&[("a", "3")]);
    second.put("c", b"1".to_vec());
    first.merge(second);
    assert_eq!(first.paths().collect::<Vec<_>>(), ["a", "b", "c"]);
    store.commit(first).await.unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some("3"));
    assert_eq!(value(&store, "b").await, None);
}

pub(crate) async fn of_64_creations_of_one_path_exactly_one_succeeds(fixture: &Fixture) {
    let store = fixture.open();
    for round in 0..5 {
        let path = format!("once/{round}");
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (store, path) = (Arc::clone(&store), path.clone());
                tokio::spawn(async move {
                    let mut creation = batch(&[(&path, &task.to_string())]);
                    creation.expect(path, Expect::Absent);
                    (task, store.commit(creation).await)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (task, Ok(_)) => winners.push(task),
                (_, Err(error)) => assert!(matches!(error, StorageError::Conflict { .. })),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(
            value(&store, &path).await,
            winners.first().map(ToString::to_string)
        );
    }
}

pub(crate) async fn a_counter_with_64_committers_loses_no_increment(fixture: &Fixture) {
    let store = fixture.open();
    store.commit(batch(&[("counter", "0")])).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for turn in 0..3 {
                    loop {
                        let current = store.get("counter").await.unwrap().unwrap();
                        let count: u32 = String::from_utf8(current.value).unwrap().parse().unwrap();
                        let next = (count + 1).to_string();
                        let mut change =
                            batch(&[("counter", &next), (&format!("by/{task}/{turn}"), &next)]);
                        change.expect("counter", Expect::Version(current.version));
                        match store.commit(change).await {
                            Ok(_) => break,
                            Err(StorageError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&store, "counter").await.as_deref(), Some("192"));
    let seen: BTreeSet<Vec<u8>> = store
        .scan("by/", None, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, entry)| entry.value)
        .collect();
    assert_eq!(seen.len(), 192);
}

pub(crate) async fn batches_that_exclude_each_other_never_both_succeed(fixture: &Fixture) {
    let store = fixture.open();
    for round in 0..50 {
        let (left, right) = (format!("{round}/left"), format!("{round}/right"));
        let mut one = batch(&[(&left, "1")]);
        one.expect(right.as_str(), Expect::Absent);
        let mut two = batch(&[(&right, "1")]);
        two.expect(left.as_str(), Expect::Absent);
        let (one, two) = tokio::join!(store.commit(one), store.commit(two));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(
            store
                .keys(&format!("{round}/"), None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
    }
}

pub(crate) async fn independent_concurrent_commits_all_land(fixture: &Fixture) {
    let store = fixture.open();
    let tasks: Vec<_> = (0..300)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let path = format!("p/{task:03}");
                let version = store.commit(batch(&[(&path, "x")])).await.unwrap();
                // An acknowledged write is visible at once.
                assert_eq!(store.get(&path).await.unwrap().unwrap().version, version);
                version
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for task in tasks {
        versions.insert(task.await.unwrap());
    }
    assert_eq!(versions.len(), 300);
    assert_eq!(store.keys("p/", None, 1000).await.unwrap().len(), 300);
}

pub(crate) async fn keys_come_in_byte_order_and_below_the_prefix_only(fixture: &Fixture) {
    let store = fixture.open();
    fill(
        &store,
        &[
            "b/2", "b/10", "b", "b-1/x", "b/a/z", "b0", "a", "c/1", "B/1",
        ],
    )
    .await;
    assert_eq!(
        store.keys("b/", None, 100).await.unwrap(),
        ["10", "2", "a/z"]
    );
    assert_eq!(
        store.keys("b", None, 100).await.unwrap(),
        ["", "-1/x", "/10", "/2", "/a/z", "0"]
    );
    assert_eq!(store.keys("d/", None, 100).await.unwrap(), [""; 0]);
    assert_eq!(
        store.keys("", None, 100).await.unwrap(),
        [
            "B/1", "a", "b", "b-1/x", "b/10", "b/2", "b/a/z", "b0", "c/1"
        ]
    );
}

pub(crate) async fn pages_of_any_size_give_every_key_once(fixture: &Fixture) {
    let store = fixture.open();
    let paths: Vec<String> = (0..40).map(|at| format!("p/{}/{at:02}", at % 7)).collect();
    fill(
        &store,
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    fill(&store, &["o", "p", "p0", "q/1"]).await;
    let all = store.keys("p/", None, 100).await.unwrap();
    assert_eq!(all.len(), 40);
    for limit in [1, 2, 7, 39, 40, 41] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = store.keys("p/", after, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit}");
    }
}

pub(crate) async fn a_page_may_start_after_a_key_that_does_not_exist(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["p/a", "p/c", "p/e"]).await;
    assert_eq!(store.keys("p/", Some("b"), 10).await.unwrap(), ["c", "e"]);
    assert_eq!(store.keys("p/", Some("c"), 10).await.unwrap(), ["e"]);
    assert_eq!(store.keys("p/", Some("z"), 10).await.unwrap(), [""; 0]);
    assert_eq!(
        store.children("p/", Some("b"), 10).await.unwrap(),
        ["c", "e"]
    );
}

pub(crate) async fn a_limit_of_nothing_gives_nothing(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["a", "b/c"]).await;
    assert!(store.keys("", None, 0).await.unwrap().is_empty());
    assert!(store.scan("", None, 0).await.unwrap().is_empty());
    assert!(store.children("", None, 0).await.unwrap().is_empty());
}

pub(crate) async fn scan_gives_the_values_and_versions_of_keys(fixture: &Fixture) {
    let store = fixture.open();
    let first = store
        .commit(batch(&[("s/a", "1"), ("s/b/c", "2")]))
        .await
        .unwrap();
    let second = store
        .commit(batch(&[("s/d", "3"), ("t", "4")]))
        .await
        .unwrap();
    let found = store.scan("s/", None, 10).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(key, entry)| (key.as_str(), entry.value.as_slice(), entry.version))
        .collect();
    let expected: [(&str, &[u8], Version); 3] = [
        ("a", b"1", first),
        ("b/c", b"2", first),
        ("d", b"3", second),
    ];
    assert_eq!(found, expected);
    let page = store.scan("s/", Some("a"), 1).await.unwrap();
    assert_eq!(
        page.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["b/c"]
    );
}

pub(crate) async fn children_are_one_level_deep_and_in_byte_order(fixture: &Fixture) {
    let store = fixture.open();
    fill(
        &store,
        &[
            "p/a", "p/a-b", "p/a/1", "p/a/2/3", "p/a0", "p/b/x/y", "p", "q/z",
        ],
    )
    .await;
    assert_eq!(
        store.children("p/", None, 10).await.unwrap(),
        ["a", "a-b", "a/", "a0", "b/"]
    );
    assert_eq!(
        store.children("", None, 10).await.unwrap(),
        ["p", "p/", "q/"]
    );
    assert_eq!(store.children("p/a/", None, 10).await.unwrap(), ["1", "2/"]);
    assert_eq!(store.children("p/b/x/", None, 10).await.unwrap(), ["y"]);
    assert_eq!(store.children("p/none/", None, 10).await.unwrap(), [""; 0]);
}

pub(crate) async fn children_page_over_names_that_have_keys_below(fixture: &Fixture) {
    let store = fixture.open();
    let mut paths = Vec::new();
    for directory in 0..20 {
        paths.push(format!("p/{directory:02}"));
        paths.push(format!("p/{directory:02}-x"));
        for file in 0..30 {
            paths.push(format!("p/{directory:02}/{file}"));
        }
    }
    fill(
        &store,
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let all = store.children("p/", None, 1000).await.unwrap();
    assert_eq!(all.len(), 60);
    for limit in [1, 3, 59, 60, 61] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = store.children("p/", after, limit).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit}");
    }
}

pub(crate) async fn unicode_paths_and_prefixes_work(fixture: &Fixture) {
    let store = fixture.open();
    let paths = ["π/ä", "π/z", "π/é/1", "π/😀/1", "π"];
    fill(&store, &paths).await;
    for path in paths {
        assert_eq!(value(&store, path).await.as_deref(), Some(path));
    }
    assert_eq!(
        store.keys("π/", None, 10).await.unwrap(),
        ["z", "ä", "é/1", "😀/1"]
    );
    assert_eq!(
        store.children("π/", None, 10).await.unwrap(),
        ["z", "ä", "é/", "😀/"]
    );
    assert_eq!(store.children("π/", Some("é/"), 10).await.unwrap(), ["😀/"]);
}

pub(crate) async fn empty_and_large_values_survive(fixture: &Fixture) {
    let store = fixture.open();
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut changes = Batch::new();
    changes.put("empty", Vec::new());
    changes.put("large", large.clone());
    changes.put("x".repeat(4096), b"long path".to_vec());
    store.commit(changes).await.unwrap();
    assert_eq!(value(&store, "empty").await.as_deref(), Some(""));
    assert!(store.get("large").await.unwrap().unwrap().value == large);
    assert_eq!(
        value(&store, &"x".repeat(4096)).await.as_deref(),
        Some("long path")
    );
}

pub(crate) async fn refuses_bad_paths_wherever_they_stand_in_a_batch(fixture: &Fixture) {
    let store = fixture.open();
    for bad in [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/./b",
        "a\u{1}b",
        "\u{1}last-commit",
    ] {
        let mut put = batch(&[("good", "1"), (bad, "1")]);
        put.expect("good", Expect::Absent);
        for refused in [put, deletion(bad), expecting(bad, Expect::Absent)] {
            let error = store.commit(refused).await.unwrap_err();
            assert!(
                matches!(error, StorageError::InvalidPath { .. }),
                "{bad:?}: {error}"
            );
        }
    }
    assert!(store.keys("", None, 10).await.unwrap().is_empty());
}

pub(crate) async fn reading_a_bad_path_finds_nothing(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["a/b"]).await;
    for bad in [
        "",
        "/",
        "a/",
        "/a/b",
        "a//b",
        "\u{1}last-commit",
        "\u{1}format",
    ] {
        assert_eq!(store.get(bad).await.unwrap(), None, "{bad:?}");
    }
    for bad in ["/", "a//", "\u{1}"] {
        assert!(
            store.keys(bad, None, 10).await.unwrap().is_empty(),
            "{bad:?}"
        );
        assert!(
            store.children(bad, None, 10).await.unwrap().is_empty(),
            "{bad:?}"
        );
    }
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Vec<String>>>);

impl Observer for Heard {
    fn changed(&self, paths: &[&str]) {
        self.0
            .lock()
            .push(paths.iter().map(|&path| path.to_owned()).collect());
    }
}

pub(crate) async fn observers_hear_of_commits_in_order_with_their_paths(fixture: &Fixture) {
    let store = fixture.open();
    let heard = Arc::new(Heard::default());
    store.watch(heard.clone());
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let path = format!("p/{task:02}");
                let mut change = batch(&[("shared", "x"), (&path, "x")]);
                change.delete("other");
                (store.commit(change).await.unwrap(), path)
            })
        })
        .collect();
    let mut committed = Vec::new();
    for task in tasks {
        committed.push(task.await.unwrap());
    }
    committed.sort();
    let expected: Vec<Vec<String>> = committed
        .into_iter()
        .map(|(_, path)| vec!["other".to_owned(), path, "shared".to_owned()])
        .collect();
    assert_eq!(*heard.0.lock(), expected);
}

pub(crate) async fn observers_hear_before_the_committer_is_answered(fixture: &Fixture) {
    #[derive(Debug, Default)]
    struct Flag(AtomicBool);

    impl Observer for Flag {
        fn changed(&self, _: &[&str]) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let store = fixture.open();
    let flag = Arc::new(Flag::default());
    store.watch(flag.clone());
    for round in 0..50 {
        flag.0.store(false, Ordering::SeqCst);
        store
            .commit(batch(&[("a", &round.to_string())]))
            .await
            .unwrap();
        assert!(flag.0.load(Ordering::SeqCst));
    }
}

pub(crate) async fn observers_do_not_hear_of_conflicts(fixture: &Fixture) {
    let store = fixture.open();
    let heard = Arc::new(Heard::default());
    store.watch(heard.clone());
    let mut change = batch(&[("a", "1")]);
    change.expect("a", Expect::Present);
    store.commit(change).await.unwrap_err();
    store.commit(expecting("a", Expect::Absent)).await.unwrap();
    assert!(heard.0.lock().is_empty());
}

pub(crate) async fn a_dropped_observer_hears_nothing(fixture: &Fixture) {
    let store = fixture.open();
    let (dropped, kept) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    store.watch(dropped.clone());
    store.watch(kept.clone());
    let weak = Arc::downgrade(&dropped);
    drop(dropped);
    assert!(
        weak.upgrade().is_none(),
        "the store keeps the observer alive"
    );
    store.commit(batch(&[("a", "1")])).await.unwrap();
    assert_eq!(kept.0.lock().len(), 1);
}

pub(crate) async fn an_abandoned_commit_is_whole_or_not_at_all(fixture: &Fixture) {
    let store = fixture.open();
    for round in 0..50 {
        let (one, two) = (format!("{round}/1"), format!("{round}/2"));
        let commit = store.commit(batch(&[(&one, "x"), (&two, "x")]));
        // Polled once, then dropped.
        tokio::select! { biased; _ = commit => {}, () = std::future::ready(()) => {} }
    }
    // Behind all abandoned ones.
    store.commit(batch(&[("last", "x")])).await.unwrap();
    for round in 0..50 {
        let found = store
            .keys(&format!("{round}/"), None, 10)
            .await
            .unwrap()
            .len();
        assert!(found == 0 || found == 2, "{found}");
    }
}

pub(crate) async fn a_scan_sees_whole_batches(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["pair/a", "pair/b", "pair/c"]).await;
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        for round in 0..200 {
            let text = round.to_string();
            let changes = batch(&[("pair/a", &text), ("pair/b", &text), ("pair/c", &text)]);
            writing.commit(changes).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let found = store.scan("pair/", None, 10).await.unwrap();
        let versions: BTreeSet<_> = found.iter().map(|(_, entry)| entry.version).collect();
        assert_eq!(versions.len(), 1, "{found:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

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
