//! What others think of our certificates, requests, CRLs and OCSP responses; and the samples that
//! unit tests share.

mod openssl;
mod reference;
mod webpki_on_ring;

use std::sync::{Arc, LazyLock};

use const_oid::ObjectIdentifier;

use crate::cert::Certificate;
use crate::cert::build::Vetted;
use crate::issuer::{AiaUrls, Issuer};
use crate::key::{Curve, KeyKind, PrivateKey, PublicKey};
use crate::plan::{
    BasicConstraints, KeyUsage, Plan, SignaturePreference, Subject, SubjectAltNames,
    SubjectAttributes,
};
use crate::serial::SerialNumber;
use crate::time::{UnixTime, Validity};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: UnixTime = UnixTime(1_767_225_600);
pub(crate) const YEAR: i64 = 365 * 86_400;
pub(crate) const P256: KeyKind = KeyKind::Ec(Curve::P256);
pub(crate) const RSA: KeyKind = KeyKind::Rsa { bits: 2048 };
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

pub(crate) fn serial(number: u8) -> SerialNumber {
    SerialNumber::new(1_767_225_600_000, [number; 14])
}

pub(crate) fn named(common_name: &str) -> Subject {
    Subject::Attributes(SubjectAttributes {
        common_name: common_name.to_owned(),
        ..Default::default()
    })
}

pub(crate) fn leaf_plan(dns: &str) -> Plan {
    Plan {
        subject: named(dns),
        sans: SubjectAltNames {
            dns: vec![dns.to_owned()],
            ..Default::default()
        },
        validity: Validity {
            not_before: NOW.plus_secs(-30),
            not_after: NOW.plus_secs(86_400),
        },
        key_usage: KeyUsage(0b1_0101),
        ext_key_usage: vec![SERVER_AUTH, CLIENT_AUTH],
        basic_constraints: BasicConstraints::Absent,
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains: Vec::new(),
        copied_extensions: Vec::new(),
        signature: SignaturePreference::default(),
    }
}

pub(crate) fn authority_plan(common_name: &str, path_len: Option<u32>) -> Plan {
    Plan {
        subject: named(common_name),
        sans: SubjectAltNames::default(),
        validity: Validity {
            not_before: NOW.plus_secs(-30),
            not_after: NOW.plus_secs(10 * YEAR),
        },
        key_usage: KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN),
        ext_key_usage: Vec::new(),
        basic_constraints: BasicConstraints::Authority { path_len },
        ..leaf_plan("")
    }
}

pub(crate) fn urls() -> AiaUrls {
    let url = |path: &str| vec![format!("http://pki.example.com/{path}")];
    AiaUrls {
        ocsp_servers: url("ocsp"),
        issuing_certificates: url("ca"),
        crl_distribution_points: url("crl"),
        delta_crl_distribution_points: url("crl/delta"),
    }
}

/// A new key, except that all RSA keys are one, because making one takes long.
pub(crate) fn key(kind: KeyKind) -> Arc<PrivateKey> {
    static RSA_2048: LazyLock<Arc<PrivateKey>> =
        LazyLock::new(|| Arc::new(PrivateKey::generate(RSA).unwrap()));
    if kind == RSA {
        Arc::clone(&RSA_2048)
    } else {
        Arc::new(PrivateKey::generate(kind).unwrap())
    }
}

pub(crate) fn root_with(kind: KeyKind, plan: Plan) -> Issuer {
    let key = key(kind);
    let certificate = Vetted::new(plan, key.public_key().clone())
        .build_self_signed(&key, serial(1), &AiaUrls::default())
        .unwrap()
        .sign()
        .unwrap();
    Issuer::new(certificate, key, &urls()).unwrap()
}

pub(crate) fn root(kind: KeyKind) -> Issuer {
    root_with(kind, authority_plan("Test Root", None))
}

pub(crate) fn issue(issuer: &Issuer, plan: Plan, key: &PublicKey, number: u8) -> Certificate {
    Vetted::new(plan, key.clone())
        .build(issuer, serial(number))
        .sign()
        .unwrap()
}

/// An authority below `parent`.
pub(crate) fn intermediate(parent: &Issuer, common_name: &str, number: u8) -> Issuer {
    intermediate_with(parent, authority_plan(common_name, None), number)
}

pub(crate) fn intermediate_with(parent: &Issuer, plan: Plan, number: u8) -> Issuer {
    let key = Arc::new(PrivateKey::generate(P256).unwrap());
    let certificate = issue(parent, plan, key.public_key(), number);
    Issuer::new(certificate, key, &AiaUrls::default()).unwrap()
}
