//! Plays a case against a server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::case::{Case, Expectation, Step};
use crate::certificate;
use crate::compare::{Difference, compare};
use crate::redact::{Redaction, redact_text};
use crate::server::Server;
use crate::wire::{self, Request, Response};

/// How long a step with `until` repeats.
const PATIENCE: Duration = Duration::from_secs(20);

/// Headers that are part of an expectation.
const COMPARED_HEADERS: [&str; 8] = [
    "content-type",
    "cache-control",
    "strict-transport-security",
    "location",
    "last-modified",
    "retry-after",
    "allow",
    "www-authenticate",
];
/// Every answer has these, so that a case says only where one has not.
const USUAL_HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
];

pub(crate) struct Runner<'a> {
    pub(crate) server: &'a Server,
    /// Files that `${file:name}` names.
    pub(crate) materials: &'a Path,
    saved: BTreeMap<String, Value>,
    redaction: Redaction,
}

/// What came of a step.
pub(crate) struct Outcome {
    pub(crate) got: Expectation,
    pub(crate) differences: Vec<Difference>,
    /// Why the steps after this one cannot run.
    pub(crate) fatal: Option<String>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(server: &'a Server, materials: &'a Path) -> Self {
        Self {
            server,
            materials,
            saved: BTreeMap::new(),
            redaction: Redaction::default(),
        }
    }

    /// The outcomes of the steps that ran.
    pub(crate) fn play(&mut self, case: &Case) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for step in &case.step {
            let outcome = self.step(step);
            let stop = outcome.fatal.is_some();
            outcomes.push(outcome);
            if stop {
                break;
            }
        }
        outcomes
    }

    fn step(&mut self, step: &Step) -> Outcome {
        let response = self
            .request(step)
            .and_then(|request| self.answer(step, &request));
        let response = match response {
            Ok(response) => response,
            Err(reason) => return Outcome::broken(step, reason),
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let mut fatal = None;
        for (name, pointer) in &step.save {
            match body.pointer(pointer) {
                Some(value) => {
                    self.saved.insert(name.clone(), value.clone());
                }
                None => fatal = Some(format!("the answer has no {pointer} to save")),
            }
        }
        let got = self.expectation(&response);
        let differences = step
            .expect
            .as_ref()
            .map(|expected| compare(&expected.value(), &got.value()))
            .unwrap_or_default();
        Outcome {
            got,
            differences,
            fatal,
        }
    }

    fn answer(&self, step: &Step, request: &Request) -> Result<Response, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response =
                wire::send(&self.server.address, request).map_err(|error| error.to_string())?;
            let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let reached = step.until.iter().all(|(pointer, value)| {
                body.pointer(pointer).and_then(Value::as_str) == Some(value)
            });
            if reached || Instant::now() > deadline {
                return Ok(response);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn request(&self, step: &Step) -> Result<Request, String> {
        let (method, path) = step
            .request
            .split_once(' ')
            .ok_or("a request is a method and a path")?;
        let path = self.substitute(path, false)?;
        let target = if path.starts_with('/') {
            path
        } else {
            format!("/v1/{path}")
        };
        let token = match &step.token {
            Some(token) => self.substitute(token, false)?,
            None => self.server.token.clone(),
        };
        let mut headers = Vec::new();
        if !token.is_empty() {
            headers.push(("X-Vault-Token".to_owned(), token));
        }
        for (name, value) in &step.headers {
            headers.push((name.clone(), self.substitute(value, false)?));
        }
        let body = match (&step.body, &step.body_base64) {
            (Some(body), _) => self.substitute(body, true)?.into_bytes(),
            (None, Some(body)) => STANDARD.decode(body).map_err(|error| error.to_string())?,
            (None, None) => Vec::new(),
        };
        Ok(Request {
            method: method.to_owned(),
            target,
            headers,
            body: body.repeat(step.body_times.unwrap_or(1)),
        })
    }

    /// Puts saved values and files in the place of `${name}` and `${file:name}`.
    fn substitute(&self, text: &str, within_json: bool) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("${ without }")?;
            let value = match name.strip_prefix("file:") {
                Some(file) => std::fs::read_to_string(self.materials.join(file))
                    .map_err(|error| format!("{file}: {error}"))?,
                None => match self.saved.get(name) {
                    Some(Value::String(value)) => value.clone(),
                    Some(other) => other.to_string(),
                    None => return Err(format!("nothing was saved as {name}")),
                },
            };
            result.push_str(before);
            if within_json {
                let escaped = Value::from(value).to_string();
                result.push_str(escaped.trim_matches('"'));
            } else {
                result.push_str(&value);
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }

    fn expectation(&mut self, response: &Response) -> Expectation {
        let mut headers = BTreeMap::new();
        for name in COMPARED_HEADERS {
            let value = response.header(name).unwrap_or_default();
            let usual = USUAL_HEADERS
                .iter()
                .find(|(usual, _)| *usual == name)
                .map_or("", |(_, value)| value);
            if value != usual {
                headers.insert(name.to_owned(), redact_text(value, &self.saved));
            }
        }
        let body = self.body(response);
        Expectation {
            status: response.status,
            headers,
            body: self.redaction.value(&body, &self.saved),
        }
    }

    fn body(&mut self, response: &Response) -> Value {
        if response.body.is_empty() {
            return Value::Null;
        }
        if let Ok(json) = serde_json::from_slice(&response.body) {
            return json;
        }
        if response.header("content-type") == Some("application/ocsp-response") {
            return json!({"ocsp": certificate::outline(&response.body)});
        }
        if let Ok(text) = std::str::from_utf8(&response.body) {
            return json!({"text": text});
        }
        certificate::der_digest(&response.body, &mut self.redaction.authorities)
            .unwrap_or_else(|| json!({"bytes": response.body.len()}))
    }
}

impl Outcome {
    fn broken(step: &Step, reason: String) -> Self {
        let got = Expectation {
            status: 0,
            headers: BTreeMap::new(),
            body: json!({"no answer": reason}),
        };
        Self {
            differences: step
                .expect
                .as_ref()
                .map(|expected| compare(&expected.value(), &got.value()))
                .unwrap_or_default(),
            got,
            fatal: Some(reason),
        }
    }
}

impl Expectation {
    fn value(&self) -> Value {
        json!({"status": self.status, "headers": self.headers, "body": self.body})
    }
}
