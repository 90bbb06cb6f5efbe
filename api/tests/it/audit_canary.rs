//! No secret reaches the audit log in plain, whatever the request.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use signet_api::call::{Call, Op};
use signet_api::endpoint::Route;
use signet_api::engine::RowInfo;
use signet_api::mount::MountConfig;
use signet_api::params::FieldKind;

use crate::support::{ROOT, Server, call};

const CANARY: &str = "canary-in-the-coal-mine";

/// Names under which answers hand out secrets.
const SECRETS: &[&str] = &[
    "accessor",
    "client_token",
    "key",
    "keys_base64",
    "otp",
    "private_key",
    "random_bytes",
    "role_id",
    "secret_id",
    "secret_id_accessor",
    "token",
    "wrapped_accessor",
];

/// Paths that would end the test early.
const SKIPPED: &[&str] = &["seal", "step-down", "revoke-self"];

#[tokio::test]
async fn no_secret_of_any_request_or_answer_is_logged_in_plain() {
    let server = Server::start().await;
    for kind in ["approle", "jwt", "kubernetes"] {
        server.enable_auth(kind).await;
    }
    let mounts = &server.node.core().unwrap().mounts;
    mounts
        .mount("pki/", "pki", MountConfig::default(), false, false)
        .await
        .unwrap();
    for (path, kind) in [
        ("mounts/kv", "kv-v2"),
        ("mounts/plain", "kv"),
        ("auth/userpass", "userpass"),
        ("auth/cert", "cert"),
    ] {
        let enabled = server
            .write(ROOT, &format!("sys/{path}"), json!({ "type": kind }))
            .await;
        assert_eq!(enabled.0, 204);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let options = json!({"file_path": path.to_str().unwrap()});
    let enabled = json!({"type": "file", "options": options});
    assert_eq!(server.write(ROOT, "sys/audit/canary", enabled).await.0, 204);
    let mut handed_out = BTreeSet::new();
    let mut requests = 0;
    for mount in mounts.all() {
        for row in mount.engine.rows() {
            for route in row.routes {
                if SKIPPED.iter().any(|skipped| route.path.ends_with(skipped)) {
                    continue;
                }
                prepare(&server).await;
                for call in calls(&mount.path, &row, *route) {
                    let answer = server.call(call).await;
                    collect(&answer.1, &mut handed_out);
                    requests += 1;
                }
            }
        }
    }
    prepare(&server).await;
    let login =
        json!({"role_id": format!("{CANARY}-role"), "secret_id": format!("{CANARY}-secret")});
    let answer = server.write("", "auth/approle/login", login).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    collect(&answer.1, &mut handed_out);
    let answer = server
        .write_wrapped(ROOT, CUSTOM, json!({"secret_id": CANARY}), 60)
        .await;
    collect(&answer.1, &mut handed_out);

    // The other mount was configured with canaries, which are no URLs.
    let fresh = json!({"type": "pki"});
    assert_eq!(server.write(ROOT, "sys/mounts/fresh", fresh).await.0, 204);
    let exported = json!({"common_name": format!("{CANARY}.example"), "key_type": "ec"});
    let answer = server
        .write(ROOT, "fresh/root/generate/exported", exported)
        .await;
    assert_eq!(answer.0, 200, "{answer:?}");
    collect(&answer.1, &mut handed_out);

    // Accessors of mounts are no secrets.
    handed_out.retain(|secret| !is_mount_accessor(secret));
    assert!(requests > 100, "{requests}");
    assert!(handed_out.len() > 5, "{handed_out:?}");
    let log = std::fs::read_to_string(path).unwrap();
    assert!(!log.contains("-----BEGIN"), "no PEM, keys least of all");
    for line in log.lines() {
        assert!(!line.contains(CANARY), "{line}");
        for secret in &handed_out {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    assert!(log.lines().count() > requests, "requests were logged");
}

const CUSTOM: &str = "auth/approle/role/name/custom-secret-id";

/// What requests may find: an earlier one may have removed it.
async fn prepare(server: &Server) {
    let role = json!({
        "role_id": format!("{CANARY}-role"), "bind_secret_id": true, "token_type": "service",
        "token_policies": "a", "secret_id_bound_cidrs": "", "token_bound_cidrs": "",
        "token_strictly_bind_ip": false, "secret_id_num_uses": 0, "secret_id_ttl": 0,
        "token_ttl": 0, "token_max_ttl": 0, "token_period": 0, "token_num_uses": 0,
    });
    let answer = server.write(ROOT, "auth/approle/role/name", role).await;
    assert_eq!(answer.0, 204, "{answer:?}");
    let secret_id = json!({"secret_id": format!("{CANARY}-secret")});
    let answer = server.write(ROOT, CUSTOM, secret_id).await;
    assert!(matches!(answer.0, 200 | 400), "{answer:?}");
}

/// Requests with a canary in every field, in the right type and in wrong ones, by callers of every
/// kind.
fn calls(mount_path: &str, row: &RowInfo, route: Route) -> Vec<Call> {
    let segments = route
        .path
        .split('/')
        .map(|segment| match segment.strip_prefix('{') {
            None => segment,
            Some(capture) if capture.contains(":uuid") => "00000000-0000-0000-0000-000000000000",
            Some(capture) if capture.contains(":serial") => "01-02",
            Some(_) => "name",
        });
    let mut path = format!("{mount_path}{}", segments.collect::<Vec<_>>().join("/"));
    if route.op == Op::List && !path.ends_with('/') {
        path.push('/');
    }
    let captured = |name: &str| route.path.contains(&format!("{{{name}"));
    // Their answers are named after the paths that were asked about, and a key is never hidden.
    let is_key = |name: &str| route.path.starts_with("capabilities") && name.starts_with("path");
    let fields = row
        .fields
        .iter()
        .filter(|field| !captured(field.name()) && !is_key(field.name()));
    let right = |kind: FieldKind| match kind {
        FieldKind::Bool => json!(true),
        FieldKind::DurationSecs | FieldKind::Int | FieldKind::Time => json!(60),
        FieldKind::Float => json!(0.5),
        FieldKind::KeyValuePairs | FieldKind::Map => json!({CANARY: CANARY, "key": CANARY}),
        FieldKind::CommaList | FieldKind::StringList => json!([CANARY]),
        FieldKind::Any | FieldKind::String => json!(CANARY),
    };
    let mut right_types = Map::new();
    let mut wrong_types = Map::new();
    for field in fields {
        right_types.insert(field.name().into(), right(field.kind));
        wrong_types.insert(field.name().into(), json!([CANARY, {"key": CANARY}]));
    }
    let strings = right_types
        .keys()
        .map(|name| (name.clone(), json!(format!("{CANARY}-string"))))
        .collect();
    // A key is never hidden; only values are secrets.
    for value in right_types.values_mut() {
        if let Some(map) = value.as_object_mut() {
            map.remove(CANARY);
        }
    }
    let bodies = [
        json!({}),
        Value::Object(right_types),
        Value::Object(strings),
        Value::Object(wrong_types),
    ];
    let mut calls = vec![
        call(route.op, &path, "", bodies[1].clone()),
        call(route.op, &path, &format!("hvs.{CANARY}"), bodies[1].clone()),
    ];
    calls.extend(
        bodies
            .into_iter()
            .map(|body| call(route.op, &path, ROOT, body)),
    );
    calls
}

/// `<kind>_<8 hexadecimal digits>`.
fn is_mount_accessor(text: &str) -> bool {
    text.rsplit_once('_')
        .is_some_and(|(_, id)| id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn collect(value: &Value, secrets: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if SECRETS.contains(&name.as_str()) && text.len() > 8 => {
                        secrets.insert(text.clone());
                    }
                    other => collect(other, secrets),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
        _ => {}
    }
}
