//! Signet and OpenBao side by side: the same requests, alternating, in one run.
//!
//! ```text
//! cargo run --release -p signet-bench -- [--seconds N] [--signet PATH] [--bao PATH] [scenario...]
//! cargo run --release -p signet-bench -- [--certificates 1000,100000] pki-scale
//! ```

mod client;
mod scale;
mod scenario;
mod server;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use scenario::{SCENARIOS, Scenario};
use server::{Kind, Server};

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    seconds: u64,
    signet: PathBuf,
    bao: PathBuf,
    scenarios: Vec<String>,
    /// At how many certificates `pki-scale` measures.
    certificates: Vec<usize>,
}

/// What one server did in one scenario.
struct Figures {
    per_second: f64,
    cpu_micros_per_request: f64,
    p50: Duration,
    p99: Duration,
    resident_mib: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut out = std::io::stdout();
    match run(&mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(out: &mut impl std::io::Write) -> Result<(), Error> {
    let options = options()?;
    if options.scenarios.iter().any(|name| name == scale::NAME) {
        scale::run(&options.signet, &options.certificates, out).await?;
        if options.scenarios.len() == 1 {
            return Ok(());
        }
    }
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| {
            options.scenarios.is_empty() || options.scenarios.iter().any(|s| s == scenario.name)
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let names = names.join(", ");
        return Err(format!("no such scenario; there are {names}, {}", scale::NAME).into());
    }
    writeln!(
        out,
        "{:<12} {:<8} {:>9} {:>8} {:>10} {:>9} {:>9} {:>8}",
        "scenario", "server", "req/s", "ratio", "cpu us/req", "p50 ms", "p99 ms", "RSS MiB"
    )?;
    for scenario in chosen {
        let theirs = measure(&options, scenario, Kind::OpenBao, &options.bao).await?;
        show(out, scenario.name, "openbao", &theirs, None)?;
        let ours = measure(&options, scenario, Kind::Signet, &options.signet).await?;
        show(
            out,
            scenario.name,
            "signet",
            &ours,
            Some(ours.per_second / theirs.per_second),
        )?;
    }
    Ok(())
}

async fn measure(
    options: &Options,
    scenario: &Scenario,
    kind: Kind,
    program: &std::path::Path,
) -> Result<Figures, Error> {
    let server = Server::start(kind, program).await?;
    let request = scenario.prepare(&server).await?;
    let load = client::Load {
        address: server.address,
        request,
        connections: 32,
        duration: Duration::from_secs(options.seconds),
    };
    let cpu_before = server.cpu_time()?;
    let done = load.run().await?;
    let cpu = server.cpu_time()?.saturating_sub(cpu_before);
    Ok(Figures {
        per_second: count(done.latencies.len()) / done.elapsed.as_secs_f64(),
        cpu_micros_per_request: cpu.as_secs_f64() * 1e6 / count(done.latencies.len().max(1)),
        p50: done.percentile(50),
        p99: done.percentile(99),
        resident_mib: server.resident_bytes()? >> 20,
    })
}

fn show(
    out: &mut impl std::io::Write,
    scenario: &str,
    server: &str,
    figures: &Figures,
    ratio: Option<f64>,
) -> std::io::Result<()> {
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}x"));
    writeln!(
        out,
        "{scenario:<12} {server:<8} {:>9.0} {ratio:>8} {:>10.0} {:>9.2} {:>9.2} {:>8}",
        figures.per_second,
        figures.cpu_micros_per_request,
        figures.p50.as_secs_f64() * 1e3,
        figures.p99.as_secs_f64() * 1e3,
        figures.resident_mib
    )
}

/// Exact for any count that a run can reach.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn options() -> Result<Options, Error> {
    let mut options = Options {
        seconds: 5,
        signet: "target/release/signet".into(),
        bao: ".cache/venv/bin/bao".into(),
        scenarios: Vec::new(),
        certificates: vec![1_000, 100_000],
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse()?,
            "--signet" => options.signet = value()?.into(),
            "--certificates" => {
                let sizes = value()?;
                let sizes = sizes.split(',').map(str::parse);
                options.certificates = sizes.collect::<Result<_, _>>()?;
            }
            "--bao" => options.bao = value()?.into(),
            name if !name.starts_with('-') => options.scenarios.push(name.to_owned()),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(options)
}
