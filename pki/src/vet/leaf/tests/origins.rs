//! Rules hold whether a value comes from the request or from the CSR.

use proptest::prelude::*;

use super::*;

/// One rule, broken once by the request and once by the CSR.
struct BrokenTwice {
    rule: &'static str,
    role: Role,
    by_request: LeafRequest,
    by_csr: CsrFacts,
    refusal_of_request: &'static str,
    refusal_of_csr: &'static str,
}

fn broken_by_names(
    names: [&str; 2],
    edit: impl Fn(&mut LeafRequest, &mut CsrFacts),
) -> (LeafRequest, CsrFacts) {
    let mut by_request = request(names[0]);
    let mut by_csr = csr(names[1]);
    edit(&mut by_request, &mut by_csr);
    (by_request, by_csr)
}

fn rules_broken_twice() -> Vec<BrokenTwice> {
    let good = ["a.example.com"; 2];
    let mut rules = Vec::new();
    let mut rule = |rule, role, (by_request, by_csr), refusal_of_request, refusal_of_csr| {
        rules.push(BrokenTwice {
            rule,
            role,
            by_request,
            by_csr,
            refusal_of_request,
            refusal_of_csr,
        });
    };
    let same = |text: &'static str| (text, text);

    let (a, b) = same(
        "the common_name field is required, or must be provided in a CSR with \
         \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false",
    );
    rule(
        "require_cn",
        role(),
        broken_by_names(["", ""], |_, _| ()),
        a,
        b,
    );
    let (a, b) = same("idna: invalid label \"a..example.com\"");
    let idna = Role {
        cn_validations: vec![CnValidation::Disabled],
        ..role()
    };
    rule(
        "idna",
        idna,
        broken_by_names(["a..example.com"; 2], |_, _| ()),
        a,
        b,
    );
    let (a, b) = same("common name evil.com not allowed by this role");
    rule(
        "common name",
        role(),
        broken_by_names(["evil.com"; 2], |_, _| ()),
        a,
        b,
    );
    let (a, b) = same("common name *.example.com not allowed by this role");
    let no_wildcards = Role {
        allow_wildcard_certificates: false,
        ..role()
    };
    rule(
        "wildcard",
        no_wildcards.clone(),
        broken_by_names(["*.example.com"; 2], |_, _| ()),
        a,
        b,
    );
    let (a, b) = same("common name u@a.example.com not allowed by this role");
    let hostnames = Role {
        cn_validations: vec![CnValidation::Hostname],
        ..role()
    };
    rule(
        "cn_validations",
        hostnames,
        broken_by_names(["u@a.example.com"; 2], |_, _| ()),
        a,
        b,
    );
    let (a, b) = same("serial_number 1 not allowed by this role");
    let serial = broken_by_names(good, |request, csr| {
        request.serial_number = "1".to_owned();
        csr.serial_number = Some("1".to_owned());
    });
    rule("serial number", role(), serial, a, b);
    let (a, b) = same("subject alternate name evil.com not allowed by this role");
    let dns = broken_by_names(good, |request, csr| {
        request.alt_names = "b.example.com,evil.com".to_owned();
        csr.sans.dns = texts(&["b.example.com", "evil.com"]);
    });
    rule("DNS name", role(), dns, a, b);
    let (a, b) = same("subject alternate name *.example.com not allowed by this role");
    let wildcard_dns = broken_by_names(good, |request, csr| {
        request.alt_names = "*.example.com".to_owned();
        csr.sans.dns = texts(&["*.example.com"]);
    });
    rule("wildcard DNS name", no_wildcards, wildcard_dns, a, b);
    let (a, b) = same("email address u@evil.com not allowed by this role");
    let email = broken_by_names(good, |request, csr| {
        request.alt_names = "u@evil.com".to_owned();
        csr.sans.emails = texts(&["u@evil.com"]);
    });
    rule("email", role(), email, a, b);

    let other_rule = |oid: &'static str, value: &'static str| {
        broken_by_names(good, move |request, csr| {
            request.other_sans = vec![format!("{oid};utf8:{value}")];
            csr.sans.others = vec![other(oid, value)];
        })
    };
    let others = Role {
        allowed_other_sans: texts(&["1.2.3;UTF8:*@example.com", "1.2.3;utf8:exact"]),
        ..role()
    };
    let (a, b) = same("other SAN OID 1.2.3 not allowed by this role");
    rule(
        "other SAN, none allowed",
        role(),
        other_rule("1.2.3", "x"),
        a,
        b,
    );
    let (a, b) = same("other SAN OID 1.2.4 not allowed by this role");
    rule(
        "other SAN OID",
        others.clone(),
        other_rule("1.2.4", "exact"),
        a,
        b,
    );
    let (a, b) = same("other SAN EXACT not allowed for OID 1.2.3 by this role");
    rule(
        "other SAN value",
        others,
        other_rule("1.2.3", "EXACT"),
        a,
        b,
    );

    let ip_rule = |text: &'static str| {
        broken_by_names(good, move |request, csr| {
            request.ip_sans = texts(&["10.0.0.1", text]);
            csr.sans.ips = vec![ip("10.0.0.1"), ip(text)];
        })
    };
    let no_ips = Role {
        allow_ip_sans: false,
        ..role()
    };
    rule(
        "allow_ip_sans",
        no_ips,
        ip_rule("10.0.0.2"),
        "IP Subject Alternative Names are not allowed in this role, but was provided via the API",
        "IP Subject Alternative Names are not allowed in this role, but was provided via CSR",
    );
    let cidr = Role {
        allowed_ip_sans_cidr: allowed_ip_sans_cidr(&texts(&["10.1.2.3/8", "fd00::/8"])).unwrap(),
        ..role()
    };
    let (a, b) = same("the IP address \"11.0.0.1\" is not allowed in this role");
    rule("IPv4 range", cidr.clone(), ip_rule("11.0.0.1"), a, b);
    rule(
        "IPv4 in IPv6 range",
        cidr.clone(),
        ip_rule("::ffff:11.0.0.1"),
        a,
        b,
    );
    let (a, b) = same("the IP address \"fe80::1\" is not allowed in this role");
    rule("IPv6 range", cidr, ip_rule("fe80::1"), a, b);

    let uri_rule = |uri: &'static str| {
        broken_by_names(good, move |request, csr| {
            request.uri_sans = texts(&[uri]);
            csr.sans.uris = texts(&[uri]);
        })
    };
    let uris = |glob: &str| Role {
        allowed_uri_sans: texts(&[glob]),
        ..role()
    };
    rule(
        "no URIs",
        role(),
        uri_rule("http://x"),
        "URI Subject Alternative Names are not allowed in this role, but were provided via the API",
        "URI Subject Alternative Names are not allowed in this role, but were provided via CSR",
    );
    rule(
        "URI glob",
        uris("spiffe://d/*"),
        uri_rule("spiffe://e/d/"),
        "URI Subject Alternative Names were provided via the API which are not valid for this role",
        "URI Subject Alternative Names were provided via CSR which are not valid for this role",
    );
    let (a, b) = same("the provided URI Subject Alternative Name \"://\" is not a valid URI");
    rule("URI syntax", uris("*"), uri_rule("://"), a, b);

    let (a, b) = same("user_id ALice is not allowed by this role");
    let users = Role {
        allowed_user_ids: texts(&["Bob", "al*"]),
        ..role()
    };
    let user = broken_by_names(good, |request, csr| {
        request.user_ids = texts(&["BOB", "alice", "ALice"]);
        csr.user_ids = texts(&["ALice"]);
    });
    rule("user ids", users, user, a, b);
    rules
}

#[test]
fn every_rule_holds_for_the_request_and_for_the_csr() {
    for case in rules_broken_twice() {
        let BrokenTwice { rule, role, .. } = &case;
        let by_request = issue(role, &case.by_request).unwrap_err();
        assert_eq!(by_request, case.refusal_of_request, "{rule}, issue");
        let by_csr = sign(role, &case.by_csr, &LeafRequest::default()).unwrap_err();
        assert_eq!(by_csr, case.refusal_of_csr, "{rule}, CSR");
        let from_request_only = Role {
            use_csr_common_name: false,
            use_csr_sans: false,
            ..role.clone()
        };
        let signed = sign(&from_request_only, &csr("a.example.com"), &case.by_request);
        assert_eq!(signed.unwrap_err(), case.refusal_of_request, "{rule}, sign");
    }
}

fn a_host() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "*", "x*", "example", "com", "evil"]);
    prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."))
}

proptest! {
    #[test]
    fn a_name_is_judged_alike_whether_asked_or_in_the_csr(
        host in a_host(),
        email in any::<bool>(),
        flags in any::<[bool; 6]>(),
    ) {
        let [bare, sub, glob, wild, localhost, enforce] = flags;
        let role = Role {
            allowed_domains: texts(&["example.com", "*.a", "b"]),
            allow_bare_domains: bare,
            allow_subdomains: sub,
            allow_glob_domains: glob,
            allow_wildcard_certificates: wild,
            allow_localhost: localhost,
            enforce_hostnames: enforce,
            require_cn: false,
            ..Role::default()
        };
        let name = if email { format!("u@{host}") } else { host };
        let mut csr = csr("");
        if email {
            csr.sans.emails = vec![name.clone()];
        } else {
            csr.sans.dns = vec![name.clone()];
        }
        let by_csr = sign(&role, &csr, &LeafRequest::default());
        let by_request = issue(&role, &LeafRequest { alt_names: name.clone(), ..request("") });
        // What is no host name is dropped from a request, and never appears.
        match by_request {
            Ok(plan) if plan.sans.dns.is_empty() && plan.sans.emails.is_empty() => (),
            by_request => prop_assert_eq!(by_request.map(|plan| plan.sans), by_csr.map(|plan| plan.sans)),
        }
    }

    #[test]
    fn no_name_outside_the_allowed_domains_is_ever_planned(
        common_name in a_host(),
        alt_names in prop::collection::vec(a_host(), 0..4),
        in_csr in prop::collection::vec(a_host(), 0..4),
        flags in any::<[bool; 4]>(),
    ) {
        let [bare, sub, wild, enforce] = flags;
        let role = Role {
            allowed_domains: texts(&["example.com"]),
            allow_bare_domains: bare,
            allow_subdomains: sub,
            allow_wildcard_certificates: wild,
            enforce_hostnames: enforce,
            ..Role::default()
        };
        let asked = LeafRequest { alt_names: alt_names.join(","), ..request(&common_name) };
        let mut csr = csr(&common_name);
        csr.sans.dns = in_csr;
        for plan in [issue(&role, &asked), sign(&role, &csr, &asked)].into_iter().flatten() {
            for name in plan.sans.dns.iter().chain([&attributes(&plan).common_name]) {
                let labels: Vec<&str> = name.split('.').collect();
                prop_assert!(labels.ends_with(&["example", "com"]), "{}", name);
                prop_assert!(labels.len() == 2 || sub, "{}", name);
                prop_assert!(labels.len() > 2 || bare, "{}", name);
                prop_assert!(wild || !name.contains('*'), "{}", name);
            }
        }
    }
}
