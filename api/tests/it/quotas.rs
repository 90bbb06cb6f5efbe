//! Rate limits through the whole pipeline.

use std::net::SocketAddr;

use serde_json::{Value, json};
use signet_api::call::{Call, Op};

use crate::support::{ROOT, Server, call, error};

async fn server_with(limit: Value) -> Server {
    let server = Server::start().await;
    let answer = server.write(ROOT, "sys/quotas/rate-limit/q", limit).await;
    assert_eq!(answer.0, 204, "{answer:?}");
    server
}

#[tokio::test]
async fn a_client_that_is_too_fast_is_told_so() {
    let server = server_with(json!({"rate": 2, "path": "cubbyhole/"})).await;
    for _ in 0..2 {
        assert_eq!(server.read(ROOT, "cubbyhole/x").await.0, 404);
    }
    let answer = server.read(ROOT, "cubbyhole/x").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            429,
            "request path \"cubbyhole/x\": rate limit quota exceeded"
        )
    );
    assert_eq!(
        server.read(ROOT, "sys/mounts").await.0,
        200,
        "another mount"
    );
    let elsewhere = Call {
        peer: signet_api::call::Peer {
            address: SocketAddr::from(([10, 0, 0, 9], 1)),
            certificates: std::sync::Arc::new([]),
        },
        ..call(Op::Read, "cubbyhole/x", ROOT, Value::Null)
    };
    assert_eq!(server.call(elsewhere).await.0, 404, "another client");
    server.clock.advance_secs(1);
    assert_eq!(server.read(ROOT, "cubbyhole/x").await.0, 404);
}

#[tokio::test]
async fn exempt_paths_are_never_limited() {
    let server = server_with(json!({"rate": 1})).await;
    assert_eq!(server.read(ROOT, "sys/mounts").await.0, 200);
    assert_eq!(server.read(ROOT, "sys/mounts").await.0, 429);
    for _ in 0..5 {
        assert_eq!(server.read("", "sys/health").await.0, 200);
    }
}

#[tokio::test]
async fn answers_say_what_is_left_when_that_is_wanted() {
    let server =
        server_with(json!({"rate": 2, "path": "cubbyhole/x", "block_interval": "10s"})).await;
    server
        .write(
            ROOT,
            "sys/quotas/config",
            json!({"enable_rate_limit_response_headers": true}),
        )
        .await;
    let mut remaining = Vec::new();
    for _ in 0..3 {
        let call = call(Op::Read, "cubbyhole/x", ROOT, Value::Null);
        let response = server.node.handle(call).await;
        let header = |name: &str| {
            let found = response.headers.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.clone())
        };
        remaining.push((
            response.status,
            header("x-ratelimit-remaining"),
            header("retry-after"),
        ));
    }
    assert_eq!(
        remaining,
        [
            (404, Some("1".into()), None),
            (404, Some("0".into()), None),
            (429, Some("0".into()), Some("10".into())),
        ]
    );
}

#[tokio::test]
async fn quotas_are_written_read_listed_and_deleted() {
    let server = server_with(json!({"rate": 5.5, "path": "cubbyhole"})).await;
    assert_eq!(
        server.read(ROOT, "sys/quotas/rate-limit/q").await.1["data"],
        json!({"block_interval": 0, "inheritable": false, "interval": 1, "name": "q",
               "path": "cubbyhole/", "rate": 5.5, "role": "", "type": "rate-limit"})
    );
    assert_eq!(
        server.list(ROOT, "sys/quotas/rate-limit").await.1["data"]["keys"],
        json!(["q"])
    );
    for (body, text) in [
        (json!({}), "'rate' is invalid"),
        (json!({"rate": 0}), "'rate' is invalid"),
        (
            json!({"rate": 1, "path": "nope/"}),
            "invalid mount path \"nope/\"",
        ),
        (
            json!({"rate": 1, "path": "cubbyhole/"}),
            "quota rule with similar properties exists under the name \"q\"",
        ),
    ] {
        let answer = server
            .write(ROOT, "sys/quotas/rate-limit/other", body)
            .await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    assert_eq!(server.delete(ROOT, "sys/quotas/rate-limit/q").await.0, 204);
    assert_eq!(server.read(ROOT, "sys/quotas/rate-limit/q").await.0, 404);
    assert_eq!(server.list(ROOT, "sys/quotas/rate-limit").await.0, 404);
}
