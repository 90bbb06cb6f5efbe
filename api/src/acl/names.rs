//! The names of policies.
//!
//! A name is brought to its one form before anything looks at it. Had a check for `root` come
//! first, ` Root` would pass the check and become `root` afterwards.

use std::collections::BTreeSet;

const ROOT: &str = "root";
const MAX_NAME_BYTES: usize = 512;

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyNameError {
    #[error("policy name contains the character {0:?}, which is not allowed")]
    ForbiddenCharacter(char),
    #[error("relative paths not supported")]
    RelativePath,
    #[error("policy name is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
}

/// The one form of a name: without surrounding white space, in lower case. May be empty.
///
/// Control characters and characters that cannot be seen are refused: two names that look the same
/// must be the same.
pub fn normalize_policy_name(name: &str) -> Result<String, PolicyNameError> {
    let name = name.trim().to_lowercase();
    if name.len() > MAX_NAME_BYTES {
        return Err(PolicyNameError::TooLong);
    }
    if let Some(forbidden) = name.chars().find(|c| is_invisible(*c)) {
        return Err(PolicyNameError::ForbiddenCharacter(forbidden));
    }
    if name.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(PolicyNameError::RelativePath);
    }
    Ok(name)
}

/// The policies of a token: each in its one form, sorted, none twice, none empty. `root` swallows
/// all others.
pub fn sanitize_policy_names<I>(names: I) -> Result<Vec<String>, PolicyNameError>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut sorted = BTreeSet::new();
    for name in names {
        sorted.insert(normalize_policy_name(name.as_ref())?);
    }
    if sorted.contains(ROOT) {
        return Ok(vec![ROOT.to_owned()]);
    }
    Ok(sorted.into_iter().filter(|name| !name.is_empty()).collect())
}

/// Control and format characters, and every white space but the plain one.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitized(names: &[&str]) -> Vec<String> {
        sanitize_policy_names(names).unwrap()
    }

    #[test]
    fn every_spelling_of_root_is_root_and_alone() {
        for spelling in [
            "root",
            " Root",
            "ROOT",
            "rOOt\t",
            "\u{a0}root\u{2003}",
            "\nroot\n",
        ] {
            assert_eq!(sanitized(&["web", spelling]), ["root"], "{spelling:?}");
        }
    }

    #[test]
    fn what_only_looks_like_root_is_not_root() {
        for name in [
            "root.",
            "r00t",
            "ｒｏｏｔ",
            "rооt",
            "röot",
            "root/x",
            "ro ot",
            "roo\u{1d413}",
        ] {
            let names = sanitized(&[name, "web"]);
            assert_eq!(names.len(), 2, "{name:?}");
            assert!(!names.contains(&"root".to_owned()), "{name:?}");
        }
    }

    #[test]
    fn no_other_character_folds_into_the_letters_of_root() {
        for character in ('\u{80}'..=char::MAX).filter(|c| c.is_alphabetic()) {
            let folded = character.to_lowercase().to_string();
            assert!(!folded.contains(['r', 'o', 't']), "{character:?}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_seen() {
        for name in [
            "ro\u{200b}ot",
            "root\0",
            "ro\not",
            "r\u{202e}oot",
            "web\u{7f}",
            "\u{feff}root",
        ] {
            assert!(
                matches!(
                    sanitize_policy_names([name]),
                    Err(PolicyNameError::ForbiddenCharacter(_))
                ),
                "{name:?}"
            );
        }
        assert_eq!(
            normalize_policy_name("a/../b"),
            Err(PolicyNameError::RelativePath)
        );
        assert_eq!(
            normalize_policy_name(&"x".repeat(513)),
            Err(PolicyNameError::TooLong)
        );
    }

    #[test]
    fn names_come_back_sorted_distinct_and_not_empty() {
        assert_eq!(
            sanitized(&["X ", "x", "", "  ", "a b", "A/B", "web"]),
            ["a b", "a/b", "web", "x"]
        );
    }

    proptest::proptest! {
        #[test]
        fn the_one_form_is_stable(name in "\\PC{0,12}") {
            if let Ok(normal) = normalize_policy_name(&name) {
                proptest::prop_assert_eq!(normalize_policy_name(&normal), Ok(normal.clone()));
            }
        }
    }
}
