//! `path-help`, written from the endpoint tables.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::call::Op;
use crate::engine::{Mounted, RouteHandle, RowInfo};
use crate::openapi::{Place, add_paths, document};
use crate::route::{Found, Router};

/// The help text of a path of an engine, or of the engine itself for the empty path.
pub(crate) fn text(
    engine_help: &str,
    rows: &[RowInfo],
    router: &Router<RouteHandle>,
    path: &str,
) -> Option<String> {
    if path.is_empty() {
        return Some(engine_text(engine_help, rows));
    }
    let pattern = match router.find(Op::Help, path) {
        Found::WrongOperation(handle) | Found::Route(handle, _) => handle.route.path,
        Found::NoPath => return None,
    };
    Some(path_text(path, pattern, rows))
}

/// The same as `OpenAPI`: of one path, or of all paths for the empty path.
pub(crate) fn openapi(engine: &dyn Mounted, path: &str, version: &str) -> Value {
    let pattern = match engine.find(Op::Help, path) {
        Found::WrongOperation(handle) | Found::Route(handle, _) => Some(handle.route.path),
        Found::NoPath => None,
    };
    let place = Place {
        prefix: "/",
        tag: "secrets",
        kind: engine.kind(),
        mount_parameter: None,
    };
    let mut paths = Map::new();
    add_paths(&mut paths, &place, &engine.rows(), |route| {
        path.is_empty() || Some(route.path) == pattern
    });
    document(version, &paths)
}

fn path_text(path: &str, pattern: &str, rows: &[RowInfo]) -> String {
    let mut matching: Vec<(&RowInfo, Op)> = rows
        .iter()
        .flat_map(|row| row.routes.iter().map(move |route| (row, route)))
        .filter(|(_, route)| route.path == pattern)
        .map(|(row, route)| (row, route.op))
        .collect();
    // What a path is for shows best in what it is written with.
    matching.sort_by_key(|(_, op)| match op {
        Op::Write => 0,
        Op::Read => 1,
        Op::List => 2,
        Op::Patch => 3,
        Op::Delete | Op::Help => 4,
    });
    let synopsis = matching.first().map_or("", |(row, _)| row.help);
    let mut out = format!(
        "Request:        {path}\nMatching Route: {}\n\n{}\n\n## PARAMETERS\n",
        regex_of(pattern),
        wrapped(synopsis, "")
    );
    let mut fields: Vec<_> = matching.iter().flat_map(|(row, _)| row.fields).collect();
    fields.sort_by_key(|field| field.name());
    fields.dedup_by_key(|field| field.name());
    for field in fields {
        let (name, kind) = (field.name(), field.kind.help_name());
        let description = wrapped(field.help(), "        ");
        let _ = write!(out, "\n    {name} ({kind})\n\n{description}\n");
    }
    out.push_str("\n## DESCRIPTION\n\nThis path responds to the following HTTP methods.\n");
    for (row, op) in matching {
        let description = wrapped(row.help, "        ");
        let _ = write!(out, "\n    {}\n{description}\n", verb(op));
    }
    out
}

fn engine_text(help: &str, rows: &[RowInfo]) -> String {
    let mut out = format!(
        "## DESCRIPTION\n\n{}\n\n## PATHS\n\nThe following paths are supported by this backend. To \
         view help for\nany of the paths below, use the help command with any route matching\nthe \
         path pattern. Note that depending on the policy of your auth token,\nyou may or may not be \
         able to access certain paths.\n",
        wrapped(help, "")
    );
    let mut paths: Vec<(&str, &str)> = rows
        .iter()
        .flat_map(|row| row.routes.iter().map(|route| (route.path, row.help)))
        .collect();
    paths.sort_by_key(|(path, _)| *path);
    paths.dedup_by_key(|(path, _)| *path);
    for (path, synopsis) in paths {
        let _ = write!(
            out,
            "\n    {}\n{}\n",
            regex_of(path),
            wrapped(synopsis, "        ")
        );
    }
    out
}

fn verb(op: Op) -> &'static str {
    match op {
        Op::Delete => "DELETE",
        Op::Help => "HELP",
        Op::List => "LIST",
        Op::Patch => "PATCH",
        Op::Read => "GET",
        Op::Write => "PUT",
    }
}

const WIDTH: usize = 80;

/// Lines of at most [`WIDTH`] characters, each after `indent`; a longer word has its own line.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column == 0 {
            out.push_str(indent);
            column = indent.len();
        } else if column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// The pattern as the regular expression that clients are used to see.
fn regex_of(pattern: &str) -> String {
    let segments: Vec<String> = pattern
        .split('/')
        .map(
            |segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                None => segment.to_owned(),
                Some(capture) => match capture.split_once(':') {
                    Some((name, "path")) => format!("(?P<{name}>.+)"),
                    Some((name, "serial")) => format!("(?P<{name}>[0-9A-Fa-f-:]+)"),
                    Some((name, "uuid")) => format!("(?P<{name}>[0-9a-fA-F-]{{36}})"),
                    Some((name, _)) => format!("(?P<{name}>[^/]+)"),
                    None => format!(r"(?P<{capture}>\w(([\w-.]+)?\w)?)"),
                },
            },
        )
        .collect();
    format!("^{}$", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_descriptions_are_wrapped_under_their_indent() {
        let text = "word ".repeat(40);
        let lines = wrapped(&text, "    ");
        assert!(lines.lines().count() > 1);
        for line in lines.lines() {
            assert!(
                line.starts_with("    word") && line.len() <= WIDTH,
                "{line}"
            );
        }
    }
}
