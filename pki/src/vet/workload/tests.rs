use super::*;
use crate::role::KeyType;
use crate::vet::tests::{NOW, csr, extension, ip, texts};

const ID: &str = "spiffe://cluster.local/ns/foo/sa/bar";
const DAY: u64 = 86_400;
const LIFETIMES: WorkloadLifetimes = WorkloadLifetimes {
    default_secs: DAY,
    max_secs: 90 * DAY,
    clamp: true,
};

fn agent_csr() -> CsrFacts {
    let mut csr = csr("");
    csr.common_name = None;
    // One organization, an empty PrintableString.
    csr.raw_subject = vec![0x30, 11, 0x31, 9, 0x30, 7, 6, 3, 0x55, 4, 10, 0x13, 0];
    csr.sans.uris = texts(&[ID]);
    let mut san = vec![0x30, 0x26, 0x86, 0x24];
    san.extend_from_slice(ID.as_bytes());
    csr.extensions = vec![extension("2.5.29.17", &san)];
    csr
}

fn role() -> Role {
    Role {
        key_type: KeyType::Any,
        key_bits: 0,
        allowed_uri_sans: texts(&["spiffe://*"]),
        ..Role::default()
    }
}

fn vet_as(
    csr: &CsrFacts,
    identities: &[&str],
    csr_mode: CsrMode,
    asked_secs: i64,
) -> Result<(Plan, Warnings), Refusal> {
    let request = WorkloadRequest {
        role: &role(),
        identities: &texts(identities),
        csr_mode,
        asked_secs,
        lifetimes: LIFETIMES,
    };
    vet(csr, &request, NOW.plus_secs(1_000_000_000), NOW)
}

fn mismatch(csr: &CsrFacts) -> Option<WorkloadMismatch> {
    match vet_as(csr, &[ID], CsrMode::Strict, 0) {
        Err(Refusal::Workload(mismatch)) => Some(mismatch),
        _ => None,
    }
}

#[test]
fn the_certificate_names_exactly_the_proven_identity() {
    for mode in [CsrMode::Strict, CsrMode::Overwrite] {
        let (plan, warnings) = vet_as(&agent_csr(), &[ID], mode, 3600).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(
            plan.subject,
            Subject::Attributes(SubjectAttributes::default())
        );
        let only_uri = SubjectAltNames {
            uris: texts(&[ID]),
            ..SubjectAltNames::default()
        };
        assert_eq!(plan.sans, only_uri);
        assert_eq!(plan.key_usage, KeyUsage(0b101));
        assert_eq!(plan.ext_key_usage.len(), 2);
        assert_eq!(plan.basic_constraints, BasicConstraints::EndEntity);
        assert_eq!(plan.copied_extensions, []);
    }
}

#[test]
fn overwrite_ignores_whatever_the_csr_claims() {
    let mut csr = agent_csr();
    csr.common_name = Some("evil".to_owned());
    csr.sans.uris = texts(&["spiffe://cluster.local/ns/kube-system/sa/admin"]);
    csr.sans.dns = texts(&["evil.com"]);
    csr.extensions
        .push(extension("2.5.29.19", &[0x30, 3, 1, 1, 0xff]));
    let (plan, _) = vet_as(&csr, &[ID], CsrMode::Overwrite, 0).unwrap();
    assert_eq!(plan.sans.uris, [ID]);
    assert!(plan.sans.dns.is_empty() && plan.copied_extensions.is_empty());
    assert_eq!(plan.basic_constraints, BasicConstraints::EndEntity);
}

#[test]
fn strict_refuses_other_uris_than_the_callers() {
    for uris in [
        &[][..],
        &["spiffe://cluster.local/ns/foo/sa/other"],
        &[ID, ID],
        &[ID, "spiffe://cluster.local/ns/foo/sa/other"],
        &["spiffe://CLUSTER.local/ns/foo/sa/bar"],
    ] {
        let mut csr = agent_csr();
        csr.extensions.clear();
        csr.sans.uris = texts(uris);
        assert_eq!(mismatch(&csr), Some(WorkloadMismatch::Uris), "{uris:?}");
    }
    let two = "spiffe://cluster.local/ns/a/sa/b";
    let mut csr = agent_csr();
    csr.sans.uris = texts(&[two, ID]);
    assert!(vet_as(&csr, &[ID, two], CsrMode::Strict, 0).is_ok());
}

#[test]
fn strict_refuses_subjects_and_other_names() {
    let broken = |edit: fn(&mut CsrFacts)| {
        let mut csr = agent_csr();
        edit(&mut csr);
        mismatch(&csr)
    };
    let subject = Some(WorkloadMismatch::Subject);
    let names = Some(WorkloadMismatch::Names);
    // An organization called "x", and a common name.
    let organization = |csr: &mut CsrFacts| {
        csr.raw_subject = vec![
            0x30, 12, 0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 10, 0x13, 1, b'x',
        ];
    };
    assert_eq!(broken(organization), subject);
    let common_name = |csr: &mut CsrFacts| {
        csr.raw_subject = vec![0x30, 12, 0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 12, 1, b'x'];
    };
    assert_eq!(broken(common_name), subject);
    assert_eq!(broken(|csr| csr.raw_subject = vec![0x30, 0]), None);
    assert_eq!(broken(|csr| csr.sans.dns = texts(&["x"])), names);
    assert_eq!(broken(|csr| csr.sans.emails = texts(&["x@y"])), names);
    assert_eq!(broken(|csr| csr.sans.ips = vec![ip("1.1.1.1")]), names);
    assert_eq!(broken(|_| ()), None);
}

#[test]
fn strict_reads_the_extensions_themselves() {
    let with = |oid: &str, value: &[u8]| {
        let mut csr = agent_csr();
        csr.extensions.push(extension(oid, value));
        mismatch(&csr)
    };
    // registeredID, and a directoryName: kinds that no summary of names lists.
    for san in [
        &[0x30, 4, 0x88, 2, 0x2a, 3][..],
        &[0x30, 4, 0xa4, 2, 0x30, 0],
        &[0x30, 9],
    ] {
        assert_eq!(with("2.5.29.17", san), Some(WorkloadMismatch::Names));
    }
    assert_eq!(with("2.5.29.15", &[3, 2, 5, 0xa0]), None);
    assert_eq!(with("2.5.29.15", &[3, 2, 7, 0x80]), None);
    for usage in [
        &[3, 2, 2, 0xa4][..],
        &[3, 3, 7, 0xa0, 0x80],
        &[3, 1, 0],
        &[],
    ] {
        assert_eq!(with("2.5.29.15", usage), Some(WorkloadMismatch::KeyUsage));
    }
    let ext_key_usage = |last: u8| [0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, last];
    assert_eq!(with("2.5.29.37", &ext_key_usage(1)), None);
    assert_eq!(with("2.5.29.37", &ext_key_usage(2)), None);
    let other_usage = Some(WorkloadMismatch::ExtKeyUsage);
    assert_eq!(with("2.5.29.37", &ext_key_usage(3)), other_usage);
    for oid in ["2.5.29.19", "2.5.29.30", "1.2.3"] {
        let oid = ObjectIdentifier::new(oid).unwrap();
        let expected = Some(WorkloadMismatch::Extension { oid });
        assert_eq!(with(&oid.to_string(), &[5, 0]), expected);
    }
}

#[test]
fn only_spiffe_ids_are_identities() {
    let csr = agent_csr();
    let refused = |identities: &[&str]| {
        matches!(
            vet_as(&csr, identities, CsrMode::Overwrite, 0),
            Err(Refusal::Workload(_))
        )
    };
    assert!(refused(&[]));
    for identity in [
        "",
        "spiffe://",
        "spiffe://td",
        "spiffe://td/",
        "spiffe:///ns/a",
        "http://td/ns/a/sa/b",
        "spiffe://td/ns//sa/b",
        "spiffe://td/ns/../sa/b",
        "spiffe://TD/ns/a/sa/b",
        "spiffe://u@td/ns/a",
        "spiffe://td:1/ns/a",
        "spiffe://td/ns/a?x",
        "spiffe://td/ns/a#x",
        "spiffe://td/ns/%61",
        "spiffe://td/ns/*",
        "spiffe://td/ns/a b",
    ] {
        assert!(refused(&[identity]), "{identity}");
    }
    assert!(refused(&[ID, "bad"]));
    assert!(!refused(&[ID]));
}

#[test]
fn lifetimes_are_bounded_and_backdating_is_a_tenth_at_most() {
    let span = |asked_secs| {
        let (plan, warnings) = vet_as(&agent_csr(), &[ID], CsrMode::Strict, asked_secs).unwrap();
        let Validity {
            not_before,
            not_after,
        } = plan.validity;
        (NOW.0 - not_before.0, not_after.0 - NOW.0, warnings.len())
    };
    assert_eq!(span(3600), (30, 3600, 0));
    assert_eq!(span(60), (6, 60, 0));
    assert_eq!(span(9), (0, 9, 0));
    assert_eq!(span(0), (30, 86_400, 0));
    assert_eq!(span(-1), (30, 86_400, 0));
    assert_eq!(span(i64::MIN), (30, 86_400, 0));
    assert_eq!(span(i64::MAX), (30, 90 * 86_400, 1));
}

#[test]
fn a_lifetime_above_the_maximum_is_refused_where_it_is_not_clamped() {
    let request = WorkloadRequest {
        role: &role(),
        identities: &texts(&[ID]),
        csr_mode: CsrMode::Strict,
        asked_secs: i64::MAX,
        lifetimes: WorkloadLifetimes {
            clamp: false,
            ..LIFETIMES
        },
    };
    let refusal = vet(&agent_csr(), &request, UnixTime::MAX, NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::WorkloadLifetime { .. }));
}

#[test]
fn a_workload_never_outlives_its_issuer() {
    let request = WorkloadRequest {
        role: &role(),
        identities: &texts(&[ID]),
        csr_mode: CsrMode::Strict,
        asked_secs: 3600,
        lifetimes: LIFETIMES,
    };
    let vet_until = |issuer_end| vet(&agent_csr(), &request, issuer_end, NOW);
    let (plan, _) = vet_until(NOW.plus_secs(100)).unwrap();
    assert_eq!(plan.validity.not_after, NOW.plus_secs(100));
    assert_eq!(plan.validity.not_before, NOW.plus_secs(-10));
    assert!(vet_until(NOW).is_err(), "the issuer has expired");
}

#[test]
fn keys_that_proxies_cannot_use_are_refused() {
    for (kind, bits, is_allowed) in [
        (KeyKind::Ec, 256, true),
        (KeyKind::Ec, 384, true),
        (KeyKind::Ec, 224, false),
        (KeyKind::Ec, 521, false),
        (KeyKind::Ed25519, 0, false),
        (KeyKind::Rsa, 4096, true),
    ] {
        let mut csr = agent_csr();
        csr.key = KeyFacts { kind, bits };
        let vetted = vet_as(&csr, &[ID], CsrMode::Overwrite, 0);
        assert_eq!(vetted.is_ok(), is_allowed, "{:?}", csr.key);
    }
}

#[test]
fn the_roles_keys_and_uris_are_limits() {
    let vet_under = |role: &Role| {
        let request = WorkloadRequest {
            role,
            identities: &texts(&[ID]),
            csr_mode: CsrMode::Strict,
            asked_secs: 3600,
            lifetimes: LIFETIMES,
        };
        vet(&agent_csr(), &request, UnixTime::MAX, NOW).err()
    };
    assert_eq!(vet_under(&role()), None);
    let required = KeyType::Ec;
    let ec_only = Role {
        key_type: required,
        key_bits: 256,
        ..role()
    };
    assert_eq!(vet_under(&ec_only), Some(Refusal::CsrKeyType { required }));
    let from = Origin::Request;
    let elsewhere = Role {
        allowed_uri_sans: texts(&["spiffe://cluster.local/ns/other/*"]),
        ..role()
    };
    assert_eq!(vet_under(&elsewhere), Some(Refusal::UriNotAllowed { from }));
    let none = Role {
        allowed_uri_sans: Vec::new(),
        ..role()
    };
    assert_eq!(vet_under(&none), Some(Refusal::UriForbidden { from }));
}

#[test]
fn weak_and_unknown_keys_are_refused() {
    let mut csr = agent_csr();
    csr.key.bits = 1024;
    let refusal = vet_as(&csr, &[ID], CsrMode::Overwrite, 0).unwrap_err();
    assert_eq!(refusal, Refusal::CsrKeyWeak);
    csr.key.kind = KeyKind::Unrecognized;
    let refusal = vet_as(&csr, &[ID], CsrMode::Overwrite, 0).unwrap_err();
    assert_eq!(refusal, Refusal::CsrKeyUnrecognized);
}
