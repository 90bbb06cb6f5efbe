//! Whether a text can stand in a certificate as a URI.

use std::net::Ipv6Addr;

/// A non-empty URI or relative reference (RFC 3986 §4.1) in ASCII, with a host and port that can be
/// read. Nothing is converted, so what is checked is what is written.
pub(super) fn is_uri_reference(text: &str) -> bool {
    if text.is_empty() || !text.bytes().all(is_uri_byte) || !percents_are_complete(text) {
        return false;
    }
    let hierarchy = match split_scheme(text) {
        Some(rest) => rest,
        // Without a scheme a colon in the first segment would read as one.
        None if first_segment(text).contains(':') => return false,
        None => text,
    };
    let (before_fragment, fragment) = hierarchy.split_once('#').unwrap_or((hierarchy, ""));
    if fragment.contains(['#', '[', ']']) {
        return false;
    }
    match before_fragment.strip_prefix("//") {
        None => !before_fragment.contains(['[', ']']),
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            rest.split_at_checked(end).is_some_and(|(authority, path)| {
                is_authority(authority) && !path.contains(['[', ']'])
            })
        }
    }
}

fn split_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let continues_well = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (starts_well && continues_well).then_some(rest)
}

fn first_segment(text: &str) -> &str {
    text.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(['[', ']', '@']) {
        return false;
    }
    let port = if let Some(literal) = host.strip_prefix('[') {
        match literal.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => port,
            _ => return false,
        }
    } else {
        let end = host.find(':').unwrap_or(host.len());
        match host.split_at_checked(end) {
            Some((name, port)) if !name.contains(['[', ']', '%']) => port,
            _ => return false,
        }
    };
    match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    }
}

fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn percents_are_complete(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after
            .as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_and_references_are_accepted() {
        for uri in [
            "foo",
            "a:b:c",
            "mailto:a@b",
            "urn:a",
            "//x",
            "/x:y",
            "x:y/z",
            "http://x?",
            "http://x/%41#",
            "http://u:p@h:80/",
            "http://[::1]:8080/",
            "spiffe://td/ns/a/sa/b",
            "http://-_.~!$&'()*+,;=:80/",
        ] {
            assert!(is_uri_reference(uri), "{uri}");
        }
    }

    #[test]
    fn what_is_no_uri_or_would_need_escaping_is_refused() {
        for uri in [
            "",
            "://",
            ":foo",
            "1:b",
            "%zz",
            "a%4",
            "http://x:port",
            "http://[::1",
            "http://::1]/",
            "http://[zz]/",
            "http://a b/",
            "http://a%41/",
            "http://x/a b",
            "http://x/ü",
            "http://x/{a}",
            "http://x/#a#b",
            "http://x/[a]",
            "\u{1}",
            "a\nb",
        ] {
            assert!(!is_uri_reference(uri), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}", odd in "[:/?#\\[\\]@%a1.]{0,20}") {
            let _ = is_uri_reference(&text);
            let _ = is_uri_reference(&odd);
        }
    }
}
