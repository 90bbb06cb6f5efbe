//! `auth/cert`: logins with the certificate of the connection.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::{Call, Op, Peer};
use signet_pki::pem;

use crate::pki_fixture::Pki;
use crate::support::{Answer, ROOT, call, error};

const UNKNOWN: &str = "invalid certificate or no client certificate supplied";
pub(crate) const NO_CHAIN: &str =
    "no chain matching all constraints could be found for this login certificate";
const EXPIRED: &str =
    "failed to verify client's certificate: x509: certificate has expired or is not yet valid";

/// A PKI whose root signs clients, and the auth method.
pub(crate) async fn pki() -> Pki {
    let pki = Pki::start().await;
    pki.server.enable_auth("cert").await;
    pki
}

/// A server whose method trusts the root under the name `web`.
pub(crate) async fn trusting() -> Pki {
    let pki = pki().await;
    let root = pki.root.clone();
    trust(
        &pki,
        "web",
        json!({"certificate": root, "token_policies": "p"}),
    )
    .await;
    pki
}

pub(crate) async fn trust(pki: &Pki, name: &str, data: Value) {
    let path = format!("auth/cert/certs/{name}");
    let answer = pki.server.write(ROOT, &path, data).await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

pub(crate) fn der(pem: &Value) -> Vec<u8> {
    pem::next_block(pem.as_str().unwrap())
        .unwrap()
        .0
        .der
        .to_vec()
}

pub(crate) async fn client(pki: &Pki, common_name: &str) -> Vec<u8> {
    der(&pki.issue(common_name).await["certificate"])
}

fn over(token: &str, path: &str, data: Value, certificates: &[&[u8]]) -> Call {
    let call = call(Op::Write, path, token, data);
    let certificates: Vec<Vec<u8>> = certificates.iter().map(|der| der.to_vec()).collect();
    Call {
        peer: Peer {
            certificates: Arc::from(certificates),
            ..call.peer
        },
        ..call
    }
}

async fn login_as(pki: &Pki, name: &str, certificates: &[&[u8]]) -> Answer {
    let call = over("", "auth/cert/login", json!({ "name": name }), certificates);
    pki.server.call(call).await
}

pub(crate) async fn login(pki: &Pki, certificates: &[&[u8]]) -> Answer {
    login_as(pki, "", certificates).await
}

pub(crate) fn assert_refused(answer: &Answer, text: &str) {
    assert_eq!((answer.0, error(answer)), (400, text));
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_gives_a_token() {
    let pki = trusting().await;
    let issued = pki.issue("client.example.com").await;
    let leaf = der(&issued["certificate"]);
    for name in ["", "web", "WEB"] {
        let (status, body) = login_as(&pki, name, &[&leaf]).await;
        assert_eq!(status, 200, "{body}");
        let auth = &body["auth"];
        assert_eq!(auth["policies"], json!(["default", "p"]));
        let metadata = &auth["metadata"];
        assert_eq!(metadata["cert_name"], "web");
        assert_eq!(metadata["common_name"], "client.example.com");
        let shown = metadata["serial_number"].as_str().unwrap();
        assert!(shown.chars().all(|c| c.is_ascii_digit()) && shown.len() > 40);
        assert_eq!(metadata["subject_key_id"].as_str().unwrap().len(), 59);
        assert_eq!(metadata["authority_key_id"].as_str().unwrap().len(), 59);
        let token = auth["client_token"].as_str().unwrap();
        let (_, found) = pki.server.read(token, "auth/token/lookup-self").await;
        assert_eq!(found["data"]["display_name"], "cert-web");
    }
}

#[tokio::test]
async fn refuses_who_shows_no_certificate_or_a_strange_one() {
    let pki = trusting().await;
    assert_refused(&login(&pki, &[]).await, "no client certificate found");
    assert_refused(&login(&pki, &[b"garbage"]).await, UNKNOWN);
    let leaf = client(&pki, "a").await;
    assert_refused(&login_as(&pki, "none", &[&leaf]).await, UNKNOWN);
    let strange = Pki::start().await;
    let other = client(&strange, "a").await;
    assert_refused(&login(&pki, &[&other]).await, UNKNOWN);
    let root = der(&json!(strange.root));
    assert_refused(&login(&pki, &[&other, &root]).await, UNKNOWN);
    // A trusted certificate behind a strange one helps nobody.
    assert_refused(&login(&pki, &[&other, &leaf]).await, UNKNOWN);
}

#[tokio::test]
async fn a_signature_that_does_not_hold_is_no_signature() {
    let pki = trusting().await;
    let mut leaf = client(&pki, "a").await;
    let last = leaf.len() - 1;
    leaf[last] ^= 1;
    assert_refused(&login(&pki, &[&leaf]).await, UNKNOWN);
}

#[tokio::test]
async fn time_ends_certificates_and_authorities() {
    let pki = trusting().await;
    let leaf = client(&pki, "a").await;
    pki.server.clock.advance_secs(24 * 3600 + 1);
    assert_refused(&login(&pki, &[&leaf]).await, EXPIRED);
    pki.server.clock.advance_secs(10 * 366 * 86_400);
    assert_eq!(login(&pki, &[&leaf]).await.0, 400);
}

#[tokio::test]
async fn a_certificate_for_servers_is_not_one_of_a_client() {
    let pki = trusting().await;
    pki.ok(
        "roles/server",
        json!({"allow_any_name": true, "key_type": "ec", "client_flag": false}),
    )
    .await;
    let issued = pki.ok("issue/server", json!({"common_name": "srv"})).await;
    let leaf = der(&issued["certificate"]);
    let text = "failed to verify client's certificate: x509: certificate specifies an \
                incompatible key usage";
    assert_refused(&login(&pki, &[&leaf]).await, text);
    let pinned = json!({"certificate": issued["certificate"]});
    let answer = pki.server.write(ROOT, "auth/cert/certs/pin", pinned).await;
    let text = "nonCA certificates should have TLS client authentication set as an extended key \
                usage";
    assert_refused(&answer, text);
}

#[tokio::test]
async fn a_chain_may_lead_over_what_the_client_sends() {
    let pki = trusting().await;
    let kind = json!({"type": "pki"});
    assert_eq!(pki.server.write(ROOT, "sys/mounts/int", kind).await.0, 204);
    let write = async |path: &str, data: Value| {
        let (status, body) = pki.server.write(ROOT, path, data).await;
        assert!(status < 300, "{path} {body}");
        body["data"].clone()
    };
    let csr = json!({"common_name": "Int", "key_type": "ec"});
    let csr = write("int/intermediate/generate/internal", csr).await;
    let signed = json!({"csr": csr["csr"], "ttl": "1000h"});
    let signed = write("pki/root/sign-intermediate", signed).await;
    let set = json!({"certificate": signed["certificate"]});
    write("int/intermediate/set-signed", set).await;
    write(
        "int/roles/web",
        json!({"allow_any_name": true, "key_type": "ec"}),
    )
    .await;
    let issued = write("int/issue/web", json!({"common_name": "a"})).await;
    let (leaf, middle) = (der(&issued["certificate"]), der(&signed["certificate"]));
    assert_eq!(login(&pki, &[&leaf, &middle]).await.0, 200);
    assert_refused(&login(&pki, &[&leaf]).await, UNKNOWN);
    // The authority itself is no client.
    assert_eq!(login(&pki, &[&middle]).await.0, 400);
    // An intermediate may be what is trusted.
    trust(&pki, "web", json!({"certificate": signed["certificate"]})).await;
    assert_eq!(login(&pki, &[&leaf]).await.0, 200);
    // And it can be taken back.
    trust(&pki, "web", json!({"certificate": pki.root})).await;
    pki.revoke(signed["serial_number"].as_str().unwrap()).await;
    give_crl(&pki).await;
    assert_refused(&login(&pki, &[&leaf, &middle]).await, NO_CHAIN);
}

async fn give_crl(pki: &Pki) {
    let crl = pki.fetch("crl/pem").await;
    let crl = String::from_utf8(crl.body.to_vec()).unwrap();
    let answer = pki
        .server
        .write(ROOT, "auth/cert/crls/root", json!({ "crl": crl }))
        .await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

#[tokio::test]
async fn a_pinned_certificate_is_compared_by_all_its_bytes() {
    let pki = pki().await;
    let issued = pki.issue("a").await;
    let leaf = der(&issued["certificate"]);
    trust(&pki, "pin", json!({"certificate": issued["certificate"]})).await;
    assert_eq!(login(&pki, &[&leaf]).await.0, 200);
    assert_refused(&login(&pki, &[&client(&pki, "a").await]).await, UNKNOWN);
    // The same but for one bit of the signature: serial number, names and key are the same.
    let mut forged = leaf.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_refused(&login(&pki, &[&forged]).await, UNKNOWN);
    pki.server.clock.advance_secs(24 * 3600 + 1);
    assert_refused(&login(&pki, &[&leaf]).await, EXPIRED);
}

#[tokio::test]
async fn constraints_have_to_match() {
    let pki = pki().await;
    pki.ok(
        "roles/full",
        json!({
            "allow_any_name": true, "key_type": "ec", "ou": ["eng", "ops"],
            "allowed_uri_sans": "*", "enforce_hostnames": false,
        }),
    )
    .await;
    let request = json!({
        "common_name": "client.example.com", "alt_names": "me@example.com,other.example.com",
        "uri_sans": "spiffe://x/y",
    });
    let leaf = der(&pki.ok("issue/full", request).await["certificate"]);
    for (constraint, allowed) in [
        (json!({"allowed_names": "client.*"}), true),
        (json!({"allowed_names": "me@*"}), true),
        (json!({"allowed_names": "foo"}), false),
        (json!({"allowed_names": ["foo", "other.example.com"]}), true),
        (json!({"allowed_common_names": "client.example.com"}), true),
        (json!({"allowed_common_names": "CLIENT.example.com"}), false),
        (json!({"allowed_dns_sans": "other*"}), true),
        (json!({"allowed_dns_sans": "me@example.com"}), false),
        (json!({"allowed_email_sans": "me@example.com"}), true),
        (json!({"allowed_email_sans": "you@example.com"}), false),
        (json!({"allowed_uri_sans": "spiffe://x/*"}), true),
        (json!({"allowed_uri_sans": "spiffe://z/*"}), false),
        (json!({"allowed_organizational_units": "eng"}), true),
        (json!({"allowed_organizational_units": "e"}), false),
        // The extension for the use of the key, in hexadecimal.
        (json!({"required_extensions": "hex:2.5.29.37:30*"}), true),
        (json!({"required_extensions": "hex:2.5.29.37:31*"}), false),
        (json!({"required_extensions": "1.2.3.4:*"}), false),
        (json!({"required_extensions": "bogus"}), false),
        (
            json!({"allowed_names": "client.*", "allowed_uri_sans": "no"}),
            false,
        ),
    ] {
        pki.server.delete(ROOT, "auth/cert/certs/web").await;
        let mut data = constraint.clone();
        data["certificate"] = pki.root.clone().into();
        trust(&pki, "web", data).await;
        let answer = login(&pki, &[&leaf]).await;
        if allowed {
            assert_eq!(answer.0, 200, "{constraint} {answer:?}");
        } else {
            assert_refused(&answer, NO_CHAIN);
        }
    }
}

#[tokio::test]
async fn of_several_roles_the_one_that_fits_is_found() {
    let pki = pki().await;
    for (name, allowed) in [("a", "no"), ("b", "client"), ("c", "*")] {
        let data = json!({
            "certificate": pki.root, "allowed_common_names": allowed, "token_policies": name,
        });
        trust(&pki, name, data).await;
    }
    let leaf = client(&pki, "client").await;
    let (_, body) = login(&pki, &[&leaf]).await;
    assert_eq!(body["auth"]["metadata"]["cert_name"], "b");
    let (_, body) = login_as(&pki, "c", &[&leaf]).await;
    assert_eq!(body["auth"]["policies"], json!(["c", "default"]));
    assert_refused(&login_as(&pki, "a", &[&leaf]).await, NO_CHAIN);
}

#[tokio::test]
async fn revoked_certificates_stay_out_also_after_a_restart() {
    let pki = trusting().await;
    let issued = pki.issue("a").await;
    let (leaf, other) = (der(&issued["certificate"]), client(&pki, "b").await);
    pki.revoke(issued["serial_number"].as_str().unwrap()).await;
    assert_eq!(
        login(&pki, &[&leaf]).await.0,
        200,
        "nobody said so here yet"
    );
    give_crl(&pki).await;
    assert_refused(&login(&pki, &[&leaf]).await, NO_CHAIN);
    assert_eq!(login(&pki, &[&other]).await.0, 200);
    pki.server.restart().await;
    assert_refused(&login(&pki, &[&leaf]).await, NO_CHAIN);
    trust(&pki, "pin", json!({"certificate": issued["certificate"]})).await;
    assert_refused(&login_as(&pki, "pin", &[&leaf]).await, NO_CHAIN);

    let (_, body) = pki.server.read(ROOT, "auth/cert/crls/root").await;
    assert_eq!(body["data"]["serials"].as_object().unwrap().len(), 1);
    let (_, body) = pki.server.list(ROOT, "auth/cert/crls").await;
    assert_eq!(body["data"]["keys"], json!(["root"]));
    assert_eq!(pki.server.delete(ROOT, "auth/cert/crls/root").await.0, 204);
    assert_eq!(login(&pki, &[&leaf]).await.0, 200);
    assert_refused(
        &pki.server.read(ROOT, "auth/cert/crls/root").await,
        "no such CRL root",
    );
    assert_refused(
        &pki.server.delete(ROOT, "auth/cert/crls/root").await,
        "no such CRL root",
    );
    for data in [json!({}), json!({"crl": "x"})] {
        assert_eq!(
            pki.server.write(ROOT, "auth/cert/crls/x", data).await.0,
            400
        );
    }
}

#[tokio::test]
async fn a_token_is_renewed_only_with_the_certificate_it_was_made_with() {
    let pki = trusting().await;
    let (leaf, other) = (client(&pki, "a").await, client(&pki, "a").await);
    let (_, body) = login(&pki, &[&leaf]).await;
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let renew = async |certificates: &[&[u8]]| {
        let call = over(&token, "auth/token/renew-self", json!({}), certificates);
        pki.server.call(call).await
    };
    assert_eq!(renew(&[&leaf]).await.0, 200);
    assert_refused(&renew(&[]).await, "no client certificate found");
    let text = "client identity during renewal not matching client identity used during login";
    assert_refused(&renew(&[&other]).await, text);
    let config = json!({"disable_binding": true});
    assert_eq!(
        pki.server
            .write(ROOT, "auth/cert/config", config.clone())
            .await
            .0,
        204
    );
    let (_, body) = pki.server.read(ROOT, "auth/cert/config").await;
    assert_eq!(body["data"]["disable_binding"], true);
    assert_eq!(renew(&[]).await.0, 200);
    trust(&pki, "web", json!({"token_policies": "q"})).await;
    let text = "failed to renew entry: policies have changed, not renewing";
    assert_refused(&renew(&[&leaf]).await, text);
    pki.server.delete(ROOT, "auth/cert/certs/web").await;
    let text = "failed to renew entry: certificate role no longer exists";
    assert_refused(&renew(&[&leaf]).await, text);
}

#[tokio::test]
async fn roles_are_written_read_and_listed() {
    let pki = trusting().await;
    for certificate in [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        let data = json!({ "certificate": certificate });
        let answer = pki.server.write(ROOT, "auth/cert/certs/new", data).await;
        assert_refused(&answer, "failed to parse certificate");
    }
    let answer = pki
        .server
        .write(ROOT, "auth/cert/certs/new", json!({}))
        .await;
    assert_refused(&answer, "failed to parse certificate");
    trust(
        &pki,
        "web",
        json!({"ttl": "1h", "display_name": "shown", "allowed_names": "a,b"}),
    )
    .await;
    let (_, body) = pki.server.read(ROOT, "auth/cert/certs/web").await;
    let data = &body["data"];
    assert_eq!(data["certificate"], pki.root);
    assert_eq!(
        (&data["ttl"], &data["token_ttl"]),
        (&json!(3600), &json!(3600))
    );
    assert_eq!(data["display_name"], "shown");
    assert_eq!(data["allowed_names"], json!(["a", "b"]));
    assert_eq!(data["allowed_dns_sans"], Value::Null);
    let short = json!({"ttl": "2h", "token_max_ttl": "1h"});
    let answer = pki.server.write(ROOT, "auth/cert/certs/web", short).await;
    assert_refused(&answer, "ttl should be shorter than max_ttl");
    let (_, body) = pki.server.list(ROOT, "auth/cert/certs").await;
    assert_eq!(body["data"]["keys"], json!(["web"]));
    trust(&pki, "web", json!({"display_name": ""})).await;
    let (_, body) = pki.server.read(ROOT, "auth/cert/certs/web").await;
    assert_eq!(body["data"]["display_name"], "web");
}

#[tokio::test]
async fn a_login_from_a_forbidden_address_gets_nothing() {
    let pki = trusting().await;
    trust(&pki, "web", json!({"token_bound_cidrs": "10.0.0.0/8"})).await;
    let answer = login(&pki, &[&client(&pki, "a").await]).await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
}

#[tokio::test]
async fn a_role_may_ask_for_more_time_than_the_mount_gives_and_is_warned() {
    let pki = pki().await;
    let long = json!({
        "certificate": pki.root, "lease": 35_000_000, "token_max_ttl": 36_000_000,
        "period": 35_500_000,
    });
    let (status, body) = pki.server.write(ROOT, "auth/cert/certs/web", long).await;
    assert_eq!(status, 200, "{body}");
    let default = "current mount/system default of 2764800 seconds";
    assert_eq!(
        body["warnings"],
        json!([
            format!("Given ttl of 35000000 seconds is greater than {default}"),
            format!("Given max_ttl of 36000000 seconds is greater than {default}"),
            "Given period of 35500000 seconds is greater than the backend's maximum TTL of 2764800 \
             seconds",
        ])
    );
}
