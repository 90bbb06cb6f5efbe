//! Real servers and real clients for tests over the wire. `SIGNET_TEST_SERVER` names another server's program, so that
//! the reference judges what is expected (`conformance/cli`).

#![expect(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ROOT: &str = "root";

/// A directory that goes with the test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// A server process; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) scratch: Scratch,
    process: Mutex<Child>,
}

impl Server {
    /// In memory, root token `root`.
    pub(crate) fn dev() -> Self {
        Self::dev_with(|_| String::new())
    }

    /// As [`Self::dev`], with a configuration, which may name files of the directory.
    pub(crate) fn dev_with(config: impl FnOnce(&Scratch) -> String) -> Self {
        let address = free_address();
        let scratch = Scratch::new();
        scratch.write("config.hcl", &config(&scratch));
        let file = format!("-config={}", scratch.path("config.hcl"));
        let listen = format!("-dev-listen-address={address}");
        let arguments = [
            "server",
            "-dev",
            "-dev-root-token-id=root",
            "-dev-no-store-token",
            &listen,
            &file,
        ];
        let process = Mutex::new(start(&arguments, &scratch));
        let server = Self {
            address,
            token: ROOT.into(),
            scratch,
            process,
        };
        server.wait_for(200);
        server
    }

    /// On disk, initialized and unsealed with one share.
    pub(crate) fn persistent() -> Self {
        Self::persistent_with(|_| String::new())
    }

    /// As [`Self::persistent`], with more configuration.
    pub(crate) fn persistent_with(config: impl FnOnce(&Scratch) -> String) -> Self {
        let address = free_address();
        let scratch = Scratch::new();
        let data = scratch.path("data");
        scratch.write(
            "config.hcl",
            &format!(
                "storage \"redb\" {{ path = \"{data}\" }}\n\
                 listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n{}",
                config(&scratch)
            ),
        );
        let process = Mutex::new(start_configured(&scratch));
        let mut server = Self {
            address,
            token: String::new(),
            scratch,
            process,
        };
        server.wait_for(501);
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let (status, keys) = server.post("", "/v1/sys/init", &shares);
        assert_eq!(status, 200, "{keys}");
        server
            .scratch
            .write("key", keys["keys_base64"][0].as_str().unwrap());
        keys["root_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut server.token);
        server.unseal();
        server
    }

    pub(crate) fn unseal(&self) {
        let key = json!({"key": self.scratch.read("key")});
        let (status, answer) = self.post("", "/v1/sys/unseal", &key);
        assert_eq!(
            (status, &answer["sealed"]),
            (200, &json!(false)),
            "{answer}"
        );
    }

    /// Has the process read its configuration again.
    pub(crate) fn hang_up(&self) {
        let process = self.process.lock().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-HUP", &process]).status();
        assert!(sent.unwrap().success());
    }

    /// The most that the process ever had in memory.
    pub(crate) fn peak_memory_kib(&self) -> usize {
        let process = self.process.lock().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().trim().trim_end_matches(" kB");
        peak.parse().unwrap()
    }

    /// Kills the process without a chance to say goodbye.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Kills the process if it runs, and starts it again, sealed.
    pub(crate) fn kill_and_restart(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        process.wait().unwrap();
        *process = start_configured(&self.scratch);
        drop(process);
        self.wait_for(503);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait_for(&self, status: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let health = try_request(self.address, "GET", "/v1/sys/health", "", "");
            if health.is_some_and(|(got, _)| got == status) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no answer: {}",
                self.scratch.read("log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> (u16, Value) {
        answered(try_request(self.address, "GET", path, token, "").unwrap())
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        answered(try_request(self.address, "POST", path, token, &body.to_string()).unwrap())
    }

    /// `None` when the connection broke.
    pub(crate) fn try_post(&self, token: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        try_request(self.address, "POST", path, token, &body.to_string()).map(answered)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn start_configured(scratch: &Scratch) -> Child {
    start(
        &["server", &format!("-config={}", scratch.path("config.hcl"))],
        scratch,
    )
}

fn start(arguments: &[&str], scratch: &Scratch) -> Child {
    let log = std::fs::File::create(scratch.path("log")).unwrap();
    let program = std::env::var_os("SIGNET_TEST_SERVER").map_or_else(signet, PathBuf::from);
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn signet() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_signet"))
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

fn answered((status, body): (u16, String)) -> (u16, Value) {
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// One request on a connection of its own.
fn try_request(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    let token = if token.is_empty() {
        String::new()
    } else {
        format!("X-Vault-Token: {token}\r\n")
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut reader = BufReader::new(stream);
    let mut status_line = String::new();
    reader.read_line(&mut status_line).ok()?;
    let status = status_line.split(' ').nth(1)?.parse().ok()?;
    let mut length = Some(0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse::<usize>().ok();
        }
        if line.trim() == "transfer-encoding: chunked" {
            length = None;
        }
    }
    let mut body = Vec::new();
    // The reference sends long answers in chunks, Signet none.
    let is_chunked = length.is_none();
    loop {
        let length = if let Some(length) = length {
            length
        } else {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            usize::from_str_radix(line.trim(), 16).ok()?
        };
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(body.get_mut(start..)?).ok()?;
        if !is_chunked || length == 0 {
            return Some((status, String::from_utf8(body).ok()?));
        }
        reader.read_line(&mut String::new()).ok()?;
    }
}

/// A command line client with its environment.
pub(crate) struct Client {
    program: PathBuf,
    address: String,
    token: String,
    home: TempDir,
}

impl Client {
    /// Signet's own client, called `vault`.
    pub(crate) fn vault(server: &Server) -> Self {
        let mut client = Self::new(PathBuf::new(), server);
        client.program = client.home.path().join("vault");
        std::os::unix::fs::symlink(signet(), &client.program).unwrap();
        client
    }

    /// The client of OpenBao, which `scripts/test` installs.
    pub(crate) fn bao(server: &Server) -> Self {
        Self::new(tool("SIGNET_TEST_BAO"), server)
    }

    fn new(program: PathBuf, server: &Server) -> Self {
        let home = TempDir::new().unwrap();
        Self {
            program,
            address: server.url(),
            token: server.token.clone(),
            home,
        }
    }

    /// Exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("VAULT_ADDR", &self.address)
            .env("VAULT_TOKEN", &self.token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        texts(&output)
    }

    /// Standard output of a command that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}\n{stdout}\n{stderr}");
        stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }
}

/// A program that `scripts/test` installs and names in the environment.
pub(crate) fn tool(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || panic!("{variable} is not set: run the tests with scripts/test"),
        PathBuf::from,
    )
}

/// Standard output of an `openssl` command that must succeed.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let (code, stdout, stderr) = texts(&output);
    assert_eq!(code, 0, "openssl {arguments:?}\n{stderr}");
    stdout
}

fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// What `openssl s_client -showcerts` prints of a TLS server with this pair and chain.
pub(crate) fn s_client(
    scratch: &Scratch,
    certificate: &str,
    key: &str,
    chain: &str,
    root: &str,
) -> String {
    let port = free_address().port().to_string();
    let path = |name: &str| Path::new(&scratch.path(name)).to_owned();
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", &port, "-www", "-cert"])
        .arg(path(certificate))
        .arg("-key")
        .arg(path(key))
        .arg("-cert_chain")
        .arg(path(chain))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let shown = loop {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-showcerts",
                "-connect",
                &format!("127.0.0.1:{port}"),
                "-CAfile",
            ])
            .arg(path(root))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (_, stdout, stderr) = texts(&output);
        if stdout.contains("Certificate chain") || Instant::now() > deadline {
            break format!("{stderr}\n{stdout}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    server.kill().unwrap();
    server.wait().unwrap();
    shown
}
