//! From start to end, on disk.

use std::io::Write as _;
use std::path::Path;

use crate::support::{Server, ask, is_closed, read_answer, refusal};

const KEY: &str = "abababababababababababababababababababababababababababababababab";

fn write_config(directory: &Path, extra: &str) -> String {
    let config = directory.join("c.hcl");
    let data = directory.join("data");
    let text = format!(
        "storage \"redb\" {{ path = \"{}\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n{extra}\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    format!("-config={}", config.display())
}

#[test]
fn requests_under_way_finish_before_the_end() {
    let mut server = Server::dev();
    let mut idle = server.connect();
    assert_eq!(ask(&mut idle, "GET", "/v1/sys/health", "").status, 200);
    let mut busy = server.connect();
    let head = "POST /v1/cubbyhole/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    busy.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request is under way.
    assert_eq!(read_answer(&mut busy, false).status, 100);
    server.signal("TERM");
    assert!(is_closed(&mut idle));
    busy.write_all(b"{\"a\":1}").unwrap();
    assert_eq!(read_answer(&mut busy, false).status, 204);
    assert!(server.wait().success());
}

#[test]
fn a_second_signal_ends_the_wait() {
    let mut server = Server::dev();
    let mut busy = server.connect();
    let head = "POST /v1/cubbyhole/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    busy.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut busy, false).status, 100);
    server.signal("INT");
    server.wait_for_log("shutting down");
    server.signal("INT");
    server.wait();
    assert!(
        server.log().contains("stopped without waiting"),
        "{}",
        server.log()
    );
}

#[test]
fn a_new_server_is_sealed_and_not_initialized() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let config = write_config(directory.path(), &format!("pid_file = {pid:?}"));
    let server = Server::start(&[&config]);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 501);
    assert_eq!(server.ask("GET", "/v1/sys/mounts", "").status, 503);
    assert!(
        std::fs::read_to_string(&pid)
            .unwrap()
            .parse::<u32>()
            .is_ok()
    );
    server.stop();
    assert!(!pid.exists());
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), "");
    let first = Server::start(&[&config]);
    let text = refusal(&[&config]);
    assert!(text.contains("in use by another process"), "{text}");
    first.stop();
}

#[test]
fn faults_of_a_configuration_come_with_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(
        directory.path(),
        "max_lease_ttl = \"x\"\nlog_level = \"loud\"",
    );
    let text = refusal(&[&config]);
    assert!(text.contains("error loading configuration:"), "{text}");
    assert!(
        text.contains("c.hcl:3:1: max_lease_ttl: time: invalid duration"),
        "{text}"
    );
    assert!(text.contains("log level must be"), "{text}");
}

#[test]
fn a_store_with_key_shares_is_not_opened_by_a_static_seal() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let dev = Server::start(&[
        "-dev",
        "-dev-root-token-id=root",
        "-dev-listen-address=127.0.0.1:0",
        &format!("-dev-storage-path={}", data.display()),
    ]);
    dev.stop();
    let seal = format!("seal \"static\" {{ current_key_id = \"k\" current_key = \"{KEY}\" }}");
    let text = refusal(&[&write_config(directory.path(), &seal)]);
    assert!(text.contains("initialized with key shares"), "{text}");
}

#[test]
fn hangup_reloads_the_level_and_the_log_file_and_user2_diagnoses() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("server.log");
    let with_level = |level: &str| {
        write_config(
            directory.path(),
            &format!("log_level = \"{level}\"\nlog_file = {log:?}\nlog_format = \"json\""),
        )
    };
    let server = Server::start(&[&with_level("info")]);
    server.signal("USR2");
    server.wait_for_log("diagnostics");
    assert!(
        server.log().contains("\"@module\":\"core\""),
        "{}",
        server.log()
    );

    let moved = directory.path().join("moved.log");
    std::fs::rename(&log, &moved).unwrap();
    with_level("error");
    server.signal("HUP");
    crate::support::wait_until(
        || log.exists(),
        || "the log file was not opened again".into(),
    );
    // Now at level error nothing is said of the next two.
    with_level("nonsense");
    server.signal("HUP");
    server.wait_for_log("configuration not reloaded");
    let server_log = server.log();
    assert!(
        !server_log.contains("configuration reloaded"),
        "{server_log}"
    );
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("not reloaded")
    );
    server.stop();
}

#[test]
fn clients_cannot_forge_lines_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&[&write_config(directory.path(), "log_level = \"trace\"")]);
    server.ask(
        "GET",
        "/v1/a%0A2026-01-01T00:00:00.000Z%20[INFO]%20%20core:%20forged",
        "",
    );
    server.ask("GET", "/v1/sys/health?x=%0Aforged", "");
    server.signal("USR2");
    server.wait_for_log("diagnostics");
    assert!(
        server
            .log()
            .lines()
            .all(|line| line.starts_with("20") && !line.contains(" core: forged")),
        "{}",
        server.log()
    );
    assert!(!server.log().contains("X-Vault-Token"));
    server.stop();
}

#[test]
fn a_static_seal_opens_the_store_at_every_start_and_can_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let first = format!("seal \"static\" {{ current_key_id = \"k1\" current_key = \"{KEY}\" }}");
    let server = Server::start(&[&write_config(directory.path(), &first)]);
    let status = server.ask("GET", "/v1/sys/seal-status", "").body;
    assert!(status.contains("\"type\":\"static\""), "{status}");
    let made = server.ask("PUT", "/v1/sys/init", "{}");
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();

    let server = Server::start(&[&write_config(directory.path(), &first)]);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();

    let new_key = "cd".repeat(32);
    let second = format!(
        "seal \"static\" {{ current_key_id = \"k2\" current_key = \"{new_key}\"\n\
         previous_key_id = \"k1\" previous_key = \"{KEY}\" }}"
    );
    let server = Server::start(&[&write_config(directory.path(), &second)]);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();
    refusal(&[&write_config(directory.path(), &first)]);
    let text = refusal(&[&write_config(directory.path(), "")]);
    assert!(
        text.contains("the configuration has no seal block"),
        "{text}"
    );
}

#[test]
fn declared_audit_devices_log_from_the_first_request_and_follow_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("audit.log");
    let extra = format!(
        "seal \"static\" {{ current_key_id = \"k\" current_key = \"{KEY}\" }}\n\
         audit \"file\" \"main/\" {{ options {{ file_path = \"{}\" }} }}",
        log.display()
    );
    let config = write_config(directory.path(), &extra);
    for _ in 0..2 {
        let server = Server::start(&[&config]);
        server.ask("PUT", "/v1/sys/init", "{}");
        server.ask("GET", "/v1/cubbyhole/seen", "");
        assert!(
            std::fs::read_to_string(&log)
                .unwrap()
                .contains("cubbyhole/seen")
        );
        std::fs::rename(&log, directory.path().join("old")).unwrap();
        server.signal("HUP");
        server.wait_for_log("configuration reloaded");
        server.ask("GET", "/v1/cubbyhole/again", "");
        assert!(
            std::fs::read_to_string(&log)
                .unwrap()
                .contains("cubbyhole/again")
        );
        server.stop();
    }
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let elsewhere = config.replace("c.hcl", "d.hcl");
    let text = std::fs::read_to_string(directory.path().join("c.hcl")).unwrap();
    std::fs::write(
        directory.path().join("d.hcl"),
        text.replace("main/", "other/"),
    )
    .unwrap();
    assert!(refusal(&[&elsewhere]).contains("unable to open"));
}
