//! Tidying: what goes, what must stay, and how to watch and stop it.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::pki_fixture::{NOW, Pki, text};
use crate::support::{ROOT, error};

const DAY: u64 = 86_400;

impl Pki {
    async fn tidy_status(&self) -> Value {
        self.ok_read("tidy-status").await
    }

    /// Runs a tidy to its end.
    async fn tidy(&self, data: Value) -> Value {
        let answer = self.write("tidy", data).await;
        assert_eq!(answer.0, 202, "{answer:?}");
        self.tidied().await
    }

    async fn tidied(&self) -> Value {
        loop {
            let status = self.tidy_status().await;
            if status["state"] != "Running" && status["state"] != "Cancelling" {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn issue_for(&self, ttl_secs: u64) -> String {
        let data = json!({"common_name": "a.x", "ttl": ttl_secs});
        text(&self.ok("issue/web", data).await["serial_number"])
    }

    async fn is_stored(&self, serial: &str) -> bool {
        self.read(&format!("cert/{serial}")).await.0 == 200
    }
}

#[tokio::test]
async fn deletes_what_has_been_expired_for_the_buffer() {
    let pki = Pki::start().await;
    let short = pki.issue_for(3600).await;
    let long = pki.issue_for(30 * DAY).await;
    let run = json!({"tidy_cert_store": true});
    pki.server.clock.advance_secs(3600 + 3 * DAY);
    assert_eq!(pki.tidy(run.clone()).await["cert_store_deleted_count"], 0);
    assert!(pki.is_stored(&short).await);
    pki.server.clock.advance_secs(1);
    let status = pki.tidy(run).await;
    assert_eq!(
        (&status["state"], &status["cert_store_deleted_count"]),
        (&json!("Finished"), &json!(1))
    );
    assert!(!pki.is_stored(&short).await && pki.is_stored(&long).await);
    let finished = NOW + 3600 + 3 * 86_400 + 1;
    let time = signet_api::time::Timestamp::from_secs(finished).rfc3339();
    assert_eq!(
        (&status["time_started"], &status["time_finished"]),
        (&json!(time), &json!(time))
    );
    assert_eq!(status["message"], Value::Null);
}

#[tokio::test]
async fn a_revocation_goes_with_its_certificate_and_leaves_the_list() {
    let pki = Pki::start().await;
    let serial = pki.issue_for(3600).await;
    pki.revoke(&serial).await;
    assert_eq!(pki.listed().await, std::slice::from_ref(&serial));
    pki.server.clock.advance_secs(3600 + 3 * DAY + 1);
    let status = pki.tidy(json!({"tidy_revoked_certs": true})).await;
    assert_eq!(status["revoked_cert_deleted_count"], 1);
    assert_eq!(pki.server.list(ROOT, "pki/certs/revoked").await.0, 404);
    assert!(!pki.is_stored(&serial).await);
    assert_eq!(pki.listed().await, Vec::<String>::new());
}

#[tokio::test]
async fn revoked_certificates_have_a_buffer_of_their_own() {
    let pki = Pki::start().await;
    let (kept, gone) = (pki.issue_for(3600).await, pki.issue_for(3600).await);
    pki.revoke(&kept).await;
    pki.server.clock.advance_secs(3600 + 100);
    let run = json!({"tidy_cert_store": true, "tidy_revocation_list": true, "safety_buffer": 50, "revoked_safety_buffer": 200});
    pki.tidy(run.clone()).await;
    assert!(pki.is_stored(&kept).await && !pki.is_stored(&gone).await);
    assert_eq!(pki.listed().await, std::slice::from_ref(&kept));
    pki.server.clock.advance_secs(101);
    let status = pki.tidy(run).await;
    assert!(!pki.is_stored(&kept).await);
    assert_eq!(status["revoked_safety_buffer"], 200);
    assert_eq!(pki.listed().await, Vec::<String>::new());
}

#[tokio::test]
async fn small_pages_reach_everything() {
    let pki = Pki::start().await;
    for _ in 0..23 {
        pki.issue_for(60).await;
    }
    pki.server.clock.advance_secs(1000);
    let status = pki
        .tidy(json!({"tidy_cert_store": true, "safety_buffer": 1, "page_size": 5}))
        .await;
    assert_eq!(
        (&status["cert_store_deleted_count"], &status["page_size"]),
        (&json!(23), &json!(5))
    );
}

#[tokio::test]
async fn tells_what_it_is_asked_to_do() {
    let pki = Pki::start().await;
    let started = "Tidy operation successfully started. Any information from the operation will be \
                   printed to Vault's server logs.";
    let (status, body) = pki.write("tidy", json!({"tidy_acme": true})).await;
    assert_eq!(
        (status, &body["data"], &body["warnings"]),
        (202, &Value::Null, &json!([started]))
    );
    pki.tidied().await;
    let (status, body) = pki.write("tidy", json!({})).await;
    assert_eq!(status, 202);
    assert!(
        text(&body["warnings"][0])
            .starts_with("Manual tidy requested but no tidy operations were set.")
    );
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let pki = Pki::start().await;
    for (data, text) in [
        (
            json!({"safety_buffer": 0}),
            "safety_buffer must be greater than zero",
        ),
        (
            json!({"revoked_safety_buffer": 0}),
            "revokedSafetyBuffer must be greater than zero",
        ),
        (
            json!({"issuer_safety_buffer": 0}),
            "issuer_safety_buffer must be greater than zero",
        ),
        (
            json!({"acme_account_safety_buffer": 0}),
            "acme_account_safety_buffer must be greater than zero",
        ),
        (
            json!({"pause_duration": "x"}),
            "Error parsing pause_duration: time: invalid duration \"x\"",
        ),
        (
            json!({"pause_duration": "-1s"}),
            "received invalid, negative pause_duration",
        ),
        (
            json!({"page_size": 4}),
            "page_size must be greater than five",
        ),
    ] {
        assert_eq!(pki.refused("tidy", data).await, (400, text.to_owned()));
    }
    let unset = "Auto-tidy enabled but no tidy operations were requested. Enable at least one tidy \
                 operation to be run (tidy_cert_store / tidy_revoked_certs / tidy_invalid_certs / \
                 tidy_revoked_cert_issuer_associations / tidy_expired_issuers / \
                 tidy_move_legacy_ca_bundle / tidy_acme).";
    let uncounted = "Can not publish a running storage metrics count to metrics without first \
                     maintaining that count.  Enable `maintain_stored_certificate_counts` to \
                     enable `publish_stored_certificate_count_metrics`.";
    for (data, text) in [
        (json!({"enabled": true}), unset),
        (json!({"page_size": 4}), "page_size must be at least 5"),
        (
            json!({"safety_buffer": 0}),
            "given safety_buffer must be at least one second; got: 0",
        ),
        (
            json!({"issuer_safety_buffer": 0}),
            "given safety_buffer must be at least one second; got: 0",
        ),
        (
            json!({"revoked_safety_buffer": 0}),
            "revoked_safety_buffer must be at least one second; got: 0",
        ),
        (
            json!({"acme_account_safety_buffer": 0}),
            "given acme_account_safety_buffer must be at least one second; got: 0",
        ),
        (
            json!({"pause_duration": "x"}),
            "unable to parse given pause_duration: time: invalid duration \"x\"",
        ),
        (
            json!({"publish_stored_certificate_count_metrics": true}),
            uncounted,
        ),
    ] {
        assert_eq!(
            pki.refused("config/auto-tidy", data).await,
            (400, text.to_owned())
        );
    }
    let negative = pki
        .refused("config/auto-tidy", json!({"safety_buffer": -1}))
        .await;
    assert_eq!(
        negative,
        (400, "Field validation failed: error converting input for field \"safety_buffer\": cannot provide negative value '-1'".to_owned())
    );
}

#[tokio::test]
async fn the_status_of_a_mount_that_was_never_tidied_is_empty() {
    let pki = Pki::start().await;
    let status = pki.tidy_status().await;
    let fields = status.as_object().unwrap();
    assert_eq!(fields.len(), 28);
    for (name, value) in fields {
        match name.as_str() {
            "state" => assert_eq!(value, "Inactive"),
            "internal_backend_uuid" => assert_eq!(text(value).len(), 36),
            _ => assert_eq!(value, &Value::Null, "{name}"),
        }
    }
}

#[tokio::test]
async fn a_run_is_cancelled_in_the_middle_of_its_pause() {
    let pki = Pki::start().await;
    pki.issue_for(60).await;
    let cancel = pki.write("tidy-cancel", json!({})).await;
    let none = "Tidy operation cannot be cancelled as none is currently running.";
    assert_eq!((cancel.0, &cancel.1["warnings"]), (200, &json!([none])));
    let run = json!({"tidy_cert_store": true, "pause_duration": "24h"});
    assert_eq!(pki.write("tidy", run.clone()).await.0, 202);
    let again = pki.write("tidy", run).await;
    assert_eq!(
        (again.0, &again.1["warnings"]),
        (200, &json!(["Tidy operation already in progress."]))
    );
    // Let it come to its pause.
    while pki.tidy_status().await["message"].is_null() {
        tokio::task::yield_now().await;
    }
    let status = pki.tidy_status().await;
    assert_eq!(
        (&status["state"], &status["pause_duration"]),
        (&json!("Running"), &json!("24h0m0s"))
    );
    assert_eq!(
        status["message"],
        "Tidying certificate store: checking entry 0 of 1000 on current page; total certs checked: 0"
    );
    let cancelling = pki.ok("tidy-cancel", json!({})).await;
    assert_eq!(cancelling["state"], "Cancelling");
    assert_eq!(pki.tidied().await["state"], "Cancelled");
    assert_eq!(
        pki.tidy(json!({"tidy_acme": true})).await["state"],
        "Finished"
    );
}

#[tokio::test]
async fn entries_that_cannot_be_read_go_only_when_asked() {
    let pki = Pki::start().await;
    let serial = pki.issue_for(60).await;
    let store = pki.server.node.core().unwrap().store.clone();
    let paths = store.keys("", None, usize::MAX).await.unwrap();
    let suffix = format!("/cert/{}", serial.replace(':', "-"));
    let path = paths.iter().find(|path| path.ends_with(&suffix)).unwrap();
    let mut batch = signet_storage::Batch::default();
    batch.put(path.clone(), b"garbage".to_vec());
    store.commit(batch).await.unwrap();
    let status = pki.tidy(json!({"tidy_cert_store": true})).await;
    assert_eq!(
        (&status["state"], &status["cert_store_deleted_count"]),
        (&json!("Finished"), &json!(0))
    );
    let status = pki.tidy(json!({"tidy_invalid_certs": true})).await;
    assert_eq!(status["cert_store_deleted_count"], 1);
    assert!(store.get(path).await.unwrap().is_none());
}

#[tokio::test]
async fn expired_issuers_go_except_the_default() {
    let pki = Pki::start().await;
    let other = pki
        .ok(
            "root/generate/internal",
            json!({"common_name": "Short", "key_type": "ec", "issuer_name": "short", "ttl": "1h"}),
        )
        .await;
    pki.server.clock.advance_secs(3600 + 3600 + 1);
    let run = json!({"tidy_expired_issuers": true, "issuer_safety_buffer": "2h"});
    pki.tidy(run).await;
    assert_eq!(pki.fetch("issuer/short/crl/der").await.status, 200);
    pki.tidy(json!({"tidy_expired_issuers": true, "issuer_safety_buffer": "1h"}))
        .await;
    assert_eq!(pki.fetch("issuer/short/crl/der").await.status, 500);
    pki.server.clock.advance_secs(400_000_000);
    let status = pki
        .tidy(json!({"tidy_expired_issuers": true, "issuer_safety_buffer": "1h"}))
        .await;
    assert_eq!(status["state"], "Finished");
    assert_eq!(pki.fetch("ca").await.status, 200);
    assert!(!text(&other["issuer_id"]).is_empty());
}

#[tokio::test]
async fn automatic_tidying_is_merged_and_runs_by_the_clock() {
    let pki = Pki::start().await;
    let mut expected = json!({
        "enabled": false, "interval_duration": 43_200, "tidy_cert_store": false,
        "tidy_revoked_certs": false, "tidy_revoked_cert_issuer_associations": false,
        "tidy_invalid_certs": false, "tidy_expired_issuers": false,
        "tidy_move_legacy_ca_bundle": false, "tidy_acme": false, "safety_buffer": 259_200,
        "revoked_safety_buffer": 259_200, "issuer_safety_buffer": 31_536_000,
        "acme_account_safety_buffer": 2_592_000, "pause_duration": "0s", "page_size": 1000,
        "maintain_stored_certificate_counts": false,
        "publish_stored_certificate_count_metrics": false,
    });
    assert_eq!(pki.ok_read("config/auto-tidy").await, expected);
    for (field, value) in [
        ("tidy_cert_store", json!(true)),
        ("enabled", json!(true)),
        ("interval_duration", json!(3600)),
        ("safety_buffer", json!(1)),
    ] {
        expected[field] = value.clone();
        if field == "safety_buffer" {
            expected["revoked_safety_buffer"] = value.clone();
        }
        assert_eq!(
            pki.ok("config/auto-tidy", json!({field: value})).await,
            expected
        );
    }
    let serial = pki.issue_for(60).await;
    pki.server.clock.advance_secs(3599);
    pki.tick().await;
    pki.tidied().await;
    assert!(pki.is_stored(&serial).await);
    pki.server.clock.advance_secs(1);
    pki.tick().await;
    let status = pki.tidied().await;
    assert!(!pki.is_stored(&serial).await);
    let finished = signet_api::time::Timestamp::from_secs(NOW + 3600).rfc3339();
    assert_eq!(status["last_auto_tidy_finished"], json!(finished));
    pki.server.clock.advance_secs(60);
    pki.tick().await;
    assert_eq!(pki.tidied().await["time_finished"], json!(finished));
}

#[tokio::test]
async fn counts_are_exact_where_they_are_wanted() {
    let pki = Pki::start().await;
    let serial = pki.issue_for(60).await;
    assert_eq!(
        pki.tidy_status().await["current_cert_store_count"],
        Value::Null
    );
    pki.ok(
        "config/auto-tidy",
        json!({"maintain_stored_certificate_counts": true}),
    )
    .await;
    pki.revoke(&serial).await;
    let counts = |status: Value| {
        (
            status["current_cert_store_count"].clone(),
            status["current_revoked_cert_count"].clone(),
        )
    };
    assert_eq!(counts(pki.tidy_status().await), (json!(2), json!(1)));
    pki.server.clock.advance_secs(1000);
    let run = json!({"tidy_cert_store": true, "tidy_revoked_certs": true, "safety_buffer": 1});
    assert_eq!(counts(pki.tidy(run).await), (json!(1), json!(0)));
    let refused = pki
        .write(
            "config/auto-tidy",
            json!({"publish_stored_certificate_count_metrics": true}),
        )
        .await;
    assert_eq!(refused.0, 400);
    assert!(error(&refused).contains("not supported"));
}

/// One certificate of a random history.
#[derive(Clone, Debug)]
struct Life {
    ttl_secs: u64,
    is_revoked: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (3..200_u64, any::<bool>()).prop_map(|(ttl_secs, is_revoked)| Life {
        ttl_secs,
        is_revoked,
    });
    proptest::collection::vec(life, 1..8)
}

#[test]
fn no_tidying_takes_a_revoked_certificate_off_the_list_before_it_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let pki = runtime.block_on(Pki::start());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let flags = proptest::collection::vec(any::<bool>(), 5);
    let case = (lives(), 1..200_u64, 1..300_u64, 1..300_u64, flags);
    runner
        .run(
            &case,
            |(lives, wait_secs, buffer, revoked_buffer, flags)| {
                runtime.block_on(async {
                    let mut revoked = Vec::new();
                    for life in &lives {
                        let serial = pki.issue_for(life.ttl_secs).await;
                        if life.is_revoked {
                            pki.revoke(&serial).await;
                            let end = pki.server.node.now().plus_secs(life.ttl_secs);
                            revoked.push((serial, end));
                        }
                    }
                    pki.server.clock.advance_secs(wait_secs);
                    pki.tidy(json!({
                        "tidy_cert_store": flags[0], "tidy_revoked_certs": flags[1],
                        "tidy_revoked_cert_issuer_associations": flags[2],
                        "tidy_invalid_certs": flags[3], "tidy_expired_issuers": flags[4],
                        "safety_buffer": buffer, "revoked_safety_buffer": revoked_buffer,
                        "page_size": 5,
                    }))
                    .await;
                    let now = pki.server.node.now();
                    let listed = pki.listed().await;
                    for (serial, end) in revoked {
                        if end >= now {
                            assert!(listed.contains(&serial), "{serial} left the CRL");
                            let data = pki.ok_read(&format!("cert/{serial}")).await;
                            assert_ne!(data["revocation_time"], 0);
                        }
                    }
                });
                Ok(())
            },
        )
        .unwrap();
}
