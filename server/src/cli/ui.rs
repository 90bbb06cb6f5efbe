//! Where commands write to, and how they end.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

/// The streams of one run. A reader that has gone away (`signet list … | head`) is no error.
pub(crate) struct Ui<'a> {
    pub(crate) out: Box<dyn Write + 'a>,
    pub(crate) err: Box<dyn Write + 'a>,
    pub(crate) input: Box<dyn BufRead + 'a>,
    /// Raw fields get a closing newline on a terminal and none in a pipe.
    pub(crate) out_is_terminal: bool,
}

impl Ui<'_> {
    pub(crate) fn of_process() -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Box::new(io::stdin().lock()),
            out_is_terminal: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn line(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.out, "{text}");
    }

    pub(crate) fn raw(&mut self, text: &[u8]) {
        let _ = self.out.write_all(text);
        if self.out_is_terminal {
            let _ = self.out.write_all(b"\n");
        }
        let _ = self.out.flush();
    }

    pub(crate) fn warn(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Everything on the standard input, at most 32 MiB.
    pub(crate) fn read_input(&mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = (&mut self.input)
            .take(INPUT_LIMIT_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if u64::try_from(read).is_ok_and(|read| read <= INPUT_LIMIT_BYTES) {
            Ok(bytes)
        } else {
            Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "input is too large",
            ))
        }
    }

    /// Asks on the terminal without echo.
    pub(crate) fn ask_hidden(&mut self, prompt: &str) -> io::Result<Zeroizing<String>> {
        if !io::stdin().is_terminal() {
            self.line(prompt);
            return Err(io::Error::other("file descriptor 0 is not a terminal"));
        }
        let _ = write!(self.out, "{prompt}");
        let _ = self.out.flush();
        let answer = Zeroizing::new(rpassword::read_password()?);
        Ok(Zeroizing::new(answer.trim().to_owned()))
    }
}

impl fmt::Debug for Ui<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ui").finish_non_exhaustive()
    }
}

/// Why a command stops before its ordinary end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The server or a file refused: to the error stream, exit 2.
    Failed(String),
    /// The whole purpose was this text (`-output-curl-string`): to the output, exit 0.
    Printed(String),
    /// Everything has been said.
    Quiet(u8),
    /// The command line is wrong: to the error stream, exit 1.
    Usage(String),
}

pub(crate) type Outcome = Result<(), Stop>;

impl Stop {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

/// Breaks paragraphs into lines of at most `width` characters that are about equally long: of all
/// ways to break between words, the one with the least sum of squared gaps at the ends of lines.
/// Only a word longer than `width` makes a longer line.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let paragraphs: Vec<String> = text
        .split('\n')
        .map(|paragraph| {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            wrap_words(&words, width)
        })
        .collect();
    paragraphs.join("\n")
}

fn wrap_words(words: &[&str], width: usize) -> String {
    let lengths: Vec<usize> = words.iter().map(|word| word.chars().count()).collect();
    // For every suffix of the words: its least cost, and how many words its first line takes.
    let mut best = vec![(0_usize, 0_usize); words.len() + 1];
    for start in (0..words.len()).rev() {
        let mut chosen: Option<(usize, usize)> = None;
        let mut length = 0;
        for (count, word) in lengths.iter().skip(start).enumerate() {
            length += word + usize::from(count > 0);
            if length > width && count > 0 {
                break;
            }
            let taken = count + 1;
            let rest = best.get(start + taken).map_or(0, |(cost, _)| *cost);
            let gap = width.saturating_sub(length);
            let is_last = start + taken == words.len();
            let cost = if is_last { 0 } else { gap * gap + rest };
            if chosen.is_none_or(|(least, _)| cost < least) {
                chosen = Some((cost, taken));
            }
        }
        if let (Some(slot), Some(chosen)) = (best.get_mut(start), chosen) {
            *slot = chosen;
        }
    }
    let mut lines = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let start = words.len() - rest.len();
        let taken = best.get(start).map_or(1, |(_, taken)| (*taken).max(1));
        let (line, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
        lines.push(line.join(" "));
        rest = after;
    }
    lines.join("\n")
}

/// Width of running text on the terminal.
pub(crate) const LINE_WIDTH: usize = 78;

const INPUT_LIMIT_BYTES: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_between_words_and_keeps_paragraphs() {
        assert_eq!(wrap("aa bb cc", 5), "aa bb\ncc");
        assert_eq!(wrap("aa\n\nbb", 5), "aa\n\nbb");
        assert_eq!(wrap("abcdefgh ij", 5), "abcdefgh\nij");
        assert_eq!(wrap("", 5), "");
    }

    #[test]
    fn makes_lines_about_equally_long() {
        let text = "Success! You are now authenticated. The token information displayed below is \
                    already stored in the token helper. You do NOT need to run \"vault login\" \
                    again. Future Vault requests will automatically use this token.";
        assert_eq!(
            wrap(text, LINE_WIDTH),
            "Success! You are now authenticated. The token information displayed below\n\
             is already stored in the token helper. You do NOT need to run \"vault login\"\n\
             again. Future Vault requests will automatically use this token."
        );
    }
}
