//! Compares a running server with the recorded behaviour of the reference, over the wire.

mod case;
mod certificate;
mod compare;
mod exceptions;
mod names;
mod redact;
mod report;
mod runner;
mod server;
mod suites;
mod wire;

use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::exceptions::Exceptions;
use crate::names::NAMES;
use crate::report::Tally;
use crate::server::{Ports, Target};
use crate::suites::{HVAC, Run};

/// Compares a running server with the recorded behaviour of the reference, over the wire.
#[derive(Debug, Parser)]
struct Arguments {
    /// `cases` for all folders of cases, one of the folders, `hvac` or `names`; default: everything
    suites: Vec<String>,
    /// `signet`, `openbao`, or the http:// address of a running server, whose root token is in
    /// `VAULT_TOKEN`
    #[arg(long, default_value = "signet")]
    against: String,
    /// The signet program; default: beside this one
    #[arg(long)]
    signet: Option<PathBuf>,
    /// The bao program; default: what `SIGNET_TEST_BAO` names
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
    let against = if arguments.record {
        "openbao"
    } else {
        &arguments.against
    };
    let target = target(against, arguments)?;
    // The exceptions are Signet's; the reference must behave as recorded.
    let exceptions = match target {
        Target::OpenBao(_) => Exceptions::default(),
        _ => Exceptions::load(&home.join("exceptions.toml"))?,
    };
    let with_names = arguments.suites.is_empty() || arguments.suites.iter().any(|it| it == NAMES);
    let (areas, with_hvac) = chosen(&arguments.suites, suites::areas(&home)?)?;
    let mut run = Run {
        target: &target,
        ports: Ports::new(arguments.ports.clone().unwrap_or(0..=0)),
        home,
        exceptions,
        record: arguments.record,
        out: io::stdout().lock(),
        ran: Vec::new(),
    };
    let mut tallies = Vec::new();
    for area in areas {
        tallies.push(run.area(&area)?);
    }
    if with_hvac && !arguments.record {
        tallies.push(run.hvac()?);
    }
    if with_names && matches!(target, Target::Signet(_)) {
        tallies.push(match self::target("openbao", arguments) {
            Ok(theirs) => {
                let (rounds, seed) = (arguments.rounds, arguments.seed);
                names::play(&target, &theirs, &mut run.ports, rounds, seed, &mut run.out)?
            }
            Err(reason) => {
                let mut tally = Tally::new(NAMES);
                tally.skip(1, &reason.to_string());
                tally
            }
        });
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
    Ok(report::conclude(&tallies, &mut run.out)?)
}

/// The folders of cases, and whether the Python client runs too.
fn chosen(asked: &[String], areas: Vec<String>) -> Result<(Vec<String>, bool), String> {
    let known =
        |name: &String| ["cases", HVAC, NAMES].contains(&name.as_str()) || areas.contains(name);
    if let Some(unknown) = asked.iter().find(|name| !known(name)) {
        return Err(format!(
            "no suite {unknown}; there are cases, {}, {HVAC}, {NAMES}",
            areas.join(", ")
        ));
    }
    let all = asked.is_empty();
    let all_cases = all || asked.iter().any(|name| name == "cases");
    let with_hvac = all || asked.iter().any(|name| name == HVAC);
    let areas = areas
        .into_iter()
        .filter(|area| all_cases || asked.contains(area))
        .collect();
    Ok((areas, with_hvac))
}

fn target(against: &str, arguments: &Arguments) -> Result<Target, Box<dyn std::error::Error>> {
    match against {
        "signet" => {
            let program = match &arguments.signet {
                Some(program) => program.clone(),
                None => std::env::current_exe()?.with_file_name("signet"),
            };
            Ok(Target::Signet(program))
        }
        "openbao" => arguments
            .bao
            .clone()
            .or_else(|| std::env::var_os("SIGNET_TEST_BAO").map(PathBuf::from))
            .map(Target::OpenBao)
            .ok_or_else(|| "name the reference with --bao or SIGNET_TEST_BAO".into()),
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

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or("a range is first-last")?;
    let port = |text: &str| text.parse::<u16>().map_err(|error| error.to_string());
    Ok(port(first)?..=port(last)?)
}
