//! The chain that the quick start builds: root, intermediate, leaf.

use serde_json::{Value, json};
use signet_api::mount::MountConfig;

use crate::support::{ROOT, Server};

async fn ok(server: &Server, path: &str, data: Value) -> Value {
    let (status, body) = server.write(ROOT, path, data).await;
    assert!(status == 200 || status == 204, "{path}: {status} {body}");
    body["data"].clone()
}

#[tokio::test]
async fn a_leaf_chains_to_the_root_through_the_intermediate() {
    let server = Server::start().await;
    for path in ["pki/", "pki_int/"] {
        let mounts = &server.node.core().unwrap().mounts;
        mounts
            .mount(path, "pki", MountConfig::default(), false, false)
            .await
            .unwrap();
    }
    let root = ok(
        &server,
        "pki/root/generate/internal",
        json!({"common_name": "Root", "key_type": "ec", "issuer_name": "root", "ttl": "700h"}),
    )
    .await;
    let csr = ok(
        &server,
        "pki_int/intermediate/generate/internal",
        json!({"common_name": "Intermediate", "key_type": "ec"}),
    )
    .await;
    let signed = ok(
        &server,
        "pki/root/sign-intermediate",
        json!({"csr": csr["csr"], "common_name": "Intermediate", "format": "pem_bundle", "ttl": "600h"}),
    )
    .await;
    let imported = ok(
        &server,
        "pki_int/intermediate/set-signed",
        json!({"certificate": signed["certificate"]}),
    )
    .await;
    assert_eq!(imported["imported_issuers"].as_array().unwrap().len(), 2);
    ok(
        &server,
        "pki_int/roles/web",
        json!({"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec"}),
    )
    .await;
    let leaf = ok(
        &server,
        "pki_int/issue/web",
        json!({"common_name": "a.example.com", "ttl": "24h"}),
    )
    .await;
    assert_eq!(leaf["issuing_ca"], leaf["ca_chain"][0]);
    assert_eq!(leaf["ca_chain"][1], root["certificate"]);
    assert!(
        leaf["private_key"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN EC PRIVATE KEY-----")
    );
}
