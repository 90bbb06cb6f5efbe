//! What holds for every endpoint of every engine, read off the tables themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::Op;
use signet_api::endpoint::{Access, Route};
use signet_api::engine::RowInfo;
use signet_api::mount::Mount;
use signet_api::registry;
use signet_api::route::capture_names;

use crate::support::{Answer, ROOT, Server, call, error};

/// A server with every kind of engine mounted, and all its mounts.
async fn server_with_everything() -> (Server, Vec<Arc<Mount>>) {
    let server = Server::start().await;
    let secrets = registry::secrets_engines()
        .into_iter()
        .map(|kind| ("mounts", kind));
    let auth = registry::auth_methods()
        .into_iter()
        .map(|kind| ("auth", kind));
    for (class, kind) in secrets.chain(auth) {
        let path = format!("sys/{class}/test-{kind}");
        let answer = server.write(ROOT, &path, json!({ "type": kind })).await;
        assert_eq!(answer.0, 204, "{kind}: {answer:?}");
    }
    for kind in ["generic", "kv-v2"] {
        let path = format!("sys/mounts/test-{kind}");
        assert_eq!(
            server.write(ROOT, &path, json!({ "type": kind })).await.0,
            204
        );
    }
    let mounts = server.node.core().unwrap().mounts.all();
    (server, mounts)
}

fn routes(mounts: &[Arc<Mount>]) -> Vec<(&Mount, RowInfo, Route)> {
    let mut all = Vec::new();
    for mount in mounts {
        for row in mount.engine.rows() {
            all.extend(row.routes.iter().map(|route| (mount.as_ref(), row, *route)));
        }
    }
    all
}

/// A path that the route matches.
fn example(mount: &Mount, route: &Route) -> String {
    let segments: Vec<&str> = route
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| match segment.strip_suffix('}') {
            None => segment,
            Some(capture) if capture.ends_with(":serial") => "3a:01",
            Some(capture) if capture.ends_with(":uuid") => "00000000-0000-0000-0000-000000000000",
            Some(_) => "example",
        })
        .collect();
    let slash = if route.op == Op::List { "/" } else { "" };
    let path = format!("{}{}", mount.path, segments.join("/"));
    format!("{}{slash}", path.trim_end_matches('/'))
}

/// Whether the path asks for a wrapping token before it asks who calls; `wrapping` tests it.
fn takes_wrapping_token(route: &Route) -> bool {
    matches!(route.path, "wrapping/unwrap" | "wrapping/rewrap")
}

async fn try_route(server: &Server, mount: &Mount, route: &Route, token: &str) -> Answer {
    let path = example(mount, route);
    server.call(call(route.op, &path, token, Value::Null)).await
}

#[tokio::test]
async fn every_capture_is_a_parameter() {
    let (_server, mounts) = server_with_everything().await;
    let mut lost = Vec::new();
    for (mount, row, route) in routes(&mounts) {
        if row.fields.is_empty() && mount.kind() == "kv" {
            // Whatever the caller sends is stored.
            continue;
        }
        let known: BTreeSet<&str> = row
            .fields
            .iter()
            .map(signet_api::params::Field::name)
            .collect();
        let missing: Vec<&str> = capture_names(route.path)
            .filter(|capture| !known.contains(capture))
            .collect();
        if !missing.is_empty() {
            lost.push(format!(
                "{} {:?} {}: {missing:?}",
                mount.kind(),
                route.op,
                route.path
            ));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[tokio::test]
async fn no_route_is_declared_twice() {
    let (_server, mounts) = server_with_everything().await;
    let mut seen = BTreeMap::new();
    let mut twice = Vec::new();
    for (mount, _, route) in routes(&mounts) {
        // Captures of one kind match the same paths, whatever their names.
        let shape: Vec<&str> = route
            .path
            .split('/')
            .map(|segment| match segment.strip_suffix('}') {
                None => segment,
                Some(capture) => capture.split_once(':').map_or("{}", |(_, kind)| kind),
            })
            .collect();
        let key = (mount.path.clone(), route.op, shape.join("/"));
        if let Some(first) = seen.insert(key, route.path) {
            twice.push(format!(
                "{} {:?} {first} and {}",
                mount.kind(),
                route.op,
                route.path
            ));
        }
    }
    assert!(twice.is_empty(), "{twice:#?}");
}

#[tokio::test]
async fn every_route_is_found_by_a_path_of_its_own() {
    let (_server, mounts) = server_with_everything().await;
    let mut hidden = Vec::new();
    for (mount, _, route) in routes(&mounts) {
        let path = example(mount, &route);
        let relative = path
            .strip_prefix(&mount.path)
            .unwrap_or_default()
            .trim_end_matches('/');
        match mount.engine.find(route.op, relative) {
            signet_api::route::Found::Route(found, _) if found.route.path == route.path => {}
            found => hidden.push(format!(
                "{} {:?} {}: {found:?}",
                mount.kind(),
                route.op,
                route.path
            )),
        }
    }
    assert!(hidden.is_empty(), "{hidden:#?}");
}

#[tokio::test]
async fn every_row_and_every_field_has_a_help_text() {
    let (_server, mounts) = server_with_everything().await;
    let mut mute = BTreeSet::new();
    for (mount, row, route) in routes(&mounts) {
        if row.help.trim().is_empty() {
            mute.insert(format!("{} {}", mount.kind(), route.path));
        }
        for field in row.fields.iter().filter(|field| field.help().is_empty()) {
            mute.insert(format!("{} {}: {}", mount.kind(), route.path, field.name()));
        }
    }
    assert!(mute.is_empty(), "{mute:#?}");
}

#[tokio::test]
async fn routes_that_take_a_wrapping_token_take_no_other() {
    let (server, mounts) = server_with_everything().await;
    let rules = r#"path "elsewhere" { capabilities = ["read"] }"#;
    let token = server.token_with("elsewhere", rules).await;
    let text = "wrapping token is not valid or does not exist";
    let unknown = (400, text.to_owned());
    let text = "error validating wrapping token: token is empty";
    let refused = [(403, text.to_owned()), unknown.clone(), unknown];
    for (mount, _, route) in routes(&mounts) {
        if !takes_wrapping_token(&route) {
            continue;
        }
        let mut answers = Vec::new();
        for token in ["", "hvs.unknown", &token] {
            let answer = try_route(&server, mount, &route, token).await;
            answers.push((answer.0, error(&answer).to_owned()));
        }
        assert_eq!(answers, refused, "{}", route.path);
    }
}

#[tokio::test]
async fn routes_with_a_token_refuse_callers_without_one() {
    let (server, mounts) = server_with_everything().await;
    for (mount, _, route) in routes(&mounts) {
        if !route.access.needs_token() || takes_wrapping_token(&route) {
            continue;
        }
        for token in ["", "hvs.unknown"] {
            let answer = try_route(&server, mount, &route, token).await;
            let shown = format!("{} {:?} {}", mount.kind(), route.op, route.path);
            assert_eq!(
                (answer.0, error(&answer)),
                (403, "permission denied"),
                "{shown}"
            );
        }
    }
}

#[tokio::test]
async fn routes_with_a_token_refuse_callers_whose_policy_says_nothing() {
    let (server, mounts) = server_with_everything().await;
    let token = server
        .token_with(
            "elsewhere",
            r#"path "elsewhere" { capabilities = ["read"] }"#,
        )
        .await;
    for (mount, _, route) in routes(&mounts) {
        if !route.access.needs_token() || takes_wrapping_token(&route) {
            continue;
        }
        let answer = try_route(&server, mount, &route, &token).await;
        let shown = format!("{} {:?} {}", mount.kind(), route.op, route.path);
        let text = "1 error occurred:\n\t* permission denied\n\n";
        assert_eq!((answer.0, error(&answer)), (403, text), "{shown}");
    }
}

#[tokio::test]
async fn sudo_routes_refuse_callers_without_sudo() {
    let (server, mounts) = server_with_everything().await;
    let rules = r#"path "*" {
        capabilities = ["create", "read", "update", "patch", "delete", "list"]
    }"#;
    let token = server.token_with("no-sudo", rules).await;
    for (mount, _, route) in routes(&mounts) {
        if route.access != Access::Sudo {
            continue;
        }
        let answer = try_route(&server, mount, &route, &token).await;
        assert_eq!(
            answer.0,
            403,
            "{} {:?} {}",
            mount.kind(),
            route.op,
            route.path
        );
    }
}

#[tokio::test]
async fn a_sealed_server_answers_on_open_routes_only() {
    let (server, mounts) = server_with_everything().await;
    server.node.seal().await;
    for (mount, _, route) in routes(&mounts) {
        let is_open = route.access == Access::Open || route.path == "seal";
        if is_open {
            continue;
        }
        for token in ["", ROOT] {
            let answer = try_route(&server, mount, &route, token).await;
            let shown = format!("{} {:?} {}", mount.kind(), route.op, route.path);
            assert_eq!(
                (answer.0, error(&answer)),
                (503, "Vault is sealed"),
                "{shown}"
            );
        }
    }
}

/// Everything that anybody on the network can call. A new line here needs a reason.
const WITHOUT_TOKEN: &[&str] = &[
    // Probes and ceremonies, also while sealed.
    "system open Read health",
    "system open Read init",
    "system open Read leader",
    "system open Read seal-status",
    "system open Write init",
    "system open Write unseal",
    // Proven by shares of the unseal key.
    "system unauthenticated Delete generate-root/attempt",
    "system unauthenticated Delete rekey-recovery-key/init",
    "system unauthenticated Delete rekey-recovery-key/verify",
    "system unauthenticated Delete rekey/init",
    "system unauthenticated Delete rekey/verify",
    "system unauthenticated Read generate-root/attempt",
    "system unauthenticated Read rekey-recovery-key/init",
    "system unauthenticated Read rekey-recovery-key/verify",
    "system unauthenticated Read rekey/init",
    "system unauthenticated Read rekey/verify",
    "system unauthenticated Write generate-root/attempt",
    "system unauthenticated Write generate-root/update",
    "system unauthenticated Write rekey-recovery-key/init",
    "system unauthenticated Write rekey-recovery-key/update",
    "system unauthenticated Write rekey-recovery-key/verify",
    "system unauthenticated Write rekey/init",
    "system unauthenticated Write rekey/update",
    "system unauthenticated Write rekey/verify",
    // Answer by what the token that was sent may see.
    "system unauthenticated Read internal/specs/openapi",
    "system unauthenticated Read internal/ui/mounts",
    "system unauthenticated Read internal/ui/mounts/{path:path}",
    "system unauthenticated Write internal/specs/openapi",
    // Holding the wrapping token is the proof.
    "system unauthenticated Read wrapping/lookup",
    "system unauthenticated Write wrapping/lookup",
    // What relying parties need: certificates, chains, revocations. All of it is public.
    "pki unauthenticated List issuers",
    "pki unauthenticated Read ca",
    "pki unauthenticated Read ca/pem",
    "pki unauthenticated Read ca_chain",
    "pki unauthenticated Read cert/ca",
    "pki unauthenticated Read cert/ca/raw",
    "pki unauthenticated Read cert/ca/raw/pem",
    "pki unauthenticated Read cert/ca_chain",
    "pki unauthenticated Read cert/crl",
    "pki unauthenticated Read cert/crl/raw",
    "pki unauthenticated Read cert/crl/raw/pem",
    "pki unauthenticated Read cert/delta-crl",
    "pki unauthenticated Read cert/delta-crl/raw",
    "pki unauthenticated Read cert/delta-crl/raw/pem",
    "pki unauthenticated Read cert/{serial:serial}",
    "pki unauthenticated Read cert/{serial:serial}/raw",
    "pki unauthenticated Read cert/{serial:serial}/raw/pem",
    "pki unauthenticated Read crl",
    "pki unauthenticated Read crl/delta",
    "pki unauthenticated Read crl/delta/pem",
    "pki unauthenticated Read crl/pem",
    "pki unauthenticated Read issuer/{issuer_ref}/crl",
    "pki unauthenticated Read issuer/{issuer_ref}/crl/delta",
    "pki unauthenticated Read issuer/{issuer_ref}/crl/delta/der",
    "pki unauthenticated Read issuer/{issuer_ref}/crl/delta/pem",
    "pki unauthenticated Read issuer/{issuer_ref}/crl/der",
    "pki unauthenticated Read issuer/{issuer_ref}/crl/pem",
    "pki unauthenticated Read issuer/{issuer_ref}/der",
    "pki unauthenticated Read issuer/{issuer_ref}/json",
    "pki unauthenticated Read issuer/{issuer_ref}/pem",
    "pki unauthenticated Read ocsp/{request:path}",
    "pki unauthenticated Write ocsp",
    // ACME: the signature of the request is the proof.
    "pki unauthenticated Read acme/directory",
    "pki unauthenticated Read acme/new-nonce",
    "pki unauthenticated Read issuer/{issuer_ref}/acme/directory",
    "pki unauthenticated Read issuer/{issuer_ref}/acme/new-nonce",
    "pki unauthenticated Read issuer/{issuer_ref}/roles/{role}/acme/directory",
    "pki unauthenticated Read issuer/{issuer_ref}/roles/{role}/acme/new-nonce",
    "pki unauthenticated Read roles/{role}/acme/directory",
    "pki unauthenticated Read roles/{role}/acme/new-nonce",
    "pki unauthenticated Write acme/account/{kid:uuid}",
    "pki unauthenticated Write acme/account/{kid:uuid}/orders",
    "pki unauthenticated Write acme/authorization/{auth_id:uuid}",
    "pki unauthenticated Write acme/challenge/{auth_id:uuid}/{challenge_type}",
    "pki unauthenticated Write acme/key-change",
    "pki unauthenticated Write acme/new-account",
    "pki unauthenticated Write acme/new-order",
    "pki unauthenticated Write acme/order/{order_id:uuid}",
    "pki unauthenticated Write acme/order/{order_id:uuid}/cert",
    "pki unauthenticated Write acme/order/{order_id:uuid}/finalize",
    "pki unauthenticated Write acme/orders",
    "pki unauthenticated Write acme/revoke-cert",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/account/{kid:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/account/{kid:uuid}/orders",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/authorization/{auth_id:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/challenge/{auth_id:uuid}/{challenge_type}",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/key-change",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/new-account",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/new-order",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/order/{order_id:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/order/{order_id:uuid}/cert",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/order/{order_id:uuid}/finalize",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/orders",
    "pki unauthenticated Write issuer/{issuer_ref}/acme/revoke-cert",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/account/{kid:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/account/{kid:uuid}/orders",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/authorization/{auth_id:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/challenge/{auth_id:uuid}/{challenge_type}",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/key-change",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/new-account",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/new-order",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/order/{order_id:uuid}",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/order/{order_id:uuid}/cert",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/order/{order_id:uuid}/finalize",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/orders",
    "pki unauthenticated Write issuer/{issuer_ref}/roles/{role}/acme/revoke-cert",
    "pki unauthenticated Write roles/{role}/acme/account/{kid:uuid}",
    "pki unauthenticated Write roles/{role}/acme/account/{kid:uuid}/orders",
    "pki unauthenticated Write roles/{role}/acme/authorization/{auth_id:uuid}",
    "pki unauthenticated Write roles/{role}/acme/challenge/{auth_id:uuid}/{challenge_type}",
    "pki unauthenticated Write roles/{role}/acme/key-change",
    "pki unauthenticated Write roles/{role}/acme/new-account",
    "pki unauthenticated Write roles/{role}/acme/new-order",
    "pki unauthenticated Write roles/{role}/acme/order/{order_id:uuid}",
    "pki unauthenticated Write roles/{role}/acme/order/{order_id:uuid}/cert",
    "pki unauthenticated Write roles/{role}/acme/order/{order_id:uuid}/finalize",
    "pki unauthenticated Write roles/{role}/acme/orders",
    "pki unauthenticated Write roles/{role}/acme/revoke-cert",
    // Logins.
    "approle unauthenticated Write login",
    "jwt unauthenticated Write login",
    "kubernetes unauthenticated Write login",
    "oidc unauthenticated Write login",
    // Refused, whoever calls.
    "jwt unauthenticated Read oidc/callback",
    "jwt unauthenticated Write oidc/auth_url",
    "jwt unauthenticated Write oidc/callback",
    "jwt unauthenticated Write oidc/poll",
    "oidc unauthenticated Read oidc/callback",
    "oidc unauthenticated Write oidc/auth_url",
    "oidc unauthenticated Write oidc/callback",
    "oidc unauthenticated Write oidc/poll",
    "cert unauthenticated Write login",
    "userpass unauthenticated Write login/{username}",
];

#[tokio::test]
async fn what_needs_no_token_is_known_and_reviewed() {
    let (_server, mounts) = server_with_everything().await;
    let refusing_every_login = "This auth method can be mounted and tuned";
    let found: BTreeSet<String> = routes(&mounts)
        .into_iter()
        .filter(|(mount, _, route)| {
            let is_stub = || {
                let help = mount.engine.help("").unwrap_or_default();
                help.contains(refusing_every_login)
            };
            !route.access.needs_token() && !is_stub()
        })
        .map(|(mount, _, route)| {
            let access = if route.access == Access::Open {
                "open"
            } else {
                "unauthenticated"
            };
            format!("{} {access} {:?} {}", mount.kind(), route.op, route.path)
        })
        .collect();
    let reviewed: BTreeSet<String> = WITHOUT_TOKEN
        .iter()
        .map(|line| (*line).to_owned())
        .collect();
    let new: Vec<_> = found.difference(&reviewed).collect();
    let gone: Vec<_> = reviewed.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "new: {new:#?}, gone: {gone:#?}"
    );
}
