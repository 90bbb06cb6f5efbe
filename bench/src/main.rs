//! Signet and OpenBao side by side: the same requests, alternating, in one run, with the bare
//! cryptography measured in the same minutes.
//!
//! ```text
//! cargo run --release -p signet-bench -- [options] [scenario...]
//! ```

mod calibrate;
mod client;
mod keys_ahead;
mod load;
mod mesh;
mod options;
mod report;
mod scale;
mod scenario;
mod server;
mod startup;
mod wrk;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use calibrate::Calibration;
use load::Pace;
use options::Options;
use report::{Figures, Outcome};
use scenario::Scenario;
use server::{Kind, Server};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One thread: the fewer of the machine's cycles the generator takes, the more are the servers'.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut out = std::io::stdout();
    match tokio::task::LocalSet::new().run_until(run(&mut out)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(out: &mut impl Write) -> Result<(), Error> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut outcomes = Vec::new();
    if !options.scenarios.is_empty() {
        report::header(out)?;
    }
    for (number, scenario) in options.scenarios.iter().enumerate() {
        progress(&format!(
            "{}/{} {}: {}",
            number + 1,
            options.scenarios.len(),
            scenario.name,
            scenario.about
        ));
        let outcome = compare(&options, scenario).await?;
        progress("");
        outcome.row(out)?;
        outcomes.push(outcome);
    }
    if options.scale {
        scale::run(&options.signet, &options.certificates, out).await?;
    }
    let (mut mesh_burst, mut rsa_burst) = (None, None);
    if options.mesh_burst {
        progress(&format!("{} clients at once", options.clients));
        let burst = mesh::run(&options.signet, options.clients).await?;
        progress("");
        writeln!(out, "{}", burst.text())?;
        mesh_burst = Some(burst.to_json());
    }
    if options.rsa_burst {
        progress("keys are made ahead");
        let burst = keys_ahead::run(&options.signet).await?;
        progress("");
        writeln!(out, "{}", burst.text())?;
        rsa_burst = Some(burst.to_json());
    }
    let mut startup = None;
    if options.startup {
        startup = Some(startup::run(&options, out).await?);
    }
    if let Some(path) = &options.json {
        let figures: Vec<_> = outcomes.iter().map(Outcome::to_json).collect();
        let all = serde_json::json!({
            "seconds": options.seconds,
            "rounds": options.rounds,
            "connections": options.connections,
            "scenarios": figures,
            "startup": startup,
            "mesh_burst": mesh_burst,
            "rsa_burst": rsa_burst,
        });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    if let Some(path) = &options.chart {
        std::fs::write(path, report::chart(&outcomes))?;
    }
    Ok(())
}

/// Both servers in turn, as often as there are rounds.
async fn compare(options: &Options, scenario: &'static Scenario) -> Result<Outcome, Error> {
    let calibration = Calibration::of(scenario.limit)?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        if let Some(bao) = &options.bao {
            theirs.push(measure(options, scenario, Kind::OpenBao, bao).await?);
        }
        ours.push(measure(options, scenario, Kind::Signet, &options.signet).await?);
    }
    Ok(Outcome {
        scenario,
        calibration,
        openbao: options.bao.as_ref().map(|_| Figures::mean(&theirs)),
        signet: Figures::mean(&ours),
    })
}

async fn measure(
    options: &Options,
    scenario: &Scenario,
    kind: Kind,
    program: &Path,
) -> Result<Figures, Error> {
    let server = Server::start(kind, program).await?;
    let work = scenario.prepare(&server).await?;
    let repeated = work.repeated().map(<[u8]>::to_vec);
    let cpu_before = server.cpu_time()?;
    let (connections, duration) = (options.connections, options.duration());
    let done = load::run(server.address, work, connections, duration, Pace::Closed).await?;
    let cpu = server.cpu_time()?.saturating_sub(cpu_before);
    let mut figures = Figures {
        per_second: done.per_second(),
        cpu_micros: cpu.as_secs_f64() * 1e6 / count(done.count().max(1)),
        p50_millis: done.percentile_millis(50),
        p99_millis: done.percentile_millis(99),
        resident_mib: server.resident_mib()?,
        p99_millis_at_half_rate: None,
        per_second_by_wrk: None,
    };
    if let Some((program, request)) = options.wrk.as_ref().zip(repeated) {
        let rate = wrk::rate(program, server.address, &request, connections, duration);
        figures.per_second_by_wrk = Some(rate.await?);
    }
    drop(server);
    if options.open_loop {
        let server = Server::start(kind, program).await?;
        let work = scenario.prepare(&server).await?;
        let pace = Pace::Open(figures.per_second / 2.0);
        let done = load::run(server.address, work, connections, duration, pace).await?;
        figures.p99_millis_at_half_rate = Some(done.percentile_millis(99));
    }
    Ok(figures)
}

/// On standard error, in one line that the next replaces.
fn progress(text: &str) {
    let mut err = std::io::stderr();
    let _ = write!(err, "\r\x1b[K{text}");
    let _ = err.flush();
}

/// Exact for any count that a run can reach.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
