//! Revoking over ACME.

use serde_json::{Value, json};
use signet_pki::cert::Certificate;

use super::{Client, base64, start};
use crate::pki_fixture::Pki;

fn payload(certificate: &Certificate) -> Value {
    json!({"certificate": base64(certificate.der())})
}

async fn is_revoked(pki: &Pki, certificate: &Certificate) -> bool {
    pki.listed()
        .await
        .contains(&certificate.serial().to_colon_hex())
}

#[tokio::test]
async fn the_account_of_a_certificate_may_revoke_it_and_others_may_not() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let other = Client::registered(&pki, "").await;
    let (certificate, _, _) = client.certificate(&["a.example.com"]).await;
    let answer = other.post("revoke-cert", payload(&certificate)).await;
    let detail = "no certificate with this serial was issued for this account";
    answer.refused(400, "malformed", detail);
    let answer = other
        .post_with_key("revoke-cert", Some(payload(&certificate)))
        .await;
    answer.refused(400, "malformed", "does not match certificate's public key");
    assert!(!is_revoked(&pki, &certificate).await);
    let answer = client
        .post("revoke-cert", payload(&certificate))
        .await
        .expect(200);
    assert_eq!(answer.body["state"], "revoked");
    assert!(is_revoked(&pki, &certificate).await);
    let answer = client.post("revoke-cert", payload(&certificate)).await;
    answer.refused(400, "alreadyRevoked", "unable to revoke certificate");
}

#[tokio::test]
async fn whoever_has_the_key_of_a_certificate_may_revoke_it() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (certificate, key, _) = client.certificate(&["a.example.com"]).await;
    let mut holder = Client::new(&pki, "");
    holder.key = key;
    let answer = holder
        .post_with_key("revoke-cert", Some(payload(&certificate)))
        .await;
    assert_eq!(answer.expect(200).body["state"], "revoked");
    assert!(is_revoked(&pki, &certificate).await);
}

#[tokio::test]
async fn reasons_are_refused_unless_they_say_nothing() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (certificate, _, _) = client.certificate(&["a.example.com"]).await;
    let with_reason = |reason: Value| {
        let mut payload = payload(&certificate);
        payload["reason"] = reason;
        payload
    };
    for reason in [1, 99, -1] {
        let answer = client.post("revoke-cert", with_reason(json!(reason))).await;
        answer.refused(400, "badRevocationReason", &format!("got {reason}"));
    }
    let answer = client.post("revoke-cert", with_reason(json!("x"))).await;
    answer.refused(
        400,
        "malformed",
        "invalid type (string; expected float64) for field 'reason'",
    );
    client
        .post("revoke-cert", with_reason(json!(0)))
        .await
        .expect(200);
}

#[tokio::test]
async fn what_is_no_certificate_of_the_mount_or_has_ended_is_refused() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let root = Certificate::parse_pem(&pki.root).unwrap();
    let stranger = {
        let files = crate::pki_fixture::Files::new();
        files.openssl("req -x509 -newkey ed25519 -nodes -subj /CN=X -days 10 -keyout k -outform DER -out x.der");
        files.read("x.der")
    };
    for (payload, detail) in [
        (
            json!({}),
            "bad request was lacking required field 'certificate'",
        ),
        (
            json!({"certificate": 1}),
            "invalid type (float64; expected string)",
        ),
        (
            json!({"certificate": "!!"}),
            "failed to base64 decode certificate",
        ),
        (
            json!({"certificate": "AAAA"}),
            "failed to parse certificate",
        ),
        (
            json!({"certificate": base64(stranger)}),
            "not one of this mount",
        ),
        (
            payload(&root),
            "no certificate with this serial was issued for this account",
        ),
    ] {
        client
            .post("revoke-cert", payload)
            .await
            .refused(400, "malformed", detail);
    }
    let (certificate, _, _) = client.certificate(&["a.example.com"]).await;
    pki.server.clock.advance_secs(40 * 86_400);
    let answer = client.post("revoke-cert", payload(&certificate)).await;
    answer.refused(400, "malformed", "it has expired");
}
