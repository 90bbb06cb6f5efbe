//! What may and may not stand in a request.

use std::process::Command;

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, SanType,
};
use serde_json::json;
use signet_proto::Kind;
use tonic::Code;

use crate::agent::{Agent, Ask, code, p256, params, sidecar_csr, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};
use crate::support::openssl;

fn pem(params: &CertificateParams) -> String {
    params.serialize_request(&p256()).unwrap().pem().unwrap()
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = params(WEB);
    change(&mut params);
    pem(&params)
}

fn with_name(name: SanType) -> String {
    changed(|params| params.subject_alt_names.push(name))
}

fn with_extension(oid: &[u64], value: &[u8]) -> String {
    changed(|params| {
        let extension = CustomExtension::from_oid_content(oid, value.to_vec());
        params.custom_extensions.push(extension);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_nothing_but_the_callers_identity() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let agent = Agent::new(&mesh);
    let other = "spiffe://cluster.local/ns/web/sa/back";
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let other_name = SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 1], "x".into()));
    let mut cases = vec![
        ("another identity", ztunnel_csr(other, &p256())),
        (
            "another trust domain",
            ztunnel_csr("spiffe://other.domain/ns/web/sa/front", &p256()),
        ),
        ("two identities", with_name(uri(other))),
        ("the identity twice", with_name(uri(WEB))),
        ("a DNS name", with_name(dns("front.web.svc"))),
        (
            "an address",
            with_name(SanType::IpAddress([10, 0, 0, 1].into())),
        ),
        (
            "an email address",
            with_name(SanType::Rfc822Name("a@b.c".try_into().unwrap())),
        ),
        ("another kind of name", with_name(other_name)),
        (
            "no name",
            changed(|params| params.subject_alt_names.clear()),
        ),
        (
            "a common name",
            changed(|params| params.distinguished_name.push(DnType::CommonName, "front")),
        ),
        (
            "an organization",
            changed(|params| {
                let name = &mut params.distinguished_name;
                name.push(DnType::OrganizationName, "system:masters");
            }),
        ),
        (
            "an authority",
            changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        (
            "the usage of an authority",
            changed(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
        ),
        (
            "another extended usage",
            changed(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            }),
        ),
        (
            "name constraints",
            with_extension(&[2, 5, 29, 30], &[0x30, 0]),
        ),
        (
            "an unknown extension",
            with_extension(&[1, 3, 6, 1, 4, 1, 9], &[5, 0]),
        ),
    ];
    let long = format!("{WEB}{}", "x".repeat(2048));
    for trick in [
        "spiffe://cluster.local/ns/web/sa/front/",
        "spiffe://cluster.local/ns/web//sa/front",
        "spiffe://cluster.local/ns/web/sa/fr%6fnt",
        "spiffe://CLUSTER.local/ns/web/sa/front",
        "SPIFFE://cluster.local/ns/web/sa/front",
        "spiffe://cluster.local/ns/web/sa/Front",
        "spiffe://cluster.local:443/ns/web/sa/front",
        "spiffe://user@cluster.local/ns/web/sa/front",
        "spiffe://cluster.local/ns/web/sa/front?a=b",
        "spiffe://cluster.local/ns/web/sa/front#a",
        "spiffe://cluster.local/ns/web/sa/../sa/front",
        "spiffe://cluster.local/ns//sa/",
        &long,
    ] {
        cases.push((trick, ztunnel_csr(trick, &p256())));
    }
    for (what, csr) in &cases {
        let (refused, text) = code(agent.ask(&Ask::new(csr).token(&token)).await);
        assert_eq!(refused, Code::Unauthenticated, "{what}: {text}");
        assert_eq!(text, "request authenticate failure", "{what}");
    }
    // What an Istio client might say of usages.
    let modest = changed(|params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let elements = agent.ask(&Ask::new(&modest).token(&token)).await.unwrap();
    Answer::check(elements, WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_good_csr_is_an_invalid_argument() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let agent = Agent::new(&mesh);
    let good = ztunnel_csr(WEB, &p256());
    let der = |text: &str| {
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        base64::prelude::BASE64_STANDARD
            .decode(body.trim())
            .unwrap()
    };
    let encode = |der: &[u8]| {
        let body = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    };
    let mut forged = der(&good);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    // The signature of one request under the content of another.
    let mut swapped = der(&good);
    let tail = der(&ztunnel_csr(WEB, &p256()));
    let at = swapped.len() - 60;
    swapped.truncate(at);
    swapped.extend_from_slice(&tail[tail.len() - 60..]);
    let truncated = encode(&der(&good)[..100]);
    for (what, csr) in [
        ("nothing", String::new()),
        ("no PEM", "hello".into()),
        ("an empty block", encode(&[])),
        ("half a request", truncated),
        ("a forged signature", encode(&forged)),
        ("another signature", encode(&swapped)),
        (
            "a request of 40 kB",
            format!("{}{good}", " ".repeat(40_000)),
        ),
        ("P-521", generated(&PKCS_ECDSA_P521_SHA512)),
        ("Ed25519", generated(&PKCS_ED25519)),
        (
            "RSA of 1024 bits",
            by_openssl(&mesh, &["-newkey", "rsa:1024"]),
        ),
        (
            "RSA of 1023 bits",
            by_openssl(&mesh, &["-newkey", "rsa:1023"]),
        ),
        (
            "SHA-1",
            by_openssl(&mesh, &["-newkey", "rsa:2048", "-sha1"]),
        ),
        ("MD5", by_openssl(&mesh, &["-newkey", "rsa:2048", "-md5"])),
        ("P-224", by_openssl(&mesh, &curve("secp224r1"))),
        ("secp256k1", by_openssl(&mesh, &curve("secp256k1"))),
        ("RSA-PSS", by_openssl(&mesh, &["-newkey", "rsa-pss"])),
        ("Ed448", by_openssl(&mesh, &["-newkey", "ed448"])),
    ] {
        let (refused, text) = code(agent.ask(&Ask::new(&csr).token(&token)).await);
        assert_eq!(refused, Code::InvalidArgument, "{what}: {text}");
    }
    let elements = agent.ask(&Ask::new(&good).token(&token)).await.unwrap();
    Answer::check(elements, WEB);
}

fn generated(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    ztunnel_csr(WEB, &KeyPair::generate_for(algorithm).unwrap())
}

fn curve(name: &str) -> Vec<&str> {
    match name {
        "secp224r1" => vec!["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"],
        _ => vec!["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    }
}

fn by_openssl(mesh: &Mesh, key: &[&str]) -> String {
    let scratch = &mesh.server.scratch;
    scratch.write(
        "req.cnf",
        &format!("[req]\ndistinguished_name=dn\nreq_extensions=ext\nprompt=no\n[dn]\n[ext]\nsubjectAltName=critical,URI:{WEB}\n"),
    );
    let (key_file, config) = (scratch.path("k.pem"), scratch.path("req.cnf"));
    let mut arguments = vec!["req", "-new", "-nodes", "-subj", "/", "-keyout", &key_file];
    arguments.extend_from_slice(&["-config", &config]);
    arguments.extend_from_slice(key);
    openssl(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_block_of_a_text_is_the_request() {
    let mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let agent = Agent::new(&mesh);
    let good = sidecar_csr(WEB, &p256());
    let other = ztunnel_csr("spiffe://cluster.local/ns/web/sa/back", &p256());
    for (what, csr) in [
        ("text before", format!("Subject: nobody\n{good}")),
        ("text after", format!("{good}the end\n")),
        ("lines of another system", good.replace('\n', "\r\n")),
        ("a second request", format!("{good}{other}")),
        (
            "the old label",
            good.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        ),
    ] {
        let answer = agent.ask(&Ask::new(&csr).token(&token)).await;
        let elements = answer.unwrap_or_else(|status| panic!("{what}: {status}"));
        Answer::check(elements, WEB);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_says_which_keys_and_identities_there_are() {
    let mut mesh = Mesh::start("").await;
    let token = mesh.token("web", "front");
    let agent = Agent::new(&mesh);
    let csr = ztunnel_csr(WEB, &p256());
    let ask = Ask::new(&csr).token(&token);
    mesh.role(&json!({"key_type": "rsa"}));
    let (refused, _) = code(agent.ask(&ask).await);
    assert_eq!(refused, Code::InvalidArgument);
    mesh.role(&json!({"allowed_uri_sans": "spiffe://cluster.local/ns/prod/*"}));
    let (refused, _) = code(agent.ask(&ask).await);
    assert_eq!(refused, Code::PermissionDenied);
    mesh.role(&json!({"generate_lease": true}));
    let (refused, text) = code(agent.ask(&ask).await);
    assert_eq!(refused, Code::Unavailable);
    assert!(text.contains("generate_lease"), "{text}");
    mesh.role(&json!({"no_store": true}));
    let answer = Answer::check(agent.ask(&ask).await.unwrap(), WEB);
    let path = format!("/v1/pki_int_ca/cert/{}", answer.serial);
    assert_eq!(mesh.server.get(&mesh.server.token, &path).0, 404);
    mesh.root.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused() {
    let mesh = Mesh::start("").await;
    let agent = Agent::new(&mesh);
    let good = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    let mut wordy = good.clone();
    let long = Kind::StringValue("x".repeat(9_000));
    wordy.metadata.insert("Words".into(), long);
    assert_eq!(code(agent.ask(&wordy).await).0, Code::InvalidArgument);
    let mut headers = good.clone();
    for _ in 0..1000 {
        headers = headers.header("clusterid", "x");
    }
    assert_eq!(code(agent.ask(&headers).await).0, Code::InvalidArgument);
    let mut huge = good.clone();
    huge.csr = "x".repeat(5 * 1024 * 1024);
    assert_eq!(code(agent.ask(&huge).await).0, Code::ResourceExhausted);
    Answer::check(agent.ask(&good).await.unwrap(), WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_find_the_service_by_reflection() {
    // Spoken by hand: a tool of its own for one question would be too much.
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response};
    let mesh = Mesh::start("").await;
    let channel = Agent::new(&mesh).connect().await.unwrap();
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let stream = client
        .server_reflection_info(tokio_stream::once(question))
        .await;
    let answer = stream.unwrap().into_inner().message().await.unwrap();
    let Some(server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.unwrap().message_response
    else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| &service.name).collect();
    for name in [
        "istio.v1.auth.IstioCertificateService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.iter().any(|known| *known == name), "{names:?}");
    }
}

/// The request as a later version of the protocol may have it.
#[derive(Clone, prost::Message)]
struct LaterRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(string, tag = "2")]
    forgotten: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
    #[prost(bytes = "vec", tag = "99")]
    news: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_knows_are_passed_over() {
    use signet_proto::istio::IstioCertificateResponse;
    let mesh = Mesh::start("").await;
    let later = LaterRequest {
        csr: ztunnel_csr(WEB, &p256()),
        forgotten: "x".into(),
        validity_duration: 3600,
        news: vec![1, 2, 3],
    };
    let mut request = tonic::Request::new(later);
    let bearer = format!("Bearer {}", mesh.token("web", "front"));
    let headers = request.metadata_mut();
    headers.insert("authorization", bearer.parse().unwrap());
    let mut client = tonic::client::Grpc::new(Agent::new(&mesh).connect().await.unwrap());
    client.ready().await.unwrap();
    let path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
    let path = axum::http::uri::PathAndQuery::from_static(path);
    let codec = tonic_prost::ProstCodec::<LaterRequest, IstioCertificateResponse>::default();
    let answer = client.unary(request, path, codec).await.unwrap();
    Answer::check(answer.into_inner().cert_chain, WEB);
}

#[test]
fn the_sidecars_subject_is_one_empty_organization() {
    let csr = sidecar_csr(WEB, &p256());
    let scratch = crate::support::Scratch::new();
    scratch.write("c.pem", &csr);
    let shown = Command::new("openssl")
        .args(["asn1parse", "-in", &scratch.path("c.pem")])
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let lines: Vec<_> = shown.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.contains(":organizationName"));
    let value = lines[at.unwrap() + 1];
    assert!(
        value.contains("l=   0") && value.contains("PRINTABLESTRING"),
        "{value}"
    );
}
