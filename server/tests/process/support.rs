//! A server process and a very small HTTP client.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes this long; a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    pub(crate) banner: String,
    pub(crate) address: SocketAddr,
    log: PathBuf,
    /// Home of the server, and of its log.
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts `signet server` and waits for the end of its banner.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    pub(crate) fn start_in(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("stderr");
        let mut child = command(arguments, variables)
            .env("HOME", directory.path())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let is_dev = arguments
            .iter()
            .any(|argument| argument.starts_with("-dev"));
        let end = if is_dev {
            "Development mode"
        } else {
            "server started!"
        };
        while !banner.contains(end) {
            if out.read_line(&mut banner).unwrap() == 0 {
                let _ = child.wait();
                panic!(
                    "no start: {banner}{}",
                    std::fs::read_to_string(&log).unwrap()
                );
            }
        }
        let address = after(&banner, "addr: \"");
        let address = address
            .parse()
            .unwrap_or_else(|_| "127.0.0.1:0".parse().unwrap());
        Self {
            child,
            banner,
            address,
            log,
            directory,
        }
    }

    pub(crate) fn dev() -> Self {
        Self::start(&[
            "-dev",
            "-dev-root-token-id=root",
            "-dev-listen-address=127.0.0.1:0",
        ])
    }

    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(
            || self.log().contains(text),
            || format!("no {text:?} in {}", self.log()),
        );
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Lets the process open no more than `count` files.
    pub(crate) fn limit_files(&self, count: u32) {
        let status = Command::new("prlimit")
            .args([
                "--pid",
                &self.child.id().to_string(),
                &format!("--nofile={count}"),
            ])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        ask(&mut self.connect(), method, path, body)
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
            || "the server does not end".into(),
        );
        status.unwrap()
    }

    /// SIGTERM and a clean end.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status:?} {}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server says that refuses to start.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let output = command(arguments, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command
        .arg("server")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

pub(crate) fn wait_until(mut done: impl FnMut() -> bool, text: impl FnOnce() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{}", text());
        std::thread::yield_now();
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The text between `mark` and the next quote.
pub(crate) fn after(text: &str, mark: &str) -> String {
    let rest = text.split_once(mark).map_or("", |(_, rest)| rest);
    rest.split(['"', '\'', '\n'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

pub(crate) fn ask(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    body: &str,
) -> Answer {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    read_answer(stream, method == "HEAD")
}

/// Reads exactly one answer, so that the connection can be used again.
pub(crate) fn read_answer(stream: &mut impl Read, is_head: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        })
        .and_then(|length| length.parse().ok())
        .filter(|_| !is_head)
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Answer {
        status,
        body: String::from_utf8(body).unwrap(),
    }
}

/// Whether the other side has closed the connection, now or soon.
pub(crate) fn is_closed(stream: &mut impl Read) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
