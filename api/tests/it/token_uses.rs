//! Counted tokens: no more uses than they were given.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::{Call, Op};

use crate::support::{ROOT, Server, call, error};
use crate::token_support::client_token;

async fn counted(server: &Server, policy: &str, num_uses: u64) -> String {
    let data = json!({"policies": [policy], "num_uses": num_uses});
    server.token(ROOT, data).await
}

#[tokio::test]
async fn the_last_use_is_good_and_shows_minus_one() {
    let server = Server::start().await;
    let token = counted(&server, "default", 2).await;
    for left in [1, -1] {
        let (status, body) = server.read(&token, "auth/token/lookup-self").await;
        assert_eq!((status, &body["data"]["num_uses"]), (200, &json!(left)));
    }
    let answer = server.read(&token, "auth/token/lookup-self").await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    assert_eq!(server.lookup(&token).await.0, 403);
    let core = server.node.core().unwrap();
    let stored = core.store.keys("sys/token/id/", None, 10).await.unwrap();
    assert_eq!(stored.len(), 1, "only the root token is left");
}

#[tokio::test]
async fn every_kind_of_authenticated_request_is_a_use() {
    let server = Server::with_makers().await;
    let denied = "1 error occurred:\n\t* permission denied\n\n";
    for (op, path, status) in [
        (Op::Read, "auth/token/lookup-self", 200),
        (Op::Write, "cubbyhole/a", 204),
        (Op::Read, "cubbyhole/a", 404),
        (Op::Read, "sys/mounts", 403),
        (Op::Read, "nope/x", 403),
        (Op::Help, "cubbyhole/a", 200),
        (Op::Write, "auth/token/revoke-self", 204),
        (Op::Write, "sys/capabilities-self", 200),
    ] {
        let token = counted(&server, "default", 1).await;
        let data = json!({"path": "a"});
        let answer = server.call(call(op, path, &token, data)).await;
        assert_eq!(answer.0, status, "{path} {}", answer.1);
        if status == 403 {
            assert_eq!(error(&answer), denied, "{path}");
        }
        let answer = server.read(&token, "auth/token/lookup-self").await;
        assert_eq!(
            (answer.0, error(&answer)),
            (403, "permission denied"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn requests_that_need_no_token_are_no_uses() {
    let server = Server::start().await;
    let token = counted(&server, "default", 1).await;
    for _ in 0..3 {
        assert_eq!(server.read(&token, "sys/health").await.0, 200);
    }
    let data = json!({"token": "nope"});
    assert_eq!(
        server.write(&token, "sys/wrapping/lookup", data).await.0,
        400
    );
    assert_eq!(server.lookup(&token).await.1["data"]["num_uses"], json!(1));
}

#[tokio::test]
async fn looking_at_another_token_is_no_use_of_it() {
    let server = Server::start().await;
    let token = counted(&server, "default", 3).await;
    for _ in 0..3 {
        assert_eq!(server.lookup(&token).await.1["data"]["num_uses"], json!(3));
    }
}

#[tokio::test]
async fn counted_tokens_make_no_tokens() {
    let server = Server::with_makers().await;
    for num_uses in [1, 5] {
        let token = counted(&server, "maker", num_uses).await;
        let answer = server.create(&token, json!({})).await;
        let text = "restricted use token cannot generate child tokens";
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
}

/// How many of many requests at the same time were let in.
async fn race(server: &Arc<Server>, requests: Vec<Call>) -> Vec<(u16, Value)> {
    let mut running = tokio::task::JoinSet::new();
    for request in requests {
        let server = server.clone();
        running.spawn(async move { server.call(request).await });
    }
    running.join_all().await
}

#[tokio::test]
async fn sixty_four_requests_at_once_get_exactly_the_uses_there_are() {
    let server = Arc::new(Server::start_interleaved(1).await);
    server
        .policy(
            "writer",
            r#"path "auth/token/roles/*" { capabilities = ["create", "update", "read"] }"#,
        )
        .await;
    let role = json!({"allowed_policies": ["a"]});
    for num_uses in [1, 7, 100] {
        for kind in 0..5 {
            let policy = if kind == 3 { "writer" } else { "default" };
            let token = counted(&server, policy, num_uses).await;
            let request = |number: usize| match kind {
                // A read, a write in one commit, a refusal, a handler that reads before it writes,
                // and one that meets the other uses after its own was written.
                0 => call(Op::Read, "auth/token/lookup-self", &token, Value::Null),
                1 => call(
                    Op::Write,
                    &format!("cubbyhole/{number}"),
                    &token,
                    json!({"a": 1}),
                ),
                2 => call(Op::Read, "sys/mounts", &token, Value::Null),
                3 => call(Op::Write, "auth/token/roles/same", &token, role.clone()),
                _ => call(Op::Write, "auth/token/renew-self", &token, Value::Null),
            };
            let answers = race(&server, (0..64).map(request).collect()).await;
            let let_in = answers
                .iter()
                .filter(|answer| error(answer) != "permission denied")
                .count();
            let expected = usize::try_from(num_uses).unwrap().min(64);
            assert_eq!(let_in, expected, "{num_uses} uses, kind {kind}");
            for (status, body) in answers {
                let text = body["errors"][0].as_str().unwrap_or_default();
                let is_last = text == "token not found";
                assert!(
                    [200, 204, 403].contains(&status) || is_last,
                    "{status} {body}"
                );
            }
            let left = server.lookup(&token).await;
            match num_uses {
                100 => assert_eq!(left.1["data"]["num_uses"], json!(36), "kind {kind}"),
                _ => assert_eq!(left.0, 403),
            }
        }
    }
}

#[tokio::test]
async fn a_use_is_written_before_a_handler_that_cannot_take_back_what_it_does() {
    for seed in 0..10 {
        let server = Server::start_interleaved(seed).await.and_makers().await;
        let server = Arc::new(server);
        let victims: Vec<String> = {
            let mut victims = Vec::new();
            for _ in 0..16 {
                victims.push(server.token(ROOT, json!({"policies": ["default"]})).await);
            }
            victims
        };
        let token = counted(&server, "maker", 1).await;
        let revoke = |victim: &String| {
            call(
                Op::Write,
                "auth/token/revoke",
                &token,
                json!({"token": victim}),
            )
        };
        let answers = race(&server, victims.iter().map(revoke).collect()).await;
        assert_eq!(answers.iter().filter(|answer| answer.0 == 204).count(), 1);
        let mut alive = 0;
        for victim in &victims {
            alive += usize::from(server.works(victim).await);
        }
        assert_eq!(alive, 15, "one use revokes one token");
    }
}

#[tokio::test]
async fn a_token_role_gives_the_lesser_number_of_uses() {
    let server = Server::start().await;
    server
        .write(ROOT, "auth/token/roles/r", json!({"token_num_uses": 5}))
        .await;
    for (asked, given) in [(0, 5), (3, 3), (9, 5)] {
        let data = json!({"policies": ["default"], "num_uses": asked});
        let answer = server.write(ROOT, "auth/token/create/r", data).await;
        assert_eq!(answer.1["auth"]["num_uses"], json!(given));
        let token = client_token(&answer);
        assert_eq!(
            server.lookup(&token).await.1["data"]["num_uses"],
            json!(given)
        );
    }
}
