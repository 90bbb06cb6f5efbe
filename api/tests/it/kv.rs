//! `kv` without versions, and its upgrade.

use serde_json::{Value, json};

use crate::support::{ROOT, Server, error};

pub(crate) async fn server_with_kv(version: &str) -> Server {
    let server = Server::start().await;
    mount(&server, version).await;
    server
}

pub(crate) async fn mount(server: &Server, version: &str) {
    let options = json!({"type": "kv", "options": {"version": version}});
    assert_eq!(server.write(ROOT, "sys/mounts/kv", options).await.0, 204);
}

#[tokio::test]
async fn keeps_what_is_written_last() {
    let server = server_with_kv("1").await;
    for data in [json!({"a": 1}), json!({"b": {"c": [true, null]}})] {
        assert_eq!(server.write(ROOT, "kv/x/y", data.clone()).await.0, 204);
        let (status, body) = server.read(ROOT, "kv/x/y").await;
        assert_eq!((status, &body["data"]), (200, &data));
    }
    assert_eq!(
        server.list(ROOT, "kv").await.1["data"]["keys"],
        json!(["x/"])
    );
    assert_eq!(
        server.list(ROOT, "kv/x").await.1["data"]["keys"],
        json!(["y"])
    );
    assert_eq!(server.delete(ROOT, "kv/x/y").await.0, 204);
    assert_eq!(server.delete(ROOT, "kv/x/y").await.0, 204);
    let gone = (404, json!({"errors": []}));
    assert_eq!(server.read(ROOT, "kv/x/y").await, gone);
    assert_eq!(server.list(ROOT, "kv/x").await, gone);
}

#[tokio::test]
async fn a_secret_says_when_it_is_to_be_read_again() {
    let server = server_with_kv("1").await;
    for (data, secs) in [
        (json!({"ttl": "1h"}), 3600),
        (json!({"lease": "30m", "x": "y"}), 1800),
        (json!({"ttl": "abc"}), 2_764_800),
        (json!({"x": "y"}), 2_764_800),
    ] {
        server.write(ROOT, "kv/x", data.clone()).await;
        let (_, body) = server.read(ROOT, "kv/x").await;
        assert_eq!(body["lease_duration"], secs, "{data}");
        assert_eq!(
            (&body["lease_id"], &body["renewable"]),
            (&json!(""), &json!(false))
        );
    }
}

#[tokio::test]
async fn refuses_what_cannot_be_stored() {
    let server = server_with_kv("1").await;
    let answer = server.write(ROOT, "kv/x", json!({})).await;
    assert_eq!((answer.0, error(&answer)), (400, "missing data fields"));
    for path in [
        "kv/x/".to_owned(),
        format!("kv/{}", "x".repeat(4000)),
        "kv/a\u{1}b".into(),
    ] {
        let answer = server.write(ROOT, &path, json!({"a": 1})).await;
        assert_eq!(answer.0, 400, "{path:?} {answer:?}");
    }
}

#[tokio::test]
async fn creating_and_updating_are_different_rights() {
    for (version, path, data) in [
        ("1", "kv/x", json!({"a": 1})),
        ("2", "kv/data/x", json!({"data": {"a": 1}})),
    ] {
        let server = server_with_kv(version).await;
        let rules = r#"path "kv/*" { capabilities = ["create"] }"#;
        let creator = server.token_with("creator", rules).await;
        let rules = r#"path "kv/*" { capabilities = ["update"] }"#;
        let updater = server.token_with("updater", rules).await;
        assert_eq!(server.write(&updater, path, data.clone()).await.0, 403);
        assert!(server.write(&creator, path, data.clone()).await.0 < 300);
        assert_eq!(server.write(&creator, path, data.clone()).await.0, 403);
        assert!(server.write(&updater, path, data).await.0 < 300);
    }
}

#[tokio::test]
async fn mounts_come_under_all_their_names() {
    let server = Server::start().await;
    for (given, kind, options) in [
        (json!({"type": "kv"}), "kv", json!({})),
        (json!({"type": "kv-v1"}), "kv", json!({})),
        (json!({"type": "kv-v2"}), "kv", json!({"version": "2"})),
        (json!({"type": "generic"}), "generic", json!({})),
    ] {
        assert_eq!(
            server.write(ROOT, "sys/mounts/m", given.clone()).await.0,
            204,
            "{given}"
        );
        let (_, body) = server.read(ROOT, "sys/mounts/m").await;
        assert_eq!(
            (&body["data"]["type"], &body["data"]["options"]),
            (&json!(kind), &options)
        );
        assert_eq!(server.delete(ROOT, "sys/mounts/m").await.0, 204);
    }
    for given in [
        json!({"type": "kv", "options": {"version": "3"}}),
        json!({"type": "generic", "options": {"version": "2"}}),
    ] {
        assert_eq!(
            server.write(ROOT, "sys/mounts/m", given.clone()).await.0,
            400,
            "{given}"
        );
        assert_eq!(server.read(ROOT, "sys/mounts/m").await.0, 400);
    }
}

#[tokio::test]
async fn the_command_line_learns_the_version_of_a_mount() {
    let server = server_with_kv("2").await;
    let (_, body) = server
        .read(ROOT, "sys/internal/ui/mounts/kv/some/app")
        .await;
    assert_eq!(body["data"]["path"], "kv/");
    assert_eq!(body["data"]["options"], json!({"version": "2"}));
}

#[tokio::test]
async fn tuning_gives_versions_to_everything_that_is_there() {
    let server = server_with_kv("1").await;
    for number in 0..40 {
        let path = format!("kv/a/{number}");
        assert_eq!(server.write(ROOT, &path, json!({"n": number})).await.0, 204);
    }
    server.write(ROOT, "kv/a", json!({"n": "top"})).await;
    let tune = json!({"options": {"version": "2"}});
    let (status, body) = server.write(ROOT, "sys/mounts/kv/tune", tune.clone()).await;
    assert_eq!(status, 200);
    assert!(
        body["warnings"][0]
            .as_str()
            .unwrap()
            .contains("Upgrading mount"),
        "{body}"
    );
    for number in 0..40 {
        let (_, body) = server.read(ROOT, &format!("kv/data/a/{number}")).await;
        assert_eq!(body["data"]["data"], json!({"n": number}));
        assert_eq!(body["data"]["metadata"]["version"], 1);
    }
    let (_, body) = server.list(ROOT, "kv/metadata").await;
    assert_eq!(body["data"]["keys"], json!(["a", "a/"]));
    let second = json!({"data": {"n": 2}});
    let (_, body) = server.write(ROOT, "kv/data/a", second).await;
    assert_eq!(body["data"]["version"], 2);

    server.restart().await;
    let (_, body) = server.read(ROOT, "kv/data/a").await;
    assert_eq!(body["data"]["data"], json!({"n": 2}));
    assert_eq!(server.write(ROOT, "sys/mounts/kv/tune", tune).await.0, 204);
    for (version, text) in [
        ("1", "cannot downgrade mount from version 2"),
        ("9", "invalid version provided: 9"),
    ] {
        let tune = json!({"options": {"version": version}});
        let answer = server.write(ROOT, "sys/mounts/kv/tune", tune).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
}

#[tokio::test]
async fn no_write_is_lost_while_versions_come() {
    for seed in 0..20 {
        let server = Server::start_interleaved(seed).await;
        mount(&server, "1").await;
        let write = async |number: usize| {
            let path = format!("kv/{number}");
            server.write(ROOT, &path, json!({"n": number})).await
        };
        let tune = json!({"options": {"version": "2"}});
        let read_all = async || {
            server.write(ROOT, "sys/mounts/kv/tune", tune.clone()).await;
            server.list(ROOT, "kv/metadata").await
        };
        let (a, b, c, _) = tokio::join!(write(1), write(2), write(3), read_all());
        for (number, answer) in [(1, a), (2, b), (3, c)] {
            let found = server.read(ROOT, &format!("kv/data/{number}")).await;
            // The others were told that the path is one of a store without versions.
            let expected = if answer.0 == 204 { 200 } else { 404 };
            assert_eq!(found.0, expected, "{seed} {number} {answer:?}");
            assert!(answer.0 == 204 || answer.1["warnings"] != Value::Null);
        }
    }
}
