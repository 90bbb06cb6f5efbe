//! `issue`, `sign` and `sign-verbatim` around what the rules of a role decide.

use serde_json::{Value, json};
use signet_pki::cert::Certificate;

use crate::pki_fixture::{Files, NOW, Pki, text};
use crate::support::ROOT;

const CSR_KEY: &str = "ecparam -name prime256v1 -genkey -noout -out leaf.key";

fn csr(files: &Files, subject: &str) -> String {
    files.openssl(CSR_KEY);
    files.openssl(&format!(
        "req -new -key leaf.key -subj {subject} -out leaf.csr"
    ));
    String::from_utf8(files.read("leaf.csr")).unwrap()
}

#[tokio::test]
async fn answers_in_every_format() {
    let pki = Pki::start().await;
    let pem = pki.issue("a.x").await;
    let mut keys: Vec<&String> = pem.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "ca_chain",
            "certificate",
            "expiration",
            "issuing_ca",
            "not_before",
            "private_key",
            "private_key_type",
            "serial_number",
        ]
    );
    assert_eq!(pem["ca_chain"], json!([pki.root]));
    assert_eq!(pem["issuing_ca"], json!(pki.root));
    assert_eq!(
        (&pem["not_before"], &pem["expiration"]),
        (&json!(NOW - 30), &json!(NOW + 86_400))
    );
    assert_eq!(pem["private_key_type"], "ec");
    for name in ["certificate", "private_key", "issuing_ca"] {
        let shown = text(&pem[name]);
        assert!(
            shown.starts_with("-----BEGIN ") && shown.ends_with("-----"),
            "{name}"
        );
    }
    let bundle = pki
        .ok("issue/web", json!({"common_name": "a.x", "format": "pem_bundle", "private_key_format": "pkcs8", "remove_roots_from_chain": true}))
        .await;
    let shown = text(&bundle["certificate"]);
    assert!(shown.starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert!(text(&bundle["private_key"]).starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(
        shown.ends_with(&pki.root),
        "the chain of a bundle keeps its root"
    );
    assert_eq!(bundle.get("ca_chain"), None);
    let der = pki
        .ok("issue/web", json!({"common_name": "a.x", "format": "der"}))
        .await;
    let decoded = base64_decode(&text(&der["certificate"]));
    let certificate = Certificate::parse_der(decoded).unwrap();
    assert_eq!(certificate.serial().to_colon_hex(), der["serial_number"]);
    assert_eq!(
        base64_decode(&text(&der["ca_chain"][0])),
        Certificate::parse_pem(&pki.root).unwrap().into_der()
    );
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

#[tokio::test]
async fn the_first_fault_in_the_order_of_the_api_is_told() {
    let pki = Pki::start().await;
    let unknown = (400, "unknown role: nope".to_owned());
    for path in [
        "issue/nope",
        "sign/nope",
        "sign-verbatim/nope",
        "issuer/nope/issue/nope",
    ] {
        assert_eq!(
            pki.refused(path, json!({"format": "x"})).await,
            unknown,
            "{path}"
        );
    }
    pki.ok(
        "roles/any",
        json!({"allow_any_name": true, "key_type": "any"}),
    )
    .await;
    let (status, text) = pki
        .refused("issuer/nope/issue/any", json!({"format": "x"}))
        .await;
    assert_eq!(status, 400);
    assert!(text.contains("without providing key_type"), "{text}");
    for path in [
        "issuer/nope/issue/web",
        "issuer/nope/sign/web",
        "issuer/nope/sign-verbatim",
    ] {
        let (status, text) = pki.refused(path, json!({"format": "x"})).await;
        assert_eq!(status, 500, "{path}");
        assert_eq!(
            text,
            "1 error occurred:\n\t* could not fetch the CA certificate (was one set?): unable to \
             find PKI issuer for reference: nope\n\n"
        );
    }
    let format = "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"";
    for path in [
        "issue/web",
        "sign/web",
        "sign-verbatim",
        "sign-verbatim/web",
    ] {
        assert_eq!(
            pki.refused(path, json!({"format": "x"})).await,
            (400, format.to_owned())
        );
    }
    for (csr, text) in [("", "\"csr\" is empty"), ("x", "csr contains no data")] {
        for path in ["sign/web", "sign-verbatim"] {
            assert_eq!(
                pki.refused(path, json!({"csr": csr})).await,
                (400, text.to_owned())
            );
        }
    }
}

#[tokio::test]
async fn without_an_issuer_nothing_is_issued() {
    let pki = Pki::empty().await;
    pki.ok(
        "roles/web",
        json!({"allow_any_name": true, "key_type": "ec"}),
    )
    .await;
    let (status, text) = pki
        .refused("issue/web", json!({"common_name": "a.x"}))
        .await;
    assert_eq!(status, 500);
    assert!(text.contains("could not fetch the CA certificate (was one set?): no default issuer currently configured"), "{text}");
}

#[tokio::test]
async fn warnings_come_in_the_order_of_the_api() {
    let pki = Pki::start().await;
    let files = Files::new();
    let csr = csr(&files, "/CN=a.x");
    let request = json!({
        "csr": csr, "common_name": "b.x", "alt_names": "c.x", "ttl": "87600h", "nonsense": 1, "key_type": "rsa",
    });
    let (_, body) = pki.write("sign/web", request).await;
    assert_eq!(
        body["warnings"],
        json!([
            "the common_name field was provided but the role is set with \"use_csr_common_name\" set to true",
            "the alt_names field was provided but the role is set with \"use_csr_sans\" set to true",
            "TTL \"87600h0m0s\" is longer than permitted maxTTL \"8760h0m0s\", so maxTTL is being used",
            "Endpoint ignored these unrecognized parameters: [key_type nonsense]",
        ])
    );
    let (_, body) = pki
        .write(
            "issue/web",
            json!({"common_name": "a.x", "key_type": "rsa", "role": "x"}),
        )
        .await;
    assert_eq!(
        body["warnings"],
        json!([
            "parameters key_type and key_bits ignored as role had specific values",
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [role]",
        ])
    );
}

#[tokio::test]
async fn takes_what_cert_manager_sends() {
    let pki = Pki::start().await;
    let files = Files::new();
    let csr = csr(&files, "/CN=a.example.com");
    let request = json!({
        "common_name": "a.example.com", "alt_names": "a.example.com,b.example.com", "ip_sans": "",
        "uri_sans": "", "ttl": "2160h0m0s", "csr": csr, "exclude_cn_from_sans": "true",
    });
    let data = pki.ok("sign/web", request).await;
    assert!(data.get("private_key").is_none());
    files.write("leaf.pem", text(&data["certificate"]));
    files.write("root.pem", text(&data["issuing_ca"]));
    let verified = files.openssl(&format!("verify -CAfile root.pem -attime {NOW} leaf.pem"));
    assert!(verified.contains("leaf.pem: OK"));
    assert_eq!(data["expiration"], NOW + 2160 * 3600);
}

#[tokio::test]
async fn the_issuer_of_the_body_counts_only_without_a_role() {
    let pki = Pki::start().await;
    let other = pki
        .ok(
            "root/generate/internal",
            json!({"common_name": "Other", "key_type": "ec", "issuer_name": "other"}),
        )
        .await;
    let files = Files::new();
    let csr = csr(&files, "/CN=a.x");
    let issuing = |path: &'static str, mut data: Value| {
        data["ttl"] = json!("1h");
        let request = pki.ok(path, data);
        async { request.await["issuing_ca"].clone() }
    };
    let other_pem = &other["certificate"];
    assert_eq!(
        issuing(
            "issue/web",
            json!({"common_name": "a.x", "issuer_ref": "other"})
        )
        .await,
        json!(pki.root)
    );
    assert_eq!(
        issuing("sign/web", json!({"csr": csr, "issuer_ref": "other"})).await,
        json!(pki.root)
    );
    assert_eq!(
        issuing(
            "sign-verbatim/web",
            json!({"csr": csr, "issuer_ref": "other"})
        )
        .await,
        json!(pki.root)
    );
    assert_eq!(
        issuing("sign-verbatim", json!({"csr": csr, "issuer_ref": "other"})).await,
        *other_pem
    );
    assert_eq!(
        issuing("issuer/other/issue/web", json!({"common_name": "a.x"})).await,
        *other_pem
    );
    assert_eq!(
        issuing("issuer/other/sign-verbatim/web", json!({"csr": csr})).await,
        *other_pem
    );
}

#[tokio::test]
async fn the_role_of_the_body_does_not_count_for_sign_verbatim() {
    let pki = Pki::start().await;
    let files = Files::new();
    let csr = csr(&files, "/CN=a.x");
    let (status, body) = pki
        .write("sign-verbatim", json!({"csr": csr, "role": "nope"}))
        .await;
    assert_eq!(status, 200, "{body}");
    let warnings = text(&body["warnings"][0]);
    assert!(
        warnings.ends_with("captured from the endpoint's path: [role]"),
        "{warnings}"
    );
}

#[tokio::test]
async fn what_is_not_stored_leaves_no_trace() {
    let pki = Pki::start().await;
    pki.ok(
        "roles/short",
        json!({"allow_any_name": true, "key_type": "ec", "no_store": true}),
    )
    .await;
    let leaf = pki.ok("issue/short", json!({"common_name": "a.x"})).await;
    let serial = text(&leaf["serial_number"]);
    assert_eq!(pki.read(&format!("cert/{serial}")).await.0, 404);
}

#[tokio::test]
async fn a_forged_request_signature_is_refused_after_every_rule() {
    let pki = Pki::start().await;
    let files = Files::new();
    let pem = csr(&files, "/CN=a.x");
    let (block, _) = signet_pki::pem::next_block(&pem).unwrap();
    let mut der = block.der.to_vec();
    *der.last_mut().unwrap() ^= 1;
    let forged = signet_pki::pem::encode("CERTIFICATE REQUEST", &der);
    assert_eq!(
        pki.refused("sign/web", json!({"csr": forged})).await,
        (400, "request signature invalid".to_owned())
    );
    pki.ok(
        "roles/tight",
        json!({"allowed_domains": "y", "key_type": "ec"}),
    )
    .await;
    assert_eq!(
        pki.refused("sign/tight", json!({"csr": forged})).await,
        (400, "common name a.x not allowed by this role".to_owned())
    );
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_refused() {
    let pki = Pki::start().await;
    for (data, text) in [
        (
            json!({"ttl": "1w"}),
            "field \"ttl\": time: unknown unit \"w\" in duration \"1w\"",
        ),
        (
            json!({"ttl": -5}),
            "field \"ttl\": cannot provide negative value '-5'",
        ),
        (
            json!({"alt_names": ["a"]}),
            "field \"alt_names\": '' expected type 'string', got unconvertible type '[]interface {}'",
        ),
    ] {
        let expected = format!("Field validation failed: error converting input for {text}");
        assert_eq!(pki.refused("issue/web", data).await, (400, expected));
    }
}

#[tokio::test]
async fn an_authority_gives_away_no_names_outside_of_its_constraints() {
    let pki = Pki::empty().await;
    let data = json!({
        "common_name": "Root",
        "key_type": "ec",
        "exclude_cn_from_sans": true,
        "permitted_dns_domains": "foo.example.com",
    });
    pki.ok("root/generate/internal", data).await;
    let role =
        json!({"allow_any_name": true, "allow_wildcard_certificates": true, "key_type": "ec"});
    pki.ok("roles/web", role).await;
    for name in ["a.foo.example.com", "*.foo.example.com"] {
        pki.issue(name).await;
    }
    for name in ["*.example.com", "bar.example.com"] {
        let expected = format!(
            "subject alternate name {name} is outside of the name constraints of the issuer"
        );
        let refused = pki
            .refused("issue/web", json!({ "common_name": name }))
            .await;
        assert_eq!(refused, (400, expected));
    }
    let (_, body) = pki.server.list(ROOT, "pki/certs").await;
    assert_eq!(body["data"]["keys"].as_array().unwrap().len(), 3);
}
