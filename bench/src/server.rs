//! A server under test, and what the kernel says of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Error;
use crate::client::{self, Template};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In memory: it has no durable development server.
    OpenBao,
    /// Durable: each answer waits for the disk.
    Signet,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Child,
    _data: TempDir,
}

const ROOT: &str = "root";

impl Server {
    pub(crate) async fn start(kind: Kind, program: &Path) -> Result<Self, Error> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let data = TempDir::new()?;
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
        let process = command
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let server = Self {
            address,
            process,
            _data: data,
        };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&self) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.get("/v1/sys/health").await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the server does not answer".into())
    }

    async fn get(&self, path: &str) -> Result<Value, Error> {
        let template = Template {
            method: "GET",
            path: path.to_owned(),
            token: String::new(),
            body: Bytes::new(),
        };
        client::send(&mut client::connect(self.address).await?, &template).await
    }

    /// A write as root.
    pub(crate) async fn write(&self, path: &str, data: &Value) -> Result<Value, Error> {
        let template = template(path, ROOT, data);
        client::send(&mut client::connect(self.address).await?, &template).await
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

    pub(crate) fn resident_bytes(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.ok_or("unreadable status")? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn template(path: &str, token: &str, data: &Value) -> Template {
    Template {
        method: "POST",
        path: path.to_owned(),
        token: token.to_owned(),
        body: Bytes::from(data.to_string()),
    }
}

/// A mount `pki` with a root of this key type and a role `web` that takes anything.
pub(crate) async fn prepare_pki(
    server: &Server,
    key_type: &str,
    key_bits: u32,
) -> Result<(), Error> {
    server
        .write("/v1/sys/mounts/pki", &json!({"type": "pki"}))
        .await?;
    let root = json!({
        "common_name": "Root", "key_type": key_type, "key_bits": key_bits, "ttl": "700h",
    });
    server
        .write("/v1/pki/root/generate/internal", &root)
        .await?;
    let role = json!({
        "allow_any_name": true, "enforce_hostnames": false, "require_cn": false, "key_type": "ec",
        "allowed_uri_sans": "spiffe://*", "ttl": "1h", "max_ttl": "1h",
    });
    server.write("/v1/pki/roles/web", &role).await?;
    Ok(())
}
