//! A server and a tool that is typed into.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A development server, and a tool under the name `bao` that talks to it.
pub(crate) struct Bench {
    server: Child,
    listener: Listener,
    port: u16,
    home: tempfile::TempDir,
    tool: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Plain,
    Tls,
}

/// What was typed, and what came of it.
pub(crate) type Transcript<'c> = Vec<(&'c str, String)>;

pub(crate) fn differences(theirs: &Transcript<'_>, ours: &Transcript<'_>) -> String {
    let mut differences = String::new();
    for ((line, expected), (_, actual)) in theirs.iter().zip(ours) {
        if expected != actual {
            let report = format!("$ {line}\n--- reference\n{expected}\n--- signet\n{actual}\n\n");
            differences.push_str(&report);
        }
    }
    differences
}

impl Bench {
    pub(crate) fn start(program: &Path, tool: &Path, listener: Listener) -> Self {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("bao");
        std::os::unix::fs::symlink(tool, &link).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mode: &[&str] = match listener {
            Listener::Plain => &["-dev"],
            Listener::Tls => &["-dev-tls", "-dev-tls-cert-dir=."],
        };
        let mut server = Command::new(program)
            .arg("server")
            .args(mode)
            .args(["-dev-root-token-id=root", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("Development mode should NOT be used"));
        assert!(ready, "the server does not start");
        // A server whose output nobody reads would block once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            server,
            listener,
            port,
            home,
            tool: link,
        }
    }

    /// A file in the directory where the tool runs.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    /// Types these commands, one a line.
    pub(crate) fn play<'c>(&self, commands: &'c str) -> Transcript<'c> {
        commands
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| (line, self.run(line)))
            .collect()
    }

    /// Exit code, output and errors, with all that differs from run to run masked.
    fn run(&self, line: &str) -> String {
        let (scheme, authority) = match self.listener {
            Listener::Plain => ("http", None),
            Listener::Tls => ("https", Some(("BAO_CACERT", "vault-ca.pem"))),
        };
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(&self.tool)
            .args(words(line))
            .env_clear()
            .env("HOME", self.home.path())
            .env("BAO_ADDR", format!("{scheme}://127.0.0.1:{}", self.port))
            .envs(authority)
            .env("BAO_TOKEN", "root")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace(&self.port.to_string(), "PORT");
            masked(&text.replace(&(self.port + 1).to_string(), "PORT+1"))
        };
        format!(
            "exit {:?}\n{}\n{}",
            status.code(),
            text(&stdout),
            text(&stderr)
        )
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Without the bodies of PEM blocks, long random words, times and accessors, and without the line
/// that either tool prints when it asks about a move before it is done. Metadata of a token come in
/// any order from the reference's tool; there are no entities here; the type of a mount is a field of
/// Vault.
fn masked(text: &str) -> String {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.contains("-----END ") {
            inside = false;
        }
        if line
            .trim_start_matches(['"', ' '])
            .starts_with("mount_type")
        {
            let without_comma = lines
                .pop()
                .map(|last: String| last.trim_end_matches(',').to_owned());
            lines.extend(without_comma);
        } else if !inside && !line.starts_with("Waiting for terminal status") {
            lines.push(masked_line(line));
        }
        inside |= line.contains("-----BEGIN ") && !line.contains("-----END ");
    }
    for together in lines.chunk_by_mut(|one, next| is_metadata(one) && is_metadata(next)) {
        together.sort_unstable();
    }
    lines.join("\n")
}

fn is_metadata(line: &str) -> bool {
    line.starts_with("token_meta_")
}

fn masked_line(line: &str) -> String {
    if let Some((before, _)) = line.split_once("\"entity_id\": ") {
        return format!("{before}\"entity_id\"");
    }
    if line.starts_with("curl ") {
        return masked_words(&with_sorted_headers(line));
    }
    masked_words(line)
}

/// The reference names the headers of a request in any order.
fn with_sorted_headers(curl: &str) -> String {
    let mut parts = curl.split(" -H ");
    let mut sorted = parts.next().unwrap_or_default().to_owned();
    let (mut headers, mut rest) = (Vec::new(), String::new());
    for part in parts {
        let closing = part.match_indices('"').nth(1);
        let (header, after) = part.split_at(closing.map_or(part.len(), |(at, _)| at + 1));
        headers.push(header);
        rest.push_str(after);
    }
    headers.sort_unstable();
    for header in headers {
        sorted.push_str(" -H ");
        sorted.push_str(header);
    }
    sorted + &rest
}

fn masked_words(line: &str) -> String {
    let is_part =
        |character: char| character.is_ascii_alphanumeric() || "+/=:._-\\".contains(character);
    let mut masked = String::new();
    let mut word = String::new();
    for character in line.chars().chain(['\n']) {
        if is_part(character) {
            word.push(character);
            continue;
        }
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let random = (word.len() >= 20 && digits > 0) || digits >= 8 || is_accessor(&word);
        masked.push_str(if random { "#" } else { &word });
        word.clear();
        masked.push(character);
    }
    masked.trim_end().to_owned()
}

fn is_accessor(word: &str) -> bool {
    let last = word.rsplit(['_', '.']).next().unwrap_or_default();
    (last.len() == 8 && last.chars().all(|character| character.is_ascii_hexdigit()))
        || (last.len() == 24 && last.chars().all(char::is_alphanumeric))
}
