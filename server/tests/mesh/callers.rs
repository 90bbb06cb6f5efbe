//! Who is believed, and on whose behalf.

use rcgen::KeyPair;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::agent::{Agent, Ask, call, code, p256, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{AUTHENTICATORS, Mesh, WEB};
use crate::tokens::{Issuer, claims, encode, now_secs};

const NOBODY: (Code, &str) = (Code::Unauthenticated, "request authenticate failure");
const NOT_FOR_HIM: (Code, &str) = (
    Code::Unauthenticated,
    "request impersonation authentication failure",
);

fn outcome(answer: Result<Vec<String>, Status>) -> (Code, String) {
    code(answer)
}

fn assert_is(answer: Result<Vec<String>, Status>, expected: (Code, &str), what: &str) {
    let (code, text) = outcome(answer);
    assert_eq!((code, text.as_str()), expected, "{what}");
}

fn edited(claims: &Value, edit: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims.clone();
    edit(&mut claims);
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_prove_nothing_are_refused_alike() {
    let mesh = Mesh::start("").await;
    let agent = Agent::new(&mesh);
    let csr = ztunnel_csr(WEB, &p256());
    let issuer = &mesh.issuer;
    let good = claims("web", "front");
    let now = now_secs();
    let saying = |edit: fn(&mut Value)| issuer.token(&edited(&good, edit));
    let at =
        |name: &str, secs: i64| issuer.token(&edited(&good, |claims| claims[name] = json!(secs)));
    let message = |header: &Value| {
        format!(
            "{}.{}",
            encode(header.to_string()),
            encode(good.to_string())
        )
    };
    let header = json!({"alg": "none", "typ": "JWT"});
    let none = format!("{}.", message(&header));
    // A shared secret that everybody knows: the public key.
    let header = json!({"alg": "HS256", "kid": "one"});
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, issuer.public_key());
    let tag = aws_lc_rs::hmac::sign(&secret, message(&header).as_bytes());
    let confused = format!("{}.{}", message(&header), encode(tag.as_ref()));
    let mut tampered = issuer.token(&good);
    tampered.replace_range(tampered.len() - 4.., "AAAA");
    let tokens = [
        ("expired", at("exp", now - 5)),
        ("not valid yet", at("nbf", now + 120)),
        ("from the future", at("iat", now + 120)),
        ("for somebody else", saying(|c| c["aud"] = json!(["vault"]))),
        (
            "for nobody",
            saying(|c| drop(c.as_object_mut().unwrap().remove("aud"))),
        ),
        (
            "without an end",
            saying(|c| drop(c.as_object_mut().unwrap().remove("exp"))),
        ),
        (
            "of another issuer",
            saying(|c| c["iss"] = json!("https://evil")),
        ),
        ("of a user", saying(|c| c["sub"] = json!("alice"))),
        ("of a node", saying(|c| c["sub"] = json!("system:node:a"))),
        (
            "of five parts",
            saying(|c| c["sub"] = json!("system:serviceaccount:web:front:x")),
        ),
        (
            "that contradicts itself",
            saying(|c| c["kubernetes.io"]["namespace"] = json!("prod")),
        ),
        (
            "with an unknown key",
            issuer.token_with(&json!({"alg": "ES256", "kid": "two"}), &good),
        ),
        (
            "of another algorithm",
            issuer.token_with(&json!({"alg": "ES384", "kid": "one"}), &good),
        ),
        ("unsigned", none),
        ("signed with the public key", confused),
        ("tampered with", tampered),
        ("signed by another", Issuer::new().token(&good)),
        ("of one part", "token".into()),
        ("empty", String::new()),
    ];
    for (what, token) in &tokens {
        let answer = agent.ask(&Ask::new(&csr).token(token)).await;
        assert_is(answer, NOBODY, what);
    }
    assert_is(agent.ask(&Ask::new(&csr)).await, NOBODY, "no token");
    let basic = Ask::new(&csr).header("authorization", "Basic Zm9vOmJhcg==");
    assert_is(agent.ask(&basic).await, NOBODY, "another scheme");
    // Clocks differ: a minute is nothing.
    for (name, secs) in [("nbf", now + 50), ("iat", now + 50), ("exp", now + 30)] {
        let ask = Ask::new(&csr).token(&at(name, secs));
        Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    }
    // One that is replayed gives a certificate for the key of the request, and no other.
    let ask = Ask::new(&csr).token(&issuer.token(&good));
    let first = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    let second = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    assert_ne!(first.serial, second.serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_cluster_is_nobodys() {
    let authenticator = AUTHENTICATORS.replace("issuer =", "cluster_id = \"east\"\nissuer =");
    let mesh = Mesh::start(&authenticator).await;
    let agent = Agent::new(&mesh);
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let elsewhere = ask.clone().header("clusterid", "west");
    assert_is(agent.ask(&elsewhere).await, NOBODY, "west");
    for (what, ask) in [
        ("east", ask.clone().header("clusterid", "east")),
        ("empty", ask.clone().header("clusterid", "")),
        ("none", ask.clone()),
        (
            "two",
            ask.header("clusterid", "west").header("clusterid", "north"),
        ),
    ] {
        let answer = agent.ask(&ask).await;
        let elements = answer.unwrap_or_else(|status| panic!("{what}: {status}"));
        Answer::check(elements, WEB);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_renews_with_the_certificate_it_has() {
    let mesh = Mesh::start("").await;
    let key = p256();
    let ask = Ask::new(&ztunnel_csr(WEB, &key));
    let token = mesh.token("web", "front");
    let elements = Agent::new(&mesh).ask(&ask.clone().token(&token)).await;
    let first = Answer::check(elements.unwrap(), WEB);
    let holder = Agent::with_pair(&mesh, &first.chain(), &key);
    let second = Answer::check(holder.ask(&ask).await.unwrap(), WEB);
    let renewed = Agent::with_pair(&mesh, &second.chain(), &key);
    Answer::check(renewed.ask(&ask).await.unwrap(), WEB);
    // Both, if they agree.
    let both = ask.clone().token(&token);
    Answer::check(holder.ask(&both).await.unwrap(), WEB);
    let other = ask.clone().token(&mesh.token("web", "back"));
    assert_is(
        holder.ask(&other).await,
        NOBODY,
        "certificate and token disagree",
    );
    // Never another's name.
    let back = ztunnel_csr("spiffe://cluster.local/ns/web/sa/back", &key);
    assert_is(holder.ask(&Ask::new(&back)).await, NOBODY, "another's name");
    // A pod is in a token only.
    let beside = ask
        .clone()
        .on_behalf_of("spiffe://cluster.local/ns/web/sa/back");
    assert_is(
        holder.ask(&beside).await,
        NOT_FOR_HIM,
        "on behalf of another",
    );

    mesh.write("pki_int_ca/revoke", &json!({"serial_number": first.serial}));
    assert_is(holder.ask(&ask).await, NOBODY, "revoked");
    // It does not fall through to the token.
    assert_is(holder.ask(&both).await, NOBODY, "revoked, with a token");
    // On a connection that was there before, too.
    let renewed = renewed.connect().await.unwrap();
    call(renewed.clone(), &ask).await.unwrap();
    mesh.write(
        "pki_int_ca/revoke",
        &json!({"serial_number": second.serial}),
    );
    assert_is(call(renewed, &ask).await, NOBODY, "revoked meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_mount_and_role_for_one_workload_count() {
    let mesh = Mesh::start("").await;
    let any = json!({"key_type": "any", "allow_any_name": true, "enforce_hostnames": false,
                     "allowed_uri_sans": "*", "require_cn": false, "max_ttl": "720h"});
    mesh.write("pki_int_ca/roles/other", &any);
    mesh.write("pki_int_ca/roles/mesh", &any);
    mesh.new_root("stranger");
    mesh.write("stranger/roles/mesh", &any);
    let key = p256();
    let csr = ztunnel_csr(WEB, &key);
    let signed = |path: &str, uris: &str, ttl: &str| {
        let empty = crate::agent::params(WEB);
        let mut params = empty;
        params.subject_alt_names.clear();
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let request = json!({"csr": csr, "uri_sans": uris, "ttl": ttl, "use_csr_sans": false});
        let answer = mesh.write(path, &request);
        format!("{}\n", answer["certificate"].as_str().unwrap())
    };
    mesh.write("pki_int_ca/roles/mesh", &with(&any, "use_csr_sans", false));
    mesh.write("pki_int_ca/roles/other", &with(&any, "use_csr_sans", false));
    mesh.write("stranger/roles/mesh", &with(&any, "use_csr_sans", false));
    let two = format!("{WEB},spiffe://cluster.local/ns/web/sa/back");
    let ask = Ask::new(&csr);
    let token = mesh.token("web", "front");
    let own = signed("pki_int_ca/sign/mesh", WEB, "1h");
    let elements = Agent::with_pair(&mesh, &own, &key).ask(&ask).await;
    Answer::check(elements.unwrap(), WEB);
    for (what, chain) in [
        ("another role", signed("pki_int_ca/sign/other", WEB, "1h")),
        ("another mount", signed("stranger/sign/mesh", WEB, "1h")),
        ("two URIs", signed("pki_int_ca/sign/mesh", &two, "1h")),
        ("no URI", signed("pki_int_ca/sign/mesh", "", "1h")),
        (
            "another trust domain",
            signed("pki_int_ca/sign/mesh", "spiffe://td/ns/web/sa/front", "1h"),
        ),
        (
            "another form",
            signed("pki_int_ca/sign/mesh", "spiffe://cluster.local/front", "1h"),
        ),
        ("self-signed", self_signed(&key)),
    ] {
        let holder = Agent::with_pair(&mesh, &chain, &key);
        assert_is(holder.ask(&ask).await, NOBODY, what);
        let with_token = ask.clone().token(&token);
        assert_is(holder.ask(&with_token).await, NOBODY, what);
    }
    // One that ends while its connection is open.
    let short = signed("pki_int_ca/sign/mesh", WEB, "1s");
    let holder = Agent::with_pair(&mesh, &short, &key);
    mesh.wait_for("an expired certificate counts", async || {
        outcome(holder.ask(&ask).await).0 == Code::Unauthenticated
    })
    .await;
    // For servers only.
    let servers = with(&with(&any, "use_csr_sans", false), "client_flag", false);
    mesh.write("pki_int_ca/roles/mesh", &servers);
    let for_servers = signed("pki_int_ca/sign/mesh", WEB, "1h");
    let holder = Agent::with_pair(&mesh, &for_servers, &key);
    assert_is(holder.ask(&ask).await, NOBODY, "a server's certificate");
}

fn with(role: &Value, key: &str, value: bool) -> Value {
    let mut role = role.clone();
    role[key] = json!(value);
    role
}

fn self_signed(key: &KeyPair) -> String {
    crate::agent::params(WEB).self_signed(key).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_proxy_asks_for_the_pods_of_its_node() {
    let mesh = Mesh::start("trusted_node_accounts = [\"istio-system/ztunnel\"]").await;
    let agent = Agent::ztunnel(&mesh);
    let proxy = claims("istio-system", "ztunnel");
    let csr = ztunnel_csr(WEB, &p256());
    let as_proxy = |claims: &Value| Ask::new(&csr).token(&mesh.issuer.token(claims));
    let elements = agent.ask(&as_proxy(&proxy).on_behalf_of(WEB)).await;
    Answer::check(elements.unwrap(), WEB);
    let own = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
    let for_itself = Ask::new(&ztunnel_csr(own, &p256())).token(&mesh.issuer.token(&proxy));
    Answer::check(agent.ask(&for_itself).await.unwrap(), own);

    let elsewhere = edited(&proxy, |c| {
        c["kubernetes.io"]["node"]["name"] = json!("node-b");
    });
    let nowhere = edited(&proxy, |c| {
        drop(c["kubernetes.io"].as_object_mut().unwrap().remove("node"));
    });
    let no_pod = edited(&proxy, |c| {
        drop(c["kubernetes.io"].as_object_mut().unwrap().remove("pod"));
    });
    let workload = claims("web", "back");
    for (what, claims, wanted) in [
        ("on another node", &elsewhere, WEB),
        ("on a node that nobody knows", &nowhere, WEB),
        ("without a pod", &no_pod, WEB),
        ("by a workload", &workload, WEB),
        (
            "for nobody there",
            &proxy,
            "spiffe://cluster.local/ns/web/sa/back",
        ),
        (
            "in another trust domain",
            &proxy,
            "spiffe://td/ns/web/sa/front",
        ),
        ("in no form", &proxy, "web/front"),
        (
            "as a URI with a tail",
            &proxy,
            "spiffe://cluster.local/ns/web/sa/front/",
        ),
    ] {
        let answer = agent.ask(&as_proxy(claims).on_behalf_of(wanted)).await;
        assert_is(answer, NOT_FOR_HIM, what);
    }
    // The CSR has to be the pod's.
    let own_csr = Ask::new(&ztunnel_csr(own, &p256())).token(&mesh.issuer.token(&proxy));
    assert_is(
        agent.ask(&own_csr.on_behalf_of(WEB)).await,
        NOBODY,
        "its own CSR",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_for_others_unless_that_is_set() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("istio-system", "ztunnel");
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&token);
    let answer = Agent::ztunnel(&mesh).ask(&ask.on_behalf_of(WEB)).await;
    assert_is(answer, NOT_FOR_HIM, "nobody is trusted");
}
