//! Pages of keys, for any engine that can iterate from a bound.

use std::ops::Bound;

use crate::error::StorageError;

/// The entries that begin with `prefix`, strictly after `after`, at most `limit`, keys relative to
/// the prefix. `open` gives the store's entries in byte order from a bound.
pub(super) fn page<V, I>(
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    open: impl FnOnce(Bound<String>) -> Result<I, StorageError>,
) -> Result<Vec<(String, V)>, StorageError>
where
    I: Iterator<Item = Result<(String, V), StorageError>>,
{
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let start = match after {
        None => Bound::Included(prefix.to_owned()),
        Some(after) => Bound::Excluded(format!("{prefix}{after}")),
    };
    for entry in open(start)? {
        let (key, value) = entry?;
        let Some(rest) = key.strip_prefix(prefix) else {
            break;
        };
        found.push((rest.to_owned(), value));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// The names one level below `prefix`. Opens the store anew behind each name that has keys below
/// it, so that these are not read.
pub(super) fn children<I>(
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    open: impl Fn(Bound<String>) -> Result<I, StorageError>,
) -> Result<Vec<String>, StorageError>
where
    I: Iterator<Item = Result<String, StorageError>>,
{
    let mut found: Vec<String> = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let mut entries = open(match after {
        None => Bound::Included(prefix.to_owned()),
        Some(after) => match after.split_once('/') {
            Some((directory, _)) => behind(prefix, directory),
            None => Bound::Excluded(format!("{prefix}{after}")),
        },
    })?;
    while let Some(key) = entries.next() {
        let key = key?;
        let Some(rest) = key.strip_prefix(prefix) else {
            break;
        };
        match rest.split_once('/') {
            Some((directory, _)) => {
                found.push(format!("{directory}/"));
                entries = open(behind(prefix, directory))?;
            }
            None => found.push(rest.to_owned()),
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// The bound behind all keys of a directory: `0` is the byte after `/`.
fn behind(prefix: &str, directory: &str) -> Bound<String> {
    Bound::Included(format!("{prefix}{directory}0"))
}
