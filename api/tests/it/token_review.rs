//! Asking an API server whose token it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use signet_api::kubernetes::{
    Bearer, LocalCluster, LocalPod, OutsideCluster, ReviewError, Reviewed, ReviewerSettings,
    TokenReviewer,
};
use signet_api::outbound::{OutboundError, Trust};
use signet_api::time::Timestamp;
use zeroize::Zeroizing;

use crate::outbound::{FakeOutbound, header};
use crate::signer::b64;

const NOW: i64 = 1_800_000_000;

fn at(secs_later: u64) -> Timestamp {
    Timestamp::from_secs(NOW).plus_secs(secs_later)
}

fn settings(bearer: Bearer) -> ReviewerSettings {
    ReviewerSettings {
        host: "api.example:6443".into(),
        ca_pem: "pem".into(),
        bearer,
        timeout: Duration::from_secs(7),
    }
}

fn given() -> Bearer {
    Bearer::Given(Zeroizing::new("reviewer".into()))
}

fn setting(bearer: Bearer) -> (Arc<FakeOutbound>, TokenReviewer) {
    let outbound = Arc::new(FakeOutbound::default());
    outbound.answer_json(201, &accepted());
    let reviewer = TokenReviewer::new(settings(bearer), outbound.clone(), Arc::new(OutsideCluster));
    (outbound, reviewer)
}

fn accepted() -> Value {
    json!({ "status": {
        "authenticated": true,
        "audiences": ["a"],
        "user": { "username": "system:serviceaccount:web:front", "uid": "u-1" },
    }})
}

async fn review(
    reviewer: &TokenReviewer,
    token: &str,
    now: Timestamp,
) -> Result<Arc<Reviewed>, ReviewError> {
    reviewer.review(token, &["a".to_owned()], now).await
}

#[tokio::test]
async fn asks_as_the_api_server_wants_to_be_asked() {
    let (outbound, reviewer) = setting(given());
    let account = review(&reviewer, "tok", at(0)).await.unwrap();
    assert_eq!(account.service_account, "front");
    let sent = outbound.take_sent().remove(0);
    assert_eq!(
        sent.url,
        "https://api.example:6443/apis/authentication.k8s.io/v1/tokenreviews"
    );
    assert_eq!(header(&sent, "authorization"), "Bearer reviewer");
    assert_eq!(header(&sent, "content-type"), "application/json");
    assert_eq!(
        (sent.trust, sent.timeout),
        (Trust::of_pem("pem"), Duration::from_secs(7))
    );
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": "tok", "audiences": ["a"] },
        })
    );
}

#[tokio::test]
async fn an_accepted_token_is_remembered_for_ten_seconds_and_no_longer_than_it_lives() {
    let (outbound, reviewer) = setting(given());
    for later in [0, 9] {
        review(&reviewer, "tok", at(later)).await.unwrap();
    }
    assert_eq!(outbound.take_sent().len(), 1);
    review(&reviewer, "tok", at(10)).await.unwrap();
    review(&reviewer, "other", at(10)).await.unwrap();
    assert_eq!(outbound.take_sent().len(), 2);
    reviewer.review("tok", &[], at(10)).await.unwrap();
    assert_eq!(
        outbound.take_sent().len(),
        1,
        "other audiences, other question"
    );

    let short = format!(
        "{}.{}.eA",
        b64("{\"alg\":\"RS256\"}"),
        b64(json!({ "exp": NOW + 23 }).to_string())
    );
    for (later, asked) in [(20, 1), (22, 0), (23, 1)] {
        review(&reviewer, &short, at(later)).await.unwrap();
        assert_eq!(outbound.take_sent().len(), asked, "{later}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let (outbound, reviewer) = setting(given());
    outbound.answer_json(
        201,
        &json!({ "status": { "authenticated": false, "error": "gone" } }),
    );
    let refused = review(&reviewer, "tok", at(0)).await;
    assert_eq!(refused, Err(ReviewError::Unauthenticated("gone".into())));
    outbound.answer_json(201, &accepted());
    assert!(review(&reviewer, "tok", at(0)).await.is_ok());
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_review() {
    let (outbound, reviewer) = setting(given());
    let gate = outbound.hold();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let reviewer = reviewer.clone();
            tokio::spawn(async move { review(&reviewer, "tok", at(0)).await.is_ok() })
        })
        .collect();
    outbound.until_sent(1).await;
    while callers[0].is_finished() {
        tokio::task::yield_now().await;
    }
    callers[0].abort();
    gate.add_permits(100);
    for caller in callers.into_iter().skip(1) {
        assert!(caller.await.unwrap());
    }
    assert_eq!(outbound.take_sent().len(), 1);
}

#[tokio::test]
async fn reviews_at_once_are_bounded_and_all_get_their_turn() {
    let (outbound, reviewer) = setting(given());
    let gate = outbound.hold();
    let callers: Vec<_> = (0..100)
        .map(|number| {
            let reviewer = reviewer.clone();
            let token = format!("tok-{number}");
            tokio::spawn(async move { review(&reviewer, &token, at(0)).await.is_ok() })
        })
        .collect();
    outbound.until_sent(32).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(outbound.take_sent().len(), 32);
    gate.add_permits(100);
    for caller in callers {
        assert!(caller.await.unwrap());
    }
}

#[tokio::test]
async fn an_api_server_that_is_in_trouble_says_nothing_of_the_token() {
    for bearer in [given(), Bearer::Reviewed] {
        let (outbound, reviewer) = setting(bearer.clone());
        for status in [302, 404, 429, 500, 503] {
            outbound.answer_json(status, &json!({}));
            let refused = review(&reviewer, "tok", at(0)).await.unwrap_err();
            assert!(
                matches!(refused, ReviewError::Unavailable(_)),
                "{status} {refused}"
            );
        }
        outbound.answer_json(201, &json!(["x"]));
        let refused = review(&reviewer, "tok", at(0)).await.unwrap_err();
        assert!(matches!(refused, ReviewError::Unavailable(_)), "{refused}");
        outbound.answer(|request| Err(OutboundError::TimedOut(request.timeout)));
        let refused = review(&reviewer, "tok", at(0)).await.unwrap_err();
        assert!(matches!(refused, ReviewError::Unavailable(_)), "{refused}");
        for status in [401, 403] {
            outbound.answer_json(status, &json!({}));
            let refused = review(&reviewer, "tok", at(0)).await.unwrap_err();
            let is_the_callers_fault = matches!(bearer, Bearer::Reviewed);
            let says_so = matches!(refused, ReviewError::Unauthenticated(_));
            assert_eq!(says_so, is_the_callers_fault, "{bearer:?} {status}");
        }
    }
}

#[derive(Debug)]
struct InPod;

#[async_trait]
impl LocalCluster for InPod {
    async fn pod(&self) -> LocalPod {
        LocalPod {
            host: Some("https://10.0.0.1:443".into()),
            ca_pem: Some("local pem".into()),
            token: Some(Zeroizing::new("local".into())),
        }
    }
}

#[tokio::test]
async fn in_a_pod_its_own_cluster_fills_the_gaps() {
    let outbound = Arc::new(FakeOutbound::default());
    outbound.answer_json(201, &accepted());
    let empty = ReviewerSettings {
        host: String::new(),
        ca_pem: String::new(),
        ..settings(Bearer::Local)
    };
    let reviewer = TokenReviewer::new(empty.clone(), outbound.clone(), Arc::new(InPod));
    review(&reviewer, "tok", at(0)).await.unwrap();
    let sent = outbound.take_sent().remove(0);
    assert!(
        sent.url.starts_with("https://10.0.0.1:443/apis/"),
        "{}",
        sent.url
    );
    assert_eq!(sent.trust, Trust::of_pem("local pem"));
    assert_eq!(header(&sent, "authorization"), "Bearer local");

    let reviewer = TokenReviewer::new(empty, outbound.clone(), Arc::new(OutsideCluster));
    let refused = review(&reviewer, "tok", at(0)).await.unwrap_err();
    assert!(matches!(refused, ReviewError::Unavailable(_)), "{refused}");
    let outside = settings(Bearer::Local);
    let reviewer = TokenReviewer::new(outside, outbound.clone(), Arc::new(OutsideCluster));
    review(&reviewer, "tok", at(0)).await.unwrap();
    let sent = outbound.take_sent().remove(0);
    assert_eq!(header(&sent, "authorization"), "Bearer tok");
}

#[tokio::test]
async fn tokens_are_in_no_debug_output() {
    let (outbound, reviewer) = setting(given());
    review(&reviewer, "s3cret-token", at(0)).await.unwrap();
    let shown = format!("{reviewer:?} {:?}", outbound.take_sent());
    assert!(
        !shown.contains("s3cret") && !shown.contains("Bearer reviewer"),
        "{shown}"
    );
}
