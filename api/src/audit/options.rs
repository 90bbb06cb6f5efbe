//! The options of a device. What is not enforced is refused.

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::params::parse_bool;

use super::writer::Target;

#[derive(Debug)]
pub(super) struct Options {
    pub(super) target: Target,
    pub(super) hashes_accessors: bool,
    pub(super) is_raw: bool,
    pub(super) elides_lists: bool,
}

impl Options {
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let mut path = "";
        let mut mode = Some(DEFAULT_MODE);
        let (mut hashes_accessors, mut is_raw, mut elides_lists) = (true, false, false);
        for (name, value) in options {
            match name.as_str() {
                "file_path" => path = value,
                "path" if !options.contains_key("file_path") => path = value,
                "path" => {}
                "mode" => mode = read_mode(value)?,
                "format" => check_format(value)?,
                "hmac_accessor" => hashes_accessors = read_bool(value)?,
                "log_raw" => is_raw = read_bool(value)?,
                "elide_list_responses" => elides_lists = read_bool(value)?,
                _ if value.is_empty() => {}
                other => {
                    let text = format!("audit option {other:?} is not supported");
                    return Err(ApiError::bad_request(text));
                }
            }
        }
        let target = match path {
            "" => return Err(ApiError::bad_request("file_path is required")),
            "discard" => Target::Discard,
            "stdout" => Target::Stdout,
            path => Target::File {
                path: path.into(),
                mode,
            },
        };
        Ok(Self {
            target,
            hashes_accessors,
            is_raw,
            elides_lists,
        })
    }
}

const DEFAULT_MODE: u32 = 0o600;

/// `None` keeps the mode that the file has.
fn read_mode(text: &str) -> Result<Option<u32>, ApiError> {
    if text.is_empty() {
        return Ok(Some(DEFAULT_MODE));
    }
    let mode = u32::from_str_radix(text, 8).map_err(|_| {
        ApiError::bad_request(format!(
            "strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })?;
    if mode & !0o666 != 0 {
        let text = format!("audit file mode {text:?} is not supported: only read and write bits");
        return Err(ApiError::bad_request(text));
    }
    Ok((mode != 0).then_some(mode))
}

fn check_format(text: &str) -> Result<(), ApiError> {
    match text {
        "" | "json" => Ok(()),
        "jsonx" => Err(ApiError::bad_request(
            "audit format \"jsonx\" is not supported",
        )),
        other => Err(ApiError::bad_request(format!(
            "unknown format type {other:?}"
        ))),
    }
}

fn read_bool(text: &str) -> Result<bool, ApiError> {
    parse_bool(text).ok_or_else(|| {
        ApiError::bad_request(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Options::parse(&pairs.iter().map(owned).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_both_names_of_the_path() {
        for name in ["file_path", "path"] {
            let options = parse(&[(name, "/a"), ("mode", "0640"), ("log_raw", "1")]).unwrap();
            let (path, mode) = ("/a".into(), Some(0o640));
            assert_eq!(options.target, Target::File { path, mode });
            assert!(options.is_raw && options.hashes_accessors && !options.elides_lists);
        }
        let options = parse(&[("path", "stdout"), ("prefix", ""), ("mode", "0000")]);
        assert_eq!(options.unwrap().target, Target::Stdout);
    }

    #[test]
    fn refuses_what_is_wrong_or_not_enforced() {
        for (name, value, text) in [
            (
                "mode",
                "zz",
                "strconv.ParseUint: parsing \"zz\": invalid syntax",
            ),
            (
                "mode",
                "0755",
                "audit file mode \"0755\" is not supported: only read and write bits",
            ),
            ("format", "zz", "unknown format type \"zz\""),
            ("format", "jsonx", "audit format \"jsonx\" is not supported"),
            (
                "log_raw",
                "zz",
                "strconv.ParseBool: parsing \"zz\": invalid syntax",
            ),
            ("prefix", "x", "audit option \"prefix\" is not supported"),
            ("filter", "x", "audit option \"filter\" is not supported"),
            ("exclude", "x", "audit option \"exclude\" is not supported"),
        ] {
            let options = [("file_path", "/a"), (name, value)];
            assert_eq!(parse(&options).unwrap_err(), text);
        }
        assert_eq!(parse(&[]).unwrap_err(), "file_path is required");
    }
}
