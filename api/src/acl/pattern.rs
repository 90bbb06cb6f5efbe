//! The paths a rule speaks of, and which of two matching rules is the more specific.

use std::cmp::Reverse;

/// A rendered rule path. The order is only there to merge rules of identical text.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum PathPattern {
    Exact(String),
    /// Without the final `*`.
    Prefix(String),
    /// One or more segments are `+`, which stands for exactly one segment, even an empty one.
    Segments(SegmentPattern),
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentPattern {
    /// Without the final `*`.
    text: String,
    is_prefix: bool,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("path {path:?}: invalid use of wildcards ('+*' is forbidden)")]
pub(super) struct WildcardMisuse {
    pub(super) path: String,
}

/// Of two patterns that match the same path, the greater decides.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Specificity<'a> {
    first_wildcard_offset: usize,
    ends_exactly: bool,
    wildcard_segments: Reverse<usize>,
    length: usize,
    text: &'a str,
}

impl PathPattern {
    pub(super) fn new(text: &str) -> Result<Self, WildcardMisuse> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.contains("+*") {
            return Err(WildcardMisuse {
                path: text.to_owned(),
            });
        }
        let (body, is_prefix) = match text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let body = body.to_owned();
        Ok(if body.split('/').any(|segment| segment == "+") {
            Self::Segments(SegmentPattern {
                text: body,
                is_prefix,
            })
        } else if is_prefix {
            Self::Prefix(body)
        } else {
            Self::Exact(body)
        })
    }
}

impl SegmentPattern {
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let mut wanted = self.text.split('/').peekable();
        while let Some(pattern) = wanted.next() {
            let Some(segment) = segments.next() else {
                return false;
            };
            if pattern == "+" || pattern == segment {
                continue;
            }
            return self.is_prefix && wanted.peek().is_none() && segment.starts_with(pattern);
        }
        self.is_prefix || segments.next().is_none()
    }

    pub(super) fn specificity(&self) -> Specificity<'_> {
        let first_wildcard_offset = self
            .text
            .split('/')
            .take_while(|segment| *segment != "+")
            .map(|segment| segment.len() + "/".len())
            .sum();
        Specificity {
            first_wildcard_offset,
            ends_exactly: !self.is_prefix,
            wildcard_segments: Reverse(self.text.split('/').filter(|part| *part == "+").count()),
            length: self.text.len(),
            text: &self.text,
        }
    }

    /// Whether the pattern matches any path below `folder`, which ends in `/`.
    pub(super) fn reaches_below(&self, folder: &str) -> bool {
        let mut wanted = self.text.split('/').peekable();
        for segment in folder.trim_end_matches('/').split('/') {
            let Some(pattern) = wanted.next() else {
                return false;
            };
            if self.is_prefix && wanted.peek().is_none() && segment.starts_with(pattern) {
                return true;
            }
            if pattern != "+" && pattern != segment {
                return false;
            }
        }
        wanted.peek().is_some()
    }
}

/// How specific a `prefix*` is.
pub(super) fn prefix_specificity(prefix: &str) -> Specificity<'_> {
    Specificity {
        first_wildcard_offset: prefix.len(),
        ends_exactly: false,
        wildcard_segments: Reverse(0),
        length: prefix.len(),
        text: prefix,
    }
}

/// Finds the longest of many prefixes of a path.
#[derive(Debug)]
pub(super) struct PrefixTable<T> {
    /// Sorted by prefix.
    entries: Vec<PrefixEntry<T>>,
}

#[derive(Debug)]
struct PrefixEntry<T> {
    prefix: String,
    /// Where the longest other prefix of this prefix stands.
    parent: Option<usize>,
    value: T,
}

impl<T> PrefixTable<T> {
    /// `sorted` must be in ascending order without repetition.
    pub(super) fn new(sorted: Vec<(String, T)>) -> Self {
        let mut entries: Vec<PrefixEntry<T>> = Vec::with_capacity(sorted.len());
        for (prefix, value) in sorted {
            let parent = Self::climb(&entries, entries.len().checked_sub(1), &prefix);
            entries.push(PrefixEntry {
                prefix,
                parent,
                value,
            });
        }
        Self { entries }
    }

    pub(super) fn longest(&self, path: &str) -> Option<(&str, &T)> {
        let after = self
            .entries
            .partition_point(|entry| entry.prefix.as_str() <= path);
        let found = Self::climb(&self.entries, after.checked_sub(1), path)?;
        self.entries
            .get(found)
            .map(|entry| (entry.prefix.as_str(), &entry.value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries
            .iter()
            .map(|entry| (entry.prefix.as_str(), &entry.value))
    }

    /// The longest prefix of `path` at or above `start`, the last entry not greater than `path`.
    ///
    /// Everything sorted between a prefix of the path and the path itself begins with that prefix,
    /// so every prefix of the path is `start` or one of its ancestors.
    fn climb(entries: &[PrefixEntry<T>], start: Option<usize>, path: &str) -> Option<usize> {
        let mut candidate = start;
        while let Some(index) = candidate {
            let entry = entries.get(index)?;
            if path.starts_with(&entry.prefix) {
                return Some(index);
            }
            candidate = entry.parent;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> SegmentPattern {
        match PathPattern::new(text).unwrap() {
            PathPattern::Segments(pattern) => pattern,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn tells_the_three_kinds_apart() {
        let exact = |text: &str| PathPattern::Exact(text.to_owned());
        let prefix = |text: &str| PathPattern::Prefix(text.to_owned());
        assert_eq!(PathPattern::new("a/b"), Ok(exact("a/b")));
        assert_eq!(PathPattern::new("/a"), Ok(exact("a")));
        assert_eq!(PathPattern::new("a*b"), Ok(exact("a*b")));
        assert_eq!(PathPattern::new("a/+b"), Ok(exact("a/+b")));
        assert_eq!(PathPattern::new("*"), Ok(prefix("")));
        assert_eq!(PathPattern::new("a/b*"), Ok(prefix("a/b")));
        assert!(matches!(
            PathPattern::new("+"),
            Ok(PathPattern::Segments(_))
        ));
        assert!(matches!(
            PathPattern::new("a/+/b*"),
            Ok(PathPattern::Segments(_))
        ));
        assert!(PathPattern::new("a/+*").is_err());
    }

    #[test]
    fn a_plus_stands_for_exactly_one_segment() {
        let cases = [
            ("+", "a", true),
            ("+", "", true),
            ("+", "a/b", false),
            ("a/+/b", "a/x/b", true),
            ("a/+/b", "a//b", true),
            ("a/+/b", "a/x/y/b", false),
            ("a/+/b", "a/x/bb", false),
            ("a/+/b*", "a/x/bb/c", true),
            ("a/+/*", "a/x/", true),
            ("a/+/*", "a/x", false),
            ("a/+", "a/x/", false),
            ("+/x", "a/x", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(
                segments(pattern).matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn knows_whether_it_reaches_below_a_mount() {
        let cases = [
            ("+/issue/web", "pki/", true),
            ("pki/+/web", "pki/", true),
            ("p/+/web", "pki/", false),
            ("+/*", "pki/", true),
            ("+", "pki/", false),
            ("+/a*", "x/abc/", true),
            ("+/b*", "x/abc/", false),
        ];
        for (pattern, folder, expected) in cases {
            assert_eq!(
                segments(pattern).reaches_below(folder),
                expected,
                "{pattern} {folder}"
            );
        }
    }

    #[test]
    fn finds_the_longest_prefix_past_unrelated_neighbours() {
        let sorted = ["", "a", "a/b", "a/b/c", "a/bz", "b"];
        let table = PrefixTable::new(sorted.map(|text| (text.to_owned(), ())).to_vec());
        let cases = [
            ("a/bzz", "a/bz"),
            ("a/by", "a/b"),
            ("a/b/d", "a/b"),
            ("c", ""),
            ("a", "a"),
            ("", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(
                table.longest(path).map(|(prefix, ())| prefix),
                Some(expected),
                "{path}"
            );
        }
        assert!(
            PrefixTable::new(vec![("x".to_owned(), ())])
                .longest("a")
                .is_none()
        );
    }
}
