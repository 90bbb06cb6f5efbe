//! What callers get who may have it.

use std::collections::BTreeSet;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::agent::{Agent, Ask, code, p256, sidecar_csr, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};
use crate::support::openssl;
use crate::tokens::now_secs;

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_and_ztunnel_get_chains_that_every_client_takes() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    for csr in [
        sidecar_csr(WEB, &rsa),
        sidecar_csr(WEB, &p384),
        sidecar_csr(WEB, &p256()),
    ] {
        let ask = Ask::new(&csr).token(&token).header("clusterid", "");
        let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
        let answer = Answer::check(elements, WEB);
        assert_eq!((answer.elements.len(), answer.roots), (3, 1));
    }
    // Its token comes with the white space of the file.
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).header("clusterid", "Kubernetes");
    let ask = ask.header("authorization", &format!("Bearer {token} "));
    let elements = Agent::ztunnel(&mesh).ask(&ask).await.unwrap();
    let answer = Answer::check(elements, WEB);

    let scratch = &mesh.server.scratch;
    scratch.write("leaf.pem", &answer.elements[0]);
    scratch.write("int.pem", &answer.elements[1]);
    scratch.write("root.pem", &answer.elements[2]);
    let path = |name: &str| scratch.path(name);
    for purpose in ["sslclient", "sslserver"] {
        let verified = openssl(&[
            "verify",
            "-purpose",
            purpose,
            "-CAfile",
            &path("root.pem"),
            "-untrusted",
            &path("int.pem"),
            &path("leaf.pem"),
        ]);
        assert!(verified.contains("leaf.pem: OK"), "{verified}");
    }
    let root = mesh.root.trim_end();
    assert_eq!(answer.elements[2].trim_end(), root, "the mount's root");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_listed_and_revoked_like_any_other() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&token);
    let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
    let answer = Answer::check(elements, WEB);
    let stored = mesh.read(&format!("pki_int_ca/cert/{}", answer.serial));
    let pem = stored["certificate"].as_str().unwrap();
    assert_eq!(pem.trim_end(), answer.elements[0].trim_end());
    let serial = json!({"serial_number": answer.serial});
    let revoked = mesh.write("pki_int_ca/revoke", &serial);
    assert_eq!(revoked["state"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_are_what_was_asked_for_within_the_limits() {
    let mesh = Mesh::start("default_ttl = \"2h\"\nmax_ttl = \"4h\"").await;
    let token = mesh.token("web", "front");
    let agent = Agent::new(&mesh);
    let csr = ztunnel_csr(WEB, &p256());
    for (asked, life, age) in [
        (3600, 3600, 30),
        (60, 60, 6),
        (0, 7200, 30),
        (-1, 7200, 30),
        (i64::MIN, 7200, 30),
        (14_401, 14_400, 30),
        (i64::MAX, 14_400, 30),
    ] {
        let before = now_secs();
        let ask = Ask::new(&csr).token(&token).for_secs(asked);
        let answer = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
        let (got, since) = answer.times(before);
        assert_eq!(got - age, life, "{asked}");
        // The clock may have moved on since.
        assert!(since <= age, "{asked}: {since}");
    }
    mesh.role(&json!({"max_ttl": "1h"}));
    let ask = Ask::new(&csr).token(&token).for_secs(7200);
    let answer = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    assert_eq!(answer.times(0).0, 3600 + 30, "the role's maximum");
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_that_are_too_long_are_refused_where_that_is_set() {
    let mesh = Mesh::start("max_ttl = \"4h\"\nmax_ttl_behavior = \"error\"").await;
    let csr = ztunnel_csr(WEB, &p256());
    let ask = Ask::new(&csr).token(&mesh.token("web", "front"));
    let agent = Agent::new(&mesh);
    let (refused, text) = code(agent.ask(&ask.clone().for_secs(14_401)).await);
    assert_eq!(refused, tonic::Code::InvalidArgument, "{text}");
    let elements = agent.ask(&ask.for_secs(14_400)).await.unwrap();
    Answer::check(elements, WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_made_together_do_not_end_together_where_that_is_set() {
    let mesh = Mesh::start("ttl_jitter_percent = 20").await;
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let agent = Agent::new(&mesh);
    let mut lives = BTreeSet::new();
    for _ in 0..20 {
        let answer = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
        let (life, _) = answer.times(0);
        assert!((2880..=3600).contains(&(life - 30)), "{life}");
        lives.insert(life);
    }
    assert!(lives.len() > 1, "{lives:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_takes_nothing_but_the_key_of_a_request() {
    let mesh = Mesh::start("mode = \"overwrite\"").await;
    let key = p256();
    let mut params = crate::agent::params("spiffe://other/ns/kube-system/sa/admin");
    let dns = rcgen::SanType::DnsName("evil.example".try_into().unwrap());
    params.subject_alt_names.push(dns);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "evil");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let ask = Ask::new(&csr).token(&mesh.token("web", "front"));
    let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
    Answer::check(elements, WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_has_every_root_in_the_same_order_after_a_restart() {
    let mut mesh = Mesh::persistent("").await;
    let first = mesh.root.clone();
    let second = mesh.new_root("pki_next");
    mesh.new_intermediate("pki_next", "next");
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
    let before = Answer::check(elements, WEB);
    assert_eq!(before.roots, 2);
    for root in [&first, &second] {
        assert!(before.elements[2].contains(root.trim_end()));
    }
    mesh.server.kill_and_restart();
    mesh.server.unseal();
    mesh.wait_until_ready().await;
    let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
    let after = Answer::check(elements, WEB);
    assert_eq!(after.elements[2], before.elements[2]);
    assert_ne!(after.serial, before.serial);
    // From the old issuer to the new one: both chains lead to a root of the bundle.
    let issuers = mesh.read("pki_int_ca/config/issuers");
    let other = mesh.new_intermediate("pki_next", "another");
    assert_ne!(issuers["default"], json!(other));
    mesh.write("pki_int_ca/config/issuers", &json!({"default": other}));
    let elements = Agent::new(&mesh).ask(&ask).await.unwrap();
    let switched = Answer::check(elements, WEB);
    assert_ne!(switched.elements[1], before.elements[1]);
    assert_eq!(switched.elements[2], before.elements[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_leaves_two_entries_in_the_audit_log_and_no_secret() {
    let mesh = Mesh::start("").await;
    let log = mesh.server.scratch.path("audit.log");
    let device = json!({"type": "file", "options": {"file_path": log}});
    mesh.write("sys/audit/file", &device);
    let token = mesh.token("web", "front");
    let csr = ztunnel_csr(WEB, &p256());
    let good = Ask::new(&csr).token(&token);
    let elements = Agent::new(&mesh).ask(&good).await.unwrap();
    let bad = Ask::new(&csr).token("not.a.token");
    let (refused, _) = code(Agent::new(&mesh).ask(&bad).await);
    assert_eq!(refused, tonic::Code::Unauthenticated);

    let text = mesh.server.scratch.read("audit.log");
    for secret in [token.as_str(), "not.a.token", &csr, WEB, &elements[0]] {
        let escaped = secret.replace('\n', "\\n");
        assert!(!text.contains(&escaped), "{secret}");
    }
    let entries: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|entry: &Value| entry["request"]["path"] == "pki_int_ca/istio-csr/mesh")
        .collect();
    let kinds: Vec<_> = entries.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["request", "response", "request", "response"]);
    assert_eq!(entries[0]["request"]["id"], entries[1]["request"]["id"]);
    let hashed = |value: &Value| value.as_str().unwrap().starts_with("hmac-sha256:");
    assert!(hashed(&entries[0]["request"]["client_token"]));
    assert!(hashed(&entries[0]["request"]["data"]["identity"]));
    assert!(hashed(&entries[1]["response"]["data"]["serial_number"]));
    assert_eq!(entries[1]["auth"]["policy_results"]["allowed"], true);
    assert!(entries[1].get("error").is_none());
    for entry in &entries[2..] {
        let error = entry["error"].as_str().unwrap();
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listeners_own_certificate_is_in_the_audit_log() {
    let mesh = Mesh::start("").await;
    let log = mesh.server.scratch.path("audit.log");
    let device = json!({"type": "file", "options": {"file_path": log}});
    mesh.write("sys/audit/file", &device);
    let entries = || -> Vec<Value> {
        let text = mesh.server.scratch.read("audit.log");
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|entry: &Value| entry["request"]["path"] == "pki_int_ca/istio-csr-serving")
            .collect()
    };
    assert!(entries().is_empty());
    let other = mesh.new_intermediate("pki", "other");
    mesh.write("pki_int_ca/config/issuers", &json!({"default": other}));
    mesh.wait_for("no entries", async || entries().len() == 2)
        .await;
    let entries = entries();
    let kinds = [&entries[0]["type"], &entries[1]["type"]];
    assert_eq!(kinds, ["request", "response"]);
    assert_eq!(entries[0]["request"]["id"], entries[1]["request"]["id"]);
    let name = &entries[0]["request"]["data"]["names"][0];
    assert!(name.as_str().unwrap().starts_with("hmac-sha256:"));
    let data = &entries[1]["response"]["data"];
    let serial = data["serial_number"].as_str().unwrap();
    assert!(serial.starts_with("hmac-sha256:"));
    assert!(data["expiration"].as_i64().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_under_both_names() {
    let mesh = Mesh::start("").await;
    let csr = ztunnel_csr(WEB, &p256());
    let good = Ask::new(&csr).token(&mesh.token("web", "front"));
    Agent::new(&mesh).ask(&good).await.unwrap();
    let elsewhere = Ask::new(&csr).token(&mesh.token("web", "back"));
    assert!(Agent::new(&mesh).ask(&elsewhere).await.is_err());
    assert!(Agent::new(&mesh).ask(&Ask::new(&csr)).await.is_err());
    let (status, metrics) = mesh.server.get(crate::fixture::OPERATOR, "/v1/sys/metrics");
    assert_eq!(status, 200);
    let counted = |name: &str, labels: Value| {
        let counters = metrics["Counters"].as_array().unwrap();
        let found = counters
            .iter()
            .find(|counter| counter["Name"] == name && counter["Labels"] == labels);
        found.unwrap()["Count"].as_u64().unwrap()
    };
    assert_eq!(counted("citadel_server.csr_count", json!({})), 3);
    assert_eq!(
        counted("citadel_server.success_cert_issuance_count", json!({})),
        1
    );
    assert_eq!(
        counted("citadel_server.id_extraction_err_count", json!({})),
        1
    );
    let outcome = |outcome: &str| {
        let labels = json!({ "outcome": outcome });
        counted("signet.istio_csr.requests", labels)
    };
    assert_eq!((outcome("issued"), outcome("mismatch")), (1, 1));
    assert_eq!(outcome("unauthenticated"), 1);
}
