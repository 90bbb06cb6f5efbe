//! Decisions of whole policies: tables of known answers.

use serde_json::json;
use time::OffsetDateTime;

use super::*;

mod oracle;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Delete,
    Operation::List,
    Operation::Patch,
    Operation::Read,
    Operation::Scan,
    Operation::Update,
];

fn acl(texts: &[&str]) -> Acl {
    let policies: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Policy::parse(&format!("p{index}"), text).unwrap())
        .collect();
    Acl::new(&policies, &|_| None, NOW).unwrap()
}

fn request(path: &str, operation: Operation) -> AccessRequest<'_> {
    AccessRequest {
        path,
        operation,
        data: None,
        wrap_ttl_seconds: None,
        needs_sudo: false,
    }
}

fn allows(acl: &Acl, path: &str, operation: Operation) -> bool {
    acl.check(&request(path, operation)).allowed
}

/// One rule for each pattern; the capability that comes back tells which one decided.
fn deciding_pattern<'a>(patterns: &[&'a str], path: &str) -> Option<&'a str> {
    patterns.iter().copied().find(|candidate| {
        let rules: Vec<_> = patterns
            .iter()
            .map(|pattern| {
                let granted = if pattern == candidate {
                    "read"
                } else {
                    "update"
                };
                format!("path {pattern:?} {{ capabilities = [{granted:?}] }}\n")
            })
            .collect();
        let rules = rules.concat();
        allows(&acl(&[&rules]), path, Operation::Read)
    })
}

#[test]
fn the_most_specific_rule_decides() {
    let cases: &[(&[&str], &str, Option<&str>)] = &[
        (
            &["s/*", "s/b/*", "s/+/c", "s/+/+", "s/b/+"],
            "s/b/c",
            Some("s/b/+"),
        ),
        (
            &["s/*", "s/b/*", "s/+/c", "s/+/+", "s/b/+", "s/b/c"],
            "s/b/c",
            Some("s/b/c"),
        ),
        (&["s/q/+/z*", "s/q/*"], "s/q/1/z", Some("s/q/*")),
        (&["s/+/c", "s/+/+"], "s/b/c", Some("s/+/c")),
        (&["s/+/c", "s/+/c*"], "s/b/c", Some("s/+/c")),
        (&["s/+/c/d*", "s/+/c/*"], "s/b/c/d", Some("s/+/c/d*")),
        (&["+/b", "a/*"], "a/b", Some("a/*")),
        (&["+/b/+", "+/+/c"], "a/b/c", Some("+/b/+")),
        (&["+/b/c", "*"], "a/b/c", Some("+/b/c")),
        (&["a*", "ab*", "abc*"], "abd", Some("ab*")),
        (&["a/*"], "a", None),
        (&["a/*"], "a/", Some("a/*")),
        (&["a"], "a/", None),
        (&["a/"], "a", None),
        (&["A"], "a", None),
        (&["a/b*c"], "a/bxc", None),
        (&["a/b*c"], "a/b*c", Some("a/b*c")),
        (&["/a"], "a", Some("/a")),
        (&["*"], "", Some("*")),
        (&["+"], "", Some("+")),
    ];
    for (patterns, path, expected) in cases {
        assert_eq!(
            deciding_pattern(patterns, path),
            *expected,
            "{patterns:?} {path}"
        );
    }
}

#[test]
fn a_specific_rule_replaces_a_broad_one_entirely() {
    let acl = acl(&[r#"path "*" { capabilities = ["create", "read", "sudo"] }
        path "secret/x" { capabilities = ["deny"] }
        path "sys/raw" { capabilities = ["read"] }
        path "empty" {}"#]);
    assert!(allows(&acl, "secret/y", Operation::Read));
    assert!(!allows(&acl, "secret/x", Operation::Read));
    assert!(!allows(&acl, "empty", Operation::Read));
    let raw = AccessRequest {
        needs_sudo: true,
        ..request("sys/raw", Operation::Read)
    };
    assert!(!acl.check(&raw).allowed);
    assert!(
        acl.check(&AccessRequest {
            path: "sys/other",
            ..raw
        })
        .allowed
    );
}

#[test]
fn protected_paths_need_sudo_and_the_operation() {
    let request = AccessRequest {
        needs_sudo: true,
        ..request("sys/auth/foo", Operation::Update)
    };
    let decide = |capabilities: &str| {
        let text = format!("path \"sys/auth/*\" {{ capabilities = {capabilities} }}");
        acl(&[&text]).check(&request).allowed
    };
    assert!(!decide(r#"["create", "update"]"#));
    assert!(!decide(r#"["sudo"]"#));
    assert!(decide(r#"["create", "update", "sudo"]"#));
}

#[test]
fn rules_of_the_same_path_are_merged_over_policies() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["read"] } path "d" { capabilities = ["read"] }"#,
        r#"path "a" { capabilities = ["list", "read"] } path "d" { capabilities = ["deny"] }"#,
        r#"path "d" { capabilities = ["update"] } path "a/*" { capabilities = ["update"] }"#,
    ]);
    assert_eq!(acl.capabilities("a"), ["list", "read"]);
    assert_eq!(acl.capabilities("d"), ["deny"]);
    let granting = |operation| {
        acl.check(&request("a", operation))
            .granting_policies()
            .collect::<Vec<_>>()
    };
    assert_eq!(granting(Operation::Read), ["p0", "p1"]);
    assert_eq!(granting(Operation::List), ["p1"]);
    assert!(granting(Operation::Update).is_empty());
}

#[test]
fn a_listing_falls_back_to_the_path_without_slash() {
    let list = "{ capabilities = [\"list\"] }";
    let read = "{ capabilities = [\"read\"] }";
    let deny = "{ capabilities = [\"deny\"] }";
    let cases = [
        (format!("path \"s/x\" {list}"), true),
        (format!("path \"s/x/\" {list}"), true),
        (format!("path \"s/x*\" {list}"), true),
        (format!("path \"s/+\" {list}"), true),
        (format!("path \"s/x/*\" {list}"), true),
        (format!("path \"s/x\" {read} path \"s/x/*\" {list}"), false),
        (format!("path \"s/x/\" {read} path \"s/x\" {list}"), false),
        (format!("path \"s/x/\" {deny} path \"s/x\" {list}"), false),
        (format!("path \"s/x/\" {list} path \"s/x\" {deny}"), false),
        (format!("path \"s/*\" {list} path \"s/x/*\" {deny}"), false),
        (format!("path \"s/*\" {list} path \"s/+\" {deny}"), false),
        (format!("path \"s/*\" {deny} path \"s/x/\" {list}"), true),
        (format!("path \"*\" {deny} path \"s/x/*\" {list}"), true),
        (format!("path \"s/+\" {deny} path \"s/x/*\" {list}"), true),
    ];
    for (text, expected) in cases {
        let acl = acl(&[&text]);
        assert_eq!(allows(&acl, "s/x", Operation::List), expected, "{text}");
        assert_eq!(allows(&acl, "s/x/", Operation::List), expected, "{text}");
        let shown = acl.capabilities("s/x/").contains(&"list");
        assert_eq!(shown, expected, "{text}");
    }
}

#[test]
fn capabilities_are_shown_for_the_path_as_it_is_written() {
    let acl = acl(&[r#"
        path "p/" { capabilities = ["list"] }
        path "m" { capabilities = ["list"] }
        path "n/*" { capabilities = ["read", "sudo", "create"] }"#]);
    let cases: [(&str, &[&str]); 7] = [
        ("p", &["deny"]),
        ("p/", &["list"]),
        ("m/", &["list"]),
        ("n", &["deny"]),
        ("n/", &["create", "read", "sudo"]),
        ("n/x", &["create", "read", "sudo"]),
        ("elsewhere", &["deny"]),
    ];
    for (path, expected) in cases {
        assert_eq!(acl.capabilities(path), expected, "{path}");
    }
    assert_eq!(Acl::root().capabilities("any"), ["root"]);
}

#[test]
fn fields_are_checked_on_reads_and_writes_but_not_elsewhere() {
    let acl = acl(&[r#"path "a" {
        capabilities = ["create", "update", "patch", "read", "delete", "list"]
        required_parameters = ["x"]
    }"#]);
    for operation in OPERATIONS {
        let checked = matches!(
            operation,
            Operation::Create | Operation::Patch | Operation::Read | Operation::Update
        );
        let granted = operation != Operation::Scan;
        assert_eq!(
            allows(&acl, "a", operation),
            granted && !checked,
            "{operation:?}"
        );
        let data = json!({ "x": 1 });
        let request = AccessRequest {
            data: data.as_object(),
            ..request("a", operation)
        };
        assert_eq!(acl.check(&request).allowed, granted, "{operation:?}");
    }
}

#[test]
fn wrapping_must_be_asked_for_within_the_bounds() {
    let acl = acl(&[r#"path "a" {
        capabilities = ["read"]
        min_wrapping_ttl = "10s"
        max_wrapping_ttl = 20
    }"#]);
    for (wrap_ttl_seconds, expected) in [
        (None, false),
        (Some(9), false),
        (Some(10), true),
        (Some(20), true),
        (Some(21), false),
    ] {
        let request = AccessRequest {
            wrap_ttl_seconds,
            ..request("a", Operation::Read)
        };
        assert_eq!(
            acl.check(&request).allowed,
            expected,
            "{wrap_ttl_seconds:?}"
        );
    }
}

#[test]
fn a_page_limit_bounds_every_listing() {
    let text = r#"path "a" { capabilities = ["list"] pagination_limit = 5 }"#;
    let required = r#"path "a" { capabilities = ["list"] pagination_limit = 9 required_parameters = ["limit"] }"#;
    let cases = [
        (json!({}), Some(5)),
        (json!({"limit": 0}), Some(5)),
        (json!({"limit": "0"}), Some(5)),
        (json!({"limit": "max"}), Some(5)),
        (json!({"limit": "3"}), Some(3)),
        (json!({"limit": 5}), Some(5)),
        (json!({"limit": 6}), None),
        (json!({"limit": -1}), None),
        (json!({"limit": "-1"}), None),
        (json!({"limit": "many"}), None),
        (json!({"limit": [1]}), None),
    ];
    let acl_of_one = acl(&[text]);
    for (data, expected) in cases {
        let request = AccessRequest {
            data: data.as_object(),
            ..request("a", Operation::List)
        };
        let decision = acl_of_one.check(&request);
        assert_eq!(decision.allowed, expected.is_some(), "{data}");
        assert_eq!(decision.page_length, expected, "{data}");
    }
    let merged = acl(&[text, required]);
    assert!(!allows(&merged, "a", Operation::List));
    let data = json!({"limit": "max"});
    let request = AccessRequest {
        data: data.as_object(),
        ..request("a", Operation::List)
    };
    assert_eq!(merged.check(&request).page_length, Some(5));
}

#[test]
fn controls_that_cannot_be_satisfied_refuse() {
    let acl = acl(&[r#"
        path "mfa" { capabilities = ["read"] mfa_methods = ["totp"] }
        path "group" { capabilities = ["read"] control_group = { ttl = "1h" } }
        path "filtered" {
          capabilities = ["read", "list"]
          list_scan_response_keys_filter_path = "{{ .path }}{{ .key }}"
        }"#]);
    assert!(!allows(&acl, "mfa", Operation::Read));
    assert!(!allows(&acl, "group", Operation::Read));
    assert!(!allows(&acl, "filtered", Operation::List));
    assert!(allows(&acl, "filtered", Operation::Read));
}

#[test]
fn a_rule_ends_at_its_expiration() {
    let policy = Policy::parse(
        "p",
        r#"path "a" { capabilities = ["read"] expiration = "1970-01-01T00:01:00Z" }
        path "b" { capabilities = ["read"] expiration = 120 }"#,
    )
    .unwrap();
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let compiled = |seconds| Acl::new([&policy], &|_| None, at(seconds)).unwrap();
    assert!(allows(&compiled(59), "a", Operation::Read));
    assert_eq!(compiled(59).expires_at(), Some(at(60)));
    assert!(!allows(&compiled(60), "a", Operation::Read));
    assert_eq!(compiled(60).expires_at(), Some(at(120)));
    assert_eq!(compiled(120).expires_at(), None);
}

#[test]
fn templates_speak_of_the_identity_or_of_nothing() {
    let policy = Policy::parse(
        "p",
        r#"path "s/{{identity.entity.id}}/*" { capabilities = ["read"] }
        path "s/{{identity.entity.metadata.team}}" { capabilities = ["deny"] }
        path "ok" { capabilities = ["read"] }"#,
    )
    .unwrap();
    let compile = |team: Option<&str>| {
        let team = team.map(str::to_owned);
        Acl::new(
            [&policy],
            &move |name| match name {
                "identity.entity.id" => Some("e1".to_owned()),
                "identity.entity.metadata.team" => team.clone(),
                _ => None,
            },
            NOW,
        )
    };
    let acl = compile(None).unwrap();
    assert!(allows(&acl, "s/e1/x", Operation::Read));
    assert!(!allows(&acl, "s/e2/x", Operation::Read));
    assert!(allows(&acl, "ok", Operation::Read));
    for (team, forbidden) in [("a*", "*"), ("+", "+"), ("a/b", "/")] {
        let error = compile(Some(team)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "error parsing templated policy \"p\": failed to parse policy: path \
                 \"s/{{{{identity.entity.metadata.team}}}}\": template substitution contains \
                 forbidden value: {forbidden:?}"
            )
        );
    }
}

#[test]
fn only_the_root_acl_is_root() {
    let policy = Policy::parse("root", "# nothing").unwrap();
    let acl = Acl::new([&policy], &|_| None, NOW).unwrap();
    assert!(!allows(&acl, "a", Operation::Read));
    let root = Acl::root();
    let decision = root.check(&AccessRequest {
        needs_sudo: true,
        ..request("a", Operation::Scan)
    });
    assert!(decision.allowed && decision.is_root && decision.has_sudo);
    assert_eq!(decision.granting_policies().collect::<Vec<_>>(), ["root"]);
}

#[test]
fn help_is_for_everybody() {
    assert!(allows(
        &acl(&[r#"path "a" { policy = "deny" }"#]),
        "a",
        Operation::Help
    ));
}

#[test]
fn a_mount_is_seen_when_something_in_it_is_granted() {
    let read = "{ capabilities = [\"read\"] }";
    let deny = "{ capabilities = [\"deny\"] }";
    let cases = [
        (String::new(), false),
        (format!("path \"pki/issue/web\" {read}"), true),
        (format!("path \"pki/issue/web\" {deny}"), false),
        (format!("path \"pki/issue/*\" {read}"), true),
        (format!("path \"*\" {read}"), true),
        (format!("path \"*\" {read} path \"pki/*\" {deny}"), false),
        (format!("path \"pki*\" {read}"), true),
        (format!("path \"+/issue/web\" {read}"), true),
        (
            format!("path \"+/issue/web\" {read} path \"pki/*\" {deny}"),
            false,
        ),
        (format!("path \"+/*\" {read}"), true),
        (format!("path \"+/*\" {read} path \"+/\" {deny}"), true),
        (format!("path \"*\" {read} path \"pki/\" {deny}"), true),
        (format!("path \"other/+\" {read}"), false),
        (format!("path \"pki2/x\" {read}"), false),
        ("path \"pki/x\" {}".to_owned(), false),
    ];
    for (text, expected) in cases {
        assert_eq!(
            acl(&[&format!("{text} ")]).grants_any_under("pki/"),
            expected,
            "{text}"
        );
    }
    assert!(Acl::root().grants_any_under("pki/"));
}

#[test]
fn the_resultant_acl_lists_exact_and_prefix_rules() {
    let acl = acl(&[r#"
        path "s/*" { capabilities = ["read", "list"] }
        path "s/x" { capabilities = ["deny"] }
        path "s/+/c" { capabilities = ["read"] }"#]);
    let expected = json!({
        "exact_paths": { "s/x": { "capabilities": ["deny"] } },
        "glob_paths": { "s/": { "capabilities": ["list", "read"] } },
        "root": false,
    });
    assert_eq!(acl.resultant(), expected);
    assert_eq!(Acl::root().resultant(), json!({ "root": true }));
}
