//! `auth/approle/login`: what a role id and a secret-id are worth.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::{Call, Op};
use signet_api::mount::MountConfig;

use crate::support::{Answer, ROOT, Server, call, error};

const INVALID: &str = "invalid role or secret ID";

/// A server with a role `web` whose role id is `web` and which has the secret-id `sid`.
async fn server(role: Value) -> Server {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    add_role(&server, "web", role).await;
    server
}

async fn add_role(server: &Server, name: &str, mut role: Value) {
    role["role_id"] = name.into();
    let path = format!("auth/approle/role/{name}");
    let answer = server.write(ROOT, &path, role.clone()).await;
    assert!(matches!(answer.0, 200 | 204), "{answer:?}");
    if role["bind_secret_id"] != false {
        add_secret_id(server, name, json!({"secret_id": "sid"})).await;
    }
}

async fn add_secret_id(server: &Server, name: &str, data: Value) {
    let path = format!("auth/approle/role/{name}/custom-secret-id");
    let answer = server.write(ROOT, &path, data).await;
    assert_eq!(answer.0, 200, "{answer:?}");
}

fn attempt(role_id: &str, secret_id: &str) -> Call {
    let data = json!({"role_id": role_id, "secret_id": secret_id});
    call(Op::Write, "auth/approle/login", "", data)
}

async fn login(server: &Server, role_id: &str, secret_id: &str) -> Answer {
    server.call(attempt(role_id, secret_id)).await
}

async fn login_from(server: &Server, role_id: &str, address: &str) -> Answer {
    let mut call = attempt(role_id, "sid");
    let address: IpAddr = address.parse().unwrap();
    call.peer.address = SocketAddr::from((address, 40_000));
    server.call(call).await
}

async fn uses_left(server: &Server) -> Value {
    let path = "auth/approle/role/web/secret-id/lookup";
    let answer = server.write(ROOT, path, json!({"secret_id": "sid"})).await;
    answer.1["data"]["secret_id_num_uses"].clone()
}

fn token(answer: &Answer) -> &str {
    answer.1["auth"]["client_token"].as_str().unwrap()
}

#[tokio::test]
async fn gives_a_token_on_the_terms_of_the_role() {
    let server = server(json!({
        "token_policies": "Dev,X,dev", "token_ttl": "20m", "token_max_ttl": "1h",
        "token_num_uses": 3,
    }))
    .await;
    let data = json!({"secret_id": "tagged", "metadata": "team=a,role_name=forged"});
    add_secret_id(&server, "web", data).await;
    let (status, body) = login(&server, " web ", "tagged\n").await;
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!(auth["policies"], json!(["default", "dev", "x"]));
    assert_eq!(auth["token_policies"], json!(["default", "dev", "x"]));
    assert_eq!(auth["metadata"], json!({"role_name": "web", "team": "a"}));
    assert_eq!(auth["lease_duration"], 1200);
    assert_eq!(auth["renewable"], true);
    assert_eq!(auth["orphan"], true);
    assert_eq!(auth["token_type"], "service");
    assert_eq!(auth["num_uses"], 3);
    assert!(!auth["accessor"].as_str().unwrap().is_empty());
    assert_eq!(body["data"], Value::Null);

    let core = server.node.core().unwrap();
    let secret = auth["client_token"].as_str().unwrap();
    let token = core
        .tokens
        .lookup(secret, server.node.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(token.path, "auth/approle/login");
    assert_eq!(token.display_name, "approle");
    assert_eq!((token.max_ttl_secs, token.explicit_max_ttl_secs), (3600, 0));
}

#[tokio::test]
async fn the_lifetime_is_the_period_or_the_ttl_within_its_bounds() {
    let server = server(json!({})).await;
    for (number, (role, secs, warns)) in [
        (json!({}), 2_764_800, false),
        (json!({"token_period": "24h"}), 86_400, false),
        (
            json!({"token_period": 60, "token_ttl": 600, "token_max_ttl": 600}),
            60,
            false,
        ),
        (json!({"token_max_ttl": 600}), 600, true),
        (
            json!({"token_ttl": "1h", "token_explicit_max_ttl": "30m"}),
            1800,
            true,
        ),
        (json!({"token_ttl": "1000h"}), 2_764_800, true),
        (
            json!({"token_period": 700, "token_max_ttl": 600}),
            600,
            true,
        ),
        (
            json!({"token_period": 600, "token_explicit_max_ttl": 60}),
            60,
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("role{number}");
        add_role(&server, &name, role.clone()).await;
        let (_, body) = login(&server, &name, "sid").await;
        assert_eq!(body["auth"]["lease_duration"], secs, "{role}");
        assert_eq!(!body["warnings"].is_null(), warns, "{role}");
    }
}

#[tokio::test]
async fn tokens_can_be_batch_tokens_and_go_without_the_default_policy() {
    let server = server(json!({
        "token_type": "batch", "token_no_default_policy": true, "token_policies": "a",
    }))
    .await;
    let (_, body) = login(&server, "web", "sid").await;
    let auth = &body["auth"];
    assert_eq!(auth["token_type"], "batch");
    assert_eq!(
        (&auth["accessor"], &auth["renewable"]),
        (&json!(""), &json!(false))
    );
    assert_eq!(auth["policies"], json!(["a"]));
}

#[tokio::test]
async fn one_text_refuses_whatever_is_wrong() {
    let server = server(json!({})).await;
    let long = "x".repeat(5000);
    for (role_id, secret_id) in [
        ("nope", "sid"),
        ("web", "nope"),
        ("WEB", "sid"),
        ("web", "SID"),
        ("nope", ""),
        (long.as_str(), "sid"),
        ("web", long.as_str()),
    ] {
        let answer = login(&server, role_id, secret_id).await;
        assert_eq!(
            (answer.0, error(&answer)),
            (400, INVALID),
            "{role_id:.9} {secret_id:.9}"
        );
    }
    for (data, text) in [
        (json!({}), "missing role_id"),
        (json!({"secret_id": "sid"}), "missing role_id"),
        (
            json!({"role_id": " ", "secret_id": "sid"}),
            "missing role_id",
        ),
        (json!({"role_id": "web"}), "missing secret_id"),
        (
            json!({"role_id": "web", "secret_id": " "}),
            "missing secret_id",
        ),
    ] {
        let answer = server.write("", "auth/approle/login", data).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let answer = server.read("", "auth/approle/login").await;
    assert_eq!((answer.0, error(&answer)), (405, "unsupported operation"));
    // A token that is sent is ignored, good or bad.
    let data = json!({"role_id": "web", "secret_id": "sid"});
    assert_eq!(
        server.write("hvs.bad", "auth/approle/login", data).await.0,
        200
    );
}

#[tokio::test]
async fn policies_that_no_login_may_give_are_refused_and_cost_no_use() {
    let server = server(json!({"secret_id_num_uses": 5})).await;
    let root = "auth methods cannot create root tokens";
    let wrapping = "cannot assign policy \"response-wrapping\"";
    for (policies, text) in [
        (json!(["root"]), root),
        (json!([" ROOT\t"]), root),
        (json!(["a", "Root "]), root),
        (json!(["response-wrapping"]), wrapping),
    ] {
        let path = "auth/approle/role/web/policies";
        server
            .write(ROOT, path, json!({"token_policies": policies}))
            .await;
        let answer = login(&server, "web", "sid").await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{policies}");
    }
    assert_eq!(uses_left(&server).await, 5);
}

#[tokio::test]
async fn the_last_use_takes_the_secret_id_with_it() {
    let server = server(json!({"secret_id_num_uses": 2})).await;
    assert_eq!(uses_left(&server).await, 2);
    assert_eq!(login(&server, "web", "nope").await.0, 400);
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    assert_eq!(uses_left(&server).await, 1);
    server.restart().await;
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    for _ in 0..2 {
        let answer = login(&server, "web", "sid").await;
        assert_eq!((answer.0, error(&answer)), (400, INVALID));
    }
    let listed = server.list(ROOT, "auth/approle/role/web/secret-id").await;
    assert_eq!(listed.0, 404);
}

#[tokio::test]
async fn a_secret_id_ends_to_the_second() {
    let server = server(json!({"secret_id_ttl": 60})).await;
    server.clock.advance_secs(59);
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    server.clock.advance_secs(1);
    let answer = login(&server, "web", "sid").await;
    assert_eq!((answer.0, error(&answer)), (400, INVALID));
}

#[tokio::test]
async fn addresses_bind_the_role_the_secret_id_and_the_token() {
    let server =
        server(json!({"secret_id_bound_cidrs": "10.0.0.0/8", "secret_id_num_uses": 3})).await;
    let answer = login(&server, "web", "sid").await;
    let text = "source address \"127.0.0.1\" unauthorized by CIDR restrictions on the role";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(uses_left(&server).await, 3, "a refusal costs no use");
    assert_eq!(login_from(&server, "web", "10.1.1.1").await.0, 200);
    assert_eq!(login_from(&server, "web", "::ffff:10.1.1.1").await.0, 200);

    add_role(
        &server,
        "narrow",
        json!({"secret_id_bound_cidrs": "10.0.0.0/8"}),
    )
    .await;
    let path = "auth/approle/role/narrow/secret-id/destroy";
    server.write(ROOT, path, json!({"secret_id": "sid"})).await;
    let data = json!({
        "secret_id": "sid", "cidr_list": "10.9.0.0/16", "token_bound_cidrs": "10.0.0.0/8",
    });
    add_secret_id(&server, "narrow", data).await;
    let answer = login_from(&server, "narrow", "10.1.1.1").await;
    let text =
        "source address \"10.1.1.1\" unauthorized through CIDR restrictions on the secret ID";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let answer = login_from(&server, "narrow", "10.9.1.1").await;
    let refused = server.read(token(&answer), "cubbyhole/x").await;
    assert_eq!((refused.0, error(&refused)), (403, "permission denied"));

    add_role(&server, "strict", json!({"token_strictly_bind_ip": true})).await;
    let answer = login_from(&server, "strict", "10.1.1.1").await;
    assert_eq!(server.read(token(&answer), "cubbyhole/x").await.0, 403);
    let mut call = call(Op::Read, "cubbyhole/x", token(&answer), Value::Null);
    call.peer.address = SocketAddr::from(([10, 1, 1, 1], 1));
    assert_eq!(server.call(call).await.0, 404);

    add_role(&server, "bound", json!({"token_bound_cidrs": "10.0.0.0/8"})).await;
    let answer = login(&server, "bound", "sid").await;
    assert_eq!(answer.0, 200, "the token is bound, not the login");
    assert_eq!(server.read(token(&answer), "cubbyhole/x").await.0, 403);
}

#[tokio::test]
async fn without_a_bound_secret_id_the_address_is_enough() {
    let server = server(json!({})).await;
    let role = json!({"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8"});
    add_role(&server, "open", role).await;
    for secret_id in ["", "ignored"] {
        let answer = login(&server, "open", secret_id).await;
        assert_eq!(answer.1["auth"]["metadata"], json!({"role_name": "open"}));
    }
    assert_eq!(login_from(&server, "open", "10.0.0.1").await.0, 400);
}

#[tokio::test]
async fn changes_of_a_role_count_from_the_next_login_on() {
    let server = server(json!({"token_policies": "old"})).await;
    login(&server, "web", "sid").await;
    let path = "auth/approle/role/web";
    server
        .write(
            ROOT,
            path,
            json!({"token_policies": "new", "role_id": "web2"}),
        )
        .await;
    assert_eq!(login(&server, "web", "sid").await.0, 400);
    let (_, body) = login(&server, "web2", "sid").await;
    assert_eq!(body["auth"]["policies"], json!(["default", "new"]));
    server.delete(ROOT, path).await;
    assert_eq!(login(&server, "web2", "sid").await.0, 400);
}

#[tokio::test]
async fn mounts_share_nothing() {
    let server = server(json!({})).await;
    let mounts = &server.node.core().unwrap().mounts;
    let path = "auth/team/ci/";
    mounts
        .mount(path, "approle", MountConfig::default(), false, false)
        .await
        .unwrap();
    let data = json!({"role_id": "web", "secret_id": "sid"});
    let answer = server.write("", "auth/team/ci/login", data.clone()).await;
    assert_eq!((answer.0, error(&answer)), (400, INVALID));
    server
        .write(ROOT, "auth/team/ci/role/web", json!({"role_id": "web"}))
        .await;
    let secret = json!({"secret_id": "sid"});
    server
        .write(ROOT, "auth/team/ci/role/web/custom-secret-id", secret)
        .await;
    let answer = server.write("", "auth/team/ci/login", data).await;
    let core = server.node.core().unwrap();
    let found = core.tokens.lookup(token(&answer), server.node.now()).await;
    assert_eq!(found.unwrap().unwrap().display_name, "team-ci");
}

#[tokio::test]
async fn a_renewal_follows_the_role_as_it_is_now() {
    let server = server(json!({"token_ttl": 60})).await;
    let answer = login(&server, "web", "sid").await;
    let core = server.node.core().unwrap();
    let token = core.tokens.lookup(token(&answer), server.node.now()).await;
    let token = token.unwrap().unwrap();
    let engine = &core.mounts.get("auth/approle/").unwrap().engine;
    let change = json!({"token_ttl": 90, "token_max_ttl": 600, "token_period": 30});
    server.write(ROOT, "auth/approle/role/web", change).await;
    let terms = engine.renew_terms(&token.internal).await.unwrap().unwrap();
    assert_eq!(
        (terms.ttl_secs, terms.max_ttl_secs, terms.period_secs),
        (90, 600, 30)
    );
    server.delete(ROOT, "auth/approle/role/web").await;
    let error = engine.renew_terms(&token.internal).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "role \"web\" does not exist during renewal"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_logins_get_exactly_as_many_tokens_as_there_are_uses() {
    for uses in [1, 10, 64] {
        let server = Arc::new(server(json!({"secret_id_num_uses": uses})).await);
        let before = token_count(&server).await;
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let server = server.clone();
                tokio::spawn(async move { login(&server, "web", "sid").await.0 })
            })
            .collect();
        let mut successes = 0;
        for task in tasks {
            match task.await.unwrap() {
                200 => successes += 1,
                400 | 403 => {}
                other => panic!("unexpected status {other}"),
            }
        }
        assert_eq!(successes, uses);
        assert_eq!(
            token_count(&server).await - before,
            uses,
            "no hidden tokens"
        );
        let listed = server.list(ROOT, "auth/approle/role/web/secret-id").await;
        assert_eq!(listed.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_secret_id_is_destroyed_no_login_under_way_succeeds() {
    for _ in 0..20 {
        let server = Arc::new(server(json!({})).await);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let server = server.clone();
                tokio::spawn(async move { while login(&server, "web", "sid").await.0 == 200 {} })
            })
            .collect();
        let path = "auth/approle/role/web/secret-id/destroy";
        let destroyed = server.write(ROOT, path, json!({"secret_id": "sid"})).await;
        assert_eq!(destroyed.0, 204);
        let tokens = token_count(&server).await;
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(token_count(&server).await, tokens);
    }
}

async fn token_count(server: &Server) -> usize {
    let core = server.node.core().unwrap();
    let tokens = core.store.keys("sys/token/id/", None, usize::MAX).await;
    tokens.unwrap().len()
}

#[tokio::test]
async fn failed_logins_make_no_tokens() {
    let server =
        server(json!({"secret_id_bound_cidrs": "10.0.0.0/8", "token_policies": "root"})).await;
    let before = token_count(&server).await;
    login(&server, "web", "nope").await;
    login(&server, "nope", "sid").await;
    login(&server, "web", "sid").await;
    login_from(&server, "web", "10.0.0.1").await;
    assert_eq!(token_count(&server).await, before);
}
