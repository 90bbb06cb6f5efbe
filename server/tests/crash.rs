//! Killing a persistent server in the middle of its work loses nothing that it acknowledged.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use support::Server;

/// What the server acknowledged before it was killed.
#[derive(Default)]
struct Acknowledged {
    serials: Mutex<Vec<String>>,
    tokens: Mutex<Vec<String>>,
    revoked: Mutex<Vec<String>>,
}

#[test]
fn nothing_acknowledged_is_missing_after_kill_and_restart() {
    let mut server = Server::persistent();
    prepare(&server);
    let acknowledged = Acknowledged::default();
    for round in 0..3 {
        work_until_killed(
            &server,
            &acknowledged,
            Duration::from_millis(400 + 150 * round),
        );
        server.kill_and_restart();
        server.unseal();
        check(&server, &acknowledged);
    }
    let issued = acknowledged.serials.lock().unwrap().len();
    let revoked = acknowledged.revoked.lock().unwrap().len();
    assert!(
        issued > 10 && revoked > 0,
        "{issued} issued, {revoked} revoked"
    );
}

fn prepare(server: &Server) {
    let ok = |path: &str, body: &Value| {
        let (status, answer) = server.post(&server.token, path, body);
        assert!(matches!(status, 200 | 204), "{path}: {answer}");
        answer
    };
    ok("/v1/sys/mounts/pki", &json!({"type": "pki"}));
    let root = json!({"common_name": "Root", "key_type": "ec", "ttl": "8760h"});
    ok("/v1/pki/root/generate/internal", &root);
    let role = json!({"allow_any_name": true, "key_type": "ec", "ttl": "1h"});
    ok("/v1/pki/roles/web", &role);
}

/// Several clients work; after `time` the server is gone, wherever it was.
fn work_until_killed(server: &Server, acknowledged: &Acknowledged, time: Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    if work(server, acknowledged, worker).is_none() {
                        return;
                    }
                }
            });
        }
        std::thread::sleep(time);
        server.kill();
        stop.store(true, Ordering::SeqCst);
    });
}

/// `None` when the connection broke: whether that request counted is open.
fn work(server: &Server, acknowledged: &Acknowledged, worker: usize) -> Option<()> {
    let token = &server.token;
    let name = json!({"common_name": "a.example.com"});
    let (status, answer) = server.try_post(token, "/v1/pki/issue/web", &name)?;
    assert_eq!(status, 200, "{answer}");
    let serial = answer["data"]["serial_number"].as_str().unwrap().to_owned();
    acknowledged.serials.lock().unwrap().push(serial.clone());
    if worker == 0 {
        let revoke = json!({"serial_number": serial});
        let (status, answer) = server.try_post(token, "/v1/pki/revoke", &revoke)?;
        assert_eq!(status, 200, "{answer}");
        acknowledged.revoked.lock().unwrap().push(serial);
    } else {
        let child = json!({"policies": ["default"], "ttl": "1h"});
        let (status, answer) = server.try_post(token, "/v1/auth/token/create", &child)?;
        assert_eq!(status, 200, "{answer}");
        let child = answer["auth"]["client_token"].as_str().unwrap().to_owned();
        acknowledged.tokens.lock().unwrap().push(child);
    }
    Some(())
}

fn check(server: &Server, acknowledged: &Acknowledged) {
    for serial in acknowledged.serials.lock().unwrap().iter() {
        let (status, _) = server.get("", &format!("/v1/pki/cert/{serial}"));
        assert_eq!(status, 200, "certificate {serial} is missing");
    }
    for token in acknowledged.tokens.lock().unwrap().iter() {
        let (status, _) = server.get(token, "/v1/auth/token/lookup-self");
        assert_eq!(status, 200, "a token is missing");
    }
    let revoked = acknowledged.revoked.lock().unwrap();
    for serial in revoked.iter() {
        let (_, answer) = server.get("", &format!("/v1/pki/cert/{serial}"));
        assert_ne!(
            answer["data"]["revocation_time"], 0,
            "{serial} is not revoked"
        );
    }
    let (_, answer) = server.get("", "/v1/pki/cert/crl");
    server
        .scratch
        .write("crl.pem", answer["data"]["certificate"].as_str().unwrap());
    let path = server.scratch.path("crl.pem");
    let crl = support::openssl(&["crl", "-in", &path, "-noout", "-text"]).to_lowercase();
    for serial in revoked.iter() {
        assert!(
            crl.contains(&serial.replace(':', "")),
            "{serial} is not on the CRL"
        );
    }
}
