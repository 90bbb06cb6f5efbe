//! The PKI commands of another product's client against this server.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Client, Server};

fn with_two_mounts(client: &Client) {
    for mount in ["pki", "int"] {
        client.ok(&["secrets", "enable", &format!("-path={mount}"), "pki"]);
        client.ok(&["secrets", "tune", "-max-lease-ttl=87600h", mount]);
    }
    client.ok(&[
        "write",
        "pki/root/generate/internal",
        "common_name=Root",
        "issuer_name=root",
        "key_type=ec",
        "ttl=87000h",
    ]);
}

#[test]
fn its_commands_make_and_compare_authorities() {
    let server = Server::dev();
    let client = Client::bao(&server);
    with_two_mounts(&client);
    client.ok(&[
        "pki",
        "issue",
        "-issuer_name=a",
        "pki/issuer/root",
        "int",
        "common_name=A",
        "ttl=8000h",
        "key_type=ec",
    ]);
    client.ok(&[
        "pki",
        "reissue",
        "-issuer_name=b",
        "-type=existing",
        "pki/issuer/root",
        "int/issuer/a",
        "int",
        "ttl=9000h",
    ]);
    let verified = client.json(&[
        "pki",
        "verify-sign",
        "-format=json",
        "pki/issuer/root",
        "int/issuer/b",
    ]);
    let fields = verified.as_object().unwrap();
    assert_eq!(fields.len(), 5);
    assert!(fields.values().all(|value| value == true), "{verified}");
    let list = client.json(&[
        "pki",
        "list-intermediates",
        "-use_names",
        "-format=json",
        "pki/issuer/root",
    ]);
    for path in ["int/issuer/a", "int/issuer/b", "pki/issuer/root"] {
        assert_eq!(list.get(path).unwrap(), true, "{list}");
    }
}

#[test]
fn its_health_check_finds_nothing_that_it_cannot_check() {
    let server = Server::dev();
    let client = Client::bao(&server);
    with_two_mounts(&client);
    client.ok(&[
        "write",
        "pki/roles/r",
        "allow_localhost=false",
        "no_store=true",
    ]);
    let arguments = ["pki", "health-check", "-format=json", "pki"];
    let (code, stdout, stderr) = client.run(&arguments);
    // Tidying has never run, which is critical.
    assert_eq!(code, 4, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let checks = report.as_object().unwrap();
    assert!(checks.len() > 10, "{report}");
    for (name, results) in checks {
        for result in results.as_array().unwrap() {
            let status = result.get("status").unwrap().as_str().unwrap();
            assert!(
                !matches!(
                    status,
                    "insufficient_permissions" | "invalid_version" | "unknown"
                ),
                "{name}: {result}"
            );
        }
    }
    let of = |name: &str| {
        checks
            .get(name)
            .unwrap()
            .get(0)
            .unwrap()
            .get("status")
            .unwrap()
            .clone()
    };
    for name in [
        "ca_validity_period",
        "crl_validity_period",
        "root_issued_leaves",
    ] {
        assert_eq!(of(name), "ok", "{name}");
    }
}
