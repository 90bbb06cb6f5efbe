//! Foreign programs and recorded answers against a running server, over the wire.

mod case;
mod cases;
mod certificate;
mod compare;
mod exceptions;
mod names;
mod program;
mod redact;
mod report;
mod runner;
mod server;
mod suites;
mod tools;
mod wire;

use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::exceptions::Exceptions;
use crate::names::NAMES;
use crate::report::Tally;
use crate::server::{Ports, Target};
use crate::suites::{Run, Suite};

/// Foreign programs and recorded answers against a running server, over the wire.
///
/// Installs what the suites need from the package registries, starts the servers, and ends with a table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Names of suites (`--list` shows them), `cases` for all folders of cases, or one of the
    /// folders; default: all that are not run on demand only
    suites: Vec<String>,
    /// `signet`, `openbao`, or the http:// address of a running server, whose root token is in
    /// `VAULT_TOKEN`
    #[arg(long, default_value = "signet")]
    against: String,
    /// The signet program; default: built beside this one
    #[arg(long)]
    signet: Option<PathBuf>,
    /// The bao program; default: what `SIGNET_TEST_BAO` names, else installed into .cache/
    #[arg(long)]
    bao: Option<PathBuf>,
    /// How many random roles the suite `names` tries
    #[arg(long, default_value_t = 300)]
    rounds: u64,
    /// Where the random numbers of the suite `names` begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write down what OpenBao answers as what is expected
    #[arg(long)]
    record: bool,
    /// Ports for the servers, as `first-last`; default: any free one
    #[arg(long, value_parser = port_range)]
    ports: Option<RangeInclusive<u16>>,
    /// Show the suites and what they are for
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut out = io::stdout().lock();
    let areas = cases::areas(&home)?;
    if arguments.list {
        suites::describe(&areas, &mut out)?;
        return Ok(true);
    }
    let mut chosen = suites::choose(&arguments.suites, &areas)?;
    if arguments.record {
        chosen.retain(|suite| matches!(suite, Suite::Cases(_)));
    }
    let target = target(arguments)?;
    // The exceptions are Signet's; the reference must behave as recorded.
    let exceptions = match target {
        Target::OpenBao(_) => Exceptions::default(),
        _ => Exceptions::load(&home.join("exceptions.toml"))?,
    };
    let mut run = Run {
        target: &target,
        ports: Ports::new(arguments.ports.clone().unwrap_or(0..=0)),
        home,
        exceptions,
        record: arguments.record,
        out,
        ran: Vec::new(),
    };
    let mut tallies = Vec::new();
    for (number, suite) in (1..).zip(&chosen) {
        writeln!(run.out, "== {suite} ({number} of {})", chosen.len())?;
        let started = Instant::now();
        let played = match suite {
            Suite::Cases(area) => run.area(area),
            Suite::Program(program) => run.program(program),
            Suite::Names => names(&mut run, arguments),
        };
        // One suite that cannot run does not keep the others from it.
        let mut tally = match played {
            Ok(tally) => tally,
            Err(error) => {
                writeln!(run.out, "{suite}: {error}")?;
                Tally::broken(suite)
            }
        };
        tally.seconds = started.elapsed().as_secs();
        tallies.push(tally);
    }
    let unused = run.exceptions.unused(&run.ran);
    if !unused.is_empty() {
        let mut tally = Tally::new("exceptions");
        tally.failed = unused.len();
        for line in unused {
            writeln!(run.out, "{line}")?;
        }
        tallies.push(tally);
    }
    let left_out: Vec<&str> = suites::PROGRAMS
        .iter()
        .filter(|program| program.on_demand && arguments.suites.is_empty())
        .map(|program| program.name)
        .collect();
    Ok(report::conclude(&tallies, &left_out, &mut run.out)?)
}

/// Needs both servers, whichever of them is the target.
fn names<W: io::Write>(
    run: &mut Run<'_, W>,
    arguments: &Arguments,
) -> Result<Tally, Box<dyn std::error::Error>> {
    if !matches!(run.target, Target::Signet(_)) {
        let mut tally = Tally::new(NAMES);
        tally.skip(
            1,
            "compares Signet with the reference, which are not the target",
        );
        return Ok(tally);
    }
    let theirs = reference(arguments)?;
    let Arguments { rounds, seed, .. } = *arguments;
    let tally = names::play(
        run.target,
        &theirs,
        &mut run.ports,
        rounds,
        seed,
        &mut run.out,
    )?;
    Ok(tally)
}

fn target(arguments: &Arguments) -> Result<Target, Box<dyn std::error::Error>> {
    let against = if arguments.record {
        "openbao"
    } else {
        &arguments.against
    };
    match against {
        "signet" => Ok(Target::Signet(match &arguments.signet {
            Some(program) => program.clone(),
            None => tools::signet()?,
        })),
        "openbao" => reference(arguments),
        url => {
            let address = url
                .strip_prefix("http://")
                .ok_or("--against takes signet, openbao or an http:// address")?
                .trim_end_matches('/');
            let token = std::env::var_os("VAULT_TOKEN").unwrap_or_default();
            Ok(Target::Running {
                address: address.to_owned(),
                token: token.to_string_lossy().into_owned(),
            })
        }
    }
}

fn reference(arguments: &Arguments) -> Result<Target, Box<dyn std::error::Error>> {
    Ok(Target::OpenBao(match &arguments.bao {
        Some(program) => program.clone(),
        None => tools::reference()?,
    }))
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or("a range is first-last")?;
    let port = |text: &str| text.parse::<u16>().map_err(|error| error.to_string());
    Ok(port(first)?..=port(last)?)
}
