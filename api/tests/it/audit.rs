//! `sys/audit`: devices, and what they log.

use std::path::PathBuf;

use serde_json::{Value, json};
use signet_api::call::{Call, Op};
use signet_api::mount::MountConfig;

use crate::support::{Answer, ROOT, Server, call, error};

/// A server with a role `web`, and a directory for its logs.
struct Audited {
    server: Server,
    directory: tempfile::TempDir,
}

impl Audited {
    async fn start() -> Self {
        let server = Server::start().await;
        server.enable_auth("approle").await;
        let role = json!({"role_id": "web", "token_policies": "dev"});
        server.write(ROOT, "auth/approle/role/web", role).await;
        let secret_id = json!({"secret_id": "sid"});
        let path = "auth/approle/role/web/custom-secret-id";
        server.write(ROOT, path, secret_id).await;
        Self {
            server,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn enable(&self, name: &str, mut options: Value) -> Answer {
        if options.get("file_path").is_none() {
            options["file_path"] = self.path(name).to_str().unwrap().into();
        }
        let data = json!({"type": "file", "options": options});
        self.server
            .write(ROOT, &format!("sys/audit/{name}"), data)
            .await
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn entries(&self, name: &str) -> Vec<Value> {
        let text = self.text(name);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The last two entries: a request and its answer.
    fn last(&self, name: &str) -> (Value, Value) {
        let mut entries = self.entries(name);
        let response = entries.pop().unwrap();
        let request = entries.pop().unwrap();
        assert_eq!(request["type"], "request");
        assert_eq!(response["type"], "response");
        assert_eq!(request["request"]["id"], response["request"]["id"]);
        (request, response)
    }

    /// How a device logs a secret.
    async fn hash(&self, name: &str, secret: &str) -> Value {
        let path = format!("sys/audit-hash/{name}");
        let answer = self
            .server
            .write(ROOT, &path, json!({"input": secret}))
            .await;
        assert_eq!(answer.1["hash"], answer.1["data"]["hash"]);
        answer.1["hash"].clone()
    }

    async fn login(&self, secret_id: &str) -> Answer {
        let data = json!({"role_id": "web", "secret_id": secret_id});
        self.server.write("", "auth/approle/login", data).await
    }
}

/// The names of an object's fields as they stand in the line.
fn field_order(line: &str, object: &str) -> Vec<String> {
    let start = line.find(&format!("\"{object}\":{{")).unwrap() + object.len() + 3;
    let (mut depth, mut names) = (0, Vec::new());
    let mut rest = &line[start..];
    loop {
        match rest.chars().next().unwrap() {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            '"' => {
                let end = rest[1..].find('"').unwrap() + 1;
                if depth == 1 && rest[end + 1..].starts_with(':') {
                    names.push(rest[1..end].to_owned());
                }
                rest = &rest[end..];
            }
            _ => {}
        }
        if depth == 0 {
            return names;
        }
        rest = &rest[1..];
    }
}

#[tokio::test]
async fn devices_are_listed_as_they_were_enabled_and_survive_a_restart() {
    let audited = Audited::start().await;
    let server = &audited.server;
    let (status, body) = server.read(ROOT, "sys/audit").await;
    assert_eq!((status, &body["data"]), (200, &json!({})));

    let path = audited.path("log").to_str().unwrap().to_owned();
    let options = json!({"path": path, "hmac_accessor": false, "elide_list_responses": true});
    let data = json!({"type": "file", "description": "d", "local": true, "options": options});
    let answer = server.write(ROOT, "sys/audit/deep/log", data.clone()).await;
    assert_eq!(answer, (204, Value::Null));
    let again = server.write(ROOT, "sys/audit/deep/log", data).await;
    assert_eq!((again.0, error(&again)), (400, "path already in use"));
    let expected = json!({"deep/log/": {
        "description": "d", "local": true, "path": "deep/log/", "type": "file",
        "options": {"path": path, "hmac_accessor": "0", "elide_list_responses": "1"},
    }});
    let hash = audited.hash("deep/log", "s").await;

    server.restart().await;
    let body = server.read(ROOT, "sys/audit").await.1;
    assert_eq!(body["data"], expected);
    assert_eq!(body["deep/log/"], expected["deep/log/"]);
    assert_eq!(
        audited.hash("deep/log", "s").await,
        hash,
        "the salt is stable"
    );

    let lines = audited.entries("log").len();
    assert_eq!(server.delete(ROOT, "sys/audit/deep/log").await.0, 204);
    assert_eq!(server.read(ROOT, "sys/audit").await.1["data"], json!({}));
    assert_eq!(
        audited.entries("log").len(),
        lines + 1,
        "the removal is the last entry"
    );
    assert_eq!(server.delete(ROOT, "sys/audit/nope").await.0, 204);
    assert_eq!(server.read(ROOT, "sys/audit/deep/log").await.0, 405);
    server.restart().await;
    assert_eq!(server.read(ROOT, "sys/audit").await.1["data"], json!({}));
}

#[tokio::test]
async fn refuses_devices_that_would_not_do_what_is_asked() {
    let audited = Audited::start().await;
    let server = &audited.server;
    for (data, text) in [
        (json!({"type": "bogus"}), "unknown backend type: \"bogus\""),
        (json!({}), "unknown backend type: \"\""),
        (
            json!({"type": "syslog"}),
            "unknown backend type: \"syslog\"",
        ),
        (json!({"type": "file"}), "file_path is required"),
    ] {
        let answer = server.write(ROOT, "sys/audit/x", data).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    for (options, text) in [
        (
            json!({"prefix": "x"}),
            "audit option \"prefix\" is not supported",
        ),
        (
            json!({"format": "jsonx"}),
            "audit format \"jsonx\" is not supported",
        ),
        (
            json!({"mode": "0777"}),
            "audit file mode \"0777\" is not supported: only read and write bits",
        ),
    ] {
        let answer = audited.enable("x", options).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let answer = audited
        .enable("x", json!({"file_path": "/proc/nope/x"}))
        .await;
    assert_eq!(answer.0, 400);
    let text = "sanity check failed; unable to open \"/proc/nope/x\" for writing: ";
    assert!(error(&answer).starts_with(text), "{answer:?}");
    assert_eq!(server.read(ROOT, "sys/audit").await.1["data"], json!({}));
    for path in ["sys/audit", "sys/config/auditing/request-headers"] {
        assert_eq!(server.read("", path).await.0, 403);
    }
}

#[tokio::test]
async fn the_file_is_private_and_begins_with_a_test_entry() {
    use std::os::unix::fs::PermissionsExt as _;
    let audited = Audited::start().await;
    let path = audited.path("a/b/log");
    let options = json!({"file_path": path.to_str().unwrap()});
    assert_eq!(audited.enable("log", options).await.0, 204);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let entries = audited.entries("a/b/log");
    assert_eq!(entries[0]["type"], "request");
    assert_eq!(entries[0]["request"]["operation"], "update");
    assert_eq!(entries[0]["request"]["path"], "sys/audit/test");
    assert_eq!(
        entries[1]["type"], "response",
        "of the request that enabled it"
    );
    assert_eq!(entries[1]["request"]["path"], "sys/audit/log");
    assert_eq!(entries.len(), 2);
}

#[tokio::test]
async fn hashing_a_text_needs_a_device_and_a_text() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let hash = audited.hash("log", "s").await;
    let hash = hash.as_str().unwrap().strip_prefix("hmac-sha256:").unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    for (path, data, text) in [
        ("log", json!({}), "the \"input\" parameter is empty"),
        (
            "file",
            json!({"input": "x"}),
            "unknown audit backend \"file/\"",
        ),
    ] {
        let path = format!("sys/audit-hash/{path}");
        let answer = audited.server.write(ROOT, &path, data).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
}

#[tokio::test]
async fn entries_have_their_fields_in_order() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    audited.login("sid").await;
    let data = json!({"token_ttl": "1h"});
    audited
        .server
        .write(ROOT, "auth/approle/role/new", data)
        .await;
    let text = audited.text("log");
    let lines: Vec<&str> = text.lines().collect();
    let [.., login, login_answer, request, response] = lines[..] else {
        panic!("too few entries");
    };
    let names = |line: &str, object: &str| field_order(line, object).join(" ");
    assert!(
        request.starts_with("{\"time\":\"2027-01-15T08:00:00Z\",\"type\":\"request\",\"auth\":{")
    );
    assert_eq!(
        names(request, "auth"),
        "client_token accessor display_name policies token_policies policy_results token_type \
         token_issue_time"
    );
    assert_eq!(
        names(request, "request"),
        "id client_id operation mount_point mount_type mount_accessor mount_running_version \
         mount_class client_token client_token_accessor namespace path data remote_address \
         remote_port"
    );
    assert_eq!(
        names(response, "response"),
        "mount_point mount_type mount_accessor mount_running_plugin_version mount_class"
    );
    assert_eq!(names(login, "auth"), "policy_results token_type");
    assert_eq!(
        names(login_answer, "auth"),
        "client_token accessor display_name policies token_policies metadata token_type token_ttl"
    );
    assert_eq!(
        names(login_answer, "response"),
        "auth mount_point mount_type mount_accessor mount_running_plugin_version mount_class"
    );
}

#[tokio::test]
async fn a_request_and_its_answer_are_logged_with_secrets_hashed() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let hash = |text: &'static str| audited.hash("log", text);
    let (root, x) = (hash(ROOT).await, hash("x").await);
    let path = "auth/approle/role/web/custom-secret-id";
    let data = json!({"secret_id": "x", "num_uses": 3});
    let answer = audited.server.write(ROOT, path, data).await;
    let (request, response) = audited.last("log");
    assert_eq!(request["auth"]["client_token"], root);
    assert_eq!(request["auth"]["policies"], json!(["root"]));
    assert_eq!(
        request["auth"]["policy_results"],
        json!({
            "allowed": true,
            "granting_policies": [{"name": "root", "namespace_id": "root", "type": "acl"}],
        })
    );
    let asked = &request["request"];
    assert_eq!(asked["operation"], "update");
    assert_eq!(asked["path"], path);
    assert_eq!(asked["mount_point"], "auth/approle/");
    assert_eq!(asked["mount_type"], "approle");
    assert_eq!(asked["mount_class"], "auth");
    assert_eq!(asked["mount_running_version"], "v1.19.5+builtin.vault");
    assert_eq!(asked["client_token"], root);
    assert_eq!(asked["namespace"], json!({"id": "root"}));
    assert_eq!(asked["data"], json!({"secret_id": x, "num_uses": 3}));
    assert_eq!(
        (&asked["remote_address"], &asked["remote_port"]),
        (&json!("127.0.0.1"), &json!(40_000))
    );
    assert_eq!(response["request"], *asked);
    assert_eq!(response["auth"], request["auth"]);
    let shown = &response["response"]["data"];
    assert_eq!(
        (&shown["secret_id"], &shown["secret_id_num_uses"]),
        (&x, &json!(3))
    );
    let accessor = answer.1["data"]["secret_id_accessor"].as_str().unwrap();
    assert_eq!(
        shown["secret_id_accessor"],
        audited.hash("log", accessor).await
    );
    assert_eq!(response.get("error"), None);
}

#[tokio::test]
async fn operations_are_named_and_new_objects_are_created() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let server = &audited.server;
    let path = "auth/approle/role/new";
    let operation = || audited.last("log").1["request"]["operation"].clone();
    server.write(ROOT, path, json!({})).await;
    assert_eq!(operation(), "create");
    server.write(ROOT, path, json!({})).await;
    assert_eq!(operation(), "update");
    server.read(ROOT, path).await;
    assert_eq!(operation(), "read");
    server.list(ROOT, "auth/approle/role").await;
    assert_eq!(operation(), "list");
    server.call(call(Op::Help, path, ROOT, Value::Null)).await;
    assert_eq!(operation(), "help");
    server.delete(ROOT, path).await;
    assert_eq!(operation(), "delete");
}

#[tokio::test]
async fn a_login_is_logged_with_the_token_it_made() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let answer = audited.login("sid").await;
    let (request, response) = audited.last("log");
    assert_eq!(
        request["auth"],
        json!({"policy_results": {"allowed": true}, "token_type": "default"})
    );
    let auth = &answer.1["auth"];
    let secret = auth["client_token"].as_str().unwrap();
    let accessor = auth["accessor"].as_str().unwrap();
    let expected = json!({
        "client_token": audited.hash("log", secret).await,
        "accessor": audited.hash("log", accessor).await,
        "display_name": "approle", "policies": ["default", "dev"],
        "token_policies": ["default", "dev"], "metadata": {"role_name": "web"},
        "token_type": "service", "token_ttl": 2_764_800,
    });
    assert_eq!(response["auth"], expected);
    assert_eq!(response["response"]["auth"], expected);

    audited.server.read(secret, "cubbyhole/x").await;
    let (request, _) = audited.last("log");
    assert_eq!(request["auth"]["token_issue_time"], "2027-01-15T08:00:00Z");
    assert_eq!(request["auth"]["token_ttl"], 2_764_800);
    assert_eq!(request["auth"]["metadata"], json!({"role_name": "web"}));
}

#[tokio::test]
async fn of_a_wrapped_answer_only_the_wrapping_is_logged() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let data = json!({"role_id": "web", "secret_id": "sid"});
    let server = &audited.server;
    let answer = server
        .write_wrapped("", "auth/approle/login", data, 60)
        .await;
    let (_, response) = audited.last("log");
    let shown = &answer.1["wrap_info"];
    let logged = &response["response"]["wrap_info"];
    for name in ["token", "accessor", "wrapped_accessor"] {
        let hash = audited.hash("log", shown[name].as_str().unwrap()).await;
        assert_eq!(logged[name], hash, "{name}");
    }
    for name in ["ttl", "creation_time", "creation_path"] {
        assert_eq!(logged[name], shown[name], "{name}");
    }
    assert_eq!(response["response"].get("data"), None);
    let text = audited.text("log");
    let line = text
        .lines()
        .find(|line| line.contains("\"wrap_info\""))
        .unwrap();
    assert_eq!(
        field_order(line, "wrap_info").join(" "),
        "ttl token accessor creation_time creation_path wrapped_accessor"
    );
}

#[tokio::test]
async fn refusals_are_logged_by_kind_with_their_text_hashed() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let server = &audited.server;
    let listed = |text: &str| format!("1 error occurred:\n\t* {text}\n\n");
    let login = audited.login("sid").await;
    let weak = login.1["auth"]["client_token"].as_str().unwrap();
    let login_data = json!({"role_id": "web", "secret_id": "wrong"});
    let denied = "permission denied".to_owned();
    // Request, error of the request entry, error of the response entry.
    for (call, of_request, of_response) in [
        (
            call(Op::Read, "sys/audit", "", Value::Null),
            Some(denied.clone()),
            listed(&denied),
        ),
        (
            call(Op::Read, "sys/audit", "hvs.bad", Value::Null),
            Some(denied.clone()),
            listed(&denied),
        ),
        (
            call(Op::Read, "sys/audit", weak, Value::Null),
            Some(listed(&denied)),
            listed(&denied),
        ),
        (
            call(Op::Read, "nope/x", ROOT, Value::Null),
            Some(listed("unsupported path")),
            listed("unsupported path"),
        ),
        (
            call(Op::Read, "auth/approle/login", "", Value::Null),
            Some("unsupported operation".into()),
            listed("unsupported operation"),
        ),
        (
            call(
                Op::Write,
                "auth/approle/role/web",
                ROOT,
                json!({"token_ttl": "secret"}),
            ),
            None,
            listed("invalid request"),
        ),
        (
            call(Op::Write, "auth/approle/login", "", login_data),
            None,
            "invalid request".into(),
        ),
    ] {
        let path = call.path.clone();
        let is_mounted = !path.starts_with("nope");
        let answer = server.call(call).await;
        let (request, response) = audited.last("log");
        assert_eq!(
            request.get("error"),
            of_request.map(Value::from).as_ref(),
            "{path}"
        );
        assert_eq!(response["error"], of_response, "{path}");
        let text = audited.hash("log", error(&answer)).await;
        assert_eq!(
            response["response"]["data"],
            json!({"error": text}),
            "{path}"
        );
        assert_eq!(
            request["request"].get("mount_point").is_some(),
            is_mounted,
            "{path}"
        );
    }
    server.read("hvs.bad", "sys/audit").await;
    let (request, _) = audited.last("log");
    assert_eq!(request["auth"], json!({"token_type": "default"}));
    server.read(weak, "sys/audit").await;
    let (request, _) = audited.last("log");
    assert_eq!(request["auth"]["policy_results"], json!({"allowed": false}));
    // An object that is not there is no error.
    server.read(ROOT, "auth/approle/role/nope").await;
    let (_, response) = audited.last("log");
    assert_eq!(response.get("error"), None);
    assert_eq!(response["response"].get("data"), None);
}

#[tokio::test]
async fn what_needs_no_token_and_tells_no_secret_is_not_logged() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let before = audited.entries("log").len();
    for path in ["sys/health", "sys/seal-status"] {
        audited.server.read("", path).await;
        audited.server.write("", path, json!({})).await;
    }
    assert_eq!(audited.entries("log").len(), before);
}

#[tokio::test]
async fn each_device_hides_what_it_is_told_to() {
    let audited = Audited::start().await;
    audited.enable("plain", json!({"log_raw": true})).await;
    audited
        .enable(
            "open",
            json!({"hmac_accessor": "false", "elide_list_responses": true}),
        )
        .await;
    audited.enable("log", json!({})).await;
    let path = "auth/approle/role/web/custom-secret-id";
    let data = json!({"secret_id": "a-recognisable-secret"});
    audited.server.write(ROOT, path, data).await;
    audited.server.list(ROOT, "auth/approle/role").await;
    for (name, shows_secret, keys) in [
        ("plain", true, json!(["web"])),
        ("open", false, json!(1)),
        ("log", false, json!([audited.hash("log", "web").await])),
    ] {
        assert_eq!(
            audited.text(name).contains("a-recognisable-secret"),
            shows_secret,
            "{name}"
        );
        let entries = audited.entries(name);
        let listed = entries.iter().rev().find(|entry| {
            entry["type"] == "response" && entry["request"]["path"] == "auth/approle/role/"
        });
        assert_eq!(listed.unwrap()["response"]["data"]["keys"], keys, "{name}");
    }
    let (request, _) = audited.last("open");
    let accessor = request["auth"]["accessor"].as_str().unwrap();
    assert!(!accessor.starts_with("hmac-sha256:"));
    assert!(
        request["auth"]["client_token"]
            .as_str()
            .unwrap()
            .starts_with("hmac-sha256:")
    );
    let (request, _) = audited.last("plain");
    assert_eq!(request["auth"]["client_token"], ROOT);
    assert_ne!(
        audited.hash("open", "s").await,
        audited.hash("log", "s").await
    );
}

#[tokio::test]
async fn a_mount_can_exempt_fields_from_hashing() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let core = audited.server.node.core().unwrap();
    let set = |mount: &mut MountConfig| {
        mount.audit_non_hmac_request_keys = vec!["num_uses".into(), "metadata".into()];
        mount.audit_non_hmac_response_keys = vec!["secret_id_accessor".into()];
        Ok(())
    };
    core.mounts.tune("auth/approle/", set).await.unwrap();
    let path = "auth/approle/role/web/secret-id";
    let answer = audited
        .server
        .write(ROOT, path, json!({"metadata": "a=b", "ttl": "1h"}))
        .await;
    let (request, response) = audited.last("log");
    assert_eq!(request["request"]["data"]["metadata"], "a=b");
    assert_eq!(
        request["request"]["data"]["ttl"],
        audited.hash("log", "1h").await
    );
    let shown = &response["response"]["data"];
    assert_eq!(
        shown["secret_id_accessor"],
        answer.1["data"]["secret_id_accessor"]
    );
    assert!(
        shown["secret_id"]
            .as_str()
            .unwrap()
            .starts_with("hmac-sha256:")
    );
}

#[tokio::test]
async fn headers_are_logged_only_when_configured() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let server = &audited.server;
    let base = "sys/config/auditing/request-headers";
    let body = server.read(ROOT, base).await.1;
    assert_eq!(body["data"], json!({"headers": {}}));
    assert_eq!(
        server
            .write(ROOT, &format!("{base}/X-Foo"), json!({"hmac": true}))
            .await
            .0,
        204
    );
    assert_eq!(
        server
            .write(ROOT, &format!("{base}/x-bar"), json!({}))
            .await
            .0,
        204
    );
    let expected = json!({"headers": {"x-bar": {"hmac": false}, "x-foo": {"hmac": true}}});
    server.restart().await;
    let body = server.read(ROOT, base).await.1;
    assert_eq!(
        (&body["data"], &body["headers"]),
        (&expected, &expected["headers"])
    );
    let body = server.read(ROOT, &format!("{base}/X-FOO")).await.1;
    assert_eq!(body["data"], json!({"X-FOO": {"hmac": true}}));
    let answer = server.read(ROOT, &format!("{base}/nope")).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "Could not find header in config")
    );

    let headers = [
        ("x-foo", "one"),
        ("x-bar", "three"),
        ("x-foo", "two"),
        ("x-other", "four"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let with_headers = Call {
        headers: headers.into(),
        wrap: Some(signet_api::call::WrapRequest { ttl_secs: 60 }),
        ..call(Op::Read, "auth/approle/role/web", ROOT, Value::Null)
    };
    server.call(with_headers).await;
    let (request, _) = audited.last("log");
    let (one, two) = (
        audited.hash("log", "one").await,
        audited.hash("log", "two").await,
    );
    assert_eq!(
        request["request"]["headers"],
        json!({"x-bar": ["three"], "x-foo": [one, two]})
    );
    assert_eq!(request["request"]["wrap_ttl"], 60);

    assert_eq!(server.delete(ROOT, &format!("{base}/x-FOO")).await.0, 204);
    assert_eq!(server.delete(ROOT, &format!("{base}/nope")).await.0, 204);
    let body = server.read(ROOT, base).await.1;
    assert_eq!(body["data"], json!({"headers": {"x-bar": {"hmac": false}}}));
}

#[tokio::test]
async fn without_a_device_that_takes_the_entry_nothing_is_done() {
    let audited = Audited::start().await;
    let server = &audited.server;
    // A full disk that can be taken away and given back.
    let path = audited.path("log");
    std::os::unix::fs::symlink(audited.path("ok"), &path).unwrap();
    audited.enable("log", json!({})).await;
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    server.node.core().unwrap().audit.reopen().await;

    let answer = server.write(ROOT, "auth/approle/role/new", json!({})).await;
    let text = "1 error occurred:\n\t* internal error\n\n";
    assert_eq!((answer.0, error(&answer)), (500, text));
    assert_eq!(audited.login("sid").await.0, 500);
    assert_eq!(server.read("", "sys/health").await.0, 200);

    std::fs::remove_file(&path).unwrap();
    let answer = server.read(ROOT, "auth/approle/role/new").await;
    assert_eq!(
        answer.0, 404,
        "the file is made anew, and nothing was written before"
    );
    assert_eq!(audited.entries("log").len(), 2);
}

#[tokio::test]
async fn one_device_that_works_is_enough() {
    let audited = Audited::start().await;
    audited
        .enable("broken", json!({"file_path": "discard"}))
        .await;
    let path = audited.path("first");
    std::fs::write(&path, "").unwrap();
    audited.enable("first", json!({})).await;
    audited.enable("second", json!({})).await;
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let core = audited.server.node.core().unwrap();
    core.audit.reopen().await;
    assert_eq!(audited.login("sid").await.0, 200);
    assert_eq!(
        audited.last("second").1["request"]["path"],
        "auth/approle/login"
    );
}

#[tokio::test]
async fn a_device_that_cannot_be_opened_after_a_restart_refuses_until_it_can() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let path = audited.path("log");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    audited.server.restart().await;
    assert_eq!(audited.login("sid").await.0, 500);
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(audited.login("sid").await.0, 200);
}

#[tokio::test]
async fn rotation_loses_no_entry() {
    let audited = Audited::start().await;
    audited.enable("log", json!({})).await;
    let core = audited.server.node.core().unwrap();
    audited.login("sid").await;
    std::fs::rename(audited.path("log"), audited.path("old")).unwrap();
    audited.login("sid").await;
    core.audit.reopen().await;
    audited.login("sid").await;
    assert_eq!(audited.entries("old").len(), 6);
    assert_eq!(audited.entries("log").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_runs_again_is_logged_once() {
    let audited = std::sync::Arc::new(Audited::start().await);
    audited.enable("log", json!({})).await;
    let before = audited.entries("log").len();
    let path = "auth/approle/role/web/custom-secret-id";
    let data = json!({"secret_id": "counted", "num_uses": 1000});
    audited.server.write(ROOT, path, data).await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let audited = audited.clone();
            tokio::spawn(async move { audited.login("counted").await.0 })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(audited.entries("log").len(), before + 2 + 64);
}
