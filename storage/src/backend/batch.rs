//! A set of changes that take effect together.

use std::collections::BTreeMap;
use std::fmt;

use super::{Version, check_path};
use crate::error::StorageError;

/// What becomes of a path: a new value, or `None` for its deletion.
pub(crate) type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// Changes and the conditions under which they apply. `Debug` shows paths, not values.
#[derive(Clone, Default)]
pub struct Batch {
    changes: Changes,
    expectations: Vec<(String, Expect)>,
}

/// What must hold for a path before the batch is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Present,
    /// Present, and last written by this commit.
    Version(Version),
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces an earlier `put` or `delete` of the same path in this batch.
    pub fn put(&mut self, path: impl Into<String>, value: Vec<u8>) {
        self.changes.insert(path.into(), Some(value));
    }

    /// Deleting what does not exist is no error.
    pub fn delete(&mut self, path: impl Into<String>) {
        self.changes.insert(path.into(), None);
    }

    /// All expectations are about the state before the batch.
    pub fn expect(&mut self, path: impl Into<String>, expect: Expect) {
        self.expectations.push((path.into(), expect));
    }

    /// Adds the changes and expectations of `other`, whose changes win over earlier ones.
    pub fn merge(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.expectations.extend(other.expectations);
    }

    /// Whether there is neither a change nor an expectation.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.expectations.is_empty()
    }

    /// The paths that change, in byte order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.changes.keys().map(String::as_str)
    }

    /// The changes, in byte order of their paths; `None` deletes.
    pub fn changes(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|(path, value)| (path.as_str(), value.as_deref()))
    }

    pub fn expectations(&self) -> impl Iterator<Item = (&str, Expect)> {
        self.expectations
            .iter()
            .map(|(path, expect)| (path.as_str(), *expect))
    }

    pub(crate) fn into_parts(self) -> (Changes, Vec<(String, Expect)>) {
        (self.changes, self.expectations)
    }

    /// What it asks the engine to write, roughly.
    pub(super) fn size_bytes(&self) -> usize {
        self.changes()
            .map(|(path, value)| path.len() + value.map_or(0, <[u8]>::len))
            .sum()
    }

    pub(crate) fn check_paths(&self) -> Result<(), StorageError> {
        self.paths().try_for_each(check_path)?;
        self.expectations()
            .try_for_each(|(path, _)| check_path(path))
    }
}

impl Expect {
    pub(super) fn holds(self, found: Option<Version>) -> bool {
        match (self, found) {
            (Self::Absent, found) => found.is_none(),
            (Self::Present, found) => found.is_some(),
            (Self::Version(expected), found) => found == Some(expected),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|(path, value)| (path, value.as_ref().map_or("delete", |_| "put")))
            .collect();
        formatter
            .debug_struct("Batch")
            .field("changes", &changes)
            .field("expectations", &self.expectations)
            .finish()
    }
}
