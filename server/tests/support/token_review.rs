//! An API server that reviews tokens of service accounts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Accepts every token as one of `web/front`, and tells what it was asked.
pub(crate) fn api_server() -> (SocketAddr, Receiver<(String, Value)>) {
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
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().unwrap());
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
pub(crate) fn service_account_token() -> String {
    let claims = json!({ "aud": ["vault"], "nbf": 1_700_000_000, "exp": 4_000_000_000_u64, "kubernetes.io": {
        "namespace": "web", "serviceaccount": { "name": "front", "uid": "u-1" },
    }});
    let parts = [
        json!({ "alg": "RS256" }).to_string(),
        claims.to_string(),
        "x".into(),
    ];
    parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}
