//! Runs the suites that are programs, and counts what they print.

use std::io::{BufRead as _, BufReader, Write};
use std::process::{Command, Stdio};

use crate::report::Tally;
use crate::server::{Mode, Server, Target};
use crate::suites::{Program, Run};

impl<W: Write> Run<'_, W> {
    /// Runs `<folder>/run` with a development server. Each line that begins with `ok`, `FAILED` or
    /// `skipped` is a check; a reason for skipping follows a colon and a blank.
    ///
    /// The program finds the server in `VAULT_ADDR` and `VAULT_TOKEN`, its kind (`signet`, `openbao`
    /// or `running`) in `CONFORMANCE_AGAINST`, the program of the server in `CONFORMANCE_SERVER` unless
    /// somebody else runs it, and the keys and certificates of the cases in `CONFORMANCE_MATERIAL`.
    pub(crate) fn program(
        &mut self,
        program: &'static Program,
    ) -> Result<Tally, Box<dyn std::error::Error>> {
        let mut tally = Tally::new(program.name);
        let server = Server::start(self.target, Mode::Dev, &mut self.ports)?;
        let folder = self.home.join(program.name);
        let mut command = Command::new(folder.join("run"));
        command
            .current_dir(&folder)
            .env("VAULT_ADDR", format!("http://{}", server.address))
            .env("VAULT_TOKEN", &server.token)
            .env("CONFORMANCE_MATERIAL", self.home.join("cases/material"))
            .env("CONFORMANCE_AGAINST", self.target.kind())
            .env_remove("CONFORMANCE_SERVER")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Target::Signet(server) | Target::OpenBao(server) = self.target {
            command.env("CONFORMANCE_SERVER", std::path::absolute(server)?);
        }
        let mut child = command.spawn()?;
        for line in child
            .stdout
            .take()
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines())
        {
            let line = line?;
            writeln!(self.out, "{}: {line}", program.name)?;
            count(&mut tally, &line);
        }
        if !child.wait()?.success() && tally.failed == 0 {
            writeln!(self.out, "{}: the program broke off", program.name)?;
            tally.failed += 1;
        }
        if tally.is_empty() {
            writeln!(self.out, "{}: nothing was checked", program.name)?;
            tally.failed += 1;
        }
        Ok(tally)
    }
}

fn count(tally: &mut Tally, line: &str) {
    match line.split_whitespace().next() {
        Some("ok") => tally.passed += 1,
        Some("FAILED") => tally.failed += 1,
        Some("skipped") => {
            let reason = line
                .split_once(": ")
                .map_or("see above", |(_, reason)| reason);
            tally.skip(1, reason);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_verdicts_and_passes_over_the_rest() {
        let mut tally = Tally::new("x");
        for line in [
            "compiling",
            "ok one",
            "ok two: with a colon",
            "FAILED three: why",
            "skipped four: no network",
            "skipped five: no network",
            "skipped six",
            "okay",
        ] {
            count(&mut tally, line);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped), (2, 1, 3));
        assert_eq!(tally.reasons, ["no network", "see above"]);
    }
}
