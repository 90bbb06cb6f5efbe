//! What a growing store costs: the same operations at more and more certificates, a tenth of them
//! revoked (at most 100 000).

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Error;
use crate::client::{Connection, request};
use crate::scenario::{post, prepare_pki};
use crate::server::{Kind, ROOT, Server};

pub(crate) const NAME: &str = "pki-scale";

const CONNECTIONS: usize = 32;
const MAX_REVOKED: usize = 100_000;
/// Requests whose median and 99th percentile are shown.
const SAMPLES: usize = 200;

/// Measures at each of `sizes`, which grow, in one run of the server.
pub(crate) async fn run(
    program: &Path,
    sizes: &[usize],
    out: &mut impl Write,
) -> Result<(), Error> {
    let server = Server::start(Kind::Signet, program).await?;
    prepare_pki(&server, "ec", 256).await?;
    let mut mount = Mount {
        server,
        serials: Vec::new(),
        revoked: 0,
        authority: String::new(),
    };
    writeln!(
        out,
        "{:>12} {:>10} {:>11} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}",
        "certificates",
        "revoked",
        "revoke p50",
        "revoke p99",
        "CRL",
        "delta",
        "OCSP",
        "page",
        "by end",
        "by name",
        "counts",
        "RSS MiB"
    )?;
    for size in sizes {
        mount.grow(*size).await?;
        mount.measure(out).await?;
    }
    writeln!(
        out,
        "times in milliseconds; medians where nothing else is said"
    )?;
    Ok(())
}

struct Mount {
    server: Server,
    /// In the order in which they were issued; those in front are revoked.
    serials: Vec<String>,
    revoked: usize,
    /// PEM of the issuer.
    authority: String,
}

impl Mount {
    /// Issues until there are `size`, and revokes a tenth.
    async fn grow(&mut self, size: usize) -> Result<(), Error> {
        let missing = size.saturating_sub(self.serials.len());
        let issue = |number: usize| {
            let name = json!({ "common_name": format!("w{number}.example.com"), "ttl": "1h" });
            post("/v1/pki/issue/web", ROOT, &name)
        };
        let first = self.serials.len();
        let answers = self
            .repeat(missing, move |number| issue(first + number))
            .await?;
        for answer in answers {
            if let Some(text) = answer.pointer("/data/issuing_ca").and_then(Value::as_str) {
                text.clone_into(&mut self.authority);
            }
            let serial = answer
                .pointer("/data/serial_number")
                .and_then(Value::as_str);
            self.serials.extend(serial.map(str::to_owned));
        }
        self.serials.sort_unstable();
        let wanted = (size / 10).min(MAX_REVOKED);
        let chosen: Vec<String> = self
            .serials
            .iter()
            .take(wanted)
            .skip(self.revoked)
            .cloned()
            .collect();
        self.revoked = self.revoked.max(wanted);
        let count = chosen.len();
        let revoke = move |number: usize| {
            let serial = chosen.get(number).cloned().unwrap_or_default();
            post("/v1/pki/revoke", ROOT, &json!({ "serial_number": serial }))
        };
        self.repeat(count, revoke).await.map(drop)
    }

    async fn measure(&mut self, out: &mut impl Write) -> Result<(), Error> {
        let mut connection = self.server.connect().await?;
        let mut revokes = Vec::new();
        for serial in self.serials.iter().skip(self.revoked).take(SAMPLES) {
            let body = json!({ "serial_number": serial });
            let revoke = post("/v1/pki/revoke", ROOT, &body);
            revokes.push(timed(&mut connection, &revoke).await?);
        }
        self.revoked += revokes.len();
        revokes.sort_unstable();
        let crl = median(&mut connection, &get("crl/rotate"), 3).await?;
        let delta_on = json!({"auto_rebuild": true, "enable_delta": true});
        self.server.write("/v1/pki/config/crl", &delta_on).await?;
        let delta = median(&mut connection, &get("crl/rotate-delta"), 3).await?;
        let delta_off = json!({"auto_rebuild": false, "enable_delta": false});
        self.server.write("/v1/pki/config/crl", &delta_off).await?;
        let middle = self.serials.get(self.serials.len() / 2).cloned();
        let middle = middle.unwrap_or_default();
        let ocsp = get(&format!("ocsp/{}", self.ocsp_request(&middle)?));
        let ocsp = median(&mut connection, &ocsp, SAMPLES).await?;
        let mut list = async |query: String| {
            let path = format!("/v1/pki/certs/?{query}");
            let request = request("LIST", &path, ROOT, b"");
            median(&mut connection, &request, SAMPLES).await
        };
        let page = list(format!("limit=100&after={middle}")).await?;
        let by_end = list("limit=100&expiring_within=2h".into()).await?;
        let by_name = list("name=w7.example.com".into()).await?;
        let counts = median(&mut connection, &get("certs/counts"), 5).await?;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "{:>12} {:>10} {:>11.2} {:>11.2} {:>9.1} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>8.0}",
            self.serials.len(),
            self.revoked,
            millis(percentile(&revokes, 50)),
            millis(percentile(&revokes, 99)),
            millis(crl),
            millis(delta),
            millis(ocsp),
            millis(page),
            millis(by_end),
            millis(by_name),
            millis(counts),
            self.server.resident_mib()?,
        )?;
        Ok(())
    }

    /// Sends `count` requests over several connections, and gives their answers.
    async fn repeat(
        &self,
        count: usize,
        request: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Vec<Value>, Error> {
        let next = Arc::new(AtomicUsize::new(0));
        let request = Arc::new(request);
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (next, request) = (next.clone(), request.clone());
                let address = self.server.address;
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    let mut answers = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok::<_, Error>(answers);
                        }
                        let answer = connection.json(&request(number)).await?;
                        answers.push(kept(&answer));
                    }
                })
            })
            .collect();
        let mut answers = Vec::new();
        for worker in workers {
            answers.extend(worker.await??);
        }
        Ok(answers)
    }

    /// An OCSP request as it stands in a path.
    fn ocsp_request(&self, serial: &str) -> Result<String, Error> {
        let scratch = TempDir::new()?;
        let (issuer, request) = (
            scratch.path().join("issuer"),
            scratch.path().join("request"),
        );
        std::fs::write(&issuer, &self.authority)?;
        let mut ocsp = Command::new("openssl");
        ocsp.args(["ocsp", "-no_nonce", "-issuer"]).arg(&issuer);
        ocsp.arg(format!("-serial=0x{}", serial.replace(':', "")));
        let made = ocsp.arg("-reqout").arg(&request).output()?;
        let text = Command::new("openssl")
            .args(["base64", "-A", "-in"])
            .arg(&request)
            .output()?;
        if !made.status.success() || !text.status.success() {
            return Err("openssl makes no OCSP request".into());
        }
        let text = String::from_utf8(text.stdout)?;
        Ok(text
            .trim()
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D"))
    }
}

/// The part of an answer that is needed later: a million whole ones would be gigabytes.
fn kept(answer: &Value) -> Value {
    let field = |name: &str| answer.pointer(&format!("/data/{name}")).cloned();
    json!({"data": {"serial_number": field("serial_number"), "issuing_ca": field("issuing_ca")}})
}

fn get(path: &str) -> Vec<u8> {
    request("GET", &format!("/v1/pki/{path}"), ROOT, b"")
}

async fn timed(connection: &mut Connection, request: &[u8]) -> Result<Duration, Error> {
    let began = Instant::now();
    connection.send(request).await?;
    Ok(began.elapsed())
}

async fn median(
    connection: &mut Connection,
    request: &[u8],
    count: usize,
) -> Result<Duration, Error> {
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(timed(connection, request).await?);
    }
    times.sort_unstable();
    Ok(percentile(&times, 50))
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = sorted.len() * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}
