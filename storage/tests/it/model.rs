//! Every engine against a `BTreeMap`, over random histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use signet_storage::{Backend, Batch, Entry, Expect, StorageError, Version};

use crate::support::suite::Fixture;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>, Vec<(String, Wanted)>),
    Get(String),
    Keys(String, Option<String>, usize),
    Children(String, Option<String>, usize),
    /// For engines on files: closes the store and opens it again.
    Reopen,
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, Vec<u8>),
    Delete(String),
}

#[derive(Clone, Debug)]
enum Wanted {
    Absent,
    Present,
    /// The version that the model holds, or one behind it.
    Current,
    Stale,
}

/// Few names, so that histories meet themselves, of those that sort awkwardly around the slash.
fn path() -> impl Strategy<Value = String> {
    let component = prop::sample::select(vec!["a", "a-", "a0", "b", "é"]);
    vec(component, 1..4).prop_map(|components| components.join("/"))
}

fn prefix() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        path(),
        path().prop_map(|path| format!("{path}/")),
    ]
}

fn after() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![
        path(),
        path().prop_map(|path| format!("{path}/"))
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        3 => (path(), vec(any::<u8>(), 0..40)).prop_map(|(path, value)| Change::Put(path, value)),
        1 => path().prop_map(Change::Delete),
    ];
    let wanted = prop::sample::select(vec![
        Wanted::Absent,
        Wanted::Present,
        Wanted::Current,
        Wanted::Current,
        Wanted::Stale,
    ]);
    prop_oneof![
        8 => (vec(change, 0..6), vec((path(), wanted), 0..2))
            .prop_map(|(changes, wanted)| Step::Commit(changes, wanted)),
        2 => path().prop_map(Step::Get),
        3 => (prefix(), after(), 0_usize..8)
            .prop_map(|(prefix, after, limit)| Step::Keys(prefix, after, limit)),
        3 => (prefix(), after(), 0_usize..8)
            .prop_map(|(prefix, after, limit)| Step::Children(prefix, after, limit)),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Entry>,
}

impl Model {
    fn batch(&self, changes: &[Change], wanted: &[(String, Wanted)]) -> Batch {
        let mut batch = Batch::new();
        for (path, wanted) in wanted {
            let current = self
                .entries
                .get(path)
                .map_or(Version(0), |entry| entry.version);
            batch.expect(
                path.as_str(),
                match wanted {
                    Wanted::Absent => Expect::Absent,
                    Wanted::Present => Expect::Present,
                    Wanted::Current => Expect::Version(current),
                    Wanted::Stale => Expect::Version(Version(current.0.saturating_sub(1))),
                },
            );
        }
        for change in changes {
            match change {
                Change::Put(path, value) => batch.put(path.as_str(), value.clone()),
                Change::Delete(path) => batch.delete(path.as_str()),
            }
        }
        batch
    }

    fn accepts(&self, wanted: &[(String, Wanted)]) -> bool {
        wanted.iter().all(|(path, wanted)| {
            let present = self.entries.contains_key(path);
            match wanted {
                Wanted::Absent => !present,
                Wanted::Present | Wanted::Current => present,
                Wanted::Stale => false,
            }
        })
    }

    fn apply(&mut self, changes: &[Change], version: Version) {
        for change in changes {
            match change {
                Change::Put(path, value) => {
                    let entry = Entry {
                        value: value.clone(),
                        version,
                    };
                    self.entries.insert(path.clone(), entry);
                }
                Change::Delete(path) => {
                    self.entries.remove(path);
                }
            }
        }
    }

    fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, Entry)> {
        self.entries
            .iter()
            .filter_map(|(path, entry)| {
                path.strip_prefix(prefix)
                    .map(|key| (key.to_owned(), entry.clone()))
            })
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .take(limit)
            .collect()
    }

    fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let mut names: Vec<String> = self
            .page(prefix, None, usize::MAX)
            .into_iter()
            .map(|(key, _)| match key.split_once('/') {
                Some((name, _)) => format!("{name}/"),
                None => key,
            })
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        names.sort();
        names.dedup();
        names.truncate(limit);
        names
    }
}

async fn follow(fixture: &Fixture, steps: Vec<Step>, reopens: bool) {
    let mut store: Arc<dyn Backend> = fixture.open();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Commit(changes, wanted) => {
                let accepted = model.accepts(&wanted);
                match store.commit(model.batch(&changes, &wanted)).await {
                    Ok(version) => {
                        assert!(accepted, "{changes:?} {wanted:?}");
                        model.apply(&changes, version);
                    }
                    Err(StorageError::Conflict { .. }) => assert!(!accepted, "{wanted:?}"),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Get(path) => {
                assert_eq!(
                    store.get(&path).await.unwrap(),
                    model.entries.get(&path).cloned()
                );
            }
            Step::Keys(prefix, after, limit) => {
                let after = after.as_deref();
                let expected = model.page(&prefix, after, limit);
                assert_eq!(store.scan(&prefix, after, limit).await.unwrap(), expected);
                let keys: Vec<String> = expected.into_iter().map(|(key, _)| key).collect();
                assert_eq!(store.keys(&prefix, after, limit).await.unwrap(), keys);
            }
            Step::Children(prefix, after, limit) => {
                let after = after.as_deref();
                assert_eq!(
                    store.children(&prefix, after, limit).await.unwrap(),
                    model.children(&prefix, after, limit),
                    "{prefix:?} {after:?} {limit}"
                );
            }
            Step::Reopen if reopens => {
                drop(store);
                store = fixture.open();
            }
            Step::Reopen => {}
        }
    }
    let expected = model.page("", None, usize::MAX);
    assert_eq!(store.scan("", None, usize::MAX).await.unwrap(), expected);
}

fn run(fixture: &Fixture, steps: Vec<Step>, reopens: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(follow(fixture, steps, reopens));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn inmem_does_what_the_model_does(steps in vec(step(), 0..60)) {
        run(&Fixture::inmem(), steps, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn redb_does_what_the_model_does(steps in vec(step(), 0..60)) {
        run(&Fixture::redb(), steps, true);
    }

    #[test]
    fn sled_does_what_the_model_does(steps in vec(step(), 0..60)) {
        run(&Fixture::sled(), steps, true);
    }
}
