//! What signing one workload certificate costs, step by step, in microseconds, beside the bare
//! cryptography: `cargo run --release -p signet-pki --example hot_path`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use signet_pki::cert::Certificate;
use signet_pki::crl::{CrlPlan, RevokedCertificate};
use signet_pki::csr::Csr;
use signet_pki::csr::build::CsrPlan;
use signet_pki::issuer::{AiaUrls, Issuer};
use signet_pki::key::{Curve, KeyKind, PrivateKey, SignatureAlgorithm};
use signet_pki::pem;
use signet_pki::plan::{SignaturePreference, SubjectAltNames, SubjectAttributes};
use signet_pki::role::{KeyType, Role};
use signet_pki::serial::SerialNumber;
use signet_pki::time::UnixTime;
use signet_pki::vet::{
    AuthorityIdentity, AuthorityTerms, IssuerFacts, LeafNotAfterBehavior, LeafRequest,
    MountLifetimes, Surroundings, vet_issue, vet_root, vet_sign,
};

const NOW: UnixTime = UnixTime(1_767_225_600);
const P256: KeyKind = KeyKind::Ec(Curve::P256);
const ROUNDS: u32 = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let role = Role {
        key_type: KeyType::Any,
        allow_any_name: true,
        enforce_hostnames: false,
        require_cn: false,
        allowed_uri_sans: vec!["spiffe://*".to_owned()],
        ..Role::default()
    };
    let key = PrivateKey::generate(P256)?;
    let request = pem::encode("CERTIFICATE REQUEST", &workload_request(&key)?);
    let algorithm = SignatureAlgorithm::default_for(P256);
    let message = vec![7; 600];
    let signature = key.sign(algorithm, &message)?;

    show("P-256 sign alone", || Ok(key.sign(algorithm, &message)?))?;
    show("P-256 verify alone", || {
        Ok(key.public_key().verify(algorithm, &message, &signature)?)
    })?;
    show("parse CSR from PEM", || Ok(Csr::parse_pem(&request)?))?;
    show("parse and verify CSR", || {
        Ok(Csr::parse_pem(&request)?.verify()?)
    })?;

    for kind in [P256, KeyKind::Rsa { bits: 2048 }] {
        let issuer = root(kind)?;
        let surroundings = Surroundings {
            now: NOW,
            mount: LIFETIMES,
            issuer: IssuerFacts {
                not_after: issuer.not_after(),
                leaf_not_after: LeafNotAfterBehavior::Err,
                path_len: issuer.path_len(),
            },
            identity: &|_| None,
        };
        let leaf = LeafRequest {
            ttl_secs: 3600,
            ..LeafRequest::default()
        };
        let vet = || vet_issue(&role, &leaf, &surroundings);
        let build = || -> Result<_, Box<dyn Error>> {
            let approved = vet()?.0.with_key(key.public_key().clone());
            Ok(approved.build(&issuer, serial(7)))
        };
        let own = SignatureAlgorithm::default_for(kind);
        let der = build()?.sign()?.into_der();
        show(&format!("{kind:?} sign alone"), || {
            Ok(issuer.key().sign(own, &message)?)
        })?;
        show("vet", || Ok(vet()?))?;
        show("vet, build", build)?;
        show("parse certificate", || {
            Ok(Certificate::parse_der(der.clone())?)
        })?;
        show("vet, build, sign, check", || Ok(build()?.sign()?))?;
        show("PEM CSR to PEM certificate", || {
            let csr = Csr::parse_pem(&request)?;
            let (vetted, _) = vet_sign(&role, csr, &leaf, &surroundings)?;
            Ok(vetted.build(&issuer, serial(7)).sign()?.to_pem())
        })?;
    }
    crl_of_a_million()
}

fn crl_of_a_million() -> Result<(), Box<dyn Error>> {
    let issuer = root(P256)?;
    let plan = CrlPlan {
        number: 1,
        delta_base: None,
        this_update: NOW,
        next_update: Some(NOW.plus_secs(86_400)),
        algorithm: None,
        extensions: Vec::new(),
    };
    let entries = (0..1_000_000).map(|number: u64| RevokedCertificate {
        serial: SerialNumber::new(1_767_225_600_000 + number, [9; 14]),
        revoked_at: NOW,
        extensions: Vec::new(),
    });
    let started = Instant::now();
    let crl = plan.sign(&issuer, entries)?;
    report(
        "CRL of a million entries",
        started.elapsed().as_secs_f64() * 1e6,
    );
    black_box(crl);
    Ok(())
}

fn workload_request(key: &PrivateKey) -> Result<Vec<u8>, Box<dyn Error>> {
    let plan = CsrPlan {
        subject: SubjectAttributes::default(),
        sans: SubjectAltNames {
            uris: vec!["spiffe://cluster.local/ns/default/sa/web".to_owned()],
            ..SubjectAltNames::default()
        },
        authority: false,
        signature: SignaturePreference::default(),
    };
    Ok(plan.sign(key)?)
}

fn root(kind: KeyKind) -> Result<Issuer, Box<dyn Error>> {
    let key = Arc::new(PrivateKey::generate(kind)?);
    let identity = AuthorityIdentity {
        common_name: "Root".to_owned(),
        ..AuthorityIdentity::default()
    };
    let terms = AuthorityTerms {
        ttl_secs: LIFETIMES.max_ttl_secs,
        ..AuthorityTerms::default()
    };
    let (approved, _) = vet_root(&identity, &terms, KeyType::Any, LIFETIMES, NOW)?;
    let certificate = approved
        .with_key(key.public_key().clone())
        .build_self_signed(&key, serial(1), &AiaUrls::default())?
        .sign()?;
    let urls = AiaUrls {
        crl_distribution_points: vec!["http://pki.example.com/v1/pki/crl".to_owned()],
        issuing_certificates: vec!["http://pki.example.com/v1/pki/ca".to_owned()],
        ..AiaUrls::default()
    };
    Ok(Issuer::new(certificate, key, &urls)?)
}

fn serial(number: u8) -> SerialNumber {
    SerialNumber::new(1_767_225_600_000, [number; 14])
}

/// Least of five averages, because other work on the machine only ever adds.
fn show<T>(
    what: &str,
    mut step: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..ROUNDS / 5 {
            black_box(step()?);
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS / 5));
    }
    report(what, least);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program for people to read")]
fn report(what: &str, micros: f64) {
    println!("{micros:>12.2} µs  {what}");
}

const LIFETIMES: MountLifetimes = MountLifetimes {
    default_ttl_secs: 86_400,
    max_ttl_secs: 10 * 365 * 86_400,
};
