//! What one token may do.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::capability::{Capabilities, Capability, Operation};
use super::parse::Policy;
use super::pattern::{PathPattern, PrefixTable, SegmentPattern, Specificity, prefix_specificity};
use super::rule::Rule;
use super::template::{TemplateError, Unrendered};

/// The merged rules of all policies of a token.
#[derive(Debug)]
pub struct Acl {
    pub(super) is_root: bool,
    pub(super) exact: HashMap<String, Rule>,
    pub(super) prefixes: PrefixTable<Rule>,
    /// The most specific first.
    segments: Vec<(SegmentPattern, Rule)>,
    expires_at: Option<OffsetDateTime>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'a> {
    /// Without `/v1/`, with the mount, and already cleaned: the very text that is routed.
    pub path: &'a str,
    pub operation: Operation,
    /// The request's fields, from the body or, where there is none, from the query.
    pub data: Option<&'a Map<String, Value>>,
    /// The wrapping that was asked for; `None` when the reply is not to be wrapped.
    pub wrap_ttl_seconds: Option<u64>,
    /// Whether the path is one of those that need `sudo` besides the operation's own capability.
    pub needs_sudo: bool,
}

/// The answer to an [`AccessRequest`].
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    pub allowed: bool,
    pub is_root: bool,
    /// Whether the deciding rule gives `sudo`, needed or not; always for root.
    pub has_sudo: bool,
    /// For a listing whose rule bounds it: return at most so many entries.
    pub page_length: Option<u64>,
    capability: Option<Capability>,
    granted_by: &'a [(Arc<str>, Capabilities)],
}

impl Acl {
    /// May do everything. Only this makes it; a policy that happens to be named `root` does not.
    pub fn root() -> Self {
        Self {
            is_root: true,
            ..Self::empty()
        }
    }

    /// Compiles a token's policies as they stand at `now`.
    ///
    /// `value_of` answers a template such as `identity.entity.id` for the token's identity. A rule
    /// whose template has no answer, or an empty one, is left out.
    pub fn new<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        value_of: &dyn Fn(&str) -> Option<String>,
        now: OffsetDateTime,
    ) -> Result<Self, TemplateError> {
        let mut merged: BTreeMap<PathPattern, Rule> = BTreeMap::new();
        let mut expires_at: Option<OffsetDateTime> = None;
        for policy in policies {
            for rule in &policy.rules {
                if let Some(expiry) = rule.expires_at {
                    if expiry <= now {
                        continue;
                    }
                    expires_at = Some(expires_at.map_or(expiry, |earliest| earliest.min(expiry)));
                }
                let rendered = match rule.path.render(value_of) {
                    Ok(rendered) => rendered,
                    Err(Unrendered::Unknown) => continue,
                    Err(Unrendered::Forbidden(forbidden)) => {
                        return Err(TemplateError {
                            policy: policy.name().to_owned(),
                            path: rule.text.clone(),
                            forbidden: forbidden.to_string(),
                        });
                    }
                };
                let pattern = PathPattern::new(&rendered).map_err(|_| TemplateError {
                    policy: policy.name().to_owned(),
                    path: rule.text.clone(),
                    forbidden: "+*".to_owned(),
                })?;
                merged
                    .entry(pattern)
                    .or_default()
                    .add(&policy.name, &rule.permissions);
            }
        }
        Ok(Self {
            expires_at,
            ..Self::from_merged(merged)
        })
    }

    /// When the first of its rules ends; the `Acl` must not be used from then on.
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        self.expires_at
    }

    /// Decides one request.
    ///
    /// An exact rule for the path decides alone. Else, of all matching `prefix*` and `+` rules, the
    /// one decides whose first wildcard comes last; then one that does not end in `*`; then the one
    /// with fewer `+`; then the longer; then the lexicographically greater.
    ///
    /// A listing of `a` is one of `a/`. If no exact rule speaks of `a/`, an exact rule for `a`
    /// decides; if no rule speaks of `a/` at all, any rule for `a` does. A `deny` for `a` that is
    /// at least as specific as what speaks of `a/` denies, too: whoever wrote it meant the folder.
    pub fn check<'a>(&'a self, request: &AccessRequest<'_>) -> Decision<'a> {
        if self.is_root {
            return Decision {
                allowed: true,
                is_root: true,
                has_sudo: true,
                page_length: None,
                capability: None,
                granted_by: &[],
            };
        }
        let capability = request.operation.capability();
        let Some(needed) = capability else {
            return Decision {
                allowed: true,
                ..Decision::refused()
            };
        };
        let path = request.path.trim_start_matches('/');
        let rule = if request.operation.is_listing() {
            self.listing_rule(&as_folder(path))
        } else {
            self.rule(path)
        };
        let Some(rule) = rule.filter(|rule| !rule.denies()) else {
            return Decision::refused();
        };

        let permissions = &rule.permissions;
        let has_sudo = permissions.capabilities.contains(Capability::Sudo);
        let refused = Decision {
            has_sudo,
            ..Decision::refused()
        };
        if !permissions.capabilities.contains(needed)
            || (request.needs_sudo && !has_sudo)
            || permissions.needs_approval
            || !permissions
                .wrapping
                .permit(request.wrap_ttl_seconds.map(Duration::from_secs))
        {
            return refused;
        }
        let page_length = match request.operation {
            Operation::Create | Operation::Patch | Operation::Read | Operation::Update => {
                if !permissions.parameters.permit(request.data) {
                    return refused;
                }
                None
            }
            Operation::List | Operation::Scan => {
                if permissions.filters_listings {
                    return refused;
                }
                match permissions.page_length(request.data) {
                    Ok(page_length) => page_length,
                    Err(_) => return refused,
                }
            }
            Operation::Delete | Operation::Help => None,
        };
        Decision {
            allowed: true,
            is_root: false,
            has_sudo,
            page_length,
            capability,
            granted_by: &rule.granted_by,
        }
    }

    /// The sorted words of `sys/capabilities` for a path: those of the rule that decides a listing
    /// of exactly this text, `deny` when there is none, `root` for root.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.is_root {
            return vec!["root"];
        }
        self.listing_rule(path.trim_start_matches('/'))
            .map_or(Capabilities::NONE, |rule| rule.permissions.capabilities)
            .names()
    }

    /// Whether anything may be done at or below a mount, whose path ends in `/`.
    ///
    /// May say yes when more specific rules cover every grant; never says no when there is one.
    pub fn grants_any_under(&self, mount_path: &str) -> bool {
        let grants = |rule: &Rule| rule.permissions.capabilities.grants_anything();
        if self.is_root || self.listing_rule(mount_path).is_some_and(grants) {
            return true;
        }
        // Decides everywhere below the mount, but where a more specific rule speaks.
        let covering = self.prefixes.longest(mount_path);
        let is_beaten = |pattern: &SegmentPattern| {
            covering.is_some_and(|(prefix, _)| prefix_specificity(prefix) > pattern.specificity())
        };
        covering.is_some_and(|(_, rule)| grants(rule))
            || self
                .exact
                .iter()
                .any(|(path, rule)| path.starts_with(mount_path) && grants(rule))
            || self
                .prefixes
                .iter()
                .any(|(prefix, rule)| prefix.starts_with(mount_path) && grants(rule))
            || self.segments.iter().any(|(pattern, rule)| {
                grants(rule) && pattern.reaches_below(mount_path) && !is_beaten(pattern)
            })
    }

    fn rule(&self, path: &str) -> Option<&Rule> {
        self.exact
            .get(path)
            .or_else(|| self.wildcard_rule(path).map(|(_, rule)| rule))
    }

    fn listing_rule(&self, path: &str) -> Option<&Rule> {
        let Some(bare) = path.strip_suffix('/') else {
            return self.rule(path);
        };
        let for_folder = self.exact.get(path);
        let for_bare = self.exact.get(bare);
        if let Some(deny) = for_bare.filter(|rule| rule.denies()) {
            return Some(deny);
        }
        if let Some(exact) = for_folder.or(for_bare) {
            return Some(exact);
        }
        match (self.wildcard_rule(path), self.wildcard_rule(bare)) {
            (Some((specificity, _)), Some((bare_specificity, deny)))
                if deny.denies() && bare_specificity >= specificity =>
            {
                Some(deny)
            }
            (Some((_, rule)), _) | (None, Some((_, rule))) => Some(rule),
            (None, None) => None,
        }
    }

    fn wildcard_rule(&self, path: &str) -> Option<(Specificity<'_>, &Rule)> {
        let by_prefix = self
            .prefixes
            .longest(path)
            .map(|(prefix, rule)| (prefix_specificity(prefix), rule));
        let by_segments = self
            .segments
            .iter()
            .find(|(pattern, _)| pattern.matches(path))
            .map(|(pattern, rule)| (pattern.specificity(), rule));
        match (by_prefix, by_segments) {
            (Some(prefix), Some(segments)) if prefix.0 > segments.0 => Some(prefix),
            (prefix, segments) => segments.or(prefix),
        }
    }

    fn from_merged(merged: BTreeMap<PathPattern, Rule>) -> Self {
        let mut exact = HashMap::new();
        let mut prefixes = Vec::new();
        let mut segments = Vec::new();
        for (pattern, rule) in merged {
            match pattern {
                PathPattern::Exact(path) => {
                    exact.insert(path, rule);
                }
                PathPattern::Prefix(prefix) => prefixes.push((prefix, rule)),
                PathPattern::Segments(pattern) => segments.push((pattern, rule)),
            }
        }
        segments.sort_by(|(one, _), (other, _)| other.specificity().cmp(&one.specificity()));
        Self {
            is_root: false,
            exact,
            prefixes: PrefixTable::new(prefixes),
            segments,
            expires_at: None,
        }
    }

    fn empty() -> Self {
        Self::from_merged(BTreeMap::new())
    }
}

impl<'a> Decision<'a> {
    /// The policies that grant what was asked, for the audit log; none when it was refused.
    pub fn granting_policies(&self) -> impl Iterator<Item = &'a str> {
        let capability = self.capability;
        let root = self.is_root.then_some("root");
        let granted = self
            .granted_by
            .iter()
            .filter(move |(_, granted)| capability.is_some_and(|needed| granted.contains(needed)))
            .map(|(policy, _)| &**policy);
        root.into_iter().chain(granted)
    }

    fn refused() -> Self {
        Self {
            allowed: false,
            is_root: false,
            has_sudo: false,
            page_length: None,
            capability: None,
            granted_by: &[],
        }
    }
}

fn as_folder(path: &str) -> Cow<'_, str> {
    if path.ends_with('/') {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("{path}/"))
    }
}
