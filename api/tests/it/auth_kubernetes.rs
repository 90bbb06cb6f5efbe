//! `auth/kubernetes/`: what service accounts are worth.

use serde_json::{Value, json};
use signet_api::outbound::{Request, Trust};

use crate::outbound::{header, response};
use crate::signer::Signer;
use crate::support::{Answer, ROOT, Server, error};

const NOW: i64 = 1_800_000_000;
const CONFIG: &str = "auth/kubernetes/config";

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("kubernetes").await;
    server
}

/// A server whose API server accepts every token of `web/front`, and a role `r` with `changes`.
async fn configured(changes: Value) -> Server {
    let server = server().await;
    write(&server, CONFIG, config(json!({}))).await;
    write(&server, "auth/kubernetes/role/r", role(changes)).await;
    accept(&server, json!({}));
    server
}

async fn write(server: &Server, path: &str, data: Value) {
    let answer = server.write(ROOT, path, data).await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

fn config(changes: Value) -> Value {
    over(
        json!({ "kubernetes_host": "https://api.example:6443", "kubernetes_ca_cert": "pem",
                "token_reviewer_jwt": "reviewer" }),
        changes,
    )
}

fn role(changes: Value) -> Value {
    over(
        json!({ "bound_service_account_names": "front", "bound_service_account_namespaces": "web",
                "token_policies": "p1" }),
        changes,
    )
}

/// A token of `web/front`; the API server alone checks its signature.
fn jwt(changes: Value) -> String {
    let claims = json!({
        "iss": "https://cluster.example", "sub": "system:serviceaccount:web:front",
        "aud": ["vault"], "iat": NOW, "nbf": NOW, "exp": NOW + 600,
        "kubernetes.io": {
            "namespace": "web",
            "pod": { "name": "front-1", "uid": "p-1" },
            "serviceaccount": { "name": "front", "uid": "u-1" },
        },
    });
    Signer::es256().token(&over(claims, changes))
}

fn over(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        return base;
    };
    for (name, value) in changes {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(&name);
        } else {
            base[name] = value;
        }
    }
    base
}

/// The API server confirms the audiences that it is asked for; `changes` are of the user.
fn accept(server: &Server, changes: Value) {
    server.outbound.answer(move |request| {
        if request.url.ends_with("/api/v1/namespaces/web") {
            let namespace = json!({ "metadata": { "labels": { "team": "a" } } });
            return Ok(response(200, &namespace.to_string()));
        }
        let asked = asked(request);
        let user = over(
            json!({ "username": "system:serviceaccount:web:front", "uid": "u-1",
                    "groups": ["system:serviceaccounts"] }),
            changes.clone(),
        );
        let status = json!({ "authenticated": true, "user": user,
                             "audiences": asked["spec"]["audiences"] });
        Ok(response(201, &json!({ "status": status }).to_string()))
    });
}

fn asked(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

async fn login(server: &Server, jwt: &str) -> Answer {
    let data = json!({ "role": "r", "jwt": jwt });
    server.write("", "auth/kubernetes/login", data).await
}

fn token(answer: &Answer) -> &str {
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1["auth"]["client_token"].as_str().unwrap()
}

fn refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.0, error(answer)), (status, text));
}

#[tokio::test]
async fn a_service_account_is_worth_what_its_role_says() {
    let server = configured(json!({ "token_ttl": "20m" })).await;
    let answer = login(&server, &jwt(json!({}))).await;
    let auth = &answer.1["auth"];
    assert_eq!(auth["policies"], json!(["default", "p1"]));
    assert_eq!(auth["lease_duration"], 1200);
    assert_eq!(
        auth["metadata"],
        json!({
            "role": "r", "service_account_name": "front", "service_account_namespace": "web",
            "service_account_secret_name": "", "service_account_uid": "u-1",
        })
    );
    let data = server
        .read(token(&answer), "auth/token/lookup-self")
        .await
        .1;
    assert_eq!(data["data"]["display_name"], "kubernetes-web-front");
    let sent = server.outbound.take_sent().remove(0);
    assert_eq!(
        sent.url,
        "https://api.example:6443/apis/authentication.k8s.io/v1/tokenreviews"
    );
    assert_eq!(header(&sent, "authorization"), "Bearer reviewer");
    assert_eq!(sent.trust, Trust::of_pem("pem"));
    assert_eq!(asked(&sent)["spec"]["audiences"], json!(["vault"]));
}

#[tokio::test]
async fn white_space_around_a_token_does_not_count() {
    let server = configured(json!({})).await;
    let jwt = jwt(json!({}));
    token(&login(&server, &format!("{jwt}\n")).await);
    let sent = server.outbound.take_sent().remove(0);
    assert_eq!(asked(&sent)["spec"]["token"], jwt);
}

#[tokio::test]
async fn without_a_reviewer_the_token_asks_for_its_own_review() {
    let server = configured(json!({})).await;
    write(
        &server,
        CONFIG,
        config(json!({ "token_reviewer_jwt": null })),
    )
    .await;
    let jwt = jwt(json!({}));
    token(&login(&server, &jwt).await);
    let sent = server.outbound.take_sent().remove(0);
    assert_eq!(header(&sent, "authorization"), format!("Bearer {jwt}"));
    server.outbound.answer_json(403, &json!({}));
    let other = self::jwt(json!({}));
    refused(&login(&server, &other).await, 403, "permission denied");
}

#[tokio::test]
async fn a_token_that_says_the_wrong_thing_is_refused_without_asking() {
    let server = configured(json!({ "audience": "vault" })).await;
    let account = |namespace: &str, name: &str| {
        json!({ "kubernetes.io": {
            "namespace": namespace, "serviceaccount": { "name": name, "uid": "u-1" },
        }})
    };
    for (changes, text) in [
        (
            account("web", "back"),
            "service account name not authorized",
        ),
        (account("other", "front"), "namespace not authorized"),
        (
            json!({ "kubernetes.io": null }),
            "service account name not authorized",
        ),
        (
            json!({ "aud": ["other"] }),
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            json!({ "exp": NOW - 60 }),
            "invalid expiration time (exp) claim: token is expired",
        ),
        (
            json!({ "nbf": NOW + 61 }),
            "invalid not before (nbf) claim: token not yet valid",
        ),
    ] {
        refused(&login(&server, &jwt(changes)).await, 403, text);
    }
    for garbage in ["x", "a.b.c", "..."] {
        refused(&login(&server, garbage).await, 403, "permission denied");
    }
    let path = "auth/kubernetes/login";
    for (data, text) in [
        (json!({ "jwt": "x" }), "missing role"),
        (json!({ "role": "r" }), "missing jwt"),
        (
            json!({ "role": "nope", "jwt": "x" }),
            "invalid role name \"nope\"",
        ),
    ] {
        refused(&server.write("", path, data).await, 400, text);
    }
    assert_eq!(server.outbound.take_sent().len(), 0);
}

#[tokio::test]
async fn whom_the_api_server_names_is_who_counts() {
    let server = configured(json!({})).await;
    for changes in [
        json!({ "username": "system:serviceaccount:web:back" }),
        json!({ "username": "system:serviceaccount:other:front" }),
        json!({ "username": "system:serviceaccount:web:front:x" }),
        json!({ "username": "admin" }),
        json!({ "uid": "u-2" }),
        json!({ "uid": "" }),
    ] {
        accept(&server, changes.clone());
        let answer = login(&server, &jwt(json!({}))).await;
        refused(&answer, 403, "permission denied");
    }
    for status in [
        json!({ "authenticated": false }),
        json!({ "authenticated": false, "error": "token is gone" }),
        json!({ "authenticated": true, "audiences": ["other"],
                "user": { "username": "system:serviceaccount:web:front", "uid": "u-1" } }),
    ] {
        server
            .outbound
            .answer_json(201, &json!({ "status": status }));
        let answer = login(&server, &jwt(json!({}))).await;
        refused(&answer, 403, "permission denied");
    }
    let no_uid = json!({ "kubernetes.io": {
        "namespace": "web", "serviceaccount": { "name": "front" },
    }});
    accept(&server, json!({ "uid": "" }));
    refused(
        &login(&server, &jwt(no_uid)).await,
        403,
        "permission denied",
    );
}

#[tokio::test]
async fn while_the_api_server_is_away_clients_are_told_to_come_back() {
    let server = configured(json!({})).await;
    for status in [500, 503, 429, 403] {
        server
            .outbound
            .answer_json(status, &json!({ "message": "s3cret" }));
        let answer = login(&server, &jwt(json!({}))).await;
        let text = "the Kubernetes API server cannot be asked now, try again later";
        refused(&answer, 503, text);
    }
    accept(&server, json!({}));
    token(&login(&server, &jwt(json!({}))).await);
}

#[tokio::test]
async fn names_and_namespaces_may_have_wildcards() {
    let server = configured(json!({
        "bound_service_account_names": ["f*t"], "bound_service_account_namespaces": ["w*", "x"],
    }))
    .await;
    token(&login(&server, &jwt(json!({}))).await);
    let any =
        json!({ "bound_service_account_names": "*", "bound_service_account_namespaces": "*" });
    write(&server, "auth/kubernetes/role/r", any).await;
    token(&login(&server, &jwt(json!({}))).await);
}

#[tokio::test]
async fn a_selector_asks_for_the_labels_of_the_namespace_after_the_review() {
    let selecting = |team: &str| {
        json!({
            "bound_service_account_namespaces": ["elsewhere"],
            "bound_service_account_namespace_selector":
                json!({ "matchLabels": { "team": team } }).to_string(),
        })
    };
    let server = configured(selecting("a")).await;
    token(&login(&server, &jwt(json!({}))).await);
    let sent = server.outbound.take_sent();
    let urls: Vec<_> = sent
        .iter()
        .map(|request| request.url.rsplit('/').next())
        .collect();
    assert_eq!(urls, [Some("tokenreviews"), Some("web")]);
    assert_eq!(header(&sent[1], "authorization"), "Bearer reviewer");

    write(&server, "auth/kubernetes/role/r", role(selecting("b"))).await;
    refused(
        &login(&server, &jwt(json!({}))).await,
        403,
        "namespace not authorized",
    );

    write(
        &server,
        CONFIG,
        config(json!({ "token_reviewer_jwt": null })),
    )
    .await;
    let text = "namespace not authorized err=namespace lookup failed: TokenReviewer JWT needs to \
                be configured to use namespace selectors";
    refused(&login(&server, &jwt(json!({}))).await, 403, text);
}

#[tokio::test]
async fn keys_of_the_cluster_refuse_forged_tokens_without_asking() {
    let server = configured(json!({})).await;
    let signer = Signer::es256();
    write(
        &server,
        CONFIG,
        config(json!({ "pem_keys": [signer.pem()] })),
    )
    .await;
    refused(
        &login(&server, &jwt(json!({}))).await,
        403,
        "permission denied",
    );
    assert_eq!(server.outbound.take_sent().len(), 0);
    let payload = jwt(json!({}));
    let payload: Value = {
        use base64::Engine as _;
        let part = payload.split('.').nth(1).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    };
    token(&login(&server, &signer.token(&payload)).await);
}

#[tokio::test]
async fn the_issuer_counts_when_its_validation_is_on() {
    let server = configured(json!({})).await;
    let issuer = |issuer: &str, is_off: bool| {
        config(json!({ "issuer": issuer, "disable_iss_validation": is_off }))
    };
    for (config, allowed) in [
        (issuer("https://cluster.example", false), true),
        (issuer("https://other.example", false), false),
        (issuer("https://other.example", true), true),
        (issuer("", false), true),
    ] {
        write(&server, CONFIG, config.clone()).await;
        let answer = login(&server, &jwt(json!({}))).await;
        if allowed {
            token(&answer);
        } else {
            refused(&answer, 403, "invalid issuer (iss) claim");
        }
    }
}

#[tokio::test]
async fn old_tokens_of_secrets_are_taken_while_the_api_server_takes_them() {
    let server = configured(json!({ "alias_name_source": "serviceaccount_name" })).await;
    let old = "kubernetes.io/serviceaccount/";
    let claims = json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:web:front",
        format!("{old}namespace"): "web",
        format!("{old}secret.name"): "front-token-x",
        format!("{old}service-account.name"): "front",
        format!("{old}service-account.uid"): "u-1",
    });
    let answer = login(&server, &Signer::rsa().token(&claims)).await;
    token(&answer);
    let metadata = &answer.1["auth"]["metadata"];
    assert_eq!(metadata["service_account_secret_name"], "front-token-x");
    let sent = server.outbound.take_sent().remove(0);
    assert!(asked(&sent)["spec"]["audiences"].is_null());
}

#[tokio::test]
async fn a_login_from_elsewhere_is_refused_without_asking() {
    let server = configured(json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    let answer = login(&server, &jwt(json!({}))).await;
    refused(&answer, 403, "permission denied");
    assert_eq!(server.outbound.take_sent().len(), 0);
}

#[tokio::test]
async fn a_configuration_is_read_without_its_token() {
    let server = server().await;
    assert_eq!(
        server.read(ROOT, CONFIG).await,
        (404, json!({ "errors": [] }))
    );
    for (config, text) in [
        (json!({}), "no host provided"),
        (
            json!({ "kubernetes_host": "https://a", "disable_local_ca_jwt": true }),
            "kubernetes_ca_cert must be given when disable_local_ca_jwt is true",
        ),
        (
            json!({ "kubernetes_host": "https://a", "pem_keys": ["x"] }),
            "data does not contain any valid public keys",
        ),
    ] {
        refused(&server.write(ROOT, CONFIG, config).await, 400, text);
    }
    write(&server, CONFIG, config(json!({}))).await;
    let shown = server.read(ROOT, CONFIG).await.1["data"].clone();
    assert_eq!(
        shown,
        json!({
            "disable_iss_validation": true, "disable_local_ca_jwt": false, "issuer": "",
            "kubernetes_ca_cert": "pem", "kubernetes_host": "https://api.example:6443",
            "pem_keys": [], "token_reviewer_jwt_set": true,
        })
    );
    write(&server, "auth/kubernetes/role/r", role(json!({}))).await;
}

#[tokio::test]
async fn roles_are_checked_and_read_as_clients_compare_them() {
    let server = server().await;
    let path = "auth/kubernetes/role/R";
    let mixed = json!(["*", "a"]);
    for (changes, text) in [
        (
            json!({ "bound_service_account_names": null }),
            "\"bound_service_account_names\" can not be empty",
        ),
        (
            json!({ "bound_service_account_namespaces": null }),
            "\"bound_service_account_namespaces\" can not be empty if \
             \"bound_service_account_namespace_selector\" is not set",
        ),
        (
            json!({ "bound_service_account_names": mixed }),
            "can not mix \"*\" with values",
        ),
        (
            json!({ "bound_service_account_namespaces": mixed }),
            "can not mix \"*\" with values",
        ),
        (
            json!({ "bound_service_account_namespace_selector": "zz" }),
            "invalid \"bound_service_account_namespace_selector\" configured",
        ),
        (
            json!({ "alias_name_source": "zz" }),
            "invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name",
        ),
        (
            json!({ "token_period": "9999h" }),
            "token period of '\"9999h0m0s\"' is greater than the backend's maximum lease TTL of \
             '\"768h0m0s\"'",
        ),
        (
            json!({ "ttl": "2h", "token_max_ttl": "1h" }),
            "token ttl should not be greater than token max ttl",
        ),
    ] {
        refused(&server.write(ROOT, path, role(changes)).await, 400, text);
    }
    write(&server, path, role(json!({ "audience": "vault" }))).await;
    let shown = server.read(ROOT, "auth/kubernetes/role/r").await.1["data"].clone();
    assert_eq!(
        shown,
        json!({
            "alias_name_source": "serviceaccount_uid", "audience": "vault",
            "bound_service_account_names": ["front"],
            "bound_service_account_namespace_selector": "",
            "bound_service_account_namespaces": ["web"], "token_bound_cidrs": [],
            "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false,
            "token_num_uses": 0, "token_period": 0, "token_policies": ["p1"],
            "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default",
        })
    );
    let keys = server.list(ROOT, "auth/kubernetes/role").await;
    assert_eq!(keys.1["data"]["keys"], json!(["r"]));
    assert_eq!(server.delete(ROOT, path).await.0, 204);
    assert_eq!(server.list(ROOT, "auth/kubernetes/role").await.0, 404);
}

#[tokio::test]
async fn tokens_of_a_deleted_role_are_not_renewed() {
    let server = configured(json!({})).await;
    let answer = login(&server, &jwt(json!({}))).await;
    assert_eq!(server.delete(ROOT, "auth/kubernetes/role/r").await.0, 204);
    let path = "auth/token/renew-self";
    let refused = server.write(token(&answer), path, json!({})).await;
    assert!(
        error(&refused).contains("role r does not exist during renewal"),
        "{refused:?}"
    );
}
