//! A block of a configuration file, taken apart key by key.
//!
//! Every key that a reader takes is known; what is left at the end is reported. Faults are
//! collected, so that an operator sees all of them at once.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use signet_api::hcl::{Item, Value};
use signet_api::params::{parse_bool, parse_duration_secs, parse_go_duration_nanos};

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What was found wrong on the way.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Report {
    pub(crate) fn error(&mut self, place: &Place, text: impl fmt::Display) {
        self.errors.push(format!("{place}: {text}"));
    }

    /// For faults that no place in a file can be given for.
    pub(crate) fn general_error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    pub(crate) fn warn(&mut self, place: &Place, text: impl fmt::Display) {
        self.warnings.push(format!("{place}: {text}"));
    }
}

/// `key "label" = value`.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: String,
    labels: Vec<String>,
    pub(crate) place: Place,
    value: Value,
}

/// The inside of a block.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) place: Place,
    fields: Vec<Field>,
}

/// A block with its labels, e.g. `listener "tcp" { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) labels: Vec<String>,
    pub(crate) section: Section,
}

impl Block {
    /// The label at `index`; empty where there is none.
    pub(crate) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", String::as_str)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.section.place
    }
}

impl Section {
    pub(crate) fn new(place: Place, items: Vec<Item>) -> Self {
        let fields = items
            .into_iter()
            .map(|item| Field {
                key: item.key,
                labels: item.labels,
                place: Place {
                    file: place.file.clone(),
                    line: item.line,
                    column: item.column,
                },
                value: item.value,
            })
            .collect();
        Self { place, fields }
    }

    /// Adds what stands in a further file.
    pub(crate) fn append(&mut self, other: Self) {
        self.fields.extend(other.fields);
    }

    /// Removes a key; where it is repeated the last one counts.
    pub(crate) fn take(&mut self, key: &str) -> Option<Field> {
        let mut last = None;
        self.fields.retain(|field| {
            let matches = field.key.eq_ignore_ascii_case(key);
            if matches {
                last = Some(field.clone());
            }
            !matches
        });
        last
    }

    /// Where `key` stands, or else the block.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.fields
            .iter()
            .rfind(|field| field.key.eq_ignore_ascii_case(key))
            .map_or_else(|| self.place.clone(), |field| field.place.clone())
    }

    pub(crate) fn text(&mut self, key: &str, report: &mut Report) -> Option<String> {
        let field = self.take(key)?;
        let text = scalar_text(&field.value);
        if text.is_none() {
            report.error(&field.place, format_args!("{key} must be a string"));
        }
        text
    }

    /// A string that is not empty.
    pub(crate) fn filled_text(&mut self, key: &str, report: &mut Report) -> Option<String> {
        self.text(key, report).filter(|text| !text.is_empty())
    }

    pub(crate) fn path(&mut self, key: &str, report: &mut Report) -> Option<PathBuf> {
        self.filled_text(key, report).map(PathBuf::from)
    }

    /// `true`, `"true"`, `1` and the like.
    pub(crate) fn flag(&mut self, key: &str, report: &mut Report) -> Option<bool> {
        let field = self.take(key)?;
        let flag = match &field.value {
            Value::Bool(flag) => Some(*flag),
            other => scalar_text(other).and_then(|text| parse_bool(text.trim())),
        };
        if flag.is_none() {
            report.error(&field.place, format_args!("{key} must be true or false"));
        }
        flag
    }

    pub(crate) fn count(&mut self, key: &str, report: &mut Report) -> Option<u64> {
        let field = self.take(key)?;
        let count = scalar_text(&field.value).and_then(|text| text.trim().parse().ok());
        if count.is_none() {
            report.error(
                &field.place,
                format_args!("{key} must be a whole number, not negative"),
            );
        }
        count
    }

    /// Seconds as a number, or text such as `90s`, `1h30m`, `30d`.
    pub(crate) fn duration(&mut self, key: &str, report: &mut Report) -> Option<Duration> {
        let field = self.take(key)?;
        let parsed = scalar_text(&field.value)
            .ok_or_else(|| "could not parse duration from input".to_owned())
            .and_then(|text| duration(text.trim()));
        match parsed {
            Ok(duration) => Some(duration),
            Err(error) => {
                report.error(&field.place, format_args!("{key}: {error}"));
                None
            }
        }
    }

    /// A list, or a text of entries with commas between.
    pub(crate) fn list(&mut self, key: &str, report: &mut Report) -> Option<Vec<String>> {
        let field = self.take(key)?;
        let entries = match &field.value {
            Value::List(values) => values.iter().map(scalar_text).collect(),
            other => scalar_text(other).map(|text| {
                text.split(',')
                    .map(|entry| entry.trim().to_owned())
                    .collect()
            }),
        };
        let Some(entries): Option<Vec<String>> = entries else {
            report.error(
                &field.place,
                format_args!("{key} must be a list of strings"),
            );
            return None;
        };
        Some(
            entries
                .into_iter()
                .filter(|entry| !entry.is_empty())
                .collect(),
        )
    }

    /// All blocks called `key`, in any of the notations of HCL and JSON.
    pub(crate) fn blocks(
        &mut self,
        key: &str,
        label_count: usize,
        report: &mut Report,
    ) -> Vec<Block> {
        let mut found = Vec::new();
        let (taken, kept) = std::mem::take(&mut self.fields)
            .into_iter()
            .partition(|field| field.key.eq_ignore_ascii_case(key));
        self.fields = kept;
        for field in taken {
            flatten(field, label_count, &mut found, report);
        }
        found
    }

    /// At most one block called `key`, without labels.
    pub(crate) fn block(&mut self, key: &str, report: &mut Report) -> Option<Self> {
        let mut blocks = self.blocks(key, 0, report);
        let last = blocks.pop();
        if let (Some(last), false) = (&last, blocks.is_empty()) {
            report.error(
                last.place(),
                format_args!("only one {key} block is allowed"),
            );
        }
        last.map(|block| block.section)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        self.fields
            .iter()
            .map(|field| field.key.to_ascii_lowercase())
    }

    /// All keys of a block whose keys are data.
    pub(crate) fn entries(self) -> Vec<(Field, Option<String>)> {
        self.fields
            .into_iter()
            .map(|field| {
                let text = scalar_text(&field.value);
                (field, text)
            })
            .collect()
    }

    /// Takes keys that have no effect here; harmless to pass over, so nothing is said.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Takes keys that ask for something that is not there.
    pub(crate) fn warn_unsupported(&mut self, keys: &[&str], report: &mut Report) {
        for key in keys {
            if let Some(field) = self.take(key)
                && !field.is_off()
            {
                report.warn(
                    &field.place,
                    format_args!("{key} is not supported and has no effect"),
                );
            }
        }
    }

    /// Takes keys that would be dangerous to pass over.
    pub(crate) fn refuse(&mut self, keys: &[&str], report: &mut Report) {
        for key in keys {
            if let Some(field) = self.take(key)
                && !field.is_off()
            {
                report.error(&field.place, format_args!("{key} is not supported"));
            }
        }
    }

    /// The keys as they are written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.key.as_str())
    }

    /// Refuses what nobody took, in blocks where a misspelt key must not be passed over.
    pub(crate) fn finish_strictly(self, block: &str, report: &mut Report) {
        for field in self.fields {
            report.error(
                &field.place,
                format_args!("{block} has no key {}", field.key),
            );
        }
    }

    /// Reports what nobody took.
    pub(crate) fn finish(self, report: &mut Report) {
        for field in self.fields {
            report.warnings.push(format!(
                "unknown or unsupported field {} found in configuration at {}",
                field.key, field.place
            ));
        }
    }
}

impl Field {
    /// Says `false`, `0` or nothing at all.
    fn is_off(&self) -> bool {
        match &self.value {
            Value::Bool(flag) => !flag,
            Value::List(values) => values.is_empty(),
            Value::Null => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Object(_) => false,
            Value::String(text) => text.is_empty() || parse_bool(text) == Some(false),
        }
    }

    /// The entries of a list, or the one value.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        match &self.value {
            Value::List(values) => values.iter().map(scalar_text).collect(),
            other => scalar_text(other).map(|text| vec![text]),
        }
    }
}

fn flatten(field: Field, label_count: usize, found: &mut Vec<Block>, report: &mut Report) {
    match field.value {
        Value::List(values) => {
            for value in values {
                let one = Field {
                    key: field.key.clone(),
                    labels: field.labels.clone(),
                    place: field.place.clone(),
                    value,
                };
                flatten(one, label_count, found, report);
            }
        }
        Value::Object(items) if field.labels.len() < label_count => {
            for inner in Section::new(field.place.clone(), items).fields {
                let mut labels = field.labels.clone();
                labels.push(inner.key);
                labels.extend(inner.labels);
                let one = Field {
                    key: field.key.clone(),
                    labels,
                    place: inner.place,
                    value: inner.value,
                };
                flatten(one, label_count, found, report);
            }
        }
        Value::Object(items) => found.push(Block {
            labels: field.labels,
            section: Section::new(field.place, items),
        }),
        _ => report.error(&field.place, format_args!("{} must be a block", field.key)),
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::List(_) | Value::Object(_) => None,
    }
}

/// As the API takes durations, but with the fractions of a second.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let nanos = match parse_go_duration_nanos(text) {
        Ok(nanos) => nanos,
        Err(_) => parse_duration_secs(text)?.saturating_mul(1_000_000_000),
    };
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| format!("cannot provide negative value '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        let place = Place {
            file: "t.hcl".into(),
            line: 1,
            column: 1,
        };
        Section::new(place, signet_api::hcl::read(text).unwrap())
    }

    #[test]
    fn finds_blocks_in_every_notation() {
        for text in [
            "listener \"tcp\" { address = \"a\" } listener \"unix\" { address = \"b\" }",
            r#"{"listener": [{"tcp": {"address": "a"}}, {"unix": {"address": "b"}}]}"#,
            r#"{"listener": {"tcp": {"address": "a"}, "unix": [{"address": "b"}]}}"#,
            "listener { tcp { address = \"a\" } unix { address = \"b\" } }",
        ] {
            let mut report = Report::default();
            let mut blocks = section(text).blocks("listener", 1, &mut report);
            let found: Vec<_> = blocks
                .iter_mut()
                .map(|block| {
                    let label = block.label(0).to_owned();
                    (label, block.section.text("address", &mut report).unwrap())
                })
                .collect();
            let expected = [("tcp", "a"), ("unix", "b")].map(|(l, a)| (l.to_owned(), a.to_owned()));
            assert_eq!(found, expected, "{text}");
            assert!(report.errors.is_empty(), "{text}");
        }
    }

    #[test]
    fn reports_what_nobody_took_with_its_place() {
        let mut report = Report::default();
        let mut all = section("ui = true\n  bogus = 1");
        all.flag("ui", &mut report);
        all.finish(&mut report);
        assert_eq!(
            report.warnings,
            ["unknown or unsupported field bogus found in configuration at t.hcl:2:3"]
        );
    }

    #[test]
    fn reads_scalars_as_loosely_as_vault_does() {
        let mut report = Report::default();
        let mut all = section(
            "a = \"true\" b = 1 c = \"0\" d = \"42\" e = 90 f = \"1h30m\" g = \"500ms\" h = \"x, y\" i = [\"x\", \"y\"]",
        );
        assert_eq!(all.flag("a", &mut report), Some(true));
        assert_eq!(all.flag("b", &mut report), Some(true));
        assert_eq!(all.flag("c", &mut report), Some(false));
        assert_eq!(all.count("d", &mut report), Some(42));
        assert_eq!(
            all.duration("e", &mut report),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            all.duration("f", &mut report),
            Some(Duration::from_mins(90))
        );
        assert_eq!(
            all.duration("g", &mut report),
            Some(Duration::from_millis(500))
        );
        for key in ["h", "i"] {
            assert_eq!(all.list(key, &mut report).unwrap(), ["x", "y"]);
        }
        assert!(report.errors.is_empty());
    }
}
