//! Subject alternative names that are not host names or email addresses, and user ids. A value is
//! judged by the same code whether it came from the request or from a CSR.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;

use super::{
    CsrFacts, Origin, Refusal, oid_text,
    patterns::{Allowed, glob_matches},
    uri,
};
use crate::{
    plan::{OtherName, SubjectAltNames},
    role::{canonical_ip, other_san_parts},
};

/// Where these values may come from.
#[derive(Clone, Copy)]
pub(super) struct SanSources<'a> {
    /// A CSR whose alternative names count, if there is one; it then replaces addresses and URIs
    /// of the request and adds to its other names.
    pub(super) csr: Option<&'a CsrFacts>,
    pub(super) ip_sans: &'a [String],
    pub(super) uri_sans: &'a [String],
    pub(super) other_sans: &'a [String],
}

impl SanSources<'_> {
    /// Bounds the work that one request can cause.
    pub(super) fn bound(&self, alt_names: &str) -> Result<(), Refusal> {
        let in_csr = self.csr.map_or(0, |csr| {
            let sans = &csr.sans;
            sans.dns.len()
                + sans.emails.len()
                + sans.ips.len()
                + sans.uris.len()
                + sans.others.len()
        });
        let in_request = alt_names.split(',').count()
            + self.ip_sans.len()
            + self.uri_sans.len()
            + self.other_sans.len();
        let count = in_csr + in_request;
        if count > MOST_NAMES {
            let most = MOST_NAMES;
            return Err(Refusal::TooManyNames { count, most });
        }
        Ok(())
    }
}

/// What a role says about these values.
pub(super) struct SanRules<'a> {
    pub(super) allowed_other_sans: Allowed<'a>,
    pub(super) allow_ip_sans: bool,
    /// Empty for every address.
    pub(super) allowed_ip_sans_cidr: &'a [IpNet],
    /// Rendered; `None` for every URI.
    pub(super) allowed_uri_sans: Option<Vec<Cow<'a, str>>>,
}

impl SanRules<'_> {
    /// The rules of the doors that need no role.
    pub(super) fn permissive() -> Self {
        Self {
            allowed_other_sans: Allowed::Anything,
            allow_ip_sans: true,
            allowed_ip_sans_cidr: &[],
            allowed_uri_sans: None,
        }
    }

    pub(super) fn vet(&self, sources: &SanSources<'_>) -> Result<OtherSans, Refusal> {
        Ok(OtherSans {
            others: self.vet_others(sources)?,
            ips: self.vet_ips(sources)?,
            uris: self.vet_uris(sources)?,
        })
    }

    fn vet_others(&self, sources: &SanSources<'_>) -> Result<Vec<(String, String)>, Refusal> {
        let from_csr = sources.csr.map_or(&[][..], |csr| &csr.sans.others);
        let mut requested = Vec::new();
        for text in sources.other_sans {
            let (oid, value) = other_san_parts(text).map_err(Refusal::OtherSanSyntax)?;
            requested.push((oid.to_owned(), value.to_owned()));
        }
        for other in from_csr {
            requested.push((other.oid.to_string(), other.value.clone()));
        }
        for (oid, value) in &requested {
            self.check_other(oid, value)?;
        }
        Ok(requested)
    }

    fn check_other(&self, oid: &str, value: &str) -> Result<(), Refusal> {
        let Allowed::Listed(entries) = self.allowed_other_sans else {
            return Ok(());
        };
        if let [only] = entries
            && only == "*"
        {
            return Ok(());
        }
        let mut globs = entries
            .iter()
            .filter_map(|entry| other_san_parts(entry).ok())
            .filter(|(allowed_oid, _)| *allowed_oid == oid)
            .map(|(_, glob)| glob)
            .peekable();
        let oid = oid.to_owned();
        if globs.peek().is_none() {
            return Err(Refusal::OtherSanOidForbidden { oid });
        }
        if !globs.any(|glob| glob_matches(glob, value)) {
            let value = value.to_owned();
            return Err(Refusal::OtherSanValueForbidden { oid, value });
        }
        Ok(())
    }

    fn vet_ips(&self, sources: &SanSources<'_>) -> Result<Vec<IpAddr>, Refusal> {
        let (ips, from) = match sources.csr {
            Some(csr) => (csr.sans.ips.clone(), Origin::Csr),
            None => (parse_ips(sources.ip_sans)?, Origin::Request),
        };
        if !ips.is_empty() && !self.allow_ip_sans {
            return Err(Refusal::IpForbidden { from });
        }
        let ips: Vec<IpAddr> = ips.into_iter().map(canonical_ip).collect();
        let ranges = self.allowed_ip_sans_cidr;
        let outside = |ip: &&IpAddr| !ranges.iter().any(|range| range.contains(*ip));
        match ips.iter().find(outside) {
            Some(ip) if !ranges.is_empty() => Err(Refusal::IpOutsideRanges {
                address: ip.to_string(),
            }),
            _ => Ok(ips),
        }
    }

    fn vet_uris(&self, sources: &SanSources<'_>) -> Result<Vec<String>, Refusal> {
        let (uris, from) = match sources.csr {
            Some(csr) => (csr.sans.uris.as_slice(), Origin::Csr),
            None => (sources.uri_sans, Origin::Request),
        };
        for uri in uris {
            if let Some(allowed) = &self.allowed_uri_sans {
                if allowed.is_empty() {
                    return Err(Refusal::UriForbidden { from });
                }
                if !allowed.iter().any(|glob| glob_matches(glob, uri)) {
                    return Err(Refusal::UriNotAllowed { from });
                }
            }
            if !uri::is_uri_reference(uri) {
                let uri = uri.clone();
                return Err(Refusal::UriSyntax { uri });
            }
        }
        Ok(uris.to_vec())
    }
}

/// Vetted values.
#[derive(Debug)]
pub(super) struct OtherSans {
    /// Object identifier and value.
    others: Vec<(String, String)>,
    ips: Vec<IpAddr>,
    uris: Vec<String>,
}

impl OtherSans {
    /// Joins all that was vetted. What a certificate cannot hold is told last, after every rule of
    /// the role.
    pub(super) fn with_names(
        self,
        dns: Vec<String>,
        emails: Vec<String>,
    ) -> Result<SubjectAltNames, Refusal> {
        if let Some(text) = dns.iter().chain(&emails).find(|name| !name.is_ascii()) {
            let text = text.clone();
            return Err(Refusal::NotIa5 { text });
        }
        let read = |(oid, value): (String, String)| {
            oid_text::parse(&oid)
                .map(|oid| OtherName { oid, value })
                .map_err(Refusal::OtherSanOid)
        };
        Ok(SubjectAltNames {
            dns,
            emails,
            ips: self.ips,
            uris: self.uris,
            others: self
                .others
                .into_iter()
                .map(read)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn parse_ips(texts: &[String]) -> Result<Vec<IpAddr>, Refusal> {
    let read = |text: &String| {
        text.parse()
            .map_err(|_| Refusal::IpSyntax { text: text.clone() })
    };
    texts.iter().map(read).collect()
}

/// User ids of the request or, if it has none, of the CSR; empty ones are left out.
pub(super) fn vet_user_ids(
    requested: &[String],
    csr: Option<&CsrFacts>,
    allowed: Allowed<'_>,
) -> Result<Vec<String>, Refusal> {
    let from_csr = csr.map_or(&[][..], |csr| &csr.user_ids);
    let user_ids = if requested.is_empty() {
        from_csr
    } else {
        requested
    };
    let user_ids = user_ids.iter().filter(|user_id| !user_id.is_empty());
    for user_id in user_ids.clone() {
        let permitted = allowed.permits(|entry| {
            entry.eq_ignore_ascii_case(user_id)
                || entry.contains('*') && glob_matches(entry, user_id)
        });
        if !permitted {
            let user_id = user_id.clone();
            return Err(Refusal::UserId { user_id });
        }
    }
    Ok(user_ids.cloned().collect())
}

/// Of all kinds together, in request and CSR.
const MOST_NAMES: usize = 1000;
