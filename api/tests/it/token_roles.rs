//! `auth/token/roles/`: recipes for tokens.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Server, error};

const ROLE: &str = "auth/token/roles/r";

async fn by_role(server: &Server, caller: &str, role: Value, data: Value) -> Answer {
    server.delete(ROOT, ROLE).await;
    let answer = server.write(ROOT, ROLE, role).await;
    assert_eq!(answer.0, 204, "{}", answer.1);
    server.write(caller, "auth/token/create/r", data).await
}

#[tokio::test]
async fn roles_are_written_read_listed_and_deleted() {
    let server = Server::start().await;
    assert_eq!(
        server.list(ROOT, "auth/token/roles").await,
        (404, json!({"errors": []}))
    );
    assert_eq!(server.read(ROOT, ROLE).await, (404, json!({"errors": []})));
    assert_eq!(server.delete(ROOT, ROLE).await.0, 204);
    assert_eq!(server.write(ROOT, ROLE, json!({})).await.0, 204);
    let mut expected = json!({
        "allowed_entity_aliases": null, "allowed_policies": [], "allowed_policies_glob": [],
        "disallowed_policies": [], "disallowed_policies_glob": [], "explicit_max_ttl": 0,
        "name": "r", "orphan": false, "path_suffix": "", "period": 0, "renewable": true,
        "token_explicit_max_ttl": 0, "token_no_default_policy": false, "token_period": 0,
        "token_type": "default-service",
    });
    assert_eq!(server.read(ROOT, ROLE).await.1["data"], expected);
    let data = json!({
        "allowed_policies": "ops,DEV", "token_period": "24h", "orphan": true, "path_suffix": "abc",
        "token_bound_cidrs": "10.0.0.1,10.0.0.0/8,127.0.0.1/32", "token_num_uses": 3,
        "allowed_policies_glob": "x-*", "disallowed_policies": ["Bad"], "token_type": "service",
    });
    assert_eq!(server.write(ROOT, ROLE, data).await.0, 204);
    assert_eq!(
        server
            .write(ROOT, ROLE, json!({"renewable": false}))
            .await
            .0,
        204
    );
    for (key, value) in [
        ("allowed_policies", json!(["dev", "ops"])),
        ("allowed_policies_glob", json!(["x-*"])),
        ("disallowed_policies", json!(["bad"])),
        ("orphan", json!(true)),
        ("path_suffix", json!("abc")),
        ("renewable", json!(false)),
        (
            "token_bound_cidrs",
            json!(["10.0.0.1", "10.0.0.0/8", "127.0.0.1"]),
        ),
        ("token_num_uses", json!(3)),
        ("token_period", json!(86400)),
        ("token_type", json!("service")),
    ] {
        expected[key] = value;
    }
    assert_eq!(server.read(ROOT, ROLE).await.1["data"], expected);
    assert_eq!(
        server.list(ROOT, "auth/token/roles").await.1["data"]["keys"],
        json!(["r"])
    );
    assert_eq!(server.delete(ROOT, ROLE).await.0, 204);
    assert_eq!(server.read(ROOT, ROLE).await.0, 404);
}

#[tokio::test]
async fn old_names_are_taken_and_shown() {
    let server = Server::start().await;
    let data = json!({"period": "1h", "explicit_max_ttl": "2h", "bound_cidrs": "127.0.0.1"});
    server.write(ROOT, ROLE, data).await;
    let (_, body) = server.read(ROOT, ROLE).await;
    for (old, new, value) in [
        ("period", "token_period", json!(3600)),
        ("explicit_max_ttl", "token_explicit_max_ttl", json!(7200)),
        ("bound_cidrs", "token_bound_cidrs", json!(["127.0.0.1"])),
    ] {
        assert_eq!((&body["data"][old], &body["data"][new]), (&value, &value));
    }
    let both = json!({"period": "1h", "token_period": "3h"});
    let (status, body) = server.write(ROOT, ROLE, both).await;
    let warning =
        "Both 'token_period' and deprecated 'period' value supplied, ignoring the deprecated value";
    assert_eq!((status, &body["warnings"]), (200, &json!([warning])));
    let (_, body) = server.read(ROOT, ROLE).await;
    assert_eq!(
        (&body["data"]["period"], &body["data"]["token_period"]),
        (&json!(0), &json!(10800))
    );
}

#[tokio::test]
async fn refuses_with_the_texts_clients_know() {
    let server = Server::start().await;
    let batch =
        |what: &str| format!("'token_type' cannot be 'batch' when role is set to generate {what}");
    let fields = |what: &str| format!("error parsing role fields: {what}");
    let either = |what: &str| {
        fields(&format!(
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"
        ))
    };
    let suffix = "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w";
    for (data, text) in [
        (json!({"token_type": "batch"}), batch("non-orphan tokens")),
        (
            json!({"token_type": "batch", "orphan": true}),
            batch("renewable tokens"),
        ),
        (
            json!({"token_type": "batch", "orphan": true, "renewable": false, "token_period": 60}),
            batch("periodic tokens"),
        ),
        (
            json!({"token_type": "batch", "orphan": true, "renewable": false, "token_explicit_max_ttl": 60}),
            batch("tokens with an explicit max TTL"),
        ),
        (
            json!({"token_type": "batch", "orphan": true, "renewable": false, "token_num_uses": 6}),
            either("tokens with limited use count"),
        ),
        (
            json!({"token_type": "default-batch", "token_period": 60}),
            either("periodic tokens"),
        ),
        (
            json!({"token_type": "nope"}),
            "invalid 'token_type' value \"nope\"".into(),
        ),
        (
            json!({"token_type": "default"}),
            "invalid 'token_type' value \"default\"".into(),
        ),
        (json!({"path_suffix": "a"}), suffix.into()),
        (json!({"path_suffix": "ab"}), suffix.into()),
        (json!({"path_suffix": "a b c"}), suffix.into()),
        (json!({"path_suffix": "a/../b"}), suffix.into()),
        (
            json!({"token_bound_cidrs": "bad"}),
            fields(
                "error parsing address \"bad\": Unable to convert \"bad\" to an IPv4 or IPv6 address, or a UNIX Socket",
            ),
        ),
        (
            json!({"token_num_uses": -1}),
            fields("'token_num_uses' cannot be negative"),
        ),
        (
            json!({"token_period": -1}),
            "error converting input for field \"token_period\": cannot provide negative value '-1'"
                .into(),
        ),
    ] {
        let answer = server.write(ROOT, ROLE, data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text.as_str()), "{data}");
    }
    assert_eq!(server.read(ROOT, ROLE).await.0, 404, "nothing was stored");
}

#[tokio::test]
async fn a_role_gives_policies_that_the_caller_does_not_have() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let role = json!({"allowed_policies": ["testpolicy"]});
    let (_, body) = by_role(&server, &plain, role.clone(), json!({})).await;
    assert_eq!(body["auth"]["policies"], json!(["default", "testpolicy"]));
    let data = json!({"no_default_policy": true});
    let (_, body) = by_role(&server, &plain, role.clone(), data).await;
    assert_eq!(body["auth"]["policies"], json!(["testpolicy"]));
    let answer = by_role(&server, &plain, role, json!({"policies": ["nope"]})).await;
    let text = "token policies ([\"default\" \"nope\"]) must be subset of the role's allowed policies ([\"default\" \"testpolicy\"]) or glob policies ([])";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let role = json!({"allowed_policies": ["root"]});
    let answer = by_role(&server, &plain, role, json!({})).await;
    assert_eq!(
        error(&answer),
        "root tokens may not be created without parent token being root"
    );
    let role = json!({"disallowed_policies": ["root", "bad"]});
    let answer = by_role(&server, ROOT, role.clone(), json!({})).await;
    assert_eq!(
        error(&answer),
        "token policy \"root\" is disallowed by this role"
    );
    let answer = by_role(&server, ROOT, role, json!({"policies": [" BAD"]})).await;
    assert_eq!(
        error(&answer),
        "token policy \"bad\" is disallowed by this role"
    );
}

#[tokio::test]
async fn a_role_gives_period_and_orphans_without_sudo() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let role = json!({
        "token_period": "1h", "orphan": true, "path_suffix": "suf", "renewable": false,
        "token_bound_cidrs": "127.0.0.0/8",
    });
    let (_, body) = by_role(&server, &plain, role, json!({})).await;
    let auth = &body["auth"];
    assert_eq!(
        (&auth["orphan"], &auth["renewable"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(auth["lease_duration"], 3600);
    let (_, body) = server.lookup(auth["client_token"].as_str().unwrap()).await;
    for (key, value) in [
        ("path", json!("auth/token/create/r/suf")),
        ("role", json!("r")),
        ("period", json!(null)),
        ("bound_cidrs", json!(["127.0.0.0/8"])),
    ] {
        assert_eq!(body["data"][key], value, "{key}");
    }
    let answer = by_role(&server, &plain, json!({}), json!({"period": "1h"})).await;
    assert_eq!(
        error(&answer),
        "root or sudo privileges required to create periodic token"
    );
    let (_, body) = by_role(&server, &plain, json!({}), json!({"no_parent": true})).await;
    assert_eq!(body["auth"]["orphan"], json!(false), "the role decides");
}

#[tokio::test]
async fn a_role_decides_the_type_or_leaves_it_to_the_call() {
    let server = Server::start().await;
    let no_lease = json!({"orphan": true, "renewable": false});
    for (by_role_type, asked, made) in [
        ("batch", "", "batch"),
        ("batch", "service", "batch"),
        ("service", "batch", "service"),
        ("default-batch", "", "batch"),
        ("default-batch", "service", "service"),
        ("default-service", "batch", "batch"),
        ("default-service", "", "service"),
    ] {
        let mut role = no_lease.clone();
        role["token_type"] = json!(by_role_type);
        let data = json!({"policies": ["default"], "type": asked});
        let (_, body) = by_role(&server, ROOT, role, data).await;
        assert_eq!(body["auth"]["token_type"], made, "{by_role_type} {asked}");
    }
}

#[tokio::test]
async fn entity_aliases_are_never_silently_dropped() {
    let server = Server::start().await;
    let data = json!({"policies": ["default"], "entity_alias": "Bob"});
    let answer = by_role(&server, ROOT, json!({}), data.clone()).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "invalid 'entity_alias' value")
    );
    let role = json!({"allowed_entity_aliases": "b*"});
    let answer = by_role(&server, ROOT, role, data).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "'entity_alias' is not supported")
    );
}

#[tokio::test]
async fn a_new_role_needs_create_and_a_known_one_update() {
    let server = Server::start().await;
    server
        .policy(
            "new",
            r#"path "auth/token/roles/*" { capabilities = ["create"] }"#,
        )
        .await;
    let token = server.token(ROOT, json!({"policies": ["new"]})).await;
    assert_eq!(server.write(&token, ROLE, json!({})).await.0, 204);
    assert_eq!(server.write(&token, ROLE, json!({})).await.0, 403);
}
