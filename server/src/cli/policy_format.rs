//! `policy fmt`: lays HCL out in the usual form and keeps its comments.

use thiserror::Error;

/// The same policy with one statement a line, two blanks a level, aligned equals signs and lists
/// of several lines where they were of several lines.
pub(crate) fn format_policy(text: &str) -> Result<String, BadPolicy> {
    let tokens = tokenize(text)?;
    let mut layout = Layout {
        tokens: &tokens,
        position: 0,
        out: Vec::new(),
    };
    layout.body(0)?;
    if layout.position < tokens.len() {
        return Err(layout.unexpected());
    }
    let mut formatted = align(&layout.out);
    formatted.push('\n');
    Ok(formatted)
}

#[derive(Debug, Error, PartialEq)]
pub(crate) enum BadPolicy {
    #[error("line {line}: a text is not closed")]
    OpenText { line: usize },
    #[error("line {line}: unexpected {found}")]
    Unexpected { line: usize, found: String },
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Comment(String),
    /// A heredoc with its end word.
    Heredoc(String),
    Symbol(char),
    Word(String),
}

#[derive(Clone, Debug)]
struct Placed {
    token: Token,
    line: usize,
}

fn tokenize(text: &str) -> Result<Vec<Placed>, BadPolicy> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            _ if character.is_whitespace() => character.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest
                .find("*/")
                .map(|end| end + 2)
                .ok_or(BadPolicy::OpenText { line })?,
            '"' => text_length(rest).ok_or(BadPolicy::OpenText { line })?,
            '<' if rest.starts_with("<<") => {
                heredoc_length(rest).ok_or(BadPolicy::OpenText { line })?
            }
            '{' | '}' | '[' | ']' | '=' | ',' => 1,
            _ => rest
                .find(|next: char| next.is_whitespace() || "{}[]=,\"#".contains(next))
                .unwrap_or(rest.len()),
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let token = match character {
            _ if character.is_whitespace() => None,
            '#' | '/'
                if piece.starts_with('#') || piece.starts_with("//") || piece.starts_with("/*") =>
            {
                Some(Token::Comment(piece.trim_end().to_owned()))
            }
            '<' if piece.starts_with("<<") => Some(Token::Heredoc(piece.to_owned())),
            '{' | '}' | '[' | ']' | '=' | ',' => Some(Token::Symbol(character)),
            _ => Some(Token::Word(piece.to_owned())),
        };
        tokens.extend(token.map(|token| Placed { token, line }));
        line += piece.matches('\n').count();
        rest = after;
    }
    Ok(tokens)
}

fn text_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            '\n' => return None,
            '"' if !escaped => return Some(index + 1),
            _ => escaped = character == '\\' && !escaped,
        }
    }
    None
}

fn heredoc_length(text: &str) -> Option<usize> {
    let (first, _) = text.split_once('\n')?;
    let word = first.trim_start_matches('<').trim_start_matches('-').trim();
    let mut length = first.len() + 1;
    for line in text.get(length..)?.split_inclusive('\n') {
        if line.trim() == word {
            return Some(length + line.trim_end().len());
        }
        length += line.len();
    }
    None
}

/// A finished line. `name` is set where equals signs of neighbours are aligned.
#[derive(Debug, PartialEq)]
struct Line {
    depth: usize,
    name: Option<String>,
    text: String,
}

enum Item {
    Comment(String),
    /// The comment is the one behind it on the same line, with a blank in front.
    Value {
        text: String,
        comment: String,
    },
}

impl Item {
    /// The text of a value without a comment.
    fn plain(&self) -> Option<&str> {
        match self {
            Self::Value { text, comment } if comment.is_empty() => Some(text),
            _ => None,
        }
    }
}

struct Layout<'a> {
    tokens: &'a [Placed],
    position: usize,
    out: Vec<Line>,
}

impl Layout<'_> {
    /// Statements up to the closing brace or the end.
    fn body(&mut self, depth: usize) -> Result<(), BadPolicy> {
        let mut last_line: Option<usize> = None;
        while let Some(placed) = self.peek() {
            if placed.token == Token::Symbol('}') {
                return Ok(());
            }
            let line = placed.line;
            let starts = self.out.len();
            let is_comment = matches!(placed.token, Token::Comment(_));
            let gap = last_line.is_some_and(|last| line > last + 1);
            let trails = is_comment && last_line == Some(line);
            if trails {
                self.trailing_comment();
            } else {
                self.statement(depth)?;
                let is_block = self
                    .out
                    .get(starts)
                    .is_some_and(|line| line.text.ends_with('{'));
                let after_block = starts
                    .checked_sub(1)
                    .and_then(|before| self.out.get(before))
                    .is_some_and(|line| line.text == "}" && line.depth == depth);
                let after_comment = starts
                    .checked_sub(1)
                    .and_then(|before| self.out.get(before))
                    .is_some_and(|line| is_comment_text(&line.text));
                if last_line.is_some() && (gap || after_block || (is_block && !after_comment)) {
                    self.out.insert(
                        starts,
                        Line {
                            depth,
                            name: None,
                            text: String::new(),
                        },
                    );
                }
            }
            last_line = self
                .tokens
                .get(self.position.saturating_sub(1))
                .map(end_line);
        }
        Ok(())
    }

    fn statement(&mut self, depth: usize) -> Result<(), BadPolicy> {
        match self.next() {
            Some(Token::Comment(text)) => {
                self.push(depth, text);
                Ok(())
            }
            Some(Token::Word(word)) => self.named(depth, word),
            _ => {
                self.position = self.position.saturating_sub(1);
                Err(self.unexpected())
            }
        }
    }

    /// `name = value`, or `name "label" { … }`.
    fn named(&mut self, depth: usize, name: String) -> Result<(), BadPolicy> {
        let mut head = name;
        loop {
            match self.next() {
                Some(Token::Symbol('=')) => {
                    let value = self.value(depth)?;
                    let (first, others) = value
                        .split_first()
                        .map_or((String::new(), &[][..]), |(first, others)| {
                            (first.clone(), others)
                        });
                    self.out.push(Line {
                        depth,
                        name: Some(head),
                        text: first,
                    });
                    for line in others {
                        self.push(0, line.clone());
                    }
                    return Ok(());
                }
                Some(Token::Symbol('{')) => {
                    let empty = self
                        .peek()
                        .is_some_and(|placed| placed.token == Token::Symbol('}'));
                    if empty {
                        self.position += 1;
                        self.push(depth, format!("{head} {{}}"));
                        return Ok(());
                    }
                    self.push(depth, format!("{head} {{"));
                    self.body(depth + 1)?;
                    if self.next() != Some(Token::Symbol('}')) {
                        return Err(self.unexpected());
                    }
                    self.push(depth, "}".to_owned());
                    return Ok(());
                }
                Some(Token::Word(label)) => {
                    head.push(' ');
                    head.push_str(&label);
                }
                _ => {
                    self.position = self.position.saturating_sub(1);
                    return Err(self.unexpected());
                }
            }
        }
    }

    /// A value as lines; all but the first are indented already.
    fn value(&mut self, depth: usize) -> Result<Vec<String>, BadPolicy> {
        match self.next() {
            Some(Token::Word(word)) => Ok(vec![word]),
            Some(Token::Heredoc(text)) => Ok(text.lines().map(str::to_owned).collect()),
            Some(Token::Symbol('[')) => self.list(depth),
            Some(Token::Symbol('{')) => {
                let start = self.out.len();
                self.body(depth + 1)?;
                if self.next() != Some(Token::Symbol('}')) {
                    return Err(self.unexpected());
                }
                let inner: Vec<Line> = self.out.drain(start..).collect();
                let mut lines = vec!["{".to_owned()];
                lines.extend(align(&inner).lines().map(str::to_owned));
                lines.push(format!("{}}}", "  ".repeat(depth)));
                Ok(lines)
            }
            _ => {
                self.position = self.position.saturating_sub(1);
                Err(self.unexpected())
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<String>, BadPolicy> {
        let opening = self.previous_line();
        let mut items: Vec<Item> = Vec::new();
        let mut several_lines = false;
        loop {
            let before = self.previous_line();
            let line = self.peek().map(|placed| placed.line);
            let closes = self
                .peek()
                .is_some_and(|placed| placed.token == Token::Symbol(']'));
            several_lines |= line != opening && !closes;
            match self.next() {
                Some(Token::Symbol(']')) => break,
                Some(Token::Symbol(',')) => {}
                Some(Token::Comment(text)) => match items.last_mut() {
                    Some(Item::Value { comment, .. }) if line == before && comment.is_empty() => {
                        *comment = format!(" {text}");
                    }
                    _ => items.push(Item::Comment(text)),
                },
                Some(Token::Word(text)) => items.push(Item::Value {
                    text,
                    comment: String::new(),
                }),
                _ => {
                    self.position = self.position.saturating_sub(1);
                    return Err(self.unexpected());
                }
            }
        }
        let plain: Option<Vec<&str>> = items.iter().map(Item::plain).collect();
        if let Some(plain) = plain.filter(|_| !several_lines) {
            return Ok(vec![format!("[{}]", plain.join(", "))]);
        }
        let indent = "  ".repeat(depth + 1);
        let mut lines = vec!["[".to_owned()];
        lines.extend(items.into_iter().map(|item| match item {
            Item::Comment(text) => format!("{indent}{text}"),
            Item::Value { text, comment } => format!("{indent}{text},{comment}"),
        }));
        lines.push(format!("{}]", "  ".repeat(depth)));
        Ok(lines)
    }

    /// Line of the token that was read last.
    fn previous_line(&self) -> Option<usize> {
        self.tokens
            .get(self.position.saturating_sub(1))
            .map(|placed| placed.line)
    }

    fn trailing_comment(&mut self) {
        if let Some(Token::Comment(text)) = self.next()
            && let Some(last) = self.out.last_mut()
        {
            last.text.push(' ');
            last.text.push_str(&text);
        }
    }

    fn push(&mut self, depth: usize, text: String) {
        self.out.push(Line {
            depth,
            name: None,
            text,
        });
    }

    fn peek(&self) -> Option<&Placed> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().map(|placed| placed.token.clone());
        self.position += 1;
        token
    }

    fn unexpected(&self) -> BadPolicy {
        let last = self.tokens.last().map_or(1, |placed| placed.line);
        match self.peek() {
            Some(placed) => BadPolicy::Unexpected {
                line: placed.line,
                found: match &placed.token {
                    Token::Symbol(symbol) => format!("\"{symbol}\""),
                    Token::Comment(text) | Token::Heredoc(text) | Token::Word(text) => text.clone(),
                },
            },
            None => BadPolicy::Unexpected {
                line: last,
                found: "end of the file".to_owned(),
            },
        }
    }
}

/// Joins lines; neighbouring assignments have their equals signs under each other.
fn align(lines: &[Line]) -> String {
    let mut texts = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = "  ".repeat(line.depth);
        texts.push(match &line.name {
            _ if line.text.is_empty() && line.name.is_none() => String::new(),
            None => format!("{indent}{}", line.text),
            Some(name) => {
                let width = block_width(lines, index);
                format!("{indent}{name:width$} = {}", line.text)
            }
        });
    }
    texts.join("\n")
}

/// Longest name among the assignments directly around the line.
fn block_width(lines: &[Line], index: usize) -> usize {
    let (before, after) = lines.split_at_checked(index).unwrap_or((lines, &[]));
    let width = |line: &&Line| line.name.as_ref().map(|name| name.chars().count());
    let above = before.iter().rev().map_while(|line| width(&line));
    let below = after.iter().map_while(|line| width(&line));
    above.chain(below).max().unwrap_or(0)
}

fn is_comment_text(text: &str) -> bool {
    text.starts_with('#') || text.starts_with("//") || text.starts_with("/*")
}

fn end_line(placed: &Placed) -> usize {
    let lines = match &placed.token {
        Token::Comment(text) | Token::Heredoc(text) => text.matches('\n').count(),
        Token::Symbol(_) | Token::Word(_) => 0,
    };
    placed.line + lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_as_the_reference_tool_does() {
        let text = "path \"a\" {capabilities=[\"read\",\n\"list\"]}\n# c\n\npath   \"b\"   {\n policy=\"write\"\n}\n";
        let expected = "path \"a\" {\n  capabilities = [\n    \"read\",\n    \"list\",\n  ]\n}\n\n# c\n\npath \"b\" {\n  policy = \"write\"\n}\n";
        assert_eq!(format_policy(text).unwrap(), expected);
    }

    #[test]
    fn what_is_formatted_stays_as_it_is() {
        let text = "# top\npath \"pki/issue/*\" {\n  capabilities = [\"create\", \"update\"] # issue\n  min_wrapping = \"1m\"\n\n  allowed_parameters = {\n    \"ttl\" = [\"1h\"]\n    \"*\"   = []\n  }\n}\n";
        let once = format_policy(text).unwrap();
        assert_eq!(format_policy(&once).unwrap(), once);
    }

    #[test]
    fn keeps_the_comments_of_a_list_where_they_are() {
        let text =
            "path \"a\" {\n  capabilities = [\"create\", # one\n    # two\n    \"update\"]\n}\n";
        let expected = "path \"a\" {\n  capabilities = [\n    \"create\", # one\n    # two\n    \"update\",\n  ]\n}\n";
        assert_eq!(format_policy(text).unwrap(), expected);
    }

    #[test]
    fn names_the_line_of_a_fault() {
        assert_eq!(
            format_policy("path \"a\" {\n  x = \"b\n}").unwrap_err(),
            BadPolicy::OpenText { line: 2 }
        );
        assert!(format_policy("path \"a\" {").is_err());
        assert!(format_policy("}").is_err());
        assert!(format_policy("= 3").is_err());
    }
}
