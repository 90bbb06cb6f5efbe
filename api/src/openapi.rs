//! `OpenAPI` 3.0.2, written from the endpoint tables.

use serde_json::{Map, Value, json};

use crate::call::Op;
use crate::endpoint::{Access, Route};
use crate::engine::RowInfo;
use crate::params::{Field, FieldKind};
use crate::route::capture_names;

/// A whole document around `paths`.
pub(crate) fn document(version: &str, paths: &Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.2",
        "info": {
            "title": "Signet API",
            "description":
                "HTTP API that gives you full access to Signet. All API routes are prefixed with \
                 `/v1/`.",
            "version": version,
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "paths": paths,
        "components": { "schemas": {} },
    })
}

/// Where rows are mounted.
pub(crate) struct Place<'a> {
    /// What stands before every path: `/pki/`, `/{pki_mount_path}/`.
    pub(crate) prefix: &'a str,
    /// `auth`, `secrets` or `system`.
    pub(crate) tag: &'static str,
    /// For ids of operations.
    pub(crate) kind: &'a str,
    /// The parameter for the mount path, when the prefix has one.
    pub(crate) mount_parameter: Option<(&'a str, &'a str)>,
}

/// Adds the paths of all rows that `wanted` says yes to.
pub(crate) fn add_paths(
    paths: &mut Map<String, Value>,
    place: &Place<'_>,
    rows: &[RowInfo],
    wanted: impl Fn(&Route) -> bool,
) {
    for row in rows {
        for route in row.routes.iter().filter(|route| wanted(route)) {
            let path = format!("{}{}", place.prefix, plain(route.path));
            let item = paths.entry(path).or_insert_with(|| json!({}));
            if let Value::Object(item) = item {
                describe_path(item, place, row, route);
            }
        }
    }
}

fn describe_path(item: &mut Map<String, Value>, place: &Place<'_>, row: &RowInfo, route: &Route) {
    item.entry("description").or_insert_with(|| row.help.into());
    match route.access {
        Access::Sudo => {
            item.insert("x-vault-sudo".into(), true.into());
        }
        Access::Open | Access::Unauthenticated => {
            item.insert("x-vault-unauthenticated".into(), true.into());
        }
        Access::Token => {}
    }
    if row.creates {
        item.insert("x-vault-createSupported".into(), true.into());
    }
    let captures: Vec<&str> = capture_names(route.path).collect();
    if !item.contains_key("parameters") {
        let mut parameters: Vec<Value> = place
            .mount_parameter
            .iter()
            .map(|(name, default)| {
                json!({
                    "name": name,
                    "description": "Path that the backend was mounted at",
                    "in": "path",
                    "required": true,
                    "schema": { "type": "string", "default": default },
                })
            })
            .collect();
        parameters.extend(captures.iter().map(|name| path_parameter(row, name)));
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
    }
    let Some(verb) = verb(route.op) else { return };
    let has_read = item.contains_key(verb);
    if route.op == Op::List && has_read {
        // A path that is both read and listed: the parameter chooses.
        if let Some(Value::Array(parameters)) = item
            .get_mut(verb)
            .and_then(|operation| operation.get_mut("parameters"))
        {
            parameters.push(list_parameter(false));
        }
        return;
    }
    item.insert(verb.to_owned(), operation(place, row, route, &captures));
}

fn operation(place: &Place<'_>, row: &RowInfo, route: &Route, captures: &[&str]) -> Value {
    let own: Vec<&Field> = row
        .fields
        .iter()
        .filter(|field| !captures.contains(&field.name()))
        .collect();
    let mut operation = json!({
        "summary": row.help,
        "operationId": operation_id(place, route),
        "tags": [place.tag],
    });
    let Some(map) = operation.as_object_mut() else {
        return operation;
    };
    if matches!(route.op, Op::Patch | Op::Write) {
        if !own.is_empty() {
            let media_type = match route.op {
                Op::Patch => "application/merge-patch+json",
                _ => "application/json",
            };
            let properties: Map<String, Value> = own
                .iter()
                .map(|field| (field.name().to_owned(), described_schema(field)))
                .collect();
            let schema = json!({ "type": "object", "properties": properties });
            map.insert(
                "requestBody".into(),
                json!({ "required": true, "content": { media_type: { "schema": schema } } }),
            );
        }
    } else {
        let mut parameters: Vec<Value> = own
            .iter()
            .map(|field| {
                json!({
                    "name": field.name(),
                    "description": field.help(),
                    "in": "query",
                    "schema": schema(field.kind),
                })
            })
            .collect();
        if route.op == Op::List {
            parameters.push(list_parameter(true));
        }
        map.insert("parameters".into(), parameters.into());
    }
    let responses = if route.op == Op::Delete {
        json!({ "204": { "description": "empty body" } })
    } else {
        json!({ "200": { "description": "OK" } })
    };
    map.insert("responses".into(), responses);
    operation
}

fn list_parameter(required: bool) -> Value {
    json!({
        "name": "list",
        "description": "Must be set to `true`",
        "in": "query",
        "required": required,
        "schema": { "type": "string", "enum": ["true"] },
    })
}

fn path_parameter(row: &RowInfo, name: &str) -> Value {
    let field = row.fields.iter().find(|field| field.name() == name);
    json!({
        "name": name,
        "description": field.map_or("", Field::help),
        "in": "path",
        "required": true,
        "schema": schema(field.map_or(FieldKind::String, |field| field.kind)),
    })
}

fn described_schema(field: &Field) -> Value {
    let mut schema = schema(field.kind);
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".into(), field.help().into());
    }
    schema
}

fn schema(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Any => json!({}),
        FieldKind::Bool => json!({ "type": "boolean" }),
        FieldKind::CommaList | FieldKind::StringList => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        FieldKind::DurationSecs => json!({ "type": "string", "format": "duration" }),
        FieldKind::Float => json!({ "type": "number", "format": "float" }),
        FieldKind::Int => json!({ "type": "integer" }),
        FieldKind::KeyValuePairs | FieldKind::Map => json!({ "type": "object" }),
        FieldKind::String => json!({ "type": "string" }),
        FieldKind::Time => json!({ "type": "string", "format": "date-time" }),
    }
}

fn verb(op: Op) -> Option<&'static str> {
    match op {
        Op::Delete => Some("delete"),
        Op::Help => None,
        Op::List | Op::Read => Some("get"),
        Op::Patch => Some("patch"),
        Op::Write => Some("post"),
    }
}

fn operation_id(place: &Place<'_>, route: &Route) -> String {
    let action = match route.op {
        Op::Delete => "delete",
        Op::Help => "help",
        Op::List => "list",
        Op::Patch => "patch",
        Op::Read => "read",
        Op::Write => "write",
    };
    let words = plain(route.path)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let id = format!("{}-{action}-{words}", place.kind);
    id.trim_end_matches('-').to_owned()
}

/// The pattern with plain captures: `{name}`.
fn plain(pattern: &str) -> String {
    let segments: Vec<String> = pattern
        .split('/')
        .map(|segment| match segment.split_once(':') {
            Some((name, _)) if name.starts_with('{') => format!("{name}}}"),
            _ => segment.to_owned(),
        })
        .collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_lose_their_kind() {
        assert_eq!(plain("mounts/{path:path}/tune"), "mounts/{path}/tune");
        assert_eq!(plain("roles/{name}"), "roles/{name}");
    }
}
