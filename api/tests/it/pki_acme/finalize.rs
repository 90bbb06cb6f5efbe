//! From an order to a certificate.

use serde_json::json;
use signet_pki::cert::Certificate;
use signet_pki::plan::SubjectAttributes;

use super::{Client, csr, new_key, plan, start};
use crate::pki_fixture::{Files, NOW, text};

const DAY: i64 = 86_400;

/// The certificate that a CSR gives for an order that is ready.
async fn certificate(client: &Client<'_>, names: &[&str], csr: &[u8]) -> Certificate {
    let (_, order) = client.ready(names).await;
    let valid = client.finalize(&order, csr).await.expect(200);
    let chain = client
        .read(&text(&valid.body["certificate"]))
        .await
        .expect(200);
    let pem = String::from_utf8(chain.response.body.to_vec()).unwrap();
    Certificate::parse_pem(&pem).unwrap()
}

fn shown(certificate: &Certificate) -> String {
    let files = Files::new();
    files.write("leaf.der", certificate.der());
    files.openssl(
        "x509 -inform DER -in leaf.der -noout -subject -ext subjectAltName,extendedKeyUsage",
    )
}

#[tokio::test]
async fn an_order_whose_names_are_proved_gives_a_certificate_with_its_chain() {
    let pki = start().await;
    pki.intermediate("ica").await;
    pki.ok("config/issuers", json!({"default": "ica"})).await;
    for prefix in ["", "roles/web/", "issuer/ica/", "issuer/ica/roles/web/"] {
        let client = Client::registered(&pki, prefix).await;
        let names = ["a.example.com", "b.example.com", "192.0.2.1"];
        let order = client.order(&names).await.expect(201);
        let csr = csr(&new_key(), "b.example.com", &names);
        let early = client.finalize(&order.body, &csr).await;
        let detail = "order is status pending, needs to be in ready state";
        early.refused(403, "orderNotReady", detail);
        let early = client.read(&format!("{}/cert", order.location())).await;
        let detail = "order is status pending, needs to be in valid state";
        early.refused(403, "orderNotReady", detail);
        client.prove(&order.body).await;
        let valid = client.finalize(&order.body, &csr).await.expect(200);
        assert_eq!(
            (&valid.body["status"], valid.location()),
            (&json!("valid"), order.location())
        );
        assert_eq!(client.read(&order.location()).await.body, valid.body);
        let again = client.finalize(&order.body, &csr).await;
        let detail = "order is status valid, needs to be in ready state";
        again.refused(403, "orderNotReady", detail);

        let chain = client
            .read(&text(&valid.body["certificate"]))
            .await
            .expect(200);
        assert_eq!(
            chain.response.content_type,
            "application/pem-certificate-chain"
        );
        let files = Files::new();
        files.write("chain.pem", &chain.response.body);
        files.write("root.pem", &pki.root);
        let verified = files.openssl(&format!(
            "verify -attime {NOW} -CAfile root.pem -untrusted chain.pem chain.pem"
        ));
        assert!(verified.contains("chain.pem: OK"), "{verified}");
        let pem = String::from_utf8(chain.response.body.to_vec()).unwrap();
        assert_eq!(
            pem.matches("BEGIN CERTIFICATE").count(),
            3,
            "leaf, issuer and root"
        );
        let leaf = Certificate::parse_pem(&pem).unwrap();
        let shown = shown(&leaf);
        let expected = "DNS:a.example.com, DNS:b.example.com, IP Address:192.0.2.1";
        assert!(
            shown.contains(expected) && shown.contains("CN = b.example.com"),
            "{shown}"
        );
        let serial = leaf.serial().to_colon_hex();
        assert_eq!(
            pki.read(&format!("cert/{serial}")).await.0,
            200,
            "it is stored"
        );
    }
}

#[tokio::test]
async fn of_a_csr_only_the_key_and_the_common_name_reach_the_certificate() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let mut plan = plan("A.Example.COM", &["a.example.com"]);
    plan.subject = SubjectAttributes {
        organization: vec!["Evil".into()],
        organizational_unit: vec!["Unit".into()],
        serial_number: "77".into(),
        user_ids: vec!["root".into()],
        ..plan.subject
    };
    plan.sans.emails = vec!["root@example.com".into()];
    plan.sans.uris = vec!["spiffe://x/y".into()];
    let csr = plan.sign(&new_key()).unwrap();
    let shown = shown(&certificate(&client, &["a.example.com"], &csr).await);
    assert!(shown.contains("subject=CN = a.example.com\n"), "{shown}");
    for foreign in ["Evil", "Unit", "77", "root", "spiffe"] {
        assert!(!shown.contains(foreign), "{shown}");
    }
}

#[tokio::test]
async fn csrs_that_are_not_for_the_order_are_refused() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (_, order) = client.ready(&["a.example.com"]).await;
    let url = text(&order["finalize"]);
    for (payload, detail) in [
        (json!({}), "missing csr in payload"),
        (
            json!({"csr": 1}),
            "csr in payload not the expected type: float64",
        ),
        (json!({"csr": "!!"}), "failed base64 decoding csr"),
        (json!({"csr": "AAAA"}), "failed to parse csr"),
    ] {
        client
            .post(&url, payload)
            .await
            .refused(400, "malformed", detail);
    }
    let key = new_key();
    let mut authority = plan("", &["a.example.com"]);
    authority.authority = true;
    let mut forged = csr(&key, "", &["a.example.com"]);
    *forged.last_mut().unwrap() ^= 1;
    for (csr, detail) in [
        (
            csr(&key, "", &["b.example.com"]),
            "CSR is missing order DNS identifier a.example.com",
        ),
        (
            csr(&key, "", &["a.example.com", "b.example.com"]),
            "Order (1) and CSR (2) mismatch on number of DNS identifiers",
        ),
        (
            csr(&key, "", &[]),
            "Order (1) and CSR (0) mismatch on number of DNS identifiers",
        ),
        (
            csr(&key, "", &["a.example.com", "192.0.2.1"]),
            "Order (0) and CSR (1) mismatch on number of IP identifiers",
        ),
        (
            csr(&key, "b.example.com", &["a.example.com"]),
            "Order (1) and CSR (2) mismatch on number of DNS identifiers",
        ),
        (
            csr(&client.key, "", &["a.example.com"]),
            "certificate public key must not match account key",
        ),
        (
            authority.sign(&key).unwrap(),
            "refusing to accept CSR with Basic Constraints extension with CA set to true",
        ),
        (forged, "request signature invalid"),
    ] {
        client
            .finalize(&order, &csr)
            .await
            .refused(400, "badCSR", detail);
    }
    client
        .finalize(&order, &csr(&key, "", &["A.Example.com"]))
        .await
        .expect(200);
}

#[tokio::test]
async fn names_may_stand_in_the_common_name_or_in_the_alternative_names() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    for (ordered, common_name, names) in [
        ("a.example.com", "a.example.com", &[][..]),
        ("a.example.com", "", &["a.example.com"]),
        ("192.0.2.1", "", &["192.0.2.1"]),
        ("192.0.2.1", "192.0.2.1", &[]),
    ] {
        let csr = csr(&new_key(), common_name, names);
        let certificate = certificate(&client, &[ordered], &csr).await;
        let names = certificate.subject_alt_names().unwrap();
        let mut all = names.dns.clone();
        all.extend(names.ips.iter().map(ToString::to_string));
        assert_eq!(all, [ordered]);
    }
}

#[tokio::test]
async fn a_role_that_wants_a_common_name_gets_one() {
    let pki = start().await;
    pki.ok(
        "roles/named",
        json!({"allow_any_name": true, "require_cn": true, "key_type": "ec"}),
    )
    .await;
    let client = Client::registered(&pki, "roles/named/").await;
    for (names, expected) in [
        (&["b.example.com", "a.example.com"][..], "b.example.com"),
        (&["192.0.2.1"], "192.0.2.1"),
    ] {
        let csr = csr(&new_key(), "", names);
        let shown = shown(&certificate(&client, names, &csr).await);
        assert!(
            shown.contains(&format!("subject=CN = {expected}\n")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn certificates_live_no_longer_than_ninety_days_or_their_issuer() {
    let pki = start().await;
    let role = json!({"allow_any_name": true, "key_type": "ec", "ttl": "8000h"});
    pki.ok("roles/long", role).await;
    let short = json!({
        "common_name": "Short", "key_type": "ec", "issuer_name": "short", "ttl": "240h",
    });
    pki.ok("root/generate/internal", short).await;
    let end = async |prefix: &str| {
        let client = Client::registered(&pki, prefix).await;
        let csr = csr(&new_key(), "", &["a.example.com"]);
        certificate(&client, &["a.example.com"], &csr)
            .await
            .validity()
            .not_after
            .0
            - NOW
    };
    assert_eq!(end("roles/web/").await, DAY, "the role's own");
    assert_eq!(end("roles/long/").await, 90 * DAY);
    assert_eq!(end("issuer/short/roles/long/").await, 10 * DAY);
}

#[tokio::test]
async fn usages_of_the_role_count_only_where_they_are_allowed() {
    let pki = start().await;
    let role = json!({
        "allow_any_name": true, "key_type": "ec", "client_flag": true, "code_signing_flag": true,
    });
    pki.ok("roles/signer", role).await;
    let usages = async || {
        let client = Client::registered(&pki, "roles/signer/").await;
        let csr = csr(&new_key(), "", &["a.example.com"]);
        shown(&certificate(&client, &["a.example.com"], &csr).await)
    };
    let server = "TLS Web Server Authentication";
    let shown = usages().await;
    assert!(
        shown.contains(server) && !shown.contains("Code Signing"),
        "{shown}"
    );
    assert!(!shown.contains("Client"), "{shown}");
    pki.ok("config/acme", json!({"allow_role_ext_key_usage": true}))
        .await;
    let shown = usages().await;
    assert!(
        shown.contains("Client") && shown.contains("Code Signing"),
        "{shown}"
    );
}

#[tokio::test]
async fn keys_that_the_role_forbids_are_refused() {
    let pki = start().await;
    pki.ok(
        "roles/rsa",
        json!({"allow_any_name": true, "key_type": "rsa"}),
    )
    .await;
    let client = Client::registered(&pki, "roles/rsa/").await;
    let (_, order) = client.ready(&["a.example.com"]).await;
    let csr = csr(&new_key(), "", &["a.example.com"]);
    let answer = client.finalize(&order, &csr).await;
    answer.refused(400, "badCSR", "role requires keys of type rsa");
}

#[tokio::test]
async fn names_that_the_issuer_may_not_sign_are_refused() {
    let pki = start().await;
    let request = json!({
        "common_name": "Narrow", "key_type": "ec", "issuer_name": "narrow",
        "permitted_dns_domains": "example.com",
    });
    pki.ok("root/generate/internal", request).await;
    let client = Client::registered(&pki, "issuer/narrow/").await;
    let (_, order) = client.ready(&["a.other.com"]).await;
    let csr = csr(&new_key(), "", &["a.other.com"]);
    let answer = client.finalize(&order, &csr).await;
    answer.refused(400, "rejectedIdentifier", "outside of the name constraints");
}

#[tokio::test]
async fn of_two_at_the_same_time_one_gets_the_certificate() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (_, order) = client.ready(&["a.example.com"]).await;
    let [first, second] = [(); 2].map(|()| csr(&new_key(), "", &["a.example.com"]));
    let (first, second) = tokio::join!(
        client.finalize(&order, &first),
        client.finalize(&order, &second)
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    let certificates = pki.server.list(crate::support::ROOT, "pki/certs").await;
    assert_eq!(
        certificates.1["data"]["keys"].as_array().unwrap().len(),
        2,
        "with the root"
    );
}
