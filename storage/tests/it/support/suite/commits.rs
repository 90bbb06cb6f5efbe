//! Batches, expectations and races.

use std::collections::BTreeSet;
use std::sync::Arc;

use signet_storage::{Batch, Expect, StorageError, Version};

use super::{Fixture, batch, deletion, expecting, value, version};

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
