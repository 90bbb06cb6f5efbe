//! Certificates and keys from elsewhere, alone and at the same time.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::Op;

use crate::pki_fixture::{Files, Pki, text};
use crate::support::{ROOT, call};

/// A root and its key.
fn foreign_root(name: &str) -> (String, String) {
    let files = Files::new();
    files.openssl(&format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -days 90000 \
         -keyout key.pem -out cert.pem"
    ));
    let read = |name| String::from_utf8(files.read(name)).unwrap();
    (read("cert.pem"), read("key.pem"))
}

#[tokio::test]
async fn importing_again_finds_what_is_there() {
    let pki = Pki::empty().await;
    let (certificate, key) = foreign_root("Foreign");
    let bundle = json!({"pem_bundle": format!("{certificate}{key}")});
    let first = pki.ok("config/ca", bundle.clone()).await;
    let issuer = text(&first["imported_issuers"][0]);
    let key = text(&first["imported_keys"][0]);
    assert_eq!(first["mapping"], json!({ &issuer: key }));
    assert_eq!(
        (&first["existing_issuers"], &first["existing_keys"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(pki.ok_read("config/issuers").await["default"], issuer);
    assert_eq!(
        pki.ok_read("issuer/default").await["revocation_signature_algorithm"],
        ""
    );
    let again = pki.ok("issuers/import/bundle", bundle.clone()).await;
    assert_eq!(
        again,
        json!({
            "imported_issuers": null,
            "imported_keys": null,
            "existing_issuers": [issuer],
            "existing_keys": [key],
            "mapping": { &issuer: key },
        })
    );
    pki.server.delete(ROOT, "pki/root").await;
    let anew = pki.ok("config/ca", bundle).await;
    assert_ne!(anew["imported_issuers"][0], json!(issuer));
    let chain = pki.fetch("ca_chain").await;
    assert_eq!(chain.body, certificate.trim_end());
}

#[tokio::test]
async fn the_first_issuer_with_a_key_becomes_the_default() {
    let pki = Pki::empty().await;
    let (root, _) = foreign_root("Keyless");
    let (one, one_key) = foreign_root("One");
    let (two, two_key) = foreign_root("Two");
    let bundle = format!("{root}{one}{one_key}{two}{two_key}");
    let (_, body) = pki
        .write("issuers/import/bundle", json!({"pem_bundle": bundle}))
        .await;
    let ids = &body["data"]["imported_issuers"];
    assert_eq!(pki.ok_read("config/issuers").await["default"], ids[1]);
    assert_eq!(
        text(&body["warnings"][0]),
        "The imported bundle contained multiple certs matching keys, the default issuer that was \
         selected should be verified and manually changed if incorrect."
    );
    let follow = json!({"default": ids[1], "default_follows_latest_issuer": true});
    pki.ok("config/issuers", follow).await;
    let (three, three_key) = foreign_root("Three");
    let (four, four_key) = foreign_root("Four");
    let bundle = format!("{three}{three_key}{four}{four_key}");
    let (_, body) = pki
        .write("issuers/import/bundle", json!({"pem_bundle": bundle}))
        .await;
    assert_eq!(
        text(&body["warnings"][0]),
        "Default issuer left unchanged: could not select new issuer automatically as multiple \
         imported issuers had key material in Vault."
    );
    assert_eq!(pki.ok_read("config/issuers").await["default"], ids[1]);
}

#[tokio::test]
async fn a_bundle_is_imported_whole_or_not_at_all() {
    let pki = Pki::start().await;
    let (certificate, key) = foreign_root("Foreign");
    let leaf = text(&pki.issue("a.example.com").await["certificate"]) + "\n";
    let request = Files::new();
    request.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout k.pem -out csr.pem");
    let request = String::from_utf8(request.read("csr.pem")).unwrap();
    let keys_refused = "private keys found in the PEM bundle but not allowed by the path; use \
                        /issuers/import/bundle";
    let too_short = "provided data for import was too short; perhaps a path was passed to the API \
                     rather than the contents of a PEM file";
    for (path, bundle, start) in [
        (
            "config/ca",
            String::new(),
            "'pem_bundle' and 'certificate' parameters were empty",
        ),
        ("config/ca", "/ca.pem".into(), too_short),
        (
            "issuers/import/cert",
            format!("{certificate}{key}"),
            keys_refused,
        ),
        (
            "intermediate/set-signed",
            format!("{certificate}{key}"),
            keys_refused,
        ),
        (
            "issuers/import/bundle",
            format!("{certificate}{leaf}"),
            "Error parsing issuer 1: Refusing to import non-CA certificate\n-----BEGIN",
        ),
        (
            "issuers/import/bundle",
            format!("{certificate}{request}"),
            "Error parsing key 0: failed to parse PEM block: got errors attempting to parse DER",
        ),
        (
            "issuers/import/bundle",
            format!("{certificate}junk"),
            "error when parsing block 2: invalid PEM data",
        ),
    ] {
        let refused = pki.refused(path, json!({"pem_bundle": bundle})).await;
        assert_eq!(refused.0, 400);
        assert!(refused.1.starts_with(start), "{path} {}", refused.1);
    }
    let listed = pki.server.list(ROOT, "pki/issuers").await.1;
    assert_eq!(listed["data"]["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_signed_bundle_may_come_backwards() {
    let root = Pki::start().await;
    let pki = Pki::empty().await;
    let csr = pki
        .ok(
            "intermediate/generate/internal",
            json!({"common_name": "Int", "key_type": "ec"}),
        )
        .await;
    let signed = root
        .ok(
            "root/sign-intermediate",
            json!({"csr": csr["csr"], "common_name": "Int", "ttl": "1000h"}),
        )
        .await;
    let backwards = format!("{}\n{}", root.root, text(&signed["certificate"]));
    let imported = pki
        .ok("intermediate/set-signed", json!({"certificate": backwards}))
        .await;
    let issuer = text(&imported["imported_issuers"][1]);
    assert_eq!(imported["mapping"][&issuer], csr["key_id"]);
    assert_eq!(pki.ok_read("config/issuers").await["default"], issuer);
    pki.ok(
        "roles/web",
        json!({"allow_any_name": true, "key_type": "ec"}),
    )
    .await;
    let leaf = pki
        .ok(
            "issue/web",
            json!({"common_name": "a.example.com", "ttl": "1h"}),
        )
        .await;
    let files = Files::new();
    files.write("root.pem", &root.root);
    files.write("int.pem", text(&leaf["issuing_ca"]));
    files.write("leaf.pem", text(&leaf["certificate"]));
    files.openssl("verify -attime 1800000060 -CAfile root.pem -untrusted int.pem leaf.pem");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn imports_at_the_same_time_lose_nothing() {
    const IMPORTS: usize = 12;
    let pki = Arc::new(Pki::empty().await);
    let tasks: Vec<_> = (0..IMPORTS)
        .map(|number| {
            let pki = pki.clone();
            let (certificate, key) = foreign_root(&format!("CA{number}"));
            tokio::spawn(async move {
                let bundle = json!({"pem_bundle": format!("{certificate}{key}")});
                pki.ok("issuers/import/bundle", bundle).await
            })
        })
        .collect();
    let mut mapping = serde_json::Map::new();
    for task in tasks {
        let imported = task.await.unwrap();
        mapping.extend(imported["mapping"].as_object().unwrap().clone());
    }
    assert_eq!(mapping.len(), IMPORTS);
    let listed = pki.server.list(ROOT, "pki/issuers").await.1["data"]["key_info"].clone();
    let listed = listed.as_object().unwrap();
    assert_eq!(listed.len(), IMPORTS);
    let mut defaults = 0;
    for (id, info) in listed {
        assert_eq!(info["key_id"], mapping[id]);
        defaults += usize::from(info["is_default"] == true);
    }
    assert_eq!(defaults, 1);
    let keys = pki.server.list(ROOT, "pki/keys").await.1;
    assert_eq!(keys["data"]["keys"].as_array().unwrap().len(), IMPORTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_import_twice_at_the_same_time_is_one() {
    let pki = Arc::new(Pki::empty().await);
    let (certificate, key) = foreign_root("Once");
    let bundle = json!({"pem_bundle": format!("{certificate}{key}")});
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (pki, bundle) = (pki.clone(), bundle.clone());
            tokio::spawn(async move { pki.ok("config/ca", bundle).await })
        })
        .collect();
    let mut imported = 0;
    for task in tasks {
        imported += usize::from(!task.await.unwrap()["imported_issuers"].is_null());
    }
    assert_eq!(imported, 1);
    let keys = pki.server.list(ROOT, "pki/keys").await.1;
    assert_eq!(keys["data"]["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_renamings_to_one_name_one_is_refused() {
    let pki = Arc::new(Pki::start().await);
    let root = json!({"common_name": "Two", "key_type": "ec", "issuer_name": "two"});
    pki.ok("root/generate/internal", root).await;
    let rename = |from: &'static str| {
        let pki = pki.clone();
        tokio::spawn(async move {
            let data = json!({"issuer_name": "wanted"});
            let call = call(Op::Patch, &format!("pki/issuer/{from}"), ROOT, data);
            pki.server.call(call).await.0
        })
    };
    let (one, two) = (rename("root"), rename("two"));
    let mut statuses = [one.await.unwrap(), two.await.unwrap()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}
