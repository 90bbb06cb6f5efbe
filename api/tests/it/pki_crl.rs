//! CRLs: when they are built, what they say, and who signs them.

use serde_json::{Value, json};
use signet_pki::cert::Certificate;
use signet_pki::crl::Crl;

use crate::pki_fixture::{Files, NOW, Pki, serials, text};
use crate::support::error;

fn numbers(crl: &Crl) -> (Option<u64>, Option<u64>) {
    (crl.number(), crl.delta_base())
}

#[tokio::test]
async fn openssl_accepts_the_list_and_finds_the_revoked_leaf() {
    let pki = Pki::start().await;
    let leaf = pki.issue("a.x").await;
    let good = pki.issue("b.x").await;
    pki.revoke(&text(&leaf["serial_number"])).await;
    let files = Files::new();
    files.write("root.pem", &pki.root);
    files.write("revoked.pem", text(&leaf["certificate"]));
    files.write("good.pem", text(&good["certificate"]));
    files.write("crl.der", pki.fetch("crl").await.body);
    files.write("crl.pem", pki.fetch("crl/pem").await.body);
    let shown = files.openssl("crl -inform DER -in crl.der -noout -text");
    for part in [
        "X509v3 CRL Number: ",
        "X509v3 Authority Key Identifier",
        "Issuer: CN = Root",
    ] {
        assert!(
            shown.replace("CN=", "CN = ").contains(part),
            "{part}: {shown}"
        );
    }
    let verified = files.openssl("crl -in crl.pem -CAfile root.pem -noout");
    assert!(verified.contains("verify OK"), "{verified}");
    let verify = format!(
        "verify -CAfile root.pem -CRLfile crl.pem -crl_check -attime {}",
        NOW + 60
    );
    assert!(
        files
            .openssl(&format!("{verify} good.pem"))
            .contains("good.pem: OK")
    );
    let (ok, text) = files.try_openssl(&format!("{verify} revoked.pem"));
    assert!(!ok && text.contains("certificate revoked"), "{text}");
}

#[tokio::test]
async fn every_path_serves_the_same_list_in_its_own_shape() {
    let pki = Pki::start().await;
    pki.revoke(&pki.serial("a.x").await).await;
    let der = pki.fetch("crl").await;
    let pem = signet_pki::pem::encode("X509 CRL", &der.body);
    let trimmed = pem.trim_end();
    assert_eq!(der.content_type, "application/pkix-crl");
    for (path, content_type, body) in [
        (
            "issuer/default/crl/der",
            "application/pkix-crl",
            &der.body[..],
        ),
        ("cert/crl/raw", "application/pkix-crl", &der.body),
        ("crl/pem", "application/x-pem-file", trimmed.as_bytes()),
        (
            "cert/crl/raw/pem",
            "application/x-pem-file",
            trimmed.as_bytes(),
        ),
        (
            "issuer/root/crl/pem",
            "application/x-pem-file",
            pem.as_bytes(),
        ),
    ] {
        let response = pki.fetch(path).await;
        assert_eq!(
            (response.status, response.content_type),
            (200, content_type),
            "{path}"
        );
        assert_eq!(&response.body[..], body, "{path}");
    }
    assert_eq!(
        pki.read("cert/crl").await.1["data"],
        json!({"certificate": trimmed, "revocation_time": 0, "revocation_time_rfc3339": ""})
    );
    assert_eq!(
        pki.read("issuer/DEFAULT/crl").await.1["data"],
        json!({"crl": pem})
    );
    let delta = pki.fetch("crl/delta").await;
    assert_eq!(
        numbers(&Crl::parse_der(&delta.body).unwrap()),
        (Some(2), Some(1))
    );
    for path in ["issuer/root/crl/delta/der", "cert/delta-crl/raw"] {
        assert_eq!(pki.fetch(path).await.body, delta.body, "{path}");
    }
    let pem = signet_pki::pem::encode("X509 CRL", &delta.body);
    assert_eq!(pki.fetch("crl/delta/pem").await.body, pem.trim_end());
    assert_eq!(pki.fetch("issuer/root/crl/delta/pem").await.body, pem);
    assert_eq!(
        pki.read("issuer/root/crl/delta").await.1["data"],
        json!({"crl": pem})
    );
    assert_eq!(
        pki.read("cert/delta-crl").await.1["data"]["certificate"],
        pem.trim_end()
    );
}

#[tokio::test]
async fn issuers_that_are_not_there_have_no_list() {
    let pki = Pki::start().await;
    for path in [
        "crl",
        "crl/der",
        "crl/pem",
        "crl/delta",
        "crl/delta/der",
        "crl/delta/pem",
    ] {
        let answer = pki
            .server
            .read("", &format!("pki/issuer/nope/{path}"))
            .await;
        let text = "unable to find PKI issuer for reference: nope";
        assert_eq!((answer.0, error(&answer)), (500, text), "{path}");
    }
}

#[tokio::test]
async fn numbers_grow_by_two_with_every_complete_list() {
    let pki = Pki::start().await;
    assert_eq!(numbers(&pki.crl().await), (Some(1), None));
    assert_eq!(numbers(&pki.crl().await), (Some(1), None));
    pki.revoke(&pki.serial("a.x").await).await;
    pki.revoke(&pki.serial("b.x").await).await;
    // Two revocations, one list: nothing is built before somebody asks.
    assert_eq!(numbers(&pki.crl().await), (Some(3), None));
    let (status, body) = pki.read("crl/rotate").await;
    assert_eq!(
        (status, &body["data"], &body["warnings"]),
        (200, &json!({"success": true}), &Value::Null)
    );
    assert_eq!(numbers(&pki.crl().await), (Some(5), None));
    assert_eq!(numbers(&pki.crl_at("crl/delta").await), (Some(6), Some(5)));
}

#[tokio::test]
async fn entries_are_sorted_and_carry_no_reason() {
    let pki = Pki::start().await;
    let mut expected = Vec::new();
    for n in 0..20 {
        expected.push(pki.serial(&format!("{n}.x")).await);
    }
    for serial in expected.iter().rev() {
        pki.revoke(serial).await;
    }
    expected.sort();
    let crl = pki.crl().await;
    assert_eq!(serials(&crl), expected);
    assert!(crl.revoked.iter().all(|entry| entry.extensions.is_empty()));
    assert_eq!(
        (crl.this_update.0, crl.next_update.unwrap().0),
        (NOW, NOW + 259_200)
    );
}

#[tokio::test]
async fn many_readers_share_one_list() {
    let pki = Pki::start().await;
    pki.revoke(&pki.serial("a.x").await).await;
    let fetched = futures_util::future::join_all((0..16).map(|_| pki.crl())).await;
    assert!(
        fetched
            .iter()
            .all(|crl| crl.number() == fetched[0].number())
    );
    assert_eq!(fetched[0].number(), Some(1));
}

#[tokio::test]
async fn a_restarted_server_knows_what_is_not_on_the_list_yet() {
    let pki = Pki::start().await;
    let first = pki.serial("a.x").await;
    pki.revoke(&first).await;
    let before = pki.crl().await;
    pki.reopen().await;
    // Nothing has happened: the same list.
    assert_eq!(pki.crl().await.tbs_der(), before.tbs_der());
    let second = pki.serial("b.x").await;
    pki.revoke(&second).await;
    pki.reopen().await;
    let after = pki.crl().await;
    assert_eq!(after.number(), Some(3));
    assert_eq!(serials(&after), [first, second]);
}

#[tokio::test]
async fn a_disabled_list_is_empty_and_built_once() {
    let pki = Pki::start().await;
    let mut revoked = vec![pki.serial("a.x").await];
    pki.revoke(&revoked[0]).await;
    assert_eq!(pki.listed().await.len(), 1);
    pki.ok("config/crl", json!({"disable": true})).await;
    let empty = pki.crl().await;
    assert_eq!((empty.number(), empty.revoked.len()), (Some(3), 0));
    revoked.push(pki.serial("b.x").await);
    pki.revoke(&revoked[1]).await;
    pki.ok_read("crl/rotate").await;
    assert_eq!(pki.crl().await.tbs_der(), empty.tbs_der());
    pki.ok("config/crl", json!({"disable": false})).await;
    assert_eq!(pki.listed().await, revoked);
    assert_eq!(pki.crl().await.number(), Some(5));
}

#[tokio::test]
async fn automatic_rebuilds_wait_and_say_so() {
    let pki = Pki::start().await;
    pki.ok(
        "config/crl",
        json!({"auto_rebuild": true, "auto_rebuild_grace_period": "1h", "expiry": "10h"}),
    )
    .await;
    assert_eq!(pki.crl().await.number(), Some(1));
    let serial = pki.serial("a.x").await;
    let (_, body) = pki.write("revoke", json!({"serial_number": serial})).await;
    let warning = text(&body["warnings"][0]);
    assert!(warning.contains("due at 2027-01-15T17:00:00Z"), "{warning}");
    pki.tick().await;
    assert_eq!(pki.crl().await.number(), Some(1));
    assert_eq!(
        pki.read(&format!("cert/{serial}")).await.1["data"]["issuer_id"],
        pki.root_id
    );
    pki.server.clock.advance_secs(9 * 3600);
    pki.tick().await;
    let crl = pki.crl().await;
    assert_eq!((crl.number(), serials(&crl)), (Some(3), vec![serial]));
    assert_eq!(crl.this_update.0, NOW + 9 * 3600);
}

#[tokio::test]
async fn delta_lists_say_what_came_after_the_complete_one() {
    let pki = Pki::start().await;
    let config =
        json!({"auto_rebuild": true, "enable_delta": true, "delta_rebuild_interval": "15m"});
    pki.ok("config/crl", config).await;
    assert_eq!(numbers(&pki.crl_at("crl/delta").await), (Some(2), Some(1)));
    let serial = pki.serial("a.x").await;
    let (_, body) = pki.write("revoke", json!({"serial_number": serial})).await;
    assert!(
        text(&body["warnings"][0]).contains("due at 2027-01-15T08:15:00Z"),
        "{body}"
    );
    pki.server.clock.advance_secs(899);
    pki.tick().await;
    assert_eq!(
        serials(&pki.crl_at("crl/delta").await),
        Vec::<String>::new()
    );
    pki.server.clock.advance_secs(1);
    pki.tick().await;
    let delta = pki.crl_at("crl/delta").await;
    assert_eq!(
        (numbers(&delta), serials(&delta)),
        ((Some(3), Some(1)), vec![serial.clone()])
    );
    assert_eq!(pki.listed().await, Vec::<String>::new());
    // Nothing new, nothing built.
    pki.server.clock.advance_secs(3600);
    pki.tick().await;
    assert_eq!(pki.crl_at("crl/delta").await.number(), Some(3));
    pki.ok_read("crl/rotate-delta").await;
    assert_eq!(numbers(&pki.crl_at("crl/delta").await), (Some(4), Some(1)));
    pki.ok_read("crl/rotate").await;
    assert_eq!(pki.listed().await, [serial]);
    let delta = pki.crl_at("crl/delta").await;
    assert_eq!(
        (numbers(&delta), delta.revoked.len()),
        ((Some(6), Some(5)), 0)
    );
}

#[tokio::test]
async fn the_delta_indicator_is_critical() {
    let pki = Pki::start().await;
    let files = Files::new();
    files.write("delta.der", pki.fetch("crl/delta").await.body);
    let shown = files.openssl("crl -inform DER -in delta.der -noout -text");
    assert!(
        shown.contains("X509v3 Delta CRL Indicator: critical"),
        "{shown}"
    );
}

#[tokio::test]
async fn rotating_the_delta_does_nothing_while_it_is_disabled() {
    let pki = Pki::start().await;
    let before = pki.crl_at("crl/delta").await;
    let (status, body) = pki.read("crl/rotate-delta").await;
    assert_eq!((status, &body["data"]), (200, &json!({"success": true})));
    assert_eq!(
        body["warnings"],
        json!(["requested rebuild of delta CRL when delta CRL is not enabled; this is a no-op"])
    );
    assert_eq!(pki.crl_at("crl/delta").await.tbs_der(), before.tbs_der());
    let empty = Pki::empty().await;
    for path in ["crl/rotate", "crl/rotate-delta"] {
        assert_eq!(empty.read(path).await.1["data"], json!({"success": true}));
    }
}

#[tokio::test]
async fn a_list_that_has_ended_is_built_anew_when_it_is_asked_for() {
    let pki = Pki::start().await;
    assert_eq!(pki.crl().await.number(), Some(1));
    pki.server.clock.advance_secs(259_200);
    let crl = pki.crl().await;
    assert_eq!((crl.number(), crl.this_update.0), (Some(3), NOW + 259_200));
}

#[tokio::test]
async fn configuration_has_the_defaults_of_the_api_and_is_merged() {
    let pki = Pki::start().await;
    let mut expected = json!({
        "expiry": "72h", "disable": false, "ocsp_disable": false, "ocsp_expiry": "12h",
        "auto_rebuild": false, "auto_rebuild_grace_period": "12h", "enable_delta": false,
        "delta_rebuild_interval": "15m", "allow_expired_cert_revocation": false,
    });
    assert_eq!(pki.read("config/crl").await.1["data"], expected);
    expected["expiry"] = json!("3600");
    assert_eq!(
        pki.ok("config/crl", json!({"expiry": 3600})).await,
        expected
    );
    expected["ocsp_expiry"] = json!("0");
    assert_eq!(
        pki.ok("config/crl", json!({"ocsp_expiry": "0"})).await,
        expected
    );
    assert_eq!(pki.read("config/crl").await.1["data"], expected);
    let next = pki.ok_read("crl/rotate").await;
    assert_eq!(next["success"], true);
    assert_eq!(pki.crl().await.next_update.unwrap().0, NOW + 3600);
}

#[tokio::test]
async fn configuration_that_makes_no_sense_is_refused() {
    let pki = Pki::start().await;
    for (data, text) in [
        (
            json!({"expiry": "foo"}),
            "given expiry could not be decoded: time: invalid duration \"foo\"",
        ),
        (
            json!({"ocsp_expiry": "foo"}),
            "given ocsp_expiry could not be decoded: time: invalid duration \"foo\"",
        ),
        (
            json!({"ocsp_expiry": "-1h"}),
            "ocsp_expiry must be greater than or equal to 0 got: -1h0m0s",
        ),
        (
            json!({"auto_rebuild_grace_period": "foo"}),
            "given auto_rebuild_grace_period could not be decoded: time: invalid duration \"foo\"",
        ),
        (
            json!({"delta_rebuild_interval": "foo"}),
            "given delta_rebuild_interval could not be decoded: time: invalid duration \"foo\"",
        ),
        (
            json!({"auto_rebuild": true, "expiry": 3600}),
            "CRL auto-rebuilding grace period (12h) must be strictly shorter than CRL expiry (3600) value when auto-rebuilding of CRLs is enabled",
        ),
        (
            json!({"auto_rebuild": true, "enable_delta": true, "delta_rebuild_interval": "72h"}),
            "CRL delta rebuild window (72h) must be strictly shorter than CRL expiry (72h) value when delta CRLs are enabled",
        ),
        (
            json!({"enable_delta": true}),
            "Delta CRLs cannot be enabled when auto rebuilding is disabled as the complete CRL is always regenerated!",
        ),
        (
            json!({"expiry": "0"}),
            "expiry must be greater than 0 got: 0",
        ),
        (
            json!({"expiry": "-1h"}),
            "expiry must be greater than 0 got: -1h",
        ),
        (
            json!({"auto_rebuild_grace_period": "-5m"}),
            "auto_rebuild_grace_period must be greater than or equal to 0 got: -5m",
        ),
        (
            json!({"disable": "yes"}),
            "Field validation failed: error converting input for field \"disable\": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax",
        ),
    ] {
        assert_eq!(
            pki.refused("config/crl", data.clone()).await,
            (400, text.to_owned()),
            "{data}"
        );
    }
    assert_eq!(pki.read("config/crl").await.1["data"]["expiry"], "72h");
}

#[tokio::test]
async fn issuers_with_one_key_and_name_share_a_list() {
    let pki = Pki::start().await;
    let again = pki
        .ok("root/generate/existing", json!({"common_name": "Root", "key_ref": "default", "issuer_name": "twin", "ttl": "8760h"}))
        .await;
    pki.ok(
        "root/generate/internal",
        json!({"common_name": "Root", "key_type": "ec", "issuer_name": "namesake"}),
    )
    .await;
    pki.ok(
        "roles/twin",
        json!({"allow_any_name": true, "key_type": "ec", "issuer_ref": again["issuer_id"]}),
    )
    .await;
    let leaf = pki.ok("issue/twin", json!({"common_name": "a.x"})).await;
    let serial = text(&leaf["serial_number"]);
    pki.revoke(&serial).await;
    let (root, twin) = (
        pki.fetch("issuer/root/crl/der").await,
        pki.fetch("issuer/twin/crl/der").await,
    );
    assert_eq!(root.body, twin.body);
    assert_eq!(pki.listed().await, [serial]);
    assert_eq!(
        serials(&pki.crl_at("issuer/namesake/crl/der").await),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn each_authority_lists_its_own() {
    let pki = Pki::start().await;
    pki.ok(
        "root/generate/internal",
        json!({"common_name": "Other", "key_type": "rsa", "issuer_name": "other"}),
    )
    .await;
    let one = pki.serial("a.x").await;
    let two = text(
        &pki.ok(
            "issuer/other/issue/web",
            json!({"common_name": "b.x", "ttl": "1h"}),
        )
        .await["serial_number"],
    );
    pki.revoke(&one).await;
    pki.revoke(&two).await;
    assert_eq!(serials(&pki.crl_at("issuer/root/crl/der").await), [one]);
    let other = pki.crl_at("issuer/other/crl/der").await;
    assert_eq!(serials(&other), [two]);
}

#[tokio::test]
async fn lists_larger_than_one_piece_survive_a_restart() {
    let pki = Pki::start().await;
    pki.revoke_many(15_000).await;
    let before = pki.fetch("crl").await;
    assert!(before.body.len() > 512 * 1024);
    pki.reopen().await;
    let after = pki.fetch("crl").await;
    assert_eq!(after.body, before.body);
    let root = Certificate::parse_pem(&pki.root).unwrap();
    let crl = Crl::parse_der(&after.body).unwrap();
    crl.verify_signature(root.public_key()).unwrap();
    assert_eq!(crl.revoked.len(), 15_000);
}

#[tokio::test]
async fn an_issuer_that_may_not_sign_lists_is_named() {
    let pki = Pki::start().await;
    pki.edit_issuer("root", |record| {
        record["usage"]["crl_signing"] = json!(false);
    })
    .await;
    let (status, body) = pki.read("crl/rotate").await;
    assert_eq!((status, &body["data"]), (200, &json!({"success": true})));
    let id = &pki.root_id;
    assert_eq!(
        body["warnings"],
        json!([format!(
            "Warning 1 during CRL rebuild: warning from local CRL rebuild: Issuer equivalency set \
             with associated keys lacked an issuer with CRL Signing KeyUsage; refusing to rebuild \
             CRL for this group of issuers: {id}"
        )])
    );
    let answer = pki.server.read("", "pki/issuer/default/crl").await;
    assert_eq!(
        (answer.0, error(&answer).to_owned()),
        (
            500,
            format!("unable to find CRL for issuer: id:{id}/ref:default")
        )
    );
    assert_eq!(pki.fetch("crl").await.status, 204);
    assert_eq!(pki.read("cert/crl").await.0, 404);
}

#[tokio::test]
async fn a_revoked_issuer_is_on_the_complete_list_of_its_parent_only() {
    let pki = Pki::start().await;
    pki.ok(
        "config/crl",
        json!({"auto_rebuild": true, "enable_delta": true}),
    )
    .await;
    let serial = pki.intermediate("int").await;
    assert_eq!(pki.listed().await, Vec::<String>::new());
    let at = pki.server.node.now().0;
    pki.edit_issuer("int", |record| record["revoked_at"] = json!(at))
        .await;
    let crl = pki.crl().await;
    assert_eq!(serials(&crl), [serial]);
    assert_eq!(crl.revoked[0].revoked_at.0, NOW);
    for path in [
        "crl/delta",
        "issuer/int/crl/der",
        "issuer/int/crl/delta/der",
    ] {
        assert_eq!(pki.crl_at(path).await.revoked.len(), 0, "{path}");
    }
    // What it issued can still be revoked.
    let leaf = pki
        .ok("issuer/root/issue/web", json!({"common_name": "a.x"}))
        .await;
    pki.revoke(&text(&leaf["serial_number"])).await;
    pki.ok_read("crl/rotate").await;
    assert_eq!(pki.listed().await.len(), 2);
}

#[tokio::test]
async fn a_revoked_root_is_on_no_list() {
    let pki = Pki::start().await;
    let root = json!({"common_name": "Two", "key_type": "ec", "issuer_name": "two"});
    pki.ok("root/generate/internal", root).await;
    let at = pki.server.node.now().0;
    pki.edit_issuer("two", |record| record["revoked_at"] = json!(at))
        .await;
    pki.ok_read("crl/rotate").await;
    for path in ["issuer/root/crl/der", "issuer/two/crl/der"] {
        assert_eq!(pki.crl_at(path).await.revoked.len(), 0, "{path}");
    }
}

#[tokio::test]
async fn revocations_of_a_deleted_issuer_move_to_the_default_list() {
    let pki = Pki::start().await;
    let root =
        json!({"common_name": "Short", "key_type": "ec", "issuer_name": "short", "ttl": "1h"});
    pki.ok("root/generate/internal", root).await;
    let issue = json!({"common_name": "a.x", "ttl": "30m"});
    let leaf = pki.ok("issuer/short/issue/web", issue.clone()).await;
    let later = pki.ok("issuer/short/issue/web", issue).await;
    let (first, second) = (text(&leaf["serial_number"]), text(&later["serial_number"]));
    pki.revoke(&first).await;
    assert_eq!(pki.listed().await, Vec::<String>::new());
    assert_eq!(
        serials(&pki.crl_at("issuer/short/crl/der").await),
        std::slice::from_ref(&first)
    );
    pki.server.clock.advance_secs(3700);
    pki.ok(
        "tidy",
        json!({"tidy_expired_issuers": true, "issuer_safety_buffer": 1}),
    )
    .await;
    while pki.ok_read("tidy-status").await["state"] == "Running" {
        tokio::task::yield_now().await;
    }
    assert_eq!(pki.fetch("issuer/short/crl/der").await.status, 500);
    assert_eq!(pki.listed().await, std::slice::from_ref(&first));
    pki.ok("config/crl", json!({"allow_expired_cert_revocation": true}))
        .await;
    pki.revoke(&second).await;
    let mut expected = [first, second.clone()];
    expected.sort();
    assert_eq!(pki.listed().await, expected);
    let data = pki.ok_read(&format!("cert/{second}")).await;
    assert_eq!(data.get("issuer_id"), None);
    // The periodic task deletes its lists.
    pki.tick().await;
    let store = pki.server.node.core().unwrap().store.clone();
    let paths = store.keys("mount/", None, usize::MAX).await.unwrap();
    let lists = paths.iter().filter(|path| path.contains("/crl/data/"));
    assert_eq!(lists.count(), 2, "{paths:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_fetched_after_a_revocation_always_holds_it() {
    let pki = Pki::start().await;
    let one = |worker: usize| {
        let pki = &pki;
        async move {
            let mut last = 0;
            for n in 0..25 {
                let serial = pki.serial(&format!("{worker}-{n}.x")).await;
                pki.revoke(&serial).await;
                let crl = pki.crl().await;
                assert!(serials(&crl).contains(&serial));
                assert!(crl.number().unwrap() >= last, "numbers never go back");
                last = crl.number().unwrap();
            }
        }
    };
    futures_util::future::join_all((0..8).map(one)).await;
    assert_eq!(pki.listed().await.len(), 200);
}
