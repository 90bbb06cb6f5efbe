//! JSON as Go writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped, a newline at the end.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Writes `value` in one go.
pub fn to_bytes(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut out = Vec::with_capacity(TYPICAL_BYTES);
    value.serialize(&mut Serializer::with_formatter(&mut out, HtmlSafe))?;
    out.push(b'\n');
    Ok(out.into())
}

/// An answer with a certificate and its chain. Longer ones make the buffer grow.
const TYPICAL_BYTES: usize = 4096;

struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = first_candidate(rest) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            match chars.next() {
                Some(special @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}')) => {
                    write!(writer, "\\u{:04x}", u32::from(special))?;
                }
                Some(other) => {
                    let mut bytes = [0; 4];
                    writer.write_all(other.encode_utf8(&mut bytes).as_bytes())?;
                }
                None => {}
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Where the first character is that may have to be escaped: the two separators begin with the byte
/// E2 in UTF-8. Nearly all text has none, and this looks at many bytes at once.
fn first_candidate(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let html = memchr::memchr3(b'<', b'>', b'&', bytes);
    let separator = memchr::memchr(0xe2, bytes);
    match (html, separator) {
        (Some(html), Some(separator)) => Some(html.min(separator)),
        (html, separator) => html.or(separator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_go_escapes() {
        let bytes = to_bytes(&serde_json::json!({"a": "<b>&\u{2028}é\n€\u{2029}x"})).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let escaped = "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028é\\n€\\u2029x\"}\n";
        assert_eq!(text, escaped);
    }
}
