use serde_json::json;

use super::*;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn a_role_with_defaults_reads_as_clients_expect() {
    let expected: serde_json::Value = serde_json::from_str(
        r#"{
        "allow_any_name": false,
        "allow_bare_domains": false,
        "allow_glob_domains": false,
        "allow_globs_in_identity_templates": false,
        "allow_ip_sans": true,
        "allow_localhost": true,
        "allow_subdomains": false,
        "allow_token_displayname": false,
        "allow_wildcard_certificates": true,
        "allowed_domains": [],
        "allowed_domains_template": false,
        "allowed_ip_sans_cidr": [],
        "allowed_other_sans": [],
        "allowed_serial_numbers": [],
        "allowed_uri_sans": [],
        "allowed_uri_sans_template": false,
        "allowed_user_ids": [],
        "basic_constraints_valid_for_non_ca": false,
        "client_flag": true,
        "cn_validations": ["email", "hostname"],
        "code_signing_flag": false,
        "country": [],
        "email_protection_flag": false,
        "enforce_hostnames": true,
        "ext_key_usage": [],
        "ext_key_usage_oids": [],
        "generate_lease": false,
        "issuer_ref": "default",
        "key_bits": 2048,
        "key_type": "rsa",
        "key_usage": ["DigitalSignature", "KeyAgreement", "KeyEncipherment"],
        "locality": [],
        "max_ttl": 0,
        "no_store": false,
        "not_after": "",
        "not_after_bound": "permit",
        "not_before": "",
        "not_before_bound": "permit",
        "not_before_duration": 30,
        "organization": [],
        "ou": [],
        "policy_identifiers": [],
        "postal_code": [],
        "province": [],
        "require_cn": true,
        "server_flag": true,
        "signature_bits": 0,
        "street_address": [],
        "ttl": 0,
        "use_csr_common_name": true,
        "use_csr_sans": true,
        "use_pss": false
    }"#,
    )
    .unwrap();
    let shown = Role::default().to_json();
    assert_eq!(shown.len(), 52);
    assert_eq!(serde_json::Value::Object(shown), expected);
}

fn unusual_role() -> Role {
    Role {
        key_type: KeyType::MlDsa,
        key_bits: 44,
        allowed_ip_sans_cidr: allowed_ip_sans_cidr(&texts(&["10.1.2.3/8"])).unwrap(),
        ext_key_usage_oids: ext_key_usage_oids(&texts(&["1.2.3"])).unwrap(),
        policy_identifiers: policy_identifiers_from_text("1.2.3").unwrap(),
        cn_validations: vec![CnValidation::Hostname],
        not_before_bound: NotBeforeBound::Duration,
        not_after_bound: NotAfterBound::TtlLimited,
        ..Role::default()
    }
}

#[test]
fn a_stored_role_reads_back() {
    for role in [Role::default(), unusual_role()] {
        let stored = serde_json::to_string(&role).unwrap();
        assert_eq!(serde_json::from_str::<Role>(&stored).unwrap(), role);
    }
}

#[test]
fn a_stored_role_without_newer_fields_has_their_defaults() {
    let stored = r#"{"ttl_secs": 60, "not_after_bound": "2030-01-01T00:00:00Z"}"#;
    let expected = Role {
        ttl_secs: 60,
        not_after_bound: NotAfterBound::Until("2030-01-01T00:00:00Z".to_owned()),
        ..Role::default()
    };
    assert_eq!(serde_json::from_str::<Role>(stored).unwrap(), expected);
}

#[test]
fn unusual_settings_are_shown_as_written() {
    let shown = unusual_role().to_json();
    assert_eq!(shown["key_type"], "mldsa");
    assert_eq!(shown["allowed_ip_sans_cidr"], json!(["10.0.0.0/8"]));
    assert_eq!(shown["ext_key_usage_oids"], json!(["1.2.3"]));
    assert_eq!(shown["policy_identifiers"], json!(["1.2.3"]));
    assert_eq!(shown["not_before_bound"], "duration");
    assert_eq!(shown["not_after_bound"], "ttl-limited");
}

#[test]
fn key_types_and_sizes_are_validated_together() {
    for (name, bits, key_type, stored) in [
        ("rsa", 0, KeyType::Rsa, 2048),
        ("rsa", 8192, KeyType::Rsa, 8192),
        ("ec", 0, KeyType::Ec, 256),
        ("ec", 521, KeyType::Ec, 521),
        ("ed25519", 0, KeyType::Ed25519, 0),
        ("ed25519", 5, KeyType::Ed25519, 5),
        ("mldsa", 0, KeyType::MlDsa, 44),
        ("mldsa", 87, KeyType::MlDsa, 87),
        ("any", 0, KeyType::Any, 0),
        ("any", 77, KeyType::Any, 77),
    ] {
        assert_eq!(validate_key_type_bits(name, bits), Ok((key_type, stored)));
    }
    for (name, bits, text) in [
        (
            "rsa",
            1024,
            "RSA keys < 2048 bits are unsafe and not supported: got 1024",
        ),
        (
            "rsa",
            -5,
            "RSA keys < 2048 bits are unsafe and not supported: got -5",
        ),
        ("rsa", 2049, "unsupported bit length for RSA key: 2049"),
        (
            "rsa",
            i64::MAX,
            "unsupported bit length for RSA key: 9223372036854775807",
        ),
        ("ec", 255, "unsupported bit length for EC key: 255"),
        ("ec", -1, "unsupported bit length for EC key: -1"),
        ("mldsa", 2, "unsupported bit length for ML-DSA key: 2"),
        ("foo", 0, "unknown key type foo"),
        ("", 0, "unknown key type "),
        ("RSA", 0, "unknown key type RSA"),
    ] {
        assert_eq!(
            validate_key_type_bits(name, bits).unwrap_err().to_string(),
            text
        );
    }
}

#[test]
fn cn_validations_keep_their_order_and_exclude_each_other() {
    use CnValidation::{Disabled, Email, Hostname};
    let read = |names: &[&str]| cn_validations(&texts(names)).map_err(|error| error.to_string());
    assert_eq!(read(&["hostname", "Email"]), Ok(vec![Hostname, Email]));
    assert_eq!(read(&[]), Ok(vec![Email, Hostname]));
    assert_eq!(read(&["disabled"]), Ok(vec![Disabled]));
    let exclusive = "cn_validations value incorrect: cannot specify `disabled` along with `email` \
                     or `hostname`";
    for (names, text) in [
        (
            &["bogus"][..],
            "cn_validations value incorrect: unknown type: `bogus`",
        ),
        (&[""], "cn_validations value incorrect: unknown type: ``"),
        (
            &["email", "email"],
            "cn_validations value incorrect: `email` specified multiple times",
        ),
        (
            &["disabled", "disabled"],
            "cn_validations value incorrect: `disabled` specified multiple times",
        ),
        (&["disabled", "email"], exclusive),
        (&["hostname", "disabled"], exclusive),
    ] {
        assert_eq!(read(names), Err(text.to_owned()));
    }
}

#[test]
fn ranges_are_stored_in_canonical_form() {
    let read = |text: &str| {
        allowed_ip_sans_cidr(&texts(&[text]))
            .map(|ranges| ranges[0].to_string())
            .map_err(|error| error.to_string())
    };
    for (text, canonical) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::1/64", "::/64"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/8", "::/8"),
        ("1.2.3.4/32", "1.2.3.4/32"),
    ] {
        assert_eq!(read(text), Ok(canonical.to_owned()));
    }
    for text in ["foo", "10.1.2.3", "10.0.0.0/33", "", "010.0.0.0/8"] {
        let expected = format!("error parsing allowed_ip_sans_cidr: invalid CIDR address: {text}");
        assert_eq!(read(text), Err(expected));
    }
}

#[test]
fn other_sans_are_checked_and_kept_as_written() {
    let read = |list: &[&str]| allowed_other_sans(texts(list)).map_err(|error| error.to_string());
    for list in [&["*"][..], &["1.2.3;UTF-8:x*"], &["1.2.3;utf8:"], &[]] {
        assert_eq!(read(list), Ok(texts(list)));
    }
    for (list, text) in [
        (&["foo"][..], "expected a semicolon in other SAN \"foo\""),
        (
            &["*", "1.2.3;utf8:x"],
            "expected a semicolon in other SAN \"*\"",
        ),
        (
            &["1.2.3;utf8"],
            "expected a colon in other SAN \"1.2.3;utf8\"",
        ),
        (
            &["1.2.3;ia5:x"],
            "only utf8 other SANs are supported; found non-supported type in other SAN \
             \"1.2.3;ia5:x\"",
        ),
    ] {
        assert_eq!(
            read(list),
            Err(format!("error parsing allowed_other_sans: {text}"))
        );
    }
}

#[test]
fn extended_key_usage_oids_are_oids() {
    for text in ["1.2.x", "", "1..2", "1", "5.2.3", "2.999.3"] {
        assert_eq!(
            ext_key_usage_oids(&texts(&[text])).unwrap_err().to_string(),
            format!("\"{text}\" could not be parsed as a valid oid for an extended key usage")
        );
    }
    assert_eq!(
        ext_key_usage_oids(&texts(&["1.2.3", "2.25.3"]))
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn bounds_have_their_words_or_a_time() {
    for text in ["permit", "duration", "forbid"] {
        assert_eq!(text.parse::<NotBeforeBound>().unwrap().as_str(), text);
    }
    for text in ["", "Permit", "foo"] {
        assert_eq!(
            text.parse::<NotBeforeBound>().unwrap_err().to_string(),
            "Unknown value for field `not_before_bound`. Possible values are `permit` `duration` \
             or `forbid`"
        );
    }
    for text in [
        "permit",
        "ttl-limited",
        "forbid",
        "2030-01-01T00:00:00+02:00",
    ] {
        assert_eq!(
            NotAfterBound::try_from(text.to_owned()).unwrap().as_str(),
            text
        );
    }
    for text in ["", "Forbid", "foo", "2030-13-01T00:00:00Z"] {
        assert_eq!(
            NotAfterBound::try_from(text.to_owned())
                .unwrap_err()
                .to_string(),
            "Unknown value for field `not_after_bound`. Possible values are `permit`, \
             `ttl-limited`, `forbid`, or an explicit timestamp."
        );
    }
}

#[test]
fn policies_are_oids_or_objects_with_qualifiers() {
    let shown = |read: Result<Vec<PolicyIdentifier>, FieldError>| -> Vec<String> {
        read.unwrap().into_iter().map(String::from).collect()
    };
    assert_eq!(
        shown(policy_identifiers_from_text("1.2.3, 1.3.4,,")),
        ["1.2.3", "1.3.4"]
    );
    assert_eq!(
        shown(policy_identifiers_from_text("[]")),
        Vec::<String>::new()
    );
    let array = r#"[{"oid":"1.2.3","notice":"n","cps":"http://x"},{"cps":"","oid":"1.3.4"}]"#;
    assert_eq!(
        shown(policy_identifiers_from_text(array)),
        [
            r#"{"oid":"1.2.3","cps":"http://x","notice":"n"}"#,
            r#"{"oid":"1.3.4"}"#
        ]
    );
    let list = texts(&["1.2.3", r#"{"oid":"1.2.3", "notice":"é"}"#]);
    let read = policy_identifiers(&list).unwrap();
    assert_eq!(read[1].as_str(), list[1]);
    assert_eq!(read[1].information().notice.as_deref(), Some("é"));
    assert_eq!(read[1].information().cps, None);
    for text in [
        "foo",
        "1",
        r#"{"oid":"foo"}"#,
        "{}",
        r#"{"oid":"1.2.3","cps":"é"}"#,
    ] {
        let error = policy_identifiers(&texts(&[text])).unwrap_err();
        assert!(
            error.to_string().contains("is neither a valid OID: "),
            "{error}"
        );
        assert!(error.is_internal_in_vault());
    }
    assert!(
        policy_identifiers(&texts(&["foo"]))
            .unwrap_err()
            .to_string()
            .starts_with(
                "policy identifier \"foo\" is neither a valid OID: strconv.Atoi: parsing \"foo\": \
                 invalid syntax, Nor JSON Policy Identifier: "
            )
    );
}

#[test]
fn settings_that_exclude_each_other_are_settled() {
    let settle = |mut role: Role| {
        let outcome = role.settle();
        (role, outcome)
    };
    let role = |ttl_secs, max_ttl_secs| Role {
        ttl_secs,
        max_ttl_secs,
        ..Role::default()
    };
    assert_eq!(
        settle(role(2, 1)).1.unwrap_err().to_string(),
        "\"ttl\" value must be less than \"max_ttl\" value"
    );
    assert_eq!(settle(role(2, 2)).1, Ok(None));
    assert_eq!(settle(role(2, 0)).1, Ok(None));
    let lease = |no_store| Role {
        generate_lease: true,
        no_store,
        issuer_ref: String::new(),
        ..Role::default()
    };
    let (kept, warning) = settle(lease(false));
    assert!(kept.generate_lease);
    assert_eq!(kept.issuer_ref, "default");
    assert_eq!(warning, Ok(Some(RoleWarning::LeaseDiscouraged)));
    let (stored, warning) = settle(lease(true));
    assert!(!stored.generate_lease);
    assert_eq!(warning, Ok(Some(RoleWarning::NoStoreBeatsLease)));
}
