//! `auth/token/renew*`: more time, and never too much of it.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Server, error};
use crate::token_support::client_token;

async fn renew(server: &Server, token: &str, increment: &str) -> Answer {
    let data = json!({"token": token, "increment": increment});
    server.write(ROOT, "auth/token/renew", data).await
}

async fn renewed_secs(server: &Server, token: &str, increment: &str) -> u64 {
    let answer = renew(server, token, increment).await;
    answer.1["auth"]["lease_duration"]
        .as_u64()
        .unwrap_or_else(|| panic!("{}", answer.1))
}

#[tokio::test]
async fn an_increment_of_nothing_gives_the_last_one_again() {
    let server = Server::start().await;
    let token = server
        .token(ROOT, json!({"policies": ["default"], "ttl": "1h"}))
        .await;
    assert_eq!(renewed_secs(&server, &token, "").await, 3600);
    assert_eq!(renewed_secs(&server, &token, "10m").await, 600);
    server.clock.advance_secs(100);
    assert_eq!(renewed_secs(&server, &token, "0").await, 600);
    let (_, body) = server.lookup(&token).await;
    assert_eq!(body["data"]["last_renewal_time"], 1_800_000_100);
    assert_eq!(body["data"]["last_renewal"], "2027-01-15T08:01:40Z");
}

#[tokio::test]
async fn answers_the_token_except_to_those_who_know_only_the_accessor() {
    let server = Server::start().await;
    let made = server
        .create(ROOT, json!({"policies": ["default"], "ttl": "1h"}))
        .await;
    let token = client_token(&made);
    assert_eq!(client_token(&renew(&server, &token, "").await), token);
    let by_self = server
        .write(&token, "auth/token/renew-self", json!({"increment": 5}))
        .await;
    assert_eq!(client_token(&by_self), token);
    assert_eq!(by_self.1["auth"]["lease_duration"], 5);
    let data = json!({"accessor": made.1["auth"]["accessor"], "increment": "2h"});
    let by_accessor = server.write(ROOT, "auth/token/renew-accessor", data).await;
    assert_eq!(client_token(&by_accessor), "");
    assert_eq!(by_accessor.1["auth"]["lease_duration"], 7200);
}

#[tokio::test]
async fn refuses_what_cannot_be_renewed() {
    let server = Server::start().await;
    let fixed = server
        .token(ROOT, json!({"policies": ["default"], "renewable": false}))
        .await;
    for (data, status, text) in [
        (json!({"token": "nope"}), 400, "token not found"),
        (json!({}), 400, "missing token ID"),
        (json!({"token": 5}), 403, "invalid token"),
        (json!({"token": ROOT}), 400, "lease is not renewable"),
        (json!({"token": fixed}), 400, "lease is not renewable"),
        (
            json!({"token": fixed, "increment": -5}),
            400,
            "Field validation failed: error converting input for field \"increment\": cannot provide negative value '-5'",
        ),
    ] {
        let answer = server.write(ROOT, "auth/token/renew", data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (status, text), "{data}");
    }
    let once = server
        .token(ROOT, json!({"policies": ["default"], "num_uses": 1}))
        .await;
    let answer = server
        .write(&once, "auth/token/renew-self", json!({}))
        .await;
    assert_eq!((answer.0, error(&answer)), (400, "token not found"));
}

#[tokio::test]
async fn periodic_tokens_get_their_period_for_ever() {
    let server = Server::start().await;
    let token = server
        .token(ROOT, json!({"policies": ["default"], "period": "1h"}))
        .await;
    for _ in 0..1000 {
        server.clock.advance_secs(3599);
        assert_eq!(renewed_secs(&server, &token, "5m").await, 3600);
    }
    server.clock.advance_secs(3600);
    assert!(!server.works(&token).await);
}

#[tokio::test]
async fn an_explicit_maximum_ends_periodic_tokens_too() {
    let server = Server::start().await;
    let data = json!({"policies": ["default"], "period": "1h", "explicit_max_ttl": "90m"});
    let token = server.token(ROOT, data).await;
    server.clock.advance_secs(3000);
    assert_eq!(renewed_secs(&server, &token, "").await, 2400);
    server.clock.advance_secs(2399);
    assert!(server.works(&token).await);
    server.clock.advance_secs(1);
    assert!(!server.works(&token).await);
}

#[tokio::test]
async fn a_renewal_just_before_the_maximum_does_not_pass_it() {
    for (early_millis, is_renewed) in [(1500, true), (1, true), (0, false)] {
        let server = Server::start().await;
        let data = json!({"policies": ["default"], "ttl": "1h", "explicit_max_ttl": "1h"});
        let token = server.token(ROOT, data).await;
        server.clock.advance_millis(3_600_000 - early_millis);
        let answer = renew(&server, &token, "1h").await;
        assert_eq!(answer.0 == 200, is_renewed, "{early_millis} {}", answer.1);
        if is_renewed {
            assert_eq!(
                answer.1["auth"]["lease_duration"],
                json!(early_millis / 1000)
            );
            let expiry = &server.lookup(&token).await.1["data"]["expire_time"];
            assert_eq!(expiry, "2027-01-15T09:00:00Z");
            server.clock.advance_millis(early_millis);
        }
        assert!(
            !server.works(&token).await,
            "{early_millis} ms before the maximum"
        );
        server.clock.advance_millis(1);
        assert!(!server.works(&token).await);
    }
}

#[tokio::test]
async fn the_system_maximum_counts_from_the_creation() {
    let server = Server::start().await;
    let token = server.token(ROOT, json!({"policies": ["default"]})).await;
    server.clock.advance_secs(2_764_700);
    let answer = renew(&server, &token, "9999h").await;
    assert_eq!(answer.1["auth"]["lease_duration"], 100);
    let text = "TTL of \"9999h\" exceeded the effective max_ttl of \"1m40s\"; TTL value is capped accordingly";
    assert_eq!(answer.1["warnings"][0], text);
}

#[tokio::test]
async fn a_token_role_decides_with_its_current_values() {
    let server = Server::start().await;
    let role = "auth/token/roles/r";
    server
        .write(ROOT, role, json!({"token_period": "1h"}))
        .await;
    let data = json!({"policies": ["default"]});
    let token = client_token(&server.write(ROOT, "auth/token/create/r", data).await);
    server
        .write(ROOT, role, json!({"token_period": "10m"}))
        .await;
    assert_eq!(renewed_secs(&server, &token, "20m").await, 600);
    server.write(ROOT, role, json!({"token_period": 0})).await;
    assert_eq!(renewed_secs(&server, &token, "20m").await, 1200);
    assert_eq!(server.lookup(&token).await.1["data"].get("period"), None);
    server
        .write(ROOT, role, json!({"token_explicit_max_ttl": "5m"}))
        .await;
    assert_eq!(renewed_secs(&server, &token, "20m").await, 300);
    server.delete(ROOT, role).await;
    let answer = renew(&server, &token, "").await;
    let text = "failed to renew entry: original token role \"r\" could not be found, not renewing";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert!(server.works(&token).await, "it lives on to its end");
}

#[tokio::test]
async fn what_the_call_asked_for_stays_a_bound_when_the_role_changes() {
    let server = Server::start().await;
    let role = "auth/token/roles/r";
    server
        .write(
            ROOT,
            role,
            json!({"token_period": "1h", "token_explicit_max_ttl": "2h"}),
        )
        .await;
    let data = json!({"policies": ["default"], "period": "30m", "explicit_max_ttl": "50m"});
    let made = server.write(ROOT, "auth/token/create/r", data).await;
    let token = client_token(&made);
    assert_eq!(made.1["auth"]["lease_duration"], 1800);
    let warnings = json!([
        "Explicit max TTL specified both during creation call and in role; using the lesser value of 3000 seconds",
        "Period specified both during creation call and in role; using the lesser value of 1800 seconds",
    ]);
    assert_eq!(made.1["warnings"], warnings);
    server
        .write(
            ROOT,
            role,
            json!({"token_period": "9h", "token_explicit_max_ttl": "9h"}),
        )
        .await;
    assert_eq!(renewed_secs(&server, &token, "").await, 1800);
    server.clock.advance_secs(1700);
    assert_eq!(renewed_secs(&server, &token, "").await, 1300);
}

#[tokio::test]
async fn an_expired_token_is_not_found() {
    let server = Server::start().await;
    let token = server
        .token(ROOT, json!({"policies": ["default"], "ttl": 60}))
        .await;
    server.clock.advance_secs(60);
    let answer = renew(&server, &token, "1h").await;
    assert_eq!((answer.0, error(&answer)), (400, "token not found"));
    let (status, body) = server
        .write(&token, "auth/token/renew-self", Value::Null)
        .await;
    assert_eq!(
        (status, body),
        (403, json!({"errors": ["permission denied"]}))
    );
}

#[tokio::test]
async fn a_login_token_is_renewed_on_the_terms_its_role_has_now() {
    let server = Server::start().await;
    server.enable_auth("approle").await;
    let role = "auth/approle/role/web";
    let data = json!({"token_ttl": "1h", "token_max_ttl": "4h", "role_id": "r"});
    server.write(ROOT, role, data).await;
    let custom = format!("{role}/custom-secret-id");
    server.write(ROOT, &custom, json!({"secret_id": "s"})).await;
    let login = json!({"role_id": "r", "secret_id": "s"});
    let login = server.write("", "auth/approle/login", login).await;
    let token = client_token(&login);
    assert_eq!(renewed_secs(&server, &token, "20m").await, 1200);
    assert_eq!(
        renewed_secs(&server, &token, "").await,
        3600,
        "the role's, not the last one"
    );
    server
        .write(
            ROOT,
            role,
            json!({"token_ttl": "30m", "token_max_ttl": "2h"}),
        )
        .await;
    assert_eq!(renewed_secs(&server, &token, "").await, 1800);
    assert_eq!(renewed_secs(&server, &token, "9h").await, 7200);
    server.clock.advance_secs(7190);
    assert_eq!(renewed_secs(&server, &token, "").await, 10);
    server
        .write(ROOT, role, json!({"token_max_ttl": "1h"}))
        .await;
    let answer = renew(&server, &token, "").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "past the max TTL, cannot renew")
    );
    server
        .write(ROOT, role, json!({"token_period": "24h"}))
        .await;
    let capped = renew(&server, &token, "").await;
    assert_eq!(capped.1["auth"]["lease_duration"], 3600);
    let text = "period of \"24h\" exceeded the effective max_ttl of \"1h\"; period value is capped accordingly";
    assert_eq!(capped.1["warnings"][0], text);
    server.delete(ROOT, role).await;
    let answer = renew(&server, &token, "").await;
    let text = "failed to renew entry: role \"web\" does not exist during renewal";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert!(server.works(&token).await, "it lives on to its end");
}
