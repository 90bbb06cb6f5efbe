//! Engines and auth methods, enabled, tuned, moved and disabled.

use serde_json::{Value, json};
use signet_api::expiry::{LeaseRecord, Leased, Leases};
use signet_storage::Batch;

use crate::support::{ROOT, Server, error};

async fn refused(server: &Server, path: &str, body: Value, text: &str) {
    let answer = server.write(ROOT, path, body.clone()).await;
    assert_eq!((answer.0, error(&answer)), (400, text), "{path} {body}");
}

#[tokio::test]
async fn a_new_server_has_the_built_in_mounts() {
    let server = Server::start().await;
    let (status, body) = server.read(ROOT, "sys/mounts").await;
    assert_eq!(status, 200);
    assert_eq!(body["sys/"]["type"], json!("system"));
    assert_eq!(body["data"]["cubbyhole/"]["local"], json!(true));
    let (_, body) = server.read(ROOT, "sys/auth").await;
    let token = &body["data"]["token/"];
    assert_eq!(
        (
            &token["type"],
            &token["description"],
            &token["config"]["token_type"]
        ),
        (
            &json!("token"),
            &json!("token based credentials"),
            &json!("default-service")
        )
    );
}

#[tokio::test]
async fn an_engine_is_mounted_shown_and_unmounted() {
    let server = Server::start().await;
    let body = json!({
        "type": "pki", "description": "certificates", "local": false, "seal_wrap": false,
        "external_entropy_access": false, "options": null,
        "config": {"options": null, "default_lease_ttl": "0s", "max_lease_ttl": "87600h0m0s",
                   "force_no_cache": false},
    });
    assert_eq!(server.write(ROOT, "sys/mounts/team/pki", body).await.0, 204);
    let (status, body) = server.read(ROOT, "sys/mounts/team/pki").await;
    assert_eq!(status, 200);
    assert_eq!(
        body["config"],
        json!({"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 315_360_000})
    );
    let accessor = body["data"]["accessor"].as_str().unwrap();
    let suffix = accessor.strip_prefix("pki_").unwrap();
    assert!(suffix.len() == 8 && suffix.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(server.read(ROOT, "sys/mounts/team/pki/").await.0, 200);

    assert_eq!(server.delete(ROOT, "sys/mounts/team/pki").await.0, 204);
    assert_eq!(server.delete(ROOT, "sys/mounts/team/pki").await.0, 204);
    let answer = server.read(ROOT, "sys/mounts/team/pki").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "No secret engine mount at team/pki/")
    );
}

#[tokio::test]
async fn mounting_says_what_is_wrong() {
    let server = Server::start().await;
    let pki = json!({"type": "pki"});
    server.write(ROOT, "sys/mounts/a/b", pki.clone()).await;
    let approle = json!({"type": "approle"});
    server.write(ROOT, "sys/auth/ar", approle.clone()).await;
    for (path, body, text) in [
        (
            "sys/mounts/x",
            json!({}),
            "backend type must be specified as a string",
        ),
        (
            "sys/mounts/x",
            json!({"type": "bogus"}),
            "plugin not found in the catalog: bogus",
        ),
        (
            "sys/mounts/x",
            json!({"type": "approle"}),
            "plugin not found in the catalog: approle",
        ),
        (
            "sys/mounts/a/b",
            pki.clone(),
            "path is already in use at a/b/",
        ),
        (
            "sys/mounts/a",
            pki.clone(),
            "path is already in use at a/b/",
        ),
        (
            "sys/mounts/a/b/c",
            pki.clone(),
            "path is already in use at a/b/",
        ),
        ("sys/mounts/sys/x", pki.clone(), "cannot mount \"sys/x/\""),
        ("sys/mounts/auth/x", pki.clone(), "cannot mount \"auth/x/\""),
        (
            "sys/mounts/cubbyhole",
            pki.clone(),
            "cannot mount \"cubbyhole/\"",
        ),
        (
            "sys/mounts/identity",
            pki.clone(),
            "cannot mount \"identity/\"",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "config": {"default_lease_ttl": "abc"}}),
            "unable to parse default TTL of abc: time: invalid duration \"abc\"",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "config": {"max_lease_ttl": "abc"}}),
            "unable to parse max TTL of abc: time: invalid duration \"abc\"",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "config": {"default_lease_ttl": "9h", "max_lease_ttl": "3h"}}),
            "given default lease TTL greater than given max lease TTL",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "config": {"default_lease_ttl": "87600h"}}),
            "given default lease TTL greater than system max lease TTL of 2764800",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "config": {"listing_visibility": "bogus"}}),
            "invalid listing_visibility bogus",
        ),
        (
            "sys/mounts/x",
            json!({"type": "pki", "options": {"version": "2"}}),
            "secrets engine \"pki\" does not allow setting a version",
        ),
        (
            "sys/auth/ar",
            approle.clone(),
            "path is already in use at ar/",
        ),
        (
            "sys/auth/token",
            approle.clone(),
            "path is already in use at token/",
        ),
        (
            "sys/auth/y",
            json!({"type": "approle", "config": {"token_type": "bogus"}}),
            "invalid value for 'token_type'",
        ),
    ] {
        refused(&server, path, body, text).await;
    }
}

#[tokio::test]
async fn of_two_mounts_at_one_path_one_wins() {
    let server = Server::start().await;
    let mount = || server.write(ROOT, "sys/mounts/race", json!({"type": "pki"}));
    let (one, other) = tokio::join!(mount(), mount());
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
}

#[tokio::test]
async fn built_in_mounts_stay() {
    let server = Server::start().await;
    for (path, text) in [
        ("sys/mounts/sys", "cannot unmount \"sys/\""),
        ("sys/mounts/cubbyhole", "cannot unmount \"cubbyhole/\""),
        (
            "sys/auth/token",
            "token credential backend cannot be disabled",
        ),
    ] {
        let answer = server.delete(ROOT, path).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    refused(
        &server,
        "sys/mounts/cubbyhole/tune",
        json!({"description": "x"}),
        "cannot tune parameter description of cubbyhole/",
    )
    .await;
    assert_eq!(
        server.write(ROOT, "sys/mounts/sys/tune", json!({})).await.0,
        204
    );
}

#[tokio::test]
async fn tuning_changes_what_is_given_and_shows_what_holds() {
    let server = Server::start().await;
    server
        .write(ROOT, "sys/mounts/pki", json!({"type": "pki"}))
        .await;
    let tune = "sys/mounts/pki/tune";
    assert_eq!(
        server.read(ROOT, tune).await.1["data"],
        json!({"default_lease_ttl": 2_764_800, "description": "", "force_no_cache": false,
               "max_lease_ttl": 2_764_800})
    );
    let given = json!({"default_lease_ttl": "3600s", "max_lease_ttl": "8600s"});
    assert_eq!(server.write(ROOT, tune, given).await.0, 204);
    let unchanged = json!({"default_lease_ttl": "", "max_lease_ttl": null,
                           "description": "d", "listing_visibility": "unauth",
                           "audit_non_hmac_request_keys": "a,b"});
    assert_eq!(server.write(ROOT, tune, unchanged).await.0, 204);
    let (_, body) = server.read(ROOT, tune).await;
    assert_eq!(
        (&body["default_lease_ttl"], &body["data"]["max_lease_ttl"]),
        (&json!(3600), &json!(8600))
    );
    assert_eq!(
        (
            &body["data"]["description"],
            &body["data"]["audit_non_hmac_request_keys"]
        ),
        (&json!("d"), &json!(["a", "b"]))
    );
    for (body, text) in [
        (
            json!({"default_lease_ttl": "3h"}),
            "backend max lease TTL of 8600 would be less than backend default lease TTL of 10800",
        ),
        (
            json!({"max_lease_ttl": "1m"}),
            "backend max lease TTL of 60 would be less than backend default lease TTL of 3600",
        ),
        (
            json!({"max_lease_ttl": "abc"}),
            "time: invalid duration \"abc\"",
        ),
        (
            json!({"listing_visibility": "bogus"}),
            "invalid listing_visibility bogus",
        ),
    ] {
        refused(&server, tune, body, text).await;
    }
    let reset = json!({"default_lease_ttl": "system", "max_lease_ttl": 0});
    assert_eq!(server.write(ROOT, tune, reset).await.0, 204);
    assert_eq!(
        server.read(ROOT, tune).await.1["data"]["default_lease_ttl"],
        json!(2_764_800)
    );
    refused(
        &server,
        "sys/mounts/x/tune",
        json!({}),
        "tune of path \"x/\" failed: no mount entry found",
    )
    .await;
    let answer = server.read(ROOT, "sys/mounts/x/tune").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "cannot fetch sysview for path \"x/\"")
    );
}

#[tokio::test]
async fn auth_methods_are_tuned_by_two_paths() {
    let server = Server::start().await;
    server
        .write(ROOT, "sys/auth/approle", json!({"type": "approle"}))
        .await;
    let given = json!({
        "description": "machines", "max_lease_ttl": 12_345_678, "token_type": "batch",
        "user_lockout_config": {"lockout_threshold": "3", "lockout_duration": "5m",
                                "lockout_disable": true},
    });
    let tune = "sys/auth/approle/tune";
    assert_eq!(server.write(ROOT, tune, given).await.0, 204);
    for path in [tune, "sys/mounts/auth/approle/tune"] {
        let (_, body) = server.read(ROOT, path).await;
        let data = &body["data"];
        assert_eq!(
            (
                &data["max_lease_ttl"],
                &data["description"],
                &data["token_type"]
            ),
            (&json!(12_345_678), &json!("machines"), &json!("batch"))
        );
        assert_eq!(
            (
                &data["user_lockout_threshold"],
                &data["user_lockout_duration"]
            ),
            (&json!(3), &json!(300))
        );
    }
    let (_, body) = server.read(ROOT, "sys/auth/approle").await;
    assert_eq!(
        body["config"]["user_lockout_config"]["user_lockout_disable"],
        json!(true)
    );
    refused(
        &server,
        tune,
        json!({"token_type": "bogus"}),
        "invalid value for 'token_type'",
    )
    .await;
    let answer = server.read(ROOT, "sys/auth/nope").await;
    assert_eq!((answer.0, error(&answer)), (400, "No auth engine at nope/"));
}

#[tokio::test]
async fn auth_paths_need_sudo_and_mount_paths_do_not() {
    let server = Server::start().await;
    let rules = r#"path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    let token = server.token_with("operator", rules).await;
    assert_eq!(server.read(&token, "sys/auth").await.0, 200);
    assert_eq!(server.read(&token, "sys/auth/token").await.0, 403);
    assert_eq!(server.read(&token, "sys/auth/token/tune").await.0, 403);
    assert_eq!(
        server.read(&token, "sys/mounts/auth/token/tune").await.0,
        200
    );
    let pki = json!({"type": "pki"});
    assert_eq!(
        server.write(&token, "sys/mounts/p", pki.clone()).await.0,
        204
    );
    let moved = json!({"from": "p", "to": "q"});
    assert_eq!(server.write(&token, "sys/remount", moved).await.0, 403);
}

#[tokio::test]
async fn methods_that_are_known_by_name_mount_and_refuse_logins() {
    let server = Server::start().await;
    for kind in ["github", "ldap", "gcp"] {
        let path = format!("sys/auth/{kind}");
        assert_eq!(
            server.write(ROOT, &path, json!({ "type": kind })).await.0,
            204
        );
        let listed = server.read(ROOT, "sys/auth").await.1;
        assert_eq!(listed["data"][format!("{kind}/")]["type"], json!(kind));
        let answer = server
            .write("", &format!("auth/{kind}/login"), json!({}))
            .await;
        let text = format!("auth method {kind:?} is not available on this server");
        assert_eq!((answer.0, error(&answer)), (400, text.as_str()));
        assert_eq!(server.delete(ROOT, &path).await.0, 204);
    }
}

#[tokio::test]
async fn a_mount_moves_with_its_contents() {
    let server = Server::start().await;
    server
        .write(ROOT, "sys/mounts/old", json!({"type": "pki"}))
        .await;
    let role = json!({"allow_any_name": true});
    assert!(server.write(ROOT, "old/roles/web", role).await.0 < 300);
    let (status, body) = server
        .write(ROOT, "sys/remount", json!({"from": "old/", "to": "new"}))
        .await;
    assert_eq!(status, 200);
    assert_eq!(body["migration_id"], body["data"]["migration_id"]);
    let id = body["migration_id"].as_str().unwrap();
    let (_, status) = server.read(ROOT, &format!("sys/remount/status/{id}")).await;
    assert_eq!(
        status["data"]["migration_info"],
        json!({"source_mount": "old/", "target_mount": "new/", "status": "success"})
    );
    assert_eq!(server.read(ROOT, "new/roles/web").await.0, 200);
    assert_eq!(server.read(ROOT, "old/roles/web").await.0, 404);
    for (from, to, text) in [
        (
            "",
            "",
            "both 'from' and 'to' path must be specified as a string",
        ),
        ("x", "y", "no matching mount at \"x/\""),
        (
            "new",
            "cubbyhole",
            "cannot remount to destination cubbyhole/",
        ),
        ("new", "auth/x", "cannot remount to destination auth/x/"),
        ("sys", "y", "cannot remount \"sys/\""),
        ("auth/token", "auth/y", "cannot remount \"auth/token/\""),
    ] {
        refused(
            &server,
            "sys/remount",
            json!({"from": from, "to": to}),
            text,
        )
        .await;
    }
    assert_eq!(server.read(ROOT, "sys/remount/status/nope").await.0, 404);
}

#[tokio::test]
async fn leases_end_with_their_mount() {
    let server = Server::start().await;
    server
        .write(ROOT, "sys/mounts/pki", json!({"type": "pki"}))
        .await;
    let core = server.node.core().unwrap();
    let leases = Leases::new(&core.store);
    let now = server.node.now();
    let lease = LeaseRecord {
        issued_at: now,
        expires_at: now.plus_secs(3600),
        last_renewal: None,
        renewable: false,
        of: Leased::Secret {
            holder: Some("t".into()),
            data: serde_json::Map::new(),
        },
    };
    let mut batch = Batch::default();
    leases
        .put(&mut batch, "pki/issue/web/1", &lease, None)
        .unwrap();
    leases
        .put(&mut batch, "other/issue/web/1", &lease, None)
        .unwrap();
    core.store.commit(batch).await.unwrap();
    assert_eq!(server.delete(ROOT, "sys/mounts/pki").await.0, 204);
    let left = leases.records.keys("", None, 10).await.unwrap();
    assert_eq!(left, ["other/issue/web/1"]);
}

#[tokio::test]
async fn an_unmounted_engine_leaves_nothing_behind() {
    let server = Server::start().await;
    for _ in 0..2 {
        server
            .write(ROOT, "sys/mounts/pki", json!({"type": "pki"}))
            .await;
        assert_eq!(server.read(ROOT, "pki/roles/web").await.0, 404);
        let role = json!({"allow_any_name": true});
        assert!(server.write(ROOT, "pki/roles/web", role).await.0 < 300);
        assert_eq!(server.delete(ROOT, "sys/mounts/pki").await.0, 204);
    }
}
