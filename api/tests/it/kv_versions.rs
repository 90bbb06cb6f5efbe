//! `kv` with versions.

use serde_json::{Value, json};

use crate::kv::{mount, server_with_kv};
use crate::support::{Answer, ROOT, Server, error};

async fn put(server: &Server, path: &str, data: Value) -> Answer {
    server
        .write(ROOT, &format!("kv/data/{path}"), json!({ "data": data }))
        .await
}

async fn put_cas(server: &Server, cas: Value) -> Answer {
    let body = json!({"data": {"a": 1}, "options": {"cas": cas}});
    server.write(ROOT, "kv/data/x", body).await
}

async fn data(server: &Server, path: &str) -> (u16, Value) {
    let (status, body) = server.read(ROOT, &format!("kv/data/{path}")).await;
    (status, body["data"]["data"].clone())
}

#[tokio::test]
async fn every_write_makes_a_version_that_can_be_read() {
    let server = server_with_kv("2").await;
    let (status, body) = put(&server, "a/b", json!({"n": 1})).await;
    let created = "2027-01-15T08:00:00Z";
    let first = json!({
        "created_time": created, "custom_metadata": null, "deletion_time": "", "destroyed": false,
        "version": 1,
    });
    assert_eq!((status, &body["data"]), (200, &first));
    put(&server, "a/b", json!({"n": 2})).await;
    assert_eq!(data(&server, "a/b").await, (200, json!({"n": 2})));
    for (version, expected) in [(1, 1), (2, 2), (0, 2), (-1, 2)] {
        let (_, body) = read_version(&server, "a/b", version).await;
        assert_eq!(body["data"]["data"], json!({"n": expected}), "{version}");
    }
    let (_, body) = read_version(&server, "a/b", 1).await;
    assert_eq!(body["data"]["metadata"], first);
    assert_eq!(
        read_version(&server, "a/b", 3).await,
        (404, json!({"errors": []}))
    );
    assert_eq!(data(&server, "a").await.0, 404);
    let (_, body) = server.read(ROOT, "kv/metadata/a/b").await;
    let version = json!({"created_time": created, "deletion_time": "", "destroyed": false});
    assert_eq!(
        body["data"],
        json!({
            "cas_required": false, "created_time": created, "current_metadata_version": 0,
            "current_version": 2, "custom_metadata": null, "delete_version_after": "0s",
            "max_versions": 0, "metadata_cas_required": false, "oldest_version": 0,
            "updated_time": created, "versions": {"1": version, "2": version},
        })
    );
}

async fn read_version(server: &Server, path: &str, version: i64) -> Answer {
    use signet_api::call::Op;
    let query = json!({"version": version.to_string()});
    let path = format!("kv/data/{path}");
    server
        .call(crate::support::call(Op::Read, &path, ROOT, query))
        .await
}

#[tokio::test]
async fn data_must_be_an_object_or_null() {
    let server = server_with_kv("2").await;
    let answer = server.write(ROOT, "kv/data/x", json!({})).await;
    assert_eq!((answer.0, error(&answer)), (400, "no data provided"));
    let answer = put(&server, "x", json!("text")).await;
    let text = "error converting input for field \"data\": '' expected type \
                'map[string]interface {}', got unconvertible type 'string'";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(put(&server, "x", Value::Null).await.0, 200);
    assert_eq!(data(&server, "x").await, (200, Value::Null));
}

#[tokio::test]
async fn check_and_set_writes_only_on_the_version_it_names() {
    let server = server_with_kv("2").await;
    let mismatch = "check-and-set parameter did not match the current version";
    for (cas, expected) in [
        (json!(1), Err(mismatch)),
        (json!(0), Ok(1)),
        (json!(0), Err(mismatch)),
        (Value::Null, Err(mismatch)),
        (json!("1"), Ok(2)),
        (json!(-1), Err(mismatch)),
        (json!("abc"), Err("error parsing check-and-set parameter")),
        (json!(2), Ok(3)),
    ] {
        let answer = put_cas(&server, cas.clone()).await;
        match expected {
            Ok(version) => assert_eq!(answer.1["data"]["version"], version, "{cas}"),
            Err(text) => assert_eq!((answer.0, error(&answer)), (400, text), "{cas}"),
        }
    }
    for path in ["kv/config", "kv/metadata/x"] {
        let required = json!({"cas_required": true});
        assert_eq!(server.write(ROOT, path, required).await.0, 204);
        let answer = put(&server, "x", json!({})).await;
        let text = "check-and-set parameter required for this call";
        assert_eq!((answer.0, error(&answer)), (400, text), "{path}");
        server
            .write(ROOT, "kv/config", json!({"cas_required": false}))
            .await;
    }
}

#[tokio::test]
async fn of_writers_at_once_with_check_and_set_one_wins() {
    for seed in 0..20 {
        let server = Server::start_interleaved(seed).await;
        mount(&server, "2").await;
        let zero = || put_cas(&server, json!(0));
        let (a, b, c) = tokio::join!(zero(), zero(), zero());
        let statuses = [a.0, b.0, c.0];
        let won = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "{seed} {statuses:?}");
    }
}

#[tokio::test]
async fn writers_at_once_make_a_version_each() {
    for seed in 0..20 {
        let server = Server::start_interleaved(seed).await;
        mount(&server, "2").await;
        let write = async |number: u64| put(&server, "x", json!({ "n": number })).await;
        let answers = tokio::join!(write(1), write(2), write(3), write(4));
        for (number, answer) in [
            (1, answers.0),
            (2, answers.1),
            (3, answers.2),
            (4, answers.3),
        ] {
            let version = answer.1["data"]["version"].as_i64().unwrap();
            let (_, body) = read_version(&server, "x", version).await;
            assert_eq!(body["data"]["data"], json!({ "n": number }), "{seed}");
        }
        let (_, body) = server.read(ROOT, "kv/metadata/x").await;
        assert_eq!(body["data"]["current_version"], 4);
    }
}

#[tokio::test]
async fn deleted_versions_answer_404_with_their_metadata() {
    let server = server_with_kv("2").await;
    put(&server, "x", json!({"n": 1})).await;
    server.clock.advance_secs(5);
    assert_eq!(server.delete(ROOT, "kv/data/x").await.0, 204);
    let (status, body) = server.read(ROOT, "kv/data/x").await;
    let metadata = json!({
        "created_time": "2027-01-15T08:00:00Z", "custom_metadata": null,
        "deletion_time": "2027-01-15T08:00:05Z", "destroyed": false, "version": 1,
    });
    assert_eq!(
        (status, &body["data"]),
        (404, &json!({"data": null, "metadata": metadata}))
    );
    // A second deletion does not move the time.
    server.clock.advance_secs(5);
    assert_eq!(server.delete(ROOT, "kv/data/x").await.0, 204);
    let (_, body) = server.read(ROOT, "kv/data/x").await;
    assert_eq!(body["data"]["metadata"], metadata);

    let versions = json!({"versions": ["1", 99, -3]});
    assert_eq!(server.write(ROOT, "kv/undelete/x", versions).await.0, 204);
    assert_eq!(data(&server, "x").await, (200, json!({"n": 1})));
    assert_eq!(
        server
            .write(ROOT, "kv/delete/x", json!({"versions": "1,2"}))
            .await
            .0,
        204
    );
    assert_eq!(data(&server, "x").await, (404, Value::Null));
    assert_eq!(
        server
            .write(ROOT, "kv/undelete/x", json!({"versions": 1}))
            .await
            .0,
        204
    );

    assert_eq!(
        server
            .write(ROOT, "kv/destroy/x", json!({"versions": [1]}))
            .await
            .0,
        204
    );
    assert_eq!(
        server
            .write(ROOT, "kv/undelete/x", json!({"versions": [1]}))
            .await
            .0,
        204
    );
    let (status, body) = server.read(ROOT, "kv/data/x").await;
    assert_eq!((status, &body["data"]["data"]), (404, &Value::Null));
    assert_eq!(body["data"]["metadata"]["destroyed"], true);
    for (path, text) in [
        ("kv/delete/x", "No version number provided"),
        ("kv/undelete/x", "No version number provided"),
        ("kv/destroy/x", "no version number provided"),
    ] {
        let answer = server.write(ROOT, path, json!({"versions": []})).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
        let answer = server.write(ROOT, path, json!({"versions": ["x"]})).await;
        assert_eq!(answer.0, 400);
        let path = path.replace('x', "none");
        assert_eq!(
            server.write(ROOT, &path, json!({"versions": [1]})).await.0,
            204
        );
    }
    assert_eq!(server.delete(ROOT, "kv/data/none").await.0, 204);
}

#[tokio::test]
async fn destroyed_and_given_up_versions_leave_no_data_behind() {
    let server = server_with_kv("2").await;
    let entries = async || {
        let store = &server.node.core().unwrap().store;
        store.keys("mount/", None, usize::MAX).await.unwrap()
    };
    server
        .write(ROOT, "kv/config", json!({"max_versions": 2}))
        .await;
    let before = entries().await;
    for number in 0..5 {
        put(&server, "x/y", json!({ "n": number })).await;
    }
    assert_eq!(
        entries().await.len(),
        before.len() + 3,
        "two versions and their record"
    );
    server
        .write(ROOT, "kv/destroy/x/y", json!({"versions": [4]}))
        .await;
    assert_eq!(entries().await.len(), before.len() + 2);
    assert_eq!(server.delete(ROOT, "kv/metadata/x/y").await.0, 204);
    assert_eq!(entries().await, before);
    assert_eq!(data(&server, "x/y").await.0, 404);
    let (_, body) = put(&server, "x/y", json!({})).await;
    assert_eq!(body["data"]["version"], 1, "begins anew");
}

#[tokio::test]
async fn versions_go_when_their_time_has_come() {
    let server = server_with_kv("2").await;
    let hour = json!({"delete_version_after": "1h"});
    assert_eq!(server.write(ROOT, "kv/config", hour).await.0, 204);
    let (_, body) = put(&server, "x", json!({"n": 1})).await;
    assert_eq!(body["data"]["deletion_time"], "2027-01-15T09:00:00Z");
    server.clock.advance_millis(3_599_999);
    assert_eq!(data(&server, "x").await.0, 200);
    server.clock.advance_millis(1);
    assert_eq!(data(&server, "x").await, (404, Value::Null));
    let never = json!({"delete_version_after": "-1s"});
    assert_eq!(server.write(ROOT, "kv/config", never).await.0, 204);
    let (_, body) = server.read(ROOT, "kv/config").await;
    assert_eq!(
        body["data"],
        json!({
            "cas_required": false, "delete_version_after": "-1s", "max_versions": 0,
            "metadata_cas_required": false,
        })
    );
    let (_, body) = put(&server, "x", json!({"n": 1})).await;
    assert_eq!(body["data"]["deletion_time"], "");
}

#[tokio::test]
async fn patches_merge_into_the_newest_version() {
    let server = server_with_kv("2").await;
    let patch = async |data: Value| {
        server
            .patch(ROOT, "kv/data/x", json!({ "data": data }))
            .await
    };
    assert_eq!(patch(json!({"a": 1})).await, (404, Value::Null));
    put(&server, "x", json!({"a": 1, "b": {"c": 1, "d": 2}})).await;
    let (status, body) = patch(json!({"a": null, "b": {"c": null, "e": 5}, "f": "g"})).await;
    assert_eq!((status, &body["data"]["version"]), (200, &json!(2)));
    assert_eq!(
        data(&server, "x").await.1,
        json!({"b": {"d": 2, "e": 5}, "f": "g"})
    );
    let cas = json!({"data": {"f": 1}, "options": {"cas": 1}});
    let answer = server.patch(ROOT, "kv/data/x", cas).await;
    let text = "check-and-set parameter did not match the current version";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let answer = server.patch(ROOT, "kv/data/x", json!({})).await;
    assert_eq!((answer.0, error(&answer)), (400, "no data provided"));
    server.delete(ROOT, "kv/data/x").await;
    let (status, body) = patch(json!({"a": 1})).await;
    assert_eq!((status, &body["data"]["version"]), (404, &json!(2)));
    let rules = r#"path "kv/*" { capabilities = ["create", "update", "read"] }"#;
    let token = server.token_with("no-patch", rules).await;
    let body = json!({"data": {"a": 1}});
    assert_eq!(server.patch(&token, "kv/data/x", body).await.0, 403);
}

#[tokio::test]
async fn metadata_are_written_and_patched() {
    let server = server_with_kv("2").await;
    let all = json!({
        "cas_required": true, "custom_metadata": {"owner": "me", "n": 5},
        "delete_version_after": "3h25m19s", "max_versions": 2,
    });
    assert_eq!(server.write(ROOT, "kv/metadata/x", all).await.0, 204);
    let shown = async || server.read(ROOT, "kv/metadata/x").await.1["data"].clone();
    let metadata = shown().await;
    assert_eq!(
        metadata["custom_metadata"],
        json!({"owner": "me", "n": "5"})
    );
    assert_eq!(metadata["delete_version_after"], "3h25m19s");
    assert_eq!(
        [
            &metadata["current_version"],
            &metadata["current_metadata_version"]
        ],
        [0, 1]
    );
    assert_eq!(server.read(ROOT, "kv/data/x").await.0, 404);
    let patch = json!({"custom_metadata": {"n": null, "team": "a"}, "max_versions": 3});
    assert_eq!(server.patch(ROOT, "kv/metadata/x", patch).await.0, 204);
    let metadata = shown().await;
    assert_eq!(
        metadata["custom_metadata"],
        json!({"owner": "me", "team": "a"})
    );
    assert_eq!(
        (&metadata["max_versions"], &metadata["cas_required"]),
        (&json!(3), &json!(true))
    );
    let replace = json!({"custom_metadata": {"only": "this"}});
    assert_eq!(server.write(ROOT, "kv/metadata/x", replace).await.0, 204);
    assert_eq!(shown().await["custom_metadata"], json!({"only": "this"}));
    assert_eq!(
        put_cas(&server, json!(0)).await.1["data"]["custom_metadata"]["only"],
        "this"
    );
    assert_eq!(
        server
            .patch(ROOT, "kv/metadata/x", json!({"custom_metadata": null}))
            .await
            .0,
        204
    );
    assert_eq!(shown().await["custom_metadata"], Value::Null);

    assert_eq!(server.write(ROOT, "kv/metadata/y", json!({})).await.0, 204);
    assert_eq!(
        server.read(ROOT, "kv/metadata/y").await.0,
        404,
        "nothing said, nothing made"
    );
    assert_eq!(
        server
            .patch(ROOT, "kv/metadata/y", json!({"max_versions": 1}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn metadata_have_bounds() {
    let server = server_with_kv("2").await;
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!("v"))).collect();
    for (custom, text) in [
        (
            json!({"": "a"}),
            "length of key \"\" is 0 but must be 0 < len(key) <= 128",
        ),
        (
            json!({"a": ""}),
            "length of value for key \"a\" is 0 but must be 0 < len(value) <= 512",
        ),
        (
            json!(many),
            "payload must contain at most 64 keys, provided 65",
        ),
        (json!({"a\u{1}": "b"}), "contains unprintable characters"),
    ] {
        let body = json!({ "custom_metadata": custom });
        let answer = server.write(ROOT, "kv/metadata/x", body).await;
        let full = error(&answer);
        assert_eq!(answer.0, 400);
        let start = "1 error occurred:\n\t* custom_metadata validation failed: ";
        assert!(full.starts_with(start) && full.contains(text), "{full}");
    }
    for (path, most) in [
        ("kv/metadata/x", 1001),
        ("kv/metadata/x", -1),
        ("kv/config", 1001),
    ] {
        let answer = server
            .write(ROOT, path, json!({"max_versions": most}))
            .await;
        assert_eq!(
            (answer.0, error(&answer)),
            (400, "max_versions must be between 0 and 1000")
        );
    }
}

#[tokio::test]
async fn metadata_have_a_check_and_set_of_their_own() {
    let server = server_with_kv("2").await;
    let write = async |body: Value| server.write(ROOT, "kv/metadata/x", body).await;
    assert_eq!(write(json!({"metadata_cas_required": true})).await.0, 204);
    let answer = write(json!({"max_versions": 1})).await;
    let text = "metadata check-and-set parameter required for this call";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let answer = write(json!({"max_versions": 1, "metadata_cas": 0})).await;
    let text = "metadata check-and-set parameter does not match the current version";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(
        write(json!({"max_versions": 1, "metadata_cas": 1})).await.0,
        204
    );
}

#[tokio::test]
async fn subkeys_show_names_and_no_values() {
    let server = server_with_kv("2").await;
    put(
        &server,
        "x",
        json!({"a": "canary", "b": {"c": 1, "d": {"e": 2}}, "l": ["canary"]}),
    )
    .await;
    let (_, body) = server.read(ROOT, "kv/subkeys/x").await;
    let names = json!({"a": null, "b": {"c": null, "d": {"e": null}}, "l": null});
    assert_eq!(body["data"]["subkeys"], names);
    assert_eq!(body["data"]["metadata"]["version"], 1);
    assert!(!body.to_string().contains("canary"));
    server.delete(ROOT, "kv/data/x").await;
    let (status, body) = server.read(ROOT, "kv/subkeys/x").await;
    assert_eq!((status, &body["data"]["subkeys"]), (404, &Value::Null));
}

#[tokio::test]
async fn paths_of_a_store_without_versions_say_where_to_look() {
    let server = server_with_kv("2").await;
    put(&server, "x", json!({})).await;
    let texts = [
        server.read(ROOT, "kv/x").await,
        server.list(ROOT, "kv").await,
        server.write(ROOT, "kv/x", json!({"a": 1})).await,
        server.delete(ROOT, "kv/x").await,
    ]
    .map(|(status, body)| {
        assert_eq!(status, 404);
        let warnings = body["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{body}");
        warnings[0].as_str().unwrap().to_owned()
    });
    for (text, command) in texts.iter().zip(["get", "list", "put", "delete"]) {
        assert!(text.contains(&format!("vault kv {command}")), "{text}");
    }
    let (_, body) = server.read(ROOT, "kv/metadata").await;
    let text = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    assert_eq!(body["warnings"], json!([text]));
}

#[tokio::test]
async fn secrets_whose_names_look_like_versions_do_not_meet() {
    let server = server_with_kv("2").await;
    for (path, n) in [("a", 1), ("a/1", 2), ("a/1/1", 3)] {
        put(&server, path, json!({ "n": n })).await;
    }
    for (path, n) in [("a", 1), ("a/1", 2), ("a/1/1", 3)] {
        assert_eq!(data(&server, path).await.1, json!({ "n": n }), "{path}");
    }
    server.delete(ROOT, "kv/metadata/a").await;
    assert_eq!(data(&server, "a/1").await.1, json!({"n": 2}));
}
