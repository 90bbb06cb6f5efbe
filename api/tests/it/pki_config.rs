//! Configuration: URLs, the cluster's address, default issuer and default key.

use serde_json::{Value, json};

use crate::pki_fixture::{Pki, text};

#[tokio::test]
async fn urls_are_merged_and_cleared() {
    let pki = Pki::empty().await;
    assert_eq!(
        pki.ok_read("config/urls").await,
        json!({
            "issuing_certificates": [],
            "crl_distribution_points": [],
            "delta_crl_distribution_points": [],
            "ocsp_servers": [],
            "enable_templating": false,
        })
    );
    pki.ok(
        "config/urls",
        json!({"issuing_certificates": "http://a/,ldap://b/cn=x"}),
    )
    .await;
    let merged = pki
        .ok("config/urls", json!({"ocsp_servers": ["http://o"]}))
        .await;
    assert_eq!(
        merged["issuing_certificates"],
        json!(["http://a/", "ldap://b/cn=x"])
    );
    assert_eq!(merged["ocsp_servers"], json!(["http://o"]));
    let cleared = pki
        .ok("config/urls", json!({"issuing_certificates": ""}))
        .await;
    assert_eq!(cleared["issuing_certificates"], json!([]));
    assert_eq!(pki.ok_read("config/urls").await, cleared);
    for parameter in [
        "issuing_certificates",
        "crl_distribution_points",
        "delta_crl_distribution_points",
        "ocsp_servers",
    ] {
        let refused = pki
            .refused("config/urls", json!({ parameter: "foo" }))
            .await;
        let text = format!(
            "invalid URL found in Authority Information Access (AIA) parameter {parameter}: foo"
        );
        assert_eq!(refused, (400, text));
    }
}

#[tokio::test]
async fn templates_are_tried_when_they_are_configured() {
    let pki = Pki::start().await;
    let template = json!({
        "issuing_certificates": "{{cluster_aia_path}}/issuer/{{issuer_id}}/der",
        "enable_templating": true,
    });
    let (status, body) = pki.write("config/urls", template).await;
    assert_eq!(status, 200);
    assert_eq!(
        body["warnings"],
        json!([
            "issuance may fail: unable to template AIA URLs as we lack local cluster address \
             information (aia_path)\n\nConsider setting the cluster-local address if it is not \
             already set."
        ])
    );
    pki.ok(
        "config/cluster",
        json!({"aia_path": "http://pki.example.com"}),
    )
    .await;
    let (_, body) = pki.write("config/urls", json!({})).await;
    assert_eq!(body["warnings"], Value::Null);
    let refused = pki
        .refused("config/urls", json!({"enable_templating": false}))
        .await;
    assert_eq!(refused.0, 400);
}

#[tokio::test]
async fn the_address_of_the_cluster_has_to_be_one() {
    let pki = Pki::empty().await;
    for (data, text) in [
        (
            json!({"path": "foo"}),
            "invalid, non-URL path given to cluster: foo",
        ),
        (
            json!({"aia_path": ""}),
            "invalid, non-URL aia_path given to cluster: ",
        ),
    ] {
        assert_eq!(
            pki.refused("config/cluster", data).await,
            (400, text.into())
        );
    }
    pki.ok("config/cluster", json!({"path": "https://a/v1/pki"}))
        .await;
    let merged = pki
        .ok("config/cluster", json!({"aia_path": "http://b/v1/pki"}))
        .await;
    assert_eq!(
        merged,
        json!({"path": "https://a/v1/pki", "aia_path": "http://b/v1/pki"})
    );
    assert_eq!(pki.ok_read("config/cluster").await, merged);
}

#[tokio::test]
async fn defaults_are_chosen_by_reference() {
    let pki = Pki::start().await;
    let second =
        json!({"common_name": "Two", "key_type": "ec", "issuer_name": "two", "key_name": "key"});
    let second = pki.ok("root/generate/internal", second).await;
    let chosen = pki.ok("config/issuers", json!({"default": "two"})).await;
    let expected = json!({"default": second["issuer_id"], "default_follows_latest_issuer": false});
    assert_eq!(chosen, expected);
    assert_eq!(pki.ok_read("config/issuers").await, expected);
    let chosen = pki.ok("config/keys", json!({"default": "key"})).await;
    assert_eq!(chosen, json!({"default": second["key_id"]}));
    assert_eq!(pki.ok_read("config/keys").await, chosen);

    let no_issuer = "Invalid issuer specification; must be non-empty and can't be 'default'.";
    let no_key = "Invalid key specification; must be non-empty and can't be 'default'.";
    let unknown_issuer =
        "Error resolving issuer reference: unable to find PKI issuer for reference: none";
    let unknown_key =
        "Error resolving issuer reference: unable to find PKI key for reference: none";
    for (path, data, text) in [
        ("config/issuers", json!({}), no_issuer),
        (
            "config/issuers",
            json!({"default_follows_latest_issuer": true}),
            no_issuer,
        ),
        ("config/issuers", json!({"default": "Default"}), no_issuer),
        ("config/issuers", json!({"default": "none"}), unknown_issuer),
        ("root/replace", json!({"default": ""}), no_issuer),
        ("root/replace", json!({"default": "none"}), unknown_issuer),
        ("config/keys", json!({}), no_key),
        ("config/keys", json!({"default": "none"}), unknown_key),
    ] {
        assert_eq!(pki.refused(path, data).await, (400, text.into()), "{path}");
    }
}

#[tokio::test]
async fn a_default_without_a_key_is_warned_of() {
    let pki = Pki::start().await;
    let other = Pki::start().await;
    let imported = pki
        .ok("issuers/import/cert", json!({"pem_bundle": other.root}))
        .await;
    let id = text(&imported["imported_issuers"][0]);
    let (_, body) = pki.write("config/issuers", json!({"default": id})).await;
    let warning = text(&body["warnings"][0]);
    assert!(warning.starts_with("This selected default issuer has no key associated with it."));
    let (_, body) = pki
        .write("issuers/import/cert", json!({"pem_bundle": other.root}))
        .await;
    let warning = text(&body["warnings"][0]);
    assert!(warning.starts_with("The default issuer has no key associated with it."));
}

#[tokio::test]
async fn the_default_follows_the_latest_issuer_where_that_is_wanted() {
    let pki = Pki::start().await;
    let follow = json!({"default": "root", "default_follows_latest_issuer": true});
    pki.ok("config/issuers", follow).await;
    let root = json!({"common_name": "Two", "key_type": "ec"});
    let second = pki.ok("root/generate/internal", root.clone()).await;
    let default = async || pki.ok_read("config/issuers").await["default"].clone();
    assert_eq!(default().await, second["issuer_id"]);

    pki.server
        .delete(crate::support::ROOT, "pki/issuer/root")
        .await;
    assert_eq!(default().await, second["issuer_id"]);
    let again = pki
        .ok("issuers/import/cert", json!({"pem_bundle": pki.root}))
        .await;
    assert_eq!(default().await, again["imported_issuers"][0]);

    let stay = json!({"default": second["issuer_id"], "default_follows_latest_issuer": false});
    pki.ok("config/issuers", stay).await;
    pki.ok("root/generate/internal", root).await;
    assert_eq!(default().await, second["issuer_id"]);
}
