//! What signing one workload certificate costs, step by step, beside the bare cryptography:
//! `cargo bench -p signet-pki`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has to stop"
)]

use std::sync::Arc;

use divan::Bencher;
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
    MountLifetimes, Surroundings, vet_root, vet_sign,
};

const NOW: UnixTime = UnixTime(1_767_225_600);
const P256: KeyKind = KeyKind::Ec(Curve::P256);
const RSA_2048: KeyKind = KeyKind::Rsa { bits: 2048 };
const RSA_4096: KeyKind = KeyKind::Rsa { bits: 4096 };
const LIFETIMES: MountLifetimes = MountLifetimes {
    default_ttl_secs: 86_400,
    max_ttl_secs: 10 * 365 * 86_400,
};

fn main() {
    divan::main();
}

#[divan::bench(args = [P256, RSA_2048, RSA_4096])]
fn sign_alone(bencher: Bencher<'_, '_>, kind: KeyKind) {
    let key = PrivateKey::generate(kind).unwrap();
    let algorithm = SignatureAlgorithm::default_for(kind);
    bencher.bench(|| key.sign(algorithm, &[7; 600]).unwrap());
}

#[divan::bench(args = [P256, RSA_2048])]
fn verify_alone(bencher: Bencher<'_, '_>, kind: KeyKind) {
    let key = PrivateKey::generate(kind).unwrap();
    let algorithm = SignatureAlgorithm::default_for(kind);
    let signature = key.sign(algorithm, &[7; 600]).unwrap();
    let public = key.public_key();
    bencher.bench(|| public.verify(algorithm, &[7; 600], &signature).unwrap());
}

#[divan::bench(args = [P256, RSA_2048])]
fn generate_key(kind: KeyKind) -> PrivateKey {
    PrivateKey::generate(kind).unwrap()
}

#[divan::bench]
fn parse_csr(bencher: Bencher<'_, '_>) {
    let csr = workload_csr();
    bencher.bench(|| Csr::parse_pem(&csr).unwrap());
}

#[divan::bench]
fn parse_and_verify_csr(bencher: Bencher<'_, '_>) {
    let csr = workload_csr();
    bencher.bench(|| Csr::parse_pem(&csr).unwrap().verify().unwrap());
}

#[divan::bench]
fn read_back_certificate(bencher: Bencher<'_, '_>) {
    let (role, issuer, csr) = (role(), root(P256), workload_csr());
    let der = certify(&role, &issuer, &csr).into_der();
    bencher.bench(|| Certificate::parse_der(der.clone()).unwrap());
}

#[divan::bench]
fn write_certificate_as_pem(bencher: Bencher<'_, '_>) {
    let (role, issuer, csr) = (role(), root(P256), workload_csr());
    let certificate = certify(&role, &issuer, &csr);
    bencher.bench(|| certificate.to_pem());
}

/// From the CSR's PEM to the certificate's: what a request costs here.
#[divan::bench(args = [P256, RSA_2048, RSA_4096])]
fn certify_csr(bencher: Bencher<'_, '_>, kind: KeyKind) {
    let (role, issuer, csr) = (role(), root(kind), workload_csr());
    bencher.bench(|| certify(&role, &issuer, &csr).to_pem());
}

#[divan::bench(sample_count = 5, args = [1_000, 1_000_000])]
fn sign_crl(bencher: Bencher<'_, '_>, entries: u64) {
    let issuer = root(P256);
    let plan = CrlPlan {
        number: 1,
        delta_base: None,
        this_update: NOW,
        next_update: Some(NOW.plus_secs(86_400)),
        algorithm: None,
        extensions: Vec::new(),
    };
    bencher.bench(|| {
        let entries = (0..entries).map(|number| RevokedCertificate {
            serial: SerialNumber::new(1_767_225_600_000 + number, [9; 14]),
            revoked_at: NOW,
            extensions: Vec::new(),
        });
        plan.sign(&issuer, entries).unwrap()
    });
}

fn certify(role: &Role, issuer: &Issuer, csr: &str) -> Certificate {
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
    let csr = Csr::parse_pem(csr).unwrap();
    let (vetted, _) = vet_sign(role, csr, &leaf, &surroundings).unwrap();
    vetted.build(issuer, serial(7)).sign().unwrap()
}

fn role() -> Role {
    Role {
        key_type: KeyType::Any,
        allow_any_name: true,
        enforce_hostnames: false,
        require_cn: false,
        allowed_uri_sans: vec!["spiffe://*".to_owned()],
        ..Role::default()
    }
}

fn workload_csr() -> String {
    let plan = CsrPlan {
        subject: SubjectAttributes::default(),
        sans: SubjectAltNames {
            uris: vec!["spiffe://cluster.local/ns/default/sa/web".to_owned()],
            ..SubjectAltNames::default()
        },
        authority: false,
        signature: SignaturePreference::default(),
    };
    let key = PrivateKey::generate(P256).unwrap();
    pem::encode("CERTIFICATE REQUEST", &plan.sign(&key).unwrap())
}

fn root(kind: KeyKind) -> Issuer {
    let key = Arc::new(PrivateKey::generate(kind).unwrap());
    let identity = AuthorityIdentity {
        common_name: "Root".to_owned(),
        ..AuthorityIdentity::default()
    };
    let terms = AuthorityTerms {
        ttl_secs: LIFETIMES.max_ttl_secs,
        ..AuthorityTerms::default()
    };
    let (approved, _) = vet_root(&identity, &terms, KeyType::Any, LIFETIMES, NOW).unwrap();
    let certificate = approved
        .with_key(key.public_key().clone())
        .build_self_signed(&key, serial(1), &AiaUrls::default())
        .unwrap()
        .sign()
        .unwrap();
    let urls = AiaUrls {
        crl_distribution_points: vec!["http://pki.example.com/v1/pki/crl".to_owned()],
        issuing_certificates: vec!["http://pki.example.com/v1/pki/ca".to_owned()],
        ..AiaUrls::default()
    };
    Issuer::new(certificate, key, &urls).unwrap()
}

fn serial(number: u8) -> SerialNumber {
    SerialNumber::new(1_767_225_600_000, [number; 14])
}
