//! Common name, DNS names and email addresses: collecting them from request and CSR, and judging
//! each by the domains that a role allows. Where a name came from makes no difference to its
//! judgement.

use std::{borrow::Cow, collections::HashSet};

use super::{
    CsrFacts, Refusal,
    hostname::{self, is_hostname, is_wildcard_label},
    patterns::{Allowed, glob_matches},
};
use crate::role::CnValidation;

/// Where names may come from.
#[derive(Clone, Copy)]
pub(super) struct NameSources<'a> {
    pub(super) csr: Option<&'a CsrFacts>,
    pub(super) use_csr_common_name: bool,
    pub(super) use_csr_sans: bool,
    pub(super) require_cn: bool,
    pub(super) common_name: &'a str,
    /// Separated by commas.
    pub(super) alt_names: &'a str,
    pub(super) serial_number: &'a str,
    pub(super) exclude_cn_from_sans: bool,
}

/// What the subject and the DNS and email part of the SANs are to be.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) common_name: String,
    pub(super) serial_number: String,
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
}

impl Names {
    /// Gathers the names; nothing is judged yet except that a name can be written at all.
    pub(super) fn collect(sources: &NameSources<'_>) -> Result<Self, Refusal> {
        let csr_text = |text: Option<&'_ Option<String>>| text.cloned().flatten();
        let csr_common_name = sources
            .csr
            .filter(|_| sources.use_csr_common_name)
            .map(|csr| &csr.common_name);
        let mut names = Self {
            common_name: csr_text(csr_common_name)
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| sources.common_name.to_owned()),
            serial_number: Some(sources.serial_number.to_owned())
                .filter(|number| !number.is_empty())
                .or_else(|| csr_text(sources.csr.map(|csr| &csr.serial_number)))
                .unwrap_or_default(),
            ..Self::default()
        };
        if names.common_name.is_empty() && sources.require_cn {
            return Err(Refusal::CommonNameMissing);
        }
        let csr_sans = sources.csr.filter(|_| sources.use_csr_sans);
        if let Some(csr) = csr_sans {
            names.dns.clone_from(&csr.sans.dns);
            names.emails.clone_from(&csr.sans.emails);
        }
        if !names.common_name.is_empty() && !sources.exclude_cn_from_sans {
            names.add(&names.common_name.clone())?;
        }
        if csr_sans.is_none() {
            for name in sources.alt_names.split(',').map(str::trim) {
                if !name.is_empty() {
                    names.add(name)?;
                }
            }
        }
        let mut seen = HashSet::new();
        names.dns.retain(|name| seen.insert(name.clone()));
        for address in &mut names.emails {
            *address = address.trim().to_owned();
        }
        Ok(names)
    }

    /// Names that cannot be a host are left out rather than refused, as clients expect.
    fn add(&mut self, name: &str) -> Result<(), Refusal> {
        if name.contains('@') {
            self.emails.push(name.to_owned());
            return Ok(());
        }
        let ascii =
            hostname::to_ascii(name).map_err(|error| Refusal::Idna { label: error.label })?;
        if is_hostname(&ascii) {
            self.dns.push(ascii.into_owned());
        }
        Ok(())
    }
}

/// What a role says about names.
pub(super) struct NameRules<'a> {
    pub(super) cn_validations: &'a [CnValidation],
    pub(super) allowed_serial_numbers: Allowed<'a>,
    pub(super) allow_wildcard_certificates: bool,
    pub(super) enforce_hostnames: bool,
    pub(super) allow_any_name: bool,
    pub(super) allow_localhost: bool,
    pub(super) allow_bare_domains: bool,
    pub(super) allow_subdomains: bool,
    pub(super) allow_glob_domains: bool,
    /// Rendered, without empty entries.
    pub(super) allowed_domains: Vec<Cow<'a, str>>,
}

impl NameRules<'_> {
    /// The rules of the doors that need no role: any name, of any shape.
    pub(super) fn permissive() -> Self {
        Self {
            cn_validations: &[CnValidation::Disabled],
            allowed_serial_numbers: Allowed::Anything,
            allow_wildcard_certificates: true,
            enforce_hostnames: false,
            allow_any_name: true,
            allow_localhost: true,
            allow_bare_domains: false,
            allow_subdomains: false,
            allow_glob_domains: false,
            allowed_domains: Vec::new(),
        }
    }

    /// Judges the names in the order of the request, and gives them in the order of the certificate.
    pub(super) fn vet(&self, mut names: Names) -> Result<Names, Refusal> {
        self.check(&names)?;
        names.emails.sort_unstable();
        names.emails.dedup();
        Ok(names)
    }

    fn check(&self, names: &Names) -> Result<(), Refusal> {
        if !names.common_name.is_empty() && !self.permit_common_name(&names.common_name) {
            let name = names.common_name.clone();
            return Err(Refusal::CommonName { name });
        }
        let serial_number = &names.serial_number;
        let serial_permitted = self.allowed_serial_numbers.permits(|entry| {
            entry == serial_number || entry.contains('*') && glob_matches(entry, serial_number)
        });
        if !serial_number.is_empty() && !serial_permitted {
            let serial_number = serial_number.clone();
            return Err(Refusal::SerialNumber { serial_number });
        }
        if let Some(name) = names.dns.iter().find(|name| !self.permit(name)) {
            let name = name.clone();
            return Err(Refusal::DnsName { name });
        }
        if let Some(address) = names.emails.iter().find(|address| !self.permit(address)) {
            let address = address.clone();
            return Err(Refusal::Email { address });
        }
        Ok(())
    }

    fn permit_common_name(&self, name: &str) -> bool {
        if self.cn_validations == [CnValidation::Disabled] {
            return true;
        }
        let kind = if name.contains('@') {
            CnValidation::Email
        } else {
            CnValidation::Hostname
        };
        self.permit(name) && self.cn_validations.contains(&kind)
    }

    pub(super) fn permit(&self, name: &str) -> bool {
        let Some(shape) = Shape::of(name) else {
            return false;
        };
        if shape.wildcard_label.is_some() && (shape.is_email || !self.allow_wildcard_certificates) {
            return false;
        }
        if self.enforce_hostnames && !shape.is_well_formed() {
            return false;
        }
        self.allow_any_name
            || self.allow_localhost && self.permit_localhost(&shape)
            || self
                .allowed_domains
                .iter()
                .any(|domain| self.permit_below(name, &shape, domain))
    }

    fn permit_localhost(&self, shape: &Shape<'_>) -> bool {
        LOCAL_NAMES.iter().any(|local| {
            shape.domain == *local || self.allow_subdomains && is_subdomain(shape.domain, local)
        })
    }

    fn permit_below(&self, name: &str, shape: &Shape<'_>, domain: &str) -> bool {
        let bare = name.eq_ignore_ascii_case(domain)
            || shape.is_email && shape.domain.eq_ignore_ascii_case(domain);
        let below = is_subdomain(shape.domain, domain)
            || shape.wildcard_label.is_some() && shape.domain.eq_ignore_ascii_case(domain);
        self.allow_bare_domains && bare
            || self.allow_subdomains && below
            || self.allow_glob_domains && domain.contains('*') && glob_matches(domain, name)
    }
}

/// A name taken apart.
struct Shape<'a> {
    /// Before the `@`.
    local_part: &'a str,
    is_email: bool,
    /// The first label, if it holds a `*`.
    wildcard_label: Option<&'a str>,
    /// What remains without local part and wildcard label; empty for `*` alone.
    domain: &'a str,
}

impl<'a> Shape<'a> {
    /// `None` for what can never be allowed: several `@`, several `*`, or a `*` after the first
    /// label.
    fn of(name: &'a str) -> Option<Self> {
        let (local_part, is_email, host) = match name.split_once('@') {
            Some((local_part, host)) => (local_part, true, host),
            None => ("", false, name),
        };
        if host.contains('@') {
            return None;
        }
        let (wildcard_label, domain) = match (host.contains('*'), host.split_once('.')) {
            (false, _) => (None, host),
            (true, Some((first, rest))) => (Some(first), rest),
            (true, None) => (Some(host), ""),
        };
        let asterisks = |text: &str| text.matches('*').count();
        let well_placed = wildcard_label.is_none_or(|label| asterisks(label) == 1);
        (well_placed && asterisks(domain) == 0).then_some(Self {
            local_part,
            is_email,
            wildcard_label,
            domain,
        })
    }

    fn is_well_formed(&self) -> bool {
        let host_is_fine = self.domain.is_empty()
            || hostname::to_ascii(self.domain).is_ok_and(|ascii| is_hostname(&ascii));
        host_is_fine
            && self.wildcard_label.is_none_or(is_wildcard_label)
            && !self.local_part.contains(|c: char| c.is_control())
    }
}

fn is_subdomain(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}

const LOCAL_NAMES: [&str; 2] = ["localhost", "localdomain"];

#[cfg(test)]
mod tests;
