//! `auth/approle/role`: roles and their single fields.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Server, error};

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    server
}

async fn write(server: &Server, role: &str, data: Value) -> Answer {
    let path = format!("auth/approle/role/{role}");
    server.write(ROOT, &path, data).await
}

async fn read(server: &Server, role: &str) -> Value {
    let answer = server
        .read(ROOT, &format!("auth/approle/role/{role}"))
        .await;
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1["data"].clone()
}

fn defaults() -> Value {
    json!({
        "bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": null,
        "secret_id_num_uses": 0, "secret_id_ttl": 0, "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false,
        "token_num_uses": 0, "token_period": 0, "token_policies": [],
        "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default",
    })
}

#[tokio::test]
async fn a_new_role_has_the_defaults_and_keeps_what_is_not_given() {
    let server = server().await;
    assert_eq!(write(&server, "web", json!({})).await, (204, Value::Null));
    assert_eq!(read(&server, "web").await, defaults());

    let data =
        json!({"token_ttl": "20m", "token_policies": "Dev, x", "secret_id_num_uses": "0x10"});
    assert_eq!(write(&server, "web", data).await.0, 204);
    assert_eq!(
        write(&server, "web", json!({"token_num_uses": 7})).await.0,
        204
    );
    let mut expected = defaults();
    expected["token_ttl"] = json!(1200);
    expected["token_policies"] = json!(["Dev", "x"]);
    expected["secret_id_num_uses"] = json!(16);
    expected["token_num_uses"] = json!(7);
    assert_eq!(read(&server, "web").await, expected);

    server.restart().await;
    assert_eq!(read(&server, "web").await, expected);
}

#[tokio::test]
async fn names_are_the_same_in_any_case() {
    let server = server().await;
    write(&server, "Role1", json!({"token_ttl": 5})).await;
    write(&server, "rOLE1", json!({"token_num_uses": 3})).await;
    let role = read(&server, "role1").await;
    assert_eq!(
        (&role["token_ttl"], &role["token_num_uses"]),
        (&json!(5), &json!(3))
    );
    let listed = server.list(ROOT, "auth/approle/role").await;
    assert_eq!(listed.1["data"], json!({"keys": ["role1"]}));
    assert_eq!(server.delete(ROOT, "auth/approle/role/ROLE1").await.0, 204);
    assert_eq!(
        server.list(ROOT, "auth/approle/role").await,
        (404, json!({"errors": []}))
    );
}

#[tokio::test]
async fn lists_in_pages() {
    let server = server().await;
    for name in ["c", "a.b-c_d", "b"] {
        write(&server, name, json!({})).await;
    }
    let page = |after: &str, limit: i64| {
        let data = json!({"after": after, "limit": limit});
        crate::support::call(signet_api::call::Op::List, "auth/approle/role/", ROOT, data)
    };
    for (after, limit, keys) in [
        ("", 0, vec!["a.b-c_d", "b", "c"]),
        ("", -1, vec!["a.b-c_d", "b", "c"]),
        ("", 2, vec!["a.b-c_d", "b"]),
        ("b", 2, vec!["c"]),
    ] {
        let answer = server.call(page(after, limit)).await;
        assert_eq!(answer.1["data"]["keys"], json!(keys), "{after} {limit}");
    }
}

#[tokio::test]
async fn what_is_missing_is_not_found_and_deleting_it_is_fine() {
    let server = server().await;
    let not_found = (404, json!({"errors": []}));
    assert_eq!(server.read(ROOT, "auth/approle/role/nope").await, not_found);
    assert_eq!(server.list(ROOT, "auth/approle/role").await, not_found);
    assert_eq!(server.delete(ROOT, "auth/approle/role/nope").await.0, 204);
    let path = "auth/approle/role/nope/token-ttl";
    assert_eq!(server.read(ROOT, path).await, not_found);
    assert_eq!(server.delete(ROOT, path).await.0, 204);
    let answer = server.write(ROOT, path, json!({"token_ttl": 5})).await;
    let text = "1 error occurred:\n\t* unsupported path\n\n";
    assert_eq!((answer.0, error(&answer)), (404, text));
    for (path, text) in [
        ("role/a@b", "1 error occurred:\n\t* unsupported path\n\n"),
        ("nope", "1 error occurred:\n\t* unsupported path\n\n"),
    ] {
        let answer = server.read(ROOT, &format!("auth/approle/{path}")).await;
        assert_eq!((answer.0, error(&answer)), (404, text), "{path}");
    }
}

#[tokio::test]
async fn refuses_what_does_not_fit_together() {
    let server = server().await;
    for (data, text) in [
        (
            json!({"token_ttl": "2h", "token_max_ttl": "1h"}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
        (
            json!({"token_period": "100000h"}),
            "period of \"100000h0m0s\" is greater than the backend's maximum lease TTL of \
             \"768h0m0s\"",
        ),
        (
            json!({"period": "100000h"}),
            "period of \"100000h0m0s\" is greater than the backend's maximum lease TTL of \
             \"768h0m0s\"",
        ),
        (
            json!({"token_type": "batch", "token_period": 60}),
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens",
        ),
        (
            json!({"token_type": "default-batch", "token_num_uses": 1}),
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with \
             limited use count",
        ),
        (
            json!({"bind_secret_id": false}),
            "at least one constraint should be enabled on the role",
        ),
        (
            json!({"token_strictly_bind_ip": true, "token_bound_cidrs": "10.0.0.0/8"}),
            "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
        ),
        (
            json!({"secret_id_num_uses": -1}),
            "secret_id_num_uses cannot be negative",
        ),
        (
            json!({"token_num_uses": -1}),
            "'token_num_uses' cannot be negative",
        ),
        (
            json!({"role_id": ""}),
            "invalid role_id supplied, or failed to generate a role_id",
        ),
        (
            json!({"role_id": "r".repeat(4097)}),
            "role_id is longer than maximum of 4096 bytes",
        ),
        (
            json!({"secret_id_bound_cidrs": "127.0.0.1"}),
            "failed to validate CIDR blocks: invalid CIDR address: 127.0.0.1",
        ),
        (
            json!({"secret_id_bound_cidrs": ["10.0.0.0/8", "bad"]}),
            "failed to validate CIDR blocks: invalid CIDR address: bad",
        ),
        (
            json!({"token_bound_cidrs": "bad"}),
            "error parsing address \"bad\": Unable to convert \"bad\" to an IPv4 or IPv6 address, \
             or a UNIX Socket",
        ),
        (
            json!({"token_type": "bogus"}),
            "invalid 'token_type' value \"bogus\"",
        ),
        (json!({"token_type": 5}), "invalid 'token_type' value \"5\""),
        (
            json!({"token_type": true}),
            "invalid 'token_type' value \"1\"",
        ),
        (
            json!({"token_type": ["batch"]}),
            "error converting input for field \"token_type\": '' expected type 'string', got \
             unconvertible type '[]interface {}'",
        ),
        (
            json!({"token_ttl": "-5"}),
            "error converting input for field \"token_ttl\": cannot provide negative value '-5'",
        ),
        (
            json!({"token_ttl": "9999999999h"}),
            "error converting input for field \"token_ttl\": time: invalid duration \
             \"9999999999h\"",
        ),
    ] {
        let answer = write(&server, "web", data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{data}");
    }
    assert_eq!(server.read(ROOT, "auth/approle/role/web").await.0, 404);
    let answer = write(&server, &"n".repeat(1025), json!({})).await;
    let text = "role_name is longer than maximum of 1024 bytes";
    assert_eq!((answer.0, error(&answer)), (400, text));
}

#[tokio::test]
async fn warns_of_what_it_adjusts() {
    let server = server().await;
    for (data, warning) in [
        (
            json!({"token_max_ttl": "100000h"}),
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' \
             max TTL value will be truncated",
        ),
        (
            json!({"token_type": "default-service"}),
            "default-service has no useful meaning; adjusting to service",
        ),
        (
            json!({"token_type": "default-batch"}),
            "default-batch has no useful meaning; adjusting to batch",
        ),
    ] {
        let (status, body) = write(&server, "web", data).await;
        assert_eq!((status, &body["warnings"]), (200, &json!([warning])));
        assert_eq!(body["data"], Value::Null);
    }
    assert_eq!(read(&server, "web").await["token_type"], "batch");
    assert_eq!(
        write(&server, "web", json!({"token_type": null})).await.0,
        204
    );
    assert_eq!(read(&server, "web").await["token_type"], "default");
    assert_eq!(write(&server, "web", json!({"unknown": 1})).await.0, 204);
}

#[tokio::test]
async fn old_names_of_fields_work_and_are_shown_when_they_were_used() {
    let server = server().await;
    write(
        &server,
        "web",
        json!({"policies": "B,a,default", "period": 60}),
    )
    .await;
    let role = read(&server, "web").await;
    for name in ["policies", "token_policies"] {
        assert_eq!(role[name], json!(["a", "b", "default"]));
    }
    assert_eq!(
        (&role["period"], &role["token_period"]),
        (&json!(60), &json!(60))
    );

    write(
        &server,
        "web",
        json!({"policies": "a", "token_policies": ["X", "x"], "period": 61}),
    )
    .await;
    assert_eq!(read(&server, "web").await["policies"], json!(["X", "x"]));
    write(
        &server,
        "web",
        json!({"token_policies": "Z", "token_period": 80}),
    )
    .await;
    let role = read(&server, "web").await;
    assert_eq!(role["token_policies"], json!(["Z"]));
    assert_eq!((role.get("policies"), role.get("period")), (None, None));

    write(&server, "web", json!({"bound_cidr_list": "10.0.0.0/8"})).await;
    assert_eq!(
        read(&server, "web").await["secret_id_bound_cidrs"],
        json!(["10.0.0.0/8"])
    );
    write(&server, "web", json!({"policies": "a,Root"})).await;
    assert_eq!(
        read(&server, "web").await["token_policies"],
        json!(["root"])
    );
}

#[tokio::test]
async fn cluster_local_secret_ids_are_decided_when_the_role_is_made() {
    let server = server().await;
    write(&server, "web", json!({"local_secret_ids": true})).await;
    let path = "auth/approle/role/web/local-secret-ids";
    assert_eq!(
        server.read(ROOT, path).await.1["data"],
        json!({"local_secret_ids": true})
    );
    let answer = write(&server, "web", json!({"local_secret_ids": true})).await;
    let text = "local_secret_ids can only be modified during role creation";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let answer = server.write(ROOT, path, json!({})).await;
    assert_eq!(answer.0, 405);
}

#[tokio::test]
async fn every_field_can_be_read_set_and_reset_alone() {
    let server = server().await;
    // Path, what is written, what is shown then, what is shown after a reset, the missing field.
    for (path, written, shown, reset, missing) in [
        (
            "bind-secret-id",
            json!({"bind_secret_id": "true"}),
            json!({"bind_secret_id": true}),
            json!({"bind_secret_id": true}),
            Some("missing bind_secret_id"),
        ),
        (
            "bound-cidr-list",
            json!({"bound_cidr_list": "10.0.0.0/8"}),
            json!({"bound_cidr_list": ["10.0.0.0/8"]}),
            json!({"bound_cidr_list": null}),
            None,
        ),
        (
            "period",
            json!({"token_period": "1m"}),
            json!({"token_period": 60}),
            json!({"token_period": 0}),
            Some("missing period"),
        ),
        (
            "period",
            json!({"period": "1m"}),
            json!({"period": 60, "token_period": 60}),
            json!({"token_period": 0}),
            Some("missing period"),
        ),
        (
            "policies",
            json!({"token_policies": "B,a"}),
            json!({"token_policies": ["B", "a"]}),
            json!({"token_policies": []}),
            Some("missing token_policies"),
        ),
        (
            "policies",
            json!({"policies": "B,a"}),
            json!({"policies": ["a", "b"], "token_policies": ["a", "b"]}),
            json!({"token_policies": []}),
            Some("missing token_policies"),
        ),
        (
            "secret-id-bound-cidrs",
            json!({"secret_id_bound_cidrs": ["127.0.0.1/32", "10.1.2.3/8"]}),
            json!({"secret_id_bound_cidrs": ["127.0.0.1/32", "10.1.2.3/8"]}),
            json!({"secret_id_bound_cidrs": null}),
            None,
        ),
        (
            "secret-id-num-uses",
            json!({"secret_id_num_uses": 4}),
            json!({"secret_id_num_uses": 4}),
            json!({"secret_id_num_uses": 0}),
            Some("missing secret_id_num_uses"),
        ),
        (
            "secret-id-ttl",
            json!({"secret_id_ttl": "1d"}),
            json!({"secret_id_ttl": 86400}),
            json!({"secret_id_ttl": 0}),
            Some("missing secret_id_ttl"),
        ),
        (
            "token-bound-cidrs",
            json!({"token_bound_cidrs": "127.0.0.1,::1,10.0.0.0/8"}),
            json!({"token_bound_cidrs": ["127.0.0.1", "::1", "10.0.0.0/8"]}),
            json!({"token_bound_cidrs": null}),
            None,
        ),
        (
            "token-max-ttl",
            json!({"token_max_ttl": "2h"}),
            json!({"token_max_ttl": 7200}),
            json!({"token_max_ttl": 0}),
            Some("missing token_max_ttl"),
        ),
        (
            "token-num-uses",
            json!({"token_num_uses": 9}),
            json!({"token_num_uses": 9}),
            json!({"token_num_uses": 0}),
            Some("missing token_num_uses"),
        ),
        (
            "token-ttl",
            json!({"token_ttl": "1h", "unknown": 1}),
            json!({"token_ttl": 3600}),
            json!({"token_ttl": 0}),
            Some("missing token_ttl"),
        ),
    ] {
        let name = format!("role-{path}");
        write(&server, &name, json!({})).await;
        let path = format!("auth/approle/role/{name}/{path}");
        let answer = server.write(ROOT, &path, json!({})).await;
        match missing {
            Some(text) => assert_eq!((answer.0, error(&answer)), (400, text), "{path}"),
            None => assert_eq!(answer.0, 204, "{path}"),
        }
        assert_eq!(server.write(ROOT, &path, written).await, (204, Value::Null));
        assert_eq!(server.read(ROOT, &path).await.1["data"], shown, "{path}");
        assert_eq!(server.delete(ROOT, &path).await.0, 204, "{path}");
        assert_eq!(server.read(ROOT, &path).await.1["data"], reset, "{path}");
    }
    let path = "auth/approle/role/role-bound-cidr-list/bound-cidr-list";
    let warning = "The \"bound_cidr_list\" field is deprecated and will be removed. Please use \
                   \"secret_id_bound_cidrs\" instead.";
    assert_eq!(
        server.read(ROOT, path).await.1["warnings"],
        json!([warning])
    );
}

#[tokio::test]
async fn single_fields_obey_the_same_rules_as_the_whole_role() {
    let server = server().await;
    let data =
        json!({"token_ttl": "1h", "token_bound_cidrs": "10.0.0.0/8", "bind_secret_id": false});
    assert_eq!(write(&server, "web", data).await.0, 204);
    for (path, data, text) in [
        (
            "token-max-ttl",
            json!({"token_max_ttl": "30m"}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
        (
            "token-ttl",
            json!({"token_ttl": "x"}),
            "Field validation failed: error converting input for field \"token_ttl\": time: \
             invalid duration \"x\"",
        ),
        (
            "token-bound-cidrs",
            json!({"token_bound_cidrs": ""}),
            "at least one constraint should be enabled on the role",
        ),
        (
            "period",
            json!({"period": "100000h"}),
            "period of \"100000h0m0s\" is greater than the backend's maximum lease TTL of \
             \"768h0m0s\"",
        ),
    ] {
        let path = format!("auth/approle/role/web/{path}");
        let answer = server.write(ROOT, &path, data).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{path}");
    }
    let path = "auth/approle/role/web/token-bound-cidrs";
    let answer = server.delete(ROOT, path).await;
    let text = "at least one constraint should be enabled on the role";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(
        server.read(ROOT, path).await.1["data"]["token_bound_cidrs"],
        json!(["10.0.0.0/8"])
    );
}

#[tokio::test]
async fn a_role_id_belongs_to_one_role() {
    let server = server().await;
    write(&server, "a", json!({"role_id": "abc"})).await;
    write(&server, "b", json!({})).await;
    let path = "auth/approle/role/b/role-id";
    let random = server.read(ROOT, path).await.1["data"]["role_id"].clone();
    assert_eq!(random.as_str().unwrap().len(), 36);
    for answer in [
        server.write(ROOT, path, json!({"role_id": "abc"})).await,
        write(&server, "b", json!({"role_id": " abc "})).await,
        write(&server, "c", json!({"role_id": "abc"})).await,
    ] {
        assert_eq!((answer.0, error(&answer)), (400, "role_id already in use"));
    }
    for data in [json!({}), json!({"role_id": " "})] {
        let answer = server.write(ROOT, path, data).await;
        assert_eq!((answer.0, error(&answer)), (400, "missing role_id"));
    }
    // Its own is no conflict, another case is another id, and one that was given up is free.
    assert_eq!(write(&server, "a", json!({"role_id": "abc"})).await.0, 204);
    assert_eq!(write(&server, "b", json!({"role_id": "ABC"})).await.0, 204);
    assert_eq!(
        write(&server, "a", json!({"role_id": "other"})).await.0,
        204
    );
    assert_eq!(write(&server, "b", json!({"role_id": "abc"})).await.0, 204);
    server.delete(ROOT, "auth/approle/role/b").await;
    assert_eq!(write(&server, "c", json!({"role_id": "abc"})).await.0, 204);
    let answer = server.delete(ROOT, "auth/approle/role/c/role-id").await;
    assert_eq!(answer.0, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_roles_that_race_for_a_role_id_one_wins() {
    let server = std::sync::Arc::new(server().await);
    for round in 0..10 {
        let tasks: Vec<_> = (0..16)
            .map(|number| {
                let server = server.clone();
                tokio::spawn(async move {
                    let name = format!("r{round}-{number}");
                    let data = json!({"role_id": format!("id {round}")});
                    write(&server, &name, data).await.0
                })
            })
            .collect();
        let mut statuses = Vec::new();
        for task in tasks {
            statuses.push(task.await.unwrap());
        }
        let winners = statuses.iter().filter(|status| **status == 204).count();
        assert_eq!(winners, 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 204 | 400)));
    }
}
