//! `auth/approle/role/{name}/secret-id`: secret-ids made, looked up, taken back and tidied away.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Server, error};

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    server
}

async fn role(server: &Server, name: &str, data: Value) {
    let path = format!("auth/approle/role/{name}");
    assert_eq!(server.write(ROOT, &path, data).await.0, 204);
}

async fn below(server: &Server, path: &str, data: Value) -> Answer {
    server
        .write(ROOT, &format!("auth/approle/role/{path}"), data)
        .await
}

/// A custom secret-id of this role; its accessor.
async fn custom(server: &Server, name: &str, secret_id: &str) -> String {
    let data = json!({"secret_id": secret_id});
    let answer = below(server, &format!("{name}/custom-secret-id"), data).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    let accessor = answer.1["data"]["secret_id_accessor"].as_str();
    accessor.unwrap().to_owned()
}

async fn login(server: &Server, role_id: &str, secret_id: &str) -> Answer {
    let data = json!({"role_id": role_id, "secret_id": secret_id});
    server.write("", "auth/approle/login", data).await
}

async fn accessors(server: &Server, name: &str) -> Answer {
    let path = format!("auth/approle/role/{name}/secret-id");
    server.list(ROOT, &path).await
}

#[tokio::test]
async fn a_secret_id_has_the_limits_of_its_role_or_stricter_ones() {
    let server = server().await;
    role(&server, "free", json!({})).await;
    role(
        &server,
        "tight",
        json!({"secret_id_num_uses": 3, "secret_id_ttl": "1h"}),
    )
    .await;
    for (name, data, num_uses, ttl) in [
        ("free", json!({}), 0, 0),
        ("free", json!({"num_uses": 2, "ttl": "1h"}), 2, 3600),
        ("free", json!({"num_uses": 0, "ttl": 0}), 0, 0),
        ("tight", json!({}), 3, 3600),
        ("tight", json!({"num_uses": "1", "ttl": "30m"}), 1, 1800),
        ("tight", json!({"ttl": null}), 3, 3600),
    ] {
        let (status, body) = below(&server, &format!("{name}/secret-id"), data.clone()).await;
        assert_eq!(status, 200, "{data}");
        let made = &body["data"];
        assert_eq!(made["secret_id_num_uses"], json!(num_uses), "{data}");
        assert_eq!(made["secret_id_ttl"], json!(ttl), "{data}");
        for name in ["secret_id", "secret_id_accessor"] {
            assert_eq!(made[name].as_str().map(str::len), Some(36));
        }
        assert_eq!(body["warnings"], Value::Null);
    }
    let (_, body) = below(&server, "free/secret-id", json!({"ttl": "100000h"})).await;
    assert_eq!(body["data"]["secret_id_ttl"], json!(2_764_800));
    let warning = "TTL of \"100000h\" exceeded the effective max_ttl of \"768h\"; TTL value is \
                   capped accordingly";
    assert_eq!(body["warnings"], json!([warning]));
}

#[tokio::test]
async fn refuses_what_goes_beyond_the_role() {
    let server = server().await;
    role(
        &server,
        "tight",
        json!({
            "secret_id_num_uses": 3, "secret_id_ttl": "1h",
            "secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.0.0.0/8",
        }),
    )
    .await;
    let subset = "failed to verify subset relationship between CIDR blocks on the role \
                  [\"10.0.0.0/8\"] and CIDR blocks on the secret ID [\"192.168.0.0/16\"]";
    let num_uses = "num_uses cannot be higher than the role's secret_id_num_uses";
    let ttl = "ttl cannot be longer than the role's secret_id_ttl";
    let metadata =
        "failed to parse metadata: failed to parse the input: invalid <key,value> format";
    for (data, text) in [
        (json!({"num_uses": 4}), num_uses),
        (json!({"num_uses": 0}), num_uses),
        (json!({"num_uses": -1}), "num_uses cannot be negative"),
        (json!({"ttl": "2h"}), ttl),
        (json!({"ttl": 0}), ttl),
        (json!({"cidr_list": "192.168.0.0/16"}), subset),
        (json!({"token_bound_cidrs": ["192.168.0.0/16"]}), subset),
        (
            json!({"cidr_list": "bad"}),
            "failed to validate CIDR blocks: invalid CIDR address: bad",
        ),
        (
            json!({"token_bound_cidrs": "10.0.0.1"}),
            "failed to validate token CIDR blocks: invalid CIDR address: 10.0.0.1",
        ),
        (json!({"metadata": "garbage"}), metadata),
        (
            json!({"metadata": {"a": "b"}}),
            "Field validation failed: error converting input for field \"metadata\": '' expected \
             type 'string', got unconvertible type 'map[string]interface {}'",
        ),
        (
            json!({"num_uses": "x"}),
            "Field validation failed: error converting input for field \"num_uses\": '' cannot \
             parse value as 'int': strconv.ParseInt: invalid syntax",
        ),
    ] {
        let answer = below(&server, "tight/secret-id", data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{data}");
    }
    role(
        &server,
        "open",
        json!({"bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8"}),
    )
    .await;
    let answer = below(&server, "open/secret-id", json!({})).await;
    let text = "bind_secret_id is not set on the role";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(accessors(&server, "tight").await.0, 404);
}

#[tokio::test]
async fn custom_secret_ids_are_kept_trimmed_and_once() {
    let server = server().await;
    role(&server, "web", json!({"role_id": "web"})).await;
    role(&server, "other", json!({})).await;
    let made = below(
        &server,
        "web/custom-secret-id",
        json!({"secret_id": " sid "}),
    )
    .await;
    assert_eq!(made.1["data"]["secret_id"], "sid");
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    for (data, text) in [
        (json!({}), "missing secret_id"),
        (json!({"secret_id": "  "}), "missing secret_id"),
        (
            json!({"secret_id": "sid"}),
            "failed to store secret_id: SecretID is already registered",
        ),
        (
            json!({"secret_id": "s".repeat(4097)}),
            "secret_id is longer than maximum of 4096 bytes",
        ),
    ] {
        let answer = below(&server, "web/custom-secret-id", data).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    custom(&server, "other", "sid").await;
    custom(&server, "web", &"s".repeat(4096)).await;
}

#[tokio::test]
async fn an_expired_custom_secret_id_makes_room_for_the_same_one() {
    let server = server().await;
    role(
        &server,
        "web",
        json!({"role_id": "web", "secret_id_ttl": 60}),
    )
    .await;
    let old = custom(&server, "web", "sid").await;
    server.clock.advance_secs(60);
    let new = custom(&server, "web", "sid").await;
    assert_eq!(
        accessors(&server, "web").await.1["data"]["keys"],
        json!([new])
    );
    let lookup = json!({"secret_id_accessor": old});
    assert_eq!(
        below(&server, "web/secret-id-accessor/lookup", lookup)
            .await
            .0,
        404
    );
    server.node.tick().await;
    assert_eq!(login(&server, "web", "sid").await.0, 200);
}

#[tokio::test]
async fn lookups_show_all_but_the_secret() {
    let server = server().await;
    role(&server, "web", json!({})).await;
    let data = json!({
        "secret_id": "sid", "metadata": "{\"a\":\"b\"}", "cidr_list": "127.0.0.1/32",
        "token_bound_cidrs": "127.0.0.0/8", "num_uses": 2, "ttl": "1h",
    });
    let made = below(&server, "web/custom-secret-id", data).await.1;
    let accessor = made["data"]["secret_id_accessor"].clone();
    let expected = json!({
        "cidr_list": ["127.0.0.1/32"], "creation_time": "2027-01-15T08:00:00Z",
        "expiration_time": "2027-01-15T09:00:00Z", "last_updated_time": "2027-01-15T08:00:00Z",
        "metadata": {"a": "b"}, "secret_id_accessor": accessor, "secret_id_num_uses": 2,
        "secret_id_ttl": 3600, "token_bound_cidrs": ["127.0.0.0/8"],
    });
    let by_secret = json!({"secret_id": "sid"});
    let by_accessor = json!({"secret_id_accessor": accessor});
    for (path, data) in [
        ("WEB/secret-id/lookup", &by_secret),
        ("web/secret-id-accessor/lookup", &by_accessor),
    ] {
        let (status, body) = below(&server, path, data.clone()).await;
        assert_eq!((status, &body["data"]), (200, &expected), "{path}");
    }
    custom(&server, "web", "endless").await;
    let body = below(
        &server,
        "web/secret-id/lookup",
        json!({"secret_id": "endless"}),
    )
    .await
    .1;
    assert_eq!(body["data"]["expiration_time"], "0001-01-01T00:00:00Z");
    assert_eq!(body["data"]["cidr_list"], json!([]));
    assert_eq!(body["data"]["metadata"], json!({}));

    server.clock.advance_secs(3600);
    let gone = below(&server, "web/secret-id/lookup", by_secret).await;
    assert_eq!(gone, (204, Value::Null), "expired");
    assert_eq!(
        accessors(&server, "web").await.1["data"]["keys"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    server.node.tick().await;
    assert_eq!(
        accessors(&server, "web").await.1["data"]["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        below(&server, "web/secret-id-accessor/lookup", by_accessor)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_clients_expect() {
    let server = server().await;
    role(&server, "web", json!({})).await;
    let accessor = "failed to find accessor entry for secret_id_accessor: \"nope\"";
    let missing_role = "role \"nope\" does not exist";
    let secret = json!({"secret_id": "nope"});
    let by_accessor = json!({"secret_id_accessor": "nope"});
    for (path, data, status, text) in [
        ("nope/secret-id", &json!({}), 404, missing_role),
        ("nope/custom-secret-id", &secret, 404, missing_role),
        ("nope/secret-id/lookup", &secret, 404, missing_role),
        ("nope/secret-id/destroy", &secret, 404, missing_role),
        (
            "nope/secret-id-accessor/lookup",
            &by_accessor,
            404,
            missing_role,
        ),
        (
            "nope/secret-id-accessor/destroy",
            &by_accessor,
            404,
            missing_role,
        ),
        ("web/secret-id/lookup", &secret, 204, ""),
        ("web/secret-id/destroy", &secret, 204, ""),
        ("web/secret-id-accessor/lookup", &by_accessor, 404, accessor),
        (
            "web/secret-id-accessor/destroy",
            &by_accessor,
            404,
            accessor,
        ),
        ("web/secret-id/lookup", &json!({}), 400, "missing secret_id"),
        (
            "web/secret-id/destroy",
            &json!({}),
            400,
            "missing secret_id",
        ),
        (
            "web/secret-id-accessor/lookup",
            &json!({}),
            400,
            "missing secret_id_accessor",
        ),
        (
            "web/secret-id-accessor/destroy",
            &json!({}),
            400,
            "missing secret_id_accessor",
        ),
    ] {
        let answer = below(&server, path, data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (status, text), "{path} {data}");
    }
    let answer = accessors(&server, "nope").await;
    assert_eq!((answer.0, error(&answer)), (400, missing_role));
    assert_eq!(
        accessors(&server, "web").await,
        (404, json!({"errors": []}))
    );
}

#[tokio::test]
async fn a_destroyed_secret_id_is_out_of_use_at_once() {
    let server = server().await;
    role(&server, "web", json!({"role_id": "web"})).await;
    custom(&server, "web", "one").await;
    let two = custom(&server, "web", "two").await;
    custom(&server, "web", "three").await;
    let four = custom(&server, "web", "four").await;
    let destroy = "auth/approle/role/web/secret-id/destroy";
    let by_accessor = "auth/approle/role/web/secret-id-accessor/destroy";
    let delete = |path: &str, data: Value| {
        crate::support::call(signet_api::call::Op::Delete, path, ROOT, data)
    };
    for answer in [
        server
            .write(ROOT, destroy, json!({"secret_id": "one"}))
            .await,
        server
            .write(ROOT, by_accessor, json!({"secret_id_accessor": two}))
            .await,
        server
            .call(delete(destroy, json!({"secret_id": "three"})))
            .await,
        server
            .call(delete(by_accessor, json!({"secret_id_accessor": four})))
            .await,
    ] {
        assert_eq!(answer, (204, Value::Null));
    }
    for secret_id in ["one", "two", "three", "four"] {
        let answer = login(&server, "web", secret_id).await;
        assert_eq!(
            (answer.0, error(&answer)),
            (400, "invalid role or secret ID")
        );
    }
    assert_eq!(accessors(&server, "web").await.0, 404);
}

#[tokio::test]
async fn an_accessor_works_under_its_own_role_only() {
    let server = server().await;
    role(&server, "mine", json!({})).await;
    role(&server, "theirs", json!({"role_id": "theirs"})).await;
    let accessor = custom(&server, "theirs", "sid").await;
    let data = json!({"secret_id_accessor": accessor});
    for path in [
        "mine/secret-id-accessor/lookup",
        "mine/secret-id-accessor/destroy",
    ] {
        let answer = below(&server, path, data.clone()).await;
        assert_eq!(answer.0, 404, "{path}");
        assert!(error(&answer).starts_with("failed to find accessor entry"));
    }
    let data = json!({"secret_id": "sid"});
    assert_eq!(below(&server, "mine/secret-id/destroy", data).await.0, 204);
    assert_eq!(login(&server, "theirs", "sid").await.0, 200);
}

#[tokio::test]
async fn a_deleted_role_leaves_nothing_behind() {
    let server = server().await;
    let count = || async {
        let core = server.node.core().unwrap();
        core.store
            .keys("mount/", None, usize::MAX)
            .await
            .unwrap()
            .len()
    };
    let before = count().await;
    role(
        &server,
        "web",
        json!({"role_id": "web", "secret_id_ttl": "1h"}),
    )
    .await;
    for number in 0..600 {
        custom(&server, "web", &format!("secret {number}")).await;
    }
    assert_eq!(server.delete(ROOT, "auth/approle/role/web").await.0, 204);
    assert_eq!(count().await, before);
    assert_eq!(login(&server, "web", "secret 1").await.0, 400);
    role(&server, "web", json!({"role_id": "web"})).await;
    let answer = login(&server, "web", "secret 1").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "invalid role or secret ID")
    );
}

#[tokio::test]
async fn tidying_removes_the_expired_and_keeps_the_others() {
    let server = server().await;
    role(&server, "web", json!({"role_id": "web"})).await;
    for number in 0..300 {
        let data = json!({"secret_id": format!("short {number}"), "ttl": 60});
        below(&server, "web/custom-secret-id", data).await;
    }
    for (secret_id, ttl) in [("long", 3600), ("endless", 0)] {
        let data = json!({"secret_id": secret_id, "ttl": ttl});
        below(&server, "web/custom-secret-id", data).await;
    }
    server.clock.advance_secs(60);
    assert_eq!(login(&server, "web", "short 1").await.0, 400);
    let (status, body) = server
        .write(ROOT, "auth/approle/tidy/secret-id", json!({}))
        .await;
    let warning = "Tidy operation successfully started. Any information from the operation will \
                   be printed to Vault's server logs.";
    assert_eq!((status, &body["warnings"]), (202, &json!([warning])));
    assert_eq!(body["data"], Value::Null);
    server.node.tick().await;
    while accessors(&server, "web").await.1["data"]["keys"]
        .as_array()
        .unwrap()
        .len()
        > 2
    {
        tokio::task::yield_now().await;
    }
    for secret_id in ["long", "endless"] {
        assert_eq!(login(&server, "web", secret_id).await.0, 200, "{secret_id}");
    }
}

#[tokio::test]
async fn nothing_stored_holds_a_secret_in_plain() {
    let server = server().await;
    let role_id = "a-role-id-that-can-be-recognised";
    role(&server, "web", json!({"role_id": role_id})).await;
    let secret_id = "a-secret-id-that-can-be-recognised";
    let accessor = custom(&server, "web", secret_id).await;
    let core = server.node.core().unwrap();
    for (key, entry) in core.store.scan("mount/", None, usize::MAX).await.unwrap() {
        let value = String::from_utf8_lossy(&entry.value);
        assert!(
            !key.contains(secret_id) && !value.contains(secret_id),
            "{key}"
        );
        assert!(!key.contains(role_id) && !key.contains(&accessor), "{key}");
    }
}

#[tokio::test]
async fn a_wrapped_secret_id_comes_with_its_accessor() {
    let server = server().await;
    role(&server, "web", json!({"role_id": "web"})).await;
    let path = "auth/approle/role/web/secret-id";
    let (status, body) = server.write_wrapped(ROOT, path, json!({}), 60).await;
    assert_eq!((status, &body["data"]), (200, &Value::Null));
    let listed = accessors(&server, "web").await.1;
    assert_eq!(
        body["wrap_info"]["wrapped_accessor"],
        listed["data"]["keys"][0]
    );
    let token = body["wrap_info"]["token"].as_str().unwrap();
    let unwrapped = server
        .write(token, "sys/wrapping/unwrap", json!({}))
        .await
        .1;
    let secret_id = unwrapped["data"]["secret_id"].as_str().unwrap();
    assert_eq!(login(&server, "web", secret_id).await.0, 200);
}
