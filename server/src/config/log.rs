//! What is logged, how and where to.

use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::args::ServerArgs;
use super::env::Environment;
use super::section::{self, Report, Section};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
    /// Beside the standard error stream.
    pub(crate) file: Option<LogFileSettings>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Standard,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFileSettings {
    /// A file, or a directory that gets a `signet.log`.
    pub(crate) path: PathBuf,
    /// `None`: size does not matter.
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_age: Duration,
    pub(crate) keep: Keep,
}

/// How many old log files stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    Last(usize),
}

/// The command line stands before the environment, and that before the file.
pub(super) fn read(
    section: &mut Section,
    args: &ServerArgs,
    environment: &Environment,
    report: &mut Report,
) -> LogSettings {
    let mut choose = |flag: Option<&String>, name: &str, key: &str| {
        let in_file = section.filled_text(key, report);
        flag.cloned()
            .or_else(|| environment.setting(name).map(str::to_owned))
            .or(in_file)
    };
    let level = choose(args.log_level.as_ref(), "LOG_LEVEL", "log_level");
    let format = choose(args.log_format.as_ref(), "LOG_FORMAT", "log_format");
    let level = level.map_or(Some(LevelFilter::INFO), |text| parse_level(&text));
    if level.is_none() {
        report.general_error("log level must be trace, debug, info, warn or error");
    }
    let format = match format.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("standard" | "unspecified") => LogFormat::Standard,
        Some("json") => LogFormat::Json,
        Some(other) => {
            report.general_error(format!("unknown log format {other:?}: standard or json"));
            LogFormat::Standard
        }
    };
    let in_file = section.path("log_file", report);
    let file = file(section, args, report);
    let path = args.log_file.clone().or(in_file);
    LogSettings {
        level: level.unwrap_or(LevelFilter::INFO),
        format,
        file: path.map(|path| LogFileSettings { path, ..file }),
    }
}

/// The settings of a log file, its path left open.
fn file(section: &mut Section, args: &ServerArgs, report: &mut Report) -> LogFileSettings {
    let in_file = section.duration("log_rotate_duration", report);
    let rotate_age = match args.log_rotate_duration.as_deref().map(section::duration) {
        None => in_file,
        Some(Ok(age)) => Some(age),
        Some(Err(error)) => {
            report.general_error(format!("-log-rotate-duration: {error}"));
            None
        }
    };
    let in_file = section.count("log_rotate_bytes", report);
    let rotate_bytes = args.log_rotate_bytes.or(in_file).filter(|bytes| *bytes > 0);
    let in_file = section
        .text("log_rotate_max_files", report)
        .map(|text| text.parse::<i64>());
    let keep = match (args.log_rotate_max_files, in_file) {
        (Some(count), _) | (None, Some(Ok(count))) => count,
        (None, None) => 0,
        (None, Some(Err(_))) => {
            report.general_error("log_rotate_max_files must be a whole number");
            0
        }
    };
    LogFileSettings {
        path: PathBuf::new(),
        rotate_bytes,
        rotate_age: rotate_age
            .filter(|age| !age.is_zero())
            .unwrap_or(Duration::from_hours(24)),
        keep: match usize::try_from(keep) {
            Ok(0) => Keep::All,
            Ok(count) => Keep::Last(count),
            Err(_) => Keep::Last(0),
        },
    }
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    Some(match text.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" | "notice" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "err" | "error" => LevelFilter::ERROR,
        "off" => LevelFilter::OFF,
        _ => return None,
    })
}
