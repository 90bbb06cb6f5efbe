//! A login that asks the API server of a cluster, over sockets on both sides.

use serde_json::{Value, json};

use crate::support::Server;
use crate::token_review::{api_server, service_account_token};

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
