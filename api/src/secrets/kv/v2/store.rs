//! Where a mount keeps its secrets.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_storage::{Batch, Expect, Record, Stored, View};

use crate::error::ApiError;

use super::config::Config;
use super::key::Key;

#[derive(Debug)]
pub(super) struct Store {
    /// All of the mount.
    pub(super) view: View,
    keys: View,
    values: View,
}

const CONFIG: &str = "config";

/// The data of one version.
#[derive(Serialize, Deserialize)]
struct Data(Option<Map<String, Value>>);

impl Record for Data {
    const FORMAT: u8 = 1;
}

impl Store {
    pub(super) fn new(view: View) -> Self {
        Self {
            keys: view.child("keys/"),
            values: view.child("values/"),
            view,
        }
    }

    pub(super) async fn config(&self) -> Result<Config, ApiError> {
        Ok(self
            .stored_config()
            .await?
            .map_or_else(Config::default, |stored| stored.value))
    }

    pub(super) async fn stored_config(&self) -> Result<Option<Stored<Config>>, ApiError> {
        Ok(self.view.record::<Config>(CONFIG).await?)
    }

    /// Writes the configuration unless it was changed since `previous` was read.
    pub(super) fn put_config(
        &self,
        batch: &mut Batch,
        config: &Config,
        previous: Option<&Stored<Config>>,
    ) -> Result<(), ApiError> {
        self.view.expect(batch, CONFIG, expect(previous));
        Ok(self.view.put_record(batch, CONFIG, config)?)
    }

    pub(super) async fn key(&self, path: &str) -> Result<Option<Stored<Key>>, ApiError> {
        super::super::check_name(path)?;
        Ok(self.keys.record::<Key>(path).await?)
    }

    /// Writes what is known about a secret unless it was changed since `previous` was read.
    pub(super) fn put_key(
        &self,
        batch: &mut Batch,
        path: &str,
        key: &Key,
        previous: Option<&Stored<Key>>,
    ) -> Result<(), ApiError> {
        self.keys.expect(batch, path, expect(previous));
        Ok(self.keys.put_record(batch, path, key)?)
    }

    /// Removes a secret with all its versions.
    pub(super) fn delete_key(&self, batch: &mut Batch, path: &str, key: &Stored<Key>) {
        self.keys.expect(batch, path, expect(Some(key)));
        self.keys.delete(batch, path);
        for number in key.value.versions.keys() {
            self.delete_data(batch, path, *number);
        }
    }

    /// The data of a version; `None` where it was written without any.
    pub(super) async fn data(
        &self,
        path: &str,
        number: u64,
    ) -> Result<Option<Map<String, Value>>, ApiError> {
        let stored = self.values.record::<Data>(&place(path, number)).await?;
        Ok(stored.and_then(|stored| stored.value.0))
    }

    pub(super) fn put_data(
        &self,
        batch: &mut Batch,
        path: &str,
        number: u64,
        data: Option<Map<String, Value>>,
    ) -> Result<(), ApiError> {
        let place = place(path, number);
        Ok(self.values.put_record(batch, &place, &Data(data))?)
    }

    pub(super) fn delete_data(&self, batch: &mut Batch, path: &str, number: u64) {
        self.values.delete(batch, &place(path, number));
    }

    /// Names one level below `folder`, which is empty or ends in a slash.
    pub(super) async fn names(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ApiError> {
        Ok(self.keys.children(folder, after, limit).await?)
    }
}

fn expect<T>(previous: Option<&Stored<T>>) -> Expect {
    previous.map_or(Expect::Absent, |stored| Expect::Version(stored.version))
}

/// The last part is always the number, so that no two versions share a place.
fn place(path: &str, number: u64) -> String {
    format!("{path}/{number}")
}
