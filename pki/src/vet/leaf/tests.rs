use proptest::prelude::*;

use super::*;
use crate::{
    plan::KeyUsage,
    role::{CnValidation, KeyType, allowed_ip_sans_cidr, policy_identifiers_from_text},
    vet::{
        IssueKey, KeyKind, issue_key,
        tests::{NOW, attributes, csr, extension, ip, other, surroundings, texts},
        vet_issue, vet_sign,
    },
};

fn role() -> Role {
    Role {
        allowed_domains: texts(&["example.com"]),
        allow_subdomains: true,
        ..Role::default()
    }
}

fn request(common_name: &str) -> LeafRequest {
    LeafRequest {
        common_name: common_name.to_owned(),
        ..LeafRequest::default()
    }
}

fn issue(role: &Role, request: &LeafRequest) -> Result<Plan, String> {
    vet_issue(role, request, &surroundings())
        .map(|(plan, _)| plan)
        .map_err(|refusal| refusal.to_string())
}

fn sign(role: &Role, csr: &CsrFacts, request: &LeafRequest) -> Result<Plan, String> {
    vet_sign(role, csr, request, &surroundings())
        .map(|(plan, _)| plan)
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn a_plain_request_gets_what_the_defaults_say() {
    let (plan, warnings) = vet_issue(&role(), &request("a.example.com"), &surroundings()).unwrap();
    assert_eq!(warnings, []);
    let expected = Plan {
        subject: Subject::Attributes(SubjectAttributes {
            common_name: "a.example.com".to_owned(),
            ..SubjectAttributes::default()
        }),
        sans: SubjectAltNames {
            dns: texts(&["a.example.com"]),
            ..SubjectAltNames::default()
        },
        validity: crate::time::Validity {
            not_before: NOW.plus_secs(-30),
            not_after: NOW.plus_secs(768 * 3600),
        },
        key_usage: KeyUsage(0b1_0101),
        ext_key_usage: usage::ext_key_usage(&[], &texts(&["serverauth", "clientauth"]), &[]),
        basic_constraints: BasicConstraints::Absent,
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains: Vec::new(),
        copied_extensions: Vec::new(),
        signature: SignaturePreference {
            hash_bits: 0,
            pss: false,
            ecdsa_by_curve: true,
        },
    };
    assert_eq!(plan, expected);
}

#[test]
fn every_setting_that_shapes_the_certificate_reaches_it() {
    let role = Role {
        ou: texts(&["OU", "OU", ""]),
        organization: texts(&["O"]),
        country: texts(&["C"]),
        locality: texts(&["L"]),
        province: texts(&["ST"]),
        street_address: texts(&["STREET"]),
        postal_code: texts(&["PC"]),
        server_flag: false,
        client_flag: false,
        code_signing_flag: true,
        email_protection_flag: true,
        key_usage: texts(&["CertSign"]),
        ext_key_usage: texts(&["Any"]),
        ext_key_usage_oids: vec!["1.2.3".parse().unwrap()],
        policy_identifiers: policy_identifiers_from_text("1.2.4").unwrap(),
        basic_constraints_valid_for_non_ca: true,
        signature_bits: 384,
        use_pss: true,
        ..role()
    };
    let plan = issue(&role, &request("a.example.com")).unwrap();
    let subject = attributes(&plan);
    assert_eq!(subject.organizational_unit, ["OU"]);
    assert_eq!(subject.organization, ["O"]);
    assert_eq!(subject.country, ["C"]);
    assert_eq!(subject.locality, ["L"]);
    assert_eq!(subject.province, ["ST"]);
    assert_eq!(subject.street_address, ["STREET"]);
    assert_eq!(subject.postal_code, ["PC"]);
    assert_eq!(plan.key_usage, KeyUsage(1 << 5));
    let usages: Vec<String> = plan.ext_key_usage.iter().map(ToString::to_string).collect();
    assert_eq!(
        usages,
        [
            "2.5.29.37.0",
            "1.3.6.1.5.5.7.3.3",
            "1.3.6.1.5.5.7.3.4",
            "1.2.3"
        ]
    );
    assert_eq!(plan.policies[0].oid.to_string(), "1.2.4");
    assert_eq!(plan.basic_constraints, BasicConstraints::EndEntity);
    assert_eq!((plan.signature.hash_bits, plan.signature.pss), (384, true));
}

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

#[test]
fn names_of_a_csr_do_not_matter_when_the_role_says_so() {
    let role = Role {
        use_csr_common_name: false,
        use_csr_sans: false,
        ..role()
    };
    let mut csr = csr("evil.com");
    csr.sans.dns = texts(&["evil.com"]);
    csr.sans.emails = texts(&["u@evil.com"]);
    csr.sans.ips = vec![ip("6.6.6.6")];
    csr.sans.uris = texts(&["spiffe://evil"]);
    csr.sans.others = vec![other("1.2.3", "evil")];
    csr.extensions = vec![extension("2.5.29.17", &[0x30, 0])];
    let plan = sign(&role, &csr, &request("a.example.com")).unwrap();
    assert_eq!(plan.sans.dns, ["a.example.com"]);
    assert_eq!(plan.sans.emails.len() + plan.sans.ips.len(), 0);
    assert_eq!(plan.sans.uris.len() + plan.sans.others.len(), 0);
    assert_eq!(plan.copied_extensions, []);
}

#[test]
fn allowed_values_of_either_origin_reach_the_certificate() {
    let role = Role {
        allowed_other_sans: texts(&["*"]),
        allowed_uri_sans: texts(&["spiffe://d/*"]),
        allowed_user_ids: texts(&["*"]),
        allowed_serial_numbers: texts(&["f00*", "exact"]),
        allowed_ip_sans_cidr: allowed_ip_sans_cidr(&texts(&["10.0.0.0/8"])).unwrap(),
        ..role()
    };
    let asked = LeafRequest {
        ip_sans: texts(&["10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"]),
        uri_sans: texts(&["spiffe://d/a"]),
        other_sans: texts(&["1.2.3;utf-8:a;b:c"]),
        user_ids: texts(&["u", "", "u"]),
        serial_number: "f00bar".to_owned(),
        ..request("a.example.com")
    };
    let plan = issue(&role, &asked).unwrap();
    let ips = [ip("10.0.0.1"), ip("10.0.0.1"), ip("10.0.0.2")];
    assert_eq!(plan.sans.ips, ips);
    assert_eq!(plan.sans.uris, ["spiffe://d/a"]);
    assert_eq!(plan.sans.others, [other("1.2.3", "a;b:c")]);
    assert_eq!(attributes(&plan).user_ids, ["u", "u"]);
    assert_eq!(attributes(&plan).serial_number, "f00bar");

    let mut csr = csr("a.example.com");
    csr.sans.ips = vec![ip("10.0.0.3")];
    csr.sans.uris = texts(&["spiffe://d/b"]);
    csr.sans.others = vec![other("1.2.4", "y")];
    csr.user_ids = texts(&["v"]);
    csr.serial_number = Some("exact".to_owned());
    let plan = sign(&role, &csr, &LeafRequest::default()).unwrap();
    assert_eq!(plan.sans.ips, [ip("10.0.0.3")]);
    assert_eq!(plan.sans.uris, ["spiffe://d/b"]);
    assert_eq!(plan.sans.others, [other("1.2.4", "y")]);
    assert_eq!(attributes(&plan).user_ids, ["v"]);
    assert_eq!(attributes(&plan).serial_number, "exact");
    // Other names of both add up; for the rest the CSR stands in for the request.
    let plan = sign(&role, &csr, &asked).unwrap();
    assert_eq!(
        plan.sans.others,
        [other("1.2.3", "a;b:c"), other("1.2.4", "y")]
    );
    assert_eq!(plan.sans.ips, [ip("10.0.0.3")]);
    assert_eq!(attributes(&plan).user_ids, ["u", "u"]);
}

#[test]
fn malformed_values_are_refused_with_the_known_sentences() {
    let role = Role {
        allow_any_name: true,
        enforce_hostnames: false,
        allowed_other_sans: texts(&["*"]),
        ..role()
    };
    let other_san = |text: &str| LeafRequest {
        other_sans: texts(&[text]),
        ..request("a.com")
    };
    let cases = [
        (
            LeafRequest {
                ip_sans: texts(&["1.2.3"]),
                ..request("a.com")
            },
            "the value \"1.2.3\" is not a valid IP address",
        ),
        (
            LeafRequest {
                ip_sans: texts(&["1.2.3.4", ""]),
                ..request("a.com")
            },
            "the value \"\" is not a valid IP address",
        ),
        (
            LeafRequest {
                ip_sans: texts(&["01.2.3.4"]),
                ..request("a.com")
            },
            "the value \"01.2.3.4\" is not a valid IP address",
        ),
        (
            request("ü@x.com"),
            "unable to create certificate: x509: \"ü@x.com\" cannot be encoded as an IA5String",
        ),
        (
            other_san("1.2.3"),
            "could not parse requested other SAN: expected a semicolon in other SAN \"1.2.3\"",
        ),
        (
            other_san("1.2.3;x"),
            "could not parse requested other SAN: expected a colon in other SAN \"1.2.3;x\"",
        ),
        (
            other_san("1.2.3;ia5:x"),
            "could not parse requested other SAN: only utf8 other SANs are supported; found \
             non-supported type in other SAN \"1.2.3;ia5:x\"",
        ),
        (
            other_san("1.2.x;utf8:a"),
            "error marshaling other SANs: strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            other_san("5.2.3;utf8:a"),
            "error marshaling other SANs: cryptobyte: invalid OID: 5.2.3",
        ),
        (
            other_san("2.25.123456789012345678901234567890;utf8:a"),
            "error marshaling other SANs: strconv.Atoi: parsing \
             \"123456789012345678901234567890\": value out of range",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(issue(&role, &request).unwrap_err(), expected);
    }
}

#[test]
fn the_first_broken_rule_is_told_in_a_fixed_order() {
    let mut role = Role {
        key_type: KeyType::Ec,
        key_bits: 256,
        not_before_bound: crate::role::NotBeforeBound::Forbid,
        ..role()
    };
    let mut csr = csr("evil.com");
    csr.serial_number = Some("1".to_owned());
    csr.sans.dns = texts(&["evil.com"]);
    csr.sans.emails = texts(&["u@evil.com"]);
    csr.sans.ips = vec![ip("1.1.1.1")];
    csr.sans.uris = texts(&["x:y"]);
    csr.sans.others = vec![other("1.2.3", "x")];
    csr.user_ids = texts(&["u"]);
    role.allow_ip_sans = false;
    let asked = LeafRequest {
        not_before: "2020-01-01T00:00:00Z".to_owned(),
        not_after: Some("foo".to_owned()),
        ..LeafRequest::default()
    };
    let mut told = Vec::new();
    for step in 0..10 {
        let refusal = sign(&role, &csr, &asked).unwrap_err();
        told.push(
            refusal
                .split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" "),
        );
        match step {
            0 => role.key_type = KeyType::Rsa,
            1 => role.cn_validations = vec![CnValidation::Disabled],
            2 => role.allowed_serial_numbers = texts(&["*"]),
            3 => csr.sans.dns = texts(&["a.example.com"]),
            4 => csr.sans.emails = Vec::new(),
            5 => role.allowed_other_sans = texts(&["*"]),
            6 => role.allow_ip_sans = true,
            7 => role.allowed_uri_sans = texts(&["*"]),
            8 => role.not_before_bound = crate::role::NotBeforeBound::Permit,
            _ => (),
        }
        if step == 2 {
            csr.common_name = Some("c.example.com".to_owned());
        }
    }
    assert_eq!(
        told,
        [
            "role requires",
            "common name",
            "serial_number 1",
            "subject alternate",
            "email address",
            "other SAN",
            "IP Subject",
            "URI Subject",
            "not_before_bound is",
            "parsing time",
        ]
    );
    let last = sign(&role, &csr, &LeafRequest::default()).unwrap_err();
    assert_eq!(last, "user_id u is not allowed by this role");
}

#[test]
fn warnings_of_sign_come_in_a_fixed_order() {
    let role = Role {
        max_ttl_secs: 3600,
        ..role()
    };
    let mut csr = csr("a.example.com");
    csr.has_basic_constraints = true;
    let asked = LeafRequest {
        alt_names: "z.com".to_owned(),
        ttl_secs: 9 * 3600,
        ..request("y")
    };
    let warnings = |role: &Role| {
        vet_sign(role, &csr, &asked, &surroundings())
            .unwrap()
            .1
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&role),
        [
            "the common_name field was provided but the role is set with \"use_csr_common_name\" \
             set to true",
            "the alt_names field was provided but the role is set with \"use_csr_sans\" set to true",
            "TTL \"9h0m0s\" is longer than permitted maxTTL \"1h0m0s\", so maxTTL is being used",
            "specified CSR contained a Basic Constraints extension that was ignored during issuance",
        ]
    );
    let written = Role {
        basic_constraints_valid_for_non_ca: true,
        ..role
    };
    assert_eq!(warnings(&written).len(), 3);
}

#[test]
fn keys_of_csrs_are_judged_by_family_and_size() {
    let judge = |key_type, key_bits, kind: KeyKind, bits| {
        let role = Role {
            key_type,
            key_bits,
            ..role()
        };
        let mut csr = csr("a.example.com");
        csr.key.kind = kind;
        csr.key.bits = bits;
        sign(&role, &csr, &LeafRequest::default())
            .err()
            .unwrap_or_default()
    };
    let size = |least: u32, bits: u32| {
        format!("role requires a minimum of a {least}-bit key, but CSR's key is {bits} bits")
    };
    use KeyKind::{Ec, Ed25519, Other, Rsa, Unrecognized};
    for bits in [2048, 3072, 4096, 16_384] {
        assert_eq!(judge(KeyType::Rsa, 2048, Rsa, bits), "");
        assert_eq!(judge(KeyType::Any, 77, Rsa, bits), "");
    }
    assert_eq!(judge(KeyType::Rsa, 2048, Rsa, 1024), size(2048, 1024));
    assert_eq!(judge(KeyType::Rsa, 3072, Rsa, 2048), size(3072, 2048));
    assert_eq!(judge(KeyType::Rsa, 0, Rsa, 1024), size(2048, 1024));
    for bits in [224, 256, 384, 521] {
        let expected = if bits < 256 {
            size(256, bits)
        } else {
            String::new()
        };
        assert_eq!(judge(KeyType::Ec, 256, Ec, bits), expected);
        assert_eq!(judge(KeyType::Any, 0, Ec, bits), "");
    }
    assert_eq!(judge(KeyType::Ec, 384, Ec, 256), size(384, 256));
    assert_eq!(judge(KeyType::Ed25519, 5, Ed25519, 0), "");
    assert_eq!(judge(KeyType::Any, 0, Ed25519, 0), "");
    for (key_type, kind, text) in [
        (KeyType::Rsa, Ec, "role requires keys of type rsa"),
        (KeyType::Rsa, Ed25519, "role requires keys of type rsa"),
        (KeyType::Ec, Rsa, "role requires keys of type ec"),
        (KeyType::Ed25519, Rsa, "role requires keys of type ed25519"),
        (KeyType::MlDsa, Rsa, "role requires keys of type mldsa"),
        (
            KeyType::Any,
            Other("DSA".to_owned()),
            "Unknown key type in CSR: DSA",
        ),
    ] {
        assert_eq!(judge(key_type, 0, kind, 4096), text);
    }
    assert_eq!(
        judge(KeyType::Any, 0, Rsa, 1024),
        "RSA keys < 2048 bits are unsafe and not supported"
    );
    let unrecognized = judge(KeyType::Rsa, 2048, Unrecognized, 0);
    assert!(unrecognized.starts_with("Refusing to sign CSR with empty PublicKey."));
}

#[test]
fn the_key_to_make_comes_from_the_role_or_where_it_is_open_from_the_request() {
    let concrete = Role::default();
    let key = |bits, warning| IssueKey {
        key_type: KeyType::Rsa,
        bits,
        warning,
    };
    let ignored = Some(Warning::KeyParametersIgnored);
    assert_eq!(issue_key(&concrete, None, None), Ok(key(2048, None)));
    assert_eq!(
        issue_key(&concrete, Some("ec"), None),
        Ok(key(2048, ignored.clone()))
    );
    assert_eq!(issue_key(&concrete, None, Some(0)), Ok(key(2048, ignored)));
    let open = Role {
        key_type: KeyType::Any,
        ..Role::default()
    };
    assert_eq!(
        issue_key(&open, Some("rsa"), Some(4096)),
        Ok(key(4096, None))
    );
    let missing = "role key type \"any\" not allowed for issuing certificates without providing \
                   key_type and/or key_bits request parameters";
    for (key_type, bits, text) in [
        (None, None, missing),
        (None, Some(2048), missing),
        (Some("any"), None, "unknown key type: any"),
        (Some(""), None, "failed to validate role: unknown key type "),
        (
            Some("foo"),
            None,
            "failed to validate role: unknown key type foo",
        ),
        (
            Some("rsa"),
            Some(1024),
            "failed to validate role: RSA keys < 2048 bits are unsafe and not supported: got 1024",
        ),
        (
            Some("ec"),
            Some(1),
            "failed to validate role: unsupported bit length for EC key: 1",
        ),
    ] {
        assert_eq!(
            issue_key(&open, key_type, bits).unwrap_err().to_string(),
            text
        );
    }
}

#[test]
fn identity_templates_stand_for_values_of_the_caller() {
    let role = Role {
        allowed_domains: texts(&["{{identity.entity.name}}.example.com"]),
        allowed_domains_template: true,
        allow_subdomains: false,
        allow_bare_domains: true,
        allow_glob_domains: true,
        allowed_uri_sans: texts(&["spiffe://d/{{identity.entity.name}}"]),
        allowed_uri_sans_template: true,
        ..Role::default()
    };
    let asked = LeafRequest {
        uri_sans: texts(&["spiffe://d/bob"]),
        ..request("bob.example.com")
    };
    let issue_as = |role: &Role, name: Option<&str>| {
        let identity = |_: &str| name.map(str::to_owned);
        let surroundings = Surroundings {
            identity: &identity,
            ..surroundings()
        };
        vet_issue(role, &asked, &surroundings)
            .map(|_| ())
            .map_err(|refusal| refusal.to_string())
    };
    assert_eq!(issue_as(&role, Some("bob")), Ok(()));
    let refused = "common name bob.example.com not allowed by this role".to_owned();
    for name in [None, Some("eve"), Some("*"), Some("b*"), Some("")] {
        assert_eq!(issue_as(&role, name), Err(refused.clone()), "{name:?}");
    }
    let literal = Role {
        allowed_domains_template: false,
        ..role.clone()
    };
    assert_eq!(issue_as(&literal, Some("bob")), Err(refused));
    let globs = Role {
        allow_globs_in_identity_templates: true,
        ..role
    };
    assert_eq!(issue_as(&globs, Some("b*")), Ok(()));
}

#[test]
fn the_number_of_names_is_bounded() {
    let role = Role {
        allow_any_name: true,
        ..role()
    };
    let asked = LeafRequest {
        alt_names: "a.com,".repeat(600),
        ip_sans: vec!["1.1.1.1".to_owned(); 500],
        ..request("a.com")
    };
    assert_eq!(
        issue(&role, &asked).unwrap_err(),
        "too many subject alternative names: 1101 given, at most 1000 allowed"
    );
    let mut csr = csr("a.com");
    csr.sans.uris = vec!["x:y".to_owned(); 1001];
    assert!(
        sign(&role, &csr, &request(""))
            .unwrap_err()
            .starts_with("too many")
    );
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
