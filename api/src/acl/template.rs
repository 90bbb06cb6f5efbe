//! `{{identity.entity.id}}` and its like inside the path of a rule.

use super::pattern::WildcardMisuse;

/// A rule's path, split at its templates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Expression(String),
    Literal(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unbalanced templating characters")]
pub(super) struct Unbalanced;

/// An identity carries a value that would change the meaning of a rule's path.
///
/// The rule cannot simply be left out: it might have been a `deny`, and whoever may set the value
/// could then lift it. So a token whose policies meet such a value may do nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "error parsing templated policy {policy:?}: failed to parse policy: path {path:?}: \
     template substitution contains forbidden value: {forbidden:?}"
)]
pub struct TemplateError {
    pub policy: String,
    pub path: String,
    pub forbidden: String,
}

/// Why a template has no path for this identity.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unrendered {
    Forbidden(char),
    Unknown,
}

impl PathTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, Unbalanced> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}").ok_or(Unbalanced)?;
            if literal.contains("}}") || expression.contains("{{") {
                return Err(Unbalanced);
            }
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::Expression(expression.trim().to_owned()));
            rest = after;
        }
        if rest.contains("}}") {
            return Err(Unbalanced);
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The path for one identity. `value_of` answers what stands between the braces, trimmed.
    pub(super) fn render(
        &self,
        value_of: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, Unrendered> {
        let mut path = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Expression(expression) => {
                    let value = value_of(expression)
                        .filter(|value| !value.is_empty())
                        .ok_or(Unrendered::Unknown)?;
                    if let Some(forbidden) = value.chars().find(|c| matches!(c, '*' | '+' | '/')) {
                        return Err(Unrendered::Forbidden(forbidden));
                    }
                    path.push_str(&value);
                }
            }
        }
        Ok(path)
    }

    /// Refuses wildcards that are already misused in the text, before anything is filled in.
    pub(super) fn check_wildcards(&self, text: &str) -> Result<(), WildcardMisuse> {
        let literals = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Expression(_) => None,
            Piece::Literal(literal) => Some(literal),
        });
        for literal in literals {
            if literal.contains("+*") {
                return Err(WildcardMisuse {
                    path: text.to_owned(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(expression: &str) -> Option<String> {
        match expression {
            "id" => Some("e-1".to_owned()),
            "empty" => Some(String::new()),
            "glob" => Some("a*".to_owned()),
            "slash" => Some("a/b".to_owned()),
            "plus" => Some("+".to_owned()),
            "nested" => Some("{{id}}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn renders_each_template_once() {
        let cases = [
            ("plain/path", Ok("plain/path")),
            ("a/{{id}}/b", Ok("a/e-1/b")),
            ("a/{{ id }}{{id}}", Ok("a/e-1e-1")),
            ("a/{{nested}}", Ok("a/{{id}}")),
            ("a/{{empty}}/b", Err(Unrendered::Unknown)),
            ("a/{{}}", Err(Unrendered::Unknown)),
            ("a/{{other}}", Err(Unrendered::Unknown)),
            ("a/{{glob}}", Err(Unrendered::Forbidden('*'))),
            ("a/{{slash}}", Err(Unrendered::Forbidden('/'))),
            ("a/{{plus}}", Err(Unrendered::Forbidden('+'))),
        ];
        for (text, expected) in cases {
            let template = PathTemplate::parse(text).unwrap();
            assert_eq!(
                template.render(&value_of),
                expected.map(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_unbalanced_braces() {
        for text in ["{{id", "id}}", "{{a{{b}}", "a}}b{{id}}", "{{id}}}}"] {
            assert_eq!(PathTemplate::parse(text), Err(Unbalanced), "{text}");
        }
    }
}
