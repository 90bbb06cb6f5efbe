//! Which batches of a group apply, and what they amount to.

use std::collections::BTreeMap;

use super::{Batch, Entry, Version};
use crate::error::StorageError;

/// The final state of every path that some accepted batch wrote; `None` is a deletion.
pub(super) type EntryChanges = BTreeMap<String, Option<Entry>>;

/// What a group of batches comes to, decided before anything is written.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) changes: EntryChanges,
    /// One for each batch, in order.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) last_commit: Version,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) result: Result<Version, StorageError>,
    /// The paths that the batch wrote, if it was accepted.
    pub(super) paths: Vec<String>,
}

/// Takes the batches in order, each against the state that the accepted ones before it leave, so
/// that of two batches in one group that exclude each other exactly one is accepted.
///
/// `stored` gives the version that the store holds for a path. An error of it fails the group.
pub(super) fn decide(
    batches: Vec<Batch>,
    last_commit: Version,
    stored: impl Fn(&str) -> Result<Option<Version>, StorageError>,
) -> Result<Decision, StorageError> {
    let mut decision = Decision {
        last_commit,
        ..Decision::default()
    };
    for batch in batches {
        let outcome = decision.take(batch, &stored)?;
        decision.outcomes.push(outcome);
    }
    Ok(decision)
}

impl Decision {
    fn take(
        &mut self,
        batch: Batch,
        stored: impl Fn(&str) -> Result<Option<Version>, StorageError>,
    ) -> Result<Outcome, StorageError> {
        let (changes, expectations) = batch.into_parts();
        for (path, expect) in expectations {
            let found = match self.changes.get(&path) {
                Some(pending) => pending.as_ref().map(|entry| entry.version),
                None => stored(&path)?,
            };
            if !expect.holds(found) {
                let result = Err(StorageError::Conflict { path });
                return Ok(Outcome {
                    result,
                    paths: Vec::new(),
                });
            }
        }
        if changes.is_empty() {
            return Ok(Outcome {
                result: Ok(self.last_commit),
                paths: Vec::new(),
            });
        }
        let version = Version(self.last_commit.0.saturating_add(1));
        self.last_commit = version;
        let paths = changes.keys().cloned().collect();
        for (path, value) in changes {
            self.changes
                .insert(path, value.map(|value| Entry { value, version }));
        }
        Ok(Outcome {
            result: Ok(version),
            paths,
        })
    }
}

impl Default for Version {
    /// The state before the first commit.
    fn default() -> Self {
        Self(0)
    }
}
