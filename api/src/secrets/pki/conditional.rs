//! `If-Modified-Since` and `Last-Modified` (RFC 9110 §8.8.2, §13.1.3).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::endpoint::Cx;
use crate::reply::Reply;
use crate::secrets::pki::Pki;

/// Since when each resource is what it is, as far as this process has seen.
///
/// Nothing of it is stored: after a restart everything counts as new, which costs a client one
/// answer with a body.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    content: u64,
    since_secs: i64,
}

impl Freshness {
    /// Seconds since the epoch at which `resource` became what `content` hashes to. Two changes in
    /// one second count as two seconds, so that no client misses the second one.
    fn modified_secs(&self, resource: &str, content: &impl Hash, now_secs: i64) -> i64 {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let content = hasher.finish();
        let mut seen = self.seen.lock();
        let since_secs = match seen.get(resource) {
            Some(known) if known.content == content => return known.since_secs,
            Some(known) => now_secs.max(known.since_secs + 1),
            None => now_secs,
        };
        if seen.len() >= MAX_RESOURCES {
            seen.clear();
        }
        seen.insert(
            resource.to_owned(),
            Seen {
                content,
                since_secs,
            },
        );
        since_secs
    }
}

/// Whether the caller has the newest state of `resource` already, which `content` stands for.
pub(super) enum Condition {
    Modified { last_modified: String },
    NotModified { last_modified: String },
}

impl Condition {
    /// A date that cannot be read does not count (RFC 9110 §13.1.3).
    pub(super) fn check(cx: Cx<'_, Pki>, resource: &str, content: &impl Hash) -> Self {
        let modified = cx
            .engine
            .freshness
            .modified_secs(resource, content, cx.now.secs());
        let last_modified = http_date(modified);
        let since = cx
            .call
            .header("if-modified-since")
            .and_then(parse_http_date);
        if since.is_some_and(|since| modified <= since) {
            Self::NotModified { last_modified }
        } else {
            Self::Modified { last_modified }
        }
    }

    /// The answer of `full`, or 304 without a body.
    pub(super) fn reply<E>(self, full: impl FnOnce() -> Result<Reply, E>) -> Result<Reply, E> {
        let (mut reply, last_modified) = match self {
            Self::Modified { last_modified } => (full()?, last_modified),
            Self::NotModified { last_modified } => (
                Reply::raw(crate::reply::JSON, "").status(304),
                last_modified,
            ),
        };
        reply.headers.push(("Last-Modified", last_modified));
        Ok(reply)
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(secs: i64) -> String {
    OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|time| time.format(IMF_FIXDATE).ok())
        .unwrap_or_default()
}

fn parse_http_date(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text.trim(), IMF_FIXDATE).ok()?;
    Some(time.assume_utc().unix_timestamp())
}

const IMF_FIXDATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Far more than a mount has; bounds what is remembered.
const MAX_RESOURCES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_dates_of_http() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        for text in ["", "yesterday", "Sun, 06 Nov 1994 08:49:37", "784111777"] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn two_changes_in_one_second_are_two_seconds_apart() {
        let freshness = Freshness::default();
        assert_eq!(freshness.modified_secs("ca", &1, 100), 100);
        assert_eq!(freshness.modified_secs("ca", &1, 105), 100);
        assert_eq!(freshness.modified_secs("ca", &2, 100), 101);
        assert_eq!(freshness.modified_secs("ca", &3, 100), 102);
        assert_eq!(freshness.modified_secs("ca", &3, 900), 102);
    }
}
