//! Roots, requests of intermediates, and what is signed for other authorities.

use serde_json::{Value, json};

use crate::pki_fixture::{Files, Pki, text};
use crate::support::ROOT;

fn shown(certificate: &Value, arguments: &str) -> String {
    let files = Files::new();
    files.write("cert.pem", text(certificate));
    files.openssl(&format!("x509 -in cert.pem -noout {arguments}"))
}

#[tokio::test]
async fn a_root_is_what_it_was_asked_to_be() {
    let pki = Pki::empty().await;
    let root = pki
        .ok(
            "root/generate/exported",
            json!({
                "common_name": "Root CA",
                "organization": "Example",
                "ou": "One,One",
                "country": "DE",
                "key_type": "ec",
                "key_bits": 384,
                "max_path_length": 2,
                "permitted_dns_domains": "example.com",
                "ext_key_usage": "ClientAuth",
                "not_after": "9999-12-31T23:59:59Z",
                "issuer_name": "first",
                "key_name": "its-key",
            }),
        )
        .await;
    let mut keys: Vec<&str> = root
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "certificate",
            "expiration",
            "issuer_id",
            "issuer_name",
            "issuing_ca",
            "key_id",
            "key_name",
            "private_key",
            "private_key_type",
            "serial_number",
        ]
    );
    assert_eq!(root["certificate"], root["issuing_ca"]);
    assert_eq!(
        (&root["issuer_name"], &root["key_name"]),
        (&json!("first"), &json!("its-key"))
    );
    let certificate = &root["certificate"];
    let subject = shown(certificate, "-subject -nameopt RFC2253");
    assert_eq!(subject.trim(), "subject=CN=Root CA,OU=One,O=Example,C=DE");
    let text_of = shown(certificate, "-text");
    for part in [
        "CA:TRUE, pathlen:2",
        "Certificate Sign, CRL Sign",
        "TLS Web Client Authentication",
        "DNS:example.com",
        "Not After : Dec 31 23:59:59 9999 GMT",
        "ecdsa-with-SHA384",
    ] {
        assert!(text_of.contains(part), "{part}\n{text_of}");
    }
    let files = Files::new();
    files.write("key.pem", text(&root["private_key"]));
    files.write("cert.pem", text(certificate));
    let key = files.openssl("pkey -in key.pem -pubout");
    assert_eq!(key, files.openssl("x509 -in cert.pem -noout -pubkey"));
    files.openssl("verify -attime 1800000060 -CAfile cert.pem cert.pem");
}

#[tokio::test]
async fn warnings_of_a_root_come_in_their_order() {
    let pki = Pki::empty().await;
    let urls = json!({"issuing_certificates": "http://h/{{issuer_id}}", "enable_templating": true});
    pki.ok("config/urls", urls).await;
    let root = json!({"key_type": "ec", "ttl": "99999h", "max_path_length": 0});
    let (_, body) = pki.write("root/generate/internal", root).await;
    let starts = [
        "TTL \"99999h0m0s\" is longer than permitted maxTTL",
        "When generating root CA, found global AIA configuration with issuer_id template",
        "This issuer certificate was generated without a Subject;",
        "This mount hasn't configured any authority information access (AIA) fields;",
        "Max path length of the generated certificate is zero.",
    ];
    let warnings = body["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(text(warning).starts_with(start), "{warning}");
    }
}

#[tokio::test]
async fn a_root_points_to_the_urls_of_its_mount() {
    let pki = Pki::empty().await;
    let urls = json!({"issuing_certificates": "{{cluster_path}}/ca", "enable_templating": true});
    pki.ok("config/urls", urls).await;
    let root = json!({"common_name": "Root", "key_type": "ec"});
    let refused = pki.refused("root/generate/internal", root.clone()).await;
    assert_eq!(
        refused,
        (
            400,
            "unable to parse AIA URL information: unable to template AIA URLs as we lack local \
             cluster address information (path)\nUsing templated AIA URL's {{issuer_id}} field \
             when generating root certificates is not supported."
                .into()
        )
    );
    pki.ok("config/cluster", json!({"path": "https://h/v1/pki"}))
        .await;
    let (_, body) = pki.write("root/generate/internal", root).await;
    assert_eq!(body["warnings"], Value::Null);
    let urls = shown(&body["data"]["certificate"], "-ext authorityInfoAccess");
    assert!(urls.contains("https://h/v1/pki/ca"), "{urls}");
}

#[tokio::test]
async fn what_a_root_cannot_be_is_refused() {
    let pki = Pki::start().await;
    pki.ok(
        "keys/generate/internal",
        json!({"key_type": "ed25519", "key_name": "taken"}),
    )
    .await;
    let mode = "invalid parameter for the kms/existing path parameter, key_type nor key_bits \
                arguments can be set in this mode";
    for (exported, data, text) in [
        (
            "other",
            json!({"format": "x"}),
            "the \"exported\" path parameter must be \"internal\", \"existing\", exported\" or \"kms\"",
        ),
        (
            "internal",
            json!({"format": "x"}),
            "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
        ),
        (
            "internal",
            json!({"key_type": "foo"}),
            "unknown key type foo",
        ),
        (
            "internal",
            json!({"key_type": "any"}),
            "unknown key type: any",
        ),
        (
            "internal",
            json!({"key_type": "ec", "key_bits": 999}),
            "unsupported bit length for EC key: 999",
        ),
        (
            "internal",
            json!({"key_bits": 1024}),
            "RSA keys < 2048 bits are unsafe and not supported: got 1024",
        ),
        (
            "internal",
            json!({"signature_bits": 999}),
            "unsupported hash signature algorithm: 999",
        ),
        (
            "internal",
            json!({"issuer_name": "root"}),
            "issuer name already in use",
        ),
        (
            "internal",
            json!({"issuer_name": ""}),
            "expected non-empty issuer name",
        ),
        (
            "internal",
            json!({"issuer_name": "default"}),
            "reserved keyword 'default' can not be used as issuer name",
        ),
        (
            "internal",
            json!({"key_name": "taken"}),
            "key name already in use",
        ),
        (
            "internal",
            json!({"key_name": ""}),
            "key name contained invalid characters",
        ),
        ("existing", json!({"key_type": "ec"}), mode),
        ("existing", json!({"key_bits": 0}), mode),
        (
            "existing",
            json!({"key_name": "taken"}),
            "key name already in use",
        ),
        (
            "existing",
            json!({"key_ref": "none"}),
            "failed to lookup public key from existing key: unable to find PKI key for reference: none",
        ),
        (
            "existing",
            json!({"key_ref": ""}),
            "failed to lookup public key from existing key: missing argument key_ref for existing type",
        ),
        (
            "kms",
            json!({}),
            "keys of an external key manager are not supported",
        ),
    ] {
        let path = format!("root/generate/{exported}");
        let refused = pki.refused(&path, data.clone()).await;
        assert_eq!(refused, (400, text.into()), "{exported} {data}");
    }
    let negative = json!({"key_type": "ec", "max_path_length": -2});
    assert_eq!(pki.refused("root/generate/internal", negative).await.0, 400);
    let listed = pki.server.list(ROOT, "pki/keys").await.1;
    assert_eq!(
        listed["data"]["keys"].as_array().unwrap().len(),
        2,
        "refusals leave no key"
    );
}

#[tokio::test]
async fn an_existing_key_makes_another_root() {
    let pki = Pki::empty().await;
    let request = json!({"common_name": "Root", "key_type": "ed25519", "key_name": "key"});
    let first = pki.ok("root/generate/internal", request).await;
    let id = text(&first["key_id"]);
    for reference in ["default", "key", &id] {
        let request = json!({"common_name": "Root", "key_ref": reference, "key_name": "other"});
        let again = pki.ok("root/generate/existing", request).await;
        assert_eq!(
            (&again["key_id"], &again["key_name"]),
            (&first["key_id"], &json!("key"))
        );
        assert_ne!(again["issuer_id"], first["issuer_id"]);
    }
    assert_eq!(
        pki.ok_read("config/issuers").await["default"],
        first["issuer_id"]
    );
    for _ in 0..2 {
        pki.ok("root/generate/existing", json!({"common_name": "Root"}))
            .await;
    }
    let refused = pki
        .refused("root/generate/existing", json!({"common_name": "Root"}))
        .await;
    assert_eq!(
        refused,
        (
            400,
            "error building issuer chains: excessively reissued certificate: 7 entries".into()
        )
    );
}

#[tokio::test]
async fn rotating_names_the_next_root_which_then_replaces_the_first() {
    let pki = Pki::start().await;
    let request = json!({"common_name": "Root", "key_type": "ec"});
    let next = pki.ok("root/rotate/internal", request.clone()).await;
    assert_eq!(next["issuer_name"], "next");
    assert_eq!(pki.ok_read("config/issuers").await["default"], pki.root_id);
    let third = pki.ok("root/rotate/internal", request).await;
    assert_eq!(third["issuer_name"], "");
    let named = json!({"common_name": "Root", "issuer_name": "named"});
    let fourth = pki.ok("root/rotate/existing", named).await;
    assert_eq!(fourth["issuer_name"], "named");
    let replaced = pki.ok("root/replace", json!({})).await;
    assert_eq!(replaced["default"], next["issuer_id"]);
}

#[tokio::test]
async fn formats_of_a_root() {
    let pki = Pki::empty().await;
    let generate = async |data: Value| {
        let mut request = json!({"common_name": "Root", "key_type": "ec"});
        request
            .as_object_mut()
            .unwrap()
            .extend(data.as_object().unwrap().clone());
        pki.ok("root/generate/exported", request).await
    };
    let pem = generate(json!({})).await;
    assert!(text(&pem["private_key"]).starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert!(text(&pem["certificate"]).ends_with("-----END CERTIFICATE-----"));
    let pkcs8 = generate(json!({"private_key_format": "pkcs8"})).await;
    assert!(text(&pkcs8["private_key"]).starts_with("-----BEGIN PRIVATE KEY-----"));
    let bundle = generate(json!({"format": "pem_bundle"})).await;
    assert_eq!(
        text(&bundle["certificate"]),
        format!(
            "{}\n{}",
            text(&bundle["private_key"]),
            text(&bundle["issuing_ca"])
        )
    );
    let der = generate(json!({"format": "der"})).await;
    assert!(text(&der["certificate"]).starts_with("MII"));
    assert!(text(&der["private_key"]).starts_with("MHcCAQEE"));
}

#[tokio::test]
async fn deleting_the_root_deletes_all_issuers_and_keys_and_nothing_else() {
    let pki = Pki::start().await;
    let serial = pki.serial("a.example.com").await;
    let follow = json!({"default": "root", "default_follows_latest_issuer": true});
    pki.ok("config/issuers", follow).await;
    let warning = "DELETE /root deletes all keys and issuers; prefer the new DELETE /key/:key_ref \
                   and DELETE /issuer/:issuer_ref for finer granularity, unless removal of all keys \
                   and issuers is desired.";
    for _ in 0..2 {
        let (status, body) = pki.server.delete(ROOT, "pki/root").await;
        assert_eq!((status, &body["data"]), (200, &Value::Null));
        assert_eq!(body["warnings"], json!([warning]));
    }
    assert_eq!(pki.server.list("", "pki/issuers").await.0, 404);
    assert_eq!(pki.server.list(ROOT, "pki/keys").await.0, 404);
    let config = pki.ok_read("config/issuers").await;
    assert_eq!(
        config,
        json!({"default": "", "default_follows_latest_issuer": true})
    );
    assert_eq!(pki.read(&format!("cert/{serial}")).await.0, 200);
    assert_eq!(pki.read("roles/web").await.0, 200);
}

#[tokio::test]
async fn the_request_of_an_intermediate_says_who_it_is() {
    let pki = Pki::empty().await;
    let request = json!({
        "common_name": "int.example.com",
        "organization": "Example",
        "alt_names": "b.example.com,a@example.com",
        "ip_sans": "10.0.0.1",
        "key_type": "ec",
        "add_basic_constraints": true,
        "ttl": "1h",
        "signature_bits": 999,
    });
    let (_, body) = pki.write("intermediate/generate/exported", request).await;
    let warning = text(&body["warnings"][0]);
    assert!(
        warning.ends_with("after fixing this problem for the root mount."),
        "{warning}"
    );
    let csr = text(&body["data"]["csr"]);
    assert!(csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----") && !csr.ends_with('\n'));
    let files = Files::new();
    files.write("csr.pem", &csr);
    let shown = files.openssl("req -in csr.pem -noout -text -verify -nameopt RFC2253");
    for part in [
        "Subject: CN=int.example.com,O=Example",
        "DNS:int.example.com, DNS:b.example.com, email:a@example.com, IP Address:10.0.0.1",
        "CA:TRUE",
        "ecdsa-with-SHA256",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let key = pki.ok_read("config/keys").await;
    assert_eq!(key["default"], body["data"]["key_id"]);
    let existing = pki
        .ok(
            "intermediate/cross-sign",
            json!({"common_name": "x", "exported": "internal"}),
        )
        .await;
    assert_eq!(existing["key_id"], body["data"]["key_id"]);
    assert_eq!(existing.get("private_key"), None);
}

#[tokio::test]
async fn requests_are_signed_with_the_algorithm_asked_for() {
    let pki = Pki::empty().await;
    pki.ok("keys/generate/internal", json!({"key_name": "rsa"}))
        .await;
    let ec = json!({"key_type": "ec", "key_bits": 521, "key_name": "ec"});
    pki.ok("keys/generate/internal", ec).await;
    for (key, bits, pss, algorithm) in [
        ("rsa", 0, false, "sha256WithRSAEncryption"),
        ("rsa", 384, false, "sha384WithRSAEncryption"),
        ("rsa", 512, true, "rsassaPss"),
        ("ec", 256, false, "ecdsa-with-SHA512"),
    ] {
        let request = json!({
            "common_name": "Int",
            "key_ref": key,
            "signature_bits": bits,
            "use_pss": pss,
        });
        let csr = pki.ok("intermediate/generate/existing", request).await;
        let files = Files::new();
        files.write("csr.pem", text(&csr["csr"]));
        let shown = files.openssl("req -in csr.pem -noout -text -verify");
        assert!(shown.contains(algorithm), "{algorithm}\n{shown}");
        assert_eq!(shown.contains("Hash Algorithm: SHA512"), pss, "{shown}");
    }
}

#[tokio::test]
async fn an_intermediate_is_signed_as_asked() {
    let pki = Pki::start().await;
    let short =
        json!({"common_name": "Short", "key_type": "ec", "issuer_name": "short", "ttl": "9h"});
    let short = pki.ok("root/generate/internal", short).await["certificate"].clone();
    let request = json!({"common_name": "csr", "organization": "CSR", "key_type": "ec"});
    let csr = pki.ok("intermediate/generate/internal", request).await["csr"].clone();
    let request = json!({
        "csr": csr,
        "common_name": "Int",
        "max_path_length": 0,
        "key_usage": "DigitalSignature",
        "permitted_dns_domains": "example.com",
        "skid": "01:02:03:04",
        "ttl": "999999h",
        "format": "pem_bundle",
    });
    let (status, body) = pki.write("issuer/short/sign-intermediate", request).await;
    assert_eq!(status, 200, "{body}");
    let data = &body["data"];
    let chain: Vec<String> = data["ca_chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert_eq!(chain.len(), 2);
    assert_eq!(json!(chain[1]), short);
    assert_eq!(text(&data["certificate"]), chain.join("\n"));
    assert_eq!(data["issuing_ca"], short);
    let text_of = shown(&json!(chain[0]), "-text -nameopt RFC2253");
    for part in [
        "Subject: CN=Int\n",
        "CA:TRUE, pathlen:0",
        "Digital Signature, Certificate Sign, CRL Sign",
        "DNS:example.com",
        "01:02:03:04",
    ] {
        assert!(text_of.contains(part), "{part}\n{text_of}");
    }
    let starts = [
        "This mount hasn't configured any authority information access",
        "Max path length of the signed certificate is zero.",
        "TTL \"999999h0m0s\" is longer than permitted maxTTL",
    ];
    let warnings = body["warnings"].as_array().unwrap();
    let first = text(&warnings[0]);
    assert!(
        first.starts_with("The expiration time for the signed certificate is after"),
        "{first}"
    );
    for (warning, start) in warnings[1..].iter().zip(starts) {
        assert!(text(warning).starts_with(start), "{warning}");
    }
    assert_eq!(warnings.len(), 4);
    let serial = text(&data["serial_number"]);
    assert_eq!(pki.read(&format!("cert/{serial}")).await.0, 200);

    let values = json!({"csr": csr, "use_csr_values": true, "common_name": "no", "ttl": "1h"});
    let signed = pki.ok("root/sign-intermediate", values).await;
    let subject = shown(&signed["certificate"], "-subject -nameopt RFC2253");
    assert_eq!(subject.trim(), "subject=CN=csr,O=CSR");
    for (data, text) in [
        (
            json!({"format": "x"}),
            "The \"format\" path parameter must be \"pem\" or \"der\"",
        ),
        (json!({}), "\"csr\" is empty"),
    ] {
        assert_eq!(
            pki.refused("root/sign-intermediate", data).await,
            (400, text.into())
        );
    }
}

#[tokio::test]
async fn a_self_issued_certificate_is_signed_by_another_authority() {
    let pki = Pki::start().await;
    let other = Pki::start().await;
    let root = json!({"common_name": "Other", "key_type": "ec", "issuer_name": "other"});
    let old = text(&other.ok("root/generate/internal", root).await["certificate"]);
    let leaf = json!({"common_name": "a.example.com", "ttl": "1h"});
    let leaf = other.ok("issuer/other/issue/web", leaf).await;
    let certificate = json!({ "certificate": old });
    let signed = pki.ok("root/sign-self-issued", certificate.clone()).await;
    assert_eq!(signed["issuing_ca"], pki.root);
    let files = Files::new();
    files.write("root.pem", &pki.root);
    files.write("bridge.pem", text(&signed["certificate"]));
    files.write("leaf.pem", text(&leaf["certificate"]));
    files.openssl("verify -attime 1800000060 -CAfile root.pem -untrusted bridge.pem leaf.pem");
    assert_eq!(
        pki.server.list(ROOT, "pki/issuers").await.1["data"]["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let twice = format!("{0}\n{0}\n", old);
    for (certificate, text) in [
        (json!(""), "certificate could not be PEM-decoded"),
        (
            leaf["certificate"].clone(),
            "given certificate is not a CA certificate",
        ),
        (json!(twice), "2 certificates found in PEM file, expected 1"),
    ] {
        let refused = pki
            .refused(
                "root/sign-self-issued",
                json!({ "certificate": certificate }),
            )
            .await;
        assert_eq!(refused, (400, text.into()));
    }
    let rsa = json!({"common_name": "RSA", "issuer_name": "rsa"});
    pki.ok("root/generate/internal", rsa).await;
    pki.ok("issuer/rsa/sign-self-issued", certificate).await;
    let strict = json!({
        "certificate": old,
        "require_matching_certificate_algorithms": true,
    });
    let refused = pki.refused("issuer/rsa/sign-self-issued", strict).await;
    assert_eq!(
        refused,
        (
            400,
            "signing certificate's public key algorithm (RSA) does not match submitted \
             certificate's (ECDSA), and require_matching_certificate_algorithms is true"
                .into()
        )
    );
}
