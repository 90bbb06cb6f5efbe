//! `sys/leases/` and `sys/capabilities`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use signet_api::expiry::{LeaseRecord, Leased, Leases};
use signet_api::node::Core;
use signet_storage::Batch;

use crate::support::{ROOT, Server, error};

async fn secret(server: &Server, id: &str, ttl_secs: u64) {
    let core: Arc<Core> = server.node.core().unwrap();
    let now = server.node.now();
    let lease = LeaseRecord {
        issued_at: now,
        expires_at: now.plus_secs(ttl_secs),
        last_renewal: None,
        renewable: false,
        of: Leased::Secret {
            holder: Some(core.tokens.hash(ROOT)),
            data: Map::new(),
        },
    };
    let mut batch = Batch::new();
    Leases::new(&core.store)
        .put(&mut batch, id, &lease, None)
        .unwrap();
    core.store.commit(batch).await.unwrap();
}

async fn keys(server: &Server, prefix: &str) -> Value {
    let path = format!("sys/leases/lookup{prefix}");
    server.list(ROOT, &path).await.1["data"]["keys"].clone()
}

#[tokio::test]
async fn a_lease_is_looked_up_by_its_id() {
    let server = Server::start().await;
    secret(&server, "pki/issue/web/abc", 3600).await;
    server.clock.advance_secs(600);
    let data = json!({"lease_id": "pki/issue/web/abc"});
    let (status, body) = server.write(ROOT, "sys/leases/lookup", data.clone()).await;
    let expected = json!({
        "id": "pki/issue/web/abc", "issue_time": "2027-01-15T08:00:00Z",
        "expire_time": "2027-01-15T09:00:00Z", "last_renewal": null, "renewable": false,
        "ttl": 3000,
    });
    assert_eq!((status, &body["data"]), (200, &expected));
    server.clock.advance_secs(3000);
    let answer = server.write(ROOT, "sys/leases/lookup", data).await;
    assert_eq!((answer.0, error(&answer)), (400, "invalid lease"));
}

#[tokio::test]
async fn tokens_have_leases_named_after_their_path() {
    let server = Server::start().await;
    let token = server
        .token(ROOT, json!({"policies": ["default"], "ttl": "1h"}))
        .await;
    let listed = keys(&server, "/auth/token/create").await;
    let name = listed[0].as_str().unwrap();
    assert!(name.starts_with('h') && name.len() == 65, "{name}");
    let id = format!("auth/token/create/{name}");
    let (_, body) = server
        .write(ROOT, "sys/leases/lookup", json!({"lease_id": id}))
        .await;
    assert_eq!(
        (&body["data"]["ttl"], &body["data"]["renewable"]),
        (&json!(3600), &json!(true))
    );
    let answer = server
        .write(ROOT, "sys/leases/renew", json!({"lease_id": id}))
        .await;
    assert_eq!(
        error(&answer),
        "tokens cannot be renewed through this endpoint"
    );
    let answer = server
        .write(ROOT, &format!("sys/leases/revoke/{id}"), json!({}))
        .await;
    assert_eq!(answer.0, 204);
    assert!(!server.works(&token).await);
}

#[tokio::test]
async fn leases_are_listed_one_level_at_a_time() {
    let server = Server::with_makers().await;
    for id in ["pki/issue/web/a", "pki/issue/web/b", "pki/sign/x/c"] {
        secret(&server, id, 3600).await;
    }
    assert_eq!(keys(&server, "").await, json!(["pki/"]));
    assert_eq!(keys(&server, "/pki").await, json!(["issue/", "sign/"]));
    assert_eq!(keys(&server, "/pki/issue/web").await, json!(["a", "b"]));
    assert_eq!(server.list(ROOT, "sys/leases/lookup/nope").await.0, 404);
    let plain = server.maker().await;
    assert_eq!(server.list(&plain, "sys/leases/lookup/pki").await.0, 403);
}

#[tokio::test]
async fn refuses_with_the_texts_clients_know() {
    let server = Server::start().await;
    secret(&server, "pki/issue/web/fixed", 3600).await;
    for path in ["sys/leases/renew", "sys/renew"] {
        for (data, text) in [
            (json!({}), "lease_id must be specified"),
            (json!({"lease_id": "x/y"}), "lease not found"),
            (
                json!({"lease_id": "pki/issue/web/fixed"}),
                "lease is not renewable",
            ),
            (json!({"lease_id": "a//b"}), "lease not found"),
            (json!({"lease_id": "../x"}), "lease not found"),
        ] {
            let answer = server.write(ROOT, path, data.clone()).await;
            assert_eq!((answer.0, error(&answer)), (400, text), "{data}");
        }
    }
    let answer = server
        .write(ROOT, "sys/leases/renew/pki/issue/web/fixed", json!({}))
        .await;
    assert_eq!(error(&answer), "lease is not renewable");
    server.clock.advance_secs(3600);
    let answer = server
        .write(ROOT, "sys/leases/renew/pki/issue/web/fixed", json!({}))
        .await;
    assert_eq!(error(&answer), "lease expired");
    for (path, text) in [
        ("sys/leases/lookup", "lease_id must be specified"),
        ("sys/leases/revoke", "lease_id must be specified"),
    ] {
        let answer = server.write(ROOT, path, json!({})).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let answer = server
        .write(ROOT, "sys/leases/lookup", json!({"lease_id": "nope"}))
        .await;
    assert_eq!(error(&answer), "invalid lease");
}

#[tokio::test]
async fn revoking_answers_what_the_client_waits_for() {
    let server = Server::start().await;
    for path in ["sys/leases/revoke", "sys/revoke"] {
        for (sync, status) in [(Value::Null, 204), (json!(true), 204), (json!(false), 202)] {
            for id in ["pki/issue/web/a", "unknown"] {
                secret(&server, "pki/issue/web/a", 3600).await;
                let mut data = json!({"lease_id": id});
                if !sync.is_null() {
                    data["sync"] = sync.clone();
                }
                let (got, body) = server.write(ROOT, path, data).await;
                assert_eq!((got, body), (status, Value::Null), "{path} {sync}");
            }
            assert_eq!(
                keys(&server, "").await,
                json!(["pki/"]),
                "an unknown id revokes nothing"
            );
        }
    }
}

#[tokio::test]
async fn a_prefix_revokes_all_below_it_and_nothing_beside_it() {
    let server = Server::with_makers().await;
    for (path, status) in [
        ("sys/leases/revoke-prefix/pki", 204),
        ("sys/leases/revoke-prefix/pki/", 204),
        ("sys/leases/revoke-force/pki", 204),
        ("sys/revoke-prefix/pki", 204),
        ("sys/revoke-force/pki", 204),
    ] {
        for id in ["pki/issue/web/a", "pki/sign/x/c", "pki2/issue/web/a"] {
            secret(&server, id, 3600).await;
        }
        let plain = server.maker().await;
        let path = path.trim_end_matches('/');
        assert_eq!(
            server.write(&plain, path, json!({})).await.0,
            403,
            "{path} needs sudo"
        );
        assert_eq!(
            server.write(ROOT, path, json!({})).await.0,
            status,
            "{path}"
        );
        assert_eq!(keys(&server, "/pki").await, Value::Null);
        assert_eq!(keys(&server, "/pki2").await, json!(["issue/"]));
    }
    let answer = server
        .write(ROOT, "sys/leases/revoke-prefix/x", json!({"sync": false}))
        .await;
    assert_eq!(answer.0, 202);
}

#[tokio::test]
async fn no_lease_is_ever_given_up() {
    let server = Server::with_makers().await;
    let query = |path: &str, data: Value| {
        crate::support::call(signet_api::call::Op::Read, path, ROOT, data)
    };
    let irrevocable = json!({"type": "irrevocable"});
    let (_, body) = server
        .call(query("sys/leases/count", irrevocable.clone()))
        .await;
    assert_eq!(body["data"], json!({"counts": {}, "lease_count": 0}));
    let (_, body) = server.call(query("sys/leases", irrevocable)).await;
    assert_eq!(body["data"], json!({"leases": [], "lease_count": 0}));
    for path in ["sys/leases/count", "sys/leases"] {
        assert_eq!(server.read(ROOT, path).await.0, 404);
    }
    let plain = server.maker().await;
    assert_eq!(server.read(&plain, "sys/leases").await.0, 403, "needs sudo");
}

#[tokio::test]
async fn capabilities_are_those_of_the_token_that_is_meant() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let accessor = server.lookup(&plain).await.1["data"]["accessor"].clone();
    let all = json!(["create", "delete", "list", "read", "update"]);
    let path = "auth/token/x";
    for (caller, endpoint, data) in [
        (plain.as_str(), "capabilities-self", json!({"path": path})),
        (
            &plain,
            "capabilities-self",
            json!({"path": path, "token": ROOT}),
        ),
        (ROOT, "capabilities", json!({"paths": path, "token": plain})),
        (
            ROOT,
            "capabilities-accessor",
            json!({"paths": [path], "accessor": accessor}),
        ),
    ] {
        let (status, body) = server.write(caller, &format!("sys/{endpoint}"), data).await;
        assert_eq!(status, 200, "{body}");
        for at in [&body, &body["data"]] {
            assert_eq!((&at[path], &at["capabilities"]), (&all, &all), "{endpoint}");
        }
    }
    let data = json!({"paths": "auth/token/x, foo"});
    let (_, body) = server.write(&plain, "sys/capabilities-self", data).await;
    assert_eq!(body["data"], json!({path: all, "foo": ["deny"]}));
    let (_, body) = server
        .write(ROOT, "sys/capabilities-self", json!({"path": "x"}))
        .await;
    assert_eq!(
        body["data"],
        json!({"x": ["root"], "capabilities": ["root"]})
    );
}

#[tokio::test]
async fn capabilities_refuse_with_the_texts_clients_know() {
    let server = Server::start().await;
    let listed = |text: &str| format!("1 error occurred:\n\t* {text}\n\n");
    for (endpoint, data, status, text) in [
        (
            "capabilities-self",
            json!({}),
            400,
            "paths must be supplied".into(),
        ),
        (
            "capabilities-self",
            json!({"path": ""}),
            400,
            "paths must be supplied".into(),
        ),
        (
            "capabilities",
            json!({"token": ROOT}),
            400,
            "paths must be supplied".into(),
        ),
        (
            "capabilities",
            json!({"path": "x"}),
            400,
            listed("no token found"),
        ),
        (
            "capabilities",
            json!({"path": "x", "token": "bad"}),
            400,
            listed("invalid token"),
        ),
        (
            "capabilities",
            json!({"path": "x", "token": 5}),
            403,
            "invalid token".into(),
        ),
        (
            "capabilities-accessor",
            json!({"path": "x"}),
            400,
            "missing accessor".into(),
        ),
        (
            "capabilities-accessor",
            json!({"path": "x", "accessor": "x"}),
            400,
            listed("invalid accessor"),
        ),
    ] {
        let answer = server
            .write(ROOT, &format!("sys/{endpoint}"), data.clone())
            .await;
        assert_eq!(
            (answer.0, error(&answer)),
            (status, text.as_str()),
            "{endpoint} {data}"
        );
    }
}
