//! Who a workload is: SPIFFE IDs in Istio's form. Texts are compared byte by byte; nothing is
//! decoded, folded or normalized.

use std::fmt;

/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

/// The names of a mesh begin with it, e.g. `cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    account: ServiceAccount,
}

impl ServiceAccount {
    /// `None` for what cannot stand in a SPIFFE ID.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Option<Self> {
        (is_segment(namespace) && is_segment(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Reads `namespace/name`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        Self::new(namespace, name)
    }

    /// Reads the `sub` of a service account's token: `system:serviceaccount:<namespace>:<name>`.
    #[must_use]
    pub fn of_subject(subject: &str) -> Option<Self> {
        let (namespace, name) = subject
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        Self::new(namespace, name)
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn in_domain(self, trust_domain: &TrustDomain) -> SpiffeId {
        SpiffeId {
            trust_domain: trust_domain.clone(),
            account: self,
        }
    }
}

impl TrustDomain {
    /// `None` for what cannot be one (SPIFFE-ID §2.1). `@` stands for `.`, as Istio has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.replace('@', ".");
        let is_domain_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        let is_domain =
            (1..=LONGEST_TRUST_DOMAIN).contains(&text.len()) && text.bytes().all(is_domain_byte);
        is_domain.then_some(Self(text))
    }
}

impl SpiffeId {
    /// `None` for everything that is not exactly of Istio's form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (trust_domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
        // Here, `@` begins a host after a user.
        if trust_domain.contains('@') {
            return None;
        }
        let (namespace, name) = path.strip_prefix("ns/")?.split_once("/sa/")?;
        Some(Self {
            trust_domain: TrustDomain::parse(trust_domain)?,
            account: ServiceAccount::new(namespace, name)?,
        })
    }

    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    #[must_use]
    pub fn account(&self) -> &ServiceAccount {
        &self.account
    }
}

/// One part of a path (SPIFFE-ID §2.2), no longer than Kubernetes lets a name be.
fn is_segment(text: &str) -> bool {
    let is_segment_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !matches!(text, "" | "." | "..")
        && text.len() <= LONGEST_NAME
        && text.bytes().all(is_segment_byte)
}

const LONGEST_TRUST_DOMAIN: usize = 255;
const LONGEST_NAME: usize = 253;

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServiceAccount { namespace, name } = &self.account;
        write!(f, "spiffe://{}/ns/{namespace}/sa/{name}", self.trust_domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_they_are_written_as() {
        let text = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
        let id = SpiffeId::parse(text).unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.account().to_string(), "istio-system/ztunnel");
        let account = ServiceAccount::of_subject("system:serviceaccount:istio-system:ztunnel");
        let domain = TrustDomain::parse("cluster.local").unwrap();
        assert_eq!(account.unwrap().in_domain(&domain), id);
    }

    #[test]
    fn nothing_else_is_an_id() {
        let long = format!("spiffe://td/ns/a/sa/{}", "b".repeat(2048));
        for text in [
            "",
            "spiffe://td/ns/a/sa/",
            "spiffe://td/ns//sa/b",
            "spiffe://td/ns/a/sa/b/",
            "spiffe://td/ns/a/sa/b/c",
            "spiffe://td//ns/a/sa/b",
            "spiffe://td/sa/b/ns/a",
            "spiffe:///ns/a/sa/b",
            "SPIFFE://td/ns/a/sa/b",
            "spiffe://TD/ns/a/sa/b",
            "spiffe://td/NS/a/sa/b",
            "spiffe://td:80/ns/a/sa/b",
            "spiffe://u@td/ns/a/sa/b",
            "spiffe://td/ns/a/sa/b?x",
            "spiffe://td/ns/a/sa/b#x",
            "spiffe://td/ns/a/sa/%62",
            "spiffe://td/ns/a/sa/..",
            "spiffe://td/ns/a/sa/b\n",
            "spiffe://td/ns/a/sa/b\u{e9}",
            "https://td/ns/a/sa/b",
            &long,
        ] {
            assert_eq!(SpiffeId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn subjects_have_exactly_four_parts() {
        for subject in [
            "",
            "system:serviceaccount:a",
            "system:serviceaccount::b",
            "system:serviceaccount:a:",
            "system:serviceaccount:a:b:c",
            "system:serviceaccounts:a:b",
            "system:node:a",
            "system:serviceaccount:a/b:c",
        ] {
            assert_eq!(ServiceAccount::of_subject(subject), None, "{subject}");
        }
    }

    #[test]
    fn an_at_sign_in_a_configured_trust_domain_stands_for_a_dot() {
        let domain = TrustDomain::parse("td@example.com").unwrap();
        assert_eq!(domain.to_string(), "td.example.com");
        for text in ["", "TD", "a/b", "a:1", "a b"] {
            assert_eq!(TrustDomain::parse(text), None, "{text}");
        }
    }
}
