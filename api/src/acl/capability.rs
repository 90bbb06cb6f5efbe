//! What a request wants to do, and what a rule lets it do.

/// What a request does to a path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    Create,
    Delete,
    /// Path help; always allowed.
    Help,
    List,
    Patch,
    Read,
    Scan,
    Update,
}

impl Operation {
    /// The capability the operation needs; `None` for help.
    pub fn capability(self) -> Option<Capability> {
        Some(match self {
            Self::Create => Capability::Create,
            Self::Delete => Capability::Delete,
            Self::Help => return None,
            Self::List => Capability::List,
            Self::Patch => Capability::Patch,
            Self::Read => Capability::Read,
            Self::Scan => Capability::Scan,
            Self::Update => Capability::Update,
        })
    }

    /// Lists and scans address a folder, whose path ends in `/`.
    pub(super) fn is_listing(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }
}

/// One word of a rule's `capabilities`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Capability {
    Create,
    Delete,
    /// Refuses everything, whatever else is granted on the same path.
    Deny,
    List,
    Patch,
    Read,
    /// Understood, so that policies written for Vault load; no operation needs it.
    Recover,
    Scan,
    /// Understood, so that policies written for Vault load; no operation needs it.
    Subscribe,
    /// Needed, beside the operation's own capability, on protected paths.
    Sudo,
    Update,
}

impl Capability {
    /// All capabilities, sorted by name.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Recover,
        Self::Scan,
        Self::Subscribe,
        Self::Sudo,
        Self::Update,
    ];

    /// The word used in policies and in replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Recover => "recover",
            Self::Scan => "scan",
            Self::Subscribe => "subscribe",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.name() == name)
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Create => 1,
            Self::Delete => 1 << 1,
            Self::Deny => 1 << 2,
            Self::List => 1 << 3,
            Self::Patch => 1 << 4,
            Self::Read => 1 << 5,
            Self::Recover => 1 << 6,
            Self::Scan => 1 << 7,
            Self::Subscribe => 1 << 8,
            Self::Sudo => 1 << 9,
            Self::Update => 1 << 10,
        }
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Capabilities(u16);

impl Capabilities {
    pub const NONE: Self = Self(0);

    pub fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether anything at all is granted; a set with `deny` grants nothing.
    pub fn grants_anything(self) -> bool {
        self.0 != 0 && !self.contains(Capability::Deny)
    }

    /// The names, sorted, as `sys/capabilities` shows them: just `deny` when nothing is granted.
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants_anything() {
            return vec![Capability::Deny.name()];
        }
        Capability::ALL
            .into_iter()
            .filter(|capability| self.contains(*capability))
            .map(Capability::name)
            .collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::NONE;
        for capability in capabilities {
            set.insert(capability);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_distinct() {
        let names: Vec<_> = Capability::ALL.into_iter().map(Capability::name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        for capability in Capability::ALL {
            assert_eq!(Capability::from_name(capability.name()), Some(capability));
        }
    }

    #[test]
    fn every_capability_has_its_own_bit() {
        let all: u16 = Capability::ALL
            .iter()
            .map(|capability| capability.bit())
            .sum();
        assert_eq!(usize::try_from(all.count_ones()), Ok(Capability::ALL.len()));
    }

    #[test]
    fn a_set_with_deny_shows_nothing_else() {
        let set = Capabilities::from_iter([Capability::Read, Capability::Deny]);
        assert_eq!(set.names(), ["deny"]);
        assert_eq!(Capabilities::NONE.names(), ["deny"]);
    }
}
