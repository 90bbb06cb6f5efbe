//! Policies, by the new paths and by the old ones.

use base64::Engine as _;
use serde_json::json;

use crate::support::{ROOT, Server, error};

const RULES: &str = "path \"secret/*\" {\n  capabilities = [\"read\"]\n}\n";

#[tokio::test]
async fn a_policy_is_kept_to_the_letter() {
    let server = Server::start().await;
    let written = server
        .write(ROOT, "sys/policies/acl/Ops", json!({ "policy": RULES }))
        .await;
    assert_eq!(written.0, 204);
    assert_eq!(
        server.read(ROOT, "sys/policies/acl/ops").await.1["data"],
        json!({"name": "ops", "policy": RULES})
    );
    assert_eq!(
        server.list(ROOT, "sys/policies/acl").await.1["data"]["keys"],
        json!(["default", "ops", "root"])
    );
    assert_eq!(server.delete(ROOT, "sys/policies/acl/ops").await.0, 204);
    assert_eq!(server.delete(ROOT, "sys/policies/acl/ops").await.0, 204);
    assert_eq!(
        server.read(ROOT, "sys/policies/acl/ops").await,
        (404, json!({"errors": []}))
    );
}

#[tokio::test]
async fn policies_may_be_json_or_base64_and_have_slashes_in_their_names() {
    let server = Server::start().await;
    let as_json = r#"{"path": {"a": {"capabilities": ["read"]}}}"#;
    let path = "sys/policies/acl/team/a";
    server.write(ROOT, path, json!({ "policy": as_json })).await;
    assert_eq!(
        server.read(ROOT, path).await.1["data"]["policy"],
        json!(as_json)
    );
    let encoded = base64::engine::general_purpose::STANDARD.encode(RULES);
    server.write(ROOT, path, json!({ "policy": encoded })).await;
    assert_eq!(
        server.read(ROOT, path).await.1["data"]["policy"],
        json!(RULES)
    );
}

#[tokio::test]
async fn refuses_what_is_no_policy() {
    let server = Server::start().await;
    for (name, body, text) in [
        ("a", json!({}), "'policy' parameter not supplied or empty"),
        (
            "a",
            json!({"policy": {"a": 1}}),
            "Field validation failed: error converting input for field \"policy\": '' expected \
             type 'string', got unconvertible type 'map[string]interface {}'",
        ),
        (
            "a",
            json!({"policy": "path \"a\" {capabilities=[\"nope\"]}"}),
            "failed to parse policy: path \"a\": path \"a\": invalid capability \"nope\"",
        ),
        (
            "root",
            json!({ "policy": RULES }),
            "cannot update \"root\" policy",
        ),
        (
            "response-wrapping",
            json!({ "policy": RULES }),
            "cannot update \"response-wrapping\" policy",
        ),
    ] {
        let answer = server
            .write(ROOT, &format!("sys/policies/acl/{name}"), body)
            .await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    for (name, text) in [
        ("default", "cannot delete default policy"),
        ("root", "cannot delete \"root\" policy"),
        (
            "response-wrapping",
            "cannot delete \"response-wrapping\" policy",
        ),
    ] {
        let answer = server
            .delete(ROOT, &format!("sys/policies/acl/{name}"))
            .await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    assert_eq!(server.read(ROOT, "sys/policies/acl").await.0, 405);
    assert_eq!(server.read(ROOT, "sys/policies/password/p").await.0, 404);
}

#[tokio::test]
async fn root_and_response_wrapping_can_be_read_and_default_be_changed() {
    let server = Server::start().await;
    let root = server.read(ROOT, "sys/policies/acl/root").await.1;
    assert_eq!(root["data"], json!({"name": "root", "policy": ""}));
    assert_eq!(
        server
            .read(ROOT, "sys/policies/acl/response-wrapping")
            .await
            .0,
        200
    );
    let path = "sys/policies/acl/default";
    assert_eq!(
        server.write(ROOT, path, json!({ "policy": RULES })).await.0,
        204
    );
    assert_eq!(
        server.read(ROOT, path).await.1["data"]["policy"],
        json!(RULES)
    );
}

#[tokio::test]
async fn old_clients_use_the_old_paths() {
    let server = Server::start().await;
    let (status, body) = server
        .write(ROOT, "sys/policy/old", json!({ "rules": RULES }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        body["warnings"],
        json!(["'rules' is deprecated, please use 'policy' instead"])
    );
    let (_, body) = server.read(ROOT, "sys/policy/old").await;
    assert_eq!(body["data"], json!({"name": "old", "rules": RULES}));
    assert_eq!(body["rules"], json!(RULES));
    for answer in [
        server.read(ROOT, "sys/policy").await,
        server.list(ROOT, "sys/policy").await,
    ] {
        let names = json!(["default", "old", "root"]);
        assert_eq!(answer.1["data"]["policies"], names);
        assert_eq!(answer.1["keys"], names);
    }
    assert_eq!(server.delete(ROOT, "sys/policy/old").await.0, 204);
}

#[tokio::test]
async fn a_changed_policy_counts_at_once() {
    let server = Server::start().await;
    let rules = r#"path "sys/mounts" { capabilities = ["read"] }"#;
    let token = server.token_with("changing", rules).await;
    assert_eq!(server.read(&token, "sys/mounts").await.0, 200);
    server
        .write(
            ROOT,
            "sys/policies/acl/changing",
            json!({ "policy": RULES }),
        )
        .await;
    assert_eq!(server.read(&token, "sys/mounts").await.0, 403);
}
