//! Suites that are programs of their own.

use std::io::{self, BufRead as _, BufReader, Write};
use std::process::{Command, Stdio};

use crate::report::Tally;
use crate::server::{Mode, Server, Target};
use crate::suites::{Program, Run};

impl<W: Write> Run<'_, W> {
    /// Runs `<folder>/run` with a development server.
    ///
    /// The program finds the server in `VAULT_ADDR` and `VAULT_TOKEN`, its kind (`signet`, `openbao`
    /// or `running`) in `CONFORMANCE_AGAINST`, the program of the server in `CONFORMANCE_SERVER` unless
    /// somebody else runs it, and the keys and certificates of the cases in `CONFORMANCE_MATERIAL`.
    pub(crate) fn program(
        &mut self,
        program: &'static Program,
    ) -> Result<Tally, Box<dyn std::error::Error>> {
        let server = Server::start(self.target, Mode::Dev, &mut self.ports)?;
        let folder = self.home.join(program.name);
        let mut command = Command::new(folder.join("run"));
        command
            .current_dir(&folder)
            .env("VAULT_ADDR", format!("http://{}", server.address))
            .env("VAULT_TOKEN", &server.token)
            .env("CONFORMANCE_MATERIAL", self.home.join("cases/material"))
            .env("CONFORMANCE_AGAINST", self.target.kind())
            .env_remove("CONFORMANCE_SERVER");
        if let Target::Signet(server) | Target::OpenBao(server) = self.target {
            command.env("CONFORMANCE_SERVER", std::path::absolute(server)?);
        }
        Ok(listen(program.name, &mut command, &mut self.out)?)
    }
}

/// Runs a program to its end and counts what it says: each line that begins with `ok`, `FAILED` or `skipped` is a check; a
/// reason for skipping follows a colon and a blank. A program that ends badly without a word, or says nothing, has failed.
fn listen(name: &str, command: &mut Command, out: &mut impl Write) -> io::Result<Tally> {
    let mut tally = Tally::new(name);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|pipe| BufReader::new(pipe).split(b'\n'))
    {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(out, "{name}: {line}")?;
        count(&mut tally, &line);
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        writeln!(out, "{name}: the program broke off: {status}")?;
        tally.failed += 1;
    }
    if tally.is_empty() {
        writeln!(out, "{name}: nothing was checked")?;
        tally.failed += 1;
    }
    Ok(tally)
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

    /// What a shell script counts as: passed, failed, skipped; and what was shown.
    fn counted(script: &str) -> ((usize, usize, usize), String) {
        let mut out = Vec::new();
        let mut command = Command::new("sh");
        let tally = listen("x", command.args(["-c", script]), &mut out).unwrap();
        let counts = (tally.passed, tally.failed, tally.skipped);
        (counts, String::from_utf8(out).unwrap())
    }

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

    #[test]
    fn a_program_that_ends_well_counts_as_it_says() {
        let (counts, shown) = counted("echo ok one; echo skipped two: no network");
        assert_eq!(counts, (1, 0, 1));
        assert_eq!(shown, "x: ok one\nx: skipped two: no network\n");
    }

    #[test]
    fn a_program_that_says_nothing_has_failed() {
        assert_eq!(counted("exit 0").0, (0, 1, 0));
        assert_eq!(counted("echo compiling").0, (0, 1, 0));
    }

    #[test]
    fn a_program_that_dies_has_failed() {
        for script in [
            "exit 3",
            "echo ok one; exit 3",
            "echo ok one; kill -9 $$",
            "echo skipped all: why; kill -9 $$",
        ] {
            let (counts, shown) = counted(script);
            assert_eq!(counts.1, 1, "{script}");
            assert!(shown.contains("the program broke off: "), "{shown}");
        }
    }

    #[test]
    fn a_failure_that_was_told_is_counted_once() {
        assert_eq!(counted("echo FAILED one; exit 1").0, (0, 1, 0));
        assert_eq!(counted("echo FAILED one; exit 0").0, (0, 1, 0));
    }

    #[test]
    fn output_that_is_no_text_is_passed_over() {
        assert_eq!(counted("printf '\\377\\n'; echo ok one").0, (1, 0, 0));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let mut command = Command::new("/nowhere/run");
        assert!(listen("x", &mut command, &mut Vec::new()).is_err());
    }
}
