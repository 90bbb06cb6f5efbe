//! Many at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::Code;

use crate::agent::{Agent, Ask, call, code, health, p256, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_clients_with_a_connection_each_are_all_served() {
    let mesh = Mesh::start("").await;
    let agent = Arc::new(Agent::new(&mesh));
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let watch = HealthWatch::start(agent.clone()).await;
    let mut clients = JoinSet::new();
    for _ in 0..400 {
        let (agent, ask) = (agent.clone(), ask.clone());
        clients.spawn(async move { agent.ask(&ask).await });
    }
    let mut serials = BTreeSet::new();
    while let Some(answer) = clients.join_next().await {
        let answer = Answer::check(answer.unwrap().unwrap(), WEB);
        serials.insert(answer.serial);
    }
    println!("{}", watch.end());
    assert_eq!(serials.len(), 400);
    let stored = mesh.read("pki_int_ca/certs?list=true");
    let stored = stored["keys"].as_array().unwrap();
    for serial in &serials {
        assert!(stored.iter().any(|key| key == serial), "{serial}");
    }
}

/// How long it took, and how long those waited who asked for the server's health meanwhile, is printed: that is for
/// people to judge.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "on demand: takes a release build and twenty thousand file descriptors"]
async fn ten_thousand_clients_at_once_with_a_connection_each_are_all_served() {
    const CLIENTS: usize = 10_000;
    let mesh = Mesh::persistent("").await;
    let agent = Arc::new(Agent::ztunnel(&mesh));
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let watch = HealthWatch::start(agent.clone()).await;
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (agent, ask) = (agent.clone(), ask.clone());
        clients.spawn(async move { agent.ask(&ask).await });
    }
    let mut serials = BTreeSet::new();
    let mut refused = Vec::new();
    while let Some(answer) = clients.join_next().await {
        match answer.unwrap() {
            Ok(chain) => drop(serials.insert(Answer::check(chain, WEB).serial)),
            Err(status) => refused.push(status.to_string()),
        }
    }
    println!("{CLIENTS} clients in {:?}", began.elapsed());
    println!("{}", watch.end());
    assert_eq!((serials.len(), refused), (CLIENTS, Vec::new()));
}

/// Asks for the server's health on an open connection until it is told to stop. From a thread of its own, since the
/// clients keep those of the test busy.
struct HealthWatch {
    over: Arc<AtomicBool>,
    /// How many answers there were, and the longest wait for one.
    asking: JoinHandle<(u32, Duration)>,
}

impl HealthWatch {
    async fn start(agent: Arc<Agent>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = oneshot::channel();
        let asking = std::thread::spawn({
            let over = over.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(async move {
                    let channel = agent.connect().await.unwrap();
                    ready.send(()).unwrap();
                    let (mut answers, mut longest) = (0, Duration::ZERO);
                    while answers == 0 || !over.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        assert!(health(channel.clone(), "").await.unwrap());
                        longest = longest.max(asked.elapsed());
                        answers += 1;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    (answers, longest)
                })
            }
        });
        is_ready.await.unwrap();
        Self { over, asking }
    }

    /// How it went. Fails the test if a question was not answered well.
    fn end(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        let (answers, longest) = self.asking.join().unwrap();
        format!("health: {answers} answers, the longest wait was {longest:?}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_limits_is_told_to_come_back_and_health_is_answered() {
    let mesh = Mesh::start("max_requests = 1").await;
    let agent = Agent::new(&mesh);
    let channel = agent.connect().await.unwrap();
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (channel, ask) = (channel.clone(), ask.clone());
        calls.spawn(async move { call(channel, &ask).await });
    }
    let service = "istio.v1.auth.IstioCertificateService";
    assert!(health(channel.clone(), service).await.unwrap());
    let mut codes = Vec::new();
    while let Some(answer) = calls.join_next().await {
        codes.push(code(answer.unwrap()).0);
    }
    assert!(codes.contains(&Code::Ok), "{codes:?}");
    let is_expected = |code: &Code| matches!(code, Code::Ok | Code::ResourceExhausted);
    assert!(codes.iter().all(is_expected), "{codes:?}");
    Answer::check(call(channel, &ask).await.unwrap(), WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_learn_that_and_of_the_health_only() {
    let mesh = Mesh::start("max_connections = 3").await;
    let agent = Agent::new(&mesh);
    let channel = agent.connect().await.unwrap();
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    Answer::check(call(channel.clone(), &ask).await.unwrap(), WEB);
    // Clients that connect and say nothing.
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(mesh.address).await.unwrap());
    }
    let full = code(agent.ask(&ask).await);
    let expected = (Code::ResourceExhausted, "too many connections".to_owned());
    assert_eq!(full, expected);
    assert!(agent.is_serving().await.unwrap());
    Answer::check(call(channel, &ask).await.unwrap(), WEB);
    drop(silent);
    mesh.wait_for("still full", async || agent.ask(&ask).await.is_ok())
        .await;
}
