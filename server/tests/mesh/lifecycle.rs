//! What is missing, comes, changes and ends while the listener is open.

use serde_json::json;
use tonic::Code;

use crate::agent::{Agent, Ask, call, code, health, p256, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};
use crate::tokens::Issuer;

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_says_what_is_missing_until_it_is_there() {
    let mut mesh = Mesh::unprovisioned("");
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    mesh.root = p256_root();
    let anybody = Agent::new(&mesh).trusting_anybody();
    let missing = async |what: &str| {
        let (code, text) = code(anybody.ask(&ask).await);
        assert_eq!(code, Code::Unavailable, "{text}");
        assert!(text.contains(what), "{text}");
        assert!(!anybody.is_serving().await.unwrap(), "{what}");
    };
    missing("pki_int_ca is not mounted").await;
    let root = mesh.new_root("pki");
    mesh.enable("pki_int_ca");
    missing("role mesh does not exist").await;
    mesh.role(&json!({}));
    missing("no default issuer currently configured").await;
    // An intermediate that does not know its root.
    let csr = json!({"common_name": "Intermediate", "key_type": "ec"});
    let csr = mesh.write("pki_int_ca/intermediate/generate/internal", &csr);
    let csr = json!({"csr": csr["csr"], "ttl": "43800h"});
    let signed = mesh.write("pki/root/sign-intermediate", &csr);
    let alone = json!({"certificate": signed["certificate"]});
    mesh.write("pki_int_ca/intermediate/set-signed", &alone);
    missing("does not end in a self-signed root").await;
    mesh.write(
        "pki_int_ca/issuers/import/cert",
        &json!({"pem_bundle": root}),
    );
    mesh.root = root;
    mesh.wait_until_ready().await;
    Answer::check(Agent::new(&mesh).ask(&ask).await.unwrap(), WEB);
}

/// Somebody to trust before there is a root.
fn p256_root() -> String {
    let params = crate::agent::params(WEB);
    params.self_signed(&p256()).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_server_is_not_ready_and_keeps_its_connections() {
    let mesh = Mesh::persistent("").await;
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let channel = Agent::new(&mesh).connect().await.unwrap();
    Answer::check(call(channel.clone(), &ask).await.unwrap(), WEB);
    mesh.write("sys/seal", &json!({}));
    let (refused, text) = code(call(channel.clone(), &ask).await);
    assert_eq!(refused, Code::Unavailable);
    assert_eq!(
        text,
        "certificate authority not ready: the server is sealed"
    );
    let service = "istio.v1.auth.IstioCertificateService";
    mesh.wait_for("sealed and healthy", async || {
        !health(channel.clone(), service).await.unwrap()
    })
    .await;
    // The process itself is well.
    assert!(health(channel.clone(), "").await.unwrap());
    mesh.server.unseal();
    Answer::check(call(channel.clone(), &ask).await.unwrap(), WEB);
    mesh.wait_for("unsealed and not healthy", async || {
        health(channel.clone(), service).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_renewed_under_open_connections() {
    let mesh = Mesh::start("serving_ttl = \"6s\"").await;
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let agent = Agent::new(&mesh);
    let channel = agent.connect().await.unwrap();
    let first = agent.seen.lock().unwrap().clone().unwrap();
    mesh.wait_for("the same certificate", async || {
        // Whoever verifies is never turned away.
        agent.connect().await.unwrap();
        *agent.seen.lock().unwrap() != Some(first.clone())
    })
    .await;
    Answer::check(call(channel, &ask).await.unwrap(), WEB);
    let stored = x509_cert::der::Decode::from_der(&first).unwrap();
    let serial = crate::answer::serial(&stored);
    let stored = mesh.read(&format!("pki_int_ca/cert/{serial}"));
    assert!(stored["certificate"].as_str().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_read_again_when_the_process_hangs_up() {
    let mut mesh = Mesh::start("").await;
    let agent = Agent::new(&mesh);
    let channel = agent.connect().await.unwrap();
    let csr = ztunnel_csr(WEB, &p256());
    let ask = Ask::new(&csr)
        .token(&mesh.token("web", "front"))
        .for_secs(7200);
    let life = async |mesh: &Mesh, ask: &Ask| {
        let answer = Agent::new(mesh).ask(ask).await;
        answer.map(|elements| Answer::check(elements, WEB).times(0).0 - 30)
    };
    assert_eq!(life(&mesh, &ask).await.unwrap(), 7200);
    mesh.configure("max_ttl = \"1h\"");
    mesh.server.hang_up();
    mesh.wait_for("the old maximum", async || {
        life(&mesh, &ask).await.unwrap() == 3600
    })
    .await;
    // Faults change nothing.
    mesh.configure("max_ttl = \"30m\"\nbogus = 1");
    mesh.server.hang_up();
    mesh.wait_for("no complaint", async || {
        let log = mesh.server.scratch.read("log");
        log.contains("istio_csr has no key bogus")
    })
    .await;
    assert_eq!(life(&mesh, &ask).await.unwrap(), 3600);
    // Another issuer of tokens.
    let old = mesh.token("web", "front");
    mesh.issuer = Issuer::new();
    mesh.configure("");
    mesh.server.hang_up();
    let fresh = Ask::new(&csr).token(&mesh.token("web", "front"));
    mesh.wait_for("the old keys", async || life(&mesh, &fresh).await.is_ok())
        .await;
    let (refused, _) = code(call(channel.clone(), &Ask::new(&csr).token(&old)).await);
    assert_eq!(refused, Code::Unauthenticated, "on an open connection, too");
    Answer::check(call(channel, &fresh).await.unwrap(), WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_read_again_one_by_one() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&token);
    let until = async |settings: &str, ask: &Ask, wanted: Code| {
        mesh.configure(settings);
        mesh.server.hang_up();
        mesh.wait_for(settings, async || {
            code(Agent::new(&mesh).ask(ask).await).0 == wanted
        })
        .await;
    };
    let of_another = ztunnel_csr("spiffe://cluster.local/ns/web/sa/back", &p256());
    let of_another = Ask::new(&of_another).token(&token);
    let first = code(Agent::new(&mesh).ask(&of_another).await).0;
    assert_eq!(first, Code::Unauthenticated);
    until("mode = \"overwrite\"", &of_another, Code::Ok).await;
    until("mode = \"strict\"", &of_another, Code::Unauthenticated).await;
    let long = ask.clone().for_secs(7 * 86_400);
    until("", &long, Code::Ok).await;
    let strictly = "max_ttl_behavior = \"error\"";
    until(strictly, &long, Code::InvalidArgument).await;
    until("max_ttl = \"168h\"", &long, Code::Ok).await;
    // The role knows the other domain only.
    let elsewhere = "trust_domain = \"elsewhere.example\"\nmode = \"overwrite\"";
    until(elsewhere, &ask, Code::PermissionDenied).await;
    until("", &ask, Code::Ok).await;
    // The certificate is there and proves nothing any more, and again.
    let key = p256();
    let own = Ask::new(&ztunnel_csr(WEB, &key));
    let pair = Agent::new(&mesh).ask(&own.clone().token(&token)).await;
    let chain = Answer::check(pair.unwrap(), WEB).chain();
    let holder = Agent::with_pair(&mesh, &chain, &key);
    assert_eq!(code(holder.ask(&own).await).0, Code::Ok);
    let tokens_only =
        crate::fixture::AUTHENTICATORS.replace("authenticator \"client_certificate\" {}\n", "");
    for (settings, wanted) in [
        (tokens_only.as_str(), Code::Unauthenticated),
        ("", Code::Ok),
    ] {
        mesh.configure(settings);
        mesh.server.hang_up();
        mesh.wait_for(settings, async || code(holder.ask(&own).await).0 == wanted)
            .await;
    }
    // Names of the listener's certificate.
    let config = mesh.server.scratch.read("config.hcl");
    let renamed = config.replace(crate::fixture::ISTIOD, "elsewhere.example");
    for (config, is_known) in [(&renamed, false), (&config, true)] {
        mesh.server.scratch.write("config.hcl", config);
        mesh.server.hang_up();
        mesh.wait_for(config, async || {
            Agent::new(&mesh).connect().await.is_ok() == is_known
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reload_cannot_change_is_said_with_its_name() {
    let mut mesh = Mesh::start("").await;
    let told = async |mesh: &Mesh, text: &str| {
        mesh.server.hang_up();
        mesh.wait_for("not a word", async || {
            mesh.server.scratch.read("log").contains(text)
        })
        .await;
    };
    let before = mesh.address;
    mesh.address = crate::support::free_address();
    mesh.configure("");
    mesh.address = before;
    let moved = "moving the listener of istio_csr needs a restart";
    told(&mesh, moved).await;
    mesh.server.scratch.write("config.hcl", "");
    told(&mesh, "adding or removing istio_csr needs a restart").await;
    let with_more = "kubernetes {\n  mount = \"pki_int_ca\"\n}\nrsa_keys_ahead = 3\n";
    mesh.server.scratch.write("config.hcl", with_more);
    told(&mesh, "changing the kubernetes block needs a restart").await;
    told(&mesh, "changing rsa_keys_ahead needs a restart").await;
    // All goes on as it was.
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    Answer::check(Agent::new(&mesh).ask(&ask).await.unwrap(), WEB);
}
