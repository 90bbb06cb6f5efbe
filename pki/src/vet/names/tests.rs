use proptest::prelude::*;

use super::*;
use crate::vet::tests::{csr, texts};

#[path = "matrix.rs"]
mod matrix;

fn rules(domains: &'static [&'static str], flags: [bool; 5]) -> NameRules<'static> {
    let [bare, glob, subdomains, localhost, wildcards] = flags;
    NameRules {
        cn_validations: &[CnValidation::Email, CnValidation::Hostname],
        allowed_serial_numbers: Allowed::Listed(&[]),
        allow_wildcard_certificates: wildcards,
        enforce_hostnames: false,
        allow_any_name: false,
        allow_localhost: localhost,
        allow_bare_domains: bare,
        allow_subdomains: subdomains,
        allow_glob_domains: glob,
        allowed_domains: domains
            .iter()
            .map(|domain| Cow::Borrowed(*domain))
            .collect(),
    }
}

fn named(common_name: &str) -> Names {
    Names {
        common_name: common_name.to_owned(),
        ..Names::default()
    }
}

/// Every assignment of five flags that fits a pattern of `T`, `F` and `*`.
fn assignments(pattern: &str) -> Vec<[bool; 5]> {
    (0..32_u8)
        .map(|bits| [0, 1, 2, 3, 4].map(|bit| bits >> bit & 1 == 1))
        .filter(|flags| {
            flags
                .iter()
                .zip(pattern.chars())
                .all(|(flag, wanted)| wanted == '*' || (wanted == 'T') == *flag)
        })
        .collect()
}

#[test]
fn the_name_matrix_holds_for_every_combination_it_names() {
    let mut checked = 0;
    for (number, (domain, pattern, validation, name, issued)) in matrix::ROWS.iter().enumerate() {
        for flags in assignments(pattern) {
            let mut rules = rules(&[], flags);
            rules.allowed_domains = vec![Cow::Borrowed(domain)];
            rules.cn_validations = match *validation {
                "disabled" => &[CnValidation::Disabled],
                "email" => &[CnValidation::Email],
                "hostname" => &[CnValidation::Hostname],
                _ => rules.cn_validations,
            };
            let refusal = rules.check(&named(name)).err();
            let expected = (!issued).then(|| Refusal::CommonName {
                name: (*name).to_owned(),
            });
            assert_eq!(refusal, expected, "row {number} with {flags:?}");
            checked += 1;
        }
    }
    assert!(checked > 1000);
}

const ALL: [bool; 5] = [true; 5];
const BARE: [bool; 5] = [true, false, false, false, true];
const GLOB: [bool; 5] = [false, true, false, false, true];
const SUBDOMAINS: [bool; 5] = [false, false, true, false, true];

#[test]
fn each_setting_allows_what_it_says() {
    let cases: [(_, &[&str], &[&str]); 3] = [
        (
            BARE,
            &[
                "example.com",
                "EXAMPLE.com",
                "u@example.com",
                "u@EXAMPLE.com",
            ],
            &[
                "a.example.com",
                "*.example.com",
                "u@a.example.com",
                "localhost",
                "example.com.evil",
            ],
        ),
        (
            SUBDOMAINS,
            &[
                "a.example.com",
                "a.b.example.com",
                "*.example.com",
                "*.a.example.com",
                "u@a.example.com",
                "a*.example.com",
                "*a.example.com",
                "a*b.example.com",
            ],
            &[
                "example.com",
                "u@example.com",
                "a.EXAMPLE.com",
                "A.EXAMPLE.COM",
                "xexample.com",
                "*.*.example.com",
                "a.*.example.com",
                "u@*.example.com",
                "a@b@a.example.com",
                "*",
                "foo.localhost",
                "example.com@evil.com",
                "a.example.com.",
                "a.example.com\0.evil",
            ],
        ),
        (
            GLOB,
            &[],
            &["example.com", "a.example.com", "*.example.com"],
        ),
    ];
    for (flags, allowed, refused) in cases {
        let rules = rules(&["example.com"], flags);
        for name in allowed {
            assert!(rules.permit(name), "{name} with {flags:?}");
        }
        for name in refused {
            assert!(!rules.permit(name), "{name} with {flags:?}");
        }
    }
    let globbed = rules(&["ftp*.example.com"], GLOB);
    assert!(globbed.permit("ftp.example.com") && globbed.permit("ftp1.x.example.com"));
    assert!(!globbed.permit("xftp.example.com"));
}

#[test]
fn localhost_needs_its_setting_and_subdomains_of_it_both() {
    let mut rules = rules(&[], [false, false, false, true, true]);
    for name in ["localhost", "localdomain", "x@localhost", "*.localhost"] {
        assert!(rules.permit(name), "{name}");
    }
    assert!(!rules.permit("foo.localhost") && !rules.permit("xlocalhost"));
    rules.allow_subdomains = true;
    assert!(rules.permit("foo.localhost") && rules.permit("a.foo.localdomain"));
    rules.allow_localhost = false;
    assert!(!rules.permit("localhost") && !rules.permit("foo.localhost"));
}

#[test]
fn wildcards_are_refused_before_any_name_is_allowed() {
    let mut rules = rules(&["example.com"], [true, true, true, true, false]);
    rules.allow_any_name = true;
    for name in ["*", "*.example.com", "a*.example.com"] {
        assert!(!rules.permit(name), "{name}");
    }
    rules.allow_wildcard_certificates = true;
    assert!(rules.permit("*") && rules.permit("*.example.com") && rules.permit("anything at all"));
    assert!(!rules.permit("*.*.x") && !rules.permit("a.*.x") && !rules.permit("u@*.com"));
}

#[test]
fn enforced_host_names_are_well_formed() {
    let mut rules = rules(&[], ALL);
    rules.allow_any_name = true;
    rules.enforce_hostnames = true;
    for name in [
        "a.b",
        "bücher.de",
        "*.a",
        "x*.a",
        "a b@c.d",
        "1.2.3.4",
        "@a.b",
    ] {
        assert!(rules.permit(name), "{name}");
    }
    for name in [
        "a_b",
        "a b",
        "-a",
        "a..b",
        "a.b.",
        "*_.a",
        "u@a_b",
        "a\n",
        "u\0@a.b",
        "u\r\n@a.b",
    ] {
        assert!(!rules.permit(name), "{name}");
    }
}

fn sources(common_name: &'static str, alt_names: &'static str) -> NameSources<'static> {
    NameSources {
        csr: None,
        use_csr_common_name: true,
        use_csr_sans: true,
        require_cn: true,
        common_name,
        alt_names,
        serial_number: "",
        exclude_cn_from_sans: false,
    }
}

#[test]
fn names_of_a_request_are_sorted_into_dns_and_email() {
    let names = Names::collect(&sources(
        "BÜCHER.De",
        "b.com, c.com,,b.com,z@x.com, a@x.com ,foo bar,b_c",
    ))
    .unwrap();
    assert_eq!(names.common_name, "BÜCHER.De");
    assert_eq!(names.dns, ["xn--BCHER-2pa.De", "b.com", "c.com"]);
    assert_eq!(names.emails, ["z@x.com", "a@x.com"]);
    let vetted = NameRules::permissive().vet(names).unwrap();
    assert_eq!(vetted.emails, ["a@x.com", "z@x.com"]);
    let email = Names::collect(&sources("u@x.com", "")).unwrap();
    assert_eq!((email.dns.len(), email.emails), (0, texts(&["u@x.com"])));
    let excluded = NameSources {
        exclude_cn_from_sans: true,
        ..sources("a.com", "b.com")
    };
    assert_eq!(Names::collect(&excluded).unwrap().dns, ["b.com"]);
    assert_eq!(
        Names::collect(&sources("", "b.com")).unwrap_err(),
        Refusal::CommonNameMissing
    );
    assert_eq!(
        Names::collect(&sources("a..b", ""))
            .unwrap_err()
            .to_string(),
        "idna: invalid label \"a..b\""
    );
}

#[test]
fn a_csr_takes_the_place_of_the_request_as_far_as_the_role_says() {
    let mut csr = csr("csr.com");
    csr.serial_number = Some("S1".to_owned());
    csr.sans.dns = texts(&["B.com", "b.com", "b.com", "not a host"]);
    csr.sans.emails = texts(&["u@csr.com"]);
    let both = NameSources {
        csr: Some(&csr),
        ..sources("req.com", "alt.com")
    };
    let names = Names::collect(&both).unwrap();
    assert_eq!(names.common_name, "csr.com");
    assert_eq!(names.serial_number, "S1");
    assert_eq!(names.dns, ["B.com", "b.com", "not a host", "csr.com"]);
    assert_eq!(names.emails, ["u@csr.com"]);
    let neither = NameSources {
        use_csr_common_name: false,
        use_csr_sans: false,
        serial_number: "R1",
        ..both
    };
    let names = Names::collect(&neither).unwrap();
    assert_eq!(names.common_name, "req.com");
    assert_eq!(names.serial_number, "R1");
    assert_eq!(names.dns, ["req.com", "alt.com"]);
    assert!(names.emails.is_empty());
    csr.common_name = None;
    let fallback = NameSources {
        csr: Some(&csr),
        ..sources("req.com", "")
    };
    assert_eq!(Names::collect(&fallback).unwrap().common_name, "req.com");
}

/// What the settings promise, said again over lists of labels.
fn promised(rules: &NameRules<'_>, name: &str) -> bool {
    let parts: Vec<&str> = name.split('@').collect();
    let [.., host] = parts.as_slice() else {
        return false;
    };
    let email = parts.len() == 2;
    let mut labels: Vec<&str> = host.split('.').collect();
    let stars = host.chars().filter(|c| *c == '*').count();
    let star_first = labels[0].contains('*');
    if parts.len() > 2 || stars > 1 || stars == 1 && (!star_first || email) {
        return false;
    }
    if stars == 1 {
        if !rules.allow_wildcard_certificates {
            return false;
        }
        labels.remove(0);
    }
    let is_below = |domain: &[&str]| {
        labels.len() > domain.len() && labels[labels.len() - domain.len()..] == *domain
    };
    let equal = |domain: &str| labels.join(".").to_lowercase() == domain.to_lowercase();
    let local = ["localhost", "localdomain"]
        .iter()
        .any(|local| labels == [*local] || rules.allow_subdomains && is_below(&[*local]));
    rules.allow_localhost && local
        || rules.allowed_domains.iter().any(|domain| {
            let domain_labels: Vec<&str> = domain.split('.').collect();
            let bare = name.to_lowercase() == domain.to_lowercase() || email && equal(domain);
            let below = is_below(&domain_labels) || stars == 1 && equal(domain);
            let globbed = domain.contains('*') && glob_matches(domain, name);
            rules.allow_bare_domains && bare
                || rules.allow_subdomains && below
                || rules.allow_glob_domains && globbed
        })
}

fn a_label() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "A",
        "foo",
        "x",
        "*",
        "x*",
        "*x",
        "x*x",
        "localhost",
        "localdomain",
        "",
    ])
}

fn a_host() -> impl Strategy<Value = String> {
    prop::collection::vec(a_label(), 1..5).prop_map(|labels| labels.join("."))
}

fn a_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => a_host(),
        2 => a_host().prop_map(|host| format!("u@{host}")),
        1 => a_host().prop_map(|host| format!("u@v@{host}")),
        1 => "[ab.*@A]{1,9}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn exactly_what_the_settings_promise_is_allowed(
        domains in prop::collection::vec(a_host(), 0..3),
        name in a_name(),
        flags in any::<[bool; 5]>(),
    ) {
        let mut rules = rules(&[], flags);
        rules.allowed_domains = domains
            .iter()
            .filter(|domain| !domain.is_empty())
            .map(|domain| Cow::Borrowed(domain.as_str()))
            .collect();
        prop_assert_eq!(rules.permit(&name), promised(&rules, &name));
    }

    #[test]
    fn enforcing_host_names_never_allows_more(
        domains in prop::collection::vec(a_host(), 0..3),
        name in a_name(),
        flags in any::<[bool; 5]>(),
    ) {
        let mut rules = rules(&[], flags);
        rules.allowed_domains = domains.iter().map(|domain| Cow::Borrowed(domain.as_str())).collect();
        let without = rules.permit(&name);
        rules.enforce_hostnames = true;
        prop_assert!(without || !rules.permit(&name));
    }
}
