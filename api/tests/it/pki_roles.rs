//! `roles/`: replaced by a write, changed by a patch.

use serde_json::{Value, json};

use crate::pki_fixture::Pki;
use crate::support::{ROOT, error};

impl Pki {
    async fn patch_role(&self, data: Value) -> (u16, Value) {
        self.server.patch(ROOT, "pki/roles/r", data).await
    }

    async fn role(&self) -> Value {
        self.ok_read("roles/r").await
    }
}

#[tokio::test]
async fn a_role_of_defaults_has_every_field() {
    let pki = Pki::start().await;
    let written = pki.ok("roles/r", json!({})).await;
    let read = pki.role().await;
    assert_eq!(written, read);
    assert_eq!(read.as_object().unwrap().len(), 52);
    for (field, value) in [
        ("allow_localhost", json!(true)),
        ("allowed_domains", json!([])),
        ("cn_validations", json!(["email", "hostname"])),
        ("issuer_ref", json!("default")),
        ("key_bits", json!(2048)),
        ("key_type", json!("rsa")),
        (
            "key_usage",
            json!(["DigitalSignature", "KeyAgreement", "KeyEncipherment"]),
        ),
        ("not_after_bound", json!("permit")),
        ("not_before_duration", json!(30)),
        ("require_cn", json!(true)),
        ("ttl", json!(0)),
    ] {
        assert_eq!(read[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_write_replaces_and_a_patch_changes_one_thing() {
    let pki = Pki::start().await;
    let full = pki
        .ok(
            "roles/r",
            json!({"ttl": "1h", "allowed_domains": "a.com, b.com", "key_type": "ec"}),
        )
        .await;
    assert_eq!(
        (&full["ttl"], &full["key_bits"]),
        (&json!(3600), &json!(256))
    );
    let mut expected = full.clone();
    for (field, given, shown) in [
        ("allow_subdomains", json!("true"), json!(true)),
        ("allowed_domains", json!(["c.com"]), json!(["c.com"])),
        ("max_ttl", json!("2h"), json!(7200)),
        ("ttl", json!(null), json!(0)),
        ("organization", json!("x,y"), json!(["x", "y"])),
        ("require_cn", json!(null), json!(false)),
        ("key_usage", json!(null), json!([])),
        ("not_before_duration", json!("1m"), json!(60)),
        ("not_before_duration", json!(null), json!(30)),
    ] {
        let (status, body) = pki.patch_role(json!({field: given})).await;
        assert_eq!(status, 200, "{field}: {body}");
        expected[field] = shown;
        assert_eq!(body["data"], expected, "{field}");
    }
    assert_eq!(pki.role().await, expected);
    let replaced = pki.ok("roles/r", json!({"ttl": 5})).await;
    assert_eq!(replaced["allowed_domains"], json!([]));
    assert_eq!(replaced["key_type"], "rsa");
}

#[tokio::test]
async fn null_is_the_zero_value_and_not_the_default() {
    let pki = Pki::start().await;
    let role = pki
        .ok("roles/r", json!({"allow_localhost": null, "key_usage": null, "not_before_duration": null, "ttl": null}))
        .await;
    assert_eq!(role["allow_localhost"], false);
    assert_eq!(role["key_usage"], json!([]));
    assert_eq!(
        (&role["not_before_duration"], &role["ttl"]),
        (&json!(30), &json!(0))
    );
    assert_eq!(
        pki.refused("roles/r", json!({"key_type": null})).await,
        (400, "unknown key type ".to_owned())
    );
}

#[tokio::test]
async fn patching_a_role_that_is_not_there_is_refused() {
    let pki = Pki::start().await;
    let answer = pki.patch_role(json!({"ttl": 5})).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "Unable to fetch role entry to patch")
    );
}

#[tokio::test]
async fn a_patch_is_checked_as_a_whole() {
    let pki = Pki::start().await;
    pki.ok(
        "roles/r",
        json!({"key_type": "ec", "key_bits": 256, "max_ttl": "1h"}),
    )
    .await;
    let answer = pki.patch_role(json!({"key_type": "rsa"})).await;
    let text = "RSA keys < 2048 bits are unsafe and not supported: got 256";
    assert_eq!((answer.0, error(&answer)), (400, text));
    let answer = pki.patch_role(json!({"ttl": "2h"})).await;
    let text = "\"ttl\" value must be less than \"max_ttl\" value";
    assert_eq!((answer.0, error(&answer)), (400, text));
    assert_eq!(
        pki.patch_role(json!({"key_type": "rsa", "key_bits": 0}))
            .await
            .0,
        200
    );
    assert_eq!(pki.patch_role(json!({"ttl": "1h"})).await.0, 200);
}

#[tokio::test]
async fn warns_of_leases_and_of_issuers_that_are_not_there() {
    let pki = Pki::empty().await;
    let warnings = |data: Value| async { pki.write("roles/r", data).await.1["warnings"].clone() };
    let no_default = "Issuing Certificate was set to default, but no default issuing certificate \
                      (configurable at /config/issuers) is currently set";
    assert_eq!(warnings(json!({})).await, json!([no_default]));
    assert_eq!(
        warnings(json!({"issuer_ref": "x"})).await,
        json!([
            "Issuing Certificate was set to x but no issuing certificate currently has that name"
        ])
    );
    let leases = warnings(json!({"generate_lease": true})).await;
    assert!(
        leases[0]
            .as_str()
            .unwrap()
            .starts_with("it is encouraged to disable generate_lease")
    );
    let both = json!({"generate_lease": true, "no_store": true});
    let (_, body) = pki.write("roles/r", both).await;
    assert_eq!(body["data"]["generate_lease"], false);
    assert_eq!(
        body["warnings"][0],
        "mutually exclusive values no_store=true and generate_lease=true were both specified; \
         no_store=true takes priority"
    );
}

#[tokio::test]
async fn roles_are_listed_and_deleted() {
    let pki = Pki::empty().await;
    assert_eq!(
        pki.server.list(ROOT, "pki/roles").await,
        (404, json!({"errors": []}))
    );
    for name in ["zz", "ZZ", "a..b", "1"] {
        pki.ok(&format!("roles/{name}"), json!({})).await;
    }
    let (_, body) = pki.server.list(ROOT, "pki/roles").await;
    assert_eq!(body["data"]["keys"], json!(["1", "ZZ", "a..b", "zz"]));
    for _ in 0..2 {
        assert_eq!(pki.server.delete(ROOT, "pki/roles/zz").await.0, 204);
    }
    assert_eq!(pki.read("roles/zz").await, (404, json!({"errors": []})));
    for name in ["a@b", "-a", "a-", "ünï"] {
        assert_eq!(
            pki.write(&format!("roles/{name}"), json!({})).await.0,
            404,
            "{name}"
        );
    }
}
