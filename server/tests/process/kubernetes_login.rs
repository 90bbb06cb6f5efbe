//! A login that asks the API server of a cluster, over sockets on both sides.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::Server;

/// Accepts every token as one of `web/front`, and tells what it was asked.
fn api_server() -> (SocketAddr, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while stream.read_line(&mut head).unwrap() > 2 {}
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let review: Value = serde_json::from_slice(&body).unwrap();
            let answer = json!({ "status": {
                "authenticated": true,
                "audiences": review.pointer("/spec/audiences"),
                "user": { "username": "system:serviceaccount:web:front", "uid": "u-1" },
            }})
            .to_string();
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 201 Created\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if told.send((head, review)).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

/// Only the API server looks at its signature.
fn service_account_token() -> String {
    let claims = json!({ "aud": ["vault"], "exp": 4_000_000_000_u64, "kubernetes.io": {
        "namespace": "web", "serviceaccount": { "name": "front", "uid": "u-1" },
    }});
    let parts = [
        json!({ "alg": "RS256" }).to_string(),
        claims.to_string(),
        "x".into(),
    ];
    parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

#[test]
fn a_service_account_logs_in_through_its_api_server() {
    let (address, asked) = api_server();
    let server = Server::dev();
    let token = service_account_token();
    for (path, body) in [
        ("sys/auth/kubernetes", json!({ "type": "kubernetes" })),
        (
            "auth/kubernetes/config",
            json!({ "kubernetes_host": format!("http://{address}"),
                    "token_reviewer_jwt": "reviewer" }),
        ),
        (
            "auth/kubernetes/role/r",
            json!({ "bound_service_account_names": "front",
                    "bound_service_account_namespaces": "web", "audience": "vault" }),
        ),
    ] {
        let answer = server.ask("POST", &format!("/v1/{path}"), &body.to_string());
        assert_eq!(answer.status, 204, "{path}: {}", answer.body);
    }
    let login = json!({ "role": "r", "jwt": token }).to_string();
    let answer = server.ask("POST", "/v1/auth/kubernetes/login", &login);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let metadata = &body["auth"]["metadata"];
    assert_eq!(metadata["service_account_name"], "front");
    let (head, review) = asked.recv().unwrap();
    assert!(head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n"));
    assert!(
        head.contains("authorization: Bearer reviewer\r\n"),
        "{head}"
    );
    assert_eq!(
        review["spec"],
        json!({ "token": token, "audiences": ["vault"] })
    );
    assert!(!server.log().contains(&token), "{}", server.log());
    server.stop();
}
