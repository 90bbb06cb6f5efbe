use std::net::IpAddr;

use proptest::prelude::*;
use rcgen::PublicKeyData as _;

use super::build::CsrPlan;
use super::*;
use crate::asn1::{Writer, tag};
use crate::key::{Curve, PrivateKey};
use crate::plan::{OtherName, SignaturePreference, SubjectAttributes};

fn key() -> PrivateKey {
    PrivateKey::generate(KeyKind::Ec(Curve::P256)).unwrap()
}

/// A request by another implementation.
fn foreign_request() -> (Vec<u8>, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params =
        rcgen::CertificateParams::new(vec!["a.example.com".to_owned(), "10.0.0.1".to_owned()])
            .unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "a.example.com");
    params.subject_alt_names.push(rcgen::SanType::URI(
        "spiffe://cluster.local/ns/default/sa/web"
            .try_into()
            .unwrap(),
    ));
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name(
        "a@example.com".try_into().unwrap(),
    ));
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let request = params.serialize_request(&key).unwrap();
    (request.der().to_vec(), key)
}

#[test]
fn reads_and_verifies_a_foreign_request() {
    let (der, key) = foreign_request();
    let csr = Csr::parse_der(&der).unwrap();
    assert_eq!(csr.common_name(), "a.example.com");
    assert_eq!(csr.alt_names().dns, ["a.example.com"]);
    assert_eq!(csr.alt_names().emails, ["a@example.com"]);
    assert_eq!(csr.alt_names().ips, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(
        csr.alt_names().uris,
        ["spiffe://cluster.local/ns/default/sa/web"]
    );
    let requested: Vec<_> = csr
        .extensions()
        .iter()
        .map(|extension| extension.oid)
        .collect();
    assert!(requested.contains(&oid::KEY_USAGE) && requested.contains(&oid::SUBJECT_ALT_NAME));
    assert!(!csr.has_basic_constraints());
    let verified = csr.verify().unwrap();
    assert_eq!(
        verified.public_key().spki_der(),
        key.subject_public_key_info()
    );
}

#[test]
fn refuses_a_request_that_was_changed_after_signing() {
    let (mut der, _) = foreign_request();
    let name = b"a.example.com";
    let at = der
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    der[at] = b'b';
    let csr = Csr::parse_der(&der).unwrap();
    assert_eq!(csr.common_name(), "b.example.com");
    assert_eq!(csr.verify().err(), Some(CsrError::SignatureInvalid));
}

#[test]
fn own_requests_read_back_and_verify() {
    let plan = CsrPlan {
        subject: SubjectAttributes {
            common_name: "Int CA".to_owned(),
            serial_number: "7".to_owned(),
            ..Default::default()
        },
        sans: SubjectAltNames {
            dns: vec!["ca.example.com".to_owned()],
            others: vec![OtherName {
                oid: "1.2.3".parse().unwrap(),
                value: "ü".to_owned(),
            }],
            ..Default::default()
        },
        authority: true,
        signature: SignaturePreference::default(),
    };
    let der = plan.sign(&key()).unwrap();
    let text = pem::encode("CERTIFICATE REQUEST", &der);
    let csr = Csr::parse_pem(&text).unwrap();
    assert_eq!((csr.common_name(), csr.serial_number()), ("Int CA", "7"));
    assert_eq!(csr.alt_names(), &plan.sans);
    assert!(csr.has_basic_constraints());
    assert!(csr.verify().is_ok());
}

#[test]
fn accepts_the_subjects_of_istio_agents_and_of_ztunnel() {
    let key = key();
    let empty_organization: &[u8] = &[0x30, 11, 0x31, 9, 0x30, 7, 6, 3, 0x55, 4, 10, 0x13, 0];
    for subject in [empty_organization, &[0x30, 0]] {
        let der = request_with(&key, subject, key.public_key().spki_der(), |_| {});
        let csr = Csr::parse_der(&der).unwrap();
        assert_eq!((csr.subject_der(), csr.common_name()), (subject, ""));
        assert!(csr.verify().is_ok());
    }
}

#[test]
fn unknown_keys_are_read_but_never_verify() {
    let key = key();
    let mut dsa = Writer::default();
    dsa.sequence(|writer| {
        writer.sequence(|writer| writer.oid(oid::DSA));
        writer.bit_string(&[1]);
    });
    let csr = Csr::parse_der(&request_with(&key, &[0x30, 0], dsa.as_bytes(), |_| {})).unwrap();
    assert_eq!(
        csr.public_key().err(),
        Some(&KeyError::UnknownAlgorithm(oid::DSA))
    );
    assert_eq!(csr.verify().err(), Some(CsrError::SignatureInvalid));
}

#[test]
fn unknown_curves_are_refused_with_the_words_clients_know() {
    let mut secp256k1 = Writer::default();
    secp256k1.sequence(|writer| {
        writer.sequence(|writer| {
            writer.oid(oid::EC_PUBLIC_KEY);
            writer.oid("1.3.132.0.10".parse().unwrap());
        });
        writer.bit_string(&[4; 65]);
    });
    let der = request_with(&key(), &[0x30, 0], secp256k1.as_bytes(), |_| {});
    assert_eq!(
        Csr::parse_der(&der).unwrap_err().to_string(),
        "certificate request could not be parsed: x509: unsupported elliptic curve"
    );
}

#[test]
fn refuses_extensions_requested_twice() {
    let key = key();
    let der = request_with(&key, &[0x30, 0], key.public_key().spki_der(), |writer| {
        for _ in 0..2 {
            writer.sequence(|writer| {
                writer.oid(oid::EXTENSION_REQUEST);
                writer.nested(tag::SET, |writer| {
                    writer.sequence(|writer| {
                        crate::ext::write::subject_key_id(writer, &[1]);
                    });
                });
            });
        }
    });
    assert!(matches!(Csr::parse_der(&der), Err(CsrError::Malformed(_))));
}

#[test]
fn says_what_is_missing() {
    assert_eq!(
        Csr::parse_pem("nothing").unwrap_err().to_string(),
        "csr contains no data"
    );
    let long = "x".repeat(1 << 20);
    assert_eq!(Csr::parse_pem(&long).unwrap_err(), CsrError::TooLarge);
}

fn request_with(
    key: &PrivateKey,
    subject: &[u8],
    spki: &[u8],
    attributes: impl FnOnce(&mut Writer),
) -> Vec<u8> {
    let algorithm = SignatureAlgorithm::default_for(key.kind());
    let mut info = Writer::default();
    info.sequence(|writer| {
        writer.small_unsigned(0);
        writer.raw(subject);
        writer.raw(spki);
        writer.nested(tag::explicit(0), attributes);
    });
    let signature = key.sign(algorithm, info.as_bytes()).unwrap();
    let mut request = Writer::default();
    request.sequence(|writer| {
        writer.raw(info.as_bytes());
        algorithm.write_identifier(writer);
        writer.bit_string(&signature);
    });
    request.into_bytes()
}

proptest! {
    #[test]
    fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
        let _ = Csr::parse_der(&bytes);
    }

    #[test]
    fn no_damage_makes_parsing_panic_or_a_signature_hold(
        position: prop::sample::Index,
        octet in 1_u8..,
    ) {
        let (mut der, _) = foreign_request();
        let at = position.index(der.len());
        der[at] ^= octet;
        if let Ok(csr) = Csr::parse_der(&der) {
            let verified = csr.verify();
            prop_assert!(verified.is_err(), "octet {} changed by {}", at, octet);
        }
    }
}
