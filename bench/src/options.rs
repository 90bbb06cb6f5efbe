//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::scenario::{SCENARIOS, Scenario};
use crate::{keys_ahead, mesh, scale};

#[derive(Default)]
pub(crate) struct Options {
    /// Of each measurement.
    pub(crate) seconds: u64,
    /// How often both servers take turns.
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
    pub(crate) signet: PathBuf,
    /// `None`: Signet alone.
    pub(crate) bao: Option<PathBuf>,
    /// Measure latency at half of the rate too.
    pub(crate) open_loop: bool,
    pub(crate) startup: bool,
    pub(crate) scale: bool,
    pub(crate) mesh_burst: bool,
    pub(crate) rsa_burst: bool,
    /// Of `mesh-burst`.
    pub(crate) clients: usize,
    /// Cross-check of the own generator.
    pub(crate) wrk: Option<PathBuf>,
    /// At how many of them `pki-scale` measures.
    pub(crate) certificates: Vec<usize>,
    /// Certificates of the filled store.
    pub(crate) fill: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) chart: Option<PathBuf>,
    pub(crate) scenarios: Vec<&'static Scenario>,
}

const USAGE: &str = "\
usage: signet-bench [options] [scenario...]

  --seconds N       of each measurement (5)
  --rounds N        how often both servers take turns (1)
  --connections N   (32)
  --signet PATH     (target/release/signet)
  --bao PATH        (.cache/venv/bin/bao)
  --alone           Signet without OpenBao
  --clients N       of the burst on the Istio CSR API (10000)
  --wrk PATH        ask the same with wrk too, where one request is repeated
  --open-loop       latency at half of the rate too
  --certificates N,N  of the store that `pki-scale` measures (1000,100000)
  --fill N          certificates of the store that `startup` fills (1000000)
  --json PATH       write the figures
  --chart PATH      write an SVG

Scenarios (all but the last four when none is named):";

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut arguments = arguments;
        let mut options = Self {
            seconds: 5,
            rounds: 1,
            connections: 32,
            signet: "target/release/signet".into(),
            bao: Some(".cache/venv/bin/bao".into()),
            fill: 1_000_000,
            clients: 10_000,
            certificates: vec![1_000, 100_000],
            ..Self::default()
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => options.seconds = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--connections" => options.connections = value()?.parse()?,
                "--signet" => options.signet = value()?.into(),
                "--bao" => options.bao = Some(value()?.into()),
                "--alone" => options.bao = None,
                "--open-loop" => options.open_loop = true,
                "--certificates" => {
                    let numbers = value()?;
                    let numbers = numbers.split(',').map(str::parse);
                    options.certificates = numbers.collect::<Result<_, _>>()?;
                }
                "--fill" => options.fill = value()?.parse()?,
                "--json" => options.json = Some(value()?.into()),
                "--chart" => options.chart = Some(value()?.into()),
                "--clients" => options.clients = value()?.parse()?,
                "--wrk" => options.wrk = Some(value()?.into()),
                "startup" => options.startup = true,
                mesh::NAME => options.mesh_burst = true,
                keys_ahead::NAME => options.rsa_burst = true,
                scale::NAME => options.scale = true,
                name => {
                    let named = SCENARIOS.iter().find(|scenario| scenario.name == name);
                    options.scenarios.push(named.ok_or_else(usage)?);
                }
            }
        }
        let others = [
            options.startup,
            options.scale,
            options.mesh_burst,
            options.rsa_burst,
        ];
        if options.scenarios.is_empty() && !others.contains(&true) {
            options.scenarios = SCENARIOS.iter().collect();
        }
        Ok(options)
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn usage() -> Error {
    let names: Vec<String> = SCENARIOS
        .iter()
        .map(|scenario| format!("  {:<17} {}", scenario.name, scenario.about))
        .collect();
    let startup = "  startup           start to first answer, empty and with a filled store";
    let scale = "  pki-scale         what a growing store costs";
    let mesh = "  mesh-burst        clients of the Istio CSR API, all at once";
    let rsa = "  rsa-burst         RSA-2048 certificates from keys made ahead";
    format!(
        "{USAGE}\n{}\n{startup}\n{scale}\n{mesh}\n{rsa}",
        names.join("\n")
    )
    .into()
}
