//! `auth/token/revoke*`: the end of tokens, and of all that hangs on them.

use std::sync::Arc;

use serde_json::json;
use signet_api::expiry::{self, LeaseRecord, Leased, Leases, OnFailure};
use signet_api::node::Core;
use signet_api::time::Timestamp;
use signet_api::token::TokenRecord;
use signet_storage::Batch;

use crate::support::{ROOT, Server, error};
use crate::token_support::client_token;

const CREATE_ORPHAN: &str = "auth/token/create-orphan";

async fn revoke(server: &Server, token: &str) {
    let answer = server
        .write(ROOT, "auth/token/revoke", json!({"token": token}))
        .await;
    assert_eq!(answer.0, 204, "{}", answer.1);
}

/// Nothing of any token but the first is stored.
async fn assert_only_root_is_left(server: &Server) {
    let core = server.node.core().unwrap();
    for (prefix, left) in [
        ("sys/token/id/", 1),
        ("sys/token/accessor/", 1),
        ("sys/token/parent/", 0),
        ("sys/lease/", 0),
        ("sys/cubbyhole/", 0),
    ] {
        let keys = core.store.keys(prefix, None, 100).await.unwrap();
        assert_eq!(keys.len(), left, "{prefix}: {keys:?}");
    }
}

/// A lease on something of the cubbyhole's mount, held by a token.
async fn lease_to(core: &Arc<Core>, token: &str, id: &str, expires_at: Timestamp) {
    let lease = LeaseRecord {
        issued_at: Timestamp(0),
        expires_at,
        last_renewal: None,
        renewable: false,
        of: Leased::Secret {
            holder: Some(core.tokens.hash(token)),
            data: serde_json::Map::new(),
        },
    };
    let mut batch = Batch::new();
    Leases::new(&core.store)
        .put(&mut batch, id, &lease, None)
        .unwrap();
    core.store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_token_takes_its_descendants_with_it() {
    let server = Server::with_makers().await;
    let parent = server.maker().await;
    let child = server.token(&parent, json!({})).await;
    let grandchild = server.token(&child, json!({})).await;
    let orphan = client_token(&server.write(&child, CREATE_ORPHAN, json!({})).await);
    server
        .write(&grandchild, "cubbyhole/a", json!({"k": "v"}))
        .await;
    let core = server.node.core().unwrap();
    lease_to(&core, &grandchild, "cubbyhole/x/1", Timestamp(i64::MAX)).await;
    revoke(&server, &parent).await;
    for token in [&parent, &child, &grandchild] {
        let answer = server.read(token, "auth/token/lookup-self").await;
        assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
        assert_eq!(server.lookup(token).await.0, 403);
    }
    assert!(server.works(&orphan).await);
    revoke(&server, &orphan).await;
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn every_way_of_revoking_ends_the_token() {
    let server = Server::with_makers().await;
    for path in ["revoke", "revoke-self", "revoke-accessor", "revoke-orphan"] {
        let token = server.maker().await;
        let child = server.token(&token, json!({})).await;
        let accessor = server.lookup(&token).await.1["data"]["accessor"].clone();
        let (caller, data) = match path {
            "revoke-self" => (token.as_str(), json!({})),
            "revoke-accessor" => (ROOT, json!({"accessor": accessor})),
            _ => (ROOT, json!({"token": token})),
        };
        let answer = server
            .write(caller, &format!("auth/token/{path}"), data)
            .await;
        assert_eq!(answer.0, 204, "{path} {}", answer.1);
        assert!(!server.works(&token).await, "{path}");
        assert_eq!(
            server.works(&child).await,
            path == "revoke-orphan",
            "{path}"
        );
        if path == "revoke-orphan" {
            let (_, body) = server.lookup(&child).await;
            assert_eq!(body["data"]["orphan"], json!(true));
            revoke(&server, &child).await;
        }
    }
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn refuses_with_the_texts_clients_know() {
    let server = Server::with_makers().await;
    let plain = server.maker().await;
    let needs_sudo = "root or sudo privileges required to revoke and orphan";
    for (caller, path, data, status, text) in [
        (ROOT, "revoke", json!({"token": "nope"}), 204, ""),
        (ROOT, "revoke", json!({}), 400, "missing token ID"),
        (ROOT, "revoke", json!({"token": 5}), 403, "invalid token"),
        (
            ROOT,
            "revoke-accessor",
            json!({}),
            400,
            "1 error occurred:\n\t* missing accessor\n\n",
        ),
        (
            ROOT,
            "revoke-orphan",
            json!({"token": "nope"}),
            400,
            "token to revoke not found",
        ),
        (ROOT, "revoke-orphan", json!({}), 400, "missing token ID"),
        (
            &plain,
            "revoke-orphan",
            json!({"token": plain}),
            400,
            needs_sudo,
        ),
    ] {
        let answer = server
            .write(caller, &format!("auth/token/{path}"), data)
            .await;
        assert_eq!((answer.0, error(&answer)), (status, text), "{path}");
    }
    let data = json!({"accessor": "nope"});
    let (status, body) = server.write(ROOT, "auth/token/revoke-accessor", data).await;
    let warnings = json!(["No token found with this accessor"]);
    assert_eq!((status, &body["warnings"]), (200, &warnings));
}

#[tokio::test]
async fn the_end_of_a_parent_is_the_end_of_its_children_at_once() {
    let server = Server::with_makers().await;
    let data = json!({"policies": ["maker"], "ttl": "1h"});
    let parent = server.token(ROOT, data).await;
    let child = server.token(&parent, json!({"ttl": "9h"})).await;
    let grandchild = server.token(&child, json!({"ttl": "9h"})).await;
    server.clock.advance_secs(3599);
    assert!(server.works(&grandchild).await);
    server.clock.advance_secs(1);
    assert!(!server.works(&child).await, "although nobody swept yet");
    assert!(!server.works(&grandchild).await);
    server.node.tick().await;
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn a_chain_of_ten_thousand_goes_with_its_first() {
    const LENGTH: usize = 10_000;
    let server = Server::start().await;
    let core = server.node.core().unwrap();
    let mut parent = None;
    let mut first = None;
    let mut last = String::new();
    for number in 0..LENGTH {
        let record = TokenRecord {
            path: "auth/token/create".into(),
            expires_at: Some(server.node.now().plus_secs(3600)),
            parent,
            ..TokenRecord::default()
        };
        let mut batch = Batch::new();
        let secret = Some(zeroize::Zeroizing::new(format!("chain-{number}")));
        let token = core.tokens.create(&mut batch, record, secret).unwrap();
        core.store.commit(batch).await.unwrap();
        first.get_or_insert_with(|| token.hash.clone());
        last.clone_from(&token.secret);
        parent = Some(token.hash);
    }
    let now = server.node.now();
    assert!(core.tokens.lookup(&last, now).await.unwrap().is_some());
    core.tokens
        .revoke_tree(&core, &first.unwrap(), now)
        .await
        .unwrap();
    assert!(core.tokens.lookup(&last, now).await.unwrap().is_none());
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn no_child_survives_that_is_made_while_its_parent_goes() {
    for seed in 0..20 {
        let server = Server::start_interleaved(seed).await.and_makers().await;
        let server = Arc::new(server);
        let parent = server.maker().await;
        let child = server.token(&parent, json!({})).await;
        let mut makers = tokio::task::JoinSet::new();
        for maker in 0..16 {
            let server = server.clone();
            let by = if maker % 2 == 0 { &parent } else { &child }.clone();
            makers.spawn(async move {
                let mut made = Vec::new();
                for _ in 0..8 {
                    let answer = server.create(&by, json!({})).await;
                    match answer.0 {
                        200 => made.push(client_token(&answer)),
                        status => assert_eq!(status, 403, "{}", answer.1),
                    }
                }
                made
            });
        }
        revoke(&server, &parent).await;
        let made = makers.join_all().await.concat();
        for token in &made {
            assert!(!server.works(token).await);
        }
        assert_only_root_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_tree_is_dead_as_a_whole_before_it_is_gone_piece_by_piece() {
    for seed in 0..10 {
        let server = Server::start_interleaved(seed).await.and_makers().await;
        let server = Arc::new(server);
        let parent = server.maker().await;
        let mut family = vec![parent.clone()];
        for _ in 0..8 {
            family.push(server.token(&parent, json!({})).await);
        }
        let revoking = tokio::spawn({
            let (server, parent) = (server.clone(), parent.clone());
            async move { revoke(&server, &parent).await }
        });
        let core = server.node.core().unwrap();
        let mut is_dead = false;
        while !revoking.is_finished() {
            for token in &family {
                let found = core.tokens.lookup(token, server.node.now()).await.unwrap();
                assert!(!is_dead || found.is_none(), "one of them outlives another");
                is_dead |= found.is_none();
            }
            tokio::task::yield_now().await;
        }
        revoking.await.unwrap();
        assert!(is_dead);
    }
}

#[tokio::test]
async fn a_revoked_token_makes_nothing_more_not_even_orphans() {
    for seed in 0..20 {
        let server = Server::start_interleaved(seed).await.and_makers().await;
        let server = Arc::new(server);
        let maker = server.maker().await;
        let mut makers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (server, maker) = (server.clone(), maker.clone());
            makers.spawn(async move {
                while server.write(&maker, CREATE_ORPHAN, json!({})).await.0 == 200 {}
            });
        }
        tokio::task::yield_now().await;
        revoke(&server, &maker).await;
        let core = server.node.core().unwrap();
        let made = core.tokens.count().await.unwrap();
        makers.join_all().await;
        assert_eq!(core.tokens.count().await.unwrap(), made, "seed {seed}");
    }
}

#[tokio::test]
async fn no_lookup_keeps_a_token_in_memory_that_was_revoked_meanwhile() {
    for seed in 0..40 {
        let server = Arc::new(Server::start_interleaved(seed).await);
        let token = server.token(ROOT, json!({"policies": ["default"]})).await;
        let mut lookups = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (server, token) = (server.clone(), token.clone());
            lookups.spawn(async move { server.works(&token).await });
        }
        revoke(&server, &token).await;
        lookups.join_all().await;
        assert!(!server.works(&token).await, "seed {seed}");
    }
}

#[tokio::test]
async fn what_a_crash_leaves_of_a_revocation_is_dead_and_swept() {
    let server = Server::with_makers().await;
    let parent = server.maker().await;
    let child = server.token(&parent, json!({})).await;
    let core = server.node.core().unwrap();
    // The first commit of a revocation, and nothing after it.
    let now = server.node.now();
    let token = core.tokens.lookup(&parent, now).await.unwrap().unwrap();
    let mut record = token.record.clone();
    record.expires_at = Some(Timestamp(0));
    let mut batch = Batch::new();
    core.tokens.replace(&mut batch, &token, &record).unwrap();
    core.store.commit(batch).await.unwrap();
    assert!(!server.works(&parent).await && !server.works(&child).await);
    server.node.tick().await;
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn an_auth_method_takes_its_tokens_with_it() {
    let server = Server::start().await;
    let core = server.node.core().unwrap();
    let mut tokens = Vec::new();
    for path in ["auth/x/login", "auth/x/login/bob", "auth/x2/login"] {
        for _ in 0..3 {
            let record = TokenRecord {
                path: path.into(),
                policies: vec!["default".into()],
                expires_at: Some(server.node.now().plus_secs(3600)),
                ..TokenRecord::default()
            };
            let mut batch = Batch::new();
            let token = core.tokens.create(&mut batch, record, None).unwrap();
            core.store.commit(batch).await.unwrap();
            tokens.push((path, token.secret.to_string()));
        }
    }
    let now = server.node.now();
    expiry::revoke_prefix(&core, "auth/x/", OnFailure::Stop, now)
        .await
        .unwrap();
    for (path, token) in tokens {
        assert_eq!(
            server.works(&token).await,
            path == "auth/x2/login",
            "{path}"
        );
    }
}

#[tokio::test]
async fn disabling_an_auth_method_ends_the_tokens_of_its_logins() {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    let role = json!({"role_id": "r", "bind_secret_id": false, "token_bound_cidrs": "127.0.0.1"});
    let answer = server.write(ROOT, "auth/approle/role/web", role).await;
    assert_eq!(answer.0, 204, "{}", answer.1);
    let login = server
        .write("", "auth/approle/login", json!({"role_id": "r"}))
        .await;
    let token = client_token(&login);
    assert!(server.works(&token).await);
    assert_eq!(server.delete(ROOT, "sys/auth/approle").await.0, 204);
    assert!(!server.works(&token).await);
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn a_sweep_works_through_many_more_than_a_page() {
    const TOKENS: usize = 3_000;
    let server = Server::start().await;
    let core = server.node.core().unwrap();
    let start = server.node.now();
    for number in 0..TOKENS {
        let life_secs = if number % 3 == 0 { 7200 } else { 60 };
        let record = TokenRecord {
            path: "auth/token/create".into(),
            expires_at: Some(start.plus_secs(life_secs)),
            ..TokenRecord::default()
        };
        let mut batch = Batch::new();
        let token = core.tokens.create(&mut batch, record, None).unwrap();
        core.store.commit(batch).await.unwrap();
        if number % 100 == 1 && life_secs == 60 {
            let id = format!("cubbyhole/x/{number}");
            lease_to(&core, &token.secret, &id, start.plus_secs(7200)).await;
        }
    }
    server.clock.advance_secs(60);
    server.node.tick().await;
    let left = core
        .store
        .keys("sys/token/id/", None, TOKENS)
        .await
        .unwrap();
    assert_eq!(left.len(), 1 + TOKENS / 3);
    let left = core
        .store
        .keys("sys/lease/time/", None, TOKENS)
        .await
        .unwrap();
    assert_eq!(
        left.len(),
        TOKENS / 3,
        "the leases of tokens that ended are gone too"
    );
    server.clock.advance_secs(7200);
    server.node.tick().await;
    assert_only_root_is_left(&server).await;
}

#[tokio::test]
async fn a_renewed_token_is_not_swept_at_its_old_end() {
    let server = Server::start().await;
    let token = server
        .token(ROOT, json!({"policies": ["default"], "ttl": 60}))
        .await;
    server.clock.advance_secs(30);
    let data = json!({"token": token, "increment": 120});
    assert_eq!(server.write(ROOT, "auth/token/renew", data).await.0, 200);
    server.clock.advance_secs(60);
    server.node.tick().await;
    assert!(server.works(&token).await);
    server.clock.advance_secs(60);
    server.node.tick().await;
    assert_only_root_is_left(&server).await;
}
