//! The verifier of signed tokens.

use serde_json::{Value, json};
use signet_api::jwt::{
    Algorithm, Claims, Expected, JwtError, KeySet, KeySetError, Leeways, MAX_TOKEN_BYTES, verify,
};
use signet_api::time::Timestamp;

use crate::signer::{Signer, b64, jwks};

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn claims() -> Value {
    json!({ "iss": "me", "sub": "bob", "aud": "here", "iat": NOW, "exp": NOW + 60 })
}

fn expected() -> Expected {
    Expected {
        issuers: vec!["me".into()],
        audiences: vec!["here".into()],
        ..Expected::default()
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::from_jwks(jwks(keys).to_string().as_bytes()).unwrap()
}

fn check(token: &str, keys: &KeySet) -> Result<Claims, JwtError> {
    verify(token, keys, &expected(), now())
}

#[test]
fn every_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    let signers = [
        Signer::es256(),
        Signer::es384(),
        Signer::es512(),
        Signer::ed25519(),
        Signer::rsa(),
    ];
    for signer in &signers {
        let token = signer.token(&claims());
        for keys in [
            set(&[signer.jwk("a")]),
            KeySet::from_pem(&signer.pem()).unwrap(),
        ] {
            let verified = check(&token, &keys).unwrap();
            assert_eq!(verified.subject(), "bob", "{}", signer.algorithm());
        }
        let others: Vec<Value> = signers
            .iter()
            .filter(|other| other.algorithm() != signer.algorithm())
            .map(|other| other.jwk("a"))
            .chain([match signer {
                Signer::Rsa(_) => Signer::rsa(),
                _ => Signer::es256(),
            }
            .jwk("a")])
            .collect();
        let refused = check(&token, &set(&others)).unwrap_err();
        assert_eq!(refused, JwtError::UnknownKey, "{}", signer.algorithm());
    }
}

#[test]
fn an_rsa_key_takes_all_rsa_algorithms_unless_it_is_bound_to_one() {
    let signer = Signer::rsa();
    let all = ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
    let mut bound = signer.jwk("a");
    bound["alg"] = json!("PS384");
    for name in all {
        let token = signer.token_with(&json!({ "alg": name }), &claims());
        assert!(check(&token, &set(&[signer.jwk("a")])).is_ok(), "{name}");
        let is_bound_one = name == "PS384";
        let verified = check(&token, &set(std::slice::from_ref(&bound)));
        assert_eq!(verified.is_ok(), is_bound_one, "{name}");
    }
}

#[test]
fn a_token_without_signature_or_with_a_shared_secret_is_refused() {
    let signer = Signer::rsa();
    let keys = set(&[signer.jwk("a")]);
    for alg in ["none", "None", "NONE", "HS256", "HS512", "", "RSA"] {
        let header = b64(json!({ "alg": alg }).to_string());
        let payload = b64(claims().to_string());
        // The public key is what an attacker would take for the secret.
        let mac = aws_lc_rs::hmac::sign(
            &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, signer.pem().as_bytes()),
            format!("{header}.{payload}").as_bytes(),
        );
        for signature in [String::new(), b64(mac)] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(check(&token, &keys), Err(JwtError::BadSignature), "{alg}");
        }
    }
}

#[test]
fn the_algorithm_of_the_header_is_signed_and_has_to_fit_the_key() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("a")]);
    for alg in ["ES384", "RS256", "EdDSA"] {
        let token = signer.token_with(&json!({ "alg": alg }), &claims());
        assert_eq!(check(&token, &keys), Err(JwtError::UnknownKey), "{alg}");
    }
}

#[test]
fn algorithms_can_be_limited() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("a")]);
    let mut expected = expected();
    expected.algorithms = vec![Algorithm::Rs256];
    let refused = verify(&signer.token(&claims()), &keys, &expected, now());
    assert_eq!(refused, Err(JwtError::UnexpectedAlgorithm));
    expected.algorithms.push(Algorithm::Es256);
    assert!(verify(&signer.token(&claims()), &keys, &expected, now()).is_ok());
}

#[test]
fn a_named_key_is_the_only_one_that_counts() {
    let (one, two) = (Signer::es256(), Signer::es256());
    let keys = set(&[one.jwk("one"), two.jwk("two")]);
    let token = |kid: &str| one.token_with(&json!({ "alg": "ES256", "kid": kid }), &claims());
    assert!(check(&token("one"), &keys).is_ok());
    assert_eq!(check(&token("two"), &keys), Err(JwtError::BadSignature));
    assert_eq!(check(&token("three"), &keys), Err(JwtError::UnknownKey));
    let unnamed = KeySet::from_pem(&one.pem()).unwrap();
    assert!(check(&token("three"), &unnamed).is_ok());
}

#[test]
fn a_changed_token_is_refused() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("")]);
    let token = signer.token(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let eve = b64(json!({ "iss": "me", "sub": "eve", "aud": "here", "exp": NOW + 60 }).to_string());
    for changed in [
        format!("{}.{eve}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], b64([0; 64])),
        format!("{}.{}.{}AA", parts[0], parts[1], parts[2]),
    ] {
        assert!(check(&changed, &keys).is_err(), "{changed}");
    }
}

#[test]
fn what_is_no_compact_token_is_refused_without_work() {
    let keys = set(&[Signer::es256().jwk("")]);
    let long = "a".repeat(MAX_TOKEN_BYTES + 1);
    for bad in [
        "",
        "x",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "..",
        "e30.e30.",
        "ey A.e30.x",
        &long,
    ] {
        let refused = check(bad, &keys).unwrap_err();
        assert!(matches!(refused, JwtError::Malformed(_)), "{refused}");
    }
}

#[test]
fn a_header_that_is_a_list_is_none() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("")]);
    let token = signer.token_with(&json!(["ES256"]), &claims());
    let refused = check(&token, &keys).unwrap_err();
    assert!(matches!(refused, JwtError::Malformed(_)), "{refused}");
}

#[test]
fn critical_extensions_are_not_understood() {
    let signer = Signer::es256();
    let header = json!({ "alg": "ES256", "crit": ["b64"], "b64": false });
    let token = signer.token_with(&header, &claims());
    let keys = set(&[signer.jwk("")]);
    assert_eq!(check(&token, &keys), Err(JwtError::BadSignature));
}

/// The token's claims with `changes` over them; null takes a claim away.
fn with(changes: &Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

#[test]
fn names_have_to_be_the_expected_ones() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("")]);
    for (changes, verdict) in [
        (json!({}), Ok(())),
        (json!({ "aud": ["x", "here"] }), Ok(())),
        (json!({ "iss": "you" }), Err(JwtError::Issuer)),
        (json!({ "iss": null }), Err(JwtError::Issuer)),
        (json!({ "iss": 5 }), Err(JwtError::WrongType("iss".into()))),
        (json!({ "sub": 5 }), Err(JwtError::WrongType("sub".into()))),
        (json!({ "aud": "x" }), Err(JwtError::Audience)),
        (json!({ "aud": [] }), Err(JwtError::Audience)),
        (json!({ "aud": null }), Err(JwtError::Audience)),
        (json!({ "aud": 5 }), Err(JwtError::WrongType("aud".into()))),
        (
            json!({ "aud": ["here", 5] }),
            Err(JwtError::WrongType("aud".into())),
        ),
    ] {
        let checked = check(&signer.token(&with(&changes)), &keys).map(|_| ());
        assert_eq!(checked, verdict, "{changes}");
    }
    let mut nobody = expected();
    nobody.audiences.clear();
    let refused = verify(&signer.token(&claims()), &keys, &nobody, now());
    assert_eq!(refused, Err(JwtError::UnexpectedAudience));
    let token = signer.token(&with(&json!({ "aud": null })));
    assert!(verify(&token, &keys, &nobody, now()).is_ok());
    let mut bob = expected();
    bob.subject = Some("alice".into());
    let refused = verify(&signer.token(&claims()), &keys, &bob, now());
    assert_eq!(refused, Err(JwtError::Subject));
}

#[test]
fn times_are_kept_to_the_second() {
    let signer = Signer::es256();
    let keys = set(&[signer.jwk("")]);
    let of_roles = Leeways {
        late_secs: 60,
        early_secs: 60,
        life_without_exp_secs: Some(150),
        start_before_exp_secs: Some(150),
        may_be_timeless: false,
    };
    let timeless = Leeways {
        may_be_timeless: true,
        ..Leeways::default()
    };
    let strict = Leeways::default();
    for (leeways, changes, verdict) in [
        (timeless, json!({ "exp": null, "iat": null }), Ok(())),
        (timeless, json!({ "exp": NOW }), Err(JwtError::Expired)),
        (strict, json!({ "exp": NOW + 1 }), Ok(())),
        (strict, json!({ "exp": NOW }), Err(JwtError::Expired)),
        (strict, json!({ "exp": null }), Err(JwtError::NoExpiration)),
        (strict, json!({ "nbf": NOW + 60 }), Ok(())),
        (
            strict,
            json!({ "nbf": NOW + 61 }),
            Err(JwtError::NotYetValid),
        ),
        (
            strict,
            json!({ "iat": NOW + 61 }),
            Err(JwtError::NotYetValid),
        ),
        (
            strict,
            json!({ "iat": NOW + 61, "nbf": NOW }),
            Err(JwtError::IssuedInFuture),
        ),
        (strict, json!({ "iat": null }), Ok(())),
        (
            strict,
            json!({ "exp": "1" }),
            Err(JwtError::WrongType("exp".into())),
        ),
        (
            strict,
            json!({ "exp": 1e300 }),
            Err(JwtError::WrongType("exp".into())),
        ),
        (of_roles, json!({ "exp": NOW - 59 }), Ok(())),
        (of_roles, json!({ "exp": NOW - 60 }), Err(JwtError::Expired)),
        (of_roles, json!({ "exp": null, "iat": NOW - 209 }), Ok(())),
        (
            of_roles,
            json!({ "exp": null, "iat": NOW - 210 }),
            Err(JwtError::Expired),
        ),
        (of_roles, json!({ "iat": null, "exp": NOW + 210 }), Ok(())),
        (
            of_roles,
            json!({ "iat": null, "exp": NOW + 211 }),
            Err(JwtError::NotYetValid),
        ),
        (
            of_roles,
            json!({ "iat": null, "exp": null }),
            Err(JwtError::NoTimes),
        ),
    ] {
        let mut expected = expected();
        expected.leeways = leeways;
        let token = signer.token(&with(&changes));
        let checked = verify(&token, &keys, &expected, now()).map(|_| ());
        assert_eq!(checked, verdict, "{leeways:?} {changes}");
    }
}

#[test]
fn keys_for_other_purposes_are_passed_over() {
    let signer = Signer::es256();
    let token = signer.token(&claims());
    for (field, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("RS256")),
        ("alg", json!("ECDH-ES")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("kty", json!("oct")),
        ("x", json!("AAAA")),
        ("x", json!(5)),
    ] {
        let mut jwk = signer.jwk("");
        jwk[field] = value.clone();
        let document = jwks(&[jwk.clone()]).to_string();
        let read = KeySet::from_jwks(document.as_bytes());
        assert_eq!(read.unwrap_err(), KeySetError::NoKeys, "{field} {value}");
        let beside = set(&[jwk, signer.jwk("")]);
        assert!(check(&token, &beside).is_ok(), "{field} {value}");
    }
    let mut jwk = signer.jwk("");
    (jwk["use"], jwk["key_ops"]) = (json!("sig"), json!(["verify"]));
    assert!(check(&token, &set(&[jwk])).is_ok());
}

#[test]
fn a_key_set_is_bounded_and_has_to_be_one() {
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        let refused = KeySet::from_jwks(bad.as_bytes()).unwrap_err();
        assert!(matches!(refused, KeySetError::NotAKeySet(_)), "{bad}");
    }
    let many = vec![Signer::es256().jwk(""); 129];
    let refused = KeySet::from_jwks(jwks(&many).to_string().as_bytes());
    assert_eq!(refused.unwrap_err(), KeySetError::TooMany);
    assert_eq!(KeySet::from_pem("x").unwrap_err(), KeySetError::NoKeys);
}
