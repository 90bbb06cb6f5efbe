//! The smaller endpoints of `sys/`.

use serde_json::json;
use signet_api::call::Op;

use crate::support::{ROOT, Server, call, error};

#[tokio::test]
async fn mounts_are_shown_to_those_who_may_use_them() {
    let server = Server::start().await;
    let path = "sys/internal/ui/mounts";
    let hidden = server.read("", path).await;
    assert_eq!(hidden.1["data"], json!({"auth": {}, "secret": {}}));
    let answer = server.read("hvs.bad", path).await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));

    let enable =
        json!({"type": "pki", "description": "d", "config": {"listing_visibility": "unauth"}});
    server.write(ROOT, "sys/mounts/pki", enable).await;
    let public = server.read("", path).await.1;
    assert_eq!(
        public["data"]["secret"],
        json!({"pki/": {"description": "d", "options": {}, "type": "pki"}})
    );

    let token = server
        .token_with("cubby", r#"path "cubbyhole/*" { capabilities = ["read"] }"#)
        .await;
    let own = server.read(&token, path).await.1;
    let seen: Vec<&String> = own["data"]["secret"].as_object().unwrap().keys().collect();
    assert_eq!(seen, ["cubbyhole/", "pki/"]);
    assert!(own["data"]["secret"]["cubbyhole/"]["uuid"].is_string());
    assert!(own["data"]["secret"]["pki/"]["uuid"].is_null());
}

#[tokio::test]
async fn one_mount_is_shown_by_any_path_inside() {
    let server = Server::start().await;
    let ask = async |token: &str, path: &str| {
        server
            .read(token, &format!("sys/internal/ui/mounts/{path}"))
            .await
    };
    for path in ["cubbyhole", "cubbyhole/a/b"] {
        assert_eq!(ask(ROOT, path).await.1["data"]["path"], json!("cubbyhole/"));
    }
    let answer = ask(ROOT, "nope").await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            403,
            "preflight capability check returned 403, please ensure client's policies grant \
             access to path \"nope/\""
        )
    );
    let answer = ask("", "cubbyhole").await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
}

#[tokio::test]
async fn the_resultant_acl_lists_the_rules_of_the_caller() {
    let server = Server::start().await;
    let path = "sys/internal/ui/resultant-acl";
    assert_eq!(
        server.read(ROOT, path).await.1["data"],
        json!({"root": true})
    );
    let token = server
        .token_with(
            "r",
            &format!("path \"{path}\" {{ capabilities = [\"read\"] }}"),
        )
        .await;
    assert_eq!(
        server.read(&token, path).await.1["data"],
        json!({"root": false, "glob_paths": {},
               "exact_paths": {path: {"capabilities": ["read"]}}})
    );
}

#[tokio::test]
async fn openapi_describes_what_the_caller_may_see() {
    let server = Server::start().await;
    server
        .write(ROOT, "sys/mounts/team/pki", json!({"type": "pki"}))
        .await;
    let path = "sys/internal/specs/openapi";
    let all = server.read(ROOT, path).await.1;
    assert_eq!(all["openapi"], json!("3.0.2"));
    let seal = &all["paths"]["/sys/seal"];
    assert_eq!(seal["x-vault-sudo"], json!(true));
    let init = &all["paths"]["/sys/init"];
    assert_eq!(init["x-vault-unauthenticated"], json!(true));
    let role = &all["paths"]["/team/pki/roles/{name}"];
    assert_eq!(role["parameters"][0]["name"], json!("name"));
    assert!(
        role["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
            .as_object()
            .is_some_and(|fields| !fields.is_empty() && !fields.contains_key("name"))
    );

    let generic = call(Op::Read, path, ROOT, json!({"generic_mount_paths": "true"}));
    let generic = server.call(generic).await.1;
    let role = &generic["paths"]["/{pki_mount_path}/roles/{name}"];
    assert_eq!(role["parameters"][0]["name"], json!("pki_mount_path"));
    assert!(generic["paths"]["/sys/seal"].is_object());

    let nobody = server.read("", path).await.1;
    assert_eq!(nobody["paths"], json!({}));
}

#[tokio::test]
async fn random_bytes_come_in_the_wanted_number_and_form() {
    let server = Server::start().await;
    let random = async |path: &str, body| {
        let (status, body) = server
            .write(ROOT, &format!("sys/tools/random{path}"), body)
            .await;
        assert_eq!(status, 200, "{body}");
        body["data"]["random_bytes"].as_str().unwrap().to_owned()
    };
    assert_eq!(random("", json!({})).await.len(), 44);
    assert_eq!(random("/8", json!({"format": "hex"})).await.len(), 16);
    assert_eq!(random("/seal/8", json!({"format": "hex"})).await.len(), 16);
    assert_eq!(
        random("/seal", json!({"bytes": 4, "format": "hex"}))
            .await
            .len(),
        8
    );
    for (path, body, text) in [
        ("", json!({"bytes": 0}), "'bytes' cannot be less than 1"),
        (
            "",
            json!({"bytes": 131_073}),
            "'bytes' should be less than 131072",
        ),
        (
            "/abc",
            json!({}),
            "error parsing url-set byte count: strconv.Atoi: parsing \"abc\": invalid syntax",
        ),
        (
            "/bogus/8",
            json!({}),
            "unsupported entropy source \"bogus\"; must be \"platform\" or \"seal\", or \"all\"",
        ),
        (
            "",
            json!({"format": "x"}),
            "unsupported encoding format \"x\"; must be \"hex\" or \"base64\"",
        ),
    ] {
        let answer = server
            .write(ROOT, &format!("sys/tools/random{path}"), body)
            .await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
}

#[tokio::test]
async fn hashes_are_those_of_the_standards() {
    let server = Server::start().await;
    let hash = async |path: &str, format: &str| {
        let body = json!({"input": "aGVsbG8=", "format": format});
        let answer = server
            .write(ROOT, &format!("sys/tools/hash{path}"), body)
            .await;
        answer.1["data"]["sum"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        hash("", "hex").await,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!(
        hash("/sha3-256", "base64").await,
        "Mzi+aU9QxfM4gUmGzfBoZFOoiLhPQk15KvS5ICOY85I="
    );
    for (path, body, text) in [
        ("/md5", json!({"input": ""}), "unsupported algorithm md5"),
        (
            "",
            json!({"input": "", "format": "x"}),
            "unsupported encoding format x; must be \"hex\" or \"base64\"",
        ),
    ] {
        let answer = server
            .write(ROOT, &format!("sys/tools/hash{path}"), body)
            .await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let answer = server
        .write(ROOT, "sys/tools/hash", json!({"input": "!!"}))
        .await;
    assert!(error(&answer).starts_with("unable to decode input as base64: "));
}

#[tokio::test]
async fn cors_is_off_until_origins_are_given() {
    let server = Server::start().await;
    let path = "sys/config/cors";
    assert_eq!(server.read(ROOT, path).await.1["enabled"], json!(false));
    let answer = server.write(ROOT, path, json!({})).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "at least one origin or the wildcard must be provided")
    );
    let origins =
        json!({"allowed_origins": "https://a.example,https://b.example", "allowed_headers": "X-A"});
    assert_eq!(server.write(ROOT, path, origins).await.0, 204);
    let (_, body) = server.read(ROOT, path).await;
    assert_eq!(
        body["data"]["allowed_origins"],
        json!(["https://a.example", "https://b.example"])
    );
    assert!(
        body["allowed_headers"]
            .as_array()
            .unwrap()
            .contains(&json!("X-A"))
    );
    assert_eq!(server.delete(ROOT, path).await.0, 204);
    assert_eq!(server.read(ROOT, path).await.1["enabled"], json!(false));
}

#[tokio::test]
async fn small_reports_have_the_shapes_that_clients_read() {
    let server = Server::start().await;
    let data = async |path: &str| server.read(ROOT, path).await.1["data"].clone();
    assert_eq!(
        data("sys/internal/counters/tokens").await,
        json!({"counters": {"service_tokens": {"total": 1}}})
    );
    let catalog = data("sys/plugins/catalog").await;
    assert!(
        catalog["secret"]
            .as_array()
            .unwrap()
            .contains(&json!("pki"))
    );
    let plugin = data("sys/plugins/catalog/secret/pki").await;
    assert_eq!(plugin["builtin"], json!(true));
    assert_eq!(
        server.read(ROOT, "sys/plugins/catalog/secret/nope").await.0,
        404
    );
    let versions = server.list(ROOT, "sys/version-history").await.1;
    assert_eq!(versions["data"]["keys"], json!(["1.19.5"]));
    let nodes = server.read(ROOT, "sys/ha-status").await.1;
    assert_eq!(nodes["nodes"][0]["active_node"], json!(true));
    assert_eq!(
        server.read("", "sys/leader").await.1["ha_enabled"],
        json!(false)
    );
    assert_eq!(server.read(ROOT, "sys/host-info").await.0, 200);
    assert_eq!(
        data("sys/config/state/sanitized").await["storage"],
        json!({"type": "inmem"})
    );
    let running = server.read(ROOT, "sys/in-flight-req").await.1;
    let (_, own) = running.as_object().unwrap().iter().next().unwrap();
    assert_eq!(own["request_path"], json!("/v1/sys/in-flight-req"));
}

#[tokio::test]
async fn help_describes_paths_and_mounts_to_any_valid_token() {
    let server = Server::start().await;
    let rules = r#"path "elsewhere" { capabilities = ["read"] }"#;
    let token = server.token_with("nothing", rules).await;
    let help =
        async |token: &str, path: &str| server.call(call(Op::Help, path, token, json!({}))).await;
    let (status, body) = help(&token, "sys/mounts/foo").await;
    assert_eq!(status, 200);
    let text = body["help"].as_str().unwrap();
    let start = "Request:        mounts/foo\nMatching Route: ^mounts/(?P<path>.+)$\n\n";
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.contains("\n## PARAMETERS\n\n    config (map)\n\n        Configuration of the mount")
    );
    assert!(text.contains("\n## DESCRIPTION\n\n"));
    assert_eq!(body["see_also"], json!(null));
    assert!(body["openapi"]["paths"]["/mounts/{path}"]["post"].is_object());

    for root in ["sys", "sys/"] {
        let text = help(&token, root).await.1["help"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(text.starts_with("## DESCRIPTION\n\n") && text.contains("\n## PATHS\n"));
        assert!(text.contains("\n    ^seal-status$\n        Returns the seal status"));
    }
    assert_eq!(help("", "sys/mounts").await.0, 403);
    assert_eq!(help(&token, "sys/nonsense/x").await.0, 404);
}

#[tokio::test]
async fn metrics_come_as_json_and_as_text() {
    let server = Server::start().await;
    let (status, body) = server.read(ROOT, "sys/metrics").await;
    assert_eq!(status, 200);
    let gauges = body["Gauges"].as_array().unwrap();
    let value = |name: &str| {
        let found = gauges.iter().find(|gauge| gauge["Name"] == json!(name));
        found.map(|gauge| gauge["Value"].clone())
    };
    assert_eq!(value("vault.core.unsealed"), Some(json!(1)));
    assert_eq!(value("vault.core.in_flight_requests"), Some(json!(1)));
    assert_eq!(value("vault.token.count"), Some(json!(1)));

    let text = call(
        Op::Read,
        "sys/metrics",
        ROOT,
        json!({"format": "prometheus"}),
    );
    let response = server.node.handle(text).await;
    assert_eq!(
        response.content_type,
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(
        text.contains("\nvault_core_handle_request_count 1\n"),
        "{text}"
    );
    assert!(
        text.contains("\nvault_core_mount_table_num_entries{local=\"true\",type=\"logical\"} 1\n")
    );

    let bogus = call(Op::Read, "sys/metrics", ROOT, json!({"format": "bogus"}));
    let response = server.node.handle(bogus).await;
    assert_eq!(response.status, 400);
    assert_eq!(
        &response.body[..],
        b"metric response format \"bogus\" unknown"
    );
}
