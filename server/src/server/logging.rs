//! The server's log: lines as Vault's tools write them, or JSON; never more than one line for one
//! event, whatever a client sends.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use signet_api::time::{Clock as _, SystemClock};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use super::log_file::LogFile;
use crate::config::{LogFormat, LogSettings};

/// Changes the log while the server runs.
#[derive(Debug)]
pub(crate) struct LogHandle {
    level: reload::Handle<Targets, tracing_subscriber::Registry>,
    output: Output,
}

impl LogHandle {
    pub(crate) fn set_level(&self, level: LevelFilter) {
        // Fails only when the log is gone, and then nobody could read of it.
        let _ = self.level.reload(targets(level));
    }

    pub(crate) fn reopen_file(&self) {
        if let Some(file) = &self.output.file
            && let Err(error) = file.lock().reopen()
        {
            tracing::error!(%error, "log file cannot be opened again");
        }
    }
}

/// Makes this the log of the process.
pub(crate) fn start(settings: &LogSettings) -> io::Result<LogHandle> {
    let file = match &settings.file {
        Some(file) => Some(Arc::new(Mutex::new(LogFile::open(file.clone())?))),
        None => None,
    };
    let output = Output { file };
    let (filter, level) = reload::Layer::new(targets(settings.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(output.clone());
    let format = settings.format;
    // A second server in one process, as tests may have it, keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(
        registry.with(lines.fmt_fields(Fields(format)).event_format(Lines(format))),
    );
    Ok(LogHandle { level, output })
}

/// The libraries below say little of use to an operator.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("signet", level)
        .with_target("hyper", level.min(LevelFilter::ERROR))
}

/// Standard error, and a file where one is configured.
#[derive(Clone, Debug)]
struct Output {
    file: Option<Arc<Mutex<LogFile>>>,
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(file) = &self.file {
            let _ = file.lock().write(line);
        }
        io::stderr().lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Collected {
            format: self.0,
            message: String::new(),
            fields: String::new(),
        };
        for span in context.event_scope().into_iter().flatten() {
            if let Some(recorded) = span.extensions().get::<FormattedFields<N>>() {
                fields.fields.push_str(recorded);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let module = module(metadata.target());
        match self.0 {
            LogFormat::Standard => {
                write!(
                    writer,
                    "{} {} {module}: ",
                    now(MILLIS),
                    level(*metadata.level())
                )?;
                escape_line(&mut writer, &fields.message)?;
                if !fields.fields.is_empty() {
                    write!(writer, ":{}", fields.fields)?;
                }
                writeln!(writer)
            }
            LogFormat::Json => {
                let level = metadata.level().as_str().to_ascii_lowercase();
                write!(writer, "{{\"@level\":\"{level}\",\"@message\":")?;
                json_text(&mut writer, &fields.message)?;
                write!(
                    writer,
                    ",\"@module\":\"{module}\",\"@timestamp\":\"{}\"",
                    now(MICROS)
                )?;
                writeln!(writer, "{}}}", fields.fields)
            }
        }
    }
}

/// Fields of spans, kept until an event needs them.
struct Fields(LogFormat);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut collected = Collected {
            format: self.0,
            message: String::new(),
            fields: String::new(),
        };
        fields.record(&mut collected);
        writer.write_str(&collected.fields)
    }
}

/// Fields as they stand in a line: ` key=value` or `,"key":"value"`.
struct Collected {
    format: LogFormat,
    message: String,
    fields: String,
}

impl Collected {
    fn add(&mut self, name: &str, value: &str) {
        // Writing to a `String` cannot fail.
        let _ = match self.format {
            LogFormat::Standard => {
                let _ = write!(self.fields, " {name}=");
                let is_plain = !value.is_empty()
                    && value
                        .chars()
                        .all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
                if is_plain {
                    self.fields.write_str(value)
                } else {
                    self.fields.push('"');
                    let _ = escape_quoted(&mut self.fields, value);
                    self.fields.write_char('"')
                }
            }
            LogFormat::Json => {
                let _ = write!(self.fields, ",\"{name}\":");
                json_text(&mut self.fields, value)
            }
        };
    }
}

impl Visit for Collected {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &super::error_chain(value));
    }
}

/// Anything that could end the line or start another one is spelled out.
fn escape_line(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        if is_unsafe(character) {
            write!(out, "{}", character.escape_default())?;
        } else {
            out.write_char(character)?;
        }
    }
    Ok(())
}

fn escape_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            other if is_unsafe(other) => write!(out, "{}", other.escape_default())?,
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')
}

fn json_text(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// `signet_api::token::store` as `token.store`, `signet` and the server's own parts as `core`.
fn module(target: &str) -> String {
    let inner = target
        .strip_prefix("signet_api::")
        .or_else(|| target.strip_prefix("signet::"));
    match inner {
        Some("server") | None if target.starts_with("signet") => target
            .strip_prefix("signet_")
            .unwrap_or("core")
            .replace("::", "."),
        Some(inner) => inner
            .strip_prefix("server::")
            .unwrap_or(inner)
            .replace("::", "."),
        None => target.replace("::", "."),
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "[ERROR]",
        Level::WARN => "[WARN] ",
        Level::INFO => "[INFO] ",
        Level::DEBUG => "[DEBUG]",
        Level::TRACE => "[TRACE]",
    }
}

const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const MICROS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

fn now(format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(SystemClock.now().0))
        .ok()
        .and_then(|now| now.format(format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(format: LogFormat, value: &str) -> String {
        let mut collected = Collected {
            format,
            message: String::new(),
            fields: String::new(),
        };
        collected.add("key", value);
        collected.fields
    }

    #[test]
    fn one_event_stays_one_line() {
        for format in [LogFormat::Standard, LogFormat::Json] {
            let line = fields(
                format,
                "a\n2026-01-01T00:00:00.000Z [INFO]  core: forged\r\u{2028}\u{1b}[2J",
            );
            assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line}");
        }
        assert_eq!(
            fields(LogFormat::Standard, "a \"b\"\n"),
            r#" key="a \"b\"\n""#
        );
        assert_eq!(fields(LogFormat::Standard, "plain"), " key=plain");
        assert_eq!(fields(LogFormat::Json, "a\n"), r#","key":"a\n""#);
        let mut message = String::new();
        escape_line(&mut message, "x\ny").unwrap();
        assert_eq!(message, "x\\ny");
    }

    #[test]
    fn modules_have_short_names() {
        for (target, name) in [
            ("signet", "core"),
            ("signet::server", "core"),
            ("signet::server::signals", "signals"),
            ("signet::http::serve", "http.serve"),
            ("signet_api::token::store", "token.store"),
            ("signet_storage::backend", "storage.backend"),
            ("rustls::conn", "rustls.conn"),
        ] {
            assert_eq!(module(target), name, "{target}");
        }
    }
}
