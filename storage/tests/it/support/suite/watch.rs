//! What observers hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use signet_storage::{Expect, Observer};

use super::{Fixture, batch, expecting};

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
