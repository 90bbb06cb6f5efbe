//! What every engine must do, as async functions over a fixture; `backend_suite!` stamps a test of
//! each for an engine.

use std::path::Path;
use std::sync::Arc;

use signet_storage::{Backend, Batch, DEFAULT_CACHE_BYTES, Engine, Expect, Version, open};
use tempfile::TempDir;

mod commits;
mod files;
mod listing;
mod watch;

pub(crate) use commits::*;
pub(crate) use files::*;
pub(crate) use listing::*;
pub(crate) use watch::*;

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
