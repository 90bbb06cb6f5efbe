//! Issuers: reading, changing, revoking and deleting them.

use serde_json::{Value, json};
use signet_api::call::{Call, Op};

use crate::pki_fixture::{Files, Pki, text};
use crate::support::{Answer, ROOT, call, error};

async fn patch(pki: &Pki, issuer: &str, data: Value) -> Answer {
    let path = format!("pki/issuer/{issuer}");
    pki.server.call(call(Op::Patch, &path, ROOT, data)).await
}

async fn patched(pki: &Pki, issuer: &str, data: Value) -> Value {
    let (status, body) = patch(pki, issuer, data).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// A root whose certificate says nothing of signing CRLs, and its key.
fn foreign_root(name: &str, key_usage: &str) -> (String, String) {
    let files = Files::new();
    files.openssl(&format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -days 90000 \
         -keyout key.pem -out cert.pem {key_usage}"
    ));
    let read = |name| String::from_utf8(files.read(name)).unwrap();
    (read("cert.pem"), read("key.pem"))
}

#[tokio::test]
async fn everybody_may_list_issuers_and_fetch_their_certificates() {
    let pki = Pki::start().await;
    let listed = pki.server.list("", "pki/issuers").await.1;
    let id = pki.root_id.as_str();
    assert_eq!(listed["data"]["keys"], json!([id]));
    let info = &listed["data"]["key_info"][id];
    assert_eq!(info["issuer_name"], "root");
    assert_eq!(info["is_default"], true);
    assert_ne!(info["key_id"], "");

    let pem = pki.fetch("issuer/root/pem").await;
    assert_eq!(pem.content_type, "application/pem-certificate-chain");
    assert_eq!(pem.body, format!("{}\n", pki.root));
    let der = pki.fetch("issuer/DEFAULT/der").await;
    assert_eq!(der.content_type, "application/pkix-cert");
    let json: Value = serde_json::from_slice(&pki.fetch("issuer/root/json").await.body).unwrap();
    let pem = format!("{}\n", pki.root);
    assert_eq!(
        json["data"],
        json!({"issuer_id": id, "issuer_name": "root", "certificate": pem, "ca_chain": [pem]})
    );
    let unknown = pki.fetch("issuer/none/json").await;
    assert_eq!(unknown.status, 500);
    assert_eq!(
        unknown.body,
        "{\"errors\":[\"unable to find PKI issuer for reference: none\"]}\n"
    );
}

#[tokio::test]
async fn lists_of_issuers_come_in_pages() {
    let pki = Pki::start().await;
    let second = pki
        .ok(
            "root/generate/internal",
            json!({"common_name": "Two", "key_type": "ec"}),
        )
        .await;
    let mut ids = [pki.root_id.clone(), text(&second["issuer_id"])];
    ids.sort();
    let page = |data| pki.server.call(call(Op::List, "pki/issuers/", "", data));
    let first = page(json!({"limit": 1})).await.1;
    assert_eq!(first["data"]["keys"], json!([ids[0]]));
    let rest = page(json!({"after": ids[0]})).await.1;
    assert_eq!(rest["data"]["keys"], json!([ids[1]]));
    assert_eq!(page(json!({"after": ids[1]})).await.0, 404);
}

#[tokio::test]
async fn unknown_issuers_are_an_error_that_clients_know() {
    let pki = Pki::start().await;
    let text = "1 error occurred:\n\t* unable to find PKI issuer for reference: none\n\n";
    for answer in [
        pki.read("issuer/none").await,
        pki.write("issuer/none", json!({})).await,
        patch(&pki, "none", json!({})).await,
        pki.write("issuer/none/revoke", json!({})).await,
    ] {
        assert_eq!((answer.0, error(&answer)), (500, text));
    }
    let empty = Pki::empty().await.read("issuer/default").await;
    let text = "1 error occurred:\n\t* no default issuer currently configured\n\n";
    assert_eq!((empty.0, error(&empty)), (500, text));
}

#[tokio::test]
async fn replacing_sets_what_is_left_out_to_its_default() {
    let pki = Pki::start().await;
    let fresh = pki.ok_read("issuer/root").await;
    patched(
        &pki,
        "root",
        json!({
            "leaf_not_after_behavior": "truncate",
            "usage": "read-only",
            "manual_chain": "self",
            "revocation_signature_algorithm": "ECDSAWITHSHA384",
            "ocsp_servers": "http://o/",
            "delta_crl_distribution_points": "http://d/",
            "enable_aia_url_templating": true,
        }),
    )
    .await;
    let replaced = pki.ok("issuer/root", json!({"issuer_name": "root"})).await;
    let mut expected = fresh;
    expected["revocation_signature_algorithm"] = json!("");
    assert_eq!(replaced, expected);
    assert_eq!(pki.ok("issuer/root", json!({})).await["issuer_name"], "");
}

#[tokio::test]
async fn patching_changes_what_is_given_and_nothing_else() {
    let pki = Pki::start().await;
    let before = pki.ok_read("issuer/root").await;
    for (field, value, shown) in [
        ("leaf_not_after_behavior", json!("permit"), json!("permit")),
        (
            "usage",
            json!("ocsp-signing,ocsp-signing"),
            json!("ocsp-signing,read-only"),
        ),
        ("manual_chain", json!("root"), json!([pki.root_id])),
        (
            "revocation_signature_algorithm",
            json!("ecdsawithsha512"),
            json!("ECDSAWithSHA512"),
        ),
        (
            "issuing_certificates",
            json!("http://i/"),
            json!(["http://i/"]),
        ),
        ("issuer_name", json!("other"), json!("other")),
    ] {
        let id = &pki.root_id;
        let body = patched(&pki, id, json!({ field: value })).await;
        assert_eq!(body["data"][field], shown);
    }
    let after = pki.ok_read("issuer/other").await;
    for same in ["issuer_id", "key_id", "certificate", "ca_chain", "revoked"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["usage"], "ocsp-signing,read-only");
    assert_eq!(after["ocsp_servers"], Value::Null);
    assert_eq!(after["enable_aia_url_templating"], false);
    let body = patched(&pki, "other", json!({"issuer_name": ""})).await;
    assert_eq!(body["data"]["issuer_name"], "");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let pki = Pki::start().await;
    pki.ok(
        "root/generate/internal",
        json!({"common_name": "Two", "key_type": "ec", "issuer_name": "taken"}),
    )
    .await;
    for (data, text) in [
        (
            json!({"issuer_name": "DeFault"}),
            "reserved keyword 'default' can not be used as issuer name",
        ),
        (
            json!({"issuer_name": "a b"}),
            "issuer name contained invalid characters",
        ),
        (
            json!({"issuer_name": "taken"}),
            "issuer name already in use",
        ),
        (
            json!({"leaf_not_after_behavior": "x"}),
            "Unknown value for field `leaf_not_after_behavior`. Possible values are `err`, `truncate`, and `permit`.",
        ),
        (
            json!({"usage": "foo,bar"}),
            "Unable to parse specified usages: [foo bar] - valid values are crl-signing,issuing-certificates,ocsp-signing,read-only",
        ),
        (
            json!({"revocation_signature_algorithm": "sha256withrsapss"}),
            "unable to use issuer of type ECDSA to sign with SHA256-RSAPSS key type",
        ),
        (
            json!({"manual_chain": "self,none"}),
            "unable to find PKI issuer for reference: none",
        ),
        (
            json!({"crl_distribution_points": "http://ok/,foo"}),
            "invalid URL found in Authority Information Access (AIA) parameter crl_distribution_points: foo",
        ),
        (
            json!({"issuing_certificates": "http://h/{{issuer_id}}"}),
            "invalid URL found in Authority Information Access (AIA) parameter issuing_certificates: http://h/{{issuer_id}}",
        ),
    ] {
        let answer = patch(&pki, "root", data.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{data}");
    }
    let unknown = patch(
        &pki,
        "root",
        json!({"revocation_signature_algorithm": "sha1withrsa"}),
    )
    .await;
    assert!(error(&unknown).starts_with("Unknown signature algorithm value: 0 - valid values are"));
    let refused = pki.refused("issuer/root", json!({"issuer_name": ""})).await;
    assert_eq!(refused, (400, "expected non-empty issuer name".into()));
}

#[tokio::test]
async fn renaming_and_deleting_warn_of_roles_that_lose_their_issuer() {
    let pki = Pki::start().await;
    let id = pki.root_id.as_str();
    for (role, issuer) in [("a", "root"), ("b", "root"), ("c", id)] {
        pki.ok(&format!("roles/{role}"), json!({"issuer_ref": issuer}))
            .await;
    }
    let body = patched(&pki, "root", json!({"issuer_name": "other"})).await;
    assert_eq!(body["warnings"], json!(["2 roles reference root"]));
    pki.ok("roles/a", json!({"issuer_ref": "other"})).await;
    let (status, body) = pki.server.delete(ROOT, "pki/issuer/other").await;
    assert_eq!((status, &body["data"]), (200, &Value::Null));
    assert_eq!(
        body["warnings"],
        json!([
            "1 roles reference other",
            format!("1 roles reference {id}"),
            format!(
                "Deleted issuer {id} (via issuer_ref other); this was configured as the default \
                 issuer. Operations without an explicit issuer will not work until a new default \
                 is configured."
            ),
            "1 roles reference default",
        ])
    );
    assert_eq!(pki.server.list("", "pki/issuers").await.0, 404);
    assert_eq!(pki.server.list(ROOT, "pki/keys").await.0, 200);
    let (status, body) = pki.server.delete(ROOT, "pki/issuer/other").await;
    assert_eq!((status, &body["warnings"]), (200, &Value::Null));
}

#[tokio::test]
async fn a_revoked_issuer_issues_no_more_and_stands_on_its_parents_crl() {
    let pki = Pki::start().await;
    let serial = pki.intermediate("int").await;
    let (status, body) = pki.write("issuer/int/revoke", json!({})).await;
    assert_eq!((status, &body["warnings"]), (200, &Value::Null), "{body}");
    assert_eq!(body["data"]["revoked"], true);
    assert_eq!(body["data"]["usage"], "crl-signing,ocsp-signing,read-only");
    assert_eq!(body["data"]["revocation_time"], crate::pki_fixture::NOW);
    assert_eq!(pki.listed().await, std::slice::from_ref(&serial));
    let stored = pki.ok_read(&format!("cert/{serial}")).await;
    assert_eq!(stored["revocation_time"], crate::pki_fixture::NOW);

    let again = pki.write("issuer/int/revoke", json!({})).await.1;
    assert_eq!(again["data"], body["data"]);
    let reason = "This issuer was revoked; unable to modify its usage to include certificate \
                  signing again. Reissue this certificate (preferably with a new key) and modify \
                  that entry instead.";
    assert_eq!(
        pki.refused("issuer/int", json!({})).await,
        (400, reason.into())
    );
    let refused = pki
        .refused(
            "issuer/int/issue/web",
            json!({"common_name": "a.example.com"}),
        )
        .await;
    assert!(
        refused.1.contains("requested usage issuing-certificates"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn revoking_the_default_root_warns_of_both() {
    let pki = Pki::start().await;
    let (_, body) = pki.write("issuer/root/revoke", json!({})).await;
    let warnings = body["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(text(&warnings[0]).starts_with("This issuer is a self-signed (potentially root)"));
    assert!(text(&warnings[1]).starts_with("This issuer is currently configured as the default"));
    assert_eq!(pki.listed().await, [""; 0]);
}

#[tokio::test]
async fn an_issuer_that_may_not_sign_crls_is_not_made_to() {
    let pki = Pki::empty().await;
    let (certificate, key) = foreign_root("NoCrl", "-addext keyUsage=keyCertSign");
    let bundle = json!({"pem_bundle": format!("{certificate}{key}")});
    let (_, body) = pki.write("issuers/import/bundle", bundle).await;
    let id = text(&body["data"]["imported_issuers"][0]);
    let warnings = body["warnings"].as_array().unwrap();
    assert_eq!(
        text(warnings.last().unwrap()),
        format!(
            "Warning 1 during CRL rebuild: warning from local CRL rebuild: Issuer equivalency set \
             with associated keys lacked an issuer with CRL Signing KeyUsage; refusing to rebuild \
             CRL for this group of issuers: {id}"
        )
    );
    let usage = &pki.ok_read("issuer/default").await["usage"];
    assert_eq!(usage, "issuing-certificates,ocsp-signing,read-only");
    let refused = pki.refused("issuer/default", json!({})).await;
    assert_eq!(
        refused,
        (
            400,
            "This issuer's underlying certificate lacks the CRLSign KeyUsage value; unable to set \
             CRLSigningUsage on this issuer as a result."
                .into()
        )
    );
    patched(&pki, "default", json!({"issuer_name": "fine"})).await;
}

#[tokio::test]
async fn a_manual_chain_is_served_until_it_is_cleared() {
    let pki = Pki::start().await;
    pki.intermediate("int").await;
    let chain = |issued: &Value| issued["ca_chain"].as_array().unwrap().len();
    let issue = || {
        pki.ok(
            "issuer/int/issue/web",
            json!({"common_name": "a.example.com"}),
        )
    };
    assert_eq!(chain(&issue().await), 2);
    let body = patched(&pki, "int", json!({"manual_chain": ["self"]})).await;
    assert_eq!(body["data"]["manual_chain"].as_array().unwrap().len(), 1);
    assert_eq!(chain(&issue().await), 1);
    let body = patched(&pki, "int", json!({"manual_chain": []})).await;
    assert_eq!(body["data"]["manual_chain"], Value::Null);
    assert_eq!(chain(&issue().await), 2);
}

#[tokio::test]
async fn chains_follow_when_parents_come_and_go() {
    let pki = Pki::start().await;
    pki.intermediate("int").await;
    let chain = async || {
        let issuer = pki.ok_read("issuer/int").await;
        issuer["ca_chain"].as_array().unwrap().len()
    };
    assert_eq!(chain().await, 2);
    pki.server.delete(ROOT, "pki/issuer/root").await;
    assert_eq!(chain().await, 1);
    let imported = pki
        .ok("issuers/import/cert", json!({"pem_bundle": pki.root}))
        .await;
    assert_ne!(imported["imported_issuers"][0], pki.root_id);
    assert_eq!(chain().await, 2);
}

#[tokio::test]
async fn an_issuers_own_urls_replace_those_of_the_mount() {
    let pki = Pki::start().await;
    pki.ok(
        "config/urls",
        json!({"issuing_certificates": "http://mount/ca", "ocsp_servers": "http://mount/ocsp"}),
    )
    .await;
    let urls = async || {
        let issued = pki.issue("a.example.com").await;
        let files = Files::new();
        files.write("cert.pem", text(&issued["certificate"]));
        files.openssl(
            "x509 -in cert.pem -noout -ext authorityInfoAccess,crlDistributionPoints,freshestCRL",
        )
    };
    let shown = urls().await;
    assert!(
        shown.contains("http://mount/ca") && shown.contains("http://mount/ocsp"),
        "{shown}"
    );

    let delta = json!({"delta_crl_distribution_points": "http://own/delta"});
    patched(&pki, "root", delta).await;
    assert!(urls().await.contains("http://mount/ca"));

    let own = json!({
        "crl_distribution_points": "http://own/{{issuer_id}}/crl",
        "enable_aia_url_templating": true,
    });
    patched(&pki, "root", own).await;
    let shown = urls().await;
    assert!(!shown.contains("mount"), "{shown}");
    assert!(
        shown.contains(&format!("http://own/{}/crl", pki.root_id)),
        "{shown}"
    );
    assert!(shown.contains("http://own/delta"), "{shown}");

    let none = json!({"crl_distribution_points": ""});
    patched(&pki, "root", none).await;
    assert!(urls().await.contains("http://mount/ca"));
}

#[tokio::test]
async fn urls_that_cannot_be_filled_in_are_warned_of_and_stop_issuing() {
    let pki = Pki::start().await;
    let own = json!({
        "ocsp_servers": "{{cluster_path}}/ocsp",
        "enable_aia_url_templating": true,
    });
    let body = patched(&pki, "root", own).await;
    let reason = "unable to template AIA URLs as we lack local cluster address information (path)";
    assert_eq!(
        body["warnings"],
        json!([format!(
            "issuance may fail: {reason}\n\nConsider setting the cluster-local address if it is \
             not already set."
        )])
    );
    let refused = pki
        .refused("issue/web", json!({"common_name": "a.example.com"}))
        .await;
    assert!(refused.1.contains(reason), "{refused:?}");
    pki.ok(
        "config/cluster",
        json!({"path": "https://pki.example.com/v1/pki"}),
    )
    .await;
    pki.issue("a.example.com").await;
    let off = patch(&pki, "root", json!({"enable_aia_url_templating": false})).await;
    assert_eq!(
        off.0, 400,
        "the template is left and may not be one any more"
    );
    let both = json!({"enable_aia_url_templating": false, "ocsp_servers": "http://o/"});
    let body = patched(&pki, "root", both).await;
    assert_eq!(body["data"]["enable_aia_url_templating"], false);
}

#[tokio::test]
async fn a_pss_algorithm_is_warned_of() {
    let pki = Pki::empty().await;
    let root = json!({"common_name": "Root", "use_pss": true, "issuer_name": "root"});
    pki.ok("root/generate/internal", root).await;
    let (_, body) = pki.read("issuer/root").await;
    assert_eq!(
        body["data"]["revocation_signature_algorithm"],
        "SHA256WithRSAPSS"
    );
    let warning = text(&body["warnings"][0]);
    assert!(warning.starts_with("Issuer uses a PSS Revocation Signature Algorithm."));
    let body = patched(
        &pki,
        "root",
        json!({"revocation_signature_algorithm": "sha512withrsa"}),
    )
    .await;
    assert_eq!(body["warnings"], Value::Null);
}

#[tokio::test]
async fn an_unchanged_certificate_is_not_sent_again() {
    let pki = Pki::start().await;
    let first = pki.fetch("issuer/root/pem").await;
    let modified = crate::pki_fixture::header(&first, "Last-Modified").unwrap();
    let again = pki
        .fetch_with("issuer/root/pem", &[("if-modified-since", modified)])
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn without_a_token_nothing_else_is_answered() {
    let pki = Pki::start().await;
    for (op, path) in [
        (Op::Read, "pki/issuer/root"),
        (Op::Write, "pki/issuer/root"),
        (Op::Delete, "pki/issuer/root"),
        (Op::Write, "pki/issuer/root/revoke"),
        (Op::List, "pki/keys/"),
        (Op::Read, "pki/key/default"),
        (Op::Read, "pki/config/urls"),
        (Op::Read, "pki/config/issuers"),
        (Op::Delete, "pki/root"),
    ] {
        let call: Call = call(op, path, "", Value::Null);
        assert_eq!(pki.server.call(call).await.0, 403, "{path}");
    }
}
