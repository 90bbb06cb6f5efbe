//! Go's command line syntax, turned into one that clap reads without doubt.
//!
//! Flags have one dash or two, take `-name value` or `-name=value`, and end at the first word that
//! is none. The commands declared to clap say which flags exist and which of them take a value.

use clap::{Arg, ArgAction, Command};

use crate::cli::ui::Stop;

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// `-autocomplete-install` and its counterpart.
    Autocomplete,
    /// Help on the command of this path; the root when empty.
    Help(Vec<String>),
    /// A line for clap, without the program's name.
    Run {
        line: Vec<String>,
        /// Words that look like flags but stand behind the first argument.
        misplaced: Vec<String>,
    },
    /// Help, because the line names no command, or none that exists, or not clearly.
    Unclear {
        path: Vec<String>,
        reason: Option<&'static str>,
    },
    Version,
}

/// # Errors
/// [`Stop::Usage`] in Go's words, for an unknown flag or a missing or malformed value.
pub(crate) fn understand(root: &Command, arguments: &[String]) -> Result<Request, Stop> {
    let asks_help = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| is_help(argument));
    let mut command = root;
    let mut path = Vec::new();
    let mut rest = arguments.iter();
    while command.has_subcommands() {
        let Some(word) = rest.find(|word| !(asks_help && is_help(word))) else {
            return Ok(if asks_help {
                Request::Help(path)
            } else {
                Request::Unclear { path, reason: None }
            });
        };
        if path.is_empty() && word.starts_with('-') {
            return Ok(before_the_command(root, word, arguments));
        }
        let Some(found) = command.find_subcommand(word) else {
            return Ok(Request::Unclear { path, reason: None });
        };
        path.push(found.get_name().to_owned());
        command = found;
    }
    if asks_help {
        return Ok(Request::Help(path));
    }
    let mut words: Vec<&str> = rest.map(String::as_str).collect();
    let mut line = path;
    let arguments_start = take_flags(command, &words, &mut line)?;
    let positional = words.split_off(arguments_start);
    let late = take_late_flags(command, positional, &mut line)?;
    line.push("--".to_owned());
    line.extend(late.positional);
    Ok(Request::Run {
        line,
        misplaced: late.misplaced,
    })
}

fn before_the_command(root: &Command, word: &str, arguments: &[String]) -> Request {
    match word.trim_start_matches('-') {
        "v" | "version" => Request::Version,
        "autocomplete-install" | "autocomplete-uninstall" => Request::Autocomplete,
        _ => Request::Unclear {
            path: arguments
                .iter()
                .find(|word| root.find_subcommand(word).is_some())
                .cloned()
                .into_iter()
                .collect(),
            reason: Some(FLAGS_BEFORE_COMMAND),
        },
    }
}

/// Appends the flags at the start of `words` to `line`; the index of the first argument.
fn take_flags(command: &Command, words: &[&str], line: &mut Vec<String>) -> Result<usize, Stop> {
    let mut index = 0;
    while let Some(word) = words.get(index) {
        index += 1;
        if *word == "--" {
            break;
        }
        if !looks_like_flag(word) {
            return Ok(index - 1);
        }
        let flag = Flag::of(command, word)?;
        let value = match flag.value {
            None if !flag.is_switch() => {
                let value = words.get(index).ok_or_else(|| {
                    Stop::usage(format!("flag needs an argument: -{}", flag.name))
                })?;
                index += 1;
                Some((*value).to_owned())
            }
            given => given.map(str::to_owned),
        };
        line.extend(flag.for_clap(value.as_deref())?);
    }
    Ok(index)
}

struct Late {
    positional: Vec<String>,
    misplaced: Vec<String>,
}

/// A few flags about output are heeded wherever they stand, as Vault's tool does; all others
/// behind the first argument are arguments, and the user is told.
fn take_late_flags(
    command: &Command,
    words: Vec<&str>,
    line: &mut Vec<String>,
) -> Result<Late, Stop> {
    let mut late = Late {
        positional: Vec::new(),
        misplaced: Vec::new(),
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word
            .trim_start_matches('-')
            .split('=')
            .next()
            .unwrap_or_default();
        if looks_like_flag(word)
            && LATE_FLAGS.contains(&name)
            && long_argument(command, name).is_some()
        {
            let flag = Flag::of(command, word)?;
            let value = match flag.value {
                None if !flag.is_switch() => words.next(),
                given => given,
            };
            line.extend(flag.for_clap(value)?);
            continue;
        }
        if looks_like_flag(word) {
            late.misplaced.push(word.to_owned());
        }
        late.positional.push(word.to_owned());
    }
    Ok(late)
}

struct Flag<'a> {
    argument: &'a Arg,
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> Flag<'a> {
    fn of(command: &'a Command, word: &'a str) -> Result<Self, Stop> {
        let body = word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix('-'))
            .unwrap_or(word);
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let argument = long_argument(command, name)
            .ok_or_else(|| Stop::usage(format!("flag provided but not defined: -{name}")))?;
        Ok(Self {
            argument,
            name,
            value,
        })
    }

    fn is_switch(&self) -> bool {
        matches!(self.argument.get_action(), ArgAction::SetTrue)
            || has_optional_value(self.argument)
    }

    fn for_clap(&self, value: Option<&str>) -> Result<Option<String>, Stop> {
        let long = self.argument.get_long().unwrap_or(self.name);
        if !self.is_switch() {
            return Ok(Some(format!("--{long}={}", value.unwrap_or_default())));
        }
        let on = go_bool(value.unwrap_or("true")).ok_or_else(|| {
            let value = value.unwrap_or_default();
            Stop::usage(format!(
                "invalid boolean value \"{value}\" for -{}: strconv.ParseBool: parsing \"{value}\": invalid syntax",
                self.name
            ))
        })?;
        Ok(if has_optional_value(self.argument) {
            Some(format!("--{long}={on}"))
        } else {
            on.then(|| format!("--{long}"))
        })
    }
}

fn has_optional_value(argument: &Arg) -> bool {
    argument
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0 && range.max_values() == 1)
        && matches!(argument.get_action(), ArgAction::Set)
}

fn long_argument<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|argument| {
        argument.get_long() == Some(name)
            || argument
                .get_all_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    })
}

fn looks_like_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn is_help(word: &str) -> bool {
    matches!(word, "-h" | "-help" | "--help")
}

fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

const FLAGS_BEFORE_COMMAND: &str = "Invalid flags before the subcommand. If these flags are for\n\
     the subcommand, please put them after the subcommand.\n";

const LATE_FLAGS: [&str; 3] = ["format", "output-curl-string", "output-policy"];

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let renewable = Arg::new("renewable")
            .long("renewable")
            .action(ArgAction::Set)
            .num_args(0..=1);
        let write = Command::new("write")
            .arg(
                Arg::new("force")
                    .long("force")
                    .alias("f")
                    .action(ArgAction::SetTrue),
            )
            .arg(Arg::new("format").long("format"))
            .arg(Arg::new("limit").long("limit"))
            .arg(renewable)
            .arg(
                Arg::new("arguments")
                    .num_args(0..)
                    .action(ArgAction::Append),
            );
        let list = Command::new("list").arg(Arg::new("format").long("format"));
        Command::new("signet")
            .subcommand(write)
            .subcommand(Command::new("secrets").subcommand(list))
    }

    fn understand_line(line: &[&str]) -> Result<Request, Stop> {
        let line: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        understand(&root(), &line)
    }

    fn run_line(line: &[&str]) -> Vec<String> {
        match understand_line(line).unwrap() {
            Request::Run { line, .. } => line,
            other => panic!("{other:?}"),
        }
    }

    fn usage(line: &[&str]) -> String {
        match understand_line(line) {
            Err(Stop::Usage(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn gives_single_dash_flags_a_second_dash() {
        for line in [
            ["write", "-format=json", "-f", "p"].as_slice(),
            &["write", "--format", "json", "--force=true", "p"],
            &["write", "-format", "json", "-force", "--", "p"],
        ] {
            assert_eq!(
                run_line(line),
                ["write", "--format=json", "--force", "--", "p"],
                "{line:?}"
            );
        }
    }

    #[test]
    fn leaves_values_alone() {
        assert_eq!(
            run_line(&["write", "-limit", "-1", "p", "key=-", "-", "a=-b"]),
            ["write", "--limit=-1", "--", "p", "key=-", "-", "a=-b"]
        );
        assert_eq!(run_line(&["write", "-"]), ["write", "--", "-"]);
    }

    #[test]
    fn switches_can_be_switched_off() {
        assert_eq!(run_line(&["write", "-f=false", "p"]), ["write", "--", "p"]);
        assert_eq!(
            run_line(&["write", "-renewable=0"]),
            ["write", "--renewable=false", "--"]
        );
        assert_eq!(
            run_line(&["write", "-renewable", "p"]),
            ["write", "--renewable=true", "--", "p"]
        );
    }

    #[test]
    fn heeds_format_behind_arguments_and_reports_other_flags_there() {
        let Request::Run { line, misplaced } =
            understand_line(&["write", "p", "-format=json", "-f"]).unwrap()
        else {
            panic!("must run");
        };
        assert_eq!(line, ["write", "--format=json", "--", "p", "-f"]);
        assert_eq!(misplaced, ["-f"]);
    }

    #[test]
    fn refuses_in_the_words_of_go() {
        assert_eq!(
            usage(&["write", "-nope", "p"]),
            "flag provided but not defined: -nope"
        );
        assert_eq!(
            usage(&["write", "-format"]),
            "flag needs an argument: -format"
        );
        assert_eq!(
            usage(&["write", "-f=zz"]),
            "invalid boolean value \"zz\" for -f: strconv.ParseBool: parsing \"zz\": invalid syntax"
        );
    }

    #[test]
    fn finds_help_and_version_requests() {
        assert_eq!(understand_line(&["-h"]).unwrap(), Request::Help(vec![]));
        assert_eq!(
            understand_line(&["secrets", "list", "-help"]).unwrap(),
            Request::Help(vec!["secrets".into(), "list".into()])
        );
        assert!(matches!(
            understand_line(&["write", "a=-h", "--", "-h"]).unwrap(),
            Request::Run { .. }
        ));
        assert_eq!(understand_line(&["-version"]).unwrap(), Request::Version);
    }

    #[test]
    fn an_unknown_or_missing_command_is_unclear() {
        assert_eq!(
            understand_line(&["secrets", "nope"]).unwrap(),
            Request::Unclear {
                path: vec!["secrets".into()],
                reason: None
            }
        );
        assert_eq!(
            understand_line(&[]).unwrap(),
            Request::Unclear {
                path: vec![],
                reason: None
            }
        );
        let Request::Unclear { path, reason } =
            understand_line(&["-format=json", "write"]).unwrap()
        else {
            panic!("must be unclear");
        };
        assert_eq!(
            (path, reason),
            (vec!["write".to_owned()], Some(FLAGS_BEFORE_COMMAND))
        );
    }
}
