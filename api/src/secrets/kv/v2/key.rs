//! What is known about a secret besides its data, and how versions come and go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::Record;

use crate::time::{Timestamp, go_duration};

use super::config::Config;

/// The most versions of a secret that can be kept.
pub(super) const MAX_VERSIONS: u64 = 1_000;

/// Versions that are kept where nothing else is said.
const DEFAULT_VERSIONS: u64 = 10;

/// A secret, without its data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Key {
    /// The newest version; 0 before the first.
    pub(super) current: u64,
    /// The oldest version that is kept; 0 while none was given up.
    pub(super) oldest: u64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) versions: BTreeMap<u64, Version>,
    pub(super) custom: BTreeMap<String, String>,
    /// 0 for what the mount says.
    pub(super) max_versions: u64,
    /// 0 for what the mount says.
    pub(super) delete_after_secs: u64,
    pub(super) cas_required: bool,
    pub(super) metadata_cas_required: bool,
    /// How often the metadata were written.
    pub(super) metadata_version: u64,
}

impl Record for Key {
    const FORMAT: u8 = 1;
}

/// The life of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    pub(super) created_at: Timestamp,
    /// May lie in the future.
    pub(super) deleted_at: Option<Timestamp>,
    /// The data are gone for good.
    pub(super) destroyed: bool,
}

impl Key {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            created_at: now,
            updated_at: now,
            ..Self::default()
        }
    }

    /// Adds a version and gives its number, and the numbers of those that are not kept any more.
    pub(super) fn add(&mut self, config: &Config, now: Timestamp) -> (u64, Vec<u64>) {
        self.current = self.current.saturating_add(1);
        self.updated_at = now;
        let version = Version {
            created_at: now,
            deleted_at: self.delete_after(config).map(|secs| now.plus_secs(secs)),
            destroyed: false,
        };
        self.versions.insert(self.current, version);
        let kept = [self.max_versions, config.max_versions, DEFAULT_VERSIONS]
            .into_iter()
            .find(|most| *most > 0)
            .unwrap_or(DEFAULT_VERSIONS);
        let first_kept = self.current.saturating_sub(kept).saturating_add(1);
        let kept = self.versions.split_off(&first_kept);
        let given_up = std::mem::replace(&mut self.versions, kept);
        if !given_up.is_empty() {
            self.oldest = first_kept;
        }
        (self.current, given_up.into_keys().collect())
    }

    /// The version that a request means; 0 and less is the newest.
    pub(super) fn version(&self, wanted: i64) -> Option<(u64, &Version)> {
        let number = u64::try_from(wanted).ok().filter(|number| *number > 0);
        let number = number.unwrap_or(self.current);
        let version = self.versions.get(&number)?;
        Some((number, version))
    }

    /// Deletes those of these versions that can be read. True when something changed.
    pub(super) fn delete(&mut self, numbers: &[u64], now: Timestamp) -> bool {
        self.change(numbers, |version| {
            let deletes = version.is_readable(now);
            if deletes {
                version.deleted_at = Some(now);
            }
            deletes
        })
    }

    /// Takes deletions back, also those to come. True when something changed.
    pub(super) fn undelete(&mut self, numbers: &[u64]) -> bool {
        self.change(numbers, |version| {
            !version.destroyed && version.deleted_at.take().is_some()
        })
    }

    /// Marks these versions as destroyed and gives the numbers of those whose data are to go.
    pub(super) fn destroy(&mut self, numbers: &[u64]) -> Vec<u64> {
        let mut gone = Vec::new();
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number)
                && !version.destroyed
            {
                version.destroyed = true;
                gone.push(*number);
            }
        }
        gone
    }

    fn change(&mut self, numbers: &[u64], mut change: impl FnMut(&mut Version) -> bool) -> bool {
        let mut changed = false;
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number) {
                changed |= change(version);
            }
        }
        changed
    }

    /// The lesser of what the mount and the secret say; a mount that says never is obeyed.
    fn delete_after(&self, config: &Config) -> Option<u64> {
        let of_mount = u64::try_from(config.delete_after_secs).ok()?;
        [of_mount, self.delete_after_secs]
            .into_iter()
            .filter(|secs| *secs > 0)
            .min()
    }

    /// What reading the metadata shows.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let versions: Map<String, Value> = self
            .versions
            .iter()
            .map(|(number, version)| (number.to_string(), version.shown().into()))
            .collect();
        Map::from_iter([
            ("cas_required".to_owned(), self.cas_required.into()),
            ("created_time".to_owned(), self.created_at.rfc3339().into()),
            (
                "current_metadata_version".to_owned(),
                self.metadata_version.into(),
            ),
            ("current_version".to_owned(), self.current.into()),
            ("custom_metadata".to_owned(), self.shown_custom()),
            (
                "delete_version_after".to_owned(),
                go_duration(self.delete_after_secs).into(),
            ),
            ("max_versions".to_owned(), self.max_versions.into()),
            (
                "metadata_cas_required".to_owned(),
                self.metadata_cas_required.into(),
            ),
            ("oldest_version".to_owned(), self.oldest.into()),
            ("updated_time".to_owned(), self.updated_at.rfc3339().into()),
            ("versions".to_owned(), versions.into()),
        ])
    }

    /// What stands beside the data of a version.
    pub(super) fn shown_version(&self, number: u64, version: &Version) -> Map<String, Value> {
        let mut shown = version.shown();
        shown.insert("custom_metadata".into(), self.shown_custom());
        shown.insert("version".into(), number.into());
        shown
    }

    fn shown_custom(&self) -> Value {
        if self.custom.is_empty() {
            Value::Null
        } else {
            json!(self.custom)
        }
    }
}

impl Version {
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        !self.destroyed && self.deleted_at.is_none_or(|at| now < at)
    }

    fn shown(&self) -> Map<String, Value> {
        let deleted_at = self.deleted_at.map(Timestamp::rfc3339).unwrap_or_default();
        Map::from_iter([
            ("created_time".to_owned(), self.created_at.rfc3339().into()),
            ("deletion_time".to_owned(), deleted_at.into()),
            ("destroyed".to_owned(), self.destroyed.into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn config(max_versions: u64, delete_after_secs: i64) -> Config {
        Config {
            max_versions,
            delete_after_secs,
            ..Config::default()
        }
    }

    #[test]
    fn the_newest_ten_versions_are_kept_where_nothing_else_is_said() {
        let mut key = Key::new(NOW);
        for number in 1..=10 {
            assert_eq!(key.add(&Config::default(), NOW), (number, vec![]));
        }
        assert_eq!(key.oldest, 0);
        assert_eq!(key.add(&Config::default(), NOW), (11, vec![1]));
        assert_eq!(key.oldest, 2);
        key.max_versions = 3;
        assert_eq!(key.add(&config(5, 0), NOW), (12, (2..=9).collect()));
        key.max_versions = 0;
        assert_eq!(key.add(&config(1, 0), NOW), (13, vec![10, 11, 12]));
        assert_eq!(key.oldest, 13);
    }

    #[test]
    fn versions_are_deleted_after_the_lesser_time() {
        for (of_mount, of_key, expected) in [
            (0, 0, None),
            (60, 0, Some(60)),
            (0, 30, Some(30)),
            (60, 30, Some(30)),
            (60, 90, Some(60)),
            (-1, 30, None),
        ] {
            let mut key = Key::new(NOW);
            key.delete_after_secs = of_key;
            key.add(&config(0, of_mount), NOW);
            let deleted_at = key.version(0).unwrap().1.deleted_at;
            let expected = expected.map(|secs| NOW.plus_secs(secs));
            assert_eq!(deleted_at, expected, "{of_mount} {of_key}");
        }
    }

    #[test]
    fn what_is_destroyed_does_not_come_back() {
        let mut key = Key::new(NOW);
        key.add(&Config::default(), NOW);
        assert!(key.delete(&[1, 7], NOW) && !key.delete(&[1], NOW));
        assert!(!key.version(1).unwrap().1.is_readable(NOW));
        assert!(key.undelete(&[1]) && !key.undelete(&[1]));
        assert!(key.version(1).unwrap().1.is_readable(NOW));
        assert_eq!(key.destroy(&[1, 7]), [1]);
        assert_eq!(key.destroy(&[1]), [0_u64; 0]);
        assert!(!key.undelete(&[1]) && !key.delete(&[1], NOW));
        assert!(!key.version(1).unwrap().1.is_readable(NOW));
    }

    proptest! {
        #[test]
        fn no_more_than_the_most_versions_are_ever_kept(
            bounds in proptest::collection::vec(0..20_u64, 1..60),
        ) {
            let mut key = Key::new(NOW);
            let mut values = std::collections::BTreeSet::new();
            for most in bounds {
                key.max_versions = most;
                let (number, given_up) = key.add(&Config::default(), NOW);
                prop_assert!(values.insert(number));
                for gone in given_up {
                    prop_assert!(values.remove(&gone));
                }
                let most = if most == 0 { 10 } else { most };
                prop_assert!(u64::try_from(values.len()).unwrap() <= most);
                prop_assert!(key.versions.keys().eq(&values));
            }
        }
    }
}
