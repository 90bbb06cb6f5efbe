//! `cubbyhole/` through the whole pipeline.

use serde_json::json;

use crate::support::{ROOT, Server, error};

#[tokio::test]
async fn keeps_what_a_token_puts_there() {
    let server = Server::start().await;
    assert_eq!(
        server
            .write(ROOT, "cubbyhole/a/b", json!({"k": "v"}))
            .await
            .0,
        204
    );
    let (status, body) = server.read(ROOT, "cubbyhole/a/b").await;
    assert_eq!((status, &body["data"]), (200, &json!({"k": "v"})));
    assert_eq!(
        server.list(ROOT, "cubbyhole").await.1["data"]["keys"],
        json!(["a/"])
    );
    assert_eq!(server.delete(ROOT, "cubbyhole/a/b").await.0, 204);
    assert_eq!(
        server.read(ROOT, "cubbyhole/a/b").await,
        (404, json!({"errors": []}))
    );
}

#[tokio::test]
async fn refuses_callers_without_a_valid_token() {
    let server = Server::start().await;
    for token in ["", "hvs.unknown"] {
        let answer = server.read(token, "cubbyhole/a").await;
        assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    }
}

#[tokio::test]
async fn an_unknown_mount_is_told_to_those_who_may_know() {
    let server = Server::start().await;
    let answer = server.read(ROOT, "nope/x").await;
    let text = "no handler for route \"nope/x\". route entry not found.";
    assert_eq!((answer.0, error(&answer)), (404, text));
    let answer = server.read("", "nope/x").await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
}
