//! The roots of a mount as its clients are to trust them.

use serde_json::json;
use signet_api::secrets::pki::root_bundle;

use crate::pki_fixture::{Pki, text};

async fn bundle(pki: &Pki, path: &str) -> Result<String, String> {
    let core = pki.server.node.core().unwrap();
    root_bundle(&core, path)
        .await
        .map_err(|error| error.text(false))
}

#[tokio::test]
async fn holds_every_root_once_in_an_order_that_does_not_depend_on_the_default() {
    let pki = Pki::start().await;
    assert_eq!(
        bundle(&pki, "pki").await.unwrap(),
        format!("{}\n", pki.root)
    );
    let second = pki
        .ok(
            "root/rotate/internal",
            json!({"common_name": "Root 2", "key_type": "ec", "issuer_name": "second", "ttl": "87600h"}),
        )
        .await;
    let both = bundle(&pki, "pki").await.unwrap();
    assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    for root in [&pki.root, &text(&second["certificate"])] {
        assert!(both.contains(&format!("{root}\n")), "{both}");
    }
    pki.ok("root/replace", json!({"default": "second"})).await;
    assert_eq!(bundle(&pki, "pki").await.unwrap(), both);
    pki.server.restart().await;
    assert_eq!(bundle(&pki, "pki").await.unwrap(), both);
    pki.ok("issuer/root/revoke", json!({})).await;
    let left = bundle(&pki, "pki").await.unwrap();
    assert_eq!(left, format!("{}\n", text(&second["certificate"])));
}

#[tokio::test]
async fn is_refused_where_there_is_none() {
    let pki = Pki::empty().await;
    let refused = bundle(&pki, "pki").await.unwrap_err();
    assert!(
        refused.contains("no issuer of pki/ is self-signed"),
        "{refused}"
    );
    for path in ["pki_int", "sys", "pki/issuer", ""] {
        let refused = bundle(&pki, path).await.unwrap_err();
        assert!(refused.contains("no PKI mount"), "{path}: {refused}");
    }
}
