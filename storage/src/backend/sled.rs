//! sled 0.34, made to wait for the disk.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::time::Instant;

use super::decide::{Decision, EntryChanges, decide};
use super::group::{GroupCommit, Store, other_error};
use super::{Batch, Entry, Version, data_dir, listing, stored};
use crate::error::StorageError;

/// Opens or creates the store in `directory/sled`.
pub(super) fn open(
    directory: &Path,
    cache_bytes: usize,
) -> Result<GroupCommit<SledStore>, StorageError> {
    let lock = data_dir::lock(directory)?;
    let path = directory.join("sled");
    data_dir::make_private_directory(&path)?;
    let config = sled::Config::new()
        .path(&path)
        .cache_capacity(u64::try_from(cache_bytes).unwrap_or(u64::MAX))
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None);
    let database = open_when_free(&config)?;
    let tree = database.open_tree("records").map_err(failed)?;
    let file = OpenOptions::new().write(true).open(path.join("db"))?;
    let store = SledStore {
        database,
        tree,
        file,
        _lock: lock,
    };
    check_format(&store)?;
    store.flush()?;
    for directory in [&path, &path.join("blobs")] {
        make_files_private(directory)?;
        data_dir::sync_directory(directory)?;
    }
    data_dir::sync_directory(directory)?;
    GroupCommit::start(store)
}

/// sled has a lock of its own, which may outlive the store that it was for as ours may.
fn open_when_free(config: &sled::Config) -> Result<sled::Db, StorageError> {
    let began = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && began.elapsed() < data_dir::RELEASE_TIME =>
            {
                std::thread::sleep(data_dir::LOOK_EVERY);
            }
            opened => return opened.map_err(failed),
        }
    }
}

pub(super) struct SledStore {
    database: sled::Db,
    tree: sled::Tree,
    /// sled's own log, for `fdatasync`: the `sync_file_range` of sled does not make the disk write
    /// out its cache, nor the file's size durable.
    file: File,
    _lock: data_dir::DirectoryLock,
}

impl SledStore {
    fn flush(&self) -> Result<(), StorageError> {
        self.tree.flush().map_err(failed)?;
        Ok(self.file.sync_data()?)
    }

    fn entries_from(
        &self,
        start: Bound<String>,
    ) -> impl Iterator<Item = Result<(String, sled::IVec), StorageError>> + use<> {
        // Behind the store's own entries, which begin with a control character.
        let start = match start {
            Bound::Included(start) | Bound::Excluded(start) if start.as_str() < " " => {
                Bound::Included(" ".to_owned())
            }
            start => start,
        };
        self.tree.range((start, Bound::Unbounded)).map(|item| {
            let (key, value) = item.map_err(failed)?;
            Ok((to_path(&key)?, value))
        })
    }
}

impl Store for SledStore {
    fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        match self.tree.get(path).map_err(failed)? {
            Some(value) if is_path(path) => stored::decode(path, &value).map(Some),
            _ => Ok(None),
        }
    }

    fn decide(&self, batches: Vec<Batch>, last_commit: Version) -> Result<Decision, StorageError> {
        decide(batches, last_commit, |path| {
            let value = self.tree.get(path).map_err(failed)?;
            value.map(|value| stored::version(path, &value)).transpose()
        })
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let page = listing::page(prefix, after, limit, |start| {
            Ok(self
                .entries_from(start)
                .map(|item| item.map(|(key, _)| (key, ()))))
        })?;
        Ok(page.into_iter().map(|(key, ())| key).collect())
    }

    fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        listing::page(prefix, after, limit, |start| {
            Ok(self.entries_from(start).map(|item| {
                let (key, value) = item?;
                let entry = stored::decode(&key, &value)?;
                Ok((key, entry))
            }))
        })
    }

    fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        listing::children(prefix, after, limit, |start| {
            Ok(self
                .entries_from(start)
                .map(|item| item.map(|(key, _)| key)))
        })
    }

    fn last_commit(&self) -> Result<Version, StorageError> {
        number(&self.tree, LAST_COMMIT).map(|number| Version(number.unwrap_or(0)))
    }

    fn apply(&self, changes: &EntryChanges, last_commit: Version) -> Result<(), StorageError> {
        let mut batch = sled::Batch::default();
        for (path, entry) in changes {
            match entry {
                Some(entry) => batch.insert(path.as_str(), stored::encode(entry)),
                None => batch.remove(path.as_str()),
            }
        }
        batch.insert(LAST_COMMIT, &last_commit.0.to_be_bytes());
        self.tree.apply_batch(batch).map_err(failed)?;
        self.flush()
    }

    /// sled cannot go on after an I/O error; a restart can.
    fn recover(&self) -> Result<(), StorageError> {
        Err(other_error("sled failed and must be opened again"))
    }
}

/// The store's own entries: no path begins with a control character.
const FORMAT: &str = "\u{1}format";
const LAST_COMMIT: &str = "\u{1}last-commit";

const CURRENT_FORMAT: u64 = 1;

fn check_format(store: &SledStore) -> Result<(), StorageError> {
    match number(&store.tree, FORMAT)? {
        Some(CURRENT_FORMAT) => Ok(()),
        None if store.tree.is_empty() => {
            store
                .tree
                .insert(FORMAT, &CURRENT_FORMAT.to_be_bytes())
                .map_err(failed)?;
            Ok(())
        }
        format => {
            let reason = format!("store format {format:?}, this version reads {CURRENT_FORMAT}");
            Err(StorageError::corrupt("sled", reason))
        }
    }
}

fn number(tree: &sled::Tree, name: &str) -> Result<Option<u64>, StorageError> {
    let Some(value) = tree.get(name).map_err(failed)? else {
        return Ok(None);
    };
    let bytes = <[u8; 8]>::try_from(&*value)
        .map_err(|_| StorageError::corrupt("sled", "number of the wrong length"))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

fn is_path(path: &str) -> bool {
    !path.starts_with('\u{1}')
}

fn to_path(key: &[u8]) -> Result<String, StorageError> {
    match std::str::from_utf8(key) {
        Ok(path) => Ok(path.to_owned()),
        Err(_) => Err(StorageError::corrupt("sled", "key is not UTF-8")),
    }
}

/// sled makes its files as the umask has it.
fn make_files_private(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            data_dir::make_private(&File::open(entry.path())?)?;
        }
    }
    Ok(())
}

fn failed(error: sled::Error) -> StorageError {
    match error {
        sled::Error::Io(error) => error.into(),
        sled::Error::Corruption { .. } => StorageError::corrupt("sled", error.to_string()),
        error => other_error(error),
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SledStore")
            .field("recovered", &self.database.was_recovered())
            .finish_non_exhaustive()
    }
}
