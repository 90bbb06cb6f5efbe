//! Initializing, unsealing, sealing, new root tokens and new shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use signet_api::call::Op;
use signet_api::seal::{NamedKey, StaticSeal};
use signet_storage::{Backend, Engine, Observer, UnsealKey};

use crate::support::{Answer, ROOT, Server, call, error};

fn store() -> Arc<dyn Backend> {
    signet_storage::open(&Engine::Inmem).unwrap()
}

async fn put(server: &Server, path: &str, body: Value) -> Answer {
    server.write("", path, body).await
}

/// Shares in hexadecimal and the root token.
async fn initialize(server: &Server, shares: u8, threshold: u8) -> (Vec<String>, String) {
    let body = json!({"secret_shares": shares, "secret_threshold": threshold});
    let (status, body) = put(server, "sys/init", body).await;
    assert_eq!(status, 200, "{body}");
    let root = body["root_token"].as_str().unwrap().to_owned();
    (texts(&body["keys"]), root)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

async fn unseal(server: &Server, keys: &[String]) -> Value {
    let mut last = Value::Null;
    for key in keys {
        let (status, body) = put(server, "sys/unseal", json!({ "key": key })).await;
        assert_eq!(status, 200, "{body}");
        last = body;
    }
    last
}

/// Shares that fit together, but not with anything that is stored.
fn wrong_keys() -> Vec<String> {
    vec![
        format!("{}f1", "ab".repeat(32)),
        format!("{}f2", "cd".repeat(32)),
        format!("{}f3", "ef".repeat(32)),
    ]
}

#[derive(Debug, Default)]
struct CountCommits(AtomicUsize);

impl Observer for CountCommits {
    fn changed(&self, _paths: &[&str]) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn initializing_is_one_commit() {
    let store = store();
    let commits = Arc::new(CountCommits::default());
    store.watch(commits.clone());
    let server = Server::sealed_on(store.clone());
    let (keys, root) = initialize(&server, 1, 1).await;
    assert_eq!(commits.0.load(Ordering::SeqCst), 1);
    // All that it takes is there for another process.
    let other = Server::sealed_on(store);
    unseal(&other, &keys).await;
    assert_eq!(other.read(&root, "sys/policies/acl/default").await.0, 200);
}

#[tokio::test]
async fn a_new_server_is_initialized_once_and_unsealed_by_shares() {
    let server = Server::sealed_on(store());
    assert_eq!(
        server.read("", "sys/init").await,
        (200, json!({"initialized": false}))
    );
    let status = server.read("", "sys/seal-status").await.1;
    assert_eq!(
        (&status["initialized"], &status["sealed"], &status["n"]),
        (&json!(false), &json!(true), &json!(0))
    );

    let (keys, root) = initialize(&server, 5, 3).await;
    assert!(keys.len() == 5 && keys.iter().all(|key| key.len() == 66));
    assert_eq!(
        server.read("", "sys/init").await,
        (200, json!({"initialized": true}))
    );
    let again = json!({"secret_shares": 1, "secret_threshold": 1});
    let refused = put(&server, "sys/init", again).await;
    assert_eq!(
        (refused.0, error(&refused)),
        (400, "Vault is already initialized")
    );

    for (key, progress) in keys.iter().zip([1, 2]) {
        let (_, body) = put(&server, "sys/unseal", json!({ "key": key })).await;
        assert_eq!(
            (&body["progress"], &body["sealed"]),
            (&json!(progress), &json!(true))
        );
        assert_eq!(body["nonce"].as_str().unwrap().len(), 36);
        let (_, body) = put(&server, "sys/unseal", json!({ "key": key })).await;
        assert_eq!(
            body["progress"],
            json!(progress),
            "the same share counts once"
        );
    }
    let (_, body) = put(&server, "sys/unseal", json!({ "key": keys[4] })).await;
    assert_eq!(
        (
            &body["progress"],
            &body["sealed"],
            &body["t"],
            &body["n"],
            &body["nonce"]
        ),
        (&json!(0), &json!(false), &json!(3), &json!(5), &json!(""))
    );
    assert_eq!(server.read(&root, "sys/mounts").await.0, 200);
}

#[tokio::test]
async fn init_says_what_is_wrong_with_its_parameters() {
    let server = Server::sealed_on(store());
    for (body, text) in [
        (
            json!({}),
            "invalid seal configuration: shares must be at least one",
        ),
        (
            json!({"secret_shares": 1}),
            "invalid seal configuration: threshold must be at least one",
        ),
        (
            json!({"secret_shares": 3, "secret_threshold": 5}),
            "invalid seal configuration: threshold cannot be larger than shares",
        ),
        (
            json!({"secret_shares": 3, "secret_threshold": 1}),
            "invalid seal configuration: threshold must be greater than one for multiple shares",
        ),
        (
            json!({"secret_shares": 300, "secret_threshold": 3}),
            "invalid seal configuration: shares must be less than 256",
        ),
        (
            json!({"secret_shares": 5, "secret_threshold": 3, "recovery_shares": 1}),
            "parameters recovery_shares not applicable to seal type shamir",
        ),
        (
            json!({"secret_shares": 5, "secret_threshold": 3, "pgp_keys": ["a"]}),
            "invalid seal configuration: count mismatch between number of provided PGP keys and \
             number of shares",
        ),
        (
            json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["a"]}),
            "encryption with PGP keys is not supported",
        ),
        (
            json!({"secret_shares": "5"}),
            "failed to decode JSON input: json: cannot unmarshal string into Go struct field \
             InitRequest.secret_shares of type int",
        ),
        (
            json!({"secret_shares": 1.5}),
            "failed to decode JSON input: json: cannot unmarshal number 1.5 into Go struct field \
             InitRequest.secret_shares of type int",
        ),
        (
            json!({"pgp_keys": "a"}),
            "failed to decode JSON input: json: cannot unmarshal string into Go struct field \
             InitRequest.pgp_keys of type []string",
        ),
    ] {
        let answer = put(&server, "sys/init", body.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{body}");
    }
    let (status, _) = put(
        &server,
        "sys/init",
        json!({"SECRET_Shares": 1, "Secret_Threshold": 1}),
    )
    .await;
    assert_eq!(status, 200, "field names are taken in any case");
}

#[tokio::test]
async fn unseal_refuses_what_is_no_share() {
    let server = Server::sealed_on(store());
    let no_store = put(&server, "sys/unseal", json!({"key": "ab".repeat(33)})).await;
    assert_eq!(
        (no_store.0, error(&no_store)),
        (400, "Vault is not initialized")
    );
    assert_eq!(
        put(&server, "sys/unseal", json!({"reset": true})).await.0,
        200
    );
    let (keys, _) = initialize(&server, 3, 2).await;
    for (body, text) in [
        (
            json!({}),
            "'key' must be specified in request body as JSON, or 'reset' set to true",
        ),
        (
            json!({"key": "zz!!"}),
            "'key' must be a valid hex or base64 string",
        ),
        (
            json!({"key": "aabb"}),
            "invalid key: key is shorter than minimum 16 bytes",
        ),
        (
            json!({"key": "ab".repeat(34)}),
            "invalid key: key is longer than maximum 33 bytes",
        ),
        (
            json!({"key": 5}),
            "failed to decode JSON input: json: cannot unmarshal number into Go struct field \
             UnsealRequest.key of type string",
        ),
    ] {
        let answer = put(&server, "sys/unseal", body.clone()).await;
        assert_eq!((answer.0, error(&answer)), (400, text), "{body}");
    }
    let answer = server.read("", "sys/unseal").await;
    assert_eq!(answer, (405, json!({"errors": []})));

    unseal(&server, &keys[..1]).await;
    let body = put(&server, "sys/unseal", json!({"reset": true})).await.1;
    assert_eq!(body["progress"], json!(0));
}

#[tokio::test]
async fn shares_of_another_key_start_the_count_anew() {
    let server = Server::sealed_on(store());
    let (keys, _) = initialize(&server, 3, 2).await;
    unseal(&server, &keys[..1]).await;
    let answer = put(&server, "sys/unseal", json!({"key": wrong_keys()[0]})).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            400,
            "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: \
             cipher: message authentication failed"
        )
    );
    let status = server.read("", "sys/seal-status").await.1;
    assert_eq!(
        (&status["progress"], &status["sealed"]),
        (&json!(0), &json!(true))
    );
    let short = json!({"key": "ab".repeat(16)});
    unseal(&server, &keys[..1]).await;
    let answer = put(&server, "sys/unseal", short).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            400,
            "invalid key: failed to compute combined key: all parts must be the same length"
        )
    );
    let base64: Vec<String> = keys[1..]
        .iter()
        .map(|key| STANDARD.encode(hex::decode(key).unwrap()))
        .collect();
    assert_eq!(unseal(&server, &base64).await["sealed"], json!(false));
    let answer = put(&server, "sys/unseal", json!({"reset": true})).await;
    assert_eq!((answer.0, error(&answer)), (400, "vault is unsealed"));
}

#[tokio::test]
async fn everything_is_back_after_sealing_and_unsealing() {
    let server = Server::sealed_on(store());
    let (keys, root) = initialize(&server, 5, 3).await;
    unseal(&server, &keys[..3]).await;
    let mounted = server
        .write(&root, "sys/mounts/team/pki", json!({"type": "pki"}))
        .await;
    assert_eq!(mounted.0, 204);
    let rules = json!({"policy": "path \"a\" { capabilities = [\"read\"] }"});
    server.write(&root, "sys/policies/acl/ops", rules).await;
    let secret = json!({"k": "v"});
    server.write(&root, "cubbyhole/x", secret.clone()).await;

    assert_eq!(server.write("", "sys/seal", json!({})).await.0, 403);
    assert_eq!(server.write(&root, "sys/seal", json!({})).await.0, 204);
    let answer = server.read(&root, "sys/mounts").await;
    assert_eq!((answer.0, error(&answer)), (503, "Vault is sealed"));
    assert_eq!(server.read("", "sys/health").await.0, 503);
    assert_eq!(server.write("", "sys/seal", json!({})).await.0, 204);

    unseal(&server, &keys[1..4]).await;
    let mounts = server.read(&root, "sys/mounts").await.1;
    assert!(mounts["data"]["team/pki/"].is_object());
    assert_eq!(server.read(&root, "sys/policies/acl/ops").await.0, 200);
    assert_eq!(server.read(&root, "cubbyhole/x").await.1["data"], secret);
}

#[tokio::test]
async fn a_second_process_on_the_same_store_finds_everything() {
    let store = store();
    let first = Server::sealed_on(store.clone());
    let (keys, root) = initialize(&first, 1, 1).await;
    assert_eq!(keys[0].len(), 64, "a single share is the key");
    unseal(&first, &keys).await;
    first
        .write(&root, "sys/auth/machines", json!({"type": "approle"}))
        .await;
    drop(first);

    let second = Server::sealed_on(store);
    let status = second.read("", "sys/seal-status").await.1;
    assert_eq!(
        (&status["initialized"], &status["sealed"]),
        (&json!(true), &json!(true))
    );
    unseal(&second, &keys).await;
    let mounts = second.read(&root, "sys/auth").await.1;
    assert_eq!(mounts["machines/"]["type"], json!("approle"));
}

#[tokio::test]
async fn health_answers_with_the_codes_that_are_asked_for() {
    let server = Server::sealed_on(store());
    let health = async |query: Value| {
        let answer = server.call(call(Op::Read, "sys/health", "", query)).await;
        (answer.0, answer.1["standby"].clone())
    };
    assert_eq!(health(json!({})).await, (501, json!(true)));
    assert_eq!(health(json!({"uninitcode": "204"})).await.0, 204);
    let (keys, _) = initialize(&server, 1, 1).await;
    assert_eq!(health(json!({"standbyok": ""})).await.0, 503);
    assert_eq!(health(json!({"sealedcode": "299"})).await.0, 299);
    unseal(&server, &keys).await;
    assert_eq!(health(json!({"nonsense": "x"})).await, (200, json!(false)));
    assert_eq!(health(json!({"activecode": "202"})).await.0, 202);
    for bad in ["abc", "", "99999", "100"] {
        let query = json!({ "sealedcode": bad });
        let answer = server.call(call(Op::Read, "sys/health", "", query)).await;
        assert_eq!(answer, (400, json!({"errors": []})), "{bad:?}");
    }
    let posted = server.write("", "sys/health", json!({})).await;
    assert_eq!(posted, (405, json!({"errors": []})));
}

#[tokio::test]
async fn enough_shares_make_a_root_token() {
    let server = Server::sealed_on(store());
    let (keys, _) = initialize(&server, 3, 2).await;
    unseal(&server, &keys[..2]).await;
    let attempt = "sys/generate-root/attempt";
    let update = "sys/generate-root/update";
    let status = server.read("", attempt).await.1;
    assert_eq!(
        (
            &status["started"],
            &status["required"],
            &status["otp_length"]
        ),
        (&json!(false), &json!(2), &json!(28))
    );
    let early = put(&server, update, json!({"key": keys[0]})).await;
    assert_eq!(
        (early.0, error(&early)),
        (400, "no root generation in progress")
    );
    let short = put(&server, attempt, json!({"otp": "abc"})).await;
    assert_eq!(
        (short.0, error(&short)),
        (400, "OTP string has incorrect length")
    );

    let started = put(&server, attempt, json!({})).await.1;
    let otp = started["otp"].as_str().unwrap().to_owned();
    let nonce = started["nonce"].clone();
    assert_eq!(otp.len(), 28);
    assert_eq!(server.read("", attempt).await.1["otp"], json!(""));
    let twice = put(&server, attempt, json!({})).await;
    assert_eq!(
        (twice.0, error(&twice)),
        (400, "root generation already in progress")
    );

    let missing = put(&server, update, json!({ "nonce": nonce })).await;
    assert_eq!(
        (missing.0, error(&missing)),
        (400, "'key' must be specified in request body as JSON")
    );
    let answer = put(&server, update, json!({"key": keys[0], "nonce": "x"})).await;
    let text =
        format!("incorrect nonce supplied; nonce for this root generation operation is {nonce}");
    assert_eq!((answer.0, error(&answer)), (400, text.as_str()));

    let first = put(&server, update, json!({"key": keys[0], "nonce": nonce}))
        .await
        .1;
    assert_eq!(
        (&first["progress"], &first["complete"]),
        (&json!(1), &json!(false))
    );
    let same = put(&server, update, json!({"key": keys[0], "nonce": nonce})).await;
    assert_eq!(
        (same.0, error(&same)),
        (
            400,
            "given key has already been provided during this generation operation"
        )
    );
    let wrong = put(
        &server,
        update,
        json!({"key": wrong_keys()[1], "nonce": nonce}),
    )
    .await;
    assert!(error(&wrong).starts_with("root generation aborted: unable to authenticate: "));
    assert_eq!(server.read("", attempt).await.1["progress"], json!(0));

    for key in &keys[1..] {
        let answer = put(&server, update, json!({"key": key, "nonce": nonce}))
            .await
            .1;
        if answer["complete"] == json!(true) {
            let mixed = STANDARD_NO_PAD
                .decode(answer["encoded_root_token"].as_str().unwrap())
                .unwrap();
            let token: String = mixed
                .iter()
                .zip(otp.bytes())
                .map(|(mixed, otp)| char::from(mixed ^ otp))
                .collect();
            assert_eq!(token.len(), 28);
            assert_eq!(server.read(&token, "sys/mounts").await.0, 200);
            assert_eq!(server.read("", attempt).await.1["started"], json!(false));
            return;
        }
    }
    panic!("no token was made");
}

#[tokio::test]
async fn a_cancelled_root_generation_forgets_its_shares() {
    let server = Server::sealed_on(store());
    let (keys, root) = initialize(&server, 3, 2).await;
    unseal(&server, &keys[..2]).await;
    let path = "sys/generate-root-token/attempt";
    assert_eq!(
        server.write("", path, json!({})).await.0,
        403,
        "this door needs a token"
    );
    let started = server.write(&root, path, json!({})).await.1;
    let nonce = started["data"]["nonce"].clone();
    put(
        &server,
        "sys/generate-root/update",
        json!({"key": keys[0], "nonce": nonce}),
    )
    .await;
    assert_eq!(server.delete("", "sys/generate-root/attempt").await.0, 204);
    assert_eq!(
        server.read(&root, path).await.1["data"]["started"],
        json!(false)
    );
}

#[tokio::test]
async fn rekeying_replaces_the_shares() {
    let server = Server::sealed_on(store());
    let (keys, root) = initialize(&server, 3, 2).await;
    unseal(&server, &keys[..2]).await;
    for (body, text) in [
        (
            json!({"secret_shares": 3, "secret_threshold": 5}),
            "invalid rekey seal configuration: threshold cannot be larger than shares",
        ),
        (
            json!({"secret_shares": 2, "secret_threshold": 2, "backup": true}),
            "cannot request a backup of the new keys without providing PGP keys for encryption",
        ),
    ] {
        let answer = put(&server, "sys/rekey/init", body).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let wanted = json!({"secret_shares": 1, "secret_threshold": 1});
    let started = put(&server, "sys/rekey/init", wanted.clone()).await.1;
    assert_eq!(
        (&started["started"], &started["t"], &started["required"]),
        (&json!(true), &json!(1), &json!(2))
    );
    let twice = put(&server, "sys/rekey/init", wanted).await;
    assert_eq!((twice.0, error(&twice)), (400, "rekey already in progress"));
    let nonce = started["nonce"].clone();
    put(
        &server,
        "sys/rekey/update",
        json!({"key": keys[0], "nonce": nonce}),
    )
    .await;
    let done = put(
        &server,
        "sys/rekey/update",
        json!({"key": keys[1], "nonce": nonce}),
    )
    .await
    .1;
    assert_eq!(done["complete"], json!(true));
    let new = texts(&done["keys"]);
    assert_eq!(new.len(), 1);

    server.write(&root, "sys/seal", json!({})).await;
    let old = put(&server, "sys/unseal", json!({"key": keys[0]})).await;
    assert_eq!(old.0, 400, "the old shares open nothing");
    assert_eq!(unseal(&server, &new).await["sealed"], json!(false));
    let backup = server.read(&root, "sys/rekey/backup").await;
    assert_eq!((backup.0, error(&backup)), (400, "no backed-up keys found"));
}

#[tokio::test]
async fn verified_shares_take_effect_when_they_were_brought_back() {
    let server = Server::sealed_on(store());
    let (keys, root) = initialize(&server, 1, 1).await;
    unseal(&server, &keys).await;
    let verify = "sys/rekey/verify";
    let answer = server.read("", verify).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (400, "no rekey configuration found")
    );
    let wanted = json!({"secret_shares": 2, "secret_threshold": 2, "require_verification": true});
    let started = put(&server, "sys/rekey/init", wanted).await.1;
    let step = json!({"key": keys[0], "nonce": started["nonce"]});
    let done = put(&server, "sys/rekey/update", step).await.1;
    assert_eq!(done["verification_required"], json!(true));
    let new = texts(&done["keys"]);

    let nonce = done["verification_nonce"].clone();
    put(&server, verify, json!({"key": new[0], "nonce": nonce})).await;
    let wrong = put(
        &server,
        verify,
        json!({"key": wrong_keys()[2], "nonce": nonce}),
    )
    .await;
    assert_eq!(
        (wrong.0, error(&wrong)),
        (
            400,
            "rekey verification failed; incorrect key shares supplied"
        )
    );
    let stale = put(&server, verify, json!({"key": new[0], "nonce": nonce})).await;
    assert_eq!(stale.0, 400, "a failed verification has a new nonce");
    let nonce = server.delete("", verify).await.1["nonce"].clone();
    assert_eq!(server.read("", verify).await.1["progress"], json!(0));
    put(&server, verify, json!({"key": new[0], "nonce": nonce})).await;
    let verified = put(&server, verify, json!({"key": new[1], "nonce": nonce}))
        .await
        .1;
    assert_eq!(verified, json!({"nonce": nonce, "complete": true}));

    server.write(&root, "sys/seal", json!({})).await;
    assert_eq!(unseal(&server, &new).await["sealed"], json!(false));
}

#[tokio::test]
async fn unverified_shares_change_nothing() {
    let server = Server::sealed_on(store());
    let (keys, root) = initialize(&server, 1, 1).await;
    unseal(&server, &keys).await;
    let wanted = json!({"secret_shares": 2, "secret_threshold": 2, "require_verification": true});
    let started = server.write(&root, "sys/rotate/root/init", wanted).await.1;
    let step = json!({"key": keys[0], "nonce": started["data"]["nonce"]});
    let done = server.write(&root, "sys/rotate/root/update", step).await.1;
    assert_eq!(done["data"]["complete"], json!(true));
    server.write(&root, "sys/seal", json!({})).await;
    assert_eq!(unseal(&server, &keys).await["sealed"], json!(false));
}

fn static_seal(id: &str, byte: u8) -> NamedKey {
    NamedKey {
        id: id.into(),
        key: UnsealKey::from_bytes(&[byte; 32]).unwrap(),
    }
}

fn unsealing_itself(store: Arc<dyn Backend>, seal: StaticSeal) -> Server {
    let server = Server::sealed_on(store);
    server.node.ceremonies.use_static_seal(seal).unwrap();
    server
}

#[tokio::test]
async fn a_server_with_a_static_key_unseals_itself() {
    let store = store();
    let seal = StaticSeal {
        current: static_seal("k1", 1),
        previous: None,
    };
    let server = unsealing_itself(store.clone(), seal);
    let misplaced = json!({"secret_shares": 5, "secret_threshold": 3});
    let answer = put(&server, "sys/init", misplaced).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            400,
            "parameters secret_shares,secret_threshold not applicable to seal type static"
        )
    );
    let bad = json!({"recovery_shares": 3, "recovery_threshold": 5});
    let answer = put(&server, "sys/init", bad).await;
    assert_eq!(
        (answer.0, error(&answer)),
        (
            400,
            "invalid recovery configuration: threshold cannot be larger than shares"
        )
    );
    let (_, made) = put(&server, "sys/init", json!({})).await;
    assert_eq!(
        (
            &made["keys"],
            &made["keys_base64"],
            made.get("recovery_keys")
        ),
        (&json!([]), &json!([]), None)
    );
    let root = made["root_token"].as_str().unwrap();
    assert_eq!(server.read(root, "sys/mounts").await.0, 200);
    let status = server.read("", "sys/seal-status").await.1;
    assert_eq!(
        (
            &status["type"],
            &status["recovery_seal"],
            &status["recovery_seal_type"]
        ),
        (&json!("static"), &json!(true), &json!("shamir"))
    );

    let rotated = StaticSeal {
        current: static_seal("k2", 2),
        previous: Some(static_seal("k1", 1)),
    };
    let second = unsealing_itself(store.clone(), rotated);
    assert!(second.node.unseal_by_itself().await.unwrap());
    assert_eq!(second.read(root, "sys/mounts").await.0, 200);
    let forgotten = StaticSeal {
        current: static_seal("k2", 2),
        previous: None,
    };
    let third = unsealing_itself(store, forgotten);
    assert!(third.node.unseal_by_itself().await.unwrap());
}

#[tokio::test]
async fn recovery_keys_prove_authority_and_open_nothing() {
    let store = store();
    let seal = StaticSeal {
        current: static_seal("k1", 1),
        previous: None,
    };
    let server = unsealing_itself(store.clone(), seal);
    let body = json!({"recovery_shares": 3, "recovery_threshold": 2});
    let made = put(&server, "sys/init", body).await.1;
    let keys = texts(&made["recovery_keys"]);
    let root = made["root_token"].as_str().unwrap();
    let status = server.read("", "sys/seal-status").await.1;
    assert_eq!((&status["t"], &status["n"]), (&json!(2), &json!(3)));

    let started = put(&server, "sys/generate-root/attempt", json!({})).await.1;
    let nonce = &started["nonce"];
    let update = "sys/generate-root/update";
    put(&server, update, json!({"key": keys[0], "nonce": nonce})).await;
    let done = put(&server, update, json!({"key": keys[2], "nonce": nonce}))
        .await
        .1;
    assert_eq!(done["complete"], json!(true));

    let wanted = json!({"secret_shares": 2, "secret_threshold": 2});
    assert_eq!(put(&server, "sys/rekey/init", wanted.clone()).await.0, 400);
    let started = put(&server, "sys/rekey-recovery-key/init", wanted).await.1;
    let update = "sys/rekey-recovery-key/update";
    let nonce = &started["nonce"];
    put(&server, update, json!({"key": keys[0], "nonce": nonce})).await;
    let done = put(&server, update, json!({"key": keys[1], "nonce": nonce}))
        .await
        .1;
    let new = texts(&done["keys"]);

    server.write(root, "sys/seal", json!({})).await;
    unseal(&server, &keys[..1]).await;
    let old = put(&server, "sys/unseal", json!({"key": keys[1]})).await;
    assert_eq!(old.0, 400);
    assert_eq!(unseal(&server, &new).await["sealed"], json!(false));

    // Without the configured key the recovery keys are of no use.
    let other = Server::sealed_on(store);
    let joined = signet_storage::seal::shamir::combine(
        &new.iter()
            .map(|key| hex::decode(key).unwrap())
            .collect::<Vec<_>>(),
    )
    .unwrap();
    let key = UnsealKey::from_bytes(&joined).unwrap();
    assert!(other.node.sealed.unseal(&key).await.is_err());
}

#[tokio::test]
async fn the_encryption_key_is_rotated_by_hand_and_by_time() {
    let server = Server::start().await;
    let term = async || server.read(ROOT, "sys/key-status").await.1["term"].clone();
    assert_eq!(term().await, json!(1));
    assert_eq!(server.write(ROOT, "sys/rotate", json!({})).await.0, 204);
    assert_eq!(
        server.write(ROOT, "sys/rotate/keyring", json!({})).await.0,
        204
    );
    assert_eq!(term().await, json!(3));

    for (body, text) in [
        (
            json!({"interval": "1h"}),
            "interval must be greater or equal to 24h0m0s",
        ),
        (
            json!({"max_operations": 5}),
            "max_operations must be in the range [1000000,3865470566]",
        ),
    ] {
        let answer = server.write(ROOT, "sys/rotate/config", body).await;
        assert_eq!((answer.0, error(&answer)), (400, text));
    }
    let daily = json!({"interval": "24h"});
    assert_eq!(server.write(ROOT, "sys/rotate/config", daily).await.0, 204);
    assert_eq!(
        server.read(ROOT, "sys/rotate/config").await.1["data"],
        json!({"enabled": true, "interval": "24h0m0s", "max_operations": 3_865_470_566_u64})
    );
    server.node.tick().await;
    assert_eq!(term().await, json!(3));
    server.clock.advance_secs(86_400);
    server.node.tick().await;
    assert_eq!(term().await, json!(4));
}
