//! Values printed the way Vault prints them inside its sentences.

use std::fmt::Write as _;

/// A string in double quotes; what cannot be printed is escaped as Go's `%q` does.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\'' => quoted.push('\''),
            _ if character.escape_debug().len() == 1 => quoted.push(character),
            _ => push_escape(&mut quoted, character),
        }
    }
    quoted.push('"');
    quoted
}

fn push_escape(text: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match code {
        0..0x80 => write!(text, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(text, "\\u{code:04x}"),
        _ => write!(text, "\\U{code:08x}"),
    };
}

/// A duration in Go's form: `0s`, `30s`, `1m0s`, `9h0m0s`.
pub(crate) fn duration(secs: u64) -> String {
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_in_hours_minutes_and_seconds() {
        for (secs, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (3600, "1h0m0s"),
            (32_400, "9h0m0s"),
            (90_061, "25h1m1s"),
            (5400, "1h30m0s"),
        ] {
            assert_eq!(duration(secs), text);
        }
    }

    #[test]
    fn quotes_escape_what_would_break_a_line_and_keep_letters() {
        assert_eq!(quote("é\"\\"), r#""é\"\\""#);
        assert_eq!(quote("a\nb\u{1}'"), r#""a\nb\x01'""#);
        assert_eq!(
            quote("\u{85}\u{e000}\u{f0000}"),
            r#""\u0085\ue000\U000f0000""#
        );
    }
}
