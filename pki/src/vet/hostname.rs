//! DNS names: conversion to their ASCII form and the shapes that count as a host name.

use std::borrow::Cow;

/// Converts a name to ASCII: labels with other letters become punycode (RFC 3492), without any
/// mapping, so case is kept. Labels have 1 to 63 bytes, the name at most 253.
///
/// `*` and other ASCII characters pass; [`is_hostname`] judges the result.
pub(super) fn to_ascii(name: &str) -> Result<Cow<'_, str>, IdnaError> {
    let refuse = |label: &str| {
        Err(IdnaError {
            label: label.to_owned(),
        })
    };
    if name.is_empty() || name.len() > LONGEST_UNCONVERTED {
        return refuse(name);
    }
    // One dot at the end is told of last, after everything else about the name.
    let (labels, ends_in_dot) = match name.strip_suffix('.') {
        Some(labels) => (labels, true),
        None => (name, false),
    };
    let mut converted = Vec::new();
    for label in labels.split('.') {
        if label.is_empty() {
            return refuse(name);
        }
        let ascii = if let Some(encoded) = label.strip_prefix(ACE_PREFIX) {
            if encoded.is_empty() {
                return refuse("");
            }
            match canonical_punycode(encoded) {
                Some(canonical) => Cow::Owned(canonical),
                None => return refuse(encoded),
            }
        } else if label.is_ascii() {
            Cow::Borrowed(label)
        } else {
            match idna::punycode::encode_str(label) {
                Some(encoded) => Cow::Owned(format!("{ACE_PREFIX}{encoded}")),
                None => return refuse(label),
            }
        };
        converted.push(ascii);
    }
    // Lengths are judged after every label could be read, as clients see in the sentences.
    if let Some(long) = converted.iter().find(|label| label.len() > LONGEST_LABEL) {
        return refuse(long);
    }
    if ends_in_dot {
        return refuse(&format!("{}.", converted.join(".")));
    }
    let ascii = if converted.iter().all(|l| matches!(l, Cow::Borrowed(_))) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(converted.join("."))
    };
    if ascii.len() > LONGEST_NAME {
        return refuse(&ascii);
    }
    Ok(ascii)
}

/// A label that already is punycode, with its digits in lower case and its ASCII part as it is.
fn canonical_punycode(encoded: &str) -> Option<String> {
    let decoded = idna::punycode::decode_to_string(encoded)?;
    if decoded.is_ascii() || !encoded.is_ascii() {
        return None;
    }
    Some(match encoded.rsplit_once('-') {
        Some((basic, digits)) => format!("{ACE_PREFIX}{basic}-{}", digits.to_ascii_lowercase()),
        None => format!("{ACE_PREFIX}{}", encoded.to_ascii_lowercase()),
    })
}

/// Why a name has no ASCII form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdnaError {
    pub(super) label: String,
}

/// Labels of letters, digits and inner hyphens; `*` may be the whole of the first of several, and
/// one dot may end the name.
pub(super) fn is_hostname(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.split('.').all(is_label)
}

/// A label in which exactly one `*` stands at the start, at the end, or between two labels.
pub(super) fn is_wildcard_label(label: &str) -> bool {
    let Some((before, after)) = label.split_once('*') else {
        return false;
    };
    [before, after]
        .into_iter()
        .all(|part| part.is_empty() || is_label(part))
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

const ACE_PREFIX: &str = "xn--";
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;
/// No name of 253 ASCII bytes comes from more than this; bounds the quadratic punycode.
const LONGEST_UNCONVERTED: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_converted_without_mapping() {
        for (name, ascii) in [
            ("a.example.com", "a.example.com"),
            ("BÜCHER.De", "xn--BCHER-2pa.De"),
            ("ß.de", "xn--zca.de"),
            ("*.bücher.de", "*.xn--bcher-kva.de"),
            ("xn--BCHER-KVA.de", "xn--BCHER-kva.de"),
            ("XN--BCHER-KVA.de", "XN--BCHER-KVA.de"),
            ("xn--a.com", "xn--a.com"),
            ("\u{3002}a", "xn--a-83t"),
            ("e\u{301}.com", "xn--e-xbb.com"),
            ("foo bar", "foo bar"),
            ("host_name", "host_name"),
        ] {
            assert_eq!(to_ascii(name).unwrap(), ascii);
        }
    }

    #[test]
    fn names_without_an_ascii_form_are_refused_by_the_label_at_fault() {
        let long = "x".repeat(64);
        let long_name = format!("{0}.{0}.{0}.{0}.{0}.aaaa", "a".repeat(49));
        for (name, label) in [
            ("", ""),
            (".", "."),
            ("a..b", "a..b"),
            (".a", ".a"),
            ("a.example.com.", "a.example.com."),
            ("é..b", "é..b"),
            ("a.é.", "a.xn--9ca."),
            ("xn--", ""),
            ("xn--zzzzzzzz", "zzzzzzzz"),
            ("xn--zz!", "zz!"),
            ("xn--abc-", "abc-"),
            ("xn--ü", "ü"),
            (long.as_str(), long.as_str()),
            (&format!("a.{long}.c"), long.as_str()),
            (long_name.as_str(), long_name.as_str()),
        ] {
            let label = label.to_owned();
            assert_eq!(to_ascii(name), Err(IdnaError { label }), "{name}");
        }
        assert!(
            to_ascii(&"Ü".repeat(80))
                .unwrap_err()
                .label
                .starts_with("xn--")
        );
        assert!(to_ascii(&format!("{}aaa", format!("{}.", "a".repeat(49)).repeat(5))).is_ok());
    }

    #[test]
    fn host_names_have_well_formed_labels() {
        for name in ["a", "1.2.3.4", "*.a", "a-b.c", "a.b.", "*.a.", "0--0"] {
            assert!(is_hostname(name), "{name}");
        }
        for name in [
            "", ".", "*", "*.", "-a", "a-", "a..b", "a_b", "a b", "*a.b", "a.*.b", "é", "a\n",
            "*.*.a",
        ] {
            assert!(!is_hostname(name), "{name}");
        }
    }

    #[test]
    fn wildcard_labels_hold_one_asterisk() {
        for label in ["*", "*a", "a*", "a*b", "a-b*c"] {
            assert!(is_wildcard_label(label), "{label}");
        }
        for label in ["", "a", "**", "a**", "-*", "a*-", "a_*", "a*b*c"] {
            assert!(!is_wildcard_label(label), "{label}");
        }
    }

    proptest! {
        #[test]
        fn a_converted_name_is_ascii_and_converts_to_itself(name in "(\\PC{0,8}\\.?){0,6}") {
            if let Ok(ascii) = to_ascii(&name) {
                prop_assert!(ascii.is_ascii() && ascii.len() <= 253);
                prop_assert_eq!(to_ascii(&ascii).unwrap(), ascii.clone());
            }
        }
    }
}
