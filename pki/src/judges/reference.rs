//! What `OpenBao` made: with its keys, serial numbers and times, ours has to come out byte for byte
//! (but for the randomness in ECDSA and PSS signatures).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::crl::{Crl, CrlPlan};
use crate::csr::Csr;
use crate::csr::build::CsrPlan;
use crate::key::{Hash, KeyFormat, SignatureAlgorithm};
use crate::pem;
use crate::plan::{OtherName, PolicyInformation};

fn certificate(text: &str) -> Certificate {
    Certificate::parse_pem(text).unwrap()
}

fn private_key(text: &str) -> PrivateKey {
    PrivateKey::from_pem(text).unwrap()
}

fn reference_urls() -> AiaUrls {
    let url = |path: &str| vec![format!("http://p/{path}")];
    AiaUrls {
        ocsp_servers: url("ocsp"),
        issuing_certificates: url("ca"),
        crl_distribution_points: url("crl"),
        delta_crl_distribution_points: url("delta"),
    }
}

pub(super) fn reference_root() -> Issuer {
    let certificate = certificate(include_str!("reference/root.pem"));
    let key = private_key(include_str!("reference/root_key.pem"));
    Issuer::new(certificate, Arc::new(key), &reference_urls()).unwrap()
}

fn names(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn oids(values: &[&str]) -> Vec<ObjectIdentifier> {
    values.iter().map(|value| value.parse().unwrap()).collect()
}

/// Issues what `plan` says with the key, serial number and validity of `reference`.
fn reissue(reference: &Certificate, plan: Plan) -> Certificate {
    let plan = Plan {
        validity: reference.validity(),
        ..plan
    };
    Vetted::new(plan, reference.public_key().clone())
        .build(&reference_root(), reference.serial())
        .sign()
        .unwrap()
}

#[test]
fn a_root_with_every_attribute_is_the_same() {
    let reference = certificate(include_str!("reference/root.pem"));
    let key = private_key(include_str!("reference/root_key.pem"));
    let mut plan = authority_plan("", Some(2));
    plan.subject = Subject::Attributes(SubjectAttributes {
        country: names(&["DE"]),
        province: names(&["BE"]),
        locality: names(&["Berlin"]),
        street_address: names(&["Weg 1"]),
        postal_code: names(&["10115"]),
        organization: names(&["Zeta", "Alpha"]),
        organizational_unit: names(&["R&D"]),
        common_name: "Root".to_owned(),
        serial_number: "77".to_owned(),
        user_ids: Vec::new(),
    });
    plan.sans.dns = names(&["Root"]);
    plan.key_usage = plan.key_usage.union(KeyUsage::DIGITAL_SIGNATURE);
    plan.permitted_dns_domains = names(&[".example.com", "other.example"]);
    plan.validity = reference.validity();
    let ours = Vetted::new(plan, key.public_key().clone())
        .build_self_signed(&key, reference.serial(), &reference_urls())
        .unwrap()
        .sign()
        .unwrap();
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
}

#[test]
fn a_leaf_with_every_kind_of_name_is_the_same() {
    let reference = certificate(include_str!("reference/leaf.pem"));
    let mut plan = leaf_plan("");
    plan.subject = Subject::Attributes(SubjectAttributes {
        organization: names(&["O2", "O1"]),
        organizational_unit: names(&["x"]),
        common_name: "a.example.com".to_owned(),
        serial_number: "9".to_owned(),
        user_ids: names(&["u1", "u2"]),
        ..Default::default()
    });
    plan.sans = SubjectAltNames {
        dns: names(&["a.example.com", "b.example.com"]),
        emails: names(&["u@example.com"]),
        ips: vec![
            IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ],
        uris: names(&["spiffe://a/b"]),
        others: Vec::new(),
    };
    plan.ext_key_usage.extend(oids(&["1.2.3.4.5"]));
    plan.basic_constraints = BasicConstraints::EndEntity;
    plan.policies = plain_policies();
    let ours = reissue(&reference, plan);
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
}

#[test]
fn other_names_are_the_same_and_in_the_same_place() {
    let reference = certificate(include_str!("reference/other_names.pem"));
    let other = |value: &str| OtherName {
        oid: "1.2.3".parse().unwrap(),
        value: value.to_owned(),
    };
    let mut plan = leaf_plan("a.example.com");
    plan.subject = Subject::Attributes(SubjectAttributes {
        organization: names(&["O2", "O1"]),
        organizational_unit: names(&["x"]),
        common_name: "a.example.com".to_owned(),
        ..Default::default()
    });
    plan.sans.ips = vec![IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4))];
    plan.sans.uris = names(&["spiffe://a/b"]);
    plan.sans.others = vec![other("hi"), other("ho")];
    plan.ext_key_usage.extend(oids(&["1.2.3.4.5"]));
    plan.basic_constraints = BasicConstraints::EndEntity;
    plan.policies = plain_policies();
    let ours = reissue(&reference, plan);
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
}

fn plain_policies() -> Vec<PolicyInformation> {
    oids(&["1.2.3.4", "1.3.5"])
        .into_iter()
        .map(|oid| PolicyInformation {
            oid,
            notice: None,
            cps: None,
        })
        .collect()
}

#[test]
fn policies_with_qualifiers_and_an_empty_subject_are_the_same() {
    let reference = certificate(include_str!("reference/policies.pem"));
    let mut plan = leaf_plan("z.example.com");
    plan.subject = Subject::Attributes(SubjectAttributes::default());
    plan.policies = vec![
        PolicyInformation {
            oid: "1.2.3.4".parse().unwrap(),
            notice: Some("note".to_owned()),
            cps: Some("http://cps".to_owned()),
        },
        PolicyInformation {
            oid: "1.2.5".parse().unwrap(),
            notice: None,
            cps: None,
        },
    ];
    let ours = reissue(&reference, plan);
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
}

#[test]
fn an_intermediate_with_a_chosen_key_identifier_is_the_same() {
    let reference = certificate(include_str!("reference/intermediate.pem"));
    let mut plan = authority_plan("Int", Some(1));
    plan.sans.dns = names(&["Int"]);
    plan.subject_key_id = Some(vec![1, 2, 3]);
    let ours = reissue(&reference, plan);
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
}

#[test]
fn a_root_signed_with_pss_is_the_same_and_its_signature_holds() {
    let reference = certificate(include_str!("reference/pss_root.pem"));
    assert_eq!(
        reference.signature_algorithm(),
        Some(SignatureAlgorithm::RsaPss(Hash::Sha384))
    );
    assert!(reference.is_self_signed());
    let key = private_key(include_str!("reference/pss_key.pem"));
    let mut plan = authority_plan("Pss", None);
    plan.sans.dns = names(&["Pss"]);
    plan.validity = reference.validity();
    plan.signature = SignaturePreference {
        hash_bits: 384,
        pss: true,
        ecdsa_by_curve: false,
    };
    let ours = Vetted::new(plan, key.public_key().clone())
        .build_self_signed(&key, reference.serial(), &AiaUrls::default())
        .unwrap()
        .sign()
        .unwrap();
    assert_eq!(
        hex::encode(ours.tbs_der()),
        hex::encode(reference.tbs_der())
    );
    assert!(ours.is_self_signed());
}

#[test]
fn a_request_for_an_intermediate_is_the_same() {
    let (block, _) = pem::next_block(include_str!("reference/intermediate_csr.pem")).unwrap();
    let key = private_key(include_str!("reference/intermediate_key.pem"));
    let plan = CsrPlan {
        subject: SubjectAttributes {
            common_name: "Int".to_owned(),
            ..Default::default()
        },
        sans: SubjectAltNames {
            dns: names(&["Int", "ca.example.com"]),
            ips: vec![IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4))],
            others: vec![OtherName {
                oid: "1.2.3".parse().unwrap(),
                value: "hi".to_owned(),
            }],
            ..Default::default()
        },
        authority: true,
        signature: SignaturePreference::default(),
    };
    let ours = Csr::parse_der(&plan.sign(&key).unwrap()).unwrap();
    let reference = Csr::parse_der(&block.der).unwrap();
    assert_eq!(
        hex::encode(ours.info_der()),
        hex::encode(reference.info_der())
    );
    assert!(reference.verify().is_ok());
}

#[test]
fn crls_are_the_same() {
    let root = reference_root();
    for text in [
        include_str!("reference/crl.pem"),
        include_str!("reference/delta_crl.pem"),
    ] {
        let (block, _) = pem::next_block(text).unwrap();
        let reference = Crl::parse_der(&block.der).unwrap();
        assert_eq!(reference.verify_signature(root.public_key()), Ok(()));
        let plan = CrlPlan {
            number: reference.number().unwrap(),
            delta_base: reference.delta_base(),
            this_update: reference.this_update,
            next_update: reference.next_update,
            algorithm: None,
            extensions: Vec::new(),
        };
        let ours = plan.sign(&root, reference.revoked.clone()).unwrap();
        let ours = Crl::parse_der(&ours).unwrap();
        assert_eq!(
            hex::encode(ours.tbs_der()),
            hex::encode(reference.tbs_der())
        );
    }
}

#[test]
fn private_keys_are_written_the_same() {
    for (text, format) in [
        (
            include_str!("reference/intermediate_key.pem"),
            KeyFormat::Traditional,
        ),
        (include_str!("reference/root_key.pem"), KeyFormat::Pkcs8),
        (
            include_str!("reference/pss_key.pem"),
            KeyFormat::Traditional,
        ),
        (
            include_str!("reference/ml_dsa_44_key.pem"),
            KeyFormat::Traditional,
        ),
    ] {
        let ours = private_key(text).to_pem(format).unwrap();
        assert_eq!(ours.as_str(), text);
    }
}
