//! Shows command lines as a reader would type them, runs them, and shows what they answer.

use std::fmt;
use std::io::{Cursor, Write};
use std::path::Path;

use tempfile::TempDir;

use crate::cli;
use crate::cli::ui::{Outcome, Stop, Ui};
use crate::config::env::Environment;

/// A terminal whose working directory is a temporary one, and which has its own environment.
pub(super) struct Stage<'a, 'b> {
    ui: &'a mut Ui<'b>,
    address: String,
    token: String,
    directory: TempDir,
}

impl<'a, 'b> Stage<'a, 'b> {
    pub(super) fn new(ui: &'a mut Ui<'b>, address: String) -> Result<Self, Stop> {
        let directory = tempfile::Builder::new()
            .prefix("signet-demo-")
            .tempdir()
            .map_err(|error| Stop::failed(format!("demo: no temporary directory: {error}")))?;
        Ok(Self {
            ui,
            address,
            token: String::new(),
            directory,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.ui.line(format_args!("\n== {text}\n"));
    }

    pub(super) fn line(&mut self, text: impl fmt::Display) {
        self.ui.line(text);
    }

    /// What the reader should know before the next command.
    pub(super) fn note(&mut self, text: impl fmt::Display) {
        self.ui.line(format_args!("# {text}"));
    }

    /// From now on commands are sent with this token.
    pub(super) fn use_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
        self.ui.line(format_args!("$ export VAULT_TOKEN={token}"));
    }

    /// Runs a command and shows what it prints.
    pub(super) fn run(&mut self, words: &[&str]) -> Outcome {
        self.ui.line(shown(words, ""));
        let output = self.output_of(words, "")?;
        self.print(&output);
        Ok(())
    }

    /// As [`Self::run`] with `input` on the standard input of the command.
    pub(super) fn run_with_input(&mut self, words: &[&str], input: &str) -> Outcome {
        self.ui.line(shown(words, " <<EOF"));
        self.ui.line(format_args!("{}\nEOF", input.trim_end()));
        let output = self.output_of(words, input)?;
        self.print(&output);
        Ok(())
    }

    /// As [`Self::run`], and gives back what was printed.
    pub(super) fn run_and_keep(&mut self, words: &[&str]) -> Result<String, Stop> {
        self.ui.line(shown(words, ""));
        let output = self.output_of(words, "")?;
        self.print(&output);
        Ok(output)
    }

    /// Runs a command whose output goes into a pipe or a file, which `rest` shows.
    pub(super) fn capture(&mut self, words: &[&str], rest: &str) -> Result<String, Stop> {
        self.ui.line(shown(words, &format!(" {rest}")));
        self.output_of(words, "")
    }

    pub(super) fn write(&self, name: &str, content: &str) -> Outcome {
        std::fs::write(self.directory.path().join(name), content)
            .map_err(|error| Stop::failed(format!("demo: {name}: {error}")))
    }

    fn print(&mut self, output: &str) {
        let _ = writeln!(self.ui.out, "{}\n", output.trim_end());
    }

    fn output_of(&mut self, words: &[&str], input: &str) -> Result<String, Stop> {
        let environment: Environment = [
            ("VAULT_ADDR".to_owned(), self.address.clone()),
            ("VAULT_TOKEN".to_owned(), self.token.clone()),
        ]
        .into_iter()
        .collect();
        let here = format!("=@{}/", self.directory.path().display());
        let arguments = words.iter().map(|word| word.replacen("=@", &here, 1));
        let mut output = Vec::new();
        let mut ui = Ui {
            out: Box::new(&mut output),
            err: Box::new(&mut self.ui.err),
            input: Box::new(Cursor::new(input)),
            out_is_terminal: false,
        };
        let code = cli::run_with(arguments.collect(), &environment, &mut ui);
        drop(ui);
        if code != 0 {
            return Err(Stop::failed(format!(
                "demo: the last command ended with exit code {code}"
            )));
        }
        String::from_utf8(output)
            .map_err(|_| Stop::failed("demo: the last command printed what is not text"))
    }
}

/// A command as it would be typed, its fields one a line when they are many.
fn shown(words: &[&str], rest: &str) -> String {
    let fields_start = words
        .iter()
        .rposition(|word| !word.contains('='))
        .map_or(0, |last| last + 1);
    let many = words.len() - fields_start > 2;
    let mut line = "$".to_owned();
    for (index, word) in words.iter().enumerate() {
        let before = if many && index >= fields_start {
            " \\\n    "
        } else {
            " "
        };
        line.push_str(before);
        line.push_str(&quoted(word));
    }
    line.push_str(rest);
    line
}

/// A word in quotes where a shell needs them.
fn quoted(word: &str) -> String {
    if !word.contains([' ', '*']) {
        return word.to_owned();
    }
    match word.split_once('=') {
        Some((name, value)) => format!("{name}=\"{value}\""),
        None => format!("\"{word}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_short_command_on_one_line() {
        let words = ["vault", "secrets", "tune", "-max-lease-ttl=1h", "pki"];
        assert_eq!(
            shown(&words, ""),
            "$ vault secrets tune -max-lease-ttl=1h pki"
        );
    }

    #[test]
    fn quotes_values_with_blanks_and_breaks_long_commands() {
        let words = ["vault", "write", "pki/roles/x", "a=1", "ou=A B", "c="];
        assert_eq!(
            shown(&words, " > file"),
            "$ vault write pki/roles/x \\\n    a=1 \\\n    ou=\"A B\" \\\n    c= > file"
        );
    }
}
