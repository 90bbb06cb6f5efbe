//! JSON as Go writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped, a newline at the end.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Writes `value` in one go.
pub fn to_bytes(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut out = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut out, HtmlSafe))?;
    out.push(b'\n');
    Ok(out.into())
}

struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_go_escapes() {
        let bytes = to_bytes(&serde_json::json!({"a": "<b>&\u{2028}é\n"})).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028é\\n\"}\n");
    }
}
