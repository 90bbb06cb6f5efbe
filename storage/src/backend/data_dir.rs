//! The directory of a file engine: private to its owner and open in one process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::StorageError;

/// Held while the store is open; the system releases it when the process ends in whatever way.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// Makes the directory if there is none and takes its lock.
///
/// # Errors
/// [`StorageError::Locked`], [`StorageError::Directory`].
pub(super) fn lock(directory: &Path) -> Result<DirectoryLock, StorageError> {
    let refuse = |error: io::Error| StorageError::Directory {
        path: directory.to_owned(),
        reason: error.to_string(),
    };
    make_private_directory(directory).map_err(refuse)?;
    let file = open_private_file(&directory.join(LOCK_FILE)).map_err(refuse)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) if began.elapsed() < RELEASE_TIME => {
                std::thread::sleep(LOOK_EVERY);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::Locked {
                    path: directory.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
    }
}

/// How long a lock may outlive its store: until a predecessor has ended, or a child that was made
/// meanwhile has become a program of its own.
pub(super) const RELEASE_TIME: Duration = Duration::from_secs(1);
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A directory that exists keeps its permissions: in a container it may belong to somebody else.
pub(super) fn make_private_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // The umask may have taken bits away.
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Opens for reading and writing, creating the file if there is none, for the owner only.
pub(super) fn open_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    make_private(&file)?;
    Ok(file)
}

pub(super) fn make_private(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o777 == 0o600 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(0o600))
}

/// Makes the directory's entries durable: a new file can vanish in a power cut without it.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

const LOCK_FILE: &str = "signet.lock";
