//! How long a server takes from its start to its first answer, and what it costs to fill a store.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::load::percentile_millis;
use crate::options::Options;
use crate::scenario::{issued_with_latencies, prepare_pki};
use crate::server::{Kind, Server};
use crate::{Error, progress};

const STARTS: usize = 5;
const REPORTS: usize = 10;

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> Result<Value, Error> {
    writeln!(
        out,
        "\n{:<34} {:>9} {:>9}",
        "start to first answer", "ms", "RSS MiB"
    )?;
    let mut rows = Vec::new();
    if let Some(bao) = &options.bao {
        let (millis, mib) = empty(Kind::OpenBao, bao).await?;
        row(out, &mut rows, "openbao, empty, in memory", millis, mib)?;
    }
    let (millis, mib) = empty(Kind::Signet, &options.signet).await?;
    row(out, &mut rows, "signet, empty", millis, mib)?;

    let server = Server::start(Kind::Signet, &options.signet).await?;
    prepare_pki(&server, "ec", 256).await?;
    let mut fill = Vec::new();
    for part in 1..=REPORTS {
        let began = Instant::now();
        let cpu = server.cpu_time()?;
        let number = options.fill / REPORTS;
        let (_, latencies) = issued_with_latencies(&server, number).await?;
        let cpu = server.cpu_time()?.saturating_sub(cpu);
        let per_second = crate::count(number) / began.elapsed().as_secs_f64();
        let micros = cpu.as_secs_f64() * 1e6 / crate::count(number.max(1));
        let mib = server.resident_mib()?;
        progress(&format!(
            "{} certificates, {per_second:.0}/s, {micros:.0} µs each, p99 {:.1} ms, {mib:.0} MiB \
             resident",
            part * number,
            percentile_millis(&latencies, 99),
        ));
        fill.push(json!({
            "certificates": part * number,
            "per_second": per_second.round(),
            "cpu_micros_each": micros.round(),
            "p50_millis": percentile_millis(&latencies, 50),
            "p99_millis": percentile_millis(&latencies, 99),
            "longest_millis": percentile_millis(&latencies, 100),
            "resident_mib": mib.round(),
        }));
    }
    progress("");
    for step in &fill {
        writeln!(out, "{step}")?;
    }
    // So long that the deferred work of the store is done.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let data = server.data();
    drop(server);
    let mut least = f64::INFINITY;
    let mut mib = 0.0;
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = Server::start_on(Kind::Signet, &options.signet, data.clone()).await?;
        least = least.min(began.elapsed().as_secs_f64() * 1e3);
        mib = server.resident_mib()?;
    }
    let name = format!("signet, {} certificates", options.fill);
    row(out, &mut rows, &name, least, mib)?;
    Ok(json!({"starts": rows, "fill": fill}))
}

/// The quickest of some starts, and the memory after it.
async fn empty(kind: Kind, program: &std::path::Path) -> Result<(f64, f64), Error> {
    let mut least = f64::INFINITY;
    let mut mib = 0.0;
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = Server::start(kind, program).await?;
        least = least.min(began.elapsed().as_secs_f64() * 1e3);
        mib = server.resident_mib()?;
    }
    Ok((least, mib))
}

fn row(
    out: &mut impl Write,
    rows: &mut Vec<Value>,
    name: &str,
    millis: f64,
    mib: f64,
) -> Result<(), Error> {
    writeln!(out, "{name:<34} {millis:>9.1} {mib:>9.1}")?;
    rows.push(json!({"server": name, "millis": millis.round(), "resident_mib": mib.round()}));
    Ok(())
}
