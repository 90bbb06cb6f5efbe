//! Tokens that an API server is asked about: a small one of our own, which speaks the real JSON.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tonic::Code;

use crate::agent::{Agent, Ask, code, p256, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};

/// Ends with the value.
struct ApiServer {
    address: SocketAddr,
    reviews: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// Knows these tokens, and answers this about them.
    async fn start(known: HashMap<&'static str, Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reviews = Arc::new(AtomicUsize::new(0));
        let (known, counted) = (Arc::new(known), reviews.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (known, counted) = (known.clone(), counted.clone());
                let service =
                    service_fn(move |request| review(request, known.clone(), counted.clone()));
                let connection = http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), service);
                connections.spawn(async { drop(connection.await) });
            }
        });
        Self {
            address,
            reviews,
            task,
        }
    }

    fn authenticator(&self, more: &str) -> String {
        authenticator(self.address, more)
    }

    fn reviews(&self) -> usize {
        self.reviews.load(Ordering::SeqCst)
    }
}

fn authenticator(address: SocketAddr, more: &str) -> String {
    format!(
        "authenticator \"kubernetes\" {{\n  host = \"http://{address}\"\n  \
         token_file = \"SCRATCH/reviewer\"\n{more}\n}}\n"
    )
}

async fn review(
    request: Request<Incoming>,
    known: Arc<HashMap<&'static str, Value>>,
    counted: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let asks = request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    if request.uri().path() == "/api/v1/pods" {
        if asks != "Bearer reviewer" {
            let refused = Response::builder().status(401).body(Full::default());
            return Ok(refused.unwrap());
        }
        if request.uri().query().unwrap_or_default().contains("watch=") {
            // Nothing happens any more.
            return std::future::pending().await;
        }
        let pods = json!({"apiVersion": "v1", "kind": "PodList",
                          "metadata": {"resourceVersion": "7"}, "items": pods()});
        return Ok(Response::new(Full::from(pods.to_string())));
    }
    assert_eq!(
        request.uri().path(),
        "/apis/authentication.k8s.io/v1/tokenreviews"
    );
    counted.fetch_add(1, Ordering::SeqCst);
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let token = body["spec"]["token"].as_str().unwrap();
    let status = match known.get(token) {
        Some(status) => status.clone(),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    };
    let answer = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                        "spec": body["spec"], "status": status});
    let code = if asks == "Bearer reviewer" { 201 } else { 401 };
    let response = Response::builder().status(code);
    Ok(response.body(Full::from(answer.to_string())).unwrap())
}

fn good() -> Value {
    json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:web:front",
            "uid": "uid",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["front-1"],
                "authentication.kubernetes.io/pod-uid": ["pod-uid"],
            },
        },
        "audiences": ["istio-ca"],
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut status = good();
    *status.pointer_mut(pointer).unwrap() = value;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_says_whose_a_token_is() {
    let group = json!(["system:authenticated"]);
    let api = ApiServer::start(HashMap::from([
        ("good", good()),
        ("not authenticated", with("/authenticated", json!(false))),
        ("for another audience", with("/audiences", json!(["vault"]))),
        ("for no audience", with("/audiences", json!([]))),
        ("a user", with("/user/username", json!("alice"))),
        ("no service account", with("/user/groups", group)),
        (
            "five parts",
            with("/user/username", json!("system:serviceaccount:web:front:x")),
        ),
    ]))
    .await;
    let mesh = Mesh::start(&api.authenticator("")).await;
    let agent = Agent::new(&mesh);
    let ask = Ask::new(&ztunnel_csr(WEB, &p256()));
    for cluster in ["", "Kubernetes"] {
        let ask = ask.clone().token("good").header("clusterid", cluster);
        Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    }
    let elsewhere = ask.clone().token("good").header("clusterid", "west");
    assert_eq!(code(agent.ask(&elsewhere).await).0, Code::Unauthenticated);
    for token in [
        "unknown",
        "not authenticated",
        "for another audience",
        "for no audience",
        "a user",
        "no service account",
        "five parts",
    ] {
        let (refused, text) = code(agent.ask(&ask.clone().token(token)).await);
        assert_eq!(refused, Code::Unauthenticated, "{token}");
        assert_eq!(text, "request authenticate failure");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cluster_has_its_api_server() {
    let east = ApiServer::start(HashMap::from([("east's", good())])).await;
    let west = ApiServer::start(HashMap::from([("west's", good())])).await;
    let both = format!(
        "{}{}",
        east.authenticator("cluster_id = \"east\""),
        west.authenticator("cluster_id = \"west\"")
    );
    let mesh = Mesh::start(&both).await;
    let agent = Agent::new(&mesh);
    let ask = Ask::new(&ztunnel_csr(WEB, &p256()));
    for (token, cluster, expected) in [
        ("east's", "east", Code::Ok),
        ("west's", "west", Code::Ok),
        ("east's", "", Code::Ok),
        ("west's", "", Code::Unauthenticated),
        ("west's", "east", Code::Unauthenticated),
        ("east's", "north", Code::Unauthenticated),
    ] {
        let ask = ask.clone().token(token).header("clusterid", cluster);
        let (got, _) = code(agent.ask(&ask).await);
        assert_eq!(got, expected, "{token} {cluster}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer_makes_nobody_a_stranger() {
    let address = crate::support::free_address();
    let unreachable = authenticator(address, "");
    let jwks = crate::fixture::AUTHENTICATORS;
    let mesh = Mesh::start(&format!("{unreachable}{jwks}")).await;
    let agent = Agent::new(&mesh);
    let csr = ztunnel_csr(WEB, &p256());
    // Also for one that another authenticator would have taken.
    for token in ["any", &mesh.token("web", "front")] {
        let (refused, text) = code(agent.ask(&Ask::new(&csr).token(token)).await);
        assert_eq!(refused, Code::Unavailable, "{text}");
        assert!(!text.contains(&address.to_string()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_ask_makes_nobody_a_stranger() {
    let api = ApiServer::start(HashMap::from([("good", good())])).await;
    let mesh = Mesh::start(&api.authenticator("")).await;
    let agent = Agent::new(&mesh);
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token("good");
    mesh.server.scratch.write("reviewer", "revoked");
    assert_eq!(code(agent.ask(&ask).await).0, Code::Unavailable);
    std::fs::remove_file(mesh.server.scratch.path("reviewer")).unwrap();
    assert_eq!(code(agent.ask(&ask).await).0, Code::Unavailable);
    // The file is read for each use.
    mesh.server.scratch.write("reviewer", "reviewer\n");
    Answer::check(agent.ask(&ask).await.unwrap(), WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_is_asked_about_once_for_many_calls() {
    let api = ApiServer::start(HashMap::from([("good", good())])).await;
    let mesh = Mesh::start(&api.authenticator("")).await;
    let agent = Arc::new(Agent::new(&mesh));
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token("good");
    Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let (agent, ask) = (agent.clone(), ask.clone());
        calls.spawn(async move { agent.ask(&ask).await });
    }
    while let Some(answer) = calls.join_next().await {
        Answer::check(answer.unwrap().unwrap(), WEB);
    }
    // Kept for ten seconds: a slow machine may ask once or twice more.
    assert!(api.reviews() <= 5, "{}", api.reviews());
}

/// On `node-a` the proxy and `web/front`, on `node-b` `web/back`.
fn pods() -> Value {
    let pod = |namespace: &str, account: &str, node: &str| {
        json!({
            "metadata": {"namespace": namespace, "name": format!("{account}-1"), "uid": "pod-uid",
                         "resourceVersion": "5"},
            "spec": {"nodeName": node, "serviceAccountName": account, "containers": []},
            "status": {"phase": "Running"},
        })
    };
    json!([
        pod("istio-system", "ztunnel", "node-a"),
        pod("web", "front", "node-a"),
        pod("web", "back", "node-b"),
    ])
}

fn proxy() -> Value {
    let mut proxy = good();
    proxy["user"]["username"] = json!("system:serviceaccount:istio-system:ztunnel");
    let extra = &mut proxy["user"]["extra"];
    extra["authentication.kubernetes.io/pod-name"] = json!(["ztunnel-1"]);
    proxy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_proxy_asks_for_the_pods_that_the_api_server_has_on_its_node() {
    let mut deleted = proxy();
    deleted["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!(["an older one"]);
    let known = HashMap::from([("proxy's", proxy()), ("deleted", deleted), ("good", good())]);
    let api = ApiServer::start(known).await;
    let trusted = "trusted_node_accounts = [\"istio-system/ztunnel\"]\n";
    let mesh = Mesh::start(&format!("{trusted}{}", api.authenticator(""))).await;
    let agent = Agent::ztunnel(&mesh);
    let back = "spiffe://cluster.local/ns/web/sa/back";
    let ask = on_behalf_of;
    // Its pods are known a moment after the server has started.
    mesh.wait_for("not for a neighbour", async || {
        match agent.ask(&ask("proxy's", WEB)).await {
            Ok(elements) => Answer::check(elements, WEB).roots == 1,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                false
            }
        }
    })
    .await;
    for (token, wanted) in [
        ("proxy's", back),
        ("proxy's", "spiffe://cluster.local/ns/web/sa/nobody"),
        ("deleted", WEB),
        ("good", back),
    ] {
        let (refused, text) = code(agent.ask(&ask(token, wanted)).await);
        assert_eq!(refused, Code::Unauthenticated, "{token} {wanted}");
        assert_eq!(text, "request impersonation authentication failure");
    }
}

fn on_behalf_of(token: &str, wanted: &str) -> Ask {
    let csr = ztunnel_csr(wanted, &p256());
    Ask::new(&csr).token(token).on_behalf_of(wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_proxy_may_be_trusted_from_a_reload_on_and_no_longer() {
    let api = ApiServer::start(HashMap::from([("proxy's", proxy())])).await;
    let authenticator = api.authenticator("");
    let mesh = Mesh::start(&authenticator).await;
    let agent = Agent::ztunnel(&mesh);
    let ask = on_behalf_of("proxy's", WEB);
    assert_eq!(code(agent.ask(&ask).await).0, Code::Unauthenticated);
    let trusted = "trusted_node_accounts = [\"istio-system/ztunnel\"]\n";
    mesh.configure(&format!("{trusted}{authenticator}"));
    mesh.server.hang_up();
    mesh.wait_for("nobody watches the pods", async || {
        agent.ask(&ask).await.is_ok()
    })
    .await;
    mesh.configure(&authenticator);
    mesh.server.hang_up();
    mesh.wait_for("still trusted", async || {
        code(agent.ask(&ask).await).0 == Code::Unauthenticated
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mesh = Mesh::start(&authenticator(listener.local_addr().unwrap(), "")).await;
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token("any");
    let (refused, text) = code(Agent::new(&mesh).ask(&ask).await);
    assert_eq!(refused, Code::Unavailable, "{text}");
}
