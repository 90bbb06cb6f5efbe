//! Plays the folders below `cases/`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::report::Tally;
use crate::runner::{Outcome, Runner};
use crate::server::{Mode, Server, Target};
use crate::suites::Run;

/// The folders below `cases/`, in order.
pub(crate) fn areas(home: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(home.join("cases"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != "material" {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl<W: Write> Run<'_, W> {
    /// All cases of a folder; those that can share a server do.
    pub(crate) fn area(&mut self, area: &str) -> Result<Tally, Box<dyn std::error::Error>> {
        let mut tally = Tally::new(area);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.home.join("cases").join(area))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        let mut shared: Option<Server> = None;
        for path in paths {
            let mut case = Case::load(&path)?;
            if let (Target::Running { .. }, Mode::Configured) = (self.target, case.server) {
                tally.skip(case.step.len(), "needs a server that is not initialized");
                continue;
            }
            if case.server == Mode::Configured {
                let server = Server::start(self.target, case.server, &mut self.ports)?;
                self.case(&server, &mut case, &mut tally)?;
                continue;
            }
            if shared.as_mut().is_none_or(|server| !server.is_alive()) {
                shared = Some(Server::start(self.target, Mode::Dev, &mut self.ports)?);
            }
            if let Some(server) = &shared {
                self.case(server, &mut case, &mut tally)?;
            }
        }
        Ok(tally)
    }

    fn case(
        &mut self,
        server: &Server,
        case: &mut Case,
        tally: &mut Tally,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let name = case.name();
        let materials = self.home.join("cases/material");
        let outcomes = Runner::new(server, &materials).play(case);
        if self.record {
            return self.write_down(case, outcomes, tally);
        }
        let mut failed = 0;
        for (index, step) in case.step.iter().enumerate() {
            let number = index + 1;
            let Some(outcome) = outcomes.get(index) else {
                failed += 1;
                continue;
            };
            let (allowed, unexpected): (Vec<_>, Vec<_>) = outcome
                .differences
                .iter()
                .partition(|difference| self.exceptions.allow(&name, number, difference));
            if step.expect.is_none() {
                tally.skip(1, "not recorded");
            } else if !unexpected.is_empty() {
                failed += 1;
                writeln!(self.out, "{name} step {number}: {}", step.request)?;
                for difference in unexpected {
                    writeln!(self.out, "    {difference}")?;
                }
            } else if !allowed.is_empty() {
                tally.diverging += 1;
            } else {
                tally.passed += 1;
            }
            if let Some(reason) = &outcome.fatal {
                writeln!(
                    self.out,
                    "{name} step {number}: the case ends here: {reason}"
                )?;
            }
        }
        tally.failed += failed;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        writeln!(self.out, "{name}: {verdict}")?;
        self.ran.push(name);
        Ok(())
    }

    fn write_down(
        &mut self,
        case: &mut Case,
        outcomes: Vec<Outcome>,
        tally: &mut Tally,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let name = case.name();
        for (number, outcome) in (1..).zip(&outcomes) {
            if let Some(reason) = &outcome.fatal {
                writeln!(
                    self.out,
                    "{name} step {number}: cannot record: {reason}: {:?}",
                    outcome.got
                )?;
                tally.failed += 1;
            }
        }
        tally.passed += outcomes.len();
        for (step, outcome) in case.step.iter_mut().zip(outcomes) {
            step.expect = Some(outcome.got);
        }
        case.save()?;
        writeln!(self.out, "{name}: recorded")?;
        Ok(())
    }
}
