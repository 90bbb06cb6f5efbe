use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use signet_api::kubernetes::OutsideCluster;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::SystemTtl;
use signet_api::node::{Environment, NodeSettings};
use signet_api::offload::Pool;
use signet_api::outbound::NoOutbound;
use signet_api::random::SystemRng;
use signet_api::time::SystemClock;
use signet_storage::{Engine, SealConfig};
use zeroize::Zeroizing;

use super::*;

async fn edge_with(policy: Policy) -> Arc<Edge> {
    let environment = Environment {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng::default()),
        pool: Pool::new(1, 16),
        key_pool: Pool::new(1, 16),
        keys_ahead: Arc::default(),
        outbound: Arc::new(NoOutbound),
        probe: Arc::new(signet_api::probe::NoProbe),
        is_public_acme_disabled: false,
        local_cluster: Arc::new(OutsideCluster),
    };
    let settings = NodeSettings {
        system_ttl: SystemTtl::default(),
        cluster_name: String::new(),
        version: "1.19.5".into(),
        build_date: String::new(),
        storage_type: "inmem".into(),
        user_lockout: LockoutSettings::default(),
    };
    let node = Node::new(
        signet_storage::open(&Engine::Inmem).unwrap(),
        environment,
        settings,
    );
    let root = Some(Zeroizing::new("root".to_owned()));
    let initialized = node
        .initialize(SealConfig::shamir(1, 1).unwrap(), None, root)
        .await
        .unwrap();
    node.start_initialized(&initialized).await.unwrap();
    Edge::new(node, policy)
}

async fn edge() -> Arc<Edge> {
    edge_with(Policy::default()).await
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Edge {
    /// A request with the root token unless the headers bring one.
    async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("x-vault-token"))
        {
            request = request.header("x-vault-token", "root");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let address: SocketAddr = "10.0.0.9:4".parse().unwrap();
        let peer = Peer {
            address,
            certificates: Arc::new([]),
        };
        let response = self.answer(request, peer).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_clients_look_at() {
    let edge = edge().await;
    for (method, target, status) in [
        ("GET", "/v1/sys/health", 200),
        ("POST", "/v1/cubbyhole/a", 204),
        ("GET", "/v1/cubbyhole/none", 404),
        ("GET", "/", 404),
        ("TRACE", "/v1/sys/health", 405),
        ("GET", "/v1//sys/health", 307),
    ] {
        let answer = edge.ask(method, target, &[], r#"{"a":1}"#).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(
            answer.headers["content-type"], "application/json",
            "{target}"
        );
        assert_eq!(answer.headers["cache-control"], "no-store", "{target}");
        assert_eq!(
            answer.headers["strict-transport-security"], "max-age=31536000; includeSubDomains",
            "{target}"
        );
    }
}

#[tokio::test]
async fn refuses_odd_requests_as_vault_does() {
    let edge = edge().await;
    let long = format!("/v1/{}", "a".repeat(16_000));
    for (method, target, headers, status, body) in [
        ("GET", "/v1", &[][..], 404, "{\"errors\":[]}\n"),
        (
            "GET",
            "/v1/",
            &[],
            404,
            "{\"errors\":[\"no handler for route \\\"\\\". route entry not found.\"]}\n",
        ),
        ("GET", "/v2/x", &[], 404, "{\"errors\":[]}\n"),
        ("GET", &long, &[], 404, ""),
        ("FOO", "/v1/sys/health", &[], 405, "{\"errors\":[]}\n"),
        ("HEAD", "/v1/sys/mounts", &[], 405, "{\"errors\":[]}\n"),
        (
            "OPTIONS",
            "/v1/sys/health",
            &[],
            400,
            "{\"errors\":[\"cannot handle internal-only request operation\"]}\n",
        ),
        (
            "POST",
            "/v1/cubbyhole/a/",
            &[],
            400,
            "{\"errors\":[\"cannot write to a path ending in '/'\"]}\n",
        ),
        ("GET", "/v1/a%00b", &[], 400, "{\"errors\":[]}\n"),
        ("GET", "/v1/a%ffb", &[], 400, "{\"errors\":[]}\n"),
        ("GET", "/v1/a%E2%80%8Bb", &[], 400, "{\"errors\":[]}\n"),
        (
            "GET",
            "/v1/cubbyhole/a?list=yes",
            &[],
            400,
            "{\"errors\":[]}\n",
        ),
        (
            "GET",
            "/v1/cubbyhole/a?list=true&scan=true",
            &[],
            400,
            "{\"errors\":[]}\n",
        ),
        ("PATCH", "/v1/cubbyhole/a", &[], 400, ""),
        (
            "PATCH",
            "/v1/cubbyhole/a",
            &[("content-type", "Application/JSON; charset=utf-8")],
            415,
            "{\"errors\":[\"PATCH requires Content-Type of application/merge-patch+json, provided application/json\"]}\n",
        ),
        (
            "GET",
            "/v1/cubbyhole/a",
            &[("x-vault-token", "")],
            403,
            "{\"errors\":[\"permission denied\"]}\n",
        ),
        (
            "GET",
            "/v1/cubbyhole/a",
            &[("x-vault-token", ""), ("authorization", "bearer root")],
            403,
            "",
        ),
        (
            "GET",
            "/v1/cubbyhole/a",
            &[("x-vault-wrap-ttl", "abc")],
            400,
            "{\"errors\":[\"error parsing X-Vault-Wrap-TTL header: time: invalid duration \\\"abc\\\"\"]}\n",
        ),
        (
            "GET",
            "/v1/cubbyhole/a",
            &[("x-vault-wrap-ttl", "-5")],
            400,
            "",
        ),
    ] {
        let answer = edge.ask(method, target, headers, "").await;
        assert_eq!(
            answer.status, status,
            "{method} {target} {headers:?} {}",
            answer.body
        );
        if !body.is_empty() {
            assert_eq!(answer.body, body, "{method} {target}");
        }
    }
}

#[tokio::test]
async fn sends_clients_to_the_clean_path() {
    let edge = edge().await;
    for (target, location) in [
        ("/v1//sys/health?a=b", "/v1/sys/health?a=b"),
        ("/v1/a/../b", "/v1/b"),
        ("/v1/a%2F%2Fb", "/v1/a/b"),
        ("/v1/a/%2E%2E/b%20c", "/v1/b%20c"),
        ("//evil.example/x", "/evil.example/x"),
    ] {
        let answer = edge.ask("GET", target, &[], "").await;
        assert_eq!(answer.status, 307, "{target}");
        assert_eq!(answer.headers["location"], location, "{target}");
    }
}

#[tokio::test]
async fn there_is_one_namespace_under_several_names() {
    let edge = edge().await;
    for name in ["", "/", "root", "root/"] {
        let answer = edge
            .ask("GET", "/v1/sys/health", &[("x-vault-namespace", name)], "")
            .await;
        assert_eq!(answer.status, 200, "{name:?}");
        assert_eq!(answer.headers["x-vault-namespace"], name);
    }
    let other = [("x-vault-namespace", "team/")];
    for (target, status, body) in [
        (
            "/v1/cubbyhole/a",
            404,
            "{\"errors\":[\"namespace not found\"]}\n",
        ),
        (
            "/v1/sys/health",
            400,
            "{\"errors\":[\"operation unavailable in namespaces\"]}\n",
        ),
        ("/v1/sys/seal-status", 200, ""),
    ] {
        let answer = edge.ask("GET", target, &other, "").await;
        assert_eq!(answer.status, status, "{target} {}", answer.body);
        assert!(
            body.is_empty() || answer.body == body,
            "{target} {}",
            answer.body
        );
        assert_eq!(answer.headers["x-vault-namespace"], "team/");
    }
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_shape() {
    let mut policy = Policy::default();
    policy.limits.body_bytes = 100_000;
    policy.limits.json_memory_bytes = 200_000;
    let edge = edge_with(policy).await;
    let numbers = format!("{{\"a\":[{}0]}}", "0,".repeat(20_000));
    let pairs = "a=1&".repeat(11_000);
    for (body, status, text) in [
        ("x".repeat(100_001), 413, "http: request body too large"),
        (numbers, 400, "exceeded maximum estimated memory limits"),
        ("[".repeat(20_000), 400, "exceeded max depth"),
        (pairs, 400, "exceeded maximum number of strings"),
    ] {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = edge.ask("POST", "/v1/cubbyhole/a", &form, &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(text), "{}", answer.body);
    }
    let json = "\"a\":{\"b\":[1]}";
    let answer = edge
        .ask("POST", "/v1/cubbyhole/a", &[], &format!("{{{json}}}"))
        .await;
    assert_eq!(answer.status, 204);
    let answer = edge
        .ask("GET", "/v1/cubbyhole/a", &[], "ignored body")
        .await;
    assert!(answer.body.contains(json), "{}", answer.body);
    let large = "t".repeat(8193);
    let answer = edge
        .ask("GET", "/v1/cubbyhole/a", &[("x-vault-token", &large)], "")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn listeners_serve_only_what_they_are_told_to() {
    let closed = Restrictions {
        forbid_audit_by_api: true,
        forbid_generate_root: true,
        forbid_rekey: true,
        metrics: MetricsAccess::None,
        only_distribution: false,
    };
    let edge = edge_with(Policy {
        restrictions: closed,
        ..Policy::default()
    })
    .await;
    for (method, target, status) in [
        ("PUT", "/v1/sys/audit/x", 400),
        ("GET", "/v1/sys/generate-root/attempt", 405),
        ("GET", "/v1/sys/rekey/init", 405),
        ("GET", "/v1/sys/metrics", 404),
        ("GET", "/v1/sys/health", 200),
    ] {
        assert_eq!(
            edge.ask(method, target, &[], "").await.status,
            status,
            "{target}"
        );
    }
    edge.reload(Policy {
        restrictions: Restrictions {
            metrics: MetricsAccess::Only,
            ..Restrictions::default()
        },
        hostname: Some(HeaderValue::from_static("box")),
        ..Policy::default()
    });
    let answer = edge.ask("GET", "/v1/sys/health", &[], "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND.as_u16());
    assert_eq!(answer.headers["x-vault-hostname"], "box");
}

#[tokio::test]
async fn a_listener_for_distribution_serves_what_certificates_point_to_and_nothing_else() {
    let edge = edge().await;
    for (target, body) in [
        ("/v1/sys/mounts/a/b", r#"{"type": "pki"}"#),
        (
            "/v1/a/b/root/generate/internal",
            r#"{"common_name": "r", "key_type": "ec", "issuer_name": "r"}"#,
        ),
    ] {
        let answer = edge.ask("POST", target, &[], body).await;
        assert!(matches!(answer.status, 200 | 204), "{}", answer.body);
    }
    edge.reload(Policy {
        restrictions: Restrictions {
            only_distribution: true,
            ..Restrictions::default()
        },
        ..Policy::default()
    });
    let wrapping = &[("x-vault-wrap-ttl", "60s")][..];
    for (method, path, content_type) in [
        ("GET", "ca/pem", "application/pem-certificate-chain"),
        ("GET", "ca_chain", "application/pkix-cert"),
        ("GET", "crl/pem", "application/x-pem-file"),
        ("GET", "issuer/r/pem", "application/pem-certificate-chain"),
        ("GET", "issuer/r/crl/pem", "application/x-pem-file"),
        ("GET", "issuer/r/crl/delta/pem", "application/x-pem-file"),
    ] {
        let answer = edge
            .ask(method, &format!("/v1/a/b/{path}"), wrapping, "")
            .await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], content_type, "{path}");
    }
    for (method, path, status) in [
        ("GET", "a/b/ocsp/eA==", 400),
        ("POST", "a/b/ocsp", 400),
        ("GET", "a/b/cert/ca", 404),
        ("GET", "a/b/issuer/r/json", 404),
        ("GET", "a/b/issuer/r/crl", 404),
        ("LIST", "a/b/issuers", 404),
        ("LIST", "a/b/ca", 404),
        ("POST", "a/b/ca", 404),
        ("GET", "a/b/roles/x", 404),
        ("POST", "a/b/issue/x", 404),
        ("GET", "a/b/ca?help=1", 404),
        ("GET", "cubbyhole/ca", 404),
        ("GET", "nothing/ca", 404),
        ("GET", "sys/health", 404),
        ("PUT", "sys/unseal", 404),
        ("GET", "sys/metrics", 404),
    ] {
        let answer = edge.ask(method, &format!("/v1/{path}"), &[], "").await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.body);
    }
    edge.node.seal().await;
    for (path, status) in [
        ("sys/seal-status", 404),
        ("sys/unseal", 404),
        ("a/b/ca", 503),
    ] {
        let answer = edge.ask("GET", &format!("/v1/{path}"), &[], "").await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn proxies_are_believed_only_when_authorized() {
    let forwarded = ForwardedFor {
        authorized: vec!["10.0.0.9/32".parse().unwrap()],
        hop_skips: 0,
        reject_not_authorized: true,
        reject_not_present: true,
    };
    let edge = edge_with(Policy {
        forwarded: Some(forwarded),
        ..Policy::default()
    })
    .await;
    let answer = edge.ask("GET", "/v1/sys/health", &[], "").await;
    assert_eq!(answer.status, 400);
    let answer = edge
        .ask(
            "GET",
            "/v1/sys/health",
            &[("x-forwarded-for", "1.2.3.4")],
            "",
        )
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn pages_of_other_origins_call_only_when_they_are_allowed_to() {
    let edge = edge().await;
    let origin = ("origin", "https://ui.example");
    let preflight = [origin, ("access-control-request-method", "POST")];
    let answer = edge.ask("OPTIONS", "/v1/cubbyhole/a", &preflight, "").await;
    assert_eq!(answer.status, 400);
    let config = r#"{"allowed_origins":"https://ui.example"}"#;
    assert_eq!(
        edge.ask("POST", "/v1/sys/config/cors", &[], config)
            .await
            .status,
        204
    );

    let answer = edge.ask("OPTIONS", "/v1/cubbyhole/a", &preflight, "").await;
    assert_eq!(answer.status, 204);
    let methods = "DELETE, GET, OPTIONS, POST, PUT, LIST";
    assert_eq!(answer.headers["access-control-allow-methods"], methods);
    assert_eq!(answer.headers["access-control-max-age"], "300");
    let answer = edge.ask("GET", "/v1/sys/health", &[origin], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], origin.1);
    assert_eq!(answer.headers["vary"], "Origin");
    let stranger = [("origin", "https://evil.example")];
    assert_eq!(
        edge.ask("GET", "/v1/sys/health", &stranger, "")
            .await
            .status,
        403
    );
    let tracing = [origin, ("access-control-request-method", "TRACE")];
    assert_eq!(
        edge.ask("OPTIONS", "/v1/sys/health", &tracing, "")
            .await
            .status,
        405
    );
    assert_eq!(edge.ask("GET", "/v1/sys/health", &[], "").await.status, 200);
}

/// A body in pieces, which counts those that were taken.
struct Pieces {
    left: Vec<&'static str>,
    taken: Arc<std::sync::atomic::AtomicUsize>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let piece = self.left.pop();
        self.taken.fetch_add(1, Ordering::SeqCst);
        std::task::Poll::Ready(piece.map(|piece| Ok(hyper::body::Frame::data(piece.into()))))
    }
}

#[tokio::test]
async fn a_short_body_is_read_even_where_nobody_wants_it() {
    let edge = edge().await;
    for (method, target, status) in [
        ("GET", "/v1/cubbyhole/none", 404),
        ("LIST", "/v1/cubbyhole/none", 404),
        ("DELETE", "/v1/cubbyhole/none", 204),
        ("POST", "/v1//cubbyhole/a", 307),
        ("TRACE", "/v1/cubbyhole/a", 405),
        ("PATCH", "/v1/cubbyhole/a", 400),
    ] {
        let taken = Arc::default();
        let left = vec!["}", "1", "{\"a\":"];
        let pieces = Pieces {
            left,
            taken: Arc::clone(&taken),
        };
        let request = Request::builder().method(method).uri(target);
        let request = request.header("x-vault-token", "root").body(pieces);
        let peer = Peer {
            address: "10.0.0.9:4".parse().unwrap(),
            certificates: Arc::new([]),
        };
        let response = edge.answer(request.unwrap(), peer).await;
        assert_eq!(response.status().as_u16(), status, "{method} {target}");
        assert_eq!(taken.load(Ordering::SeqCst), 4, "{method} {target}");
    }
}
