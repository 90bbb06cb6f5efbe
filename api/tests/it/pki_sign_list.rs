//! `resign-crls` and `sign-revocation-list`.

use serde_json::{Value, json};
use signet_pki::cert::Certificate;
use signet_pki::crl::Crl;

use crate::pki_fixture::{Files, NOW, Pki, serials, text};

const RESIGN: &str = "issuer/root/resign-crls";
const SIGN: &str = "issuer/root/sign-revocation-list";

fn parsed(data: &Value) -> Crl {
    let pem = text(&data["crl"]);
    let (block, _) = signet_pki::pem::next_block(&pem).unwrap();
    Crl::parse_der(&block.der).unwrap()
}

fn entry(serial: &str, time: &str) -> Value {
    json!({"serial_number": serial, "revocation_time": time})
}

#[tokio::test]
async fn lists_of_an_issuer_are_merged_and_the_oldest_time_counts() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.x").await;
    pki.revoke(&serial).await;
    let own = text(&pki.ok_read("issuer/root/crl").await["crl"]);
    let list = |time: &'static str| pki.ok(SIGN, json!({"revoked_certs": [entry("11:22", time)]}));
    let older = text(&list("2025-01-01T00:00:00Z").await["crl"]);
    let newer = text(&list("2026-01-01T00:00:00Z").await["crl"]);
    let request = json!({"crls": [own, newer, older], "crl_number": 77, "next_update": "1h"});
    let (status, body) = pki.write(RESIGN, request).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["warnings"],
        json!([
            "Duplicate serial 11:22 with different revocation times detected, using oldest \
             revocation time"
        ])
    );
    let crl = parsed(&body["data"]);
    let root = Certificate::parse_pem(&pki.root).unwrap();
    assert_eq!(crl.verify_signature(root.public_key()), Ok(()));
    assert_eq!((crl.number(), crl.delta_base()), (Some(77), None));
    assert_eq!(crl.next_update.unwrap().0, NOW + 3600);
    assert_eq!(serials(&crl), [serial, "11:22".into()]);
    let old = crl
        .revoked
        .iter()
        .find(|it| it.serial.as_bytes() == [0x11, 0x22]);
    assert_eq!(old.unwrap().revoked_at.0, 1_735_689_600);
    assert_ne!(pki.crl().await.number(), Some(77), "nothing is published");
}

#[tokio::test]
async fn openssl_reads_what_was_given() {
    let pki = Pki::start().await;
    let reason = json!({"id": "2.5.29.21", "value": "CgEB"});
    let data = pki
        .ok(
            SIGN,
            json!({
                "crl_number": 9, "delta_crl_base_number": 8, "format": "der",
                "revoked_certs": [{"serial_number": "0a0b", "revocation_time": 1_700_000_000,
                                   "extensions": [reason]}],
                "extensions": [{"id": "1.2.3.4", "critical": "true", "value": "BQA="}],
            }),
        )
        .await;
    let files = Files::new();
    files.write("crl.b64", text(&data["crl"]));
    files.write("root.pem", &pki.root);
    files.openssl("base64 -d -A -in crl.b64 -out crl.der");
    let shown = files.openssl("crl -inform DER -in crl.der -CAfile root.pem -noout -text");
    for part in [
        "verify OK",
        "Delta CRL Indicator: critical",
        "1.2.3.4: critical",
        "Serial Number: 0A0B",
        "Revocation Date: Nov 14 22:13:20 2023 GMT",
        "Key Compromise",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_merged_is_refused() {
    let pki = Pki::start().await;
    let own = text(&pki.ok_read("issuer/root/crl").await["crl"]);
    let other = Pki::start().await;
    let foreign = text(&other.ok_read("issuer/root/crl").await["crl"]);
    let one_block = "failed decoding crl 0: invalid crl; should be one PEM block only";
    for (request, expected) in [
        (
            json!({"crls": [foreign]}),
            "CRL index: 0 was not signed by requested issuer",
        ),
        (json!({"crls": [format!("{own}{own}")]}), one_block),
        (json!({"crls": ["x"]}), one_block),
        (
            json!({"crls": [pki.root]}),
            "failed decoding crl 0: malformed DER: ",
        ),
        (
            json!({"crl_number": -1}),
            "crl_number parameter must be 0 or greater",
        ),
        (
            json!({"delta_crl_base_number": -2}),
            "delta_crl_base_number parameter must be -1 or greater",
        ),
        (
            json!({"next_update": "-1s"}),
            "next_update parameter must be greater than 0",
        ),
        (
            json!({"next_update": "foo"}),
            "invalid value for next_update: time: invalid duration \"foo\"",
        ),
        (
            json!({"format": "pem_bundle"}),
            "unknown format value of pem_bundle",
        ),
    ] {
        let (status, found) = pki.refused(RESIGN, request).await;
        assert_eq!(status, 400);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[tokio::test]
async fn entries_and_extensions_are_refused_with_the_texts_clients_know() {
    let pki = Pki::start().await;
    let certs = |entries: Value| json!({ "revoked_certs": entries });
    let extension = |fields: Value| json!({ "extensions": [fields] });
    let with = |extensions: Value| {
        let mut entry = entry("11", "2026-01-01T00:00:00Z");
        entry["extensions"] = extensions;
        certs(json!([entry]))
    };
    let of_entry = "failed parsing extensions from entry 0: ";
    for (request, expected) in [
        (
            certs(json!("x")),
            "revoked certificate entry 0 not a map".to_owned(),
        ),
        (
            certs(json!([{}])),
            "failed parsing serial_number from entry 0: missing 'serial_number' field".into(),
        ),
        (
            certs(json!([entry("zz", "")])),
            "failed parsing serial_number from entry 0: 'serial_number' failed converting to \
             bytes: encoding/hex: invalid byte: U+007A 'z'"
                .into(),
        ),
        (
            certs(json!([{"serial_number": 1}])),
            "failed parsing serial_number from entry 0: 'serial_number' failed converting to \
             bytes: encoding/hex: odd length hex string"
                .into(),
        ),
        (
            certs(json!([{"serial_number": "11"}])),
            "failed parsing revocation_time from entry 0: missing 'revocation_time' field".into(),
        ),
        (
            certs(json!([entry("11", "x")])),
            "failed parsing revocation_time from entry 0: failed parsing time x: could not parse \
             string as date and time"
                .into(),
        ),
        (
            certs(json!([entry("11", "1"), entry("00:11", "1")])),
            "duplicate serial number: 11".into(),
        ),
        (
            with(json!("x")),
            format!("{of_entry}'extensions' field did not contain a slice"),
        ),
        (
            with(json!([{"id": "1.2.3", "value": ""}, {"id": "1.2.3", "value": ""}])),
            format!("{of_entry}duplicate extension id: 1.2.3"),
        ),
        (
            json!({"extensions": "x"}),
            "extension entry 0 not a map".into(),
        ),
        (
            extension(json!({"id": "2.5.29.20", "value": "AA=="})),
            "failed parsing extension entry 0: crl number object identifier (2.5.29.20) is \
             reserved"
                .into(),
        ),
        (
            extension(json!({"id": "2.5.29.35", "value": "AA=="})),
            "failed parsing extension entry 0: authority key object identifier (2.5.29.35) is \
             reserved"
                .into(),
        ),
        (
            extension(json!({"id": "2.5.29.27", "value": "AA=="})),
            "failed parsing extension entry 0: delta crl object identifier (2.5.29.27) is reserved"
                .into(),
        ),
        (
            extension(json!({"id": "x", "value": "AA=="})),
            "failed parsing extension entry 0: failed parsing asn1 index element 0 value x: \
             strconv.Atoi: parsing \"x\": invalid syntax"
                .into(),
        ),
        (
            extension(json!({"id": 5, "value": "AA=="})),
            "failed parsing extension entry 0: invalid object identifier: 5".into(),
        ),
        (
            extension(json!({"id": "1.2.3", "value": "!!"})),
            "failed parsing extension entry 0: failed base64 decoding 'value' field: illegal \
             base64 data at input byte 0"
                .into(),
        ),
        (
            extension(json!({"id": "1.2.3"})),
            "failed parsing extension entry 0: missing 'value' field".into(),
        ),
        (
            extension(json!({"value": "AA=="})),
            "failed parsing extension entry 0: missing id field".into(),
        ),
        (
            extension(json!({"id": "1.2.3", "critical": "x", "value": "AA=="})),
            "failed parsing extension entry 0: critical field value failed to be parsed: cannot \
             parse '' as bool: strconv.ParseBool: parsing \"x\": invalid syntax"
                .into(),
        ),
    ] {
        assert_eq!(
            pki.refused(SIGN, request.clone()).await,
            (400, expected),
            "{request}"
        );
    }
}

#[tokio::test]
async fn only_an_issuer_that_may_signs_lists() {
    let pki = Pki::start().await;
    for (issuer, usage, expected) in [
        (
            "nope",
            "crl-signing",
            "failed to resolve issuer issuer_ref: unable to find PKI issuer for reference: nope",
        ),
        (
            "root",
            "issuing-certificates",
            "requested usage crl-signing for issuer [id:",
        ),
    ] {
        pki.ok(
            "issuer/root",
            json!({"issuer_name": "root", "usage": usage}),
        )
        .await;
        for path in ["resign-crls", "sign-revocation-list"] {
            let path = format!("issuer/{issuer}/{path}");
            let (status, found) = pki.refused(&path, json!({})).await;
            assert_eq!(status, 400);
            assert!(found.contains(expected), "{found}");
        }
    }
}
