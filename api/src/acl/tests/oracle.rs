//! An oracle that decides slowly, and what must hold for all rules and paths.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::{Acl, Capability, Operation};
use super::{OPERATIONS, acl, allows, request};

/// Decides as the documentation reads, one rule after the other.
struct Oracle {
    rules: BTreeMap<String, Vec<&'static str>>,
}

type Found<'a> = Option<(&'a str, &'a [&'static str])>;

impl Oracle {
    fn new(policies: &[Vec<(String, Vec<&'static str>)>]) -> Self {
        let mut rules: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (pattern, words) in policies.iter().flatten() {
            rules.entry(pattern.clone()).or_default().extend(words);
        }
        for words in rules.values_mut().filter(|words| words.contains(&"deny")) {
            *words = vec!["deny"];
        }
        Self { rules }
    }

    fn matches(pattern: &str, path: &str) -> bool {
        let open = pattern.ends_with('*');
        let body: Vec<_> = pattern.trim_end_matches('*').split('/').collect();
        let path: Vec<_> = path.split('/').collect();
        let fits = |index: usize, part: &str, whole: bool| {
            body[index] == "+"
                || if whole {
                    part == body[index]
                } else {
                    part.starts_with(body[index])
                }
        };
        let last = body.len() - 1;
        let same_length = body.len() == path.len();
        (same_length || (open && path.len() > last))
            && (0..=last).all(|index| fits(index, path[index], !(open && index == last)))
    }

    fn is_better(one: &str, other: &str) -> bool {
        let first = |pattern: &str| {
            let padded = format!("/{}/", pattern.trim_end_matches('*'));
            let end = pattern.trim_end_matches('*').len();
            padded.find("/+/").unwrap_or(if pattern.ends_with('*') {
                end
            } else {
                usize::MAX
            })
        };
        let plus = |pattern: &str| {
            pattern
                .trim_end_matches('*')
                .split('/')
                .filter(|part| *part == "+")
                .count()
        };
        let (a, b) = (first(one), first(other));
        if a != b {
            return a > b;
        }
        if one.ends_with('*') != other.ends_with('*') {
            return !one.ends_with('*');
        }
        if plus(one) != plus(other) {
            return plus(one) < plus(other);
        }
        if one.len() != other.len() {
            return one.len() > other.len();
        }
        one > other
    }

    fn is_exact(pattern: &str) -> bool {
        !pattern.ends_with('*') && !pattern.split('/').any(|part| part == "+")
    }

    fn best(&self, path: &str, exact_only: bool) -> Found<'_> {
        let mut best: Found<'_> = None;
        for (pattern, words) in &self.rules {
            if Self::matches(pattern, path)
                && (!exact_only || Self::is_exact(pattern))
                && best.is_none_or(|(other, _)| Self::is_better(pattern, other))
            {
                best = Some((pattern, words));
            }
        }
        best
    }

    fn listing(&self, folder: &str) -> Found<'_> {
        let bare = folder.trim_end_matches('/');
        let denies = |found: &(&str, &[&'static str])| found.1.contains(&"deny");
        let bare_best = self.best(bare, false);
        let folder_best = self.best(folder, false);
        let outranks = |deny: &str| match folder_best {
            Some((pattern, _)) => {
                Self::is_exact(deny)
                    || (!Self::is_exact(pattern) && !Self::is_better(pattern, deny))
            }
            None => true,
        };
        if let Some(found) = bare_best.filter(denies).filter(|(deny, _)| outranks(deny)) {
            return Some(found);
        }
        self.best(folder, true)
            .or_else(|| self.best(bare, true))
            .or(folder_best)
            .or(bare_best)
    }

    fn allows(&self, path: &str, operation: Operation) -> bool {
        let found = match operation {
            Operation::List | Operation::Scan => {
                self.listing(&format!("{}/", path.trim_end_matches('/')))
            }
            _ => self.best(path, false),
        };
        let word = operation.capability().unwrap().name();
        found.is_some_and(|(_, words)| !words.contains(&"deny") && words.contains(&word))
    }
}

fn policies() -> impl Strategy<Value = Vec<Vec<(String, Vec<&'static str>)>>> {
    let pattern = "(a|b|ab|\\+)(/(a|b|ab|\\+)){0,3}(/|/\\*|\\*|)"
        .prop_filter("+* is refused", |pattern| !pattern.contains("+*"));
    let words: Vec<_> = Capability::ALL.into_iter().map(Capability::name).collect();
    // `deny` is one word of eleven, so that most rules still grant something.
    let rule = (pattern, prop::sample::subsequence(words, 0..5));
    prop::collection::vec(prop::collection::vec(rule, 0..8), 1..4)
}

fn compile(policies: &[Vec<(String, Vec<&'static str>)>]) -> Acl {
    let texts: Vec<String> = policies
        .iter()
        .map(|rules| {
            let body: serde_json::Map<_, _> = rules
                .iter()
                .map(|(pattern, words)| (pattern.clone(), json!({ "capabilities": words })))
                .collect();
            json!({ "path": body }).to_string()
        })
        .collect();
    acl(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn query() -> impl Strategy<Value = String> {
    "(a|b|ab|)(/(a|b|ab|abb|)){0,3}/?".prop_filter("paths are clean", |path| {
        !path.starts_with('/') && !path.contains("//")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn agrees_with_the_slow_oracle(
        policies in policies(),
        paths in prop::collection::vec(query(), 1..8),
    ) {
        let mut last_wins = policies.clone();
        for rules in &mut last_wins {
            let unique: BTreeMap<_, _> = rules.drain(..).collect();
            rules.extend(unique);
        }
        let acl = compile(&last_wins);
        let oracle = Oracle::new(&last_wins);
        for path in &paths {
            for operation in OPERATIONS {
                prop_assert_eq!(
                    allows(&acl, path, operation),
                    oracle.allows(path, operation),
                    "{:?} {}", operation, path
                );
            }
        }
    }

    #[test]
    fn capabilities_agree_with_decisions(policies in policies(), path in query()) {
        let acl = compile(&policies);
        let shown = acl.capabilities(&path);
        for operation in OPERATIONS {
            let word = operation.capability().unwrap().name();
            let is_listing = matches!(operation, Operation::List | Operation::Scan);
            if is_listing == path.ends_with('/') {
                let mut request = request(&path, operation);
                prop_assert_eq!(acl.check(&request).allowed, shown.contains(&word));
                request.needs_sudo = true;
                prop_assert_eq!(
                    acl.check(&request).allowed,
                    shown.contains(&word) && shown.contains(&"sudo")
                );
            }
        }
    }

    #[test]
    fn whatever_is_granted_below_a_mount_shows_the_mount(policies in policies(), path in query()) {
        let acl = compile(&policies);
        let granted = OPERATIONS.iter().any(|operation| allows(&acl, &path, *operation));
        if let Some((mount, _)) = path.split_once('/').filter(|_| granted) {
            let mount_path = format!("{mount}/");
            prop_assert!(acl.grants_any_under(&mount_path));
        }
    }
}
