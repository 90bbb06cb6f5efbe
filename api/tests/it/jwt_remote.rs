//! Keys that are fetched from their issuer.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::jwt::{Expected, JwtError, KeySource, RemoteError, RemoteKeys};
use signet_api::outbound::Trust;
use signet_api::time::Timestamp;

use crate::outbound::{FakeOutbound, response};
use crate::signer::{Signer, jwks};

const NOW: i64 = 1_800_000_000;
const URL: &str = "https://issuer.example/keys";

fn at(secs_later: u64) -> Timestamp {
    Timestamp::from_secs(NOW).plus_secs(secs_later)
}

fn setting() -> (Arc<FakeOutbound>, RemoteKeys) {
    let outbound = Arc::new(FakeOutbound::default());
    let source = KeySource::Jwks(URL.into());
    let keys = RemoteKeys::new(source, Trust::System, outbound.clone());
    (outbound, keys)
}

fn token(signer: &Signer, kid: &str) -> String {
    let header = json!({ "alg": signer.algorithm(), "kid": kid });
    signer.token_with(&header, &json!({ "exp": NOW + 1_000_000 }))
}

async fn check(keys: &RemoteKeys, token: &str, now: Timestamp) -> Result<(), RemoteError> {
    let expected = Expected::default();
    keys.verify(token, &expected, now).await.map(|_| ())
}

fn unknown() -> Result<(), RemoteError> {
    Err(RemoteError::Token(JwtError::UnknownKey))
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept_for_ten_minutes() {
    let (outbound, keys) = setting();
    let signer = Signer::es256();
    outbound.answer_json(200, &jwks(&[signer.jwk("a")]));
    for later in [0, 1, 599] {
        assert_eq!(check(&keys, &token(&signer, "a"), at(later)).await, Ok(()));
    }
    let sent = outbound.take_sent();
    assert_eq!((sent.len(), sent[0].url.as_str()), (1, URL));
    assert_eq!(check(&keys, &token(&signer, "a"), at(600)).await, Ok(()));
    assert_eq!(outbound.take_sent().len(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_at_most_once_in_ten_seconds() {
    let (outbound, keys) = setting();
    let (old, new) = (Signer::es256(), Signer::es256());
    outbound.answer_json(200, &jwks(&[old.jwk("old")]));
    assert_eq!(check(&keys, &token(&old, "old"), at(0)).await, Ok(()));
    outbound.answer_json(200, &jwks(&[old.jwk("old"), new.jwk("new")]));
    assert_eq!(check(&keys, &token(&new, "new"), at(9)).await, unknown());
    assert_eq!(outbound.take_sent().len(), 1);
    assert_eq!(check(&keys, &token(&new, "new"), at(10)).await, Ok(()));
    assert_eq!(outbound.take_sent().len(), 1);
    for _ in 0..5 {
        assert_eq!(check(&keys, &token(&new, "none"), at(11)).await, unknown());
    }
    assert_eq!(outbound.take_sent().len(), 0);
}

#[tokio::test]
async fn a_wrong_signature_of_a_known_key_fetches_nothing() {
    let (outbound, keys) = setting();
    outbound.answer_json(200, &jwks(&[Signer::es256().jwk("a")]));
    let forged = token(&Signer::es256(), "a");
    for later in [0, 100, 200] {
        let refused = check(&keys, &forged, at(later)).await;
        assert_eq!(refused, Err(RemoteError::Token(JwtError::BadSignature)));
    }
    assert_eq!(outbound.take_sent().len(), 1);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_fetch() {
    let (outbound, keys) = setting();
    let signer = Signer::es256();
    outbound.answer_json(200, &jwks(&[signer.jwk("a")]));
    let gate = outbound.hold();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (keys, token) = (keys.clone(), token(&signer, "a"));
            tokio::spawn(async move { check(&keys, &token, at(0)).await })
        })
        .collect();
    outbound.until_sent(1).await;
    // The first caller goes away; what it began is finished for the others.
    callers[0].abort();
    gate.add_permits(100);
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert_eq!(outbound.take_sent().len(), 1);
}

#[tokio::test]
async fn last_keys_count_for_a_day_while_the_issuer_is_away() {
    let (outbound, keys) = setting();
    let signer = Signer::es256();
    outbound.answer_json(200, &jwks(&[signer.jwk("a")]));
    assert_eq!(check(&keys, &token(&signer, "a"), at(0)).await, Ok(()));
    outbound.answer_json(503, &json!({}));
    let day = 24 * 3600;
    for later in [1_000, 1_005, day - 1] {
        assert_eq!(check(&keys, &token(&signer, "a"), at(later)).await, Ok(()));
    }
    assert_eq!(
        outbound.take_sent().len(),
        3,
        "1 fetched, 2 failed, 1 too soon"
    );
    let refused = check(&keys, &token(&signer, "a"), at(day))
        .await
        .unwrap_err();
    assert!(matches!(refused, RemoteError::Unavailable(_)), "{refused}");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_holds_up_one_caller_only() {
    let (outbound, keys) = setting();
    let signer = Signer::es256();
    outbound.answer_json(200, &jwks(&[signer.jwk("a")]));
    assert_eq!(check(&keys, &token(&signer, "a"), at(0)).await, Ok(()));
    let gate = outbound.hold();
    let held_up = {
        let (keys, token) = (keys.clone(), token(&signer, "a"));
        tokio::spawn(async move { check(&keys, &token, at(600)).await })
    };
    outbound.until_sent(2).await;
    assert_eq!(check(&keys, &token(&signer, "a"), at(600)).await, Ok(()));
    gate.add_permits(1);
    assert_eq!(held_up.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn without_keys_nothing_is_said_of_a_token() {
    let signer = Signer::es256();
    for (status, body) in [
        (500, jwks(&[signer.jwk("a")]).to_string()),
        (302, String::new()),
        (200, "<html>".to_owned()),
        (200, jwks(&[]).to_string()),
    ] {
        let (outbound, keys) = setting();
        outbound.answer(move |_| Ok(response(status, &body)));
        let refused = check(&keys, &token(&signer, "a"), at(0)).await.unwrap_err();
        assert!(matches!(refused, RemoteError::Unavailable(_)), "{refused}");
        let again = check(&keys, &token(&signer, "a"), at(5)).await.unwrap_err();
        assert_eq!((again, outbound.take_sent().len()), (refused, 1));
    }
}

fn discovery(
    issuer: &'static str,
    says: &'static str,
    keys: Value,
) -> (Arc<FakeOutbound>, RemoteKeys) {
    let outbound = Arc::new(FakeOutbound::default());
    outbound.answer(move |request| {
        let body = if request.url == "https://issuer.example/.well-known/openid-configuration" {
            json!({ "issuer": says, "jwks_uri": URL })
        } else {
            assert_eq!(request.url, URL);
            keys.clone()
        };
        Ok(response(200, &body.to_string()))
    });
    let source = KeySource::Discovery(issuer.into());
    (
        outbound.clone(),
        RemoteKeys::new(source, Trust::System, outbound),
    )
}

#[tokio::test]
async fn discovery_leads_to_the_keys_of_the_same_issuer_only() {
    let signer = Signer::es256();
    let keys = jwks(&[signer.jwk("a")]);
    for issuer in ["https://issuer.example", "https://issuer.example/"] {
        let (outbound, found) = discovery(issuer, issuer, keys.clone());
        assert_eq!(check(&found, &token(&signer, "a"), at(0)).await, Ok(()));
        assert_eq!(outbound.take_sent().len(), 2);
    }
    let (_, other) = discovery("https://issuer.example", "https://evil.example", keys);
    let refused = check(&other, &token(&signer, "a"), at(0))
        .await
        .unwrap_err();
    assert!(matches!(refused, RemoteError::Unavailable(_)), "{refused}");
}
