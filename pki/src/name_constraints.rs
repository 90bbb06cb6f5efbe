//! Which DNS names an authority may give away (RFC 5280 §4.2.1.10).

use crate::asn1::{Element, Malformed, Reader, tag};
use crate::cert::Certificate;
use crate::oid;

/// The subtrees of type dNSName in a `NameConstraints` extension. Those of other types are left to
/// whoever verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    /// `None` permits all.
    permitted: Option<Vec<String>>,
    excluded: Vec<String>,
}

const DNS_NAME: u8 = tag::implicit(2);
const MAX_SUBTREES: usize = 1024;

impl NameConstraints {
    /// Of an authority. One that cannot be read permits no DNS name.
    pub(crate) fn of(authority: &Certificate) -> Self {
        let Some(value) = authority.extension_value(oid::NAME_CONSTRAINTS) else {
            return Self::default();
        };
        Self::parse(value).unwrap_or(Self {
            permitted: Some(Vec::new()),
            excluded: Vec::new(),
        })
    }

    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::inside(value, tag::SEQUENCE)?;
        let permitted = match reader.optional(tag::explicit(0))? {
            Some(subtrees) => dns_subtrees(&subtrees)?,
            None => Vec::new(),
        };
        let excluded = match reader.optional(tag::explicit(1))? {
            Some(subtrees) => dns_subtrees(&subtrees)?,
            None => Vec::new(),
        };
        reader.finish()?;
        Ok(Self {
            permitted: (!permitted.is_empty()).then_some(permitted),
            excluded,
        })
    }

    /// A wildcard stands for every name in its place.
    pub(crate) fn permit(&self, name: &str) -> bool {
        // Nearly all authorities are free, and every signature asks.
        if self.permitted.is_none() && self.excluded.is_empty() {
            return true;
        }
        let name = name.to_ascii_lowercase();
        let is_permitted = self
            .permitted
            .as_ref()
            .is_none_or(|subtrees| subtrees.iter().any(|subtree| is_within(&name, subtree)));
        is_permitted
            && !self.excluded.iter().any(|subtree| {
                let covers_part = name
                    .strip_prefix("*.")
                    .is_some_and(|base| is_within(subtree.trim_start_matches('.'), base));
                covers_part || is_within(&name, subtree)
            })
    }
}

fn dns_subtrees(subtrees: &Element<'_>) -> Result<Vec<String>, Malformed> {
    let mut reader = subtrees.reader();
    let mut names = Vec::new();
    while !reader.is_empty() {
        let base = reader.sequence()?.next()?;
        if base.tag != DNS_NAME {
            continue;
        }
        if names.len() >= MAX_SUBTREES {
            return Err(Malformed("too many name constraints"));
        }
        let name = std::str::from_utf8(base.content);
        let name = name.map_err(|_| Malformed("a name constraint is not ASCII"))?;
        names.push(name.to_ascii_lowercase());
    }
    Ok(names)
}

/// Whether `name` is `subtree` or below it. With a dot in front only what is below counts, as
/// OpenSSL and Go have it.
fn is_within(name: &str, subtree: &str) -> bool {
    if subtree.is_empty() || name == subtree {
        return true;
    }
    name.strip_suffix(subtree)
        .is_some_and(|front| subtree.starts_with('.') || front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn constraints(permitted: Option<&[&str]>, excluded: &[&str]) -> NameConstraints {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NameConstraints {
            permitted: permitted.map(owned),
            excluded: owned(excluded),
        }
    }

    #[test]
    fn names_and_wildcards_stay_inside_permitted_subtrees() {
        let permitted = constraints(Some(&["foo.example.com", ".below.test"]), &[]);
        for (name, expected) in [
            ("foo.example.com", true),
            ("a.FOO.example.com", true),
            ("*.foo.example.com", true),
            ("*.example.com", false),
            ("barfoo.example.com", false),
            ("example.com", false),
            ("a.below.test", true),
            ("below.test", false),
        ] {
            assert_eq!(permitted.permit(name), expected, "{name}");
        }
        assert!(constraints(None, &[]).permit("a.example.com"));
        assert!(constraints(Some(&[""]), &[]).permit("a.example.com"));
        assert!(!constraints(Some(&[]), &[]).permit("a.example.com"));
    }

    #[test]
    fn names_and_wildcards_stay_outside_excluded_subtrees() {
        let excluded = constraints(None, &["foo.example.com"]);
        for (name, expected) in [
            ("foo.example.com", false),
            ("a.foo.example.com", false),
            ("*.example.com", false),
            ("*.com", false),
            ("bar.example.com", true),
            ("*.bar.example.com", true),
        ] {
            assert_eq!(excluded.permit(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
            let _ = NameConstraints::parse(&bytes);
        }
    }
}
