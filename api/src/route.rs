//! From an operation and a path to the row of an engine's table.
//!
//! Path patterns are segments: a literal, or a capture `{name}` that must look like a name,
//! `{name:any}` any one segment, `{name:serial}` a certificate serial number, `{name:uuid}` a UUID
//! or `{name:path}` one or more segments, also in the middle. Where several patterns fit, the one
//! with the more exact segments, from the left, wins.

use std::collections::HashMap;

use crate::call::Op;

/// One pattern of a table, compiled.
#[derive(Debug)]
struct Pattern<T> {
    op: Op,
    segments: Vec<Segment>,
    target: T,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Uuid(&'static str),
    Serial(&'static str),
    Name(&'static str),
    Any(&'static str),
    Path(&'static str),
}

/// Captured values of one request, in the order of the pattern.
pub type Captures = Vec<(&'static str, String)>;

/// The patterns of one engine.
#[derive(Debug)]
pub struct Router<T> {
    by_first: HashMap<&'static str, Vec<Pattern<T>>>,
    others: Vec<Pattern<T>>,
}

/// What a path is to an engine.
#[derive(Debug)]
pub enum Found<T> {
    Route(T, Captures),
    /// The path exists with other operations; one of their targets.
    WrongOperation(T),
    NoPath,
}

impl<T: Copy> Router<T> {
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = (Op, &'static str, T)>) -> Self {
        let mut router = Self {
            by_first: HashMap::new(),
            others: Vec::new(),
        };
        for (op, text, target) in patterns {
            let segments: Vec<_> = text
                .split('/')
                .filter(|s| !s.is_empty())
                .map(parse)
                .collect();
            let pattern = Pattern {
                op,
                segments,
                target,
            };
            match pattern.segments.first() {
                Some(Segment::Literal(first)) => {
                    router.by_first.entry(first).or_default().push(pattern);
                }
                _ => router.others.push(pattern),
            }
        }
        for list in router.by_first.values_mut().chain([&mut router.others]) {
            // Longer first among equals, so that a literal behind a `path` capture is seen.
            list.sort_by(|a, b| more_exact_first(&a.segments, &b.segments));
        }
        router
    }

    /// Finds the row for `path`, which has no leading or trailing slash.
    #[must_use]
    pub fn find(&self, op: Op, path: &str) -> Found<T> {
        let segments: Vec<&str> = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/').collect()
        };
        let first = segments.first().copied().unwrap_or_default();
        let mut other = None;
        for pattern in self
            .by_first
            .get(first)
            .into_iter()
            .flatten()
            .chain(&self.others)
        {
            let mut captures = Vec::new();
            if !matches(&pattern.segments, &segments, &mut captures) {
                continue;
            }
            if pattern.op == op {
                return Found::Route(pattern.target, captures);
            }
            other = other.or(Some(pattern.target));
        }
        other.map_or(Found::NoPath, Found::WrongOperation)
    }
}

fn more_exact_first(a: &[Segment], b: &[Segment]) -> std::cmp::Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = kind(a).cmp(&kind(b));
        if order.is_ne() {
            return order;
        }
    }
    b.len().cmp(&a.len())
}

fn kind(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 0,
        Segment::Uuid(_) => 1,
        Segment::Serial(_) => 2,
        Segment::Name(_) => 3,
        Segment::Any(_) => 4,
        Segment::Path(_) => 5,
    }
}

fn parse(text: &'static str) -> Segment {
    let Some(capture) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return Segment::Literal(text);
    };
    match capture.split_once(':') {
        Some((name, "any")) => Segment::Any(name),
        Some((name, "path")) => Segment::Path(name),
        Some((name, "serial")) => Segment::Serial(name),
        Some((name, "uuid")) => Segment::Uuid(name),
        _ => Segment::Name(capture),
    }
}

/// The capture names of a pattern text.
pub fn capture_names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter_map(|segment| {
        let capture = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(capture.split_once(':').map_or(capture, |(name, _)| name))
    })
}

fn matches(pattern: &[Segment], path: &[&str], captures: &mut Captures) -> bool {
    let Some((segment, pattern_rest)) = pattern.split_first() else {
        return path.is_empty();
    };
    if let Segment::Path(name) = segment {
        // The shortest tail that the rest of the pattern takes leaves the longest capture.
        for taken in (1..=path.len()).rev() {
            let Some((head, tail)) = path.split_at_checked(taken) else {
                continue;
            };
            let before = captures.len();
            captures.push((name, head.join("/")));
            if matches(pattern_rest, tail, captures) {
                return true;
            }
            captures.truncate(before);
        }
        return false;
    }
    let Some((value, path_rest)) = path.split_first() else {
        return false;
    };
    let capture = match segment {
        Segment::Literal(literal) if literal == value => None,
        Segment::Uuid(name) if is_uuid(value) => Some(name),
        Segment::Serial(name) if is_serial(value) => Some(name),
        Segment::Name(name) if is_name(value) => Some(name),
        Segment::Any(name) if !value.is_empty() => Some(name),
        _ => return false,
    };
    if let Some(name) = capture {
        captures.push((name, (*value).to_owned()));
    }
    matches(pattern_rest, path_rest, captures)
}

/// Word characters, inside also `-` and `.`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && bytes.iter().all(|b| word(b) || matches!(b, b'-' | b'.'))
}

fn is_serial(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-'))
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<&'static str> {
        Router::new(
            [
                "cert/ca",
                "cert/{serial:serial}",
                "cert/{serial:serial}/raw/pem",
                "roles/{name}",
                "mounts/{path:path}",
                "mounts/{path:path}/tune",
                "mounts",
                "{path:path}",
            ]
            .map(|text| (Op::Read, text, text)),
        )
    }

    fn find(path: &str) -> (&'static str, Captures) {
        match router().find(Op::Read, path) {
            Found::Route(target, captures) => (target, captures),
            Found::WrongOperation(_) | Found::NoPath => ("", Vec::new()),
        }
    }

    #[test]
    fn exact_segments_win_over_captures() {
        assert_eq!(find("cert/ca").0, "cert/ca");
        assert_eq!(find("cert/3a:01").0, "cert/{serial:serial}");
        assert_eq!(find("cert/3a-01/raw/pem").0, "cert/{serial:serial}/raw/pem");
        assert_eq!(find("mounts").0, "mounts");
    }

    #[test]
    fn a_literal_behind_a_path_capture_is_seen() {
        let (target, captures) = find("mounts/team/pki/tune");
        assert_eq!(target, "mounts/{path:path}/tune");
        assert_eq!(captures, [("path", "team/pki".to_owned())]);
        assert_eq!(find("mounts/team/pki").0, "mounts/{path:path}");
    }

    #[test]
    fn names_outside_the_charset_do_not_match() {
        for good in ["a", "a.b", "a..b", "1", "a-b_c"] {
            assert_eq!(find(&format!("roles/{good}")).0, "roles/{name}", "{good}");
        }
        for bad in ["a@b", "-a", "a-", "ünï", "a/b", ""] {
            assert_ne!(find(&format!("roles/{bad}")).0, "roles/{name}", "{bad}");
        }
    }

    #[test]
    fn tells_a_wrong_operation_from_an_unknown_path() {
        let router = Router::new([(Op::Read, "a/{name}", 1), (Op::List, "a", 2)]);
        assert!(matches!(
            router.find(Op::Delete, "a/b"),
            Found::WrongOperation(1)
        ));
        assert!(matches!(
            router.find(Op::Read, "a"),
            Found::WrongOperation(2)
        ));
        assert!(matches!(router.find(Op::Read, "b"), Found::NoPath));
    }
}
