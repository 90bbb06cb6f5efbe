//! A log file that starts anew by size or age, and is opened again on demand.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use signet_api::time::Clock as _;

use crate::config::{Keep, LogFileSettings};

#[derive(Debug)]
pub(crate) struct LogFile {
    settings: LogFileSettings,
    path: PathBuf,
    file: File,
    bytes: u64,
    opened: Instant,
}

impl LogFile {
    pub(crate) fn open(settings: LogFileSettings) -> io::Result<Self> {
        let path = if settings.path.is_dir()
            || settings.path.as_os_str().as_encoded_bytes().ends_with(b"/")
        {
            settings.path.join("signet.log")
        } else {
            settings.path.clone()
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = append_to(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            settings,
            path,
            file,
            bytes,
            opened: Instant::now(),
        })
    }

    /// Writes to whatever is at the path now: an outer tool may have moved the file away.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        self.opened = Instant::now();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let nanos = signet_api::time::SystemClock.now().0;
        std::fs::rename(&self.path, sibling(&self.path, &nanos.to_string()))?;
        self.reopen()?;
        let Keep::Last(count) = self.settings.keep else {
            return Ok(());
        };
        let mut old = rotated(&self.path)?;
        old.sort();
        let surplus = old.len().saturating_sub(count);
        for path in old.into_iter().take(surplus) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let is_full = self
            .settings
            .rotate_bytes
            .is_some_and(|limit| self.bytes > 0 && self.bytes.saturating_add(length) > limit);
        if is_full || self.opened.elapsed() >= self.settings.rotate_age {
            // A log in one file too long is better than none.
            let _ = self.rotate();
        }
        self.file.write_all(line)?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// `signet.log` as `signet-MARK.log`.
fn sibling(path: &Path, mark: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy());
    path.with_file_name(match extension {
        Some(extension) => format!("{stem}-{mark}.{extension}"),
        None => format!("{stem}-{mark}"),
    })
}

fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory.unwrap_or(Path::new(".")))? {
        let candidate = entry?.path();
        let name = candidate
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_ours = candidate.extension() == path.extension()
            && name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|mark| !mark.is_empty() && mark.bytes().all(|b| b.is_ascii_digit()));
        if is_ours {
            found.push(candidate);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn starts_anew_when_full_and_keeps_so_many_old_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut log = LogFile::open(LogFileSettings {
            path: path.clone(),
            rotate_bytes: Some(10),
            rotate_age: Duration::from_hours(24),
            keep: Keep::Last(2),
        })
        .unwrap();
        for line in ["first\n", "second\n", "third\n", "fourth\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "fourth\n");
        let mut old = rotated(&path).unwrap();
        old.sort();
        let old: Vec<_> = old
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        assert_eq!(old, ["second\n", "third\n"]);
    }

    #[test]
    fn follows_its_path_when_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut log = LogFile::open(LogFileSettings {
            path: path.clone(),
            rotate_bytes: None,
            rotate_age: Duration::from_hours(24),
            keep: Keep::All,
        })
        .unwrap();
        log.write_all(b"one\n").unwrap();
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
