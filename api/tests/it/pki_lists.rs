//! Lists of certificates by issuer, end of validity and name, and how many there are.

use serde_json::{Value, json};
use signet_api::call::Op;

use crate::pki_fixture::{Pki, text};
use crate::support::{ROOT, call, error};

impl Pki {
    async fn list_with(&self, path: &str, data: Value) -> (u16, Value) {
        let list = call(Op::List, &format!("pki/{path}/"), ROOT, data);
        self.server.call(list).await
    }

    /// Serial numbers of a list that may be empty.
    async fn found(&self, data: Value) -> Vec<String> {
        let (status, body) = self.list_with("certs", data).await;
        if status == 404 {
            return Vec::new();
        }
        assert_eq!(status, 200, "{body}");
        body["data"]["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect()
    }

    async fn made(&self, path: &str, name: &str, ttl: &str) -> String {
        let data = json!({"common_name": name, "ttl": ttl});
        text(&self.ok(path, data).await["serial_number"])
    }

    async fn counts(&self) -> (u64, u64) {
        let data = self.ok_read("certs/counts").await;
        let number = |name: &str| data[name].as_u64().unwrap();
        (number("stored"), number("revoked"))
    }
}

/// Two issuers, `root` and `second`, and a role `second` of the latter.
async fn with_two_issuers() -> (Pki, String) {
    let pki = Pki::start().await;
    let second = pki
        .ok(
            "root/generate/internal",
            json!({"common_name": "Second", "key_type": "ec", "issuer_name": "second",
                   "ttl": "87600h"}),
        )
        .await;
    let role = json!({"allow_any_name": true, "key_type": "ec", "issuer_ref": "second",
                      "max_ttl": "8760h"});
    pki.ok("roles/second", role).await;
    (pki, text(&second["issuer_id"]))
}

#[tokio::test]
async fn finds_what_ends_soon_in_the_order_of_ends() {
    let (pki, second) = with_two_issuers().await;
    let late = pki.made("issue/web", "late.x", "72h").await;
    let soon = pki.made("issue/second", "soon.x", "2h").await;
    let first = pki.made("issue/web", "first.x", "1h").await;
    let within = |secs: i64| pki.found(json!({ "expiring_within": secs }));
    assert_eq!(within(3599).await, [""; 0]);
    assert_eq!(within(3600).await, std::slice::from_ref(&first));
    assert_eq!(
        pki.found(json!({"expiring_within": "72h"})).await,
        [first.clone(), soon.clone(), late.clone()]
    );
    for issuer in ["second", &second] {
        let request = json!({"expiring_within": "72h", "issuer": issuer});
        assert_eq!(pki.found(request).await, std::slice::from_ref(&soon));
    }
    pki.server.clock.advance_secs(3601);
    let request = json!({"expiring_within": "72h"});
    assert_eq!(pki.found(request).await, [soon, late], "it has ended");
}

#[tokio::test]
async fn finds_the_certificates_of_an_issuer_also_of_one_that_is_gone() {
    let (pki, second) = with_two_issuers().await;
    let leaf = pki.made("issue/second", "a.x", "1h").await;
    pki.made("issue/web", "a.x", "1h").await;
    let (first, rest) = {
        let found = pki.found(json!({"issuer": "second"})).await;
        (found[0].clone(), found.len())
    };
    assert_eq!((first, rest), (leaf.clone(), 2), "and its own");
    pki.server.delete(ROOT, "pki/issuer/second").await;
    assert_eq!(pki.found(json!({ "issuer": second })).await[0], leaf);
    let answer = pki.list_with("certs", json!({"issuer": "second"})).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "unable to find PKI issuer for reference: second")
    );
}

#[tokio::test]
async fn finds_every_kind_of_name_whatever_its_case() {
    let (pki, second) = with_two_issuers().await;
    pki.ok(
        "roles/all",
        json!({"allow_any_name": true, "key_type": "ec", "allowed_uri_sans": "*",
               "enforce_hostnames": false, "ttl": "5h"}),
    )
    .await;
    let all = pki
        .ok(
            "issue/all",
            json!({"common_name": "Common.x", "alt_names": "*.w.x,me@mail.x",
                   "ip_sans": "10.0.0.1,::1", "uri_sans": "spiffe://td/ns/a"}),
        )
        .await;
    let all = text(&all["serial_number"]);
    let other = pki.made("issue/second", "common.x", "1h").await;
    let named = |name: &str| pki.found(json!({ "name": name }));
    for name in ["*.w.x", "ME@mail.x", "10.0.0.1", "::1", "spiffe://td/ns/a"] {
        assert_eq!(named(name).await, std::slice::from_ref(&all), "{name}");
    }
    let mut both = [all.clone(), other.clone()];
    both.sort();
    assert_eq!(named("COMMON.X").await, both);
    assert_eq!(named("mon.x").await, [""; 0]);
    for (filter, expected) in [
        (json!({"name": "common.x", "issuer": second}), &other),
        (json!({"name": "common.x", "expiring_within": "2h"}), &other),
        (json!({"name": "common.x", "issuer": "root"}), &all),
    ] {
        assert_eq!(pki.found(filter).await, std::slice::from_ref(expected));
    }
}

#[tokio::test]
async fn filtered_lists_have_pages_too() {
    let (pki, _) = with_two_issuers().await;
    let mut expected = Vec::new();
    for hour in 1..=7 {
        let path = if hour % 2 == 0 {
            "issue/web"
        } else {
            "issue/second"
        };
        expected.push(pki.made(path, "same.x", &format!("{hour}h")).await);
    }
    let mut sorted = expected.clone();
    sorted.sort();
    for (filter, expected) in [
        (json!({"expiring_within": "24h"}), &expected),
        (json!({"name": "same.x"}), &sorted),
    ] {
        for limit in [1, 2, 3, 7, 100] {
            let mut found: Vec<String> = Vec::new();
            loop {
                let mut request = filter.clone();
                request["limit"] = json!(limit);
                if let Some(last) = found.last() {
                    request["after"] = json!(last);
                }
                let page = pki.found(request).await;
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(&found, expected, "{filter} {limit}");
        }
    }
    let request = json!({"expiring_within": "24h", "after": "12:34"});
    let answer = pki.list_with("certs", request).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            400,
            "there is no certificate with serial number 12:34 after which the list could go on"
        )
    );
}

#[tokio::test]
async fn the_detailed_list_takes_the_same_filters() {
    let pki = Pki::start().await;
    let serial = pki.made("issue/web", "a.x", "1h").await;
    pki.made("issue/web", "b.x", "72h").await;
    let (_, body) = pki
        .list_with("certs/detailed", json!({"expiring_within": "1h"}))
        .await;
    assert_eq!(body["data"]["keys"], json!([serial]));
    assert_eq!(body["data"]["key_info"][&serial]["common_name"], "a.x");
    let answer = pki
        .list_with("certs/detailed", json!({"name": "c.x"}))
        .await;
    assert_eq!(answer.0, 404);
}

#[tokio::test]
async fn what_tidying_takes_away_leaves_every_list_and_count() {
    let pki = Pki::start().await;
    let gone = pki.made("issue/web", "gone.x", "1h").await;
    let revoked = pki.made("issue/web", "gone.x", "1h").await;
    pki.made("issue/web", "stays.x", "72h").await;
    pki.revoke(&revoked).await;
    pki.server.clock.advance_secs(120);
    pki.tick().await;
    assert_eq!(pki.counts().await, (4, 1));
    pki.server.clock.advance_secs(4 * 3600);
    let run = json!({"tidy_cert_store": true, "tidy_revoked_certs": true, "safety_buffer": "1s"});
    pki.ok("tidy", run).await;
    while pki.ok_read("tidy-status").await["state"] == "Running" {
        tokio::task::yield_now().await;
    }
    assert_eq!(pki.read(&format!("cert/{gone}")).await.0, 404);
    assert_eq!(pki.found(json!({"name": "gone.x"})).await, [""; 0]);
    assert_eq!(pki.found(json!({"issuer": "root"})).await.len(), 2);
    assert_eq!(pki.counts().await, (2, 0));
    let view = &pki.server.node.core().unwrap().store;
    let keys = view.keys("", None, 10_000).await.unwrap();
    let entries = keys.iter().filter(|key| key.contains("/cert-")).count();
    assert_eq!(
        entries,
        2 * 2 + 1,
        "an end and a name for each, and the count"
    );
}

#[tokio::test]
async fn keys_in_the_store_do_not_tell_names_that_can_be_guessed() {
    let pki = Pki::start().await;
    let other = Pki::start().await;
    let mut folders = Vec::new();
    for pki in [&pki, &other] {
        pki.made("issue/web", "guess.x", "1h").await;
        let core = pki.server.node.core().unwrap();
        let keys = core.store.keys("", None, 10_000).await.unwrap();
        let folder = |key: &String| {
            Some(
                key.split_once("/cert-name/")?
                    .1
                    .split_once('/')?
                    .0
                    .to_owned(),
            )
        };
        folders.extend(
            keys.iter()
                .filter_map(folder)
                .collect::<std::collections::BTreeSet<_>>(),
        );
    }
    // The root's name and the leaf's, in both stores.
    assert_eq!(folders.len(), 4);
    folders.sort();
    folders.dedup();
    assert_eq!(
        folders.len(),
        4,
        "the same name has the same key in two stores"
    );
}

#[tokio::test]
async fn a_certificate_that_is_stored_when_it_is_revoked_is_counted_then() {
    let pki = Pki::start().await;
    let role = json!({"allow_any_name": true, "key_type": "ec", "no_store": true});
    pki.ok("roles/unstored", role).await;
    let name = json!({"common_name": "a.x", "ttl": "72h"});
    let unstored = pki.ok("issue/unstored", name).await;
    pki.made("issue/web", "b.x", "72h").await;
    pki.server.clock.advance_secs(120);
    pki.tick().await;
    assert_eq!(pki.counts().await, (2, 0));
    pki.ok("revoke", json!({"certificate": unstored["certificate"]}))
        .await;
    assert_eq!(pki.counts().await, (3, 1));
    pki.server.clock.advance_secs(120);
    pki.tick().await;
    assert_eq!(pki.counts().await, (3, 1), "once");
}

#[tokio::test]
async fn counts_go_on_where_they_stopped() {
    let (pki, second) = with_two_issuers().await;
    assert_eq!(pki.counts().await, (2, 0));
    let serial = pki.made("issue/second", "a.x", "72h").await;
    assert_eq!(pki.counts().await, (3, 0), "at once");
    pki.server.clock.advance_secs(120);
    pki.tick().await;
    for _ in 0..3 {
        pki.made("issue/web", "b.x", "72h").await;
    }
    pki.revoke(&serial).await;
    for _ in 0..2 {
        let data = pki.ok_read("certs/counts").await;
        assert_eq!(
            data,
            json!({
                "stored": 6, "revoked": 1,
                "issuers": {
                    &pki.root_id: {"issuer_name": "root", "stored": 4, "revoked": 0},
                    second.clone(): {"issuer_name": "second", "stored": 2, "revoked": 1},
                },
            })
        );
        pki.reopen().await;
    }
}
