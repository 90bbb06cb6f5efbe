//! The same load by `wrk`: whoever doubts the generator here has another.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::Error;

/// Requests in a second.
pub(crate) async fn rate(
    program: &Path,
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> Result<f64, Error> {
    let script = tempfile::NamedTempFile::new()?;
    let mut text = String::from("local bytes = \"");
    for byte in request {
        let _ = write!(text, "\\{byte:03}");
    }
    text.push_str("\"\nrequest = function() return bytes end\n");
    std::fs::write(script.path(), text)?;
    let output = tokio::process::Command::new(program)
        .arg("-t1")
        .arg(format!("-c{connections}"))
        .arg(format!("-d{}s", duration.as_secs().max(1)))
        .arg("-s")
        .arg(script.path())
        .arg(format!("http://{address}"))
        .output()
        .await
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") {
        return Err(format!("wrk: {text}").into());
    }
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(rate.ok_or_else(|| format!("wrk: {text}"))?.trim().parse()?)
}
