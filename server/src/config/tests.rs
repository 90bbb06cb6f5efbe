use std::fs;

use tracing::level_filters::LevelFilter;

use super::*;

const LISTENER: &str = "listener \"tcp\" { tls_disable = true }\n";
const BASE: &str = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n";

fn load_with(
    text: &str,
    arguments: impl FnOnce(&mut ServerArgs),
    variables: &[(&str, &str)],
) -> Result<Settings, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let mut args = ServerArgs::default();
    if !text.is_empty() {
        let path = directory.path().join("c.hcl");
        fs::write(&path, text).unwrap();
        args.config.push(path);
    }
    arguments(&mut args);
    let environment: Environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    // Places name the file without the directory, which differs from run to run.
    let prefix = format!("{}/", directory.path().display());
    let tidy = |text: String| text.replace(&prefix, "");
    match load(&args, &environment) {
        Ok(settings) => {
            let warnings = settings.warnings.into_iter().map(tidy).collect();
            Ok(Settings {
                warnings,
                ..settings
            })
        }
        Err(ConfigError(errors)) => Err(errors.into_iter().map(tidy).collect()),
    }
}

fn load_text(text: &str) -> Result<Settings, Vec<String>> {
    load_with(text, |_| {}, &[])
}

#[test]
fn takes_what_the_clients_test_suite_writes() {
    let settings = load_text(
        r#"
        backend "inmem" {
        }
        listener "tcp" {
          tls_cert_file = "server-cert.pem"
          tls_key_file  = "server-key.pem"
          address = "127.0.0.1:8201"
        }
        disable_mlock = true
        default_lease_ttl = "768h"
        max_lease_ttl = "768h"
        "#,
    )
    .unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert_eq!(settings.storage.name, "inmem");
    let tls = settings.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Path::new("server-cert.pem"));
    assert_eq!(tls.clients, ClientCertificates::Ask { hints: None });
    assert_eq!(settings.system_ttl.max_secs, 2_764_800);
}

#[test]
fn reads_every_kind_of_setting() {
    let settings = load_text(
        r#"{
          "storage": {"redb": {"path": "/d", "cache_bytes": 1024}},
          "listener": [
            {"tcp": {
              "address": "0.0.0.0:1", "tls_cert_file": "c", "tls_key_file": "k",
              "tls_min_version": "tls13", "tls_require_and_verify_client_cert": "true",
              "tls_client_ca_file": "ca", "http_idle_timeout": "1m", "http_read_header_timeout": 5,
              "max_request_size": 1000, "max_request_duration": "10s", "http_read_timeout": "3s",
              "x_forwarded_for_authorized_addrs": "10.0.0.0/8, 127.0.0.1",
              "x_forwarded_for_hop_skips": "1", "x_forwarded_for_reject_not_present": "false",
              "custom_response_headers": {"default": {"X-A": ["1", "2"]}, "4xx": {"X-B": "3"}}
            }},
            {"unix": {"address": "/s", "socket_mode": "660"}}
          ],
          "cluster_name": "n", "api_addr": "https://x:1", "pid_file": "/p", "log_level": "Debug", "rsa_keys_ahead": 200,
          "log_format": "json", "log_file": "/l", "log_rotate_bytes": 10, "log_rotate_max_files": -1,
          "max_lease_ttl": "30d", "default_lease_ttl": "1h",
          "user_lockout": {"all": {"lockout_threshold": "7"}, "approle": {"lockout_duration": "1m"}},
          "audit": {"file": {"a": {"options": {"file_path": "/a", "log_raw": true}}}}
        }"#,
    )
    .unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert_eq!(settings.rsa_keys_ahead, 200);
    let engine = Engine::Redb {
        directory: "/d".into(),
        cache_bytes: 1024,
    };
    assert_eq!(
        settings.storage,
        Storage {
            engine,
            name: "redb"
        }
    );
    let [tcp, unix] = settings.listeners.as_slice() else {
        panic!("two listeners")
    };
    assert_eq!(
        tcp.bind,
        Bind::Tcp {
            host: "0.0.0.0".into(),
            port: 1
        }
    );
    let tls = tcp.tls.as_ref().unwrap();
    assert_eq!(tls.versions, Versions::Tls13);
    assert_eq!(
        tls.clients,
        ClientCertificates::Require {
            authorities: "ca".into()
        }
    );
    assert_eq!(tcp.connections.idle, Duration::from_mins(1));
    assert_eq!(tcp.connections.header_read, Duration::from_secs(5));
    let limits = tcp.policy.limits;
    assert_eq!(limits.body_bytes, 1000);
    assert_eq!(limits.duration, Duration::from_secs(10));
    assert_eq!(limits.body_read, Duration::from_secs(3));
    let forwarded = tcp.policy.forwarded.as_ref().unwrap();
    assert_eq!((forwarded.authorized.len(), forwarded.hop_skips), (2, 1));
    assert!(forwarded.reject_not_authorized && !forwarded.reject_not_present);
    let Bind::Unix(socket) = &unix.bind else {
        panic!("a socket")
    };
    assert_eq!(socket.mode, Some(0o660));
    assert_eq!(settings.log.level, LevelFilter::DEBUG);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.log.file.unwrap().keep, Keep::Last(0));
    assert_eq!(
        (
            settings.system_ttl.default_secs,
            settings.system_ttl.max_secs
        ),
        (3600, 2_592_000)
    );
    let lockout = settings.user_lockout;
    assert_eq!(
        (lockout.default.threshold, lockout.default.duration_secs),
        (7, 900)
    );
    let approle = &lockout.by_kind["approle"];
    assert_eq!((approle.threshold, approle.duration_secs), (7, 60));
    let device = &settings.declared.audit[0];
    assert_eq!((device.kind.as_str(), device.path.as_str()), ("file", "a"));
    assert_eq!(device.options["log_raw"], "true");
}

#[test]
fn warns_of_what_has_no_effect() {
    for (extra, warning) in [
        (
            "bogus = 1",
            "unknown or unsupported field bogus found in configuration at c.hcl:3:1",
        ),
        (
            "ui = true",
            "c.hcl:3:1: ui is not supported and has no effect",
        ),
        (
            "service_registration \"kubernetes\" {}",
            "c.hcl:3:1: service_registration is not supported and has no effect",
        ),
        (
            "telemetry { disable_hostname = true }",
            "c.hcl:3:13: disable_hostname is not supported and has no effect",
        ),
        (
            "telemetry { statsd_address = \"x\" }",
            "c.hcl:3:13: statsd_address is not supported and has no effect",
        ),
        (
            "user_lockout \"all\" { x = 1 }",
            "unknown or unsupported field x found in configuration at c.hcl:3:22",
        ),
        (
            "listener \"tcp\" { tls_disable = 1\n  nope = 2 }",
            "unknown or unsupported field nope found in configuration at c.hcl:4:3",
        ),
        (
            "listener \"tcp\" { tls_cert_file = \"c\" tls_key_file = \"k\" tls_min_version = \"tls10\" }",
            "c.hcl:3:57: tls_min_version below tls12 is not supported; tls12 is used",
        ),
    ] {
        let settings = load_text(&format!("{BASE}{extra}")).unwrap();
        assert_eq!(settings.warnings, [warning], "{extra}");
    }
    for harmless in [
        "ui = false",
        "disable_mlock = true",
        "cluster_addr = \"https://x:8201\"",
        "raw_storage_endpoint = false",
    ] {
        let settings = load_text(&format!("{BASE}{harmless}")).unwrap();
        assert_eq!(settings.warnings, Vec::<String>::new(), "{harmless}");
    }
}

#[test]
fn keeps_foreign_storage_types_in_the_embedded_engine_and_says_so() {
    for kind in ["file", "raft"] {
        let text = format!("storage \"{kind}\" {{ path = \"/nowhere/d\" }}\n{LISTENER}");
        let settings = load_text(&text).unwrap();
        assert_eq!(settings.storage, Storage::redb("/nowhere/d".into()));
        assert_eq!(settings.warnings.len(), 1, "{kind}");
    }
}

#[test]
fn refuses_what_would_be_dangerous_to_pass_over() {
    let tls = "tls_cert_file = \"c\" tls_key_file = \"k\"";
    for (text, error) in [
        (format!("listener \"tcp\" {{ {tls} tls_require_and_verify_client_cert = true }}"), "needs tls_client_ca_file"),
        (
            format!("listener \"tcp\" {{ {tls} tls_client_ca_file = \"a\" tls_require_and_verify_client_cert = true tls_disable_client_certs = true }}"),
            "mutually exclusive",
        ),
        ("listener \"tcp\" { tls_disable = true tls_require_and_verify_client_cert = true }".into(), "cannot hold with tls_disable"),
        ("listener \"tcp\" { }".into(), "tls_cert_file and tls_key_file must be given"),
        (format!("listener \"tcp\" {{ {tls} tls_max_version = \"tls11\" }}"), "tls_max_version below tls12"),
        (format!("listener \"tcp\" {{ {tls} tls_min_version = \"ssl3\" }}"), "unknown TLS version"),
        (format!("listener \"tcp\" {{ {tls} tls_cipher_suites = \"TLS_NOPE\" }}"), "unsupported cipher"),
        (format!("listener \"tcp\" {{ {tls} tls_cipher_suites = \"TLS_RSA_WITH_AES_128_CBC_SHA\" }}"), "leaves no suite"),
        ("listener \"tcp\" { tls_disable = 1 proxy_protocol_behavior = \"use_always\" }".into(), "proxy_protocol_behavior is not supported"),
        ("listener \"tcp\" { tls_disable = 1 chroot_namespace = \"ns1\" }".into(), "there are no namespaces"),
        ("listener \"tcp\" { tls_disable = 1 redact_version = true }".into(), "redact_version is not supported"),
        ("listener \"tcp\" { tls_disable = 1 x_forwarded_for_authorized_addrs = \"x\" }".into(), "no IP address or CIDR"),
        ("listener \"tcp\" { tls_disable = 1 address = \"{{ GetPrivateIP }}\" }".into(), "templates are not supported"),
        ("listener \"tcp\" { tls_disable = \"maybe\" }".into(), "must be true or false"),
        ("listener \"tcp\" { tls_disable = 1 http_idle_timeout = \"soon\" }".into(), "time: invalid duration"),
        ("listener \"unix\" { }".into(), "needs an address"),
        ("listener \"unix\" { address = \"/s\" socket_mode = \"999\" }".into(), "octal"),
        ("listener \"smoke\" { }".into(), "unsupported listener type"),
        ("seal \"awskms\" { }".into(), "seal \"awskms\" is not supported"),
        ("seal \"static\" { }".into(), "needs current_key_id and current_key"),
        ("seal \"static\" { current_key_id = \"a\" current_key = \"short\" }".into(), "key must be 32 bytes"),
        ("seal \"static\" { current_key_id = \"a\" current_key = \"env://NOT_SET\" }".into(), "NOT_SET is not set"),
        ("initialize \"x\" {}".into(), "initialize is not supported"),
        ("max_lease_ttl = \"1h\"\ndefault_lease_ttl = \"2h\"".into(), "longer than max_lease_ttl"),
        ("log_level = \"loud\"".into(), "log level must be"),
        ("user_lockout \"oidc\" {}".into(), "user_lockout is for"),
        ("listener \"tcp\" { tls_disable = 1 custom_response_headers { \"200\" = { \"X-Vault-X\" = \"1\" } } }".into(), "cannot be set"),
        ("storage \"inmem\" {}".into(), "only one storage block"),
        ("telemetry = 5".into(), "telemetry must be a block"),
        ("a = ".into(), "c.hcl:3:"),
    ] {
        let errors = load_text(&format!("{BASE}{text}")).unwrap_err();
        assert!(errors.iter().any(|found| found.contains(error)), "{text}: {errors:?}");
    }
    for (storage, error) in [
        (
            "consul",
            "storage \"consul\" is not supported: this server keeps its data in an embedded store",
        ),
        ("postgresql", "storage \"postgresql\" is not supported"),
        ("bogus", "unknown storage type bogus"),
        ("redb", "storage \"redb\" needs a path"),
    ] {
        let errors = load_text(&format!("storage \"{storage}\" {{}}\n{LISTENER}")).unwrap_err();
        assert!(errors[0].contains(error), "{errors:?}");
    }
}

#[test]
fn refuses_a_directory_with_the_data_of_another_server() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vault.db"), "").unwrap();
    let path = directory.path().display();
    let errors = load_text(&format!(
        "storage \"raft\" {{ path = \"{path}\" }}\n{LISTENER}"
    ))
    .unwrap_err();
    assert!(errors[0].contains("data of another server"), "{errors:?}");
}

#[test]
fn shows_all_faults_at_once() {
    let errors =
        load_text("listener \"tcp\" { tls_disable = 3 }\nmax_lease_ttl = \"x\"").unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
}

#[test]
fn a_static_key_comes_from_text_environment_or_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, [0xff; 32]).unwrap();
    let hex = "ab".repeat(32);
    for source in [
        hex.as_str(),
        "env://KEY",
        &format!("file://{}", file.display()),
    ] {
        let text = format!(
            "{BASE}seal \"static\" {{ current_key_id = \"k1\" current_key = \"{source}\" }}"
        );
        let settings = load_with(&text, |_| {}, &[("KEY", &hex)]).unwrap();
        assert_eq!(settings.seal.unwrap().current.id, "k1", "{source}");
    }
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let text = format!("{BASE}log_level = \"error\"\napi_addr = \"http://file\"");
    let settings = load_text(&text).unwrap();
    assert_eq!(settings.log.level, LevelFilter::ERROR);
    let variables = [
        ("VAULT_LOG_LEVEL", "warn"),
        ("BAO_API_ADDR", "http://environment"),
    ];
    let settings = load_with(&text, |_| {}, &variables).unwrap();
    assert_eq!(settings.log.level, LevelFilter::WARN);
    assert_eq!(settings.api_addr.as_deref(), Some("http://environment"));
    let flag = |args: &mut ServerArgs| args.log_level = Some("trace".into());
    let settings = load_with(&text, flag, &variables).unwrap();
    assert_eq!(settings.log.level, LevelFilter::TRACE);
}

#[test]
fn unknown_acme_clients_are_shut_out_unless_the_environment_clearly_says_no() {
    let is_disabled = |variables: &[(&str, &str)]| {
        let settings = load_with(BASE, |_| {}, variables).unwrap();
        settings.is_public_acme_disabled
    };
    assert!(!is_disabled(&[]));
    for name in ["BAO_DISABLE_PUBLIC_ACME", "VAULT_DISABLE_PUBLIC_ACME"] {
        for (value, expected) in [("true", true), ("1", true), ("yes", true), ("false", false)] {
            assert_eq!(is_disabled(&[(name, value)]), expected, "{name}={value}");
        }
    }
}

#[test]
fn a_directory_stands_for_its_files_in_order() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("10.json"),
        r#"{"cluster_name": "first"}"#,
    )
    .unwrap();
    fs::write(directory.path().join("20.hcl"), "cluster_name = \"second\"").unwrap();
    fs::write(directory.path().join("30.txt"), "not = read").unwrap();
    let add = |args: &mut ServerArgs| args.config.push(directory.path().into());
    let settings = load_with(BASE, add, &[]).unwrap();
    assert_eq!(settings.cluster_name, "second");
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn dev_needs_no_file_and_takes_one() {
    let dev = |args: &mut ServerArgs| args.dev = true;
    let variables = [
        ("VAULT_DEV_ROOT_TOKEN_ID", "v"),
        ("BAO_DEV_ROOT_TOKEN_ID", "b"),
        ("HOME", "/h"),
    ];
    let settings = load_with("", dev, &variables).unwrap();
    let asked = settings.dev.unwrap();
    assert_eq!(asked.root_token.unwrap().as_str(), "b");
    assert_eq!(asked.token_home.unwrap(), Path::new("/h"));
    assert_eq!(
        settings.listeners[0].bind,
        Bind::Tcp {
            host: "127.0.0.1".into(),
            port: 8200
        }
    );

    let settings = load_with(
        "listener \"tcp\" { address = \":1\" tls_disable = 1 }",
        dev,
        &[],
    )
    .unwrap();
    assert_eq!(settings.listeners.len(), 2);
    let errors = load_with("storage \"redb\" { path = \"/x\" }", dev, &[]).unwrap_err();
    assert!(
        errors[0].contains("-dev keeps its data in memory"),
        "{errors:?}"
    );
}

#[test]
fn refuses_flags_of_clusters_in_a_clear_sentence() {
    let set: [fn(&mut ServerArgs); 3] = [
        |args| args.dev_ha = true,
        |args| args.dev_three_node = true,
        |args| args.dev_cluster_json = Some("x".into()),
    ];
    for set in set {
        let errors = load_with(
            "",
            |args| {
                args.dev = true;
                set(args);
            },
            &[],
        )
        .unwrap_err();
        assert!(
            errors[0].contains("this server has no clusters"),
            "{errors:?}"
        );
    }
    let errors = load_with("", |_| {}, &[]).unwrap_err();
    assert!(errors[0].contains("-config"), "{errors:?}");
}

#[test]
fn a_listener_for_distribution_has_no_other_purpose() {
    let with = |purpose: &str| {
        load_text(&format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  tls_disable = true\n  purpose = {purpose}\n}}\n"
        ))
    };
    for (purpose, only_distribution) in [
        (r#""pki_distribution""#, true),
        (r#"["pki_distribution"]"#, true),
        (r#""api""#, false),
        (r#"["api", "cluster"]"#, false),
    ] {
        let settings = with(purpose).unwrap();
        let restrictions = settings.listeners[0].policy.restrictions;
        assert_eq!(
            restrictions.only_distribution, only_distribution,
            "{purpose}"
        );
    }
    assert_eq!(
        with(r#"["api", "pki_distribution"]"#).unwrap_err(),
        ["c.hcl:4:3: a listener whose purpose is \"pki_distribution\" has no other"]
    );
}
