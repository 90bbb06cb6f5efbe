//! Case files: requests, and the answers that the reference gave to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::server::Mode;

#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub(crate) struct CaseError {
    path: PathBuf,
    reason: String,
}

/// A conversation with a server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What the case shows, in a sentence.
    pub(crate) about: String,
    #[serde(default)]
    pub(crate) server: Mode,
    #[serde(default)]
    pub(crate) step: Vec<Step>,
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Method and path below `/v1/`; a path with a leading slash is taken as it is.
    pub(crate) request: String,
    /// Default: the root token. Empty: none.
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Sent as it is, but for `${…}`.
    pub(crate) body: Option<String>,
    /// Sent decoded.
    pub(crate) body_base64: Option<String>,
    /// How often the body is sent, one after the other: for large ones.
    pub(crate) body_times: Option<usize>,
    /// JSON pointers into the answer's body, by the name under which later steps use the value.
    #[serde(default)]
    pub(crate) save: BTreeMap<String, String>,
    /// Repeats the request until the answer has these texts, for some seconds at most.
    #[serde(default)]
    pub(crate) until: BTreeMap<String, String>,
    pub(crate) expect: Option<Expectation>,
}

#[derive(Debug, Deserialize, PartialEq, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON, without what differs from run to run.
    #[serde(default, deserialize_with = "json_text")]
    pub(crate) body: Value,
}

fn json_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let text = String::deserialize(deserializer)?;
    serde_json::from_str(&text).map_err(serde::de::Error::custom)
}

impl Case {
    pub(crate) fn load(path: &Path) -> Result<Self, CaseError> {
        let failed = |reason: String| CaseError {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let mut case: Self = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        path.clone_into(&mut case.path);
        Ok(case)
    }

    pub(crate) fn save(&self) -> Result<(), CaseError> {
        std::fs::write(&self.path, self.text()).map_err(|error| CaseError {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }

    /// `area/0001-title`: how exceptions and reports name the case.
    pub(crate) fn name(&self) -> String {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let area = part(self.path.parent().and_then(Path::file_name));
        format!("{area}/{}", part(self.path.file_stem()))
    }

    fn text(&self) -> String {
        let mut text = format!("about = {}\n", quoted(&self.about));
        if self.server == Mode::Configured {
            text.push_str("server = \"configured\"\n");
        }
        for step in &self.step {
            text.push_str("\n[[step]]\n");
            step.write(&mut text);
        }
        text
    }
}

impl Step {
    fn write(&self, text: &mut String) {
        let mut entry = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} = {value}");
        };
        entry("request", &quoted(&self.request));
        if let Some(token) = &self.token {
            entry("token", &quoted(token));
        }
        if !self.headers.is_empty() {
            entry("headers", &table(&self.headers));
        }
        if let Some(body) = &self.body {
            entry("body", &quoted(body));
        }
        if let Some(body) = &self.body_base64 {
            entry("body_base64", &quoted(body));
        }
        if let Some(times) = self.body_times {
            entry("body_times", &times.to_string());
        }
        if !self.save.is_empty() {
            entry("save", &table(&self.save));
        }
        if !self.until.is_empty() {
            entry("until", &table(&self.until));
        }
        if let Some(expect) = &self.expect {
            entry("expect.status", &expect.status.to_string());
            if !expect.headers.is_empty() {
                entry("expect.headers", &table(&expect.headers));
            }
            if !expect.body.is_null() {
                let json = serde_json::to_string_pretty(&expect.body).unwrap_or_default();
                entry("expect.body", &quoted(&json));
            }
        }
    }
}

fn table(entries: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{} = {}", key_text(key), quoted(value)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

fn key_text(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// The TOML string that needs the fewest escapes.
fn quoted(value: &str) -> String {
    let plain = value
        .chars()
        .all(|character| !character.is_control() || character == '\n');
    if plain && value.contains('\n') && !value.contains("'''") && !value.ends_with('\'') {
        format!("'''\n{value}'''")
    } else if plain && value.contains(['"', '\\']) && !value.contains(['\'', '\n']) {
        format!("'{value}'")
    } else {
        // JSON's escapes are a subset of TOML's.
        Value::from(value).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let text = "about = \"A role\"\nserver = \"configured\"\n\n[[step]]\n\
                    request = \"POST pki/roles/x\"\ntoken = \"\"\n\
                    headers = { X-Vault-Wrap-TTL = \"60s\" }\n\
                    body = '{\"a\":\"it\"}'\n\
                    save = { id = \"/data/id\" }\n\
                    expect.status = 200\n\
                    expect.body = '''\n{\n  \"data\": null\n}'''\n";
        let mut case: Case = toml::from_str(text).unwrap();
        assert_eq!(case.text(), text);
        case.about = "It's \"quoted\"\tand\nbroken".to_owned();
        let read: Case = toml::from_str(&case.text()).unwrap();
        assert_eq!(read.about, case.about);
    }

    #[test]
    fn names_a_case_by_area_and_file() {
        let mut case: Case = toml::from_str("about = \"x\"").unwrap();
        case.path = PathBuf::from("cases/approle/0001-login.toml");
        assert_eq!(case.name(), "approle/0001-login");
    }
}
