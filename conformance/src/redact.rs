//! Takes out of an answer what differs from run to run or by design, so that the rest can be compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::certificate::{self, Authorities};

/// Fields that are no part of the comparison, wherever they appear.
const IGNORED_FIELDS: [&str; 30] = [
    // Which product it is.
    "version",
    "build_date",
    "commit_date",
    "running_plugin_version",
    "running_sha256",
    "plugin_version",
    "cluster_name",
    "cluster_id",
    // Vault's envelope and health have these, OpenBao's have not.
    "mount_type",
    "enterprise",
    "echo_duration_ms",
    "clock_skew_ms",
    "replication_primary_canary_age_ms",
    // OpenBao's own, in policies, roles, mounts and authentication.
    "modified",
    "cas_required",
    "allow_wildcards_in_identity_templates",
    "allow_slashes_in_identity_templates",
    "external_namespace_policies",
    "namespace_path",
    "token_strictly_bind_ip",
    "allow_globs_in_identity_templates",
    "callback_mode",
    "oauth2_metadata",
    "oidc_disable_confirmation",
    "token_policies_template_claims",
    // The length depends on the prefix of the product's tokens.
    "otp_length",
    // Identities are uuids in one and may be empty in the other.
    "entity_id",
    // Depends on the build of the reference.
    "deprecation_status",
    "external_entropy_access",
    "identity_token_key",
];

/// Fields whose values are random, whatever they look like.
const RANDOM_FIELDS: [&str; 8] = [
    "otp",
    "encoded_token",
    "encoded_root_token",
    "random_bytes",
    "install_time",
    "encryptions",
    "keys_base64",
    "cluster",
];

/// Seconds that pass between the request and its answer.
const COUNTDOWNS: [&str; 2] = ["ttl", "lease_duration"];

/// Between 2017 and 2096.
const UNIX_TIMES: std::ops::Range<i64> = 1_500_000_000..4_000_000_000;

/// Short values appear by chance.
const SAVED_LENGTH_MIN: usize = 6;

struct Pattern {
    expression: Regex,
    replacement: fn(&Captures<'_>) -> String,
}

#[expect(
    clippy::unwrap_used,
    reason = "the expressions are constants, which a test compiles"
)]
static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let pattern = |expression: &str, replacement| Pattern {
        expression: Regex::new(expression).unwrap(),
        replacement,
    };
    vec![
        pattern(
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            |_| "<uuid>".to_owned(),
        ),
        pattern(r"\b(?:hvs|hvb|s|b)\.[A-Za-z0-9_-]{20,}", |_| {
            "<token>".to_owned()
        }),
        pattern(
            r"\b(\d{4})-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| \+0000 UTC)",
            |found| match &found[1] {
                "0001" | "9999" => found[0].to_owned(),
                _ => "<time>".to_owned(),
            },
        ),
        pattern(r"\b(?:[0-9a-f]{2}[:-]){15,}[0-9a-f]{2}\b", |_| {
            "<serial>".to_owned()
        }),
        pattern(r"\b([a-z][a-z_]*)_[0-9a-f]{8}\b", |found| {
            format!("{}_<accessor>", &found[1])
        }),
        pattern(r"\bh?[0-9a-f]{64,}\b", |_| "<hex>".to_owned()),
        pattern(r"\bvault-eab-0-[A-Za-z0-9_-]{43}", |_| {
            "<eab key>".to_owned()
        }),
        pattern(r"[A-Za-z0-9+/]{43}=", |_| "<base64>".to_owned()),
        pattern(r"\b[A-Za-z0-9]{24}\b", |found| {
            let mixed = |test: fn(&u8) -> bool| found[0].as_bytes().iter().any(test);
            if mixed(u8::is_ascii_uppercase) && mixed(u8::is_ascii_lowercase) {
                "<random>".to_owned()
            } else {
                found[0].to_owned()
            }
        }),
        pattern(r"127\.0\.0\.1:\d+", |_| "<address>".to_owned()),
        pattern("OpenBao", |_| "Vault".to_owned()),
        pattern(r"'bao kv\b", |_| "'vault kv".to_owned()),
    ]
});

/// Redacts the answers of one case, and remembers the authorities seen in them.
#[derive(Debug, Default)]
pub(crate) struct Redaction {
    pub(crate) authorities: Authorities,
}

impl Redaction {
    /// `saved` are values by the names under which the case keeps them.
    pub(crate) fn value(&mut self, value: &Value, saved: &BTreeMap<String, Value>) -> Value {
        self.field("", value, saved)
    }

    fn field(&mut self, name: &str, value: &Value, saved: &BTreeMap<String, Value>) -> Value {
        match value {
            Value::Object(fields) => self.object(fields, saved),
            Value::Array(items) => {
                let mut items: Vec<Value> = items
                    .iter()
                    .map(|item| self.field(name, item, saved))
                    .collect();
                // Lists of random keys come in random order; warnings in any.
                if matches!(
                    name,
                    "keys" | "warnings" | "imported_issuers" | "imported_keys"
                ) {
                    items.sort_by_key(Value::to_string);
                }
                Value::Array(items)
            }
            Value::String(_) if RANDOM_FIELDS.contains(&name) => Value::from("<random>"),
            Value::Number(_) if RANDOM_FIELDS.contains(&name) => Value::from(0),
            Value::String(text) => {
                if let Some(digest) = certificate::digest(text, &mut self.authorities) {
                    return self.field("", &digest, saved);
                }
                Value::from(redact_text(text, saved))
            }
            Value::Number(number) => match number.as_i64() {
                Some(time) if UNIX_TIMES.contains(&time) => Value::from("<unix time>"),
                Some(seconds) if COUNTDOWNS.contains(&name) && seconds % 10 >= 5 => {
                    Value::from(seconds + 10 - seconds % 10)
                }
                _ => value.clone(),
            },
            other => other.clone(),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, saved: &BTreeMap<String, Value>) -> Value {
        let mut redacted: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (name, value) in fields {
            if IGNORED_FIELDS.contains(&name.as_str()) {
                continue;
            }
            let value = self.field(name, value, saved);
            redacted
                .entry(redact_text(name, saved))
                .or_default()
                .push(value);
        }
        let mut object = Map::new();
        for (name, mut values) in redacted {
            values.sort_by_key(Value::to_string);
            for (index, value) in values.into_iter().enumerate() {
                let name = match index {
                    0 => name.clone(),
                    _ => format!("{name} {}", index + 1),
                };
                object.insert(name, value);
            }
        }
        Value::Object(object)
    }
}

/// Replaces saved values by their names and random ones by what they are.
pub(crate) fn redact_text(text: &str, saved: &BTreeMap<String, Value>) -> String {
    let mut text = text.to_owned();
    for (name, value) in saved {
        if let Some(value) = value
            .as_str()
            .filter(|value| value.len() >= SAVED_LENGTH_MIN)
        {
            text = text.replace(value, &format!("${{{name}}}"));
        }
    }
    for pattern in PATTERNS.iter() {
        text = pattern
            .expression
            .replace_all(&text, pattern.replacement)
            .into_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(value: &Value) -> Value {
        Redaction::default().value(value, &BTreeMap::new())
    }

    #[test]
    fn names_random_values_by_their_kind() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(
            redacted(
                &json!({"id": id, "text": format!("issuer {id} is gone"), "exp": 1_795_563_143})
            ),
            json!({"id": "<uuid>", "text": "issuer <uuid> is gone", "exp": "<unix time>"})
        );
        assert_eq!(redacted(&json!("pki_1912c513")), json!("pki_<accessor>"));
        assert_eq!(
            redacted(&json!("hvs.CAESIJ0123456789abcdef")),
            json!("<token>")
        );
        assert_eq!(
            redacted(&json!("0001-01-01T00:00:00Z")),
            json!("0001-01-01T00:00:00Z")
        );
    }

    #[test]
    fn keeps_every_entry_under_a_random_key() {
        let entries = json!({
            "01234567-89ab-cdef-0123-456789abcdef": 2,
            "11234567-89ab-cdef-0123-456789abcdef": 1,
        });
        assert_eq!(redacted(&entries), json!({"<uuid>": 1, "<uuid> 2": 2}));
    }

    #[test]
    fn names_saved_values() {
        let saved = BTreeMap::from([("role_id".to_owned(), json!("web-role"))]);
        assert_eq!(redact_text("got web-role", &saved), "got ${role_id}");
    }

    #[test]
    fn rounds_a_countdown_up() {
        assert_eq!(redacted(&json!({"ttl": 3598})), json!({"ttl": 3600}));
    }
}
