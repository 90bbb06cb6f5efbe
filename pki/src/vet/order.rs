//! Certificates for names that a client has proved to control (ACME, RFC 8555).

use std::net::IpAddr;

use super::{
    KeyFacts, Refusal, Surroundings, Warnings,
    hostname::{is_hostname, to_ascii},
    key,
    leaf::{self, LeafRequest, name_rules},
    template::Templates,
    validity::{LeafNotAfterBehavior, after},
};
use crate::{
    plan::Plan,
    role::{Role, canonical_ip},
};

/// The names of an order, and what the mount says about all certificates of this kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderRequest {
    /// One of the names below; empty for none.
    pub common_name: String,
    pub dns: Vec<String>,
    pub ips: Vec<IpAddr>,
    /// No certificate lives longer, whatever role and mount say.
    pub longest_secs: u64,
    /// Keep the role's extended key usages; otherwise the certificate is for servers alone.
    pub keeps_ext_key_usage: bool,
}

pub(super) fn vet(
    role: &Role,
    key: &KeyFacts,
    request: &OrderRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Plan, Warnings), Refusal> {
    key::check(key, role.key_type, role.key_bits)?;
    let mut role = role.clone();
    if !request.keeps_ext_key_usage {
        (role.server_flag, role.client_flag) = (true, false);
        (role.code_signing_flag, role.email_protection_flag) = (false, false);
        role.ext_key_usage.clear();
        role.ext_key_usage_oids.clear();
    }
    let mut surroundings = *surroundings;
    // Nobody is there who could ask for less.
    if surroundings.issuer.leaf_not_after == LeafNotAfterBehavior::Err {
        surroundings.issuer.leaf_not_after = LeafNotAfterBehavior::Truncate;
    }
    let leaf = LeafRequest {
        common_name: request.common_name.clone(),
        alt_names: request.dns.join(","),
        ip_sans: request.ips.iter().map(ToString::to_string).collect(),
        // It is among the others already, and may be an address.
        exclude_cn_from_sans: true,
        ..LeafRequest::default()
    };
    let (mut plan, warnings) = leaf::vet(&role, None, &leaf, &surroundings)?;
    let validity = &mut plan.validity;
    let latest = after(surroundings.now, request.longest_secs);
    validity.not_after = validity.not_after.min(latest);
    if validity.not_before >= validity.not_after {
        return Err(Refusal::NotBeforeAfterNotAfter {
            not_before: validity.not_before,
            not_after: validity.not_after,
        });
    }
    Ok((plan, warnings))
}

/// May a certificate of this role have this DNS name?
#[must_use]
pub fn may_have_name(role: &Role, name: &str) -> bool {
    let templates = Templates {
        enabled: role.allowed_domains_template,
        allow_globs: role.allow_globs_in_identity_templates,
        identity: &|_expression| None,
    };
    name_rules(role, templates.render_all(&role.allowed_domains)).permit(name)
}

/// May a certificate of this role have this address?
#[must_use]
pub fn may_have_address(role: &Role, address: IpAddr) -> bool {
    let address = canonical_ip(address);
    let ranges = &role.allowed_ip_sans_cidr;
    role.allow_ip_sans && (ranges.is_empty() || ranges.iter().any(|range| range.contains(&address)))
}

/// Is it a host name in the one form in which an order has it: punycode where it has other letters,
/// lower case, no wildcard, no dot at the end?
#[must_use]
pub fn is_canonical_name(name: &str) -> bool {
    let is_plain = |byte: u8| !byte.is_ascii_uppercase() && byte != b'*';
    name.bytes().all(is_plain)
        && !name.ends_with('.')
        && is_hostname(name)
        && to_ascii(name).is_ok_and(|ascii| ascii == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::BasicConstraints,
        role::KeyType,
        time::UnixTime,
        vet::{
            KeyKind,
            tests::{NOW, attributes, ip, surroundings, texts},
        },
    };

    const KEY: KeyFacts = KeyFacts {
        kind: KeyKind::Ec,
        bits: 256,
    };
    const DAY: i64 = 24 * 3600;

    fn role() -> Role {
        Role {
            allow_any_name: true,
            key_type: KeyType::Ec,
            key_bits: 256,
            require_cn: false,
            code_signing_flag: true,
            ext_key_usage: texts(&["TimeStamping"]),
            ..Role::default()
        }
    }

    fn request() -> OrderRequest {
        OrderRequest {
            dns: texts(&["*.a.example", "b.example"]),
            ips: vec![ip("192.0.2.1")],
            longest_secs: 90 * 24 * 3600,
            ..OrderRequest::default()
        }
    }

    fn plan(role: &Role, request: &OrderRequest) -> Plan {
        vet(role, &KEY, request, &surroundings()).unwrap().0
    }

    #[test]
    fn the_names_are_those_of_the_order() {
        let plan = plan(&role(), &request());
        assert_eq!(plan.sans.dns, ["*.a.example", "b.example"]);
        assert_eq!(plan.sans.ips, [ip("192.0.2.1")]);
        assert_eq!(attributes(&plan).common_name, "");
        assert_eq!(plan.basic_constraints, BasicConstraints::Absent);
    }

    #[test]
    fn a_common_name_that_is_an_address_is_no_dns_name() {
        let request = OrderRequest {
            common_name: "192.0.2.1".into(),
            dns: Vec::new(),
            ..request()
        };
        let plan = plan(&role(), &request);
        assert_eq!(attributes(&plan).common_name, "192.0.2.1");
        assert!(plan.sans.dns.is_empty());
    }

    #[test]
    fn certificates_are_for_servers_unless_the_usages_of_the_role_count() {
        let shown = |keeps_ext_key_usage| {
            let request = OrderRequest {
                keeps_ext_key_usage,
                ..request()
            };
            let usages = plan(&role(), &request).ext_key_usage;
            usages.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(false), ["1.3.6.1.5.5.7.3.1"]);
        assert_eq!(shown(true).len(), 4);
    }

    #[test]
    fn no_certificate_outlives_the_limit_or_its_issuer() {
        let end = |role: &Role, issuer_end: i64| {
            let mut surroundings = surroundings();
            surroundings.issuer.not_after = UnixTime(issuer_end);
            let plan = vet(role, &KEY, &request(), &surroundings).unwrap().0;
            (plan.validity.not_after.0 - NOW.0) / DAY
        };
        let late = NOW.0 + 3000 * DAY;
        let long = Role {
            ttl_secs: 200 * 24 * 3600,
            ..role()
        };
        let fixed = Role {
            not_after: "2027-11-25T00:00:00Z".into(),
            ..role()
        };
        assert_eq!(end(&role(), late), 32, "the mount's default");
        assert_eq!(end(&long, late), 90);
        assert_eq!(end(&fixed, late), 90);
        assert_eq!(end(&long, NOW.0 + 5 * DAY), 5);
    }

    #[test]
    fn what_ends_before_it_begins_is_refused() {
        let role = Role {
            not_before: "2027-05-25T00:00:00Z".into(),
            ttl_secs: 300 * 24 * 3600,
            ..role()
        };
        let refused = vet(&role, &KEY, &request(), &surroundings()).unwrap_err();
        assert!(matches!(refused, Refusal::NotBeforeAfterNotAfter { .. }));
    }

    #[test]
    fn a_name_has_one_form() {
        for name in ["localhost", "a-b.example.com", "1.a", "xn--bcher-kva.de"] {
            assert!(is_canonical_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "A.example",
            "a.example.",
            "a..b",
            "*.a",
            "a_b.c",
            "a b",
            "-a.b",
            "bücher.de",
            "xn--BCHER-kva.de",
            "xn--zz",
            "xn--zzzzzzzz",
        ] {
            assert!(!is_canonical_name(name), "{name}");
        }
    }

    #[test]
    fn names_are_judged_by_the_role_alone() {
        let role = Role {
            allow_any_name: false,
            allowed_domains: texts(&["example.com", "{{identity.entity.name}}.org"]),
            allowed_domains_template: true,
            allow_subdomains: true,
            allow_wildcard_certificates: false,
            allowed_ip_sans_cidr: vec!["192.0.2.0/24".parse().unwrap()],
            ..Role::default()
        };
        for (name, expected) in [
            ("a.example.com", true),
            ("example.com", false),
            ("*.example.com", false),
            ("x.org", false),
            ("localhost", true),
        ] {
            assert_eq!(may_have_name(&role, name), expected, "{name}");
        }
        assert!(may_have_address(&role, ip("192.0.2.7")));
        assert!(may_have_address(&role, ip("::ffff:192.0.2.7")));
        assert!(!may_have_address(&role, ip("192.0.3.7")));
        let no_addresses = Role {
            allow_ip_sans: false,
            ..Role::default()
        };
        assert!(!may_have_address(&no_addresses, ip("192.0.2.7")));
    }
}
