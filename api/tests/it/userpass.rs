//! `auth/userpass`: users, passwords and logins.

use serde_json::{Value, json};
use signet_api::call::{Call, Op};

use crate::support::{Answer, ROOT, Server, call, error};

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("userpass").await;
    let alice = json!({"password": "hunter2", "token_policies": "a,b", "token_ttl": "10m"});
    user(&server, "Alice", alice).await;
    server
}

async fn user(server: &Server, name: &str, data: Value) {
    let path = format!("auth/userpass/users/{name}");
    let answer = server.write(ROOT, &path, data).await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

async fn login(server: &Server, name: &str, password: &str) -> Answer {
    let path = format!("auth/userpass/login/{name}");
    server
        .write("", &path, json!({ "password": password }))
        .await
}

async fn assert_refused(server: &Server, name: &str, password: &str) {
    let answer = login(server, name, password).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "invalid username or password"),
        "{name}"
    );
}

#[tokio::test]
async fn the_right_password_gives_a_token_of_the_user() {
    let server = server().await;
    for name in ["alice", "ALICE"] {
        let (status, body) = login(&server, name, "hunter2").await;
        assert_eq!(status, 200, "{body}");
        let auth = &body["auth"];
        assert_eq!(auth["policies"], json!(["a", "b", "default"]));
        assert_eq!(auth["metadata"], json!({"username": "alice"}));
        assert_eq!(
            (&auth["lease_duration"], &auth["renewable"]),
            (&json!(600), &json!(true))
        );
        let token = auth["client_token"].as_str().unwrap();
        let (_, found) = server.read(token, "auth/token/lookup-self").await;
        assert_eq!(found["data"]["display_name"], "userpass-alice");
        assert_eq!(found["data"]["path"], format!("auth/userpass/login/{name}"));
    }
}

#[tokio::test]
async fn nothing_tells_an_unknown_user_from_a_wrong_password() {
    let server = server().await;
    for (name, password) in [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "hunter2"),
    ] {
        assert_refused(&server, name, password).await;
    }
    for name in ["alice", "nobody"] {
        let answer = login(&server, name, "").await;
        assert_eq!((answer.0, error(&answer)), (400, "missing password"));
        assert_refused(&server, name, &"x".repeat(5000)).await;
    }
}

#[tokio::test]
async fn five_wrong_passwords_lock_a_user_in_any_spelling() {
    let server = server().await;
    for name in ["alice", "Alice", "ALICE", "aLice", "alicE"] {
        assert_refused(&server, name, "wrong").await;
    }
    let answer = login(&server, "Alice", "hunter2").await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    for _ in 0..6 {
        assert_refused(&server, "nobody", "wrong").await;
    }
    let (_, locked) = server.read(ROOT, "sys/locked-users").await;
    assert_eq!(locked["data"]["total"], 1);
    server.clock.advance_secs(900);
    assert_eq!(login(&server, "alice", "hunter2").await.0, 200);
}

#[tokio::test]
async fn users_are_written_read_listed_and_deleted() {
    let server = server().await;
    let (_, body) = server.read(ROOT, "auth/userpass/users/ALICE").await;
    assert_eq!(
        body["data"],
        json!({
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
            "token_no_default_policy": false, "token_num_uses": 0, "token_period": 0,
            "token_policies": ["a", "b"], "token_strictly_bind_ip": false, "token_ttl": 600,
            "token_type": "default",
        })
    );
    user(&server, "alice", json!({"policies": "c", "max_ttl": "1h"})).await;
    let (_, body) = server.read(ROOT, "auth/userpass/users/alice").await;
    assert_eq!(
        (&body["data"]["policies"], &body["data"]["max_ttl"]),
        (&json!(["c"]), &json!(3600))
    );
    assert_eq!(
        login(&server, "alice", "hunter2").await.0,
        200,
        "the password stays"
    );
    let (_, body) = server.list(ROOT, "auth/userpass/users").await;
    assert_eq!(body["data"]["keys"], json!(["alice"]));
    assert_eq!(
        server.delete(ROOT, "auth/userpass/users/Alice").await.0,
        204
    );
    assert_eq!(
        server.delete(ROOT, "auth/userpass/users/Alice").await.0,
        204
    );
    assert_eq!(server.read(ROOT, "auth/userpass/users/alice").await.0, 404);
    assert_refused(&server, "alice", "hunter2").await;
}

#[tokio::test]
async fn a_user_needs_a_password() {
    let server = server().await;
    for (data, text) in [
        (json!({}), "must provide either password or password_hash"),
        (
            json!({"password": ""}),
            "must provide either password or password_hash",
        ),
        (
            json!({"password": "a", "password_hash": "b"}),
            "only one of password or password_hash may be provided",
        ),
        (
            json!({"password_hash": "b"}),
            "password_hash is not supported, provide the password",
        ),
        (
            json!({"password": "x".repeat(5000)}),
            "password is too long",
        ),
        (
            json!({"password": "x", "token_ttl": 2, "token_max_ttl": 1}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
    ] {
        let answer = server.write(ROOT, "auth/userpass/users/bob", data).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    assert_eq!(server.read(ROOT, "auth/userpass/users/bob").await.0, 404);
}

#[tokio::test]
async fn what_the_mount_bounds_is_kept_and_bounded_at_the_login() {
    let server = server().await;
    let long = json!({"token_period": "9999h", "token_max_ttl": "9999h", "ttl": "2h"});
    let answer = server.write(ROOT, "auth/userpass/users/alice", long).await;
    assert_eq!(answer.0, 204, "{answer:?}");
    let (_, body) = login(&server, "alice", "hunter2").await;
    assert_eq!(body["auth"]["lease_duration"], 768 * 3600);
    let unknown = json!({"period": 60, "num_uses": 1});
    let answer = server
        .write(ROOT, "auth/userpass/users/alice", unknown)
        .await;
    assert_eq!(answer.0, 204, "{answer:?}");
    let (_, body) = server.read(ROOT, "auth/userpass/users/alice").await;
    let data = &body["data"];
    assert_eq!(
        (&data["token_period"], &data["token_num_uses"]),
        (&json!(9999 * 3600), &json!(0)),
        "this method has no old names of these"
    );
}

#[tokio::test]
async fn passwords_and_policies_can_be_changed_alone() {
    let server = server().await;
    let path = "auth/userpass/users/alice/password";
    assert_eq!(
        server.write(ROOT, path, json!({"password": "new"})).await.0,
        204
    );
    assert_refused(&server, "alice", "hunter2").await;
    let path = "auth/userpass/users/alice/policies";
    let policies = json!({"token_policies": "Z, z", "token_ttl": "1h"});
    assert_eq!(server.write(ROOT, path, policies).await.0, 204);
    let (_, body) = server.read(ROOT, "auth/userpass/users/alice").await;
    assert_eq!(body["data"]["token_policies"], json!(["z"]));
    let (_, body) = login(&server, "alice", "new").await;
    assert_eq!(body["auth"]["policies"], json!(["default", "z"]));
    assert_eq!(
        body["auth"]["lease_duration"], 600,
        "the policies and nothing else"
    );
    for (what, data) in [
        ("password", json!({"password": "x"})),
        ("policies", json!({"policies": "x"})),
    ] {
        let path = format!("auth/userpass/users/nobody/{what}");
        let answer = server.write(ROOT, &path, data).await;
        let text = "1 error occurred:\n\t* username does not exist\n\n";
        assert_eq!((answer.0, error(&answer)), (400, text));
        let path = format!("auth/userpass/users/alice/{what}");
        assert!(matches!(server.write("", &path, json!({})).await.0, 403));
    }
}

#[tokio::test]
async fn addresses_and_root_are_bounds_of_a_login() {
    let server = server().await;
    user(
        &server,
        "far",
        json!({"password": "x", "token_bound_cidrs": "10.0.0.0/8"}),
    )
    .await;
    let answer = login(&server, "far", "x").await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    assert_refused(&server, "far", "wrong").await;
    for policies in ["root", " ROOT ", "a,Root"] {
        user(
            &server,
            "boss",
            json!({"password": "x", "token_policies": policies}),
        )
        .await;
        let answer = login(&server, "boss", "x").await;
        assert_eq!(
            (answer.0, error(&answer)),
            (400, "auth methods cannot create root tokens"),
            "{policies}"
        );
    }
}

#[tokio::test]
async fn a_token_is_renewed_while_the_user_is_as_it_was() {
    let server = server().await;
    let (_, body) = login(&server, "alice", "hunter2").await;
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let renew = async || {
        server
            .write(&token, "auth/token/renew-self", json!({}))
            .await
    };
    user(
        &server,
        "alice",
        json!({"token_ttl": "20m", "token_policies": "b, A"}),
    )
    .await;
    let (status, body) = renew().await;
    assert_eq!(
        (status, &body["auth"]["lease_duration"]),
        (200, &json!(1200))
    );
    user(&server, "alice", json!({"token_policies": "b"})).await;
    let answer = renew().await;
    let text = "failed to renew entry: policies have changed, not renewing";
    assert_eq!((answer.0, error(&answer)), (400, text));
    server.delete(ROOT, "auth/userpass/users/alice").await;
    let answer = renew().await;
    let text = "failed to renew entry: user no longer exists";
    assert_eq!((answer.0, error(&answer)), (400, text));
}

#[tokio::test]
async fn no_token_is_made_with_a_password_that_was_changed_before() {
    for seed in 0..12 {
        let server = Server::start_interleaved(seed).await;
        server.enable_auth("userpass").await;
        user(&server, "alice", json!({"password": "old"})).await;
        let path = "auth/userpass/users/alice/password";
        let change = server.write(ROOT, path, json!({"password": "new"}));
        let (changed, (status, body)) = tokio::join!(change, login(&server, "alice", "old"));
        assert_eq!(changed.0, 204);
        if status == 400 {
            continue;
        }
        let core = server.node.core().unwrap();
        let token = body["auth"]["client_token"].as_str().unwrap();
        let token = core.tokens.lookup(token, server.node.now()).await.unwrap();
        let keys = core.store.keys("", None, usize::MAX).await.unwrap();
        let user = keys
            .iter()
            .find(|key| key.ends_with("/user/alice"))
            .unwrap();
        let changed_in = core.store.get(user).await.unwrap().unwrap().version;
        assert!(token.unwrap().version.unwrap() < changed_in, "{seed}");
    }
}

#[tokio::test]
async fn login_answers_are_wrapped_and_names_are_names() {
    let server = server().await;
    let wrapped = server
        .write_wrapped(
            "",
            "auth/userpass/login/alice",
            json!({"password": "hunter2"}),
            60,
        )
        .await;
    assert_eq!(wrapped.0, 200);
    assert!(wrapped.1["auth"].is_null() && wrapped.1["wrap_info"]["token"].is_string());
    for name in ["a b", "a@b"] {
        let data = json!({"password": "x"});
        let path = format!("auth/userpass/users/{name}");
        let answer = server
            .call(Call {
                ..call(Op::Write, &path, ROOT, data)
            })
            .await;
        assert_eq!(answer.0, 404, "{name}");
    }
}
