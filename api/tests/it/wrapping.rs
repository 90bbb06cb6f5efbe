//! Response wrapping: one fetch, by one client, of exactly what was put aside.

use std::sync::Arc;

use serde_json::{Value, json};
use signet_api::call::{Call, Op, WrapRequest};

use crate::support::{Answer, ROOT, Server, call, error};
use crate::token_support::{client_token, wrapping_token};

const WRAP: &str = "sys/wrapping/wrap";
const UNWRAP: &str = "sys/wrapping/unwrap";
const REWRAP: &str = "sys/wrapping/rewrap";
const LOOKUP: &str = "sys/wrapping/lookup";
const INVALID: &str = "wrapping token is not valid or does not exist";

async fn wrap(server: &Server) -> String {
    wrapping_token(
        &server
            .write_wrapped(ROOT, WRAP, json!({"a": "<b>"}), 60)
            .await,
    )
}

async fn with_token(server: &Server, caller: &str, path: &str, token: &str) -> Answer {
    server.write(caller, path, json!({"token": token})).await
}

#[tokio::test]
async fn answers_the_token_and_nothing_of_what_it_holds() {
    let server = Server::start().await;
    let (status, mut body) = server
        .write_wrapped(ROOT, WRAP, json!({"a": "b"}), 60)
        .await;
    let info = &mut body["wrap_info"];
    let token = info["token"].take();
    assert!(token.as_str().unwrap().starts_with("hvs."));
    assert_eq!(info["accessor"].take().as_str().unwrap().len(), 24);
    let expected = json!({
        "request_id": "", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null,
        "wrap_info": {
            "token": null, "accessor": null, "ttl": 60,
            "creation_time": "2027-01-15T08:00:00Z", "creation_path": "sys/wrapping/wrap",
        },
        "warnings": null, "auth": null, "mount_type": "",
    });
    assert_eq!((status, body), (200, expected));
}

#[tokio::test]
async fn unwrapping_gives_the_answer_byte_for_byte() {
    let server = Server::start().await;
    let request = || {
        call(
            Op::Write,
            "auth/token/create",
            ROOT,
            json!({"id": "x", "meta": {"k": "<&>"}}),
        )
    };
    let plain = server.node.handle(request()).await;
    with_token(&server, ROOT, "auth/token/revoke", "x").await;
    let wrapped = Call {
        wrap: Some(WrapRequest { ttl_secs: 60 }),
        ..request()
    };
    let answer = server.call(wrapped).await;
    let token = wrapping_token(&answer);
    let data = json!({"token": token});
    let unwrapped = server
        .node
        .handle(call(Op::Write, UNWRAP, ROOT, data))
        .await;
    // All but the accessor, which is random.
    let split = |body: &[u8]| -> Vec<String> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let (head, tail) = text.split_once("\"accessor\":\"").unwrap();
        vec![head.to_owned(), tail[24..].to_owned()]
    };
    assert_eq!(split(&unwrapped.body), split(&plain.body));
    assert_eq!(
        (unwrapped.status, unwrapped.content_type),
        (200, "application/json")
    );
    let accessor = &answer.1["wrap_info"]["wrapped_accessor"];
    let text = String::from_utf8(unwrapped.body.to_vec()).unwrap();
    assert!(text.contains(accessor.as_str().unwrap()));
}

#[tokio::test]
async fn a_token_unwraps_once_in_the_body_or_as_the_callers() {
    let server = Server::start().await;
    let default = server.token(ROOT, json!({"policies": ["default"]})).await;
    for caller in [ROOT, &default] {
        let token = wrap(&server).await;
        let (status, body) = with_token(&server, caller, UNWRAP, &token).await;
        assert_eq!((status, &body["data"]), (200, &json!({"a": "<b>"})));
        let answer = with_token(&server, caller, UNWRAP, &token).await;
        assert_eq!((answer.0, error(&answer)), (400, INVALID));
    }
    for data in [json!({}), json!(null), json!({"token": null})] {
        let token = wrap(&server).await;
        let (status, body) = server.write(&token, UNWRAP, data.clone()).await;
        assert_eq!(
            (status, &body["data"]),
            (200, &json!({"a": "<b>"})),
            "{data}"
        );
        let answer = server.write(&token, UNWRAP, data).await;
        assert_eq!((answer.0, error(&answer)), (400, INVALID));
    }
    let core = server.node.core().unwrap();
    let left = core.store.keys("sys/cubbyhole/", None, 10).await.unwrap();
    assert_eq!(left.len(), 0, "what was fetched is not kept");
}

#[tokio::test]
async fn refuses_with_the_texts_clients_know() {
    let server = Server::start().await;
    let validating = |text: &str| format!("error validating wrapping token: {text}");
    let token = wrap(&server).await;
    for (caller, path, data, status, text) in [
        ("", UNWRAP, json!({}), 403, validating("token is empty")),
        ("", LOOKUP, json!({}), 403, validating("token is empty")),
        ("", UNWRAP, json!({"token": "x"}), 400, INVALID.into()),
        ("", LOOKUP, json!({"token": "x"}), 400, INVALID.into()),
        (
            ROOT,
            UNWRAP,
            json!({"token": 5}),
            403,
            validating("could not decode token in request body"),
        ),
        (
            ROOT,
            LOOKUP,
            json!({"token": 5}),
            403,
            validating("could not decode token in request body"),
        ),
        (
            ROOT,
            UNWRAP,
            json!({"token": ""}),
            403,
            validating("empty token in request body"),
        ),
        (ROOT, UNWRAP, json!({}), 400, INVALID.into()),
        (ROOT, UNWRAP, json!({"token": ROOT}), 400, INVALID.into()),
        (ROOT, REWRAP, json!({}), 400, INVALID.into()),
        (ROOT, REWRAP, json!({"token": "x"}), 400, INVALID.into()),
        (
            "",
            UNWRAP,
            json!({"token": token}),
            403,
            "permission denied".into(),
        ),
        (
            "nope",
            UNWRAP,
            json!({"token": token}),
            403,
            "permission denied".into(),
        ),
        (
            ROOT,
            WRAP,
            json!({"a": 1}),
            400,
            "endpoint requires response wrapping to be used".into(),
        ),
    ] {
        let answer = server.write(caller, path, data.clone()).await;
        assert_eq!(
            (answer.0, error(&answer)),
            (status, text.as_str()),
            "{path} {data}"
        );
    }
    let nothing = json!({"policies": ["nothing"], "no_default_policy": true});
    let nothing = server.token(ROOT, nothing).await;
    let answer = with_token(&server, &nothing, UNWRAP, &token).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (403, "1 error occurred:\n\t* permission denied\n\n")
    );
    assert_eq!(
        with_token(&server, ROOT, UNWRAP, &token).await.0,
        200,
        "none of it was a use"
    );
}

#[tokio::test]
async fn looking_up_needs_no_other_token_and_is_no_use() {
    let server = Server::start().await;
    let token = wrap(&server).await;
    let expected = json!({
        "creation_path": "sys/wrapping/wrap", "creation_time": "2027-01-15T08:00:00Z",
        "creation_ttl": 60,
    });
    for caller in ["", ROOT, &token] {
        let (status, body) = with_token(&server, caller, LOOKUP, &token).await;
        assert_eq!((status, &body["data"]), (200, &expected));
    }
    assert_eq!(server.read(&token, LOOKUP).await.1["data"], expected);
    let query = call(Op::Read, LOOKUP, "", json!({"token": token}));
    assert_eq!(server.call(query).await.1["data"], expected);
    assert_eq!(with_token(&server, ROOT, UNWRAP, &token).await.0, 200);
}

#[tokio::test]
async fn a_wrapping_token_is_what_its_policy_says() {
    let server = Server::start().await;
    let token = wrap(&server).await;
    let (_, body) = server.lookup(&token).await;
    for (key, value) in [
        ("policies", json!(["response-wrapping"])),
        ("num_uses", json!(1)),
        ("orphan", json!(true)),
        ("renewable", json!(false)),
        ("explicit_max_ttl", json!(60)),
        ("path", json!(WRAP)),
    ] {
        assert_eq!(body["data"][key], value, "{key}");
    }
    let answer = with_token(&server, ROOT, "auth/token/renew", &token).await;
    assert_eq!(error(&answer), "lease is not renewable");
}

#[tokio::test]
async fn any_other_use_burns_the_token() {
    let server = Server::start().await;
    for (op, path, status) in [
        (Op::Read, "auth/token/lookup-self", 403),
        (Op::Write, REWRAP, 403),
        (Op::Read, "cubbyhole/wrapinfo", 403),
        (Op::Read, "cubbyhole/response", 200),
        (Op::Write, "cubbyhole/response", 403),
        (Op::Write, "auth/token/revoke-self", 204),
        (Op::Write, "auth/token/create", 403),
    ] {
        let token = wrap(&server).await;
        let answer = server.call(call(op, path, &token, Value::Null)).await;
        assert_eq!(answer.0, status, "{path} {}", answer.1);
        let answer = with_token(&server, ROOT, UNWRAP, &token).await;
        assert_eq!((answer.0, error(&answer)), (400, INVALID), "{path}");
    }
}

#[tokio::test]
async fn the_old_way_of_fetching_still_works_with_a_warning() {
    let server = Server::start().await;
    let token = wrap(&server).await;
    let (_, body) = server.read(&token, "cubbyhole/response").await;
    let inner: Value = serde_json::from_str(body["data"]["response"].as_str().unwrap()).unwrap();
    assert_eq!(inner["data"], json!({"a": "<b>"}));
    let warning = body["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("Reading from 'cubbyhole/response' is deprecated."));
    server
        .write(ROOT, "cubbyhole/response", json!({"response": "mine"}))
        .await;
    let (_, body) = server.read(ROOT, "cubbyhole/response").await;
    assert_eq!(
        body["warnings"],
        Value::Null,
        "a token's own cubbyhole is no wrapping"
    );
}

#[tokio::test]
async fn rewrapping_moves_the_answer_to_a_new_token() {
    let server = Server::start().await;
    let data = json!({"policies": ["default"]});
    let wrapped = server
        .write_wrapped(ROOT, "auth/token/create", data, 900)
        .await;
    let old = wrapping_token(&wrapped);
    server.clock.advance_secs(800);
    let answer = with_token(&server, ROOT, REWRAP, &old).await;
    let new = wrapping_token(&answer);
    let (was, is) = (&wrapped.1["wrap_info"], &answer.1["wrap_info"]);
    for key in ["ttl", "creation_path", "wrapped_accessor"] {
        assert_eq!(is[key], was[key], "{key}");
    }
    assert_eq!(answer.1["request_id"], "");
    assert_eq!(
        error(&with_token(&server, ROOT, UNWRAP, &old).await),
        INVALID
    );
    server.clock.advance_secs(899);
    let (_, body) = with_token(&server, ROOT, UNWRAP, &new).await;
    assert_eq!(body["auth"]["policies"], json!(["default"]));
}

#[tokio::test]
async fn the_answer_dies_with_its_token() {
    let server = Server::start().await;
    let core = server.node.core().unwrap();
    let kept = async || {
        core.store
            .keys("sys/cubbyhole/", None, 10)
            .await
            .unwrap()
            .len()
    };
    let expired = wrap(&server).await;
    server.clock.advance_secs(60);
    assert_eq!(
        error(&with_token(&server, ROOT, UNWRAP, &expired).await),
        INVALID
    );
    assert_eq!(
        error(&server.write(&expired, UNWRAP, json!({})).await),
        INVALID
    );
    server.node.tick().await;
    assert_eq!(kept().await, 0);
    let revoked = wrap(&server).await;
    assert_eq!(kept().await, 1);
    with_token(&server, ROOT, "auth/token/revoke", &revoked).await;
    assert_eq!(kept().await, 0);
}

#[tokio::test]
async fn revoking_what_is_wrapped_leaves_the_wrapping() {
    let server = Server::start().await;
    let data = json!({"policies": ["default"], "period": "30m"});
    let wrapped = server
        .write_wrapped(ROOT, "auth/token/create", data, 900)
        .await;
    assert_eq!(wrapped.1["wrap_info"]["ttl"], 900);
    let accessor = json!({"accessor": wrapped.1["wrap_info"]["wrapped_accessor"]});
    let (status, _) = server
        .write(ROOT, "auth/token/revoke-accessor", accessor)
        .await;
    assert_eq!(status, 204);
    let answer = with_token(&server, ROOT, UNWRAP, &wrapping_token(&wrapped)).await;
    assert_eq!(answer.1["auth"]["lease_duration"], 1800);
    assert_eq!(server.lookup(&client_token(&answer)).await.0, 403);
}

#[tokio::test]
async fn answers_without_content_are_not_wrapped() {
    let server = Server::start().await;
    for (op, path, data, status) in [
        (Op::Read, "cubbyhole/nope", json!({}), 404),
        (Op::Write, "cubbyhole/a", json!({"a": 1}), 204),
        (Op::Write, "auth/token/renew", json!({}), 400),
        (Op::Read, "sys/health", json!({}), 200),
    ] {
        let request = Call {
            wrap: Some(WrapRequest { ttl_secs: 60 }),
            ..call(op, path, ROOT, data)
        };
        let (got, body) = server.call(request).await;
        assert_eq!((got, body.get("wrap_info")), (status, None), "{path}");
    }
}

#[tokio::test]
async fn lists_and_unwrapped_answers_are_wrapped_too() {
    let server = Server::start().await;
    let list = Call {
        wrap: Some(WrapRequest { ttl_secs: 60 }),
        ..call(Op::List, "auth/token/accessors/", ROOT, Value::Null)
    };
    let answer = server.call(list).await;
    assert_eq!(
        answer.1["wrap_info"]["creation_path"],
        "auth/token/accessors/"
    );
    let (_, body) = with_token(&server, ROOT, UNWRAP, &wrapping_token(&answer)).await;
    assert_eq!(body["data"]["keys"].as_array().unwrap().len(), 1);
    let inner = json!({"token": wrap(&server).await});
    let again = server.write_wrapped(ROOT, UNWRAP, inner, 60).await;
    assert_eq!(again.1["wrap_info"]["creation_path"], UNWRAP);
    let (_, body) = with_token(&server, ROOT, UNWRAP, &wrapping_token(&again)).await;
    assert_eq!(body["data"], json!({"a": "<b>"}));
}

#[tokio::test]
async fn an_unsupported_format_is_refused_before_anything_happens() {
    let server = Server::start().await;
    let request = Call {
        wrap: Some(WrapRequest { ttl_secs: 60 }),
        headers: vec![("x-vault-wrap-format".into(), "jwt".into())],
        ..call(Op::Write, "auth/token/create", ROOT, json!({"id": "made"}))
    };
    let answer = server.call(request).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "unsupported wrapping token format \"jwt\"")
    );
    assert_eq!(server.lookup("made").await.0, 403);
}

#[tokio::test]
async fn a_wrapping_lives_as_long_as_was_asked_for() {
    let server = Server::start().await;
    let ttl_secs = 359_996_400;
    let answer = server.write_wrapped(ROOT, WRAP, json!({}), ttl_secs).await;
    let token = wrapping_token(&answer);
    server.clock.advance_secs(ttl_secs - 1);
    let (_, body) = with_token(&server, ROOT, UNWRAP, &token).await;
    assert_eq!(body["data"], json!({}));
}

#[tokio::test]
async fn of_many_who_fetch_at_once_one_gets_the_answer() {
    for seed in 0..20 {
        let server = Arc::new(Server::start_interleaved(seed).await);
        let token = wrap(&server).await;
        let mut running = tokio::task::JoinSet::new();
        for number in 0..32 {
            let (server, token) = (server.clone(), token.clone());
            running.spawn(async move {
                match number % 4 {
                    0 => server.write(&token, UNWRAP, json!({})).await,
                    1 => with_token(&server, ROOT, REWRAP, &token).await,
                    2 => server.read(&token, "cubbyhole/response").await,
                    _ => with_token(&server, ROOT, UNWRAP, &token).await,
                }
            });
        }
        let answers = running.join_all().await;
        let won = answers.iter().filter(|answer| answer.0 == 200).count();
        assert_eq!(won, 1, "seed {seed}: {answers:?}");
    }
}

#[tokio::test]
async fn what_is_put_aside_is_stored_encrypted() {
    let server = Server::start().await;
    let data = json!({"secret": "needle-in-the-store"});
    let token = wrapping_token(&server.write_wrapped(ROOT, WRAP, data, 60).await);
    let stored = server.node.storage.scan("", None, 10_000).await.unwrap();
    for (path, entry) in stored {
        for needle in ["needle-in-the-store", token.as_str()] {
            let found = entry
                .value
                .windows(needle.len())
                .any(|w| w == needle.as_bytes());
            assert!(!found && !path.contains(needle), "{path}");
        }
    }
}
