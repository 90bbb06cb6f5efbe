//! Policy texts: HCL, JSON, or either in base64.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::capability::{Capabilities, Capability};
use super::parameters::FieldRules;
use super::pattern::WildcardMisuse;
use super::rule::Permissions;
use super::template::{PathTemplate, Unbalanced};
use super::wrapping::parse_bound;
use crate::hcl::{self, Item, SyntaxError, Value};

const MAX_TEXT_BYTES: usize = 1 << 20;
const MAX_RULES: usize = 10_000;
/// Keeps the message about a senseless text short.
const MAX_REPORTED_KEYS: usize = 16;

/// A named, parsed policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) name: Arc<str>,
    pub(super) rules: Vec<PathRule>,
}

#[derive(Clone, Debug)]
pub(super) struct PathRule {
    /// As written; for messages.
    pub text: String,
    pub path: PathTemplate,
    pub expires_at: Option<OffsetDateTime>,
    pub permissions: Permissions,
}

/// The message is what a client of `sys/policies/acl` is told.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("'policy' parameter not supplied or empty")]
    Empty,
    #[error("failed to parse policy: {0}")]
    InvalidKeys(InvalidKeys),
    #[error("failed to parse policy: name must be a string")]
    InvalidName,
    #[error("failed to parse policy: path {path:?}: {fault}")]
    Path { path: String, fault: PathFault },
    #[error("failed to parse policy: path must be followed by a path and a block")]
    PathWithoutLabel,
    #[error("failed to parse policy: {0}")]
    Syntax(SyntaxError),
    #[error("failed to parse policy: {actual} bytes are more than the allowed {limit}")]
    TooLarge { actual: usize, limit: usize },
    #[error("failed to parse policy: more than {limit} paths")]
    TooManyPaths { limit: usize },
}

/// What is wrong with one `path` block.
#[derive(Debug, thiserror::Error)]
pub enum PathFault {
    #[error("path {path:?}: invalid capability {capability:?}")]
    InvalidCapability { path: String, capability: String },
    #[error("{0}")]
    InvalidKeys(InvalidKeys),
    #[error("path {path:?}: invalid policy {policy:?}")]
    InvalidPolicy { path: String, policy: String },
    #[error("path {path:?}: {key} must be {expected}")]
    InvalidType {
        path: String,
        key: String,
        expected: &'static str,
    },
    #[error("error parsing {key}: {problem}")]
    InvalidWrappingTtl { key: String, problem: String },
    #[error("max_wrapping_ttl cannot be less than min_wrapping_ttl")]
    MaxBelowMin,
    #[error("failed to validate policy templating: unbalanced templating characters")]
    UnbalancedTemplate,
    #[error("path {path:?}: invalid use of wildcards ('+*' is forbidden)")]
    WildcardMisuse { path: String },
}

/// Keys that mean nothing, each with the line it stands on, counted from 1.
#[derive(Debug)]
pub struct InvalidKeys(Vec<(String, u32)>);

impl Policy {
    /// Reads a policy; `text` may also be base64. The name is the one it is stored under, the one
    /// inside the text is ignored.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PolicyError::TooLarge {
                actual: text.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        if text.is_empty() {
            return Err(PolicyError::Empty);
        }
        let text = decode_policy_text(text);
        let items = hcl::read(&text).map_err(PolicyError::Syntax)?;
        refuse_unknown_keys(&items, &["name", "path"]).map_err(PolicyError::InvalidKeys)?;

        let mut rules = Vec::new();
        for item in items {
            if item.key == "name" {
                if matches!(item.value, Value::List(_) | Value::Object(_)) {
                    return Err(PolicyError::InvalidName);
                }
                continue;
            }
            read_path_item(item, hcl::is_json(&text), &mut rules)?;
            if rules.len() > MAX_RULES {
                return Err(PolicyError::TooManyPaths { limit: MAX_RULES });
            }
        }
        Ok(Self {
            name: name.into(),
            rules,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sentences for the author about controls that are kept, but can only be kept by refusing.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for rule in &self.rules {
            if rule.permissions.needs_approval {
                warnings.push(format!(
                    "path {:?}: mfa_methods and control_group cannot be satisfied on this server; \
                     every request on this path will be refused",
                    rule.text
                ));
            }
            if rule.permissions.filters_listings {
                warnings.push(format!(
                    "path {:?}: list_scan_response_keys_filter_path is not supported; \
                     listing this path will be refused",
                    rule.text
                ));
            }
        }
        warnings
    }
}

/// The text to parse and to store: what `text` encodes if it is base64, else `text` itself.
pub fn decode_policy_text(text: &str) -> Cow<'_, str> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let decoded = STANDARD
        .decode(compact)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        Some(decoded) if !decoded.is_empty() => Cow::Owned(decoded),
        _ => Cow::Borrowed(text),
    }
}

/// `path "p" { … }`, and in JSON `"path": {"p": {…}}`, where objects may also stand in lists.
fn read_path_item(item: Item, is_json: bool, rules: &mut Vec<PathRule>) -> Result<(), PolicyError> {
    if !is_json {
        let Some(path) = item.labels.into_iter().next() else {
            return Err(PolicyError::PathWithoutLabel);
        };
        let Value::Object(body) = item.value else {
            return Err(PolicyError::PathWithoutLabel);
        };
        rules.push(read_rule(path, &body)?);
        return Ok(());
    }
    for entry in objects(item.value)
        .ok_or(PolicyError::PathWithoutLabel)?
        .into_iter()
        .flatten()
    {
        for body in objects(entry.value).ok_or(PolicyError::PathWithoutLabel)? {
            rules.push(read_rule(entry.key.clone(), &body)?);
        }
    }
    Ok(())
}

fn read_rule(text: String, body: &[Item]) -> Result<PathRule, PolicyError> {
    match parse_rule(&text, body) {
        Ok(rule) => Ok(rule),
        Err(fault) => Err(PolicyError::Path { path: text, fault }),
    }
}

const RULE_KEYS: [&str; 13] = [
    "allowed_parameters",
    "capabilities",
    "comment",
    "control_group",
    "denied_parameters",
    "expiration",
    "list_scan_response_keys_filter_path",
    "max_wrapping_ttl",
    "mfa_methods",
    "min_wrapping_ttl",
    "pagination_limit",
    "policy",
    "required_parameters",
];

fn parse_rule(text: &str, body: &[Item]) -> Result<PathRule, PathFault> {
    let path = PathTemplate::parse(text)?;
    refuse_unknown_keys(body, &RULE_KEYS).map_err(PathFault::InvalidKeys)?;
    path.check_wildcards(text)?;

    let mut permissions = Permissions::default();
    let mut capabilities: Vec<&str> = Vec::new();
    let mut old_style = "";
    let mut expires_at = None;
    for Item { key, value, .. } in body {
        let wrong = |expected| PathFault::InvalidType {
            path: text.to_owned(),
            key: key.clone(),
            expected,
        };
        match key.as_str() {
            "allowed_parameters" => {
                read_fields(value, &mut permissions.parameters.allowed)
                    .ok_or_else(|| wrong("an object of lists"))?;
            }
            "capabilities" => {
                capabilities.extend(strings(value).ok_or_else(|| wrong("a list of strings"))?);
            }
            "control_group" => permissions.needs_approval |= !is_empty(value),
            "denied_parameters" => {
                read_fields(value, &mut permissions.parameters.denied)
                    .ok_or_else(|| wrong("an object of lists"))?;
            }
            "expiration" => {
                expires_at = read_time(value).ok_or_else(|| wrong("a time as in RFC 3339"))?;
            }
            "list_scan_response_keys_filter_path" => {
                permissions.filters_listings |= !is_empty(value);
            }
            "max_wrapping_ttl" | "min_wrapping_ttl" => {
                let bound =
                    parse_bound(value).map_err(|problem| PathFault::InvalidWrappingTtl {
                        key: key.clone(),
                        problem,
                    })?;
                if key == "max_wrapping_ttl" {
                    permissions.wrapping.max = bound;
                } else {
                    permissions.wrapping.min = bound;
                }
            }
            "mfa_methods" => {
                let methods = strings(value).ok_or_else(|| wrong("a list of strings"))?;
                permissions.needs_approval |= !methods.is_empty();
            }
            "pagination_limit" => {
                let limit = read_count(value).ok_or_else(|| wrong("a number, zero or more"))?;
                permissions.page_limit = Some(limit).filter(|limit| *limit > 0);
            }
            "policy" => {
                let Value::String(word) = value else {
                    return Err(wrong("a string"));
                };
                old_style = word;
            }
            "required_parameters" => {
                let names = strings(value).ok_or_else(|| wrong("a list of strings"))?;
                permissions
                    .parameters
                    .required
                    .extend(names.into_iter().map(str::to_lowercase));
            }
            // What is left is the comment; unknown keys were refused above.
            _ => {}
        }
    }
    let extra = old_style_capabilities(old_style).ok_or_else(|| PathFault::InvalidPolicy {
        path: text.to_owned(),
        policy: old_style.to_owned(),
    })?;
    capabilities.extend(extra);
    permissions.capabilities =
        read_capabilities(&capabilities).map_err(|capability| PathFault::InvalidCapability {
            path: text.to_owned(),
            capability,
        })?;
    if let (Some(min), Some(max)) = (permissions.wrapping.min, permissions.wrapping.max)
        && max < min
    {
        return Err(PathFault::MaxBelowMin);
    }
    Ok(PathRule {
        text: text.to_owned(),
        path,
        expires_at,
        permissions,
    })
}

/// The first `deny` settles the matter, so what follows it is not even read.
fn read_capabilities(names: &[&str]) -> Result<Capabilities, String> {
    let mut capabilities = Capabilities::NONE;
    for name in names {
        match Capability::from_name(name) {
            None => return Err((*name).to_owned()),
            Some(Capability::Deny) => return Ok(Capabilities::from_iter([Capability::Deny])),
            Some(capability) => capabilities.insert(capability),
        }
    }
    Ok(capabilities)
}

/// The capabilities behind `policy = "…"`, the way of writing rules before `capabilities` existed.
fn old_style_capabilities(word: &str) -> Option<&'static [&'static str]> {
    Some(match word {
        "" => &[],
        "deny" => &["deny"],
        "read" => &["read", "list"],
        "sudo" => &["create", "read", "update", "delete", "list", "sudo"],
        "write" => &["create", "read", "update", "delete", "list"],
        _ => return None,
    })
}

fn refuse_unknown_keys(items: &[Item], known: &[&str]) -> Result<(), InvalidKeys> {
    let unknown: Vec<_> = items
        .iter()
        .filter(|item| !known.contains(&item.key.as_str()))
        .map(|item| (item.key.clone(), item.line))
        .take(MAX_REPORTED_KEYS)
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(InvalidKeys(unknown))
    }
}

/// One object, or a list of them.
fn objects(value: Value) -> Option<Vec<Vec<Item>>> {
    match value {
        Value::Object(items) => Some(vec![items]),
        Value::List(values) if !values.is_empty() => values
            .into_iter()
            .map(|value| match value {
                Value::Object(items) => Some(items),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    let Value::List(values) = value else {
        return None;
    };
    values
        .iter()
        .map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn read_fields(value: &Value, fields: &mut FieldRules) -> Option<()> {
    for item in objects(value.clone())?.into_iter().flatten() {
        let Value::List(values) = item.value else {
            return None;
        };
        let name = item.key.to_lowercase();
        let values: Vec<_> = values.into_iter().map(to_json).collect();
        match fields.get_mut(&name) {
            Some(present) if values.is_empty() => present.clear(),
            Some(present) if present.is_empty() => {}
            Some(present) => present.extend(values),
            None => {
                fields.insert(name, values);
            }
        }
    }
    Some(())
}

fn to_json(value: Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => flag.into(),
        Value::List(values) => values.into_iter().map(to_json).collect(),
        Value::Null => serde_json::Value::Null,
        Value::Number(number) => number.into(),
        Value::Object(items) => items
            .into_iter()
            .map(|item| (item.key, to_json(item.value)))
            .collect(),
        Value::String(text) => text.into(),
    }
}

fn read_count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A time, or an empty text for none.
#[expect(clippy::option_option, reason = "the outer one is the failure to read")]
fn read_time(value: &Value) -> Option<Option<OffsetDateTime>> {
    let from_unix = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
    match value {
        Value::Number(number) => number.as_i64().and_then(from_unix).map(Some),
        Value::String(text) if text.is_empty() => Some(None),
        Value::String(text) => OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .or_else(|| text.parse().ok().and_then(from_unix))
            .map(Some),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(values) => values.is_empty(),
        Value::Null => true,
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Display for InvalidKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [_] => write!(formatter, "1 error occurred:")?,
            keys => write!(formatter, "{} errors occurred:", keys.len())?,
        }
        for (key, line) in &self.0 {
            write!(formatter, "\n\t* invalid key {key:?} on line {line}")?;
        }
        write!(formatter, "\n\n")
    }
}

impl From<Unbalanced> for PathFault {
    fn from(_: Unbalanced) -> Self {
        Self::UnbalancedTemplate
    }
}

impl From<WildcardMisuse> for PathFault {
    fn from(WildcardMisuse { path }: WildcardMisuse) -> Self {
        Self::WildcardMisuse { path }
    }
}

#[cfg(test)]
mod tests;
