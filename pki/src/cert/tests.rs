use std::net::IpAddr;

use proptest::prelude::*;

use super::build::Vetted;
use super::*;
use crate::issuer::AiaUrls;
use crate::judges::{
    NOW, P256, YEAR, authority_plan, issue, leaf_plan, named, root, root_with, serial, urls,
};
use crate::key::{Curve, KeyKind, PrivateKey};
use crate::plan::{OtherName, Plan, PolicyInformation, Subject, SubjectAttributes};
use crate::time::UnixTime;

/// Numbers of the last arcs of the extensions, in their order.
fn extension_order(certificate: &Certificate) -> Vec<String> {
    certificate
        .extensions()
        .iter()
        .map(|extension| {
            let oid = extension.oid.to_string();
            let short = oid.trim_start_matches("2.5.29.").to_owned();
            if extension.critical {
                format!("{short}!")
            } else {
                short
            }
        })
        .collect()
}

fn leaf_key() -> PublicKey {
    PrivateKey::generate(P256).unwrap().public_key().clone()
}

#[test]
fn a_root_signs_itself_and_names_its_own_key() {
    for kind in [
        P256,
        KeyKind::Ec(Curve::P384),
        KeyKind::Ec(Curve::P521),
        KeyKind::Ed25519,
        KeyKind::Rsa { bits: 2048 },
    ] {
        let root = root(kind);
        let certificate = root.certificate();
        assert!(certificate.is_self_signed() && certificate.is_authority());
        assert_eq!(certificate.subject_key_id(), certificate.authority_key_id());
        assert_eq!(extension_order(certificate), ["15!", "19!", "14", "35"]);
        assert_eq!(certificate.path_len(), None);
    }
}

#[test]
fn a_leaf_says_what_was_planned_in_the_usual_order() {
    let root = root(P256);
    let key = leaf_key();
    let certificate = issue(&root, leaf_plan("a.example.com"), &key, 2);
    assert_eq!(
        extension_order(&certificate),
        [
            "15!",
            "37",
            "14",
            "35",
            "1.3.6.1.5.5.7.1.1",
            "17",
            "31",
            "46"
        ]
    );
    assert_eq!(certificate.version(), 3);
    assert_eq!(certificate.serial(), serial(2));
    assert_eq!(certificate.issuer_der(), root.certificate().subject_der());
    assert_eq!(certificate.public_key(), &key);
    assert_eq!(
        certificate.subject_key_id(),
        Some(&key.subject_key_id()[..])
    );
    assert_eq!(
        certificate.authority_key_id(),
        root.certificate().subject_key_id()
    );
    assert_eq!(
        certificate.subject_alt_names().unwrap().dns,
        ["a.example.com"]
    );
    assert!(certificate.is_signed_by(root.certificate()));
    assert!(!certificate.is_authority() && !certificate.is_self_issued());
}

#[test]
fn extensions_from_a_request_replace_generated_ones_and_move_to_the_end() {
    let copied = RawExtension {
        oid: oid::KEY_USAGE,
        critical: false,
        value: vec![3, 2, 7, 0x80],
    };
    let mut plan = leaf_plan("a.example.com");
    plan.copied_extensions = vec![copied.clone()];
    plan.sans.others = vec![OtherName {
        oid: "1.2.3".parse().unwrap(),
        value: "x".to_owned(),
    }];
    plan.policies = vec![PolicyInformation {
        oid: "1.2.3.4".parse().unwrap(),
        notice: Some("note".to_owned()),
        cps: Some("http://cps.example.com".to_owned()),
    }];
    plan.permitted_dns_domains = vec![".example.com".to_owned()];
    plan.basic_constraints = BasicConstraints::EndEntity;
    let certificate = issue(&root(P256), plan, &leaf_key(), 2);
    assert_eq!(
        extension_order(&certificate),
        [
            "37",
            "19!",
            "14",
            "35",
            "1.3.6.1.5.5.7.1.1",
            "30!",
            "31",
            "15",
            "17",
            "32",
            "46"
        ]
    );
    assert!(certificate.extensions().contains(&copied));
    assert_eq!(certificate.key_usage(), Some(KeyUsage::DIGITAL_SIGNATURE));
    assert_eq!(certificate.basic_constraints(), BasicConstraints::EndEntity);
}

#[test]
fn alternative_names_are_critical_only_without_a_subject() {
    let root = root(P256);
    let critical = |subject, others: &[OtherName]| {
        let mut plan = leaf_plan("a.example.com");
        plan.subject = subject;
        plan.sans.others = others.to_vec();
        let certificate = issue(&root, plan, &leaf_key(), 2);
        certificate
            .extensions()
            .iter()
            .any(|extension| extension.oid == oid::SUBJECT_ALT_NAME && extension.critical)
    };
    let other = OtherName {
        oid: "1.2.3".parse().unwrap(),
        value: "x".to_owned(),
    };
    let empty = || Subject::Attributes(SubjectAttributes::default());
    assert!(!critical(named("a"), &[]));
    assert!(critical(empty(), &[]));
    assert!(critical(Subject::Raw(vec![0x30, 0]), &[]));
    assert!(!critical(empty(), &[other]));
}

#[test]
fn path_length_of_zero_is_written() {
    let root = root_with(P256, authority_plan("Root", Some(0)));
    assert_eq!(root.path_len(), Some(0));
    let value = root
        .certificate()
        .extension_value(oid::BASIC_CONSTRAINTS)
        .unwrap();
    assert_eq!(value, [0x30, 6, 1, 1, 0xff, 2, 1, 0]);
}

#[test]
fn a_planned_key_identifier_is_used_in_both_directions() {
    let mut plan = authority_plan("Root", None);
    plan.subject_key_id = Some(vec![1, 2, 3]);
    let root = root_with(P256, plan);
    assert_eq!(root.certificate().authority_key_id(), Some(&[1, 2, 3][..]));
    let certificate = issue(&root, leaf_plan("a.example.com"), &leaf_key(), 2);
    assert_eq!(certificate.authority_key_id(), Some(&[1, 2, 3][..]));
}

#[test]
fn refuses_to_self_sign_for_another_key() {
    let key = PrivateKey::generate(P256).unwrap();
    let vetted = Vetted::new(authority_plan("Root", None), leaf_key());
    assert!(
        vetted
            .build_self_signed(&key, serial(1), &AiaUrls::default())
            .is_err()
    );
}

#[test]
fn an_issuer_needs_the_key_of_its_certificate() {
    let certificate = root(P256).certificate().clone();
    let key = std::sync::Arc::new(PrivateKey::generate(P256).unwrap());
    assert!(crate::issuer::Issuer::new(certificate, key, &urls()).is_err());
}

#[test]
fn times_after_2049_are_written_in_full() {
    let mut plan = authority_plan("Root", None);
    plan.validity.not_after = UnixTime::MAX;
    let root = root_with(P256, plan);
    assert_eq!(root.not_after(), UnixTime::MAX);
    assert!(
        root.certificate()
            .der()
            .windows(15)
            .any(|window| window == b"99991231235959Z")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_planned_is_what_is_signed(
        common_name in ".{0,64}",
        organization in proptest::collection::vec(".{1,20}", 0..3),
        dns in proptest::collection::vec("[a-z.*-]{1,60}", 0..5),
        uris in proptest::collection::vec("spiffe://[a-z/]{1,40}", 0..3),
        ips: Vec<IpAddr>,
        usage in 0_u16..512,
        seconds in 0..100 * YEAR,
        critical: bool,
        value: Vec<u8>,
    ) {
        let mut plan: Plan = leaf_plan("");
        plan.subject = Subject::Attributes(SubjectAttributes { organization, common_name, ..Default::default() });
        plan.sans.dns = dns;
        plan.sans.uris = uris;
        plan.sans.ips = ips;
        plan.key_usage = KeyUsage(usage);
        plan.validity.not_after = NOW.plus_secs(seconds);
        plan.copied_extensions = vec![RawExtension { oid: "1.2.3.4".parse().unwrap(), critical, value }];
        let (subject, sans) = (plan.subject.to_der().into_owned(), plan.sans.clone());
        let issuer = ISSUER.with(std::rc::Rc::clone);
        let certificate = issue(&issuer, plan, &leaf_key(), 9);
        prop_assert_eq!(certificate.subject_der(), subject);
        prop_assert_eq!(certificate.subject_alt_names(), Ok(sans));
        prop_assert!(certificate.is_signed_by(issuer.certificate()));
    }

    #[test]
    fn no_damage_makes_parsing_panic_or_a_signature_hold(position: prop::sample::Index, octet in 1_u8..) {
        let issuer = ISSUER.with(std::rc::Rc::clone);
        let mut der = issue(&issuer, leaf_plan("a.example.com"), &leaf_key(), 9).into_der();
        let at = position.index(der.len());
        der[at] ^= octet;
        if let Ok(certificate) = Certificate::parse_der(der) {
            let _ = certificate.subject_alt_names();
            prop_assert!(!certificate.is_signed_by(issuer.certificate()));
        }
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
        let _ = Certificate::parse_der(bytes);
    }
}

thread_local! {
    static ISSUER: std::rc::Rc<crate::issuer::Issuer> = std::rc::Rc::new(root(P256));
}
