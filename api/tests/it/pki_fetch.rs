//! Reading certificates: content types, newlines, nothing to read, lists in pages.

use serde_json::{Value, json};
use signet_api::call::Op;
use signet_pki::cert::Certificate;

use crate::pki_fixture::{NOW, Pki, header, text};
use crate::support::{ROOT, call, error};

const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";

#[tokio::test]
async fn serves_the_default_issuer_to_everybody() {
    let pki = Pki::start().await;
    let der = Certificate::parse_pem(&pki.root).unwrap().into_der();
    for (path, content_type, body) in [
        ("ca", DER, der.as_slice()),
        ("cert/ca/raw", DER, &der),
        ("ca/pem", PEM, pki.root.as_bytes()),
        ("cert/ca/raw/pem", PEM, pki.root.as_bytes()),
        ("ca_chain", DER, pki.root.as_bytes()),
    ] {
        let response = pki.fetch(path).await;
        assert_eq!(
            (response.status, response.content_type, &response.body[..]),
            (200, content_type, body),
            "{path}"
        );
    }
    assert!(!pki.root.ends_with('\n'));
    let answer = |path: &'static str| async { pki.server.read("", path).await.1["data"].clone() };
    assert_eq!(
        answer("pki/cert/ca").await,
        json!({"certificate": pki.root, "revocation_time": 0, "revocation_time_rfc3339": ""})
    );
    assert_eq!(
        answer("pki/cert/ca_chain").await,
        json!({
            "certificate": pki.root, "ca_chain": pki.root,
            "revocation_time": 0, "revocation_time_rfc3339": "",
        })
    );
}

#[tokio::test]
async fn an_empty_mount_answers_204_and_keeps_the_content_type() {
    let pki = Pki::empty().await;
    for (path, content_type) in [
        ("ca", DER),
        ("ca/pem", PEM),
        ("ca_chain", DER),
        ("cert/ca/raw", DER),
        ("cert/ca/raw/pem", PEM),
        ("cert/3a:01/raw", DER),
        ("cert/3a:01/raw/pem", PEM),
        ("crl", "application/pkix-crl"),
        ("crl/delta", "application/pkix-crl"),
        ("crl/pem", "application/x-pem-file"),
        ("crl/delta/pem", "application/x-pem-file"),
    ] {
        let response = pki.fetch(path).await;
        assert_eq!(
            (response.status, response.content_type, response.body.len()),
            (204, content_type, 0),
            "{path}"
        );
    }
    for path in ["cert/ca", "cert/ca_chain", "cert/crl", "cert/delta-crl"] {
        let answer = pki.read(path).await;
        let text = "no default issuer currently configured";
        assert_eq!((answer.0, error(&answer)), (400, text), "{path}");
    }
}

#[tokio::test]
async fn finds_a_certificate_under_every_spelling_of_its_serial_number() {
    let pki = Pki::start().await;
    let leaf = pki.issue("a.example.com").await;
    let serial = text(&leaf["serial_number"]);
    let hyphens = serial.replace(':', "-");
    for spelling in [&serial, &hyphens, &serial.to_uppercase()] {
        let (status, body) = pki.server.read("", &format!("pki/cert/{spelling}")).await;
        assert_eq!(status, 200);
        assert_eq!(
            body["data"],
            json!({
                "certificate": leaf["certificate"],
                "revocation_time": 0, "revocation_time_rfc3339": "",
            })
        );
    }
    let raw = pki.fetch(&format!("cert/{serial}/raw")).await;
    let parsed = Certificate::parse_der(raw.body.to_vec()).unwrap();
    assert_eq!(parsed.serial().to_colon_hex(), serial);
    let pem = pki.fetch(&format!("cert/{hyphens}/raw/pem")).await;
    assert_eq!(pem.body, text(&leaf["certificate"]));
    assert_eq!((raw.content_type, pem.content_type), (DER, PEM));
}

#[tokio::test]
async fn unknown_serial_numbers_are_not_found() {
    let pki = Pki::start().await;
    let long = vec!["ab"; 90].join(":");
    for serial in ["00:11", "-", ":", "abc", "1234", &long] {
        let answer = pki.read(&format!("cert/{serial}")).await;
        assert_eq!(answer, (404, json!({"errors": []})), "{serial}");
        let raw = pki.fetch(&format!("cert/{serial}/raw")).await;
        assert_eq!(raw.status, 204, "{serial}");
    }
    for path in ["cert/zz", "cert/ca/nope"] {
        let answer = pki.read(path).await;
        assert_eq!((answer.0, error(&answer)), (404, "unsupported path"));
        let answer = pki.server.read("", &format!("pki/{path}")).await;
        assert_eq!((answer.0, error(&answer)), (404, "unsupported path"));
    }
}

#[tokio::test]
async fn whoever_has_no_token_learns_nothing_of_lists_beside_public_paths() {
    let pki = Pki::start().await;
    for (token, status) in [("", 403), (ROOT, 405)] {
        let (listed, _) = pki.server.list(token, "pki/ca").await;
        let (read, _) = pki.server.read(token, "pki/issuers").await;
        assert_eq!((listed, read), (status, status));
    }
}

#[tokio::test]
async fn a_revoked_certificate_tells_when_and_by_whom() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.example.com").await;
    pki.revoke(&serial).await;
    let data = pki.read(&format!("cert/{serial}")).await.1["data"].clone();
    assert_eq!(data["revocation_time"], NOW);
    assert_eq!(data["revocation_time_rfc3339"], "2027-01-15T08:00:00Z");
    assert_eq!(data["issuer_id"], pki.root_id);
}

#[tokio::test]
async fn lists_certificates_in_pages() {
    let pki = Pki::start().await;
    let root = Certificate::parse_pem(&pki.root).unwrap();
    let mut serials = vec![root.serial().to_colon_hex()];
    for n in 0..6 {
        serials.push(pki.serial(&format!("{n}.example.com")).await);
    }
    serials.sort();
    for path in ["pki/certs", "pki/certs/"] {
        let list = call(Op::List, path, ROOT, Value::Null);
        let (_, body) = pki.server.call(list).await;
        assert_eq!(body["data"]["keys"], json!(serials));
    }
    let page = |data: Value| async {
        let answer = pki
            .server
            .call(call(Op::List, "pki/certs/", ROOT, data))
            .await;
        (answer.0, answer.1["data"]["keys"].clone())
    };
    assert_eq!(page(json!({"limit": 2})).await.1, json!(serials[..2]));
    let after = &serials[1];
    assert_eq!(
        page(json!({"after": after, "limit": "3"})).await.1,
        json!(serials[2..5])
    );
    let hyphens = after.replace(':', "-").to_uppercase();
    assert_eq!(page(json!({"after": hyphens})).await.1, json!(serials[2..]));
    assert_eq!(page(json!({"after": serials[6]})).await.0, 404);
    assert_eq!(page(json!({"limit": "x"})).await.0, 400);
    let answer = pki.read("certs").await;
    assert_eq!(answer.0, 405);
}

#[tokio::test]
async fn lists_exactly_the_revoked_ones() {
    let pki = Pki::start().await;
    assert_eq!(
        pki.server.list(ROOT, "pki/certs/revoked").await,
        (404, json!({"errors": []}))
    );
    let serial = pki.serial("a.example.com").await;
    pki.serial("b.example.com").await;
    pki.revoke(&serial).await;
    let (_, body) = pki.server.list(ROOT, "pki/certs/revoked").await;
    assert_eq!(body["data"], json!({"keys": [serial]}));
}

#[tokio::test]
async fn the_detailed_list_tells_what_certificates_say() {
    let pki = Pki::start().await;
    let names = "b.x,c.x,d.x,e.x,f.x";
    let leaf = pki
        .ok(
            "issue/web",
            json!({"common_name": "a.x", "alt_names": names, "ttl": "1h"}),
        )
        .await;
    let serial = text(&leaf["serial_number"]);
    let (_, body) = pki.server.list(ROOT, "pki/certs/detailed").await;
    assert_eq!(body["data"]["keys"].as_array().unwrap().len(), 2);
    assert_eq!(
        body["data"]["key_info"][&serial],
        json!({
            "common_name": "a.x", "issuer": "CN=Root", "key_type": "ec", "key_bits": 256,
            "not_before": "2027-01-15T07:59:30Z", "not_after": "2027-01-15T09:00:00Z",
            "dns_names": ["a.x", "b.x", "c.x", "d.x", "e.x"],
        })
    );
}

#[tokio::test]
async fn lists_need_a_token() {
    let pki = Pki::start().await;
    for path in [
        "pki/certs",
        "pki/certs/revoked",
        "pki/certs/detailed",
        "pki/roles",
    ] {
        let answer = pki.server.list("", path).await;
        assert_eq!(
            (answer.0, error(&answer)),
            (403, "permission denied"),
            "{path}"
        );
    }
    for path in [
        "issue/web",
        "sign/web",
        "sign-verbatim",
        "revoke",
        "revoke-with-key",
        "tidy",
        "tidy-cancel",
        "config/crl",
        "config/auto-tidy",
    ] {
        let answer = pki
            .server
            .write("", &format!("pki/{path}"), json!({}))
            .await;
        assert_eq!(
            (answer.0, error(&answer)),
            (403, "permission denied"),
            "{path}"
        );
    }
    for path in [
        "crl/rotate",
        "crl/rotate-delta",
        "tidy-status",
        "config/crl",
        "config/auto-tidy",
    ] {
        let answer = pki.server.read("", &format!("pki/{path}")).await;
        assert_eq!(
            (answer.0, error(&answer)),
            (403, "permission denied"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn open_endpoints_take_no_writes() {
    let pki = Pki::start().await;
    for path in [
        "ca",
        "ca/pem",
        "ca_chain",
        "cert/ca",
        "crl",
        "crl/pem",
        "cert/crl",
        "cert/3a:01",
    ] {
        for op in [Op::Write, Op::Delete] {
            let path = format!("pki/{path}");
            let answer = pki.server.call(call(op, &path, "", Value::Null)).await;
            assert_eq!(
                (answer.0, error(&answer)),
                (405, "unsupported operation"),
                "{path}"
            );
        }
    }
    assert_eq!(pki.write("crl/rotate", json!({})).await.0, 405);
}

#[tokio::test]
async fn a_client_that_is_up_to_date_gets_304() {
    let pki = Pki::start().await;
    for path in [
        "ca",
        "ca/pem",
        "cert/ca",
        "crl",
        "crl/pem",
        "cert/crl",
        "crl/delta",
        "issuer/root/crl/der",
    ] {
        let first = pki.fetch(path).await;
        assert_eq!(first.status, 200);
        let date = header(&first, "Last-Modified").unwrap().to_owned();
        let again = pki.fetch_with(path, &[("if-modified-since", &date)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(header(&again, "Last-Modified"), Some(date.as_str()));
        for old in ["Fri, 15 Jan 2027 07:59:59 GMT", "not a date"] {
            let fresh = pki.fetch_with(path, &[("if-modified-since", old)]).await;
            assert_eq!(fresh.status, 200, "{path} {old}");
        }
    }
}

#[tokio::test]
async fn a_revocation_in_the_same_second_is_not_missed_by_conditional_requests() {
    let pki = Pki::start().await;
    let date = header(&pki.fetch("crl").await, "Last-Modified")
        .unwrap()
        .to_owned();
    pki.revoke(&pki.serial("a.example.com").await).await;
    for path in ["crl", "crl/pem", "cert/crl"] {
        let response = pki.fetch_with(path, &[("if-modified-since", &date)]).await;
        assert_eq!(response.status, 200, "{path}");
    }
}
