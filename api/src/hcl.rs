//! Reads HCL version 1 and JSON into one small tree.
//!
//! Policies and configuration files are written in the first version of HCL: several attributes may share a line, keys may
//! be quoted, `${` has no meaning. The second version, which Rust libraries read, refuses such
//! texts, so the reader is ours. JSON goes through the same reader, because a repeated key must not
//! silently replace the earlier one: the replaced rule might have been a `deny`.

use serde_json::Number;

/// How deep objects and lists may nest.
const MAX_DEPTH: usize = 32;

/// A value as it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    List(Vec<Self>),
    Null,
    Number(Number),
    Object(Vec<Item>),
    String(String),
}

/// `first "second" { … }` or `first = …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The word before the labels.
    pub key: String,
    pub labels: Vec<String>,
    /// Counted from 1; where the key stands.
    pub line: u32,
    pub column: u32,
    pub value: Value,
}

/// Where a text stops being readable, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("At {line}:{column}: {message}")]
pub struct SyntaxError {
    pub line: u32,
    pub column: u32,
    pub message: String,
}

/// Whether the text is JSON, rather than HCL.
#[must_use]
pub fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads a whole text.
///
/// # Errors
/// At the first place that is neither HCL nor JSON, or nests too deep.
pub fn read(text: &str) -> Result<Vec<Item>, SyntaxError> {
    let is_json = is_json(text);
    let mut reader = Reader {
        rest: text,
        line: 1,
        column: 1,
        depth: 0,
        is_json,
    };
    if !is_json {
        return reader.items(None);
    }
    reader.skip_blank()?;
    reader.bump();
    let items = reader.items(Some('}'))?;
    reader.skip_blank()?;
    match reader.peek() {
        None => Ok(items),
        Some(_) => Err(reader.error("unexpected text after the closing brace")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    depth: usize,
    is_json: bool,
}

impl<'a> Reader<'a> {
    fn items(&mut self, end: Option<char>) -> Result<Vec<Item>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                None if end.is_none() => return Ok(items),
                None => return Err(self.error("object expected closing RBRACE got: EOF")),
                found if found == end => {
                    self.bump();
                    return Ok(items);
                }
                Some(_) => items.push(self.item()?),
            }
            self.skip_blank()?;
            if self.peek() == Some(',') {
                self.bump();
            }
        }
    }

    fn item(&mut self) -> Result<Item, SyntaxError> {
        let (line, column) = (self.line, self.column);
        let key = match self.peek() {
            Some('"') => self.string()?,
            Some(first) if first.is_alphabetic() && !self.is_json => self.identifier(),
            Some('=' | '{') => return Err(self.error("no object keys found!")),
            _ => return Err(self.error("illegal char")),
        };
        let mut labels = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(':') if self.is_json => {
                    self.bump();
                    let value = self.value()?;
                    return Ok(Item {
                        key,
                        labels,
                        line,
                        column,
                        value,
                    });
                }
                _ if self.is_json => return Err(self.error("expected ':' after object key")),
                Some('=') if labels.is_empty() => {
                    self.bump();
                    let value = self.value()?;
                    return Ok(Item {
                        key,
                        labels,
                        line,
                        column,
                        value,
                    });
                }
                Some('=') => {
                    return Err(self.error("nested object expected: LBRACE got: ASSIGN"));
                }
                Some('{') => {
                    let value = self.value()?;
                    return Ok(Item {
                        key,
                        labels,
                        line,
                        column,
                        value,
                    });
                }
                Some('"') => labels.push(self.string()?),
                Some(first) if first.is_alphabetic() => labels.push(self.identifier()),
                _ => {
                    let message =
                        format!("key '{key}' expected start of object ('{{') or assignment ('=')");
                    return Err(self.error(message));
                }
            }
        }
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        self.skip_blank()?;
        match self.peek() {
            Some('"') => Ok(Value::String(self.string()?)),
            Some('{') => self.nested(|reader| reader.items(Some('}')).map(Value::Object)),
            Some('[') => self.nested(|reader| reader.list().map(Value::List)),
            Some('<') if !self.is_json => Ok(Value::String(self.heredoc()?)),
            Some('-' | '+' | '0'..='9') => self.number(),
            Some(first) if first.is_alphabetic() => {
                let (line, column) = (self.line, self.column);
                match self.identifier().as_str() {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    "null" if self.is_json => Ok(Value::Null),
                    _ => Err(SyntaxError {
                        line,
                        column,
                        message: "unknown token: IDENT".into(),
                    }),
                }
            }
            Some(_) => Err(self.error("illegal char")),
            None => Err(self.error("unexpected end of the text")),
        }
    }

    /// Consumes the opening bracket, then reads what it holds.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, SyntaxError>,
    ) -> Result<Value, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        self.bump();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let mut values = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(']') {
                self.bump();
                return Ok(values);
            }
            values.push(self.value()?);
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.bump(),
                Some(']') => None,
                _ => return Err(self.error("error parsing list, expected comma or list end")),
            };
        }
    }

    fn identifier(&mut self) -> String {
        self.take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
            .to_owned()
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let (line, column) = (self.line, self.column);
        let digits = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        serde_json::from_str(digits.trim_start_matches('+'))
            .map(Value::Number)
            .map_err(|_| SyntaxError {
                line,
                column,
                message: format!("cannot read the number {digits:?}"),
            })
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let (line, column) = (self.line, self.column);
        let start = self.rest;
        self.bump();
        let mut text = String::new();
        // Quotes inside `${…}` do not end the string; the text is kept as it stands.
        let mut interpolation_depth = 0_u32;
        loop {
            match self.bump() {
                None => return Err(self.error("literal not terminated")),
                Some('\n') if interpolation_depth == 0 => {
                    return Err(self.error("literal not terminated"));
                }
                Some('"') if interpolation_depth == 0 => break,
                Some('\\') if self.is_json => {
                    self.bump();
                }
                Some('\\') if interpolation_depth == 0 => text.push(self.escape()?),
                Some('$')
                    if !self.is_json && self.peek() == Some('{') && interpolation_depth == 0 =>
                {
                    text.push('$');
                    text.extend(self.bump());
                    interpolation_depth = 1;
                }
                Some(c) => {
                    match c {
                        '{' if interpolation_depth > 0 => interpolation_depth += 1,
                        '}' if interpolation_depth > 0 => interpolation_depth -= 1,
                        _ => {}
                    }
                    text.push(c);
                }
            }
        }
        if !self.is_json {
            return Ok(text);
        }
        serde_json::from_str(self.read_since(start)).map_err(|_| SyntaxError {
            line,
            column,
            message: "invalid string".into(),
        })
    }

    /// What follows a backslash in HCL.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        Ok(match self.bump() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some('\\') => '\\',
            Some('"') => '"',
            Some('x') => self.code_point(2, 16, 0)?,
            Some('u') => self.code_point(4, 16, 0)?,
            Some('U') => self.code_point(8, 16, 0)?,
            Some(first @ '0'..='7') => self.code_point(2, 8, first.to_digit(8).unwrap_or(0))?,
            _ => return Err(self.error("illegal char escape")),
        })
    }

    fn code_point(&mut self, digits: usize, radix: u32, first: u32) -> Result<char, SyntaxError> {
        let mut code = first;
        for _ in 0..digits {
            let digit = self
                .peek()
                .and_then(|c| c.to_digit(radix))
                .ok_or_else(|| self.error("illegal char escape"))?;
            self.bump();
            code = code.saturating_mul(radix).saturating_add(digit);
        }
        char::from_u32(code).ok_or_else(|| self.error("illegal char escape"))
    }

    /// `<<MARK`, or `<<-MARK`, which also removes the closing mark's indentation from every line.
    fn heredoc(&mut self) -> Result<String, SyntaxError> {
        if !self.rest.starts_with("<<") {
            return Err(self.error("heredoc expected second '<', didn't see it"));
        }
        self.bump();
        self.bump();
        let is_indented = self.peek() == Some('-');
        if is_indented {
            self.bump();
        }
        let mark = self.take_line().trim_end();
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.error("invalid characters in heredoc anchor"));
        }
        let mut lines = Vec::new();
        loop {
            if self.rest.is_empty() {
                return Err(self.error("heredoc not terminated"));
            }
            // The mark's own line end stays unread: it may carry a comma or a comment.
            let ahead = self.rest.split('\n').next().unwrap_or_default();
            let indent = ahead.len() - ahead.trim_start_matches([' ', '\t']).len();
            let body = ahead.trim_end_matches('\r');
            if body.get(indent..) == Some(mark) && (is_indented || indent == 0) {
                for _ in 0..body.chars().count() {
                    self.bump();
                }
                let prefix = ahead.get(..indent).unwrap_or_default();
                let strip = is_indented && lines.iter().all(|line: &&str| line.starts_with(prefix));
                return Ok(lines
                    .into_iter()
                    .map(|line| line.strip_prefix(prefix).filter(|_| strip).unwrap_or(line))
                    .fold(String::new(), |text, line| text + line + "\n"));
            }
            lines.push(self.take_line());
        }
    }

    /// Skips spaces, line ends and comments.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            match self.peek() {
                Some('#') => {
                    self.take_line();
                }
                Some('/') if self.rest.starts_with("//") => {
                    self.take_line();
                }
                Some('/') if self.rest.starts_with("/*") => {
                    self.bump();
                    self.bump();
                    while !self.rest.starts_with("*/") {
                        if self.bump().is_none() {
                            return Err(self.error("comment not terminated"));
                        }
                    }
                    self.bump();
                    self.bump();
                }
                Some('/') => return Err(self.error("expected '/' for comment")),
                _ => return Ok(()),
            }
        }
    }

    /// The rest of the line; its end is consumed but not returned.
    fn take_line(&mut self) -> &'a str {
        let line = self.take_while(|c| c != '\n');
        self.bump();
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.rest;
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
        self.read_since(start)
    }

    /// What was consumed since `start` was the rest.
    fn read_since(&self, start: &'a str) -> &'a str {
        start
            .get(..start.len() - self.rest.len())
            .unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next()?;
        self.rest = characters.as_str();
        if next == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(next)
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    fn without_columns(items: Vec<Item>) -> Vec<Item> {
        let strip = |mut item: Item| {
            item.column = 0;
            if let Value::Object(inner) = item.value {
                item.value = Value::Object(without_columns(inner));
            }
            item
        };
        items.into_iter().map(strip).collect()
    }

    fn string(text: &str) -> Value {
        let mut items = read(text).unwrap();
        items.remove(0).value
    }

    #[test]
    fn json_and_hcl_of_the_same_meaning_read_alike() {
        let hcl = read("a = [1, \"x\", true] b = { c = -1.5 }").unwrap();
        let json = read(r#"{"a": [1, "x", true], "b": {"c": -1.5}}"#).unwrap();
        assert_eq!(without_columns(hcl), without_columns(json));
    }

    #[test]
    fn blocks_keep_their_labels_and_lines() {
        let items =
            read("# one\n\"path\" \"a\" b {\n x = 1, y = 2 z = 3\n} /* two */ // three").unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].key.as_str(), items[0].line), ("path", 2));
        assert_eq!(items[0].labels, ["a", "b"]);
        let Value::Object(fields) = &items[0].value else {
            panic!("not an object")
        };
        let lines: Vec<_> = fields
            .iter()
            .map(|field| (field.key.as_str(), field.line))
            .collect();
        assert_eq!(lines, [("x", 3), ("y", 3), ("z", 3)]);
    }

    #[test]
    fn repeated_keys_are_all_kept() {
        assert_eq!(read(r#"{"a": 1, "a": 2}"#).unwrap().len(), 2);
        assert_eq!(read("a = 1 a = 2").unwrap().len(), 2);
    }

    #[test]
    fn reads_strings_of_both_languages() {
        let cases = [
            (r#"a = "x\n\t\\\"\u0041\x42\103""#, "x\n\t\\\"ABC"),
            (r#"a = "x${y "q" {z}}w""#, r#"x${y "q" {z}}w"#),
            (r#"a = "{{x}}$""#, "{{x}}$"),
            (r#"{"a": "x\/\ud83d\ude00"}"#, "x/\u{1f600}"),
            (r#"{"a": "${"}"#, "${"),
            ("a = <<EOF\nx\n y\nEOF\n", "x\n y\n"),
            ("a = <<-EOF\r\n  x\r\n   y\r\n  EOF\r\n", "x\n y\n"),
            ("a = <<-EOF\n x\n  EOF", " x\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(string(text), Value::String(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn says_where_a_text_goes_wrong() {
        let cases = [
            ("path \"a", "At 1:8: literal not terminated"),
            ("a = \"x\ny\"", "At 2:1: literal not terminated"),
            ("a {", "At 1:4: object expected closing RBRACE got: EOF"),
            (
                "path \"a\" = {}",
                "At 1:10: nested object expected: LBRACE got: ASSIGN",
            ),
            (
                "path \"a\" }",
                "At 1:10: key 'path' expected start of object ('{') or assignment ('=')",
            ),
            ("= 1", "At 1:1: no object keys found!"),
            ("/* x", "At 1:5: comment not terminated"),
            ("/", "At 1:1: expected '/' for comment"),
            (
                "a = [1 2]",
                "At 1:8: error parsing list, expected comma or list end",
            ),
            ("a = b", "At 1:5: unknown token: IDENT"),
            ("a = \"\\q\"", "At 1:8: illegal char escape"),
            (
                "a: 1",
                "At 1:2: key 'a' expected start of object ('{') or assignment ('=')",
            ),
            ("{\"a\" = 1}", "At 1:6: expected ':' after object key"),
            ("{} x", "At 1:4: unexpected text after the closing brace"),
            ("a = <<EOF\nx\nEOFX", "At 3:5: heredoc not terminated"),
            ("a = 1x", "At 1:5: cannot read the number \"1x\""),
            ("[]", "At 1:1: illegal char"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_deep_nesting() {
        let deep = "[".repeat(100_000);
        assert!(error(&format!("a = {deep}")).contains("nested deeper than 32 levels"));
        let deep = "{\"a\":".repeat(100_000);
        assert!(error(&deep).contains("nested deeper than 32 levels"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[ -~\n{}\"=\\[\\]<$#/é]{0,60}") {
            let _ = read(&text);
        }
    }
}
