use super::super::section::Place;
use super::*;

fn read_text(text: &str) -> Result<IstioCsr, Vec<String>> {
    let place = Place {
        file: "c.hcl".into(),
        line: 1,
        column: 1,
    };
    let mut report = Report::default();
    let section = Section::new(place, signet_api::hcl::read(text).unwrap());
    let read = read(section, &mut report);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    match read {
        Some(config) if report.errors.is_empty() => Ok(config),
        _ => Err(report.errors),
    }
}

const LEAST: &str = "mount = \"pki\"\nrole = \"mesh\"\ndns_names = [\"istiod\"]\n\
                     authenticator \"client_certificate\" {}\n";

#[test]
fn what_is_not_said_has_its_default() {
    let config = read_text(LEAST).unwrap();
    let port = 15_012;
    let host = "0.0.0.0".to_owned();
    assert_eq!(config.bind, Bind::Tcp { host, port });
    assert_eq!(config.mount, "pki/");
    assert_eq!(config.trust_domain.to_string(), "cluster.local");
    assert_eq!(config.mode, CsrMode::Strict);
    let lifetimes = (config.default_ttl_secs, config.max_ttl_secs);
    assert_eq!(lifetimes, (86_400, 86_400));
    assert!(config.clamp_ttl && config.client_certificates);
    assert_eq!(config.ttl_jitter_percent, 0);
    assert!(config.trusted_node_accounts.is_empty() && config.tokens.is_empty());
    let short = read_text(&format!("{LEAST}max_ttl = \"1h\"")).unwrap();
    assert_eq!(short.default_ttl_secs, 3600, "no longer than the maximum");
}

#[test]
fn every_setting_is_read() {
    let config = read_text(
        r#"
        address = "127.0.0.1:15013"  mount = "/pki_int_ca/"  role = "mesh"
        trust_domain = "td@example.com"  dns_names = "a, b"  mode = "overwrite"
        default_ttl = "1h"  max_ttl = 7200  max_ttl_behavior = "error"
        ttl_jitter_percent = 5  serving_ttl = "12h"  max_connections = 10  max_requests = 20
        trusted_node_accounts = ["istio-system/ztunnel"]
        authenticator "kubernetes" { cluster_id = "east" host = "https://k" token_file = "t" }
        authenticator "kubernetes" { audiences = ["x"] }
        authenticator "jwks" { url = "https://k/jwks" ca_file = "ca" issuer = "i"
          nodes { node-1 = ["web/front", "web/back"] } }
        "#,
    )
    .unwrap();
    assert_eq!(config.mount, "pki_int_ca/");
    assert_eq!(config.trust_domain.to_string(), "td.example.com");
    let lifetimes = (config.default_ttl_secs, config.max_ttl_secs);
    assert_eq!(lifetimes, (3600, 7200));
    assert!(!config.clamp_ttl && config.mode == CsrMode::Overwrite);
    let ServingSettings { names, ttl_secs } = &config.serving;
    assert_eq!((names.len(), *ttl_secs), (2, 43_200));
    let MeshLimits {
        connections,
        requests,
    } = config.limits;
    assert_eq!((connections, requests), (10, 20));
    let [
        TokenAuthenticator::Kubernetes(east),
        TokenAuthenticator::Kubernetes(local),
        TokenAuthenticator::Jwks(jwks),
    ] = config.tokens.as_slice()
    else {
        panic!("{:?}", config.tokens);
    };
    assert_eq!(east.cluster_id, "east");
    assert_eq!(east.audiences, ["istio-ca"]);
    assert_eq!(local.cluster_id, "Kubernetes");
    assert_eq!(local.audiences, ["x"]);
    assert_eq!(jwks.nodes.0["node-1"].len(), 2);
}

#[test]
fn faults_are_refused_with_their_place() {
    for (more, fault) in [
        ("bogus = 1", "c.hcl:5:1: istio_csr has no key bogus"),
        ("max_ttl = \"soon\"", "c.hcl:5:1: max_ttl: "),
        ("max_ttl = \"10ms\"", "max_ttl must be at least a second"),
        (
            "default_ttl = \"48h\"",
            "default_ttl is longer than max_ttl",
        ),
        (
            "mode = \"lax\"",
            "mode must be \"strict\" or \"overwrite\", not \"lax\"",
        ),
        ("trust_domain = \"A B\"", "\"A B\" is not a trust domain"),
        (
            "trusted_node_accounts = [\"ztunnel\"]",
            "\"ztunnel\" is not a service account",
        ),
        (
            "ttl_jitter_percent = 21",
            "ttl_jitter_percent is at most 20",
        ),
        ("max_requests = 0", "max_requests must be more than 0"),
        ("address = \"a:b\"", "address: invalid port"),
        (
            "authenticator \"oidc\" {}",
            "there is no authenticator \"oidc\"",
        ),
        (
            "authenticator \"client_certificate\" {}",
            "two authenticators are",
        ),
        (
            "authenticator \"jwks\" { issuer = \"i\" }",
            "needs file or url",
        ),
        ("authenticator \"jwks\" { file = \"f\" }", "needs issuer"),
        (
            "authenticator \"jwks\" { file = \"f\" issuer = \"i\" typo = 1 }",
            "authenticator \"jwks\" has no key typo",
        ),
        (
            "authenticator \"jwks\" { file = \"f\" issuer = \"i\" audiences = [] }",
            "audiences must not be empty",
        ),
        (
            "authenticator \"kubernetes\" { host = \"k:6443\" }",
            "host must be a URL, not \"k:6443\"",
        ),
        (
            "authenticator \"kubernetes\" {}\nauthenticator \"kubernetes\" {}",
            "two authenticators have the cluster_id \"Kubernetes\"",
        ),
    ] {
        let errors = read_text(&format!("{LEAST}{more}")).unwrap_err();
        assert!(
            errors.iter().any(|error| error.contains(fault)),
            "{errors:?}"
        );
    }
    let errors = read_text("").unwrap_err();
    for key in ["mount", "role", "dns_names"] {
        let fault = format!("istio_csr needs {key}");
        assert!(
            errors.iter().any(|error| error.contains(&fault)),
            "{errors:?}"
        );
    }
    let lonely = LEAST.replace("authenticator \"client_certificate\" {}", "");
    let errors = read_text(&lonely).unwrap_err();
    assert_eq!(
        errors,
        ["c.hcl:1:1: istio_csr needs an authenticator block"]
    );
}
