//! `path-help`, written from the endpoint tables.

use crate::call::Op;
use crate::engine::{RouteHandle, RowInfo};
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
    let matching: Vec<&RowInfo> = rows
        .iter()
        .filter(|row| row.routes.iter().any(|route| route.path == pattern))
        .collect();
    let synopsis = matching.first().map_or("", |row| row.help);
    let mut out = format!(
        "Request:        {path}\nMatching Route: {}\n\n{synopsis}\n\n## PARAMETERS\n",
        regex_of(pattern)
    );
    let mut fields: Vec<_> = matching.iter().flat_map(|row| row.fields).collect();
    fields.sort_by_key(|field| field.name());
    fields.dedup_by_key(|field| field.name());
    for field in fields {
        let (name, kind) = (field.name(), field.kind.help_name());
        out.push_str(&format!(
            "\n    {name} ({kind})\n\n        {}\n",
            field.help()
        ));
    }
    out.push_str(&format!("\n## DESCRIPTION\n\n{synopsis}\n"));
    Some(out)
}

fn engine_text(help: &str, rows: &[RowInfo]) -> String {
    let mut out = format!(
        "## DESCRIPTION\n\n{help}\n\n## PATHS\n\nThe following paths are supported by this backend. \
         To view help for\nany of the paths below, use the help command with any route matching\n\
         the path pattern. Note that depending on the policy of your auth token,\nyou may or may \
         not be able to access certain paths.\n"
    );
    let mut paths: Vec<(&str, &str)> = rows
        .iter()
        .flat_map(|row| row.routes.iter().map(|r| (r.path, row.help)))
        .collect();
    paths.sort_unstable();
    paths.dedup_by_key(|(path, _)| *path);
    for (path, synopsis) in paths {
        out.push_str(&format!("\n    {}\n        {synopsis}\n", regex_of(path)));
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
