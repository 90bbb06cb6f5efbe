//! Keys: making, importing, naming and deleting them.

use serde_json::{Value, json};

use crate::pki_fixture::{Files, Pki, text};
use crate::support::{ROOT, error};

/// A private key that is not the server's.
fn foreign_key(arguments: &str) -> String {
    Files::new().openssl(arguments)
}

fn ed25519() -> String {
    foreign_key("genpkey -algorithm ed25519")
}

#[tokio::test]
async fn generated_keys_are_shown_only_where_that_is_asked_for() {
    let pki = Pki::empty().await;
    let internal = pki
        .ok(
            "keys/generate/internal",
            json!({"key_type": "ec", "key_name": "one"}),
        )
        .await;
    assert_eq!(internal["key_type"], "ec");
    assert_eq!(internal.get("private_key"), None);
    for (key_type, bits) in [("ec", 384), ("ec", 521), ("ed25519", 0), ("rsa", 2048)] {
        let request = json!({"key_type": key_type, "key_bits": bits});
        let exported = pki.ok("keys/generate/exported", request).await;
        assert_eq!(exported["key_type"], key_type);
        let files = Files::new();
        let pem = text(&exported["private_key"]);
        assert!(!pem.ends_with('\n'));
        files.write("key.pem", &pem);
        files.openssl("pkey -in key.pem -noout -check");
    }
    let config = pki.ok_read("config/keys").await;
    assert_eq!(config["default"], internal["key_id"]);
    let listed = pki.server.list(ROOT, "pki/keys").await.1;
    let id = text(&internal["key_id"]);
    assert_eq!(
        listed["data"]["key_info"][&id],
        json!({"key_name": "one", "is_default": true})
    );
    assert_eq!(listed["data"]["keys"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn keys_that_cannot_be_made_are_refused() {
    let pki = Pki::empty().await;
    pki.ok(
        "keys/generate/internal",
        json!({"key_type": "ec", "key_name": "taken"}),
    )
    .await;
    for (data, text) in [
        (
            json!({"key_bits": 2049}),
            "Validation for key_type, key_bits failed: unsupported bit length for RSA key: 2049",
        ),
        (
            json!({"key_bits": 1024}),
            "Validation for key_type, key_bits failed: RSA keys < 2048 bits are unsafe and not supported: got 1024",
        ),
        (
            json!({"key_type": "foo"}),
            "Validation for key_type, key_bits failed: unknown key type foo",
        ),
        (json!({"key_type": "any"}), "unknown key type: any"),
        (json!({"key_name": "taken"}), "key name already in use"),
        (
            json!({"key_name": "default"}),
            "reserved keyword 'default' can not be used as key name",
        ),
        (
            json!({"key_name": ""}),
            "key name contained invalid characters",
        ),
    ] {
        let refused = pki.refused("keys/generate/internal", data.clone()).await;
        assert_eq!(refused, (400, text.into()), "{data}");
    }
    let kms = pki
        .refused("keys/generate/kms", json!({"external_key_ref": "x"}))
        .await;
    assert_eq!(kms.0, 400);
    assert_eq!(pki.write("keys/generate/other", json!({})).await.0, 404);
}

#[tokio::test]
async fn importing_a_key_again_keeps_its_name() {
    let pki = Pki::empty().await;
    let key = foreign_key("ecparam -name prime256v1 -genkey");
    assert!(key.contains("EC PARAMETERS"));
    let first = pki
        .ok("keys/import", json!({"pem_bundle": key, "key_name": "one"}))
        .await;
    assert_eq!(
        (&first["key_name"], &first["key_type"]),
        (&json!("one"), &json!("ec"))
    );
    let (_, again) = pki
        .write("keys/import", json!({"pem_bundle": key, "key_name": "two"}))
        .await;
    assert_eq!(again["data"], first);
    assert_eq!(
        again["warnings"],
        json!(["Key already imported, use key/ endpoint to update name."])
    );
}

#[tokio::test]
async fn only_one_readable_key_is_imported() {
    let pki = Pki::start().await;
    let certificate = pki.root.clone() + "\n";
    let too_short = "provided data for import was too short; perhaps a path was passed to the API \
                     rather than the contents of a PEM file";
    let several = "only a single key can be present within the pem_bundle for importing";
    for (bundle, text) in [
        (String::new(), too_short),
        ("/tmp/key.pem".into(), too_short),
        (ed25519() + &ed25519(), several),
        (ed25519() + &certificate, several),
        (
            "x".repeat(100),
            "error when parsing block 1: invalid PEM data",
        ),
        (
            ed25519() + "junk",
            "error when parsing block 2: invalid PEM data",
        ),
    ] {
        let refused = pki
            .refused("keys/import", json!({"pem_bundle": bundle}))
            .await;
        assert_eq!(refused, (400, text.into()));
    }
    let refused = pki
        .refused("keys/import", json!({"pem_bundle": certificate}))
        .await;
    let start = "failed to parse PEM block: got errors attempting to parse DER private key:\n1. ";
    assert!(refused.1.starts_with(start), "{refused:?}");
    for (name, text) in [
        ("a b", "key name contained invalid characters"),
        (
            "default",
            "reserved keyword 'default' can not be used as key name",
        ),
    ] {
        let request = json!({"pem_bundle": ed25519(), "key_name": name});
        assert_eq!(
            pki.refused("keys/import", request).await,
            (400, text.into())
        );
    }
}

#[tokio::test]
async fn the_key_of_a_root_has_the_identifier_of_its_certificate() {
    let pki = Pki::start().await;
    let key = pki.ok_read("key/default").await;
    assert_eq!(
        (&key["key_name"], &key["key_type"]),
        (&json!(""), &json!("ec"))
    );
    let files = Files::new();
    files.write("root.pem", &pki.root);
    let shown = files.openssl("x509 -in root.pem -noout -ext subjectKeyIdentifier");
    let identifier = text(&key["subject_key_id"]).to_uppercase();
    assert!(shown.contains(&identifier), "{shown} {identifier}");
}

#[tokio::test]
async fn names_of_keys_are_changed_and_cleared() {
    let pki = Pki::empty().await;
    for name in ["one", "two"] {
        let request = json!({"key_type": "ec", "key_name": name});
        pki.ok("keys/generate/internal", request).await;
    }
    let id = text(&pki.ok_read("key/one").await["key_id"]);
    let renamed = pki.ok("key/one", json!({"key_name": "uno"})).await;
    assert_eq!(
        renamed,
        json!({"key_id": id, "key_name": "uno", "key_type": "ec"})
    );
    pki.ok("key/uno", json!({"key_name": "uno"})).await;
    for (name, text) in [
        ("two", "key name already in use"),
        ("a b", "new key name outside of valid character limits"),
        (
            "Default",
            "reserved keyword 'default' can not be used as key name",
        ),
    ] {
        let refused = pki.refused("key/uno", json!({"key_name": name})).await;
        assert_eq!(refused, (400, text.into()));
    }
    let (_, cleared) = pki.write("key/uno", json!({})).await;
    assert_eq!(cleared["data"]["key_name"], "");
    assert_eq!(
        cleared["warnings"],
        json!([format!(
            "Name successfully deleted, you will now need to reference this key by it's Id: {id}"
        )])
    );
    pki.server.restart().await;
    let key = pki.ok_read(&format!("key/{id}")).await;
    assert_eq!(key["key_name"], "");
}

#[tokio::test]
async fn a_key_is_deleted_when_no_issuer_needs_it() {
    let pki = Pki::start().await;
    let (status, body) = pki.server.delete(ROOT, "pki/key/default").await;
    assert_eq!(status, 400);
    assert_eq!(
        body["errors"][0],
        format!(
            "Failed to Delete Key.  Key in Use by Issuer: {}",
            pki.root_id
        )
    );
    let id = text(&pki.ok_read("key/default").await["key_id"]);
    pki.server.delete(ROOT, "pki/issuer/root").await;
    let (status, body) = pki.server.delete(ROOT, "pki/key/default").await;
    assert_eq!((status, &body["data"]), (200, &Value::Null));
    assert_eq!(
        body["warnings"],
        json!([format!(
            "Deleted key {id} (via key_ref default); this was configured as the default key. \
             Operations without an explicit key will not work until a new default is configured."
        )])
    );
    assert_eq!(pki.server.delete(ROOT, "pki/key/default").await.0, 204);
    let missing = pki.read("key/default").await;
    let text = "1 error occurred:\n\t* no default key currently configured\n\n";
    assert_eq!((missing.0, error(&missing)), (500, text));
    let missing = pki.write("key/none", json!({"key_name": "x"})).await;
    let text = "1 error occurred:\n\t* unable to find PKI key for reference: none\n\n";
    assert_eq!((missing.0, error(&missing)), (500, text));
}

#[tokio::test]
async fn an_issuer_gets_the_key_that_is_imported_after_it() {
    let pki = Pki::empty().await;
    let files = Files::new();
    files.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=Late -days 90000 \
         -keyout key.pem -out cert.pem",
    );
    let read = |name| String::from_utf8(files.read(name)).unwrap();
    let imported = pki
        .ok(
            "issuers/import/cert",
            json!({"pem_bundle": read("cert.pem")}),
        )
        .await;
    let id = text(&imported["imported_issuers"][0]);
    assert_eq!(imported["mapping"][&id], "");
    assert_eq!(pki.ok_read("config/issuers").await["default"], "");
    let key = pki
        .ok("keys/import", json!({"pem_bundle": read("key.pem")}))
        .await;
    assert_eq!(pki.ok_read("config/issuers").await["default"], id);
    let issuer = pki.ok_read("issuer/default").await;
    assert_eq!(issuer["key_id"], key["key_id"]);
}
