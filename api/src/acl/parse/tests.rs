use super::*;

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse("p", text)
}

fn granted(text: &str) -> Vec<(String, Vec<&'static str>)> {
    let policy = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let granted = policy.rules.into_iter();
    granted
        .map(|rule| (rule.text, rule.permissions.capabilities.names()))
        .collect()
}

#[test]
fn accepts_every_way_of_writing_a_rule() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"path "a" { capabilities = ["read", "list",] }"#,
            &["list", "read"],
        ),
        (
            r#"path "a" { capabilities = ["read"] policy = "write" }"#,
            &["create", "delete", "list", "read", "update"],
        ),
        (
            r#"path "a" { capabilities = ["read"], policy = "deny" }"#,
            &["deny"],
        ),
        (r#"path a { policy = "read" }"#, &["list", "read"]),
        (
            r#"path a { policy = "sudo" }"#,
            &["create", "delete", "list", "read", "sudo", "update"],
        ),
        (
            r#"path "a" "ignored" { capabilities = ["patch", "scan"] }"#,
            &["patch", "scan"],
        ),
        (
            r#""path" "a" { "capabilities" = ["read"] capabilities = ["list"] }"#,
            &["list", "read"],
        ),
        (
            r#"path "a" { capabilities = ["subscribe", "recover"] }"#,
            &["recover", "subscribe"],
        ),
        (
            r#"path "a" { capabilities = ["deny", "bogus"] }"#,
            &["deny"],
        ),
        (r#"path "a" { }"#, &["deny"]),
        (
            "name = \"x\"\r\npath \"a\" {\r\n  capabilities = [\"read\"] # why\r\n}\r\n",
            &["read"],
        ),
        (r#"{"path":{"a":{"capabilities":["read"]}}}"#, &["read"]),
        (r#"{"path":[{"a":{"capabilities":["read"]}}]}"#, &["read"]),
        (r#"{"path":[{"a":[{"capabilities":["read"]}]}]}"#, &["read"]),
        (
            r#"{"name": null, "path":{"a":{"policy":"read",}},}"#,
            &["list", "read"],
        ),
        // Base64 of HCL and of JSON.
        (
            "cGF0aCAiYSIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9",
            &["read"],
        ),
        (
            "eyJwYXRoIjp7ImEiOnsiY2FwYWJpbGl0aWVzIjpbInJlYWQiXX19fQ==",
            &["read"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            granted(text),
            [("a".to_owned(), expected.to_vec())],
            "{text}"
        );
    }
}

#[test]
fn accepts_texts_without_rules() {
    for text in [" ", "{}", "# c", "/* c */", r#"{"path":{}}"#, "name = 5"] {
        assert!(granted(text).is_empty(), "{text}");
    }
}

#[test]
fn keeps_both_rules_of_a_repeated_path() {
    let json = r#"{"path":{"a":{"capabilities":["deny"]},"a":{"capabilities":["read"]}}}"#;
    assert_eq!(granted(json).len(), 2);
}

#[test]
fn accepts_every_key() {
    let policy = parse(
        r#"path "a" {
          capabilities = ["update"]
          allowed_parameters = { "Common_Name" = ["*.example.com", 5, true], "*" = [] }
          denied_parameters { ttl = [] }
          required_parameters = ["Common_Name"]
          min_wrapping_ttl = "60s"
          max_wrapping_ttl = 300
          mfa_methods = []
          control_group = {}
          comment = <<EOF
free text
EOF
          pagination_limit = "5"
          expiration = "2030-01-01T00:00:00Z"
          list_scan_response_keys_filter_path = ""
        }"#,
    )
    .unwrap();
    assert!(policy.warnings().is_empty());
    let rule = &policy.rules[0];
    assert_eq!(
        rule.expires_at.map(OffsetDateTime::unix_timestamp),
        Some(1_893_456_000)
    );
    assert_eq!(rule.permissions.page_limit, Some(5));
    assert_eq!(rule.permissions.parameters.required, ["common_name"]);
    let allowed = serde_json::to_string(&rule.permissions.parameters.allowed).unwrap();
    assert_eq!(
        allowed,
        r#"{"*":[],"common_name":["*.example.com",5,true]}"#
    );
    assert!(rule.permissions.parameters.denied["ttl"].is_empty());
}

#[test]
fn tells_the_author_about_rules_that_can_only_refuse() {
    let policy = parse(
        r#"path "a" { mfa_methods = ["x"] }
        path "b" { control_group = { ttl = "4h" factor "f" { approvals = 1 } } }
        path "c" { capabilities = ["list"] list_scan_response_keys_filter_path = "{{ .path }}" }"#,
    )
    .unwrap();
    assert_eq!(policy.warnings().len(), 3);
}

#[test]
fn refuses_with_the_texts_that_clients_know() {
    let cases = [
        ("", "'policy' parameter not supplied or empty"),
        (
            "bogus = 1",
            "failed to parse policy: 1 error occurred:\n\t* invalid key \"bogus\" on line 1\n\n",
        ),
        (
            "{\n\"path\":{\"a\":{\n\"bogus\":1}}}",
            "failed to parse policy: path \"a\": 1 error occurred:\n\t* invalid key \"bogus\" on line 3\n\n",
        ),
        (
            "path \"a\" { bogus = 1 \n bogus2 = 2 }",
            "failed to parse policy: path \"a\": 2 errors occurred:\n\t* invalid key \"bogus\" on line 1\n\t* invalid key \"bogus2\" on line 2\n\n",
        ),
        (
            "path \"a\" { Capabilities = [] }",
            "failed to parse policy: path \"a\": 1 error occurred:\n\t* invalid key \"Capabilities\" on line 1\n\n",
        ),
        (
            "path \"x\" { capabilities = [\"bogus\"] }",
            "failed to parse policy: path \"x\": path \"x\": invalid capability \"bogus\"",
        ),
        (
            "path \"x\" { capabilities = [\"Read\"] }",
            "failed to parse policy: path \"x\": path \"x\": invalid capability \"Read\"",
        ),
        (
            "path \"x\" { capabilities = [\"bogus\", \"deny\"] }",
            "failed to parse policy: path \"x\": path \"x\": invalid capability \"bogus\"",
        ),
        (
            "path \"x\" { policy = \"bogus\" }",
            "failed to parse policy: path \"x\": path \"x\": invalid policy \"bogus\"",
        ),
        (
            "path \"a/+*\" {}",
            "failed to parse policy: path \"a/+*\": path \"a/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
        (
            "path \"a\" { min_wrapping_ttl = \"1m\" max_wrapping_ttl = 30 }",
            "failed to parse policy: path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "path \"a\" { min_wrapping_ttl = [1] }",
            "failed to parse policy: path \"a\": error parsing min_wrapping_ttl: could not parse duration from input",
        ),
        (
            "path \"a{{b\" {}",
            "failed to parse policy: path \"a{{b\": failed to validate policy templating: unbalanced templating characters",
        ),
        (
            "path \"a",
            "failed to parse policy: At 1:8: literal not terminated",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn refuses_what_has_the_wrong_shape() {
    for text in [
        "path = {}",
        "path {}",
        r#"path = "a""#,
        r#"path "a" = { capabilities = ["read"] }"#,
        r#"path "a" { capabilities = "read" }"#,
        r#"path "a" { capabilities = [1] }"#,
        r#"path "a" { capabilities = ["read" "list"] }"#,
        r#"path "a" { capabilities: ["read"] }"#,
        r#"path "a" { allowed_parameters = { x = "b" } }"#,
        r#"path "a" { required_parameters = "x" }"#,
        r#"path "a" { mfa_methods = "x" }"#,
        r#"path "a" { policy = ["write"] }"#,
        r#"path "a" { pagination_limit = -1 }"#,
        r#"path "a" { expiration = "soon" }"#,
        r#"path "a" { min_wrapping_ttl = -5 }"#,
        r#"path "a" { max_wrapping_ttl = true }"#,
        r#"{"path":[]}"#,
        r#"{"path":"a"}"#,
        r#"{"path":{"a":"b"}}"#,
        r#"{"path":{"a":null}}"#,
        r#"{"path":{"a":{"capabilities":null}}}"#,
        r#"name = ["x"]"#,
        "[]",
        "null",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn refuses_texts_without_bounds() {
    let large = "#".repeat(MAX_TEXT_BYTES + 1);
    assert!(matches!(parse(&large), Err(PolicyError::TooLarge { .. })));
    let many = "path a{}".repeat(MAX_RULES + 1);
    assert!(matches!(
        parse(&many),
        Err(PolicyError::TooManyPaths { .. })
    ));
}

#[test]
fn the_built_in_policies_parse() {
    let rules = |text| parse(text).unwrap().rules.len();
    assert_eq!(rules(super::super::DEFAULT_POLICY), 18);
    assert_eq!(rules(super::super::RESPONSE_WRAPPING_POLICY), 3);
}
