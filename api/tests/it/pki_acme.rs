//! Certificates over ACME, with a client that signs its requests itself.

mod accounts;
mod challenges;
mod config;
mod directories;
mod external_keys;
mod finalize;
mod orders;
mod restart;
mod revoke;
mod tidy;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signet_api::call::{Call, Op};
use signet_api::reply::Response;
use signet_pki::cert::Certificate;
use signet_pki::csr::build::CsrPlan;
use signet_pki::key::{Curve, KeyFormat, KeyKind, PrivateKey};
use signet_pki::plan::{SubjectAltNames, SubjectAttributes};

use crate::pki_fixture::{Pki, header, text};
use crate::support::call;

/// How clients reach the mount.
const BASE: &str = "https://ca.example.com/v1/pki";

/// A mount with ACME, for everybody and every name.
async fn start() -> Pki {
    let pki = Pki::start().await;
    pki.ok("config/cluster", json!({ "path": BASE })).await;
    pki.ok("config/acme", json!({"enabled": true})).await;
    pki
}

/// A client with its key; it has an account once it has registered.
struct Client<'p> {
    pki: &'p Pki,
    key: PrivateKey,
    /// Of its directory, e.g. `roles/web/`.
    prefix: String,
    kid: String,
}

/// An answer to a client.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// `Null` when it is no JSON.
    body: Value,
    response: Response,
}

impl Answer {
    fn of(response: Response) -> Self {
        Self {
            status: response.status,
            body: serde_json::from_slice(&response.body).unwrap_or(Value::Null),
            response,
        }
    }

    fn header(&self, name: &str) -> String {
        header(&self.response, name).unwrap_or_default().to_owned()
    }

    fn location(&self) -> String {
        self.header("Location")
    }

    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Status, name of the problem and details.
    fn problem(&self) -> (u16, String, String) {
        let body = &self.body;
        assert_eq!(self.response.content_type, "application/problem+json");
        assert!(!self.header("Replay-Nonce").is_empty(), "{self:?}");
        let urn = text(&body["type"]);
        let name = urn.strip_prefix("urn:ietf:params:acme:error:").unwrap();
        (self.status, name.to_owned(), text(&body["detail"]))
    }

    /// Asserts what kind of problem it is, and a part of its details.
    fn refused(&self, status: u16, name: &str, detail: &str) {
        let problem = self.problem();
        assert_eq!(
            (problem.0, problem.1.as_str()),
            (status, name),
            "{problem:?}"
        );
        assert!(problem.2.contains(detail), "{problem:?}");
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn new_key() -> PrivateKey {
    PrivateKey::generate(KeyKind::Ec(Curve::P256)).unwrap()
}

fn jwk(key: &PrivateKey) -> Value {
    let signer = signer(key);
    let point = signer.public_key().as_ref();
    let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
    json!({"crv": "P-256", "kty": "EC", "x": x, "y": y})
}

fn signer(key: &PrivateKey) -> EcdsaKeyPair {
    let der = key.to_der(KeyFormat::Pkcs8).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap()
}

/// A JWS in flattened form; no payload asks to read.
fn sign(key: &PrivateKey, header: &Value, payload: Option<&Value>) -> Value {
    let protected = base64(header.to_string());
    let payload = payload
        .map(|payload| base64(payload.to_string()))
        .unwrap_or_default();
    let signed = format!("{protected}.{payload}");
    let signature = signer(key)
        .sign(&SystemRandom::new(), signed.as_bytes())
        .unwrap();
    json!({"protected": protected, "payload": payload, "signature": base64(signature)})
}

impl<'p> Client<'p> {
    fn new(pki: &'p Pki, prefix: &str) -> Self {
        Self {
            pki,
            key: new_key(),
            prefix: prefix.to_owned(),
            kid: String::new(),
        }
    }

    /// With an account.
    async fn registered(pki: &'p Pki, prefix: &str) -> Self {
        let mut client = Self::new(pki, prefix);
        client.register(json!({})).await.expect(201);
        client
    }

    fn url(&self, relative: &str) -> String {
        format!("{BASE}/{}acme/{relative}", self.prefix)
    }

    async fn nonce(&self) -> String {
        let path = format!("{}acme/new-nonce", self.prefix);
        let response = self.pki.fetch(&path).await;
        header(&response, "Replay-Nonce")
            .unwrap_or_default()
            .to_owned()
    }

    /// Asks for an account, and remembers it.
    async fn register(&mut self, payload: Value) -> Answer {
        let answer = self.post_with_key("new-account", Some(payload)).await;
        if matches!(answer.status, 200 | 201) {
            self.kid = answer.location();
        }
        answer
    }

    /// Signed with the account's key.
    async fn post(&self, url: &str, payload: Value) -> Answer {
        self.signed(url, json!({"kid": self.kid}), Some(payload))
            .await
    }

    /// A request that only reads.
    async fn read(&self, url: &str) -> Answer {
        self.signed(url, json!({"kid": self.kid}), None).await
    }

    /// Signed with a key that comes along.
    async fn post_with_key(&self, url: &str, payload: Option<Value>) -> Answer {
        self.signed(url, json!({"jwk": jwk(&self.key)}), payload)
            .await
    }

    /// With these members in the header; one that is null is left out.
    async fn signed(&self, url: &str, header: Value, payload: Option<Value>) -> Answer {
        let url = self.absolute(url);
        let mut all = json!({"alg": "ES256", "url": url});
        if header.get("nonce").is_none() {
            all["nonce"] = self.nonce().await.into();
        }
        let all = all.as_object_mut().unwrap();
        all.extend(header.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        let body = sign(&self.key, &Value::Object(all.clone()), payload.as_ref());
        self.send(&url, body).await
    }

    async fn send(&self, url: &str, body: Value) -> Answer {
        let url = self.absolute(url);
        let path = url.strip_prefix("https://ca.example.com/v1/").unwrap();
        let call = Call {
            headers: vec![("content-type".into(), "application/jose+json".into())],
            ..call(Op::Write, path, "", body)
        };
        Answer::of(self.pki.server.response(call).await)
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with("https://") {
            url.to_owned()
        } else {
            self.url(url)
        }
    }

    /// Orders these names; those that are addresses are ordered as such.
    async fn order(&self, names: &[&str]) -> Answer {
        self.post("new-order", identifiers(names)).await
    }

    /// The only challenge of this kind of an order's authorization.
    async fn challenge(&self, authorization: &str, kind: &str) -> Value {
        let answer = self.read(authorization).await.expect(200);
        let challenges = answer.body["challenges"].as_array().unwrap().clone();
        challenges
            .into_iter()
            .find(|it| it["type"] == kind)
            .unwrap()
    }

    /// What the client has to show.
    fn key_authorization(&self, challenge: &Value) -> String {
        let thumbprint = digest(&SHA256, jwk(&self.key).to_string().as_bytes());
        format!("{}.{}", text(&challenge["token"]), base64(thumbprint))
    }

    /// Shows the page that proves control over the name of an authorization.
    async fn show_page(&self, authorization: &str) -> Value {
        let challenge = self.challenge(authorization, "http-01").await;
        let answer = self.read(authorization).await;
        let name = text(&answer.body["identifier"]["value"]);
        let token = text(&challenge["token"]);
        let url = format!("{name}/.well-known/acme-challenge/{token}");
        let body = self.key_authorization(&challenge);
        self.pki.server.probe.set_page(&url, 200, &body);
        challenge
    }

    /// Waits until a challenge is not looked at any more, and gives back its authorization.
    async fn settled(&self, authorization: &str) -> Value {
        loop {
            let answer = self.read(authorization).await.expect(200);
            let challenges = answer.body["challenges"].as_array().unwrap();
            let is_open = |it: &Value| it["status"] == "processing" && it.get("error").is_none();
            if !challenges.iter().any(is_open) {
                return answer.body;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Proves control over every name of an order by pages.
    async fn prove(&self, order: &Value) {
        for authorization in order["authorizations"].as_array().unwrap() {
            let url = text(authorization);
            let challenge = self.show_page(&url).await;
            self.post(&text(&challenge["url"]), json!({}))
                .await
                .expect(200);
            let settled = self.settled(&url).await;
            assert_eq!(settled["status"], "valid", "{settled}");
        }
    }

    /// An order whose names are proved; its URL and itself.
    async fn ready(&self, names: &[&str]) -> (String, Value) {
        let order = self.order(names).await.expect(201);
        self.prove(&order.body).await;
        (order.location(), order.body)
    }

    async fn finalize(&self, order: &Value, csr: &[u8]) -> Answer {
        let url = text(&order["finalize"]);
        self.post(&url, json!({"csr": base64(csr)})).await
    }

    /// A certificate for these names, its key, and the URL of its order.
    async fn certificate(&self, names: &[&str]) -> (Certificate, PrivateKey, String) {
        let (url, order) = self.ready(names).await;
        let key = new_key();
        let csr = csr(&key, "", names);
        let valid = self.finalize(&order, &csr).await.expect(200);
        let chain = self
            .read(&text(&valid.body["certificate"]))
            .await
            .expect(200);
        let pem = String::from_utf8(chain.response.body.to_vec()).unwrap();
        (Certificate::parse_pem(&pem).unwrap(), key, url)
    }
}

fn identifiers(names: &[&str]) -> Value {
    let identifiers: Vec<Value> = names
        .iter()
        .map(|name| match name.parse::<std::net::IpAddr>() {
            Ok(_) => json!({"type": "ip", "value": name}),
            Err(_) => json!({"type": "dns", "value": name}),
        })
        .collect();
    json!({ "identifiers": identifiers })
}

/// A request for these names, and addresses.
fn csr(key: &PrivateKey, common_name: &str, names: &[&str]) -> Vec<u8> {
    plan(common_name, names).sign(key).unwrap()
}

fn plan(common_name: &str, names: &[&str]) -> CsrPlan {
    let (ips, dns): (Vec<&str>, Vec<&str>) = names
        .iter()
        .partition(|name| name.parse::<std::net::IpAddr>().is_ok());
    CsrPlan {
        subject: SubjectAttributes {
            common_name: common_name.to_owned(),
            ..SubjectAttributes::default()
        },
        sans: SubjectAltNames {
            dns: dns.into_iter().map(str::to_owned).collect(),
            ips: ips.into_iter().map(|ip| ip.parse().unwrap()).collect(),
            ..SubjectAltNames::default()
        },
        ..CsrPlan::default()
    }
}

/// The names of the members of an object, sorted.
fn members(value: &Value) -> Vec<&str> {
    let maps = value.as_object().into_iter();
    let mut names: Vec<&str> = maps
        .flat_map(|map| map.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names
}
