//! OCSP, judged by the `openssl` command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use signet_api::reply::Response;

use crate::pki_fixture::{Files, NOW, Pki, header, text};

const TYPE: &str = "application/ocsp-response";
const MALFORMED: &[u8] = &[0x30, 3, 0x0a, 1, 1];
const INTERNAL: &[u8] = &[0x30, 3, 0x0a, 1, 2];
const UNAUTHORIZED: &[u8] = &[0x30, 3, 0x0a, 1, 6];

/// Root and leaf for `openssl`, and the request that asks about the leaf.
struct Case {
    files: Files,
    serial: String,
}

impl Case {
    async fn new(pki: &Pki) -> Self {
        let leaf = pki.issue("a.x").await;
        let files = Files::new();
        files.write("root.pem", &pki.root);
        files.write("leaf.pem", text(&leaf["certificate"]));
        let serial = text(&leaf["serial_number"]);
        Self { files, serial }
    }

    fn request(&self, options: &str) -> Vec<u8> {
        self.files.openssl(&format!(
            "ocsp {options} -issuer root.pem -cert leaf.pem -reqout request.der"
        ));
        self.files.read("request.der")
    }

    fn plain(&self) -> Vec<u8> {
        self.request("-no_nonce")
    }

    /// What `openssl` says of the response to the last request.
    fn judge(&self, response: &Response) -> String {
        assert_eq!((response.status, response.content_type), (200, TYPE));
        self.files.write("response.der", &response.body);
        let text = self.files.openssl(&format!(
            "ocsp -reqin request.der -respin response.der -resp_text -verify_other root.pem \
             -CAfile root.pem -attime {NOW} -no_check_time"
        ));
        assert!(text.contains("Response verify OK"), "{text}");
        text
    }
}

fn status(response: &Response) -> (u16, &[u8]) {
    assert_eq!(response.content_type, TYPE);
    (response.status, &response.body)
}

#[tokio::test]
async fn tells_good_and_revoked_by_post_and_get() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    for digest in ["sha1", "sha256", "sha384", "sha512"] {
        let request = case.request(&format!("-no_nonce -{digest}"));
        let posted = case.judge(&pki.ocsp(&request).await);
        assert!(posted.contains("Cert Status: good"), "{posted}");
        assert!(
            posted.contains("Produced At: Jan 15 08:00:00 2027 GMT"),
            "{posted}"
        );
        assert!(
            posted.contains("Next Update: Jan 15 20:00:00 2027 GMT"),
            "{posted}"
        );
        let path = format!("ocsp/{}", STANDARD.encode(&request));
        assert!(
            case.judge(&pki.fetch(&path).await)
                .contains("Cert Status: good")
        );
    }
    pki.server.clock.advance_secs(90);
    pki.revoke(&case.serial).await;
    for digest in ["sha1", "sha256"] {
        let request = case.request(&format!("-no_nonce -{digest}"));
        let shown = case.judge(&pki.ocsp(&request).await);
        assert!(shown.contains("Cert Status: revoked"), "{shown}");
        assert!(
            shown.contains("Revocation Time: Jan 15 08:01:30 2027 GMT"),
            "{shown}"
        );
        assert!(
            shown.contains("Produced At: Jan 15 08:01:00 2027 GMT"),
            "{shown}"
        );
        let path = format!("ocsp/{}", STANDARD.encode(&request).trim_end_matches('='));
        assert!(
            case.judge(&pki.fetch(&path).await)
                .contains("Cert Status: revoked")
        );
    }
}

#[tokio::test]
async fn repeats_the_nonce() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.request("-nonce");
    let shown = case.judge(&pki.ocsp(&request).await);
    assert!(
        shown.contains("OCSP Nonce") && !shown.contains("WARNING"),
        "{shown}"
    );
}

#[tokio::test]
async fn answers_about_several_certificates_at_once() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let other = pki.issue("b.x").await;
    case.files.write("other.pem", text(&other["certificate"]));
    pki.revoke(&text(&other["serial_number"])).await;
    let request = case.request("-no_nonce -issuer root.pem -cert other.pem");
    let shown = case.judge(&pki.ocsp(&request).await);
    assert!(
        shown.contains("leaf.pem: good") || shown.contains("Cert Status: good"),
        "{shown}"
    );
    assert!(shown.contains("Cert Status: revoked"), "{shown}");
    assert_eq!(shown.matches("Certificate ID:").count(), 2, "{shown}");
}

#[tokio::test]
async fn serial_numbers_that_were_never_stored_are_good() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    case.files
        .openssl("ocsp -no_nonce -issuer root.pem -serial 0x0123456789 -reqout request.der");
    let request = case.files.read("request.der");
    assert!(
        case.judge(&pki.ocsp(&request).await)
            .contains("Cert Status: good")
    );
}

#[tokio::test]
async fn the_default_issuer_knows_nothing_of_other_authorities() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    case.files
        .openssl("ecparam -name prime256v1 -genkey -noout -out x.key");
    case.files
        .openssl("req -x509 -new -key x.key -subj /CN=Stranger -days 10 -out stranger.pem");
    case.files
        .openssl("ocsp -no_nonce -issuer stranger.pem -cert leaf.pem -reqout request.der");
    let request = case.files.read("request.der");
    let response = pki.ocsp(&request).await;
    assert_eq!(response.status, 200);
    case.files.write("response.der", &response.body);
    let shown = case
        .files
        .openssl("ocsp -respin response.der -resp_text -noverify");
    assert!(shown.contains("Cert Status: unknown"), "{shown}");
    let named = shown.replace("CN=", "CN = ");
    assert!(named.contains("Responder Id: CN = Root"), "{shown}");
    let empty = Pki::empty().await;
    assert_eq!(status(&empty.ocsp(&request).await), (401, UNAUTHORIZED));
}

#[tokio::test]
async fn what_is_no_request_is_malformed() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let good = case.plain();
    let long = vec![0x30; 2048];
    let mut cut = Vec::new();
    for end in 0..good.len() {
        cut.push(good[..end].to_vec());
    }
    cut.extend([
        long,
        b"hello".to_vec(),
        vec![0x30, 0],
        [&good[..], &[0]].concat(),
    ]);
    for request in cut {
        let posted = pki.ocsp(&request).await;
        assert_eq!(status(&posted), (400, MALFORMED), "{request:02x?}");
        if !request.is_empty() {
            let path = format!("ocsp/{}", STANDARD.encode(&request));
            // Empty segments do not reach the server.
            if !path.contains("//") {
                assert_eq!(status(&pki.fetch(&path).await), (400, MALFORMED));
            }
        }
    }
    for path in ["ocsp/!!!".to_owned(), format!("ocsp/{}", "A".repeat(5000))] {
        assert_eq!(status(&pki.fetch(&path).await), (400, MALFORMED));
    }
    assert_eq!(pki.fetch("ocsp").await.status, 405);
}

#[tokio::test]
async fn a_nonce_longer_than_the_rfc_allows_is_refused() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.plain();
    // The plain request with an extension [2] behind its list.
    let with_nonce = |length: usize| {
        let value = tlv(0x04, &vec![7; length]);
        let oid = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
        let extension = tlv(0x30, &[&oid[..], &tlv(0x04, &value)].concat());
        let extensions = tlv(0xa2, &tlv(0x30, &extension));
        let list = inner(inner(&request));
        tlv(0x30, &tlv(0x30, &[list, &extensions].concat()))
    };
    assert_eq!(pki.ocsp(&with_nonce(128)).await.status, 200);
    for length in [129, 1500] {
        let response = pki.ocsp(&with_nonce(length)).await;
        assert_eq!(status(&response), (400, MALFORMED), "{length}");
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(u8::try_from(length).unwrap()),
        128..256 => out.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

/// The content of a short element.
fn inner(der: &[u8]) -> &[u8] {
    &der[2..]
}

#[tokio::test]
async fn hashes_that_nobody_knows_are_an_internal_error() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.request("-no_nonce -md5");
    assert_eq!(status(&pki.ocsp(&request).await), (500, INTERNAL));
}

#[tokio::test]
async fn a_disabled_responder_is_not_authorized() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.plain();
    assert_eq!(pki.ocsp(&request).await.status, 200);
    pki.ok("config/crl", json!({"ocsp_disable": true})).await;
    assert_eq!(status(&pki.ocsp(&request).await), (401, UNAUTHORIZED));
    pki.ok("config/crl", json!({"ocsp_disable": false})).await;
    assert_eq!(pki.ocsp(&request).await.status, 200);
}

#[tokio::test]
async fn responses_without_an_end_have_no_next_update() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    pki.ok("config/crl", json!({"ocsp_expiry": "0"})).await;
    let request = case.plain();
    let response = pki
        .fetch(&format!("ocsp/{}", STANDARD.encode(&request)))
        .await;
    let shown = case.judge(&response);
    assert!(!shown.contains("Next Update"), "{shown}");
    assert_eq!(header(&response, "Cache-Control"), None);
    pki.ok("config/crl", json!({"ocsp_expiry": "15m"})).await;
    let shown = case.judge(&pki.ocsp(&request).await);
    assert!(
        shown.contains("Next Update: Jan 15 08:15:00 2027 GMT"),
        "{shown}"
    );
}

#[tokio::test]
async fn caches_between_learn_how_long_a_response_holds() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let path = format!("ocsp/{}", STANDARD.encode(case.plain()));
    let response = pki.fetch(&path).await;
    assert_eq!(
        header(&response, "Cache-Control"),
        Some("max-age=3600, public, no-transform, must-revalidate")
    );
    assert_eq!(
        header(&response, "Expires"),
        Some("Fri, 15 Jan 2027 20:00:00 GMT")
    );
    assert_eq!(
        header(&response, "Last-Modified"),
        Some("Fri, 15 Jan 2027 08:00:00 GMT")
    );
    let etag = header(&response, "ETag").unwrap();
    assert_eq!(etag.len(), 66);
    let with_nonce = format!("ocsp/{}", STANDARD.encode(case.request("-nonce")));
    if !with_nonce.contains("//") {
        assert_eq!(header(&pki.fetch(&with_nonce).await, "Cache-Control"), None);
    }
    let posted = pki.ocsp(&case.plain()).await;
    assert_eq!(header(&posted, "Cache-Control"), None);
}

#[tokio::test]
async fn a_signed_response_is_given_out_until_half_of_its_time_is_over() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.plain();
    let first = pki.ocsp(&request).await.body;
    pki.server.clock.advance_secs(6 * 3600 - 1);
    assert_eq!(pki.ocsp(&request).await.body, first);
    pki.server.clock.advance_secs(1);
    assert_ne!(pki.ocsp(&request).await.body, first);
    // Another spelling of the same question has an answer of its own.
    let sha256 = case.request("-no_nonce -sha256");
    assert!(
        case.judge(&pki.ocsp(&sha256).await)
            .contains("Cert Status: good")
    );
}

#[tokio::test]
async fn keys_of_every_kind_answer() {
    for (key_type, bits, pss) in [
        ("rsa", 2048, false),
        ("rsa", 2048, true),
        ("ec", 384, false),
        ("ed25519", 0, false),
    ] {
        let pki = Pki::empty().await;
        let root =
            json!({"common_name": "Root", "key_type": key_type, "key_bits": bits, "use_pss": pss});
        let root = pki.ok("root/generate/internal", root).await;
        pki.ok(
            "roles/web",
            json!({"allow_any_name": true, "key_type": "ec", "ttl": "1h"}),
        )
        .await;
        let pki = Pki {
            root: text(&root["certificate"]),
            ..pki
        };
        let case = Case::new(&pki).await;
        pki.revoke(&case.serial).await;
        let request = case.plain();
        let shown = case.judge(&pki.ocsp(&request).await);
        assert!(
            shown.contains("Cert Status: revoked"),
            "{key_type} {bits}: {shown}"
        );
        assert!(!shown.to_lowercase().contains("pss"), "{shown}");
    }
}

#[tokio::test]
async fn an_intermediate_is_asked_about_at_its_root() {
    let pki = Pki::start().await;
    let csr = pki
        .ok(
            "intermediate/generate/internal",
            json!({"common_name": "Int", "key_type": "ec"}),
        )
        .await;
    let signed = pki
        .ok(
            "root/sign-intermediate",
            json!({"csr": csr["csr"], "common_name": "Int", "ttl": "100h"}),
        )
        .await;
    let files = Files::new();
    files.write("root.pem", &pki.root);
    files.write("leaf.pem", text(&signed["certificate"]));
    let case = Case {
        files,
        serial: text(&signed["serial_number"]),
    };
    let request = case.plain();
    assert!(
        case.judge(&pki.ocsp(&request).await)
            .contains("Cert Status: good")
    );
    pki.revoke(&case.serial).await;
    assert!(
        case.judge(&pki.ocsp(&request).await)
            .contains("Cert Status: revoked")
    );
}

#[tokio::test]
async fn an_issuer_without_the_usage_does_not_answer() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.plain();
    assert_eq!(pki.ocsp(&request).await.status, 200);
    pki.edit_issuer("root", |record| {
        record["usage"]["ocsp_signing"] = json!(false);
    })
    .await;
    assert_eq!(status(&pki.ocsp(&request).await), (401, UNAUTHORIZED));
    // Nor for what it does not know.
    case.files
        .openssl("req -x509 -newkey ed25519 -nodes -subj /CN=X -days 10 -keyout x.key -out x.pem");
    case.files
        .openssl("ocsp -no_nonce -issuer x.pem -cert leaf.pem -reqout request.der");
    let stranger = case.files.read("request.der");
    assert_eq!(status(&pki.ocsp(&stranger).await), (401, UNAUTHORIZED));
    // A twin with the same name and key may.
    let twin = json!({"common_name": "Root", "key_ref": "default", "issuer_name": "twin"});
    pki.ok("root/generate/existing", twin).await;
    let shown = case.judge(&pki.ocsp(&request).await);
    assert!(shown.contains("Cert Status: good"), "{shown}");
}

#[tokio::test]
async fn an_issuer_that_lost_its_key_is_unknown() {
    let pki = Pki::start().await;
    let case = Case::new(&pki).await;
    let request = case.plain();
    let other = json!({"common_name": "Other", "key_type": "ec", "issuer_name": "other"});
    let other = pki.ok("root/generate/internal", other).await;
    pki.edit_record("config/issuers", |record| {
        record["default"] = other["issuer_id"].clone();
    })
    .await;
    pki.edit_issuer("root", |record| record["key_id"] = json!(""))
        .await;
    case.files
        .write("response.der", &pki.ocsp(&request).await.body);
    let shown = case
        .files
        .openssl("ocsp -respin response.der -resp_text -noverify");
    assert!(shown.contains("Cert Status: unknown"), "{shown}");
}

#[tokio::test]
async fn a_revoked_issuer_is_revoked_for_its_parent() {
    let pki = Pki::start().await;
    let serial = pki.intermediate("int").await;
    let files = Files::new();
    files.write("root.pem", &pki.root);
    let certificate = pki.fetch(&format!("cert/{serial}/raw/pem")).await;
    files.write("leaf.pem", &certificate.body);
    let case = Case { files, serial };
    let request = case.plain();
    assert!(
        case.judge(&pki.ocsp(&request).await)
            .contains("Cert Status: good")
    );
    let now = pki.server.node.now().0;
    pki.edit_issuer("int", |record| record["revoked_at"] = json!(now))
        .await;
    assert!(
        case.judge(&pki.ocsp(&request).await)
            .contains("Cert Status: revoked")
    );
}
