//! A server that keeps the mesh's root and istiod's certificate in a cluster, and the commands that print them.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::fake_kubernetes::{FakeKubernetes, ReplyBody};
use crate::support::{Server, wait_until};

/// Serves a cluster on a thread of its own, for as long as the test runs; its URL.
fn serve(cluster: &FakeKubernetes) -> String {
    let cluster = cluster.clone();
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(socket.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let cluster = cluster.clone();
                let service = service_fn(move |request| answer(cluster.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    format!("http://{}", address.recv().unwrap())
}

async fn answer(
    cluster: FakeKubernetes,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = head.uri.path_and_query().unwrap().as_str();
    let reply = cluster.handle(head.method.as_str(), target, &body);
    let body = match reply.body {
        ReplyBody::Whole(bytes) => Full::new(Bytes::from(bytes)).boxed_unsync(),
        ReplyBody::Lines(lines) => StreamBody::new(stream::unfold(lines, |mut lines| async move {
            let line = lines.recv().await?;
            Some((Ok(Frame::data(Bytes::from(line))), lines))
        }))
        .boxed_unsync(),
    };
    let response = hyper::Response::builder()
        .status(reply.status)
        .header("content-type", "application/json")
        .body(body);
    Ok(response.unwrap())
}

fn ok(server: &Server, path: &str, body: &Value) {
    let answer = server.ask("POST", &format!("/v1/{path}"), &body.to_string());
    assert!(answer.status < 300, "{path}: {}", answer.body);
}

/// A root at `pki/` and a role for istiod.
fn set_up(server: &Server) {
    ok(
        server,
        "sys/mounts/pki",
        &json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}}),
    );
    let root = json!({"common_name": "Root", "key_type": "ec", "ttl": "87600h"});
    ok(server, "pki/root/generate/internal", &root);
    let role = json!({"allowed_domains": "istio-system.svc", "allow_subdomains": true, "key_type": "ec",
        "allowed_uri_sans": "spiffe://cluster.local/ns/istio-system/sa/istiod-service-account",
        "require_cn": false, "max_ttl": "24h"});
    ok(server, "pki/roles/istiod", &role);
}

fn signet(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(arguments)
        .env_clear()
        .env("HOME", server.home())
        .env("VAULT_ADDR", format!("http://{}", server.address))
        .env("VAULT_TOKEN", "root")
        .output()
        .unwrap()
}

fn printed(output: Output) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_configured_server_keeps_the_root_and_the_secret_and_gives_its_lease_up() {
    let cluster = FakeKubernetes::new();
    cluster.namespace("istio-system", &json!({}));
    cluster.namespace("shop", &json!({}));
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let url = serve(&cluster);
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {{server: \"{url}\"}}\n\
             users:\n- name: u\n  user: {{token: t}}\ncontexts:\n- name: c\n  context: {{cluster: k, user: u}}\n"
        ),
    )
    .unwrap();
    let configuration = directory.path().join("c.hcl");
    std::fs::write(
        &configuration,
        format!(
            "kubernetes {{\n  mount = \"pki/\"\n  kubeconfig = \"{}\"\n  istiod_certificate {{ role = \"istiod\" }}\n}}\n",
            kubeconfig.display()
        ),
    )
    .unwrap();
    let config = format!("-config={}", configuration.display());
    let server = Server::start(&[
        "-dev",
        "-dev-root-token-id=root",
        "-dev-listen-address=127.0.0.1:0",
        &config,
    ]);
    set_up(&server);
    wait_until(
        || {
            cluster
                .get("configmaps", "shop", "istio-ca-root-cert")
                .is_some()
                && cluster
                    .get("secrets", "istio-system", "istiod-tls")
                    .is_some()
        },
        || server.log(),
    );
    // What the command prints is what the server wrote.
    let map = cluster
        .get("configmaps", "shop", "istio-ca-root-cert")
        .unwrap();
    let bundle = printed(signet(&server, &["mesh", "root", "pki"]));
    assert_eq!(map["data"]["root-cert.pem"], bundle.as_str());
    let lease = || cluster.get("leases", "istio-system", "signet").unwrap();
    assert_ne!(lease()["spec"]["holderIdentity"], "");
    server.stop();
    assert_eq!(lease()["spec"]["holderIdentity"], "");
}

#[test]
fn the_root_is_printed_as_pem_and_as_a_manifest() {
    let server = Server::dev();
    set_up(&server);
    let bundle = printed(signet(&server, &["mesh", "root", "pki"]));
    assert!(
        bundle.starts_with("-----BEGIN CERTIFICATE-----\n"),
        "{bundle}"
    );
    assert!(bundle.ends_with("-----END CERTIFICATE-----\n"), "{bundle}");
    let arguments = [
        "mesh",
        "root",
        "-manifest",
        "-format=json",
        "-kube-namespace=shop",
        "pki",
    ];
    let manifest: Value = serde_json::from_str(&printed(signet(&server, &arguments))).unwrap();
    assert_eq!(
        manifest,
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "istio-ca-root-cert",
                "namespace": "shop",
                "labels": {"istio.io/config": "true"},
            },
            "data": {"root-cert.pem": bundle},
        })
    );
    let yaml = printed(signet(&server, &["mesh", "root", "-manifest", "pki"]));
    assert!(
        yaml.contains("\n  root-cert.pem: |\n    -----BEGIN CERTIFICATE-----\n"),
        "{yaml}"
    );
    assert!(!yaml.contains("namespace"), "{yaml}");
}

#[test]
fn a_mount_without_a_root_is_refused() {
    let server = Server::dev();
    ok(&server, "sys/mounts/pki_int", &json!({"type": "pki"}));
    let output = signet(&server, &["mesh", "root", "pki_int"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("No issuer of pki_int is self-signed"),
        "{errors}"
    );
}

#[test]
fn istiods_pair_is_written_as_files_with_a_key_for_the_owner_alone() {
    let server = Server::dev();
    set_up(&server);
    let directory = server.home().join("tls");
    let flag = format!("-directory={}", directory.display());
    let arguments = [
        "mesh",
        "istiod-tls",
        &flag,
        "-revision=basic",
        "-ttl=1h",
        "pki",
        "istiod",
    ];
    let said = printed(signet(&server, &arguments));
    assert!(
        said.starts_with("Success! Wrote tls.crt, tls.key and ca.crt"),
        "{said}"
    );
    let mode = |name: &str| {
        directory
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("tls.key"), 0o600);
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(
        text("ca.crt"),
        printed(signet(&server, &["mesh", "root", "pki"]))
    );
    let shown = Command::new("openssl")
        .args([
            "x509",
            "-noout",
            "-subject",
            "-ext",
            "subjectAltName",
            "-in",
        ])
        .arg(directory.join("tls.crt"))
        .output()
        .unwrap();
    let shown = printed(shown);
    for part in [
        "CN = istiod.istio-system.svc",
        "DNS:istiod-basic.istio-system.svc, URI:spiffe://cluster.local/ns/istio-system/sa/istiod-service-account",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let verified = Command::new("openssl")
        .arg("verify")
        .arg("-CAfile")
        .arg(directory.join("ca.crt"))
        .arg(directory.join("tls.crt"))
        .output()
        .unwrap();
    printed(verified);
}

#[test]
fn istiods_secret_is_printed_and_names_that_a_role_drops_are_refused() {
    let server = Server::dev();
    set_up(&server);
    let arguments = [
        "mesh",
        "istiod-tls",
        "-manifest",
        "-format=json",
        "pki",
        "istiod",
    ];
    let secret: Value = serde_json::from_str(&printed(signet(&server, &arguments))).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let keys: Vec<&String> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    assert_eq!(
        secret["metadata"],
        json!({"name": "istiod-tls", "namespace": "istio-system"})
    );
    let foreign = [
        "mesh",
        "istiod-tls",
        "-manifest",
        "-trust-domain=other.example",
        "pki",
        "istiod",
    ];
    assert_eq!(signet(&server, &foreign).status.code(), Some(2));
    let neither = signet(&server, &["mesh", "istiod-tls", "pki", "istiod"]);
    assert_eq!(neither.status.code(), Some(1));
}
