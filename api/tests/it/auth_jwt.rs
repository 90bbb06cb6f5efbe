//! `auth/jwt/`: what tokens of an issuer are worth.

use serde_json::{Value, json};
use signet_api::call::Op;

use crate::outbound::response;
use crate::signer::{Signer, jwks};
use crate::support::{Answer, ROOT, Server, call, error};

const NOW: i64 = 1_800_000_000;
const CONFIG: &str = "auth/jwt/config";

async fn server() -> Server {
    let server = Server::start().await;
    server.enable_auth("jwt").await;
    server
}

/// A server that takes tokens of the signer from the issuer `me`, and has a role `r` with `changes`.
async fn configured(changes: Value) -> (Server, Signer) {
    let (server, signer) = (server().await, Signer::es256());
    let config = json!({ "jwt_validation_pubkeys": [signer.pem()], "bound_issuer": "me" });
    assert_eq!(server.write(ROOT, CONFIG, config).await.0, 204);
    add_role(&server, changes).await;
    (server, signer)
}

async fn add_role(server: &Server, changes: Value) {
    let answer = server.write(ROOT, "auth/jwt/role/r", role(changes)).await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

/// The role of the tests with `changes` over it; null takes a field away.
fn role(changes: Value) -> Value {
    let role = json!({
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": "here",
        "token_policies": "p1",
    });
    over(role, changes)
}

fn claims(changes: Value) -> Value {
    let claims = json!({ "iss": "me", "sub": "bob", "aud": "here", "iat": NOW, "exp": NOW + 600 });
    over(claims, changes)
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

async fn login(server: &Server, role: &str, jwt: &str) -> Answer {
    let data = json!({ "role": role, "jwt": jwt });
    server
        .call(call(Op::Write, "auth/jwt/login", "", data))
        .await
}

async fn login_with(server: &Server, signer: &Signer, changes: Value) -> Answer {
    login(server, "r", &signer.token(&claims(changes))).await
}

fn token(answer: &Answer) -> &str {
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1["auth"]["client_token"].as_str().unwrap()
}

fn refused(answer: &Answer, text: &str) {
    assert_eq!((answer.0, error(answer)), (400, text));
}

#[tokio::test]
async fn a_token_of_the_issuer_is_worth_what_its_role_says() {
    let (server, signer) = configured(json!({
        "token_ttl": "1h", "token_max_ttl": "2h", "claim_mappings": { "team": "of", "/x/y": "deep" },
    }))
    .await;
    let answer = login_with(
        &server,
        &signer,
        json!({ "team": "web", "x": { "y": "z" } }),
    )
    .await;
    let auth = &answer.1["auth"];
    assert_eq!(auth["policies"], json!(["default", "p1"]));
    assert_eq!(
        auth["metadata"],
        json!({ "role": "r", "of": "web", "deep": "z" })
    );
    assert_eq!(auth["lease_duration"], 3600);
    let data = server
        .read(token(&answer), "auth/token/lookup-self")
        .await
        .1;
    assert_eq!(data["data"]["display_name"], "jwt-bob");
    assert_eq!(data["data"]["path"], "auth/jwt/login");
}

#[tokio::test]
async fn what_a_token_has_to_be_is_told_with_the_texts_clients_know() {
    let (server, signer) = configured(json!({})).await;
    let prefix = "error validating token: ";
    for (changes, text) in [
        (json!({ "iss": "you" }), "invalid issuer (iss) claim"),
        (
            json!({ "aud": "there" }),
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
        (
            json!({ "iat": null, "exp": null }),
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
        ),
    ] {
        let answer = login_with(&server, &signer, changes).await;
        refused(&answer, &format!("{prefix}{text}"));
    }
    let forged = login_with(&server, &Signer::es256(), json!({})).await;
    let text = "error validating token: error verifying token signature: no known key \
                successfully validated the token signature";
    refused(&forged, text);
    for (role, jwt, text) in [
        ("", "x", "missing role"),
        ("r", "", "missing token"),
        ("nope", "x", "role \"nope\" could not be found"),
        (
            "r",
            "x",
            "error validating token: error verifying token signature: compact JWS format must \
             have three parts",
        ),
    ] {
        refused(&login(&server, role, jwt).await, text);
    }
    for (changes, text) in [
        (json!({ "sub": null }), "claim \"sub\" not found in token"),
        (json!({ "sub": "" }), "missing name in alias"),
    ] {
        refused(&login_with(&server, &signer, changes).await, text);
    }
}

#[tokio::test]
async fn white_space_around_a_token_does_not_count() {
    let (server, signer) = configured(json!({})).await;
    let jwt = signer.token(&claims(json!({})));
    token(&login(&server, "r", &format!(" {jwt}\r\n")).await);
    refused(&login(&server, "r", " \n").await, "missing token");
}

#[tokio::test]
async fn an_audience_that_no_role_expects_is_refused() {
    let (server, signer) =
        configured(json!({ "bound_audiences": null, "bound_subject": "bob" })).await;
    let text = "audience claim found in JWT but no audiences bound to the role";
    refused(&login_with(&server, &signer, json!({})).await, text);
    token(&login_with(&server, &signer, json!({ "aud": null })).await);
    let eve = login_with(&server, &signer, json!({ "aud": null, "sub": "eve" })).await;
    refused(&eve, "error validating token: invalid subject (sub) claim");
}

#[tokio::test]
async fn demanded_claims_have_to_be_there_and_match() {
    let demands = json!({ "team": ["a", "b"], "n": 5, "f": true, "/x/y": "z" });
    let (server, signer) = configured(json!({ "bound_claims": demands })).await;
    let good = json!({ "team": "a", "n": 5, "f": true, "x": { "y": "z" } });
    for changes in [
        json!({}),
        json!({ "team": ["q", "b"] }),
        json!({ "n": 5.0 }),
    ] {
        token(&login_with(&server, &signer, over(good.clone(), changes)).await);
    }
    let differs = |name: &str| {
        format!(
            "error validating claims: claim {name:?} does not match any associated bound claim values"
        )
    };
    for (changes, text) in [
        (json!({ "team": "c" }), differs("team")),
        (json!({ "team": [] }), differs("team")),
        (json!({ "n": "5" }), differs("n")),
        (json!({ "f": false }), differs("f")),
        (json!({ "x": { "y": 1 } }), differs("/x/y")),
        (
            json!({ "team": null }),
            "error validating claims: claim \"team\" is missing".into(),
        ),
        (
            json!({ "team": { "a": 1 } }),
            "error validating claims: received claim is not a string, bool, int or list".into(),
        ),
    ] {
        let answer = login_with(&server, &signer, over(good.clone(), changes)).await;
        refused(&answer, &text);
    }
}

#[tokio::test]
async fn globs_match_only_where_the_role_says_so() {
    let demands = json!({ "team": ["a*", "*-ops"] });
    for (kind, matching) in [("glob", true), ("string", false)] {
        let (server, signer) =
            configured(json!({ "bound_claims": demands, "bound_claims_type": kind })).await;
        for team in ["abc", "x-ops"] {
            let answer = login_with(&server, &signer, json!({ "team": team })).await;
            assert_eq!(answer.0 == 200, matching, "{kind} {team}");
        }
        let answer = login_with(&server, &signer, json!({ "team": "xyz" })).await;
        assert_eq!(answer.0, 400, "{kind}");
    }
}

#[tokio::test]
async fn a_claim_that_cannot_be_metadata_is_refused() {
    let (server, signer) = configured(json!({ "claim_mappings": { "a": "m" } })).await;
    for value in [json!(5), json!(true), json!(["x"]), json!({ "b": 1 })] {
        let answer = login_with(&server, &signer, json!({ "a": value })).await;
        refused(&answer, "error converting claim 'a' to string");
    }
    let answer = login_with(&server, &signer, json!({})).await;
    assert_eq!(answer.1["auth"]["metadata"], json!({ "role": "r" }));
}

#[tokio::test]
async fn leeways_of_a_role_hold() {
    for (leeway, late_secs, allowed) in [(0, 59, true), (-1, 1, false), (300, 299, true)] {
        let (server, signer) = configured(json!({ "clock_skew_leeway": leeway })).await;
        let late = json!({ "exp": NOW - late_secs, "iat": NOW - 900 });
        let answer = login_with(&server, &signer, late).await;
        assert_eq!(answer.0 == 200, allowed, "{leeway}");
    }
}

#[tokio::test]
async fn a_login_from_elsewhere_is_refused_before_the_token_is_looked_at() {
    let (server, signer) = configured(json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    let answer = login_with(&server, &signer, json!({})).await;
    assert_eq!((answer.0, error(&answer)), (403, "permission denied"));
    assert_eq!(login(&server, "r", "garbage").await, answer);
}

#[tokio::test]
async fn no_failed_login_makes_a_token() {
    let (server, signer) = configured(json!({ "groups_claim": "groups" })).await;
    let before = server.list(ROOT, "auth/token/accessors").await;
    for changes in [
        json!({ "iss": "you", "groups": ["a"] }),
        json!({ "sub": "", "groups": ["a"] }),
        json!({ "groups": [5] }),
        json!({}),
    ] {
        assert_eq!(login_with(&server, &signer, changes).await.0, 400);
    }
    assert_eq!(server.list(ROOT, "auth/token/accessors").await, before);
    token(&login_with(&server, &signer, json!({ "groups": ["a"] })).await);
}

#[tokio::test]
async fn root_is_no_policy_of_a_login() {
    let (server, signer) = configured(json!({ "token_policies": " ROOT" })).await;
    let answer = login_with(&server, &signer, json!({})).await;
    refused(&answer, "auth methods cannot create root tokens");
}

#[tokio::test]
async fn the_default_role_stands_in_for_none() {
    let (server, signer) = configured(json!({})).await;
    let config = json!({ "jwt_validation_pubkeys": [signer.pem()], "default_role": "R" });
    assert_eq!(server.write(ROOT, CONFIG, config).await.0, 204);
    let jwt = signer.token(&claims(json!({})));
    let answer = login(&server, "", &jwt).await;
    assert_eq!(answer.1["auth"]["metadata"]["role"], "r");
    token(&login(&server, "R", &jwt).await);
}

#[tokio::test]
async fn keys_from_a_url_are_fetched_and_a_new_configuration_counts_at_once() {
    let server = server().await;
    let (one, two) = (Signer::es256(), Signer::rsa());
    let (of_one, of_two) = (jwks(&[one.jwk("1")]), jwks(&[two.jwk("2")]));
    server.outbound.answer(move |request| {
        let keys = if request.url.ends_with("/one") {
            &of_one
        } else {
            &of_two
        };
        Ok(response(200, &keys.to_string()))
    });
    add_role(&server, json!({})).await;
    let pem = signet_pki::pem::encode("CERTIFICATE", &[0]);
    let config = json!({ "jwks_url": "https://k.example/one", "jwks_ca_pem": pem });
    assert_eq!(server.write(ROOT, CONFIG, config).await.0, 204);
    token(&login_with(&server, &one, json!({})).await);
    assert_eq!(login_with(&server, &two, json!({})).await.0, 400);
    let sent = server.outbound.take_sent();
    assert!(
        sent.iter()
            .all(|request| request.trust == signet_api::outbound::Trust::of_pem(&pem))
    );

    let pairs = json!({ "jwks_pairs": [
        { "jwks_url": "https://k.example/one" },
        { "jwks_url": "https://k.example/two" },
    ]});
    assert_eq!(server.write(ROOT, CONFIG, pairs).await.0, 204);
    for signer in [&one, &two] {
        token(&login_with(&server, signer, json!({})).await);
    }
    let only_two = json!({ "jwks_url": "https://k.example/two" });
    assert_eq!(server.write(ROOT, CONFIG, only_two).await.0, 204);
    assert_eq!(login_with(&server, &one, json!({})).await.0, 400);
}

#[tokio::test]
async fn while_the_issuer_is_away_clients_are_told_to_come_back() {
    let server = server().await;
    add_role(&server, json!({})).await;
    let config = json!({ "jwks_url": "https://k.example/", "skip_jwks_validation": true });
    let answer = server.write(ROOT, CONFIG, config.clone()).await;
    assert_eq!(
        (answer.0, &answer.1["warnings"]),
        (200, &json!(["error checking jwks URL"]))
    );
    let answer = login_with(&server, &Signer::es256(), json!({})).await;
    assert_eq!(answer.0, 503);
    assert!(!error(&answer).contains("k.example"), "{answer:?}");
    let shown = server.read(ROOT, CONFIG).await.1;
    assert_eq!(shown["data"]["status"], "error checking jwks URL");

    let strict = over(config, json!({ "skip_jwks_validation": false }));
    refused(
        &server.write(ROOT, CONFIG, strict).await,
        "error checking jwks URL",
    );
}

#[tokio::test]
async fn discovery_finds_the_keys() {
    let server = server().await;
    let signer = Signer::es256();
    let keys = jwks(&[signer.jwk("1")]);
    server.outbound.answer(move |request| {
        let body = match request.url.as_str() {
            "https://i.example/.well-known/openid-configuration" => {
                json!({ "issuer": "https://i.example", "jwks_uri": "https://i.example/k" })
            }
            "https://i.example/k" => keys.clone(),
            _ => return Ok(response(404, "")),
        };
        Ok(response(200, &body.to_string()))
    });
    let config = json!({ "oidc_discovery_url": "https://i.example", "bound_issuer": "me" });
    assert_eq!(server.write(ROOT, CONFIG, config).await.0, 204);
    add_role(&server, json!({})).await;
    token(&login_with(&server, &signer, json!({})).await);
    let other = json!({ "oidc_discovery_url": "https://i.example/" });
    let answer = server.write(ROOT, CONFIG, other).await;
    assert!(
        error(&answer).starts_with("error checking oidc discovery URL: "),
        "{answer:?}"
    );
}

#[tokio::test]
async fn configurations_that_are_wrong_are_refused() {
    let server = server().await;
    let pem = Signer::es256().pem();
    let one_of = "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', \
                  'oidc_discovery_url', or 'provider_config' must be set";
    for (config, text) in [
        (json!({}), one_of),
        (
            json!({ "jwks_url": "https://a/", "jwt_validation_pubkeys": [pem] }),
            one_of,
        ),
        (
            json!({ "jwt_validation_pubkeys": ["x"] }),
            "error parsing public key: data does not contain any valid public keys",
        ),
        (
            json!({ "jwt_validation_pubkeys": [pem], "jwt_supported_algs": ["HS256"] }),
            "invalid jwt_supported_algs: unsupported signing algorithm \"HS256\"",
        ),
        (
            json!({ "jwks_url": "https://a/", "jwks_ca_pem": "x" }),
            "error checking jwks_ca_pem",
        ),
        (
            json!({ "jwks_pairs": [{ "url": "https://a/" }] }),
            "invalid 'jwks_pairs'",
        ),
        (
            json!({ "jwt_validation_pubkeys": [pem], "oidc_client_id": "x" }),
            "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC",
        ),
        (
            json!({ "jwt_validation_pubkeys": [pem], "provider_config": { "provider": "azure" } }),
            "'provider_config' is not available on this server",
        ),
    ] {
        refused(&server.write(ROOT, CONFIG, config).await, text);
    }
    assert_eq!(server.read(ROOT, CONFIG).await.0, 404);
    refused(
        &login(&server, "x", "y").await,
        "role \"x\" could not be found",
    );
    add_role(&server, json!({})).await;
    refused(
        &login(&server, "r", "y").await,
        "could not load configuration",
    );
}

#[tokio::test]
async fn roles_that_are_wrong_are_refused() {
    let server = server().await;
    for (changes, text) in [
        (
            json!({ "role_type": null }),
            "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
        ),
        (json!({ "role_type": "zz" }), "invalid 'role_type': zz"),
        (
            json!({ "user_claim": null }),
            "a user claim must be defined on the role",
        ),
        (
            json!({ "bound_audiences": null }),
            "must have at least one bound constraint when creating/updating a role",
        ),
        (
            json!({ "bound_claims_type": "zz" }),
            "invalid 'bound_claims_type': zz",
        ),
        (
            json!({ "bound_claims": { "a": 1 }, "bound_claims_type": "glob" }),
            "claim is not a string: 1",
        ),
        (
            json!({ "claim_mappings": { "a": "x", "b": "x" } }),
            "multiple keys are mapped to metadata key \"x\"",
        ),
        (
            json!({ "claim_mappings": { "a": "role" } }),
            "metadata key \"role\" is reserved and may not be a mapping destination",
        ),
        (
            json!({ "token_ttl": "2h", "token_max_ttl": "1h" }),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
        (
            json!({ "token_period": "9999h" }),
            "'period' of '\"9999h0m0s\"' is greater than the backend's maximum lease TTL of \
             '\"768h0m0s\"'",
        ),
        (
            json!({ "ttl": "2h", "token_max_ttl": "1h" }),
            "ttl should not be greater than max ttl",
        ),
        (
            json!({ "token_type": "zz" }),
            "invalid 'token_type' value \"zz\"",
        ),
        (
            json!({ "token_num_uses": -1 }),
            "'token_num_uses' cannot be negative",
        ),
        (
            json!({ "verbose_oidc_logging": true }),
            "'verbose_oidc_logging' is not available on this server",
        ),
    ] {
        let answer = server.write(ROOT, "auth/jwt/role/r", role(changes)).await;
        refused(&answer, text);
    }
    assert_eq!(server.list(ROOT, "auth/jwt/role").await.0, 404);
}

#[tokio::test]
async fn a_role_is_read_as_clients_compare_it() {
    let server = server().await;
    let old_names = json!({
        "token_policies": null, "policies": "p1", "ttl": "5m", "max_ttl": "1h",
        "num_uses": 3, "bound_cidrs": "127.0.0.1/32", "period": 60, "clock_skew_leeway": -1,
    });
    add_role(&server, old_names).await;
    let shown = server.read(ROOT, "auth/jwt/role/R").await.1["data"].clone();
    assert_eq!(
        shown,
        json!({
            "allowed_redirect_uris": null, "bound_audiences": ["here"],
            "bound_cidrs": ["127.0.0.1"], "bound_claims": null, "bound_claims_type": "string",
            "bound_subject": "", "claim_mappings": null, "clock_skew_leeway": -1,
            "expiration_leeway": 0, "groups_claim": "", "max_age": 0, "max_ttl": 3600,
            "not_before_leeway": 0, "num_uses": 3, "oidc_scopes": null, "period": 60,
            "policies": ["p1"], "role_type": "jwt", "token_bound_cidrs": ["127.0.0.1"],
            "token_explicit_max_ttl": 0, "token_max_ttl": 3600, "token_no_default_policy": false,
            "token_num_uses": 3, "token_period": 60, "token_policies": ["p1"],
            "token_strictly_bind_ip": false, "token_ttl": 300, "token_type": "default",
            "ttl": 300, "user_claim": "sub", "user_claim_json_pointer": false,
            "verbose_oidc_logging": false,
        })
    );
    assert_eq!(
        server.list(ROOT, "auth/jwt/role").await.1["data"]["keys"],
        json!(["r"])
    );
    assert_eq!(server.delete(ROOT, "auth/jwt/role/r").await.0, 204);
    assert_eq!(server.read(ROOT, "auth/jwt/role/r").await.0, 404);
}

#[tokio::test]
async fn tokens_of_a_deleted_role_are_not_renewed() {
    let (server, signer) = configured(json!({})).await;
    let answer = login_with(&server, &signer, json!({})).await;
    let path = "auth/token/renew-self";
    assert_eq!(server.write(token(&answer), path, json!({})).await.0, 200);
    assert_eq!(server.delete(ROOT, "auth/jwt/role/r").await.0, 204);
    let refused = server.write(token(&answer), path, json!({})).await;
    assert!(
        error(&refused).contains("role r does not exist during renewal"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_login_by_a_browser_says_that_it_is_not_there() {
    let server = server().await;
    server.enable_auth("oidc").await;
    let text = "OIDC login with a browser is not available on this server";
    for mount in ["jwt", "oidc"] {
        let path = format!("auth/{mount}/oidc/auth_url");
        let data = json!({ "role": "r", "redirect_uri": "http://localhost:8250/oidc/callback" });
        refused(&server.write("", &path, data).await, text);
        let browser = json!({ "role_type": "oidc", "allowed_redirect_uris": "http://x/" });
        let path = format!("auth/{mount}/role/b");
        assert_eq!(server.write(ROOT, &path, role(browser)).await.0, 204);
    }
    refused(
        &login(&server, "b", "x").await,
        "role with oidc role_type is not allowed",
    );
}

#[tokio::test]
async fn the_secret_of_a_client_is_never_shown() {
    let server = server().await;
    let config = json!({
        "oidc_discovery_url": "https://i.example", "skip_jwks_validation": true,
        "oidc_client_id": "id", "oidc_client_secret": "s3cret",
    });
    assert_eq!(server.write(ROOT, CONFIG, config).await.0, 200);
    let shown = server.read(ROOT, CONFIG).await;
    assert_eq!(shown.1["data"]["oidc_client_id"], "id");
    assert!(!shown.1.to_string().contains("s3cret"), "{shown:?}");
}
