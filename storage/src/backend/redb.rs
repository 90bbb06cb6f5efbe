//! The default engine: one file, copy-on-write B-tree, checksums.

use std::fmt;
use std::fs;
use std::ops::Bound;
use std::path::Path;

use parking_lot::{RwLock, RwLockReadGuard};
use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError,
};

use super::data_dir::DirectoryLock;
use super::decide::{Decision, EntryChanges, decide};
use super::group::{GroupCommit, Store, other_error};
use super::{Batch, Entry, Version, data_dir, listing, stored};
use crate::error::StorageError;

/// Opens or creates `signet.redb` in `directory`.
pub(super) fn open(
    directory: &Path,
    cache_bytes: usize,
) -> Result<GroupCommit<RedbStore>, StorageError> {
    let lock = data_dir::lock(directory)?;
    let directory = directory.to_owned();
    let opener = move || {
        let path = directory.join(FILE_NAME);
        if !path.try_exists()? {
            create(&directory, cache_bytes)?;
        }
        let file = data_dir::open_private_file(&path)?;
        builder(cache_bytes).create_with_backend(FileBackend::new(file)?)
    };
    GroupCommit::start(RedbStore::open(opener, Some(lock))?)
}

/// Makes the file under another name first: redb does not open a file whose making was interrupted.
fn create(directory: &Path, cache_bytes: usize) -> Result<(), DatabaseError> {
    let unfinished = directory.join(UNFINISHED_FILE_NAME);
    let file = data_dir::open_private_file(&unfinished)?;
    file.set_len(0)?;
    drop(builder(cache_bytes).create_with_backend(FileBackend::new(file)?)?);
    fs::rename(&unfinished, directory.join(FILE_NAME))?;
    Ok(data_dir::sync_directory(directory)?)
}

pub(super) struct RedbStore {
    /// `None` after a failure, until `recover` succeeds.
    database: RwLock<Option<Database>>,
    opener: Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>,
    _lock: Option<DirectoryLock>,
}

pub(super) fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

impl RedbStore {
    pub(super) fn open(
        opener: impl Fn() -> Result<Database, DatabaseError> + Send + Sync + 'static,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, StorageError> {
        let database = opener().map_err(failed)?;
        prepare(&database)?;
        Ok(Self {
            database: RwLock::new(Some(database)),
            opener: Box::new(opener),
            _lock: lock,
        })
    }

    /// Reads what the last commit left. The database cannot be replaced before `read` returns.
    fn read<T>(
        &self,
        read: impl FnOnce(&Records) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let guard = self.database.read();
        let transaction = available(&guard)?.begin_read().map_err(failed)?;
        read(&transaction.open_table(RECORDS).map_err(failed)?)
    }
}

impl Store for RedbStore {
    fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        self.read(|records| match records.get(path).map_err(failed)? {
            None => Ok(None),
            Some(value) => stored::decode(path, value.value()).map(Some),
        })
    }

    fn decide(&self, batches: Vec<Batch>, last_commit: Version) -> Result<Decision, StorageError> {
        self.read(|records| {
            decide(batches, last_commit, |path| {
                let value = records.get(path).map_err(failed)?;
                value
                    .map(|value| stored::version(path, value.value()))
                    .transpose()
            })
        })
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.read(|records| {
            let page = listing::page(prefix, after, limit, |start| {
                Ok(keys_from(records, &start)?.map(|key| Ok((key?, ()))))
            })?;
            Ok(page.into_iter().map(|(key, ())| key).collect())
        })
    }

    fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        self.read(|records| {
            listing::page(prefix, after, limit, |start| {
                let range = records.range::<&str>(from(&start)).map_err(failed)?;
                Ok(range.map(|item| {
                    let (key, value) = item.map_err(failed)?;
                    let key = key.value().to_owned();
                    let entry = stored::decode(&key, value.value())?;
                    Ok((key, entry))
                }))
            })
        })
    }

    fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.read(|records| {
            listing::children(prefix, after, limit, |start| keys_from(records, &start))
        })
    }

    fn last_commit(&self) -> Result<Version, StorageError> {
        let guard = self.database.read();
        let transaction = available(&guard)?.begin_read().map_err(failed)?;
        let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
        let last = numbers.get(LAST_COMMIT).map_err(failed)?;
        Ok(Version(last.map_or(0, |number| number.value())))
    }

    fn apply(&self, changes: &EntryChanges, last_commit: Version) -> Result<(), StorageError> {
        let guard = self.database.read();
        let mut transaction = available(&guard)?.begin_write().map_err(failed)?;
        transaction.set_two_phase_commit(true);
        {
            let mut records = transaction.open_table(RECORDS).map_err(failed)?;
            for (path, entry) in changes {
                match entry {
                    Some(entry) => {
                        let bytes = stored::encode(entry);
                        records
                            .insert(path.as_str(), bytes.as_slice())
                            .map_err(failed)?
                    }
                    None => records.remove(path.as_str()).map_err(failed)?,
                };
            }
            let mut numbers = transaction.open_table(NUMBERS).map_err(failed)?;
            numbers.insert(LAST_COMMIT, last_commit.0).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// Records which pages are free, so that opening after a crash need not walk the whole file to
    /// find out. With every commit that would halve the rate of a large store.
    fn settle(&self) -> Result<(), StorageError> {
        let guard = self.database.read();
        let mut transaction = available(&guard)?.begin_write().map_err(failed)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        transaction.commit().map_err(failed)
    }

    /// redb refuses all work after an I/O error until it is opened again.
    fn recover(&self) -> Result<(), StorageError> {
        let mut guard = self.database.write();
        *guard = None;
        let database = (self.opener)().map_err(failed)?;
        prepare(&database)?;
        *guard = Some(database);
        Ok(())
    }
}

type Records = ReadOnlyTable<&'static str, &'static [u8]>;

const FILE_NAME: &str = "signet.redb";
const UNFINISHED_FILE_NAME: &str = "signet.redb.new";

/// By path; values as in [`stored`].
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

/// By name: see the constants below.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const FORMAT: &str = "format";
const LAST_COMMIT: &str = "last-commit";

/// Of the tables in the file.
const CURRENT_FORMAT: u64 = 1;

/// Makes the tables of a new file, and refuses a file of another format.
fn prepare(database: &Database) -> Result<(), StorageError> {
    let transaction = database.begin_read().map_err(failed)?;
    match transaction.open_table(NUMBERS) {
        Ok(numbers) => {
            let format = numbers
                .get(FORMAT)
                .map_err(failed)?
                .map(|number| number.value());
            if format != Some(CURRENT_FORMAT) {
                let reason = format!("file format {format:?}, this version reads {CURRENT_FORMAT}");
                return Err(StorageError::corrupt(FILE_NAME, reason));
            }
            return Ok(());
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(failed(error)),
    }
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_two_phase_commit(true);
    transaction.open_table(RECORDS).map_err(failed)?;
    transaction
        .open_table(NUMBERS)
        .map_err(failed)?
        .insert(FORMAT, CURRENT_FORMAT)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn available<'g>(
    guard: &'g RwLockReadGuard<'_, Option<Database>>,
) -> Result<&'g Database, StorageError> {
    guard
        .as_ref()
        .ok_or_else(|| other_error("the store failed and could not be opened again"))
}

fn keys_from(
    records: &Records,
    start: &Bound<String>,
) -> Result<impl Iterator<Item = Result<String, StorageError>> + use<>, StorageError> {
    let range = records.range::<&str>(from(start)).map_err(failed)?;
    Ok(range.map(|item| item.map(|(key, _)| key.value().to_owned()).map_err(failed)))
}

fn from(start: &Bound<String>) -> (Bound<&str>, Bound<&str>) {
    (start.as_ref().map(String::as_str), Bound::Unbounded)
}

fn failed(error: impl Into<redb::Error>) -> StorageError {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::Corrupted(reason) => StorageError::corrupt(FILE_NAME, reason),
        redb::Error::DatabaseAlreadyOpen => StorageError::Locked {
            path: FILE_NAME.into(),
        },
        error => other_error(error),
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RedbStore")
    }
}
