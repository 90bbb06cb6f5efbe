//! Help texts in the layout of Vault's tool, rendered from the commands declared to clap.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::cli::brand::Brand;
use crate::cli::ui::wrap;

/// Help on the command that `path` leads to from `root`.
pub(crate) fn render(root: &Command, path: &[String], brand: &Brand) -> String {
    let command = path
        .iter()
        .try_fold(root, |command, name| command.find_subcommand(name))
        .unwrap_or(root);
    let text = if path.is_empty() {
        render_root(root)
    } else if command.has_subcommands() {
        render_group(command, path)
    } else {
        render_leaf(command, path)
    };
    // Backticks are for readers of the source.
    brand.apply(&text.replace('`', ""))
}

fn render_root(root: &Command) -> String {
    let mut text = "Usage: signet <command> [args]\n\nCommon commands:\n".to_owned();
    push_commands(&mut text, root, |name| COMMON_COMMANDS.contains(&name));
    text.push_str("\nOther commands:\n");
    push_commands(&mut text, root, |name| !COMMON_COMMANDS.contains(&name));
    text.trim_end().to_owned()
}

fn render_group(command: &Command, path: &[String]) -> String {
    let mut text = format!(
        "Usage: signet {} <subcommand> [options] [args]\n\n",
        path.join(" ")
    );
    push_about(&mut text, command);
    text.push_str("Subcommands:\n");
    push_commands(&mut text, command, |_| true);
    text.trim_end().to_owned()
}

fn render_leaf(command: &Command, path: &[String]) -> String {
    let mut text = format!("Usage: signet {} [options]", path.join(" "));
    for argument in command
        .get_positionals()
        .filter(|argument| !argument.is_hide_set())
    {
        if let Some(names) = argument.get_value_names() {
            for name in names {
                let _ = write!(text, " {name}");
            }
        }
    }
    text.push_str("\n\n");
    push_about(&mut text, command);
    let mut headings: Vec<&str> = Vec::new();
    for argument in command.get_arguments() {
        let heading = heading_of(argument);
        if argument.get_long().is_some() && !argument.is_hide_set() && !headings.contains(&heading)
        {
            headings.push(heading);
        }
    }
    headings.sort_by_key(|heading| HEADINGS.iter().position(|known| known == heading));
    for heading in headings {
        let _ = write!(text, "{heading}:\n\n");
        let mut arguments: Vec<&Arg> = command
            .get_arguments()
            .filter(|argument| heading_of(argument) == heading && !argument.is_hide_set())
            .filter(|argument| argument.get_long().is_some())
            .collect();
        arguments.sort_by_key(|argument| argument.get_long());
        for argument in arguments {
            push_flag(&mut text, argument);
        }
    }
    text.trim_end().to_owned()
}

fn push_commands(text: &mut String, command: &Command, wanted: impl Fn(&str) -> bool) {
    let mut commands: Vec<&Command> = command
        .get_subcommands()
        .filter(|command| wanted(command.get_name()))
        .collect();
    commands.sort_by_key(|command| command.get_name());
    let width = commands
        .iter()
        .map(|command| command.get_name().len())
        .max()
        .unwrap_or(0);
    for command in commands {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(text, "    {:width$}    {about}", command.get_name());
    }
}

fn push_about(text: &mut String, command: &Command) {
    let about = command
        .get_long_about()
        .or_else(|| command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    for line in wrap_prose(&about).lines() {
        let _ = writeln!(text, "{}", format!("  {line}").trim_end());
    }
    text.push('\n');
}

fn push_flag(text: &mut String, argument: &Arg) {
    let long = argument.get_long().unwrap_or_default();
    let takes_value = !matches!(argument.get_action(), ArgAction::SetTrue)
        && argument
            .get_num_args()
            .is_none_or(|range| range.min_values() > 0);
    let kind = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map(clap::builder::Str::as_str)
        .filter(|name| name.chars().any(char::is_lowercase))
        .unwrap_or("string");
    let _ = if takes_value {
        writeln!(text, "  -{long}=<{kind}>")
    } else {
        writeln!(text, "  -{long}")
    };
    let mut help = argument
        .get_long_help()
        .or_else(|| argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    if !help.ends_with('.') {
        help.push('.');
    }
    for alias in argument.get_all_aliases().unwrap_or_default() {
        let _ = write!(help, " This is aliased as \"-{alias}\".");
    }
    for line in wrap(&help, FLAG_HELP_WIDTH).lines() {
        let _ = writeln!(text, "      {line}");
    }
    text.push('\n');
}

/// Wraps paragraphs; lines that start with a blank are examples and stay as they are.
fn wrap_prose(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| {
            if paragraph.starts_with(' ') {
                paragraph.to_owned()
            } else {
                wrap(&paragraph.replace('\n', " "), PROSE_WIDTH)
            }
        })
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn heading_of(argument: &Arg) -> &str {
    argument.get_help_heading().unwrap_or("Command Options")
}

const COMMON_COMMANDS: [&str; 8] = [
    "delete", "list", "login", "read", "server", "status", "unwrap", "write",
];
const HEADINGS: [&str; 3] = ["HTTP Options", "Output Options", "Command Options"];
const PROSE_WIDTH: usize = 76;
const FLAG_HELP_WIDTH: usize = 72;
