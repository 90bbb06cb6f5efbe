mod keys;
mod origins;

use super::*;
use crate::{
    plan::{KeyUsage, SubjectAltNames},
    role::{CnValidation, KeyType, allowed_ip_sans_cidr, policy_identifiers_from_text},
    vet::tests::{NOW, attributes, csr, extension, ip, other, surroundings, texts},
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
    vet(role, None, request, &surroundings())
        .map(|(plan, _)| plan)
        .map_err(|refusal| refusal.to_string())
}

fn sign(role: &Role, csr: &CsrFacts, request: &LeafRequest) -> Result<Plan, String> {
    vet(role, Some(csr), request, &surroundings())
        .map(|(plan, _)| plan)
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn a_plain_request_gets_what_the_defaults_say() {
    let (plan, warnings) = vet(&role(), None, &request("a.example.com"), &surroundings()).unwrap();
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
fn what_a_certificate_cannot_hold_is_told_after_every_rule() {
    let mut role = Role {
        allow_any_name: true,
        allowed_other_sans: texts(&["*"]),
        ..role()
    };
    let asked = LeafRequest {
        alt_names: "u@ü.com".to_owned(),
        other_sans: texts(&["1.2.x;utf8:a"]),
        user_ids: texts(&["u"]),
        ..request("a.com")
    };
    let refusal = |role: &Role| vet(role, None, &asked, &surroundings()).unwrap_err();
    assert!(matches!(refusal(&role), Refusal::UserId { .. }));
    role.allowed_user_ids = texts(&["*"]);
    assert!(refusal(&role).is_internal_in_vault());
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
        vet(role, Some(&csr), &asked, &surroundings())
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
        vet(role, None, &asked, &surroundings)
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
