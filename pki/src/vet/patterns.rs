//! Comparing names with what a role lists.

/// `*` stands for any run of characters, dots included; everything else for itself.
pub(super) fn glob_matches(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text.strip_prefix(prefix) else {
        return false;
    };
    for part in middle.split('*') {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(suffix)
}

/// A list of a role, or the absence of any limit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Allowed<'a> {
    Anything,
    Listed(&'a [String]),
}

impl Allowed<'_> {
    pub(super) fn permits(self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Anything => true,
            Self::Listed(entries) => entries.iter().any(|entry| matches(entry)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_are_anchored_and_case_sensitive() {
        for (pattern, text) in [
            ("ftp*.example.com", "ftp.example.com"),
            ("ftp*.example.com", "ftp1.x.example.com"),
            ("*", ""),
            ("*", "a/b"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("**a", "xa"),
            ("exact", "exact"),
        ] {
            assert!(glob_matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("ftp*.example.com", "xftp.example.com"),
            ("ftp*.example.com", "ftp.example.com.evil"),
            ("aa*aa", "aaa"),
            ("a*b*c", "acb"),
            ("A*", "a"),
            ("", "a"),
            ("exact", "Exact"),
            ("a?c", "abc"),
        ] {
            assert!(!glob_matches(pattern, text), "{pattern} {text}");
        }
    }

    /// The textbook recursion, as second opinion.
    fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|n| matches_slowly(rest, &text[n..])),
            (Some((p, rest)), Some((t, tail))) => p == t && matches_slowly(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_textbook(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(
                glob_matches(&pattern, &text),
                matches_slowly(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
