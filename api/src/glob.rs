//! Patterns with `*`, as roles have them.

/// `*` stands for any text, also for none.
#[must_use]
pub fn matches(glob: &str, text: &str) -> bool {
    let Some((head, mut tail)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((part, more)) = tail.split_once('*') {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
        tail = more;
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    #[test]
    fn globs_match_whole_names() {
        for (glob, text, matches) in [
            ("x-*", "x-", true),
            ("x-*", "ax-1", false),
            ("*-prod", "a-prod", true),
            ("*-prod", "a-prod2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("a", "A", false),
            ("**", "x", true),
            ("a**b", "ab", true),
            ("*ab*ab*", "ab", false),
            ("*.example.com", "x.example.com", true),
            ("*.example.com", "x.example.com.evil", false),
            ("spiffe://x/*", "spiffe://x/y/z", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(super::matches(glob, text), matches, "{glob} {text}");
        }
    }
}
