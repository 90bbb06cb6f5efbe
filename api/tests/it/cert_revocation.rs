//! `auth/cert`: OCSP responders and CRLs of others.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::outbound::{OutboundError, Response};
use signet_pki::cert::Certificate;
use signet_pki::issuer::{AiaUrls, Issuer};
use signet_pki::key::PrivateKey;
use signet_pki::ocsp::{CertId, CertStatus, OcspRequest, OcspResponse, SingleResponse};
use signet_pki::pem;
use signet_pki::time::UnixTime;

use crate::cert::{NO_CHAIN, assert_refused, client, der, login, pki, trust};
use crate::outbound::header;
use crate::pki_fixture::{NOW, Pki, text};
use crate::support::{ROOT, error};

const UNCLEAR: &str = "no chain matching all constraints could be found for this login certificate; \
    additionally got errors during verification: 1 error occurred:\n\t* its OCSP status could not be \
    determined\n\n";

const URL: &str = "http://ocsp.example.com/ocsp";
const OTHER_URL: &str = "http://other.example.com/ocsp";

/// A PKI whose certificates name a responder, and two clients of it: one good, one revoked.
struct Case {
    pki: Pki,
    good: Vec<u8>,
    revoked: Vec<u8>,
}

impl Case {
    async fn new(role: Value) -> Self {
        let pki = pki().await;
        pki.ok("config/urls", json!({ "ocsp_servers": URL })).await;
        let good = client(&pki, "good").await;
        let revoked = pki.issue("revoked").await;
        pki.revoke(revoked["serial_number"].as_str().unwrap()).await;
        let case = Self {
            revoked: der(&revoked["certificate"]),
            pki,
            good,
        };
        let mut data = json!({"certificate": case.pki.root, "ocsp_enabled": true});
        data.as_object_mut()
            .unwrap()
            .extend(role.as_object().unwrap().clone());
        trust(&case.pki, "web", data).await;
        case
    }

    /// The responders of these URLs answer as ours does; nobody else answers.
    async fn answer_at(&self, urls: &'static [&'static str]) {
        let issuer = Certificate::parse_pem(&self.pki.root).unwrap();
        let mut responses = HashMap::new();
        for leaf in [&self.good, &self.revoked] {
            let leaf = Certificate::parse_der(leaf.clone()).unwrap();
            let request = OcspRequest::about(&CertId::new(&issuer, leaf.serial()));
            let body = self.pki.ocsp(&request).await.body;
            responses.insert(request, body);
        }
        self.pki.server.outbound.answer(move |request| {
            assert_eq!(header(request, "content-type"), "application/ocsp-request");
            if !urls.contains(&request.url.as_str()) {
                return Err(OutboundError::Unreachable("connection refused".into()));
            }
            let body = responses[request.body.as_ref()].clone();
            Ok(Response { status: 200, body })
        });
    }

    async fn admits_good(&self) {
        let answer = login(&self.pki, &[&self.good]).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }

    async fn refuses_revoked(&self) {
        assert_refused(&login(&self.pki, &[&self.revoked]).await, NO_CHAIN);
    }

    fn asked(&self) -> Vec<String> {
        let sent = self.pki.server.outbound.take_sent();
        sent.into_iter().map(|request| request.url).collect()
    }
}

#[tokio::test]
async fn the_responder_that_a_certificate_names_decides_and_is_asked_once() {
    let case = Case::new(json!({})).await;
    case.answer_at(&[URL]).await;
    for _ in 0..2 {
        case.admits_good().await;
        case.refuses_revoked().await;
    }
    assert_eq!(
        case.asked(),
        [URL, URL],
        "one question for each certificate"
    );
    // Ours answer for twelve hours.
    case.pki.server.clock.advance_secs(13 * 3600);
    let answer = login(&case.pki, &[&case.good]).await;
    assert_refused(&answer, UNCLEAR);
    assert_eq!(case.asked(), [URL], "an old answer says nothing");
}

#[tokio::test]
async fn whoever_nobody_vouches_for_stays_outside_unless_the_role_fails_open() {
    let case = Case::new(json!({})).await;
    assert_refused(&login(&case.pki, &[&case.good]).await, UNCLEAR);
    trust(&case.pki, "web", json!({"ocsp_fail_open": true})).await;
    case.admits_good().await;
    case.answer_at(&[URL]).await;
    case.refuses_revoked().await;
}

#[tokio::test]
async fn responders_of_the_role_are_asked_in_their_order_instead() {
    let servers = json!({ "ocsp_servers_override": [OTHER_URL, URL] });
    let case = Case::new(servers).await;
    case.answer_at(&[URL]).await;
    case.admits_good().await;
    assert_eq!(case.asked(), [OTHER_URL, URL]);
    case.answer_at(&[URL, OTHER_URL]).await;
    case.refuses_revoked().await;
    assert_eq!(case.asked(), [OTHER_URL]);
}

#[tokio::test]
async fn when_all_are_asked_all_have_to_say_good() {
    let role = json!({
        "ocsp_servers_override": [OTHER_URL, URL],
        "ocsp_query_all_servers": true,
    });
    let case = Case::new(role).await;
    case.answer_at(&[URL]).await;
    assert_refused(&login(&case.pki, &[&case.good]).await, UNCLEAR);
    case.refuses_revoked().await;
    assert_eq!(case.asked().len(), 4);
    trust(&case.pki, "web", json!({"ocsp_fail_open": true})).await;
    case.admits_good().await;
    trust(&case.pki, "web", json!({"ocsp_fail_open": false})).await;
    case.answer_at(&[URL, OTHER_URL]).await;
    case.admits_good().await;
}

#[tokio::test]
async fn what_a_stranger_signed_says_nothing_unless_the_role_trusts_the_stranger() {
    let case = Case::new(json!({})).await;
    let strange = Pki::empty().await;
    let data = json!({"common_name": "Strange", "key_type": "ec"});
    let root = strange.ok("root/generate/exported", data).await;
    let pem = text(&root["certificate"]);
    let key = PrivateKey::from_pem(root["private_key"].as_str().unwrap()).unwrap();
    let certificate = Certificate::parse_pem(&pem).unwrap();
    let stranger = Issuer::new(certificate, Arc::new(key), &AiaUrls::default()).unwrap();

    let issuer = Certificate::parse_pem(&case.pki.root).unwrap();
    let leaf = Certificate::parse_der(case.good.clone()).unwrap();
    let now = UnixTime(NOW);
    let response = OcspResponse {
        responses: &[SingleResponse {
            cert_id: &CertId::new(&issuer, leaf.serial()),
            status: CertStatus::Good,
            this_update: now,
            next_update: None,
        }],
        produced_at: now,
        nonce: None,
        algorithm: None,
    };
    let body = response.sign(&stranger).unwrap();
    case.pki.server.outbound.answer(move |_| {
        let body = body.clone().into();
        Ok(Response { status: 200, body })
    });
    assert_refused(&login(&case.pki, &[&case.good]).await, UNCLEAR);
    trust(&case.pki, "web", json!({ "ocsp_ca_certificates": pem })).await;
    case.admits_good().await;
}

#[tokio::test]
async fn a_pinned_certificate_is_asked_about_when_its_issuer_is_known() {
    let case = Case::new(json!({})).await;
    case.answer_at(&[URL]).await;
    let pin = pem::encode("CERTIFICATE", &case.revoked);
    trust(&case.pki, "web", json!({ "certificate": pin })).await;
    assert_refused(&login(&case.pki, &[&case.revoked]).await, UNCLEAR);
    let chain = format!("{pin}{}", case.pki.root);
    trust(&case.pki, "web", json!({ "certificate": chain })).await;
    case.refuses_revoked().await;
}

#[tokio::test]
async fn fields_of_ocsp_are_checked_shown_and_kept() {
    let servers = json!({ "ocsp_servers_override": [URL], "ocsp_query_all_servers": true });
    let case = Case::new(servers).await;
    case.pki.server.restart().await;
    let (_, body) = case.pki.server.read(ROOT, "auth/cert/certs/web").await;
    let data = &body["data"];
    assert_eq!(data["ocsp_enabled"], true);
    assert_eq!(data["ocsp_fail_open"], false);
    assert_eq!(data["ocsp_query_all_servers"], true);
    assert_eq!(data["ocsp_servers_override"], json!([URL]));
    assert_eq!(data["ocsp_ca_certificates"], "");
    for wrong in [
        json!({"ocsp_ca_certificates": "garbage"}),
        json!({"ocsp_servers_override": "ldap://x"}),
        json!({"ocsp_servers_override": vec![URL; 9]}),
    ] {
        let path = "auth/cert/certs/web";
        let answer = case.pki.server.write(ROOT, path, wrong).await;
        assert_eq!(answer.0, 400, "{answer:?}");
    }
    let path = "auth/cert/config";
    for wrong in [-1, 0, 1, 100_001] {
        let data = json!({ "ocsp_cache_size": wrong });
        let answer = case.pki.server.write(ROOT, path, data).await;
        assert_refused(&answer, "invalid cache size, must be >= 2 and <= 100000");
    }
    let data = json!({"ocsp_cache_size": 5});
    assert_eq!(case.pki.server.write(ROOT, path, data).await.0, 204);
    let (_, body) = case.pki.server.read(ROOT, path).await;
    assert_eq!(body["data"]["ocsp_cache_size"], 5);
}

const CRL_URL: &str = "http://crl.example.com/crl";

/// The CRL of the PKI is at [`CRL_URL`].
async fn publish_crl(pki: &Pki) {
    let body = pki.fetch("crl").await.body;
    pki.server.outbound.answer(move |request| {
        assert_eq!(request.url, CRL_URL);
        let body = body.clone();
        Ok(Response { status: 200, body })
    });
}

#[tokio::test]
async fn a_crl_is_fetched_at_once_and_every_hour() {
    let case = Case::new(json!({"ocsp_enabled": false})).await;
    let server = &case.pki.server;
    publish_crl(&case.pki).await;
    let path = "auth/cert/crls/root";
    let answer = server.write(ROOT, path, json!({ "url": CRL_URL })).await;
    assert_eq!(answer.0, 204, "{answer:?}");
    case.admits_good().await;
    case.refuses_revoked().await;
    let (_, body) = server.read(ROOT, path).await;
    assert_eq!(body["data"]["cdp"]["url"], CRL_URL);
    assert_eq!(body["data"]["cdp"]["valid_until"], "2027-01-18T08:00:00Z");
    assert_eq!(body["data"]["serials"].as_object().unwrap().len(), 1);

    let good = Certificate::parse_der(case.good.clone()).unwrap();
    case.pki.revoke(&good.serial().to_colon_hex()).await;
    publish_crl(&case.pki).await;
    server.node.tick().await;
    case.admits_good().await;
    server.clock.advance_secs(3601);
    server.node.tick().await;
    assert_refused(&login(&case.pki, &[&case.good]).await, NO_CHAIN);

    // What cannot be fetched again is not forgotten.
    server.clock.advance_secs(3601);
    server
        .outbound
        .answer(|_| Err(OutboundError::Unreachable("gone".into())));
    server.node.tick().await;
    case.refuses_revoked().await;
}

#[tokio::test]
async fn a_crl_that_cannot_be_had_or_is_not_of_its_issuer_is_refused() {
    let case = Case::new(json!({"ocsp_enabled": false})).await;
    let server = &case.pki.server;
    let path = "auth/cert/crls/root";
    let answer = server.write(ROOT, path, json!({ "url": CRL_URL })).await;
    assert_eq!(answer.0, 400);
    let failed = format!("failed to fetch CRL: Get {CRL_URL:?}: ");
    assert!(error(&answer).starts_with(&failed), "{answer:?}");
    // Another root of the same name.
    let other = pki().await;
    let body = other.fetch("crl").await.body;
    server.outbound.answer(move |_| {
        let body = body.clone();
        Ok(Response { status: 200, body })
    });
    let answer = server.write(ROOT, path, json!({ "url": CRL_URL })).await;
    let expected = format!("{failed}the signature is not of the issuer that a role trusts");
    assert_refused(&answer, &expected);
    let both = json!({"url": CRL_URL, "crl": "x"});
    let answer = server.write(ROOT, path, both).await;
    assert_refused(&answer, "only one of 'crl' and 'url' may be provided");
    assert_eq!(server.read(ROOT, path).await.0, 400);
}
