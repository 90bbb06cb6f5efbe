//! `-dev` in all its forms.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Server, after, refusal};

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn prints_what_scripts_look_for_and_stores_the_token() {
    let server = Server::dev();
    let api = format!("http://{}", server.address);
    for line in [
        format!("    $ export VAULT_ADDR='{api}'"),
        format!("    $ export BAO_ADDR='{api}'"),
        "Root Token: root".into(),
        "==> Signet server started!".into(),
    ] {
        assert!(server.banner.contains(&line), "{line}\n{}", server.banner);
    }
    assert_eq!(after(&server.banner, "Unseal Key: ").len(), 44);
    let token = server.home().join(".vault-token");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), "root");
    assert_eq!(mode(&token), 0o600);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();
}

#[test]
fn takes_token_and_address_from_the_environment() {
    let server = Server::start_in(
        &["-dev", "-dev-no-store-token"],
        &[
            ("VAULT_DEV_ROOT_TOKEN_ID", "root"),
            ("BAO_DEV_LISTEN_ADDRESS", "127.0.0.1:0"),
        ],
    );
    assert_eq!(
        server.ask("POST", "/v1/cubbyhole/a", r#"{"a":1}"#).status,
        204
    );
    assert!(!server.home().join(".vault-token").exists());
    server.stop();
}

#[test]
fn makes_a_root_token_when_none_is_given() {
    let server = Server::start(&["-dev", "-dev-listen-address=127.0.0.1:0"]);
    let token = after(&server.banner, "Root Token: ");
    assert!(token.starts_with("hvs.") && token.len() == 28, "{token}");
    server.stop();
}

#[test]
fn data_and_keys_survive_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = format!("-dev-storage-path={}", data.display());
    let listen = "-dev-listen-address=127.0.0.1:0";
    let first = Server::start(&["-dev", "-dev-root-token-id=root", listen, &path]);
    assert_eq!(
        first
            .ask("POST", "/v1/cubbyhole/a", r#"{"kept":"yes"}"#)
            .status,
        204
    );
    let key = after(&first.banner, "Unseal Key: ");
    assert!(
        first.banner.contains("dev-keys.json (mode 0600)"),
        "{}",
        first.banner
    );
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(data.join("dev-keys.json")), 0o600);
    // Not a clean end: dropping kills the process.
    drop(first);

    let second = Server::start(&["-dev", listen, &path]);
    assert_eq!(after(&second.banner, "Unseal Key: "), key);
    assert_eq!(after(&second.banner, "Root Token: "), "root");
    assert!(
        second
            .ask("GET", "/v1/cubbyhole/a", "")
            .body
            .contains(r#""kept":"yes""#)
    );
    second.stop();

    let third = Server::start(&["-dev", "-dev-root-token-id=other", listen, &path]);
    assert_eq!(after(&third.banner, "Root Token: "), "other");
    assert!(
        third
            .ask("GET", "/v1/cubbyhole/a", "")
            .body
            .contains(r#""kept":"yes""#)
    );
    third.stop();
}

#[test]
fn secrets_have_a_place_with_versions_or_without() {
    let server = Server::dev();
    let written = server.ask("POST", "/v1/secret/data/a", r#"{"data":{"k":"v"}}"#);
    assert!(written.body.contains("\"version\":1"), "{}", written.body);
    server.stop();
    let server = Server::start(&[
        "-dev",
        "-dev-kv-v1",
        "-dev-root-token-id=root",
        "-dev-listen-address=127.0.0.1:0",
    ]);
    assert_eq!(
        server.ask("POST", "/v1/secret/a", r#"{"k":"v"}"#).status,
        204
    );
    let mount = server.ask("GET", "/v1/sys/mounts/secret", "").body;
    assert!(mount.contains(r#""options":{"version":"1"}"#), "{mount}");
    server.stop();
    assert!(refusal(&["-dev-kv-v1"]).contains("-dev-kv-v1 needs -dev"));
}

#[test]
fn refuses_what_it_has_not_in_one_sentence() {
    for flag in ["-dev-ha", "-dev-three-node"] {
        let text = refusal(&["-dev", flag]);
        assert!(
            text.contains("is not supported: this server has no clusters"),
            "{text}"
        );
    }
    let text = refusal(&[]);
    assert!(
        text.contains("must specify at least one config path"),
        "{text}"
    );
    let text = refusal(&["-dev", "-dev-listen-address=127.0.0.1:99999"]);
    assert!(text.contains("invalid port"), "{text}");
}

#[test]
fn a_config_file_adds_to_dev() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let config = directory.path().join("c.hcl");
    let text = format!(
        "cluster_name = \"mine\"\nbogus = 1\nlistener \"unix\" {{ address = {socket:?} socket_mode = \"600\" }}"
    );
    std::fs::write(&config, text).unwrap();
    let config = format!("-config={}", config.display());
    let server = Server::start(&[
        "-dev",
        "-dev-root-token-id=root",
        "-dev-listen-address=127.0.0.1:0",
        &config,
    ]);
    assert!(
        server
            .log()
            .contains("[WARN]  core: unknown or unsupported field bogus found in configuration at")
    );
    assert_eq!(mode(&socket), 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let answer = crate::support::ask(&mut stream, "GET", "/v1/sys/health", "");
    assert!(
        answer.body.contains("\"cluster_name\":\"mine\""),
        "{}",
        answer.body
    );
    drop(stream);
    server.stop();
    assert!(!socket.exists());
}
