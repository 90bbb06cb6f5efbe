//! Revoking: by serial number, by certificate, with the key, by the end of a lease.

use serde_json::{Value, json};

use crate::pki_fixture::{NOW, Pki, mount, text};
use crate::support::{ROOT, error};

#[tokio::test]
async fn a_revoked_serial_is_on_the_next_crl() {
    let pki = Pki::start().await;
    assert_eq!(pki.listed().await, Vec::<String>::new());
    let serial = pki.serial("a.example.com").await;
    let data = pki.revoke(&serial).await;
    assert_eq!(
        data,
        json!({
            "revocation_time": NOW,
            "revocation_time_rfc3339": "2027-01-15T08:00:00Z",
            "state": "revoked",
        })
    );
    assert_eq!(pki.listed().await, [serial]);
}

#[tokio::test]
async fn revoking_again_answers_what_it_answered_first() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.example.com").await;
    let first = pki.revoke(&serial).await;
    pki.server.clock.advance_secs(100);
    assert_eq!(
        pki.revoke(&serial.replace(':', "-").to_uppercase()).await,
        first
    );
    assert_eq!(pki.listed().await, [serial]);
}

#[tokio::test]
async fn tells_what_is_missing_in_the_order_of_the_api() {
    let pki = Pki::start().await;
    let listed = |text: &str| format!("1 error occurred:\n\t* {text}\n\n");
    let none = "The serial number or certificate to revoke must be provided.";
    let both = "Must provide either the certificate or the serial to revoke; not both.";
    let short = "provided certificate data was too short; perhaps a path was passed to the API \
                 rather than the contents of a PEM file";
    for (data, text) in [
        (json!({}), none.to_owned()),
        (
            json!({"serial_number": "00:11", "certificate": "x"}),
            both.to_owned(),
        ),
        (
            json!({"serial_number": ""}),
            "The serial number must be provided".into(),
        ),
        (
            json!({"serial_number": null}),
            "The serial number must be provided".into(),
        ),
        (
            json!({"serial_number": "00:1F"}),
            "certificate with serial 00:1F not found.".into(),
        ),
        (
            json!({"serial_number": "zz"}),
            "certificate with serial zz not found.".into(),
        ),
        (json!({"certificate": ""}), listed(short)),
        (json!({"certificate": "/tmp/cert.pem"}), listed(short)),
        (
            json!({"certificate": "x".repeat(80)}),
            listed("certificate contains no PEM data"),
        ),
    ] {
        assert_eq!(
            pki.refused("revoke", data.clone()).await,
            (400, text),
            "{data}"
        );
    }
    let garbage =
        "-----BEGIN CERTIFICATE-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END CERTIFICATE-----";
    let (status, text) = pki.refused("revoke", json!({"certificate": garbage})).await;
    assert_eq!(status, 400);
    assert!(text.contains("certificate could not be parsed: "), "{text}");
}

#[tokio::test]
async fn an_issuer_of_the_mount_cannot_be_revoked_as_a_certificate() {
    let pki = Pki::start().await;
    let root = signet_pki::cert::Certificate::parse_pem(&pki.root).unwrap();
    let text = format!(
        "adding issuer (id: {}) to its own CRL is not allowed",
        pki.root_id
    );
    for data in [
        json!({"serial_number": root.serial().to_colon_hex()}),
        json!({"certificate": pki.root}),
    ] {
        assert_eq!(pki.refused("revoke", data).await, (400, text.clone()));
    }
}

#[tokio::test]
async fn a_certificate_that_was_not_stored_is_revoked_by_itself() {
    let pki = Pki::start().await;
    pki.ok(
        "roles/short",
        json!({"allow_any_name": true, "key_type": "ec", "no_store": true}),
    )
    .await;
    let leaf = pki.ok("issue/short", json!({"common_name": "a.x"})).await;
    let serial = text(&leaf["serial_number"]);
    assert_eq!(
        pki.refused("revoke", json!({"serial_number": serial}))
            .await,
        (400, format!("certificate with serial {serial} not found."))
    );
    pki.ok("revoke", json!({"certificate": leaf["certificate"]}))
        .await;
    assert_eq!(pki.listed().await, std::slice::from_ref(&serial));
    assert_eq!(pki.read(&format!("cert/{serial}")).await.0, 200);
}

#[tokio::test]
async fn certificates_of_strangers_are_not_revoked() {
    let pki = Pki::start().await;
    mount(&pki.server, "other/").await;
    let root = json!({"common_name": "Root", "key_type": "ec"});
    pki.server
        .write(ROOT, "other/root/generate/internal", root)
        .await;
    let role = json!({"allow_any_name": true, "key_type": "ec"});
    pki.server.write(ROOT, "other/roles/web", role).await;
    let (_, body) = pki
        .server
        .write(ROOT, "other/issue/web", json!({"common_name": "a.x"}))
        .await;
    let (status, text) = pki
        .refused(
            "revoke",
            json!({"certificate": body["data"]["certificate"]}),
        )
        .await;
    assert_eq!(status, 400);
    assert!(
        text.contains(
            "unable to verify signature on presented cert from any present issuer in this mount"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn another_certificate_with_a_stored_serial_number_is_refused() {
    let pki = Pki::start().await;
    let leaf = text(&pki.issue("a.x").await["certificate"]);
    let parsed = signet_pki::cert::Certificate::parse_pem(&leaf).unwrap();
    // The signature's last octet: still a certificate, no longer the stored one.
    let mut der = parsed.into_der();
    *der.last_mut().unwrap() ^= 1;
    let forged = signet_pki::pem::encode("CERTIFICATE", &der);
    let (status, text) = pki.refused("revoke", json!({"certificate": forged})).await;
    assert_eq!(status, 400);
    assert!(
        text.contains("certificate with same serial but unequal value already present"),
        "{text}"
    );
}

fn another(key_type: &str) -> &'static str {
    if key_type == "ec" { "ed25519" } else { "ec" }
}

#[tokio::test]
async fn the_holder_of_the_key_may_revoke() {
    let pki = Pki::start().await;
    for (key_type, format) in [
        ("ec", "der"),
        ("ec", "pkcs8"),
        ("rsa", "der"),
        ("rsa", "pkcs8"),
        ("ed25519", "pkcs8"),
    ] {
        pki.ok(
            "roles/any",
            json!({"allow_any_name": true, "key_type": key_type}),
        )
        .await;
        let request = json!({"common_name": "a.x", "private_key_format": format});
        let leaf = pki.ok("issue/any", request).await;
        let (serial, key) = (text(&leaf["serial_number"]), &leaf["private_key"]);
        for (other_type, part) in [
            (key_type, "private key"),
            (another(key_type), "private key type"),
        ] {
            let role = json!({"allow_any_name": true, "key_type": other_type});
            pki.ok("roles/other", role).await;
            let other = pki.ok("issue/other", json!({"common_name": "b.x"})).await;
            let data = json!({"serial_number": serial, "private_key": other["private_key"]});
            let (status, text) = pki.refused("revoke-with-key", data).await;
            assert_eq!(status, 400);
            let expected = format!("provided {part} does not match certificate's public key");
            assert!(text.contains(&expected), "{text}");
        }
        pki.ok(
            "revoke-with-key",
            json!({"serial_number": serial, "private_key": key}),
        )
        .await;
        let data = json!({"certificate": leaf["certificate"], "private_key": key});
        assert_eq!(pki.ok("revoke-with-key", data).await["state"], "revoked");
        assert!(pki.listed().await.contains(&serial), "{key_type} {format}");
    }
}

#[tokio::test]
async fn revoke_with_key_needs_a_key() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.x").await;
    let missing = "Must have private key to revoke via the /revoke-with-key path.";
    let short = "Provided data for private_key was too short; perhaps a path was passed to the API \
                 rather than the contents of a PEM file?";
    let unreadable =
        "1 error occurred:\n\t* provided key PEM block contained no data or failed to parse\n\n";
    for (key, text) in [
        (None, missing),
        (Some(String::new()), short),
        (Some("x".repeat(63)), short),
        (Some("x".repeat(64)), unreadable),
    ] {
        let mut data = json!({"serial_number": serial});
        if let Some(key) = key {
            data["private_key"] = json!(key);
        }
        assert_eq!(
            pki.refused("revoke-with-key", data).await,
            (400, text.to_owned())
        );
    }
    assert_eq!(pki.listed().await, Vec::<String>::new());
    // A key on the other path is only a parameter too many.
    let answer = pki
        .write(
            "revoke",
            json!({"serial_number": serial, "private_key": "x"}),
        )
        .await;
    assert_eq!(answer.0, 200);
    assert_eq!(
        answer.1["warnings"],
        json!(["Endpoint ignored these unrecognized parameters: [private_key]"])
    );
}

#[tokio::test]
async fn expired_certificates_are_revoked_only_where_that_is_allowed() {
    let pki = Pki::start().await;
    let leaf = pki
        .ok("issue/web", json!({"common_name": "a.x", "ttl": "10s"}))
        .await;
    let serial = text(&leaf["serial_number"]);
    // Nobody would see the revocation before the end.
    pki.server.clock.advance_secs(9);
    let (status, body) = pki.write("revoke", json!({"serial_number": serial})).await;
    assert_eq!((status, &body["data"]), (200, &Value::Null));
    assert_eq!(
        body["warnings"],
        json!([format!(
            "certificate with serial {serial} already expired; refusing to add to CRL. Enable \
             'AllowExpiredCertRevocation' to allow revoking expired certificates."
        )])
    );
    assert_eq!(pki.listed().await, Vec::<String>::new());
    pki.ok("config/crl", json!({"allow_expired_cert_revocation": true}))
        .await;
    pki.revoke(&serial).await;
    assert_eq!(pki.listed().await, [serial]);
}

#[tokio::test]
async fn the_end_of_a_lease_revokes_its_certificate() {
    let pki = Pki::start().await;
    pki.ok(
        "roles/leased",
        json!({"allow_any_name": true, "key_type": "ec", "generate_lease": true}),
    )
    .await;
    let (_, body) = pki
        .write("issue/leased", json!({"common_name": "a.x", "ttl": "1h"}))
        .await;
    let lease = text(&body["lease_id"]);
    let serial = text(&body["data"]["serial_number"]);
    assert_eq!(lease.strip_prefix("pki/issue/leased/").unwrap().len(), 24);
    assert_eq!(
        (&body["lease_duration"], &body["renewable"]),
        (&json!(3600), &json!(false))
    );
    let core = pki.server.node.core().unwrap();
    signet_api::expiry::revoke(&core, &lease, pki.server.node.now())
        .await
        .unwrap();
    assert_eq!(pki.listed().await, [serial]);
    // One that has ended by itself is no matter for a CRL.
    let (_, body) = pki
        .write("issue/leased", json!({"common_name": "a.x", "ttl": "1h"}))
        .await;
    assert!(text(&body["lease_id"]).starts_with("pki/issue/leased/"));
    pki.server.clock.advance_secs(3601);
    pki.tick().await;
    assert_eq!(pki.listed().await.len(), 1);
}

#[tokio::test]
async fn many_callers_may_revoke_the_same_certificate_at_once() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.x").await;
    let revoke = || pki.write("revoke", json!({"serial_number": serial}));
    let (a, b, c, d) = tokio::join!(revoke(), revoke(), revoke(), revoke());
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.0, error(answer)), (200, ""));
        assert_eq!(answer.1["data"], a.1["data"]);
    }
    assert_eq!(pki.listed().await, [serial]);
}
