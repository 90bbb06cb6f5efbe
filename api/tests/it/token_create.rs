//! `auth/token/create`: who may make which token.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{ROOT, Server, error};
use crate::token_support::client_token;

#[tokio::test]
async fn refuses_with_the_texts_clients_know() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let sudo = server.sudo_maker().await;
    let needs = |what: &str| format!("root or sudo privileges required to {what}");
    let root_only = "root tokens may not be created without parent token being root";
    let default = json!(["default"]);
    for (caller, data, text) in [
        (&plain, json!({"no_parent": true}), needs("create orphan token")),
        (&plain, json!({"period": "1h"}), needs("create periodic token")),
        (&plain, json!({"id": "x"}), needs("specify token id")),
        (&plain, json!({"num_uses": -1}), "number of uses cannot be negative".into()),
        (&plain, json!({"ttl": "-5s"}), "ttl must be positive".into()),
        (&plain, json!({"lease": "-5s"}), "lease must be positive".into()),
        (&plain, json!({"explicit_max_ttl": "-5s"}), "explicit_max_ttl must be positive".into()),
        (&plain, json!({"period": "-5s"}), "period must be positive".into()),
        (&plain, json!({"ttl": "abc"}), "time: invalid duration \"abc\"".into()),
        (&plain, json!({"policies": ["sudo-maker"]}), "child policies must be subset of parent".into()),
        (&plain, json!({"policies": ["a/../b"]}), "relative paths not supported".into()),
        (&sudo, json!({"policies": ["root"]}), root_only.into()),
        (&sudo, json!({"policies": [" Root"]}), root_only.into()),
        (&sudo, json!({"policies": ["ROOT", "a"]}), root_only.into()),
        (&sudo, json!({"policies": ["response-wrapping"]}), "cannot assign policy \"response-wrapping\"".into()),
        (&sudo, json!({"type": "batch", "policies": default, "num_uses": 3}), "batch tokens cannot have \"num_uses\" set".into()),
        (&sudo, json!({"type": "batch", "policies": default, "period": "1h"}), "batch tokens cannot have \"period\" set".into()),
        (&sudo, json!({"type": "batch", "policies": default, "explicit_max_ttl": "1h"}), "batch tokens cannot have \"explicit_max_ttl\" set".into()),
        (&sudo, json!({"type": "x"}), "invalid 'token_type' value".into()),
        (&sudo, json!({"type": 5}), "invalid 'token_type' value".into()),
        (&sudo, json!({"entity_alias": "a"}), "'entity_alias' is only allowed in combination with token role".into()),
        (&sudo, json!({"id": "s.abc"}), "custom token ID cannot have the 's.' prefix".into()),
        (&sudo, json!({"id": "hvs.abc"}), "custom token ID cannot have the 'hvs.' prefix".into()),
        (&sudo, json!({"id": "a.b"}), "custom token ID cannot have a '.' in the value".into()),
        (&plain, json!({"num_uses": "abc"}), "Field validation failed: error converting input for field \"num_uses\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax".into()),
    ] {
        let answer = server.create(caller, data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text.as_str()), "{data}");
    }
    let answer = server.create(ROOT, json!({"type": "batch"})).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "batch tokens cannot be root tokens")
    );
    let answer = server
        .write(ROOT, "auth/token/create/nope", json!({}))
        .await;
    assert_eq!((answer.0, error(&answer)), (400, "unknown role nope"));
    assert_eq!(server.read(ROOT, "auth/token/create").await.0, 405);
}

#[tokio::test]
async fn answers_the_auth_block_that_clients_read() {
    let server = Server::start().await;
    let data = json!({"policies": "default", "meta": {"a": "b"}, "ttl": "1h", "num_uses": 5});
    let (status, mut body) = server.create(ROOT, data).await;
    let auth = &mut body["auth"];
    let token = auth["client_token"].take();
    let token = token.as_str().unwrap();
    assert!(token.starts_with("hvs.") && token.len() == 28, "{token}");
    let accessor = auth["accessor"].take();
    assert_eq!(accessor.as_str().unwrap().len(), 24);
    let expected = json!({
        "client_token": null, "accessor": null, "policies": ["default"],
        "token_policies": ["default"], "metadata": {"a": "b"}, "lease_duration": 3600,
        "renewable": true, "entity_id": "", "token_type": "service", "orphan": false,
        "mfa_requirement": null, "num_uses": 5,
    });
    assert_eq!((status, &*auth), (200, &expected));
    assert_eq!(
        (&body["data"], &body["warnings"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn gives_the_time_that_was_asked_for_within_its_bounds() {
    let server = Server::start().await;
    let capped = |wanted: &str, max: &str| {
        json!([format!(
            "TTL of \"{wanted}\" exceeded the effective max_ttl of \"{max}\"; TTL value is capped accordingly"
        )])
    };
    let period_capped = |wanted: &str, max: &str| {
        json!([format!(
            "period of \"{wanted}\" exceeded the effective max_ttl of \"{max}\"; period value is capped accordingly"
        )])
    };
    for (data, secs, warnings) in [
        (json!({}), 2_764_800, Value::Null),
        (json!({"ttl": "0s"}), 2_764_800, Value::Null),
        (json!({"ttl": ""}), 2_764_800, Value::Null),
        (json!({"ttl": 60}), 60, Value::Null),
        (json!({"ttl": "2d"}), 172_800, Value::Null),
        (json!({"lease": "60"}), 60, Value::Null),
        (
            json!({"ttl": "999999h"}),
            2_764_800,
            capped("999999h", "768h"),
        ),
        (json!({"explicit_max_ttl": "5m"}), 300, capped("768h", "5m")),
        (
            json!({"explicit_max_ttl": "5m", "ttl": "1h"}),
            300,
            capped("1h", "5m"),
        ),
        (
            json!({"explicit_max_ttl": "5m", "ttl": "1m"}),
            60,
            Value::Null,
        ),
        (json!({"period": "30m"}), 1800, Value::Null),
        (json!({"period": "30m", "ttl": "1h"}), 1800, Value::Null),
        (
            json!({"period": "40m", "explicit_max_ttl": "10m"}),
            600,
            period_capped("40m", "10m"),
        ),
        (
            json!({"period": "9999h"}),
            2_764_800,
            period_capped("9999h", "768h"),
        ),
    ] {
        let mut request = data.clone();
        request["policies"] = json!(["default"]);
        let (_, body) = server.create(ROOT, request).await;
        let got = (&body["auth"]["lease_duration"], &body["warnings"]);
        assert_eq!(got, (&json!(secs), &warnings), "{data}");
    }
}

#[tokio::test]
async fn root_tokens_expire_only_when_they_are_to() {
    let server = Server::start().await;
    for (data, secs) in [
        (json!({}), 0),
        (json!({"ttl": "1h"}), 3600),
        (json!({"explicit_max_ttl": "2h"}), 7200),
        (json!({"period": "1h"}), 3600),
    ] {
        let (_, body) = server.create(ROOT, data.clone()).await;
        let auth = &body["auth"];
        assert_eq!(auth["policies"], json!(["root"]));
        assert_eq!(auth["lease_duration"], json!(secs), "{data}");
        assert_eq!(auth["renewable"], json!(secs > 0), "{data}");
    }
    let expiring = server.token(ROOT, json!({"ttl": "1h"})).await;
    let answer = server.create(&expiring, json!({})).await;
    let text = "expiring root tokens cannot create non-expiring root tokens";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(server.create(&expiring, json!({"ttl": "1h"})).await.0, 200);
    server.clock.advance_secs(3600);
    assert_eq!(server.create(&expiring, json!({"ttl": "1h"})).await.0, 403);
}

#[tokio::test]
async fn policies_follow_those_of_the_parent() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let missing = |names: &[&str]| {
        let text = |name: &&str| format!("Policy \"{name}\" does not exist");
        json!(names.iter().map(text).collect::<Vec<_>>())
    };
    for (caller, data, policies, warnings) in [
        (
            plain.as_str(),
            json!({}),
            json!(["default", "maker"]),
            Value::Null,
        ),
        (
            &plain,
            json!({"policies": ["maker"]}),
            json!(["default", "maker"]),
            Value::Null,
        ),
        (
            &plain,
            json!({"no_default_policy": true}),
            json!(["maker"]),
            Value::Null,
        ),
        (
            ROOT,
            json!({"policies": "a,b"}),
            json!(["a,b", "default"]),
            missing(&["a,b"]),
        ),
        (
            ROOT,
            json!({"policies": ["  DEV ", "dev", ""]}),
            json!(["default", "dev"]),
            missing(&["dev"]),
        ),
        (
            ROOT,
            json!({"policies": ["default"], "no_default_policy": true}),
            json!([]),
            Value::Null,
        ),
        (
            ROOT,
            json!({"policies": ["a", "root"]}),
            json!(["root"]),
            Value::Null,
        ),
        (
            ROOT,
            json!({"policies": null}),
            json!(["root"]),
            Value::Null,
        ),
    ] {
        let (status, body) = server.create(caller, data.clone()).await;
        let got = (status, &body["auth"]["policies"], &body["warnings"]);
        assert_eq!(got, (200, &policies, &warnings), "{data}");
    }
    let data = json!({"policies": ["default"], "no_default_policy": true});
    let nothing = server.create(ROOT, data).await;
    assert!(nothing.1["auth"].get("token_policies").is_none());
    let answer = server
        .read(&client_token(&nothing), "auth/token/lookup-self")
        .await;
    assert_eq!(
        (answer.0, error(&answer)),
        (403, "1 error occurred:\n\t* permission denied\n\n")
    );
}

#[tokio::test]
async fn a_changed_policy_counts_for_tokens_that_have_it() {
    let server = Server::with_makers().await;
    let token = server.token(ROOT, json!({"policies": ["later"]})).await;
    assert_eq!(server.create(&token, json!({})).await.0, 403);
    let text = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    server.policy("later", text).await;
    assert_eq!(server.create(&token, json!({})).await.0, 200);
}

#[tokio::test]
async fn no_request_keeps_a_policy_in_memory_that_was_changed_meanwhile() {
    for seed in 0..64 {
        let server = Arc::new(Server::start_interleaved(seed).await);
        let allowed = r#"path "auth/token/create" { capabilities = ["update"] }"#;
        server.policy("changing", allowed).await;
        let data = json!({"policies": ["changing"], "no_default_policy": true});
        let token = server.token(ROOT, data).await;
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (server, token) = (server.clone(), token.clone());
            requests.spawn(async move { server.create(&token, json!({})).await });
        }
        for _ in 0..seed % 16 {
            tokio::task::yield_now().await;
        }
        let denied = r#"path "auth/token/create" { capabilities = ["deny"] }"#;
        server.policy("changing", denied).await;
        requests.join_all().await;
        assert_eq!(server.create(&token, json!({})).await.0, 403, "seed {seed}");
    }
}

#[tokio::test]
async fn names_are_cleaned() {
    let server = Server::start().await;
    for (given, shown) in [
        ("", "token"),
        ("web", "token-web"),
        ("a b_c!", "token-a-b-c"),
        ("!!", "token--"),
    ] {
        let token = server.token(ROOT, json!({"display_name": given})).await;
        let (_, body) = server.lookup(&token).await;
        assert_eq!(body["data"]["display_name"], shown, "{given:?}");
    }
}

#[tokio::test]
async fn a_chosen_token_can_be_made_once() {
    let server = Server::with_makers().await;
    let sudo = server.sudo_maker().await;
    assert_eq!(
        server.token(&sudo, json!({"id": "my-token"})).await,
        "my-token"
    );
    assert!(server.works("my-token").await);
    for id in ["my-token", ROOT] {
        let answer = server.create(&sudo, json!({"id": id})).await;
        let text = "cannot create a token with a duplicate ID";
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    server
        .write(ROOT, "auth/token/revoke", json!({"token": "my-token"}))
        .await;
    assert_eq!(
        server.token(&sudo, json!({"id": "my-token"})).await,
        "my-token"
    );
}

#[tokio::test]
async fn create_orphan_needs_no_sudo_of_its_own() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let path = "auth/token/create-orphan";
    let (status, body) = server.write(&plain, path, json!({})).await;
    assert_eq!((status, &body["auth"]["orphan"]), (200, &json!(true)));
    let answer = server.write(&plain, path, json!({"period": "1h"})).await;
    assert_eq!(
        error(&answer),
        "root or sudo privileges required to create periodic token"
    );
    let (_, body) = server.create(ROOT, json!({"no_parent": true})).await;
    assert_eq!(body["auth"]["orphan"], json!(true));
}

#[tokio::test]
async fn batch_tokens_are_sealed_and_can_do_little() {
    let server = Server::with_makers().await;
    let data = json!({"policies": ["maker"], "type": "batch", "renewable": true, "ttl": "1h"});
    let answer = server.create(ROOT, data).await;
    let auth = &answer.1["auth"];
    assert_eq!(
        (&auth["accessor"], &auth["renewable"]),
        (&json!(""), &json!(false))
    );
    assert_eq!(
        (&auth["token_type"], &auth["lease_duration"]),
        (&json!("batch"), &json!(3600))
    );
    let batch = client_token(&answer);
    assert!(batch.starts_with("hvb."), "{batch}");
    let (_, body) = server.read(&batch, "auth/token/lookup-self").await;
    assert_eq!(
        (&body["data"]["type"], &body["data"]["accessor"]),
        (&json!("batch"), &json!(""))
    );
    for (path, data, text) in [
        (
            "auth/token/create",
            json!({}),
            "batch tokens cannot create more tokens",
        ),
        (
            "auth/token/renew-self",
            json!({}),
            "batch tokens cannot be renewed",
        ),
        (
            "auth/token/renew",
            json!({"token": batch}),
            "batch tokens cannot be renewed",
        ),
        (
            "auth/token/revoke",
            json!({"token": batch}),
            "batch tokens cannot be revoked",
        ),
        (
            "auth/token/revoke-self",
            json!({}),
            "batch tokens cannot be revoked",
        ),
        (
            "cubbyhole/a",
            json!({"a": 1}),
            "cubbyhole operations are only supported by 'service' type tokens",
        ),
    ] {
        let answer = server.write(&batch, path, data).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{path}");
    }
    let mut forged = batch.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    assert_eq!(server.read(&forged, "auth/token/lookup-self").await.0, 403);
    server.clock.advance_secs(3600);
    assert_eq!(server.read(&batch, "auth/token/lookup-self").await.0, 403);
}

#[tokio::test]
async fn batch_tokens_end_with_their_parent_unless_they_are_orphans() {
    let server = Server::with_makers().await;
    let parent = server.maker().await;
    let data = json!({"type": "batch"});
    let child = server.token(&parent, data.clone()).await;
    let answer = server
        .write(&parent, "auth/token/create-orphan", data)
        .await;
    let orphan = client_token(&answer);
    assert!(server.works(&child).await && server.works(&orphan).await);
    server
        .write(&parent, "auth/token/revoke-self", json!({}))
        .await;
    assert!(!server.works(&child).await);
    assert!(server.works(&orphan).await);
}
