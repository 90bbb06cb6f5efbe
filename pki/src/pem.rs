//! PEM (RFC 7468): armour for DER.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// One `-----BEGIN …-----` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub label: &'a str,
    /// Zeroized, because it may be a private key.
    pub der: Zeroizing<Vec<u8>>,
}

/// The block with a newline at its end.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut text = encode_without_newline(label, der);
    text.push('\n');
    text
}

/// The block without a newline at its end, as most of Vault's replies carry it.
#[must_use]
pub fn encode_without_newline(label: &str, der: &[u8]) -> String {
    let lines = der.chunks(LINE_BYTES);
    // Ample, and one for the newline of `encode`: what grows leaves copies of private keys behind.
    let length = lines.len() * (LINE_LENGTH + 1) + 2 * label.len() + 32;
    let mut text = String::with_capacity(length);
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    for line in lines {
        ENGINE.encode_string(line, &mut text);
        text.push('\n');
    }
    for part in ["-----END ", label, "-----"] {
        text.push_str(part);
    }
    text
}

/// The first well-formed block and the text behind it. Text before the block and blocks that are
/// not well-formed are passed over. Takes time linear in what it passes.
#[must_use]
pub fn next_block(text: &str) -> Option<(Block<'_>, &str)> {
    let mut open: Option<(&str, &str)> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let at_line = rest;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let line = line.trim_end();
        if let Some(label) = boundary(line, "-----BEGIN ") {
            open = Some((label, rest));
        } else if let Some(end) = boundary(line, "-----END ")
            && let Some((label, body)) = open.take()
            && label == end
            && let Some(der) = decode_body(body, body.len().saturating_sub(at_line.len()))
        {
            return Some((Block { label, der }, rest));
        }
    }
    None
}

/// Decodes the first `length` bytes, which are whole lines; those with a colon are headers.
fn decode_body(text: &str, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(String::with_capacity(length));
    for line in text
        .get(..length)?
        .lines()
        .filter(|line| !line.contains(':'))
    {
        body.extend(line.split_ascii_whitespace());
    }
    ENGINE.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

/// Label of a boundary line.
fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

/// Of a line, encoded and decoded.
const LINE_LENGTH: usize = 64;
const LINE_BYTES: usize = LINE_LENGTH / 4 * 3;

/// Accepts what Go's decoder accepts: padding is required, unused bits are not looked at.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_undoes_encoding(der: Vec<u8>, label in "[A-Z][A-Z0-9 ]{0,20}[A-Z]") {
            let text = encode(&label, &der);
            let (block, rest) = next_block(&text).unwrap();
            prop_assert_eq!(block.label, label.as_str());
            prop_assert_eq!(&*block.der, &der);
            prop_assert_eq!(rest, "");
            prop_assert!(text.lines().all(|line| line.len() <= 64));
        }

        #[test]
        fn no_text_makes_decoding_panic(text: String) {
            let _ = next_block(&text);
        }
    }

    #[test]
    fn passes_over_leading_text_carriage_returns_headers_and_broken_blocks() {
        let text = "subject=x\r\n-----BEGIN A-----\r\n!!\r\n-----END A-----\r\n\
                    -----BEGIN B-----\r\n-----BEGIN C-----\r\nName: value\r\n\r\nAQ\r\nID\r\n-----END C-----\r\ntail";
        let (block, rest) = next_block(text).unwrap();
        assert_eq!(
            (block.label, block.der.as_slice(), rest),
            ("C", &[1, 2, 3][..], "tail")
        );
    }

    #[test]
    fn finds_nothing_in_unclosed_or_mismatched_blocks() {
        for text in [
            "",
            "-----BEGIN A-----\nAQID\n",
            "-----BEGIN A-----\nAQID\n-----END B-----",
        ] {
            assert_eq!(next_block(text), None, "{text}");
        }
    }

    #[test]
    fn omits_only_the_last_newline() {
        assert_eq!(
            encode("X", &[1]),
            "-----BEGIN X-----\nAQ==\n-----END X-----\n"
        );
        assert_eq!(
            encode_without_newline("X", &[1]),
            "-----BEGIN X-----\nAQ==\n-----END X-----"
        );
    }
}
