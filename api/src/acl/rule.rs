//! What the rules of one path text, merged over all policies, let a token do.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::capability::{Capabilities, Capability};
use super::parameters::ParameterConstraints;
use super::wrapping::WrappingBounds;

/// The body of one `path` block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Permissions {
    pub capabilities: Capabilities,
    pub parameters: ParameterConstraints,
    pub wrapping: WrappingBounds,
    /// The most entries one list may return.
    pub page_limit: Option<u64>,
    /// The rule asks for a second factor or for the consent of others. Neither can be given here, so
    /// nothing is allowed.
    pub needs_approval: bool,
    /// The rule wants listings filtered entry by entry. They are refused instead.
    pub filters_listings: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rule {
    pub permissions: Permissions,
    /// Which policy contributed what.
    pub granted_by: Vec<(Arc<str>, Capabilities)>,
}

impl Rule {
    pub(super) fn denies(&self) -> bool {
        self.permissions.capabilities.contains(Capability::Deny)
    }

    /// Adds another policy's rule for the same path. A `deny`, from whichever side, stays alone.
    pub(super) fn add(&mut self, policy: &Arc<str>, permissions: &Permissions) {
        if self.denies() {
            return;
        }
        if permissions.capabilities.contains(Capability::Deny) {
            *self = Self::default();
            self.permissions.capabilities.insert(Capability::Deny);
            return;
        }
        self.permissions.merge(permissions);
        self.granted_by
            .push((Arc::clone(policy), permissions.capabilities));
    }
}

impl Permissions {
    /// Takes `other` apart, so that a new field cannot be forgotten here.
    fn merge(&mut self, other: &Self) {
        let Self {
            capabilities,
            parameters,
            wrapping,
            page_limit,
            needs_approval,
            filters_listings,
        } = other;
        self.capabilities = self.capabilities.union(*capabilities);
        self.parameters.merge(parameters);
        self.wrapping.merge(*wrapping);
        self.page_limit = match (self.page_limit, *page_limit) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.needs_approval |= needs_approval;
        self.filters_listings |= filters_listings;
    }

    /// The page length a listing may have: `Ok(None)` when the rule does not care, `Err` when more
    /// was asked for than the rule allows.
    pub(super) fn page_length(
        &self,
        data: Option<&Map<String, Value>>,
    ) -> Result<Option<u64>, PageTooLong> {
        let Some(page_limit) = self.page_limit else {
            return Ok(None);
        };
        let asked = match data.and_then(|data| data.get("limit")) {
            None if self.parameters.required.iter().any(|name| name == "limit") => {
                return Err(PageTooLong);
            }
            None => 0,
            Some(Value::Number(number)) => number.as_u64().ok_or(PageTooLong)?,
            Some(Value::String(text)) if text == "max" => 0,
            Some(Value::String(text)) => text.parse().map_err(|_| PageTooLong)?,
            Some(_) => return Err(PageTooLong),
        };
        match asked {
            0 => Ok(Some(page_limit)),
            asked if asked <= page_limit => Ok(Some(asked)),
            _ => Err(PageTooLong),
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
pub(super) struct PageTooLong;
