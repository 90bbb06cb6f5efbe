//! Wrong secrets shut a user out for a while.

use serde_json::{Value, json};
use signet_api::mount::LockoutConfig;

use crate::support::{Answer, ROOT, Server, error};

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    for name in ["web", "other"] {
        let path = format!("auth/approle/role/{name}");
        server.write(ROOT, &path, json!({"role_id": name})).await;
        let path = format!("{path}/custom-secret-id");
        server.write(ROOT, &path, json!({"secret_id": "sid"})).await;
    }
    server
}

async fn login(server: &Server, role_id: &str, secret_id: &str) -> Answer {
    let data = json!({"role_id": role_id, "secret_id": secret_id});
    server.write("", "auth/approle/login", data).await
}

async fn fail(server: &Server, role_id: &str, times: usize) {
    for _ in 0..times {
        let answer = login(server, role_id, "wrong").await;
        assert_eq!(
            (answer.0, error(&answer)),
            (400, "invalid role or secret ID")
        );
    }
}

async fn locked(server: &Server) -> Value {
    let answer = server.read(ROOT, "sys/locked-users").await;
    answer.1["data"].clone()
}

#[tokio::test]
async fn five_wrong_secrets_lock_a_role_for_a_quarter_of_an_hour() {
    let server = server().await;
    fail(&server, "web", 5).await;
    for secret_id in ["sid", "wrong"] {
        let answer = login(&server, "web", secret_id).await;
        assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    }
    assert_eq!(login(&server, "other", "sid").await.0, 200);
    server.clock.advance_secs(899);
    assert_eq!(login(&server, "web", "sid").await.0, 403);
    server.clock.advance_secs(1);
    assert_eq!(login(&server, "web", "sid").await.0, 200);
}

#[tokio::test]
async fn a_right_secret_and_time_forgive_the_wrong_ones() {
    let server = server().await;
    fail(&server, "web", 4).await;
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    fail(&server, "web", 4).await;
    server.clock.advance_secs(900);
    fail(&server, "web", 4).await;
    assert_eq!(login(&server, "web", "sid").await.0, 200);
}

#[tokio::test]
async fn unknown_role_ids_are_never_locked() {
    let server = server().await;
    fail(&server, "nope", 20).await;
    assert_eq!(locked(&server).await["total"], 0);
}

#[tokio::test]
async fn an_operator_sees_the_locked_and_lets_them_in() {
    let server = server().await;
    let empty = json!({
        "by_namespace": [{
            "namespace_id": "root", "namespace_path": "", "counts": 0, "mount_accessors": [],
        }],
        "total": 0,
    });
    assert_eq!(locked(&server).await, empty);
    fail(&server, "web", 5).await;
    let core = server.node.core().unwrap();
    let mount = core.mounts.get("auth/approle/").unwrap();
    let accessor = &mount.record.accessor;
    let expected = json!({
        "by_namespace": [{
            "namespace_id": "root", "namespace_path": "", "counts": 1,
            "mount_accessors": [{
                "mount_accessor": accessor, "counts": 1, "alias_identifiers": ["web"],
            }],
        }],
        "total": 1,
    });
    assert_eq!(locked(&server).await, expected);
    let path = format!("sys/locked-users/{accessor}/unlock/web");
    assert_eq!(
        server.write(ROOT, &path, json!({})).await,
        (204, Value::Null)
    );
    assert_eq!(locked(&server).await, empty);
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    assert_eq!(server.read("", "sys/locked-users").await.0, 403);
}

#[tokio::test]
async fn the_tuning_of_the_mount_decides() {
    let server = server().await;
    let tune = |config: LockoutConfig| {
        let core = server.node.core().unwrap();
        async move {
            let set = |mount: &mut signet_api::mount::MountConfig| {
                mount.user_lockout = Some(config);
                Ok(())
            };
            core.mounts.tune("auth/approle/", set).await.unwrap();
        }
    };
    tune(LockoutConfig {
        threshold: 2,
        duration_secs: 30,
        ..LockoutConfig::default()
    })
    .await;
    fail(&server, "web", 2).await;
    assert_eq!(login(&server, "web", "sid").await.0, 403);
    server.clock.advance_secs(30);
    assert_eq!(login(&server, "web", "sid").await.0, 200);
    tune(LockoutConfig {
        disabled: true,
        ..LockoutConfig::default()
    })
    .await;
    fail(&server, "web", 20).await;
    assert_eq!(login(&server, "web", "sid").await.0, 200);
}
