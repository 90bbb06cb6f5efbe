//! Identity templates: `{{identity.entity.name}}` and the like inside `allowed_domains` and
//! `allowed_uri_sans`.

use std::borrow::Cow;

/// Gives the value of one expression, the text between the braces, for whoever asks; `None` if
/// there is no such value.
pub type Identity<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// How one list of a role is to be read.
#[derive(Clone, Copy)]
pub(super) struct Templates<'a> {
    pub(super) enabled: bool,
    pub(super) allow_globs: bool,
    pub(super) identity: Identity<'a>,
}

impl Templates<'_> {
    /// The entries with their templates replaced; entries whose templates have no acceptable value
    /// are left out.
    pub(super) fn render_all<'t>(&self, entries: &'t [String]) -> Vec<Cow<'t, str>> {
        entries
            .iter()
            .filter(|entry| !entry.is_empty())
            .filter_map(|entry| self.render(entry))
            .collect()
    }

    fn render<'t>(&self, entry: &'t str) -> Option<Cow<'t, str>> {
        if !self.enabled || !entry.contains("{{") {
            return Some(Cow::Borrowed(entry));
        }
        let mut rendered = String::new();
        let mut rest = entry;
        while let Some((before, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}")?;
            rendered.push_str(before);
            rendered.push_str(&self.value(expression.trim())?);
            rest = after;
        }
        rendered.push_str(rest);
        Some(Cow::Owned(rendered))
    }

    /// A value must not widen the pattern it stands in.
    fn value(&self, expression: &str) -> Option<String> {
        let value = (self.identity)(expression)?;
        let widens = value.is_empty()
            || value.contains(['/', ','])
            || value.contains('*') && !self.allow_globs;
        (!widens).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(entry: &str, value: &str, allow_globs: bool) -> Option<String> {
        let identity =
            |expression: &str| (expression == "identity.entity.name").then(|| value.to_owned());
        let templates = Templates {
            enabled: true,
            allow_globs,
            identity: &identity,
        };
        templates.render(entry).map(Cow::into_owned)
    }

    #[test]
    fn values_take_the_place_of_templates() {
        let entry = "a.{{identity.entity.name}}.{{ identity.entity.name }}.c";
        assert_eq!(rendered(entry, "x", false).unwrap(), "a.x.x.c");
        assert_eq!(rendered("plain", "x", false).unwrap(), "plain");
    }

    #[test]
    fn values_that_would_widen_the_rule_leave_the_entry_out() {
        let entry = "spiffe://d/{{identity.entity.name}}";
        for value in ["*", "a*", "a/b", "a,b", ""] {
            assert_eq!(rendered(entry, value, false), None, "{value}");
        }
        assert_eq!(rendered(entry, "a*", true).unwrap(), "spiffe://d/a*");
        assert_eq!(rendered(entry, "a/*", true), None);
    }

    #[test]
    fn entries_that_cannot_be_rendered_are_left_out() {
        assert_eq!(rendered("{{identity.entity.id}}.com", "x", false), None);
        assert_eq!(rendered("{{identity.entity.name", "x", false), None);
    }
}
