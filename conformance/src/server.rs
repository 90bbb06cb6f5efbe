//! The servers that cases run against.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wire::{self, Request};

pub(crate) const ROOT_TOKEN: &str = "root";

/// Starting takes milliseconds; a loaded machine makes it seconds.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// What `--against` names.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Signet(PathBuf),
    OpenBao(PathBuf),
    /// A server that somebody else runs, and its root token.
    Running {
        address: String,
        token: String,
    },
}

impl Target {
    /// The word that suites are told.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Signet(_) => "signet",
            Self::OpenBao(_) => "openbao",
            Self::Running { .. } => "running",
        }
    }
}

/// How a server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// In memory, unsealed, with the root token `root`.
    #[default]
    Dev,
    /// From a configuration file, not initialized.
    Configured,
}

/// A server to speak to; a process of ours ends with it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) token: String,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    scratch: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(target: &Target, mode: Mode, ports: &mut Ports) -> io::Result<Self> {
        let program = match target {
            Target::Signet(program) | Target::OpenBao(program) => program,
            Target::Running { address, token } => {
                return Ok(Self {
                    address: address.clone(),
                    token: token.clone(),
                    process: None,
                });
            }
        };
        let address = ports.next_address()?;
        let scratch = TempDir::new()?;
        let child = spawn(program, mode, &address, scratch.path())?;
        let mut server = Self {
            address,
            token: ROOT_TOKEN.to_owned(),
            process: Some(Process { child, scratch }),
        };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// What the process has written so far.
    pub(crate) fn log(&self) -> String {
        self.process
            .as_ref()
            .and_then(|process| std::fs::read_to_string(process.scratch.path().join("log")).ok())
            .unwrap_or_default()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        match &mut self.process {
            Some(process) => matches!(process.child.try_wait(), Ok(None)),
            None => true,
        }
    }

    fn wait_until_it_answers(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        let health = Request {
            method: "GET".to_owned(),
            target: "/v1/sys/health".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let status = wire::send(&self.address, &health).map(|answer| answer.status);
            if matches!(status, Ok(200 | 501)) {
                return Ok(());
            }
            if !self.is_alive() || Instant::now() > deadline {
                let message = format!("the server does not start:\n{}", self.log());
                return Err(io::Error::other(message));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn spawn(program: &Path, mode: Mode, address: &str, scratch: &Path) -> io::Result<Child> {
    let log = std::fs::File::create(scratch.join("log"))?;
    let mut command = Command::new(program);
    command.arg("server");
    match mode {
        Mode::Dev => command.args([
            "-dev",
            "-dev-no-store-token",
            &format!("-dev-root-token-id={ROOT_TOKEN}"),
            &format!("-dev-listen-address={address}"),
        ]),
        Mode::Configured => {
            let file = scratch.join("config.hcl");
            std::fs::write(&file, configuration(address))?;
            command.arg(format!("-config={}", file.display()))
        }
    };
    command
        .env_clear()
        .env("HOME", scratch)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// With everything switched on that OpenBao leaves out unless asked and Vault has.
fn configuration(address: &str) -> String {
    format!(
        "storage \"inmem\" {{}}\n\
         disable_mlock = true\n\
         api_addr = \"http://{address}\"\n\
         unsafe_allow_api_audit_creation = true\n\
         allow_audit_log_prefixing = true\n\
         listener \"tcp\" {{\n\
         \x20 address = \"{address}\"\n\
         \x20 tls_disable = true\n\
         \x20 disable_unauthed_rekey_endpoints = false\n\
         \x20 disable_unauthed_generate_root_endpoints = false\n\
         }}\n"
    )
}

/// Loopback ports for the servers that are started.
#[derive(Debug)]
pub(crate) struct Ports(std::ops::RangeInclusive<u16>);

impl Ports {
    /// Port 0 lets the system choose each time.
    pub(crate) fn new(range: std::ops::RangeInclusive<u16>) -> Self {
        Self(range)
    }

    fn next_address(&mut self) -> io::Result<String> {
        for port in self.0.clone() {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Ok(listener.local_addr()?.to_string());
            }
        }
        Err(io::Error::other("no free port"))
    }
}
