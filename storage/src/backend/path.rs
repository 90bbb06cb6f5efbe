//! Which strings may name a record.

use crate::error::StorageError;

/// Longest path, in bytes.
pub(super) const MAX_PATH_BYTES: usize = 4096;

/// Refuses what could be mistaken for another path or hide in a listing: empty, `.` and `..`
/// components (so also a leading or trailing slash) and control characters.
pub fn check_path(path: &str) -> Result<(), StorageError> {
    let refuse = |reason| {
        Err(StorageError::InvalidPath {
            path: shorten(path),
            reason,
        })
    };
    if path.len() > MAX_PATH_BYTES {
        return refuse("longer than 4096 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse("contains a control character");
    }
    for component in path.split('/') {
        match component {
            "" => return refuse("has an empty component"),
            "." | ".." => return refuse("has a relative component"),
            _ => {}
        }
    }
    Ok(())
}

fn shorten(path: &str) -> String {
    path.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_and_unicode_paths() {
        for path in [
            "a",
            "a/b",
            "logical/…/certs/0a-1b",
            "a b",
            "...",
            "a..b/.hidden",
        ] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        assert!(check_path(&"x".repeat(MAX_PATH_BYTES)).is_ok());
    }

    #[test]
    fn refuses_what_could_be_mistaken_for_another_path() {
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "a\0b", "a\nb", "\u{85}",
        ] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        assert!(check_path(&"x".repeat(MAX_PATH_BYTES + 1)).is_err());
    }
}
