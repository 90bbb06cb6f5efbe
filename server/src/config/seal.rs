//! The `seal` block.

use signet_api::seal::{NamedKey, StaticSeal};
use signet_storage::UnsealKey;
use zeroize::Zeroizing;

use super::env::Environment;
use super::section::{Block, Report, Section};

/// `None` for people with key shares.
pub(super) fn read(
    block: Block,
    environment: &Environment,
    report: &mut Report,
) -> Option<StaticSeal> {
    let place = block.place().clone();
    let kind = block.label(0).to_ascii_lowercase();
    let mut section = block.section;
    match kind.as_str() {
        "shamir" => {
            section.finish(report);
            None
        }
        "static" => {
            section.refuse(&["disabled"], report);
            section.ignore(&["priority", "name"]);
            let current = named_key(
                &mut section,
                "current_key_id",
                "current_key",
                environment,
                report,
            );
            let previous = named_key(
                &mut section,
                "previous_key_id",
                "previous_key",
                environment,
                report,
            );
            if current.is_none()
                && !report
                    .errors
                    .iter()
                    .any(|error| error.contains("current_key"))
            {
                report.error(
                    &place,
                    "seal \"static\" needs current_key_id and current_key",
                );
            }
            section.finish(report);
            Some(StaticSeal {
                current: current?,
                previous,
            })
        }
        other => {
            report.error(
                &place,
                format_args!("seal {other:?} is not supported; use \"static\" or key shares"),
            );
            None
        }
    }
}

fn named_key(
    section: &mut Section,
    id_key: &str,
    key_key: &str,
    environment: &Environment,
    report: &mut Report,
) -> Option<NamedKey> {
    let place = section.place_of(key_key);
    let id = section.filled_text(id_key, report);
    let source = section.filled_text(key_key, report).map(Zeroizing::new);
    let (id, source) = match (id, source) {
        (None, None) => return None,
        (Some(id), Some(source)) => (id, source),
        _ => {
            report.error(&place, format_args!("{id_key} and {key_key} go together"));
            return None;
        }
    };
    let key = material(&source, environment)
        .and_then(|text| UnsealKey::from_text(&text).map_err(|error| error.to_string()));
    match key {
        Ok(key) => Some(NamedKey { id, key }),
        Err(error) => {
            report.error(&place, format_args!("{key_key}: {error}"));
            None
        }
    }
}

/// The key's text: itself, or what `env://NAME` or `file://PATH` point to.
fn material(source: &str, environment: &Environment) -> Result<Zeroizing<String>, String> {
    if let Some(name) = source.strip_prefix("env://") {
        return environment
            .variable(name)
            .map(|value| Zeroizing::new(value.to_owned()))
            .ok_or_else(|| format!("the environment variable {name} is not set"));
    }
    if let Some(path) = source.strip_prefix("file://") {
        let bytes = std::fs::read(path)
            .map(Zeroizing::new)
            .map_err(|error| format!("{path}: {error}"))?;
        return match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            // A file of 32 raw bytes.
            Err(_) => Ok(Zeroizing::new(raw_as_hex(&bytes))),
        };
    }
    Ok(Zeroizing::new(source.to_owned()))
}

fn raw_as_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
