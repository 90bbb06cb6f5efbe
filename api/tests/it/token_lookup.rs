//! `auth/token/lookup*` and `auth/token/accessors`.

use serde_json::{Value, json};

use crate::support::{ROOT, Server, error};
use crate::token_support::client_token;
use signet_storage::{Engine, SealConfig};

#[tokio::test]
async fn shows_what_a_token_is() {
    let server = Server::start().await;
    let data = json!({"policies": ["default"], "meta": {"a": "b"}, "ttl": "1h", "period": "2h"});
    let answer = server.create(ROOT, data).await;
    let token = client_token(&answer);
    server.clock.advance_secs(10);
    let expected = json!({
        "accessor": answer.1["auth"]["accessor"], "creation_time": 1_800_000_000,
        "creation_ttl": 7200, "display_name": "token", "entity_id": "",
        "expire_time": "2027-01-15T10:00:00Z", "explicit_max_ttl": 0, "id": token,
        "issue_time": "2027-01-15T08:00:00Z", "meta": {"a": "b"}, "num_uses": 0, "orphan": false,
        "path": "auth/token/create", "period": 7200, "policies": ["default"], "renewable": true,
        "ttl": 7190, "type": "service",
    });
    let by_self = server.read(&token, "auth/token/lookup-self").await.1;
    let by_token = server.lookup(&token).await.1;
    assert_eq!(
        (&by_self["data"], &by_token["data"]),
        (&expected, &expected)
    );
    let accessor = json!({"accessor": expected["accessor"]});
    let (_, body) = server
        .write(ROOT, "auth/token/lookup-accessor", accessor)
        .await;
    assert_eq!(body["data"]["id"], "");
    assert_eq!(body["data"]["ttl"], 7190);
}

#[tokio::test]
async fn shows_the_first_root_token_without_a_lease() {
    let server = Server::sealed_on(signet_storage::open(&Engine::Inmem).unwrap());
    let config = SealConfig::shamir(1, 1).unwrap();
    let initialized = server.node.initialize(config, None, None).await.unwrap();
    server.node.start_initialized(&initialized).await.unwrap();
    let root = initialized.root_token.as_str();
    let (_, body) = server.read(root, "auth/token/lookup-self").await;
    let data = &body["data"];
    assert_eq!(
        (&data["path"], &data["display_name"]),
        (&json!("auth/token/root"), &json!("root"))
    );
    assert_eq!(
        (&data["orphan"], &data["expire_time"]),
        (&json!(true), &Value::Null)
    );
    assert!(data.get("issue_time").is_none() && data.get("renewable").is_none());
    assert_eq!(data["meta"], Value::Null);
}

#[tokio::test]
async fn a_root_token_of_a_chosen_id_looks_created() {
    let server = Server::start().await;
    let (_, body) = server.read(ROOT, "auth/token/lookup-self").await;
    let data = &body["data"];
    assert_eq!(
        (&data["path"], &data["display_name"], &data["renewable"]),
        (&json!("auth/token/create"), &json!("token"), &json!(false))
    );
    assert!(data["issue_time"].is_string());
}

#[tokio::test]
async fn without_a_token_the_caller_is_looked_up() {
    let server = Server::with_makers().await;
    let token = server.maker().await;
    for data in [json!({}), json!({"token": ""})] {
        let (status, body) = server.write(&token, "auth/token/lookup", data).await;
        assert_eq!((status, &body["data"]["id"]), (200, &json!(token)));
    }
    let (_, body) = server.read(&token, "auth/token/lookup").await;
    assert_eq!(body["data"]["id"], json!(token));
}

#[tokio::test]
async fn refuses_unknown_tokens_and_accessors() {
    let server = Server::with_makers().await;
    let token = server.maker().await;
    for (data, text) in [
        (json!({"token": "nope"}), "bad token"),
        (json!({"token": "hvb.nope"}), "bad token"),
        (json!({"token": 5}), "invalid token"),
        (json!({"token": null}), "invalid token"),
        (json!({"token": [token]}), "invalid token"),
    ] {
        let answer = server.write(ROOT, "auth/token/lookup", data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (403, text), "{data}");
        assert!(
            !answer.1.to_string().contains(&token),
            "the token is not repeated"
        );
    }
    for (data, text) in [
        (
            json!({"accessor": "nope"}),
            "1 error occurred:\n\t* invalid accessor\n\n",
        ),
        (
            json!({"accessor": ""}),
            "1 error occurred:\n\t* missing accessor\n\n",
        ),
        (json!({}), "1 error occurred:\n\t* missing accessor\n\n"),
    ] {
        for path in ["auth/token/lookup-accessor", "auth/token/renew-accessor"] {
            let answer = server.write(ROOT, path, data.clone()).await;
            assert_eq!((answer.0, error(&answer)), (400, text), "{data}");
        }
    }
    // An accessor is not a token, nor a token an accessor.
    let accessor = server.lookup(&token).await.1["data"]["accessor"].clone();
    assert_eq!(
        server
            .read(accessor.as_str().unwrap(), "auth/token/lookup-self")
            .await
            .0,
        403
    );
    let answer = server
        .write(
            ROOT,
            "auth/token/lookup-accessor",
            json!({"accessor": token}),
        )
        .await;
    assert_eq!(answer.0, 400);
}

#[tokio::test]
async fn accessors_are_for_sudo_only() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    assert_eq!(server.list(&plain, "auth/token/accessors").await.0, 403);
    let sudo = server.sudo_maker().await;
    let (_, body) = server.list(&sudo, "auth/token/accessors").await;
    let keys = body["data"]["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    let own = server.lookup(&plain).await.1["data"]["accessor"].clone();
    assert!(keys.contains(&own));
    assert_eq!(server.read(&sudo, "auth/token/accessors").await.0, 405);
}

#[tokio::test]
async fn a_token_is_good_only_where_it_is_bound_to() {
    let server = Server::start().await;
    for (cidrs, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 403)] {
        let role = json!({"token_bound_cidrs": cidrs});
        server.write(ROOT, "auth/token/roles/r", role).await;
        let data = json!({"policies": ["default"]});
        let token = client_token(&server.write(ROOT, "auth/token/create/r", data).await);
        let answer = server.read(&token, "auth/token/lookup-self").await;
        assert_eq!(answer.0, status, "{cidrs}");
        if status == 403 {
            assert_eq!(error(&answer), "permission denied");
        }
    }
}

#[tokio::test]
async fn tidy_is_accepted() {
    let server = Server::start().await;
    for path in ["auth/token/tidy", "sys/leases/tidy"] {
        let (status, body) = server.write(ROOT, path, json!({})).await;
        assert_eq!(status, 202);
        assert!(
            body["warnings"][0]
                .as_str()
                .unwrap()
                .starts_with("Tidy operation successfully")
        );
    }
}
