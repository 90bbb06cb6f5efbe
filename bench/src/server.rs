//! A server under test, and what the kernel says of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Error;
use crate::client::{Connection, request};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In memory: it has no durable development server.
    OpenBao,
    /// Durable: each answer waits for the disk.
    Signet,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Child,
    data: Rc<TempDir>,
}

pub(crate) const ROOT: &str = "root";

impl Server {
    pub(crate) async fn start(kind: Kind, program: &Path) -> Result<Self, Error> {
        Self::start_on(kind, program, Rc::new(TempDir::new()?)).await
    }

    /// On what an earlier server left in `data`.
    pub(crate) async fn start_on(
        kind: Kind,
        program: &Path,
        data: Rc<TempDir>,
    ) -> Result<Self, Error> {
        Self::start_with(kind, program, data, None).await
    }

    /// With this file of settings beside those of a development server.
    pub(crate) async fn start_with(
        kind: Kind,
        program: &Path,
        data: Rc<TempDir>,
        config: Option<&Path>,
    ) -> Result<Self, Error> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command
            .args([
                "server",
                "-dev",
                "-dev-root-token-id=root",
                "-dev-no-store-token",
            ])
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if kind == Kind::Signet {
            let directory = data.path().join("data");
            command.arg(format!("-dev-storage-path={}", directory.display()));
        }
        if let Some(config) = config {
            command.arg(format!("-config={}", config.display()));
        }
        let process = command
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let server = Self {
            address,
            process,
            data,
        };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&self) -> Result<(), Error> {
        let health = request("GET", "/v1/sys/health", "", b"");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.send(&health).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err("the server does not answer".into())
    }

    pub(crate) fn data(&self) -> Rc<TempDir> {
        self.data.clone()
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        Connection::open(self.address).await
    }

    /// A write as root.
    pub(crate) async fn write(&self, path: &str, data: &Value) -> Result<Value, Error> {
        let request = request("POST", path, ROOT, data.to_string().as_bytes());
        self.connect().await?.json(&request).await
    }

    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name in parentheses may hold blanks; the numbers come after it.
        let (_, numbers) = stat.rsplit_once(')').ok_or("unreadable stat")?;
        let mut fields = numbers.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|text| text.parse::<u64>().ok());
        let total = ticks().zip(ticks()).map(|(user, system)| user + system);
        // Linux counts in hundredths of a second on every platform that we build for.
        Ok(Duration::from_millis(10 * total.ok_or("unreadable stat")?))
    }

    pub(crate) fn resident_mib(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.ok_or("unreadable status")? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
