//! Proofs of control over a name, and what becomes of attempts that fail.

use serde_json::{Value, json};
use signet_api::probe::Handshake;

use super::{Client, base64, start};
use crate::pki_fixture::{Files, Pki, header, text};

/// An authorization for one name, and its challenge of a kind.
async fn challenge(client: &Client<'_>, name: &str, kind: &str) -> (String, Value) {
    let order = client.order(&[name]).await.expect(201);
    let authorization = text(&order.body["authorizations"][0]);
    let challenge = client.challenge(&authorization, kind).await;
    (authorization, challenge)
}

/// What is to be looked at, now or later.
async fn queued(pki: &Pki) -> Vec<String> {
    let store = pki.server.node.core().unwrap().store.clone();
    let mut paths = store.keys("", None, usize::MAX).await.unwrap();
    paths.retain(|path| path.contains("/acme/validation/"));
    paths
}

#[tokio::test]
async fn a_page_proves_a_name() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (authorization, _) = challenge(&client, "a.example.com", "http-01").await;
    let challenge = client.show_page(&authorization).await;
    let url = text(&challenge["url"]);
    let accepted = client.post(&url, json!({})).await.expect(200);
    assert_eq!(accepted.body["status"], "processing");
    let up = format!("<{authorization}>;rel=\"up\"");
    assert!(accepted.header("Link").contains(&up));
    let settled = client.settled(&authorization).await;
    assert_eq!(settled["status"], "valid");
    assert_eq!(settled["expires"], "2027-01-30T08:00:00Z", "in 15 days");
    let proved = client.read(&url).await.expect(200).body;
    assert_eq!(
        (&proved["status"], &proved["validated"]),
        (&json!("valid"), &json!("2027-01-15T08:00:00Z"))
    );
    let again = client.post(&url, json!({})).await;
    again.refused(
        400,
        "malformed",
        "cannot accept already validated authorization",
    );
}

#[tokio::test]
async fn an_address_is_proved_by_a_page_at_it() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    client.ready(&["2001:db8::1"]).await;
    let looks = pki.server.probe.take_looks();
    assert!(
        looks[0]
            .0
            .starts_with("2001:db8::1/.well-known/acme-challenge/")
    );
}

#[tokio::test]
async fn a_record_proves_a_name_and_all_below_it() {
    let pki = start().await;
    let resolver = "192.0.2.53:5353";
    pki.ok("config/acme", json!({"dns_resolver": resolver}))
        .await;
    let client = Client::registered(&pki, "").await;
    let (authorization, challenge) = challenge(&client, "*.a.example.com", "dns-01").await;
    let expected = client.key_authorization(&challenge);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, expected.as_bytes());
    let name = "_acme-challenge.a.example.com";
    pki.server
        .probe
        .set_texts(name, &["other", &base64(digest)]);
    client
        .post(&text(&challenge["url"]), json!({}))
        .await
        .expect(200);
    assert_eq!(client.settled(&authorization).await["status"], "valid");
    let looks = pki.server.probe.take_looks();
    assert_eq!(looks, [(name.to_owned(), Some(resolver.parse().unwrap()))]);
}

/// Certificates as the challenge `tls-alpn-01` wants them, and others.
struct AlpnCertificates(Files);

impl AlpnCertificates {
    fn new() -> Self {
        let files = Files::new();
        files.openssl("ecparam -name prime256v1 -genkey -noout -out own.key");
        files.openssl("ecparam -name prime256v1 -genkey -noout -out ca.key");
        files.openssl("req -x509 -new -key ca.key -subj /CN=CA -days 10 -out ca.pem");
        Self(files)
    }

    /// Self-signed, with these names and this extension.
    fn self_signed(&self, names: &str, extension: &str) -> Vec<u8> {
        let names = format!("-addext subjectAltName={names}");
        let extension = match extension {
            "" => String::new(),
            value => format!("-addext 1.3.6.1.5.5.7.1.31={value}"),
        };
        self.0.openssl(&format!(
            "req -x509 -new -key own.key -subj /CN=x -days 1 {names} {extension} -outform DER -out \
             own.der"
        ));
        self.0.read("own.der")
    }

    /// As it has to be, but signed by somebody else.
    fn signed_by_other(&self, name: &str, extension: &str) -> Vec<u8> {
        self.0
            .openssl("req -new -key own.key -subj /CN=x -out own.csr");
        let config = format!("subjectAltName=DNS:{name}\n1.3.6.1.5.5.7.1.31={extension}\n");
        self.0.write("own.ext", config);
        self.0.openssl(
            "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile \
             own.ext -outform DER -out own.der",
        );
        self.0.read("own.der")
    }
}

#[tokio::test]
async fn a_certificate_shown_in_a_handshake_proves_a_name() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let certificates = AlpnCertificates::new();
    let name = "a.example.com";
    let octets = |bytes: &[u8]| format!("DER:0420{}", hex::encode(bytes));
    let good = |challenge: &Value| {
        let expected = client.key_authorization(challenge);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, expected.as_bytes());
        octets(digest.as_ref())
    };
    // What is shown instead, and what the client is told; nothing for what is right.
    let acme: &[u8] = b"acme-tls/1";
    let dns = format!("DNS:{name}");
    let cases: &[(&str, Option<&[u8]>, &str, &str)] = &[
        ("right", Some(acme), "", ""),
        ("upper case", Some(acme), "", ""),
        ("right", None, "", "does not speak the protocol"),
        ("right", Some(b"h2"), "", "does not speak the protocol"),
        ("twice", Some(acme), "", "another number of certificates"),
        ("none", Some(acme), "", "another number of certificates"),
        ("garbage", Some(acme), "", "cannot be read"),
        ("by other", Some(acme), "", "not self-signed"),
        (
            "names",
            Some(acme),
            "DNS:b.example.com",
            "exactly this name",
        ),
        (
            "names",
            Some(acme),
            "DNS:a.example.com,DNS:b.example.com",
            "exactly this name",
        ),
        (
            "names",
            Some(acme),
            "DNS:a.example.com,IP:192.0.2.1",
            "exactly this name",
        ),
        (
            "names",
            Some(acme),
            "DNS:a.example.com,RID:1.2.3",
            "exactly this name",
        ),
        ("no extension", Some(acme), "", "no acmeIdentifier"),
        ("not critical", Some(acme), "", "not critical"),
        (
            "other digest",
            Some(acme),
            "",
            "does not hold the key authorization",
        ),
        (
            "no octet string",
            Some(acme),
            "",
            "does not hold the key authorization",
        ),
    ];
    for (case, protocol, names, reason) in cases {
        let (authorization, challenge) = challenge(&client, name, "tls-alpn-01").await;
        let value = good(&challenge);
        let critical = format!("critical,{value}");
        let right = || certificates.self_signed(&dns, &critical);
        let shown = match *case {
            "right" => vec![right()],
            "upper case" => vec![certificates.self_signed("DNS:A.Example.COM", &critical)],
            "twice" => vec![right(), right()],
            "none" => vec![],
            "garbage" => vec![b"garbage".to_vec()],
            "by other" => vec![certificates.signed_by_other(name, &critical)],
            "names" => vec![certificates.self_signed(names, &critical)],
            "no extension" => vec![certificates.self_signed(&dns, "")],
            "not critical" => vec![certificates.self_signed(&dns, &value)],
            "other digest" => {
                let other = format!("critical,{}", octets(&[7; 32]));
                vec![certificates.self_signed(&dns, &other)]
            }
            "no octet string" => {
                let bare = critical.replace("DER:0420", "DER:0320");
                vec![certificates.self_signed(&dns, &bare)]
            }
            other => panic!("{other}"),
        };
        let handshake = Handshake {
            protocol: protocol.map(<[u8]>::to_vec),
            certificates: shown,
        };
        pki.server.probe.set_handshake(name, handshake);
        client
            .post(&text(&challenge["url"]), json!({}))
            .await
            .expect(200);
        let settled = client.settled(&authorization).await;
        if reason.is_empty() {
            assert_eq!(settled["status"], "valid", "{case}: {settled}");
        } else {
            assert_eq!(settled["status"], "pending", "{case}");
            assert!(settled.to_string().contains(reason), "{case}: {settled}");
        }
    }
}

#[tokio::test]
async fn a_proof_of_another_account_does_not_count() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let other = Client::registered(&pki, "").await;
    let (authorization, challenge) = challenge(&client, "a.example.com", "http-01").await;
    let token = text(&challenge["token"]);
    let page = format!("a.example.com/.well-known/acme-challenge/{token}");
    let body = other.key_authorization(&challenge);
    pki.server.probe.set_page(&page, 200, &body);
    client
        .post(&text(&challenge["url"]), json!({}))
        .await
        .expect(200);
    let settled = client.settled(&authorization).await;
    let error = &settled["challenges"][0]["error"];
    assert_eq!(
        error["type"],
        "urn:ietf:params:acme:error:incorrectResponse"
    );
    assert_eq!(
        (&error["status"], &error["subproblems"]),
        (&json!(400), &json!([]))
    );
    assert!(text(&error["detail"]).contains("does not hold the key authorization"));
}

#[tokio::test]
async fn failed_attempts_are_repeated_and_end() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (authorization, challenge) = challenge(&client, "a.example.com", "http-01").await;
    client
        .post(&text(&challenge["url"]), json!({}))
        .await
        .expect(200);
    for (failures, wait) in [5, 10, 15, 20, 25, 30].into_iter().enumerate() {
        while pki.server.probe.count_looks() <= failures {
            tokio::task::yield_now().await;
        }
        let settled = client.settled(&authorization).await;
        assert_eq!(settled["status"], "pending");
        let challenge = &settled["challenges"][0];
        assert_eq!(challenge["status"], "processing");
        assert!(text(&challenge["error"]["detail"]).ends_with("http-01: nobody is there"));
        pki.server.clock.advance_secs(wait - 1);
        pki.tick().await;
        assert_eq!(pki.server.probe.count_looks(), failures + 1, "too early");
        pki.server.clock.advance_secs(1);
        pki.tick().await;
    }
    while client.read(&authorization).await.body["status"] == "pending" {
        tokio::task::yield_now().await;
    }
    let ended = client.read(&authorization).await.body;
    assert_eq!(
        (&ended["status"], &ended["challenges"][0]["status"]),
        (&json!("invalid"), &json!("invalid"))
    );
    assert_eq!(pki.server.probe.count_looks(), 7);
    pki.server.clock.advance_secs(3600);
    pki.tick().await;
    assert_eq!(pki.server.probe.count_looks(), 7);
}

#[tokio::test]
async fn one_challenge_is_accepted_and_may_be_again() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (authorization, challenge) = challenge(&client, "a.example.com", "dns-01").await;
    let url = text(&challenge["url"]);
    client.post(&url, json!({})).await.expect(200);
    client.settled(&authorization).await;
    assert_eq!(
        client.post(&url, json!({})).await.expect(200).body["status"],
        "processing"
    );
    assert_eq!(queued(&pki).await.len(), 1, "this does not hurry it");
    let other = client.challenge(&authorization, "http-01").await;
    let answer = client.post(&text(&other["url"]), json!({})).await;
    let detail = "error submitting challenge for validation: the request message was malformed: \
                  only a single challenge within an authorization can be accepted (dns-01) in \
                  status processing";
    answer.refused(400, "malformed", detail);
    let answer = client
        .post(&url.replace("dns-01", "fax-01"), json!({}))
        .await;
    answer.refused(
        400,
        "malformed",
        "unknown challenge of type 'fax-01' in authorization",
    );
}

#[tokio::test]
async fn nothing_is_looked_at_for_an_authorization_that_was_given_up() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let (authorization, challenge) = challenge(&client, "a.example.com", "http-01").await;
    client
        .post(&text(&challenge["url"]), json!({}))
        .await
        .expect(200);
    client.settled(&authorization).await;
    client
        .post(&authorization, json!({"status": "deactivated"}))
        .await
        .expect(200);
    pki.server.clock.advance_secs(5);
    pki.tick().await;
    while !queued(&pki).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(pki.server.probe.count_looks(), 1);
    assert_eq!(
        client.read(&authorization).await.body["status"],
        "deactivated"
    );
}

#[tokio::test]
async fn answers_have_the_headers_of_acme_whatever_the_mount_is_tuned_to() {
    let pki = start().await;
    let client = Client::registered(&pki, "").await;
    let order = client.order(&["a.example.com"]).await.expect(201);
    for name in ["Replay-Nonce", "Location", "Link"] {
        assert!(header(&order.response, name).is_some(), "{name}");
    }
}
