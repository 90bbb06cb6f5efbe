//! A thread for each device: it keeps the order of the entries, writes waiting ones together, and
//! keeps a slow disk away from the event loop.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

/// Where a device writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere.
    Discard,
    File {
        path: PathBuf,
        /// `None` keeps the mode that the file has.
        mode: Option<u32>,
    },
    Stdout,
}

/// Entries that wait for the thread; who comes later waits for a place.
const QUEUE: usize = 1024;
/// Bytes that are written in one go.
const GROUP_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    /// `None` for nowhere.
    jobs: Option<mpsc::Sender<Job>>,
}

#[derive(Debug)]
enum Job {
    Open(Done),
    Write(Vec<u8>, Done),
}

type Done = oneshot::Sender<io::Result<()>>;

impl Writer {
    /// Starts the thread, which ends when the writer is dropped.
    pub(super) fn start(target: Target) -> io::Result<Self> {
        if target == Target::Discard {
            return Ok(Self { jobs: None });
        }
        let (jobs, queue) = mpsc::channel(QUEUE);
        let output = Output {
            target,
            file: None,
            has_torn_line: false,
        };
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || serve(queue, output))?;
        Ok(Self { jobs: Some(jobs) })
    }

    /// Opens the file, or opens it anew; after an error the old one stays in use.
    pub(super) async fn open(&self) -> io::Result<()> {
        self.ask(Job::Open).await
    }

    /// Returns when the operating system has the line.
    pub(super) async fn write(&self, line: Vec<u8>) -> io::Result<()> {
        self.ask(|done| Job::Write(line, done)).await
    }

    async fn ask(&self, job: impl FnOnce(Done) -> Job) -> io::Result<()> {
        let Some(jobs) = &self.jobs else {
            return Ok(());
        };
        let (done, outcome) = oneshot::channel();
        let gone = || io::Error::other("audit thread has ended");
        jobs.send(job(done)).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

fn serve(mut queue: mpsc::Receiver<Job>, mut output: Output) {
    while let Some(job) = queue.blocking_recv() {
        let mut next = Some(job);
        let mut group = Vec::new();
        let mut waiting = Vec::new();
        while let Some(job) = next.take() {
            match job {
                Job::Write(line, done) => {
                    group.extend(line);
                    waiting.push(done);
                }
                Job::Open(done) => {
                    output.write(&mut group, &mut waiting);
                    answer(done, output.open());
                }
            }
            if group.len() < GROUP_BYTES {
                next = queue.try_recv().ok();
            }
        }
        output.write(&mut group, &mut waiting);
    }
}

struct Output {
    target: Target,
    /// `None` before it was opened, and always for the standard output.
    file: Option<File>,
    /// A failed write, or a crash, may have left part of a line behind.
    has_torn_line: bool,
}

impl Output {
    fn open(&mut self) -> io::Result<()> {
        if let Target::File { path, mode } = &self.target {
            self.file = Some(open(path, *mode)?);
            self.has_torn_line = ends_within_a_line(path);
        }
        Ok(())
    }

    /// Writes a group of lines and answers those who wait for it.
    fn write(&mut self, group: &mut Vec<u8>, waiting: &mut Vec<Done>) {
        if waiting.is_empty() {
            return;
        }
        let mut result = self.append(group);
        if result.is_err() {
            // The file may have been on something that was unmounted and is back.
            result = self.open().and_then(|()| self.append(group));
        }
        group.clear();
        for done in waiting.drain(..) {
            let result = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            answer(done, result);
        }
    }

    fn append(&mut self, group: &[u8]) -> io::Result<()> {
        let result = match (&self.target, &mut self.file) {
            (Target::Discard, _) => Ok(()),
            (Target::Stdout, _) => append(&mut io::stdout().lock(), self.has_torn_line, group),
            (Target::File { .. }, Some(file)) => append(file, self.has_torn_line, group),
            (Target::File { .. }, None) => return Err(io::Error::other("file is not open")),
        };
        self.has_torn_line = result.is_err();
        result
    }
}

fn append(output: &mut impl io::Write, has_torn_line: bool, group: &[u8]) -> io::Result<()> {
    if has_torn_line {
        output.write_all(b"\n")?;
    }
    output.write_all(group)?;
    output.flush()
}

/// Who asked may have gone away.
fn answer(done: Done, result: io::Result<()>) {
    let _ = done.send(result);
}

fn open(path: &Path, mode: Option<u32>) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode.unwrap_or(0o600))
        .open(path)?;
    let metadata = file.metadata()?;
    // Neither a pipe nor a terminal is ours to change.
    if let Some(mode) = mode
        && metadata.is_file()
        && metadata.permissions().mode() & 0o7777 != mode
    {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// False for what cannot be read or is no file.
fn ends_within_a_line(path: &Path) -> bool {
    let last_byte = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        let mut last = [b'\n'];
        if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let [last] = last;
        Ok(last)
    };
    last_byte().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf, mode: Option<u32>) -> Writer {
        Writer::start(Target::File { path, mode }).unwrap()
    }

    #[tokio::test]
    async fn lines_stay_whole_and_in_order_while_the_file_is_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/audit.log");
        let writer = file(path.clone(), Some(0o600));
        writer.open().await.unwrap();
        writer.write(b"one\n".to_vec()).await.unwrap();
        let rotated = path.with_extension("1");
        std::fs::rename(&path, &rotated).unwrap();
        writer.write(b"two\n".to_vec()).await.unwrap();
        writer.open().await.unwrap();
        writer.write(b"three\n".to_vec()).await.unwrap();
        assert_eq!(std::fs::read_to_string(rotated).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[tokio::test]
    async fn many_writers_get_every_line_through() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let writer = file(path.clone(), None);
        writer.open().await.unwrap();
        let lines = (0..500).map(|number| writer.write(format!("{number}\n").into_bytes()));
        for result in futures_util::future::join_all(lines).await {
            result.unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        let mut numbers: Vec<u32> = written.lines().map(|l| l.parse().unwrap()).collect();
        // All at once have no order among themselves.
        numbers.sort_unstable();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_file_with_another_mode_gets_the_right_one_unless_it_is_to_be_kept() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, expected) in [(Some(0o640), 0o640), (None, 0o666)] {
            let path = directory.path().join(format!("{expected:o}"));
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            file(path.clone(), mode).open().await.unwrap();
            let found = path.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn an_error_is_told_and_a_way_back_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        std::fs::create_dir(&path).unwrap();
        let writer = file(path.clone(), None);
        assert!(writer.open().await.is_err());
        assert!(writer.write(b"lost\n".to_vec()).await.is_err());
        std::fs::remove_dir(&path).unwrap();
        writer.write(b"kept\n".to_vec()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept\n");
    }

    #[tokio::test]
    async fn a_torn_line_is_ended_before_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        for (before, after) in [
            ("{\"torn", "{\"torn\n{}\n"),
            ("{}\n", "{}\n{}\n"),
            ("", "{}\n"),
        ] {
            let path = directory.path().join(before.len().to_string());
            std::fs::write(&path, before).unwrap();
            let writer = file(path.clone(), None);
            writer.open().await.unwrap();
            writer.write(b"{}\n".to_vec()).await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}
