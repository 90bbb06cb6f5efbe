//! Requests that the server makes of itself.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::acl::{Acl, Policy};
use signet_api::call::Op;
use time::OffsetDateTime;

use crate::pki_fixture::Pki;
use crate::support::call;

fn acl(path: &str) -> Arc<Acl> {
    let rules = json!({"path": {path: {"capabilities": ["update"]}}}).to_string();
    let policy = Policy::parse("own", &rules).unwrap();
    Arc::new(Acl::new(&[policy], &|_| None, OffsetDateTime::UNIX_EPOCH).unwrap())
}

#[tokio::test]
async fn may_do_what_their_policy_says_and_nothing_else() {
    let pki = Pki::start().await;
    let node = &pki.server.node;
    let request = json!({"common_name": "istiod.istio-system.svc"});
    let issue = |path: &str| call(Op::Write, path, "", request.clone());
    let allowed = node
        .handle_own(issue("pki/issue/web"), acl("pki/issue/web"))
        .await;
    let body: Value = serde_json::from_slice(&allowed.body).unwrap();
    assert_eq!(allowed.status, 200, "{body}");
    let serial = body["data"]["serial_number"].as_str().unwrap();
    assert_eq!(pki.read(&format!("cert/{serial}")).await.0, 200);
    let other = node
        .handle_own(issue("pki/issue/web"), acl("pki/issue/other"))
        .await;
    assert_eq!(other.status, 403);
    let without = node.handle(issue("pki/issue/web")).await;
    assert_eq!(without.status, 403);
}
