//! OpenSSL as a judge.

use std::process::Command;

use tempfile::TempDir;

use super::reference::reference_root;
use super::*;
use crate::crl::{CrlPlan, RevokedCertificate};
use crate::csr::Csr;
use crate::csr::build::CsrPlan;
use crate::key::{KeyFormat, SignatureAlgorithm};
use crate::ocsp::{Answer, CertId, CertStatus, OcspRequest, OcspResponse, SingleResponse};
use crate::oid;
use crate::pem;
use crate::plan::{OtherName, PolicyInformation};

const KINDS: [KeyKind; 5] = [
    P256,
    KeyKind::Ec(Curve::P384),
    KeyKind::Ec(Curve::P521),
    KeyKind::Ed25519,
    RSA,
];

/// A directory with files for `openssl`.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    fn written_at(&self, name: &str) -> UnixTime {
        let written = self.0.path().join(name).metadata().unwrap().modified();
        let since = written.unwrap().duration_since(std::time::UNIX_EPOCH);
        UnixTime(since.unwrap().as_secs().try_into().unwrap())
    }

    /// Output of a command that has to succeed; `arguments` are separated by spaces.
    fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "openssl {arguments}: {text}");
        text
    }
}

#[test]
fn verifies_chains_of_every_kind_of_key() {
    for kind in KINDS {
        for preference in preferences(kind) {
            let files = Files::new();
            let mut plan = authority_plan("Root", None);
            plan.signature = preference;
            let root = root_with(kind, plan);
            let middle = intermediate(&root, "Int", 2);
            let mut plan = leaf_plan("a.example.com");
            plan.signature = preference;
            let leaf = issue(&middle, plan.clone(), root.public_key(), 3);
            let direct = issue(&root, plan, middle.public_key(), 4);
            files.write("root.pem", root.certificate().to_pem());
            files.write("int.pem", middle.certificate().to_pem());
            files.write("leaf.pem", leaf.to_pem());
            files.write("direct.pem", direct.to_pem());
            let time = NOW.0;
            let verify = format!(
                "verify -x509_strict -attime {time} -purpose sslserver -verify_hostname a.example.com \
                 -CAfile root.pem"
            );
            files.openssl(&format!("{verify} -untrusted int.pem leaf.pem"));
            files.openssl(&format!("{verify} direct.pem"));
        }
    }
}

/// Every wish that makes a difference for this kind of key.
fn preferences(kind: KeyKind) -> Vec<SignaturePreference> {
    let mut preferences = Vec::new();
    for hash_bits in [0, 256, 384, 512] {
        for pss in [false, true] {
            let preference = SignaturePreference {
                hash_bits,
                pss,
                ecdsa_by_curve: false,
            };
            let algorithm = SignatureAlgorithm::choose(kind, preference);
            let known = |earlier: &SignaturePreference| {
                SignatureAlgorithm::choose(kind, *earlier) == algorithm
            };
            if !preferences.iter().any(known) {
                preferences.push(preference);
            }
        }
    }
    preferences
}

#[test]
fn shows_every_extension() {
    let files = Files::new();
    let mut plan = leaf_plan("a.example.com");
    plan.sans.ips = vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    plan.sans.uris = vec!["spiffe://cluster.local/ns/default/sa/web".to_owned()];
    plan.sans.others = vec![OtherName {
        oid: "1.3.6.1.4.1.311.20.2.3".parse().unwrap(),
        value: "user@example.com".to_owned(),
    }];
    plan.policies = vec![PolicyInformation {
        oid: "1.2.3.4".parse().unwrap(),
        notice: Some("a notice".to_owned()),
        cps: Some("http://cps.example.com".to_owned()),
    }];
    plan.permitted_dns_domains = vec![".example.com".to_owned()];
    plan.basic_constraints = BasicConstraints::EndEntity;
    let root = root(P256);
    files.write(
        "leaf.pem",
        issue(&root, plan, root.public_key(), 3).to_pem(),
    );
    let text = files.openssl("x509 -in leaf.pem -noout -text");
    for expected in [
        "Digital Signature, Key Encipherment, Key Agreement",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
        "OCSP - URI:http://pki.example.com/ocsp",
        "CA Issuers - URI:http://pki.example.com/ca",
        "UPN::user@example.com, DNS:a.example.com, IP Address:10.0.0.1, \
         IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://cluster.local/ns/default/sa/web",
        "Policy: 1.2.3.4",
        "CPS: http://cps.example.com",
        "Explicit Text: a notice",
        "DNS:.example.com",
        "URI:http://pki.example.com/crl",
        "X509v3 Freshest CRL",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn reads_our_keys_and_we_read_its_keys() {
    let files = Files::new();
    for kind in KINDS {
        let key = key(kind);
        for format in [KeyFormat::Traditional, KeyFormat::Pkcs8] {
            files.write("key.pem", key.to_pem(format).unwrap().as_bytes());
            files.openssl("pkey -in key.pem -check -noout");
            files.openssl("pkey -in key.pem -pubout -outform DER -out public.der");
            assert_eq!(files.read("public.der"), key.public_key().spki_der());
        }
    }
    for (command, kind) in [
        ("genpkey -algorithm ED25519 -out key.pem", KeyKind::Ed25519),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem",
            KINDS[4],
        ),
        (
            "genrsa -traditional -out key.pem 3072",
            KeyKind::Rsa { bits: 3072 },
        ),
        (
            "ecparam -name secp384r1 -genkey -noout -out key.pem",
            KINDS[1],
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key.pem",
            KINDS[2],
        ),
    ] {
        files.openssl(command);
        let text = String::from_utf8(files.read("key.pem")).unwrap();
        assert_eq!(
            PrivateKey::from_pem(&text).unwrap().kind(),
            kind,
            "{command}"
        );
    }
}

#[test]
fn verifies_our_requests_and_we_verify_its_requests() {
    let files = Files::new();
    for kind in KINDS {
        for signature in preferences(kind) {
            let plan = CsrPlan {
                subject: SubjectAttributes {
                    common_name: "Int CA".to_owned(),
                    ..Default::default()
                },
                authority: true,
                signature,
                ..Default::default()
            };
            let der = plan.sign(&key(kind)).unwrap();
            files.write("ours.pem", pem::encode("CERTIFICATE REQUEST", &der));
            let text = files.openssl("req -in ours.pem -verify -noout -text");
            assert!(
                text.contains("Subject: CN = Int CA") && text.contains("CA:TRUE"),
                "{text}"
            );
        }
    }
    let request = "req -new -nodes -keyout key.pem -out theirs.pem -subj /O=Example/CN=a.example.com \
                   -addext subjectAltName=DNS:a.example.com,IP:10.0.0.1,otherName:1.2.3;UTF8:x";
    for options in [
        "-newkey rsa:2048",
        "-newkey rsa:2048 -sha1",
        "-newkey rsa:2048 -sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha512",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-384",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-521",
        "-newkey ed25519",
    ] {
        files.openssl(&format!("{request} {options}"));
        let csr = Csr::parse_pem(str::from_utf8(&files.read("theirs.pem")).unwrap()).unwrap();
        assert_eq!(csr.common_name(), "a.example.com");
        assert_eq!(csr.alt_names().dns, ["a.example.com"]);
        assert_eq!(csr.alt_names().others[0].value, "x");
        assert!(csr.verify().is_ok(), "{options}");
    }
}

#[test]
fn verifies_our_crls_and_refuses_what_they_revoke() {
    for kind in KINDS {
        let files = Files::new();
        let root = root(kind);
        let key = PrivateKey::generate(P256).unwrap();
        let plan = leaf_plan("a.example.com");
        let good = issue(&root, plan.clone(), key.public_key(), 3);
        let revoked = issue(&root, plan, key.public_key(), 4);
        let crl = CrlPlan {
            number: 1,
            delta_base: None,
            this_update: NOW.plus_secs(-60),
            next_update: Some(NOW.plus_secs(3600)),
            algorithm: None,
            extensions: Vec::new(),
        }
        .sign(
            &root,
            [RevokedCertificate {
                serial: revoked.serial(),
                revoked_at: NOW.plus_secs(-60),
                extensions: Vec::new(),
            }],
        )
        .unwrap();
        files.write("root.pem", root.certificate().to_pem());
        files.write("crl.pem", pem::encode("X509 CRL", &crl));
        files.write("good.pem", good.to_pem());
        files.write("revoked.pem", revoked.to_pem());
        let verified = files.openssl("crl -in crl.pem -CAfile root.pem -noout -text");
        assert!(verified.contains("verify OK"), "{verified}");
        let time = NOW.0;
        let verify = format!("verify -attime {time} -crl_check -CRLfile crl.pem -CAfile root.pem");
        files.openssl(&format!("{verify} good.pem"));
        let refusal = Command::new("openssl")
            .args(format!("{verify} revoked.pem").split(' '))
            .current_dir(files.0.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&refusal.stderr);
        assert!(text.contains("certificate revoked"), "{text}");
    }
}

#[test]
fn verifies_our_ocsp_responses() {
    for kind in KINDS {
        let files = Files::new();
        let root = root(kind);
        let key = PrivateKey::generate(P256).unwrap();
        let leaf = issue(&root, leaf_plan("a.example.com"), key.public_key(), 3);
        files.write("root.pem", root.certificate().to_pem());
        files.write("leaf.pem", leaf.to_pem());
        for hash in ["sha1", "sha256", "sha384", "sha512"] {
            files.openssl(&format!(
                "ocsp -{hash} -issuer root.pem -cert leaf.pem -reqout request.der"
            ));
            let request = OcspRequest::parse_der(&files.read("request.der")).unwrap();
            let cert_id = &request.cert_ids[0];
            assert!(cert_id.names_issuer(root.certificate()));
            assert_eq!(cert_id.serial, leaf.serial());
            for (status, expected) in [
                (CertStatus::Good, "Cert Status: good"),
                (CertStatus::Revoked { at: NOW }, "Cert Status: revoked"),
                (CertStatus::Unknown, "Cert Status: unknown"),
            ] {
                let single = SingleResponse {
                    cert_id,
                    status,
                    this_update: NOW,
                    next_update: Some(NOW.plus_secs(20 * YEAR)),
                };
                let response = OcspResponse {
                    responses: &[single],
                    produced_at: NOW,
                    nonce: request.nonce.as_deref(),
                    algorithm: None,
                };
                files.write("response.der", response.sign(&root).unwrap());
                let text = files.openssl(&format!(
                    "ocsp -reqin request.der -respin response.der -resp_text \
                     -verify_other root.pem -CAfile root.pem \
                     -no_check_time -attime {}",
                    NOW.0
                ));
                assert!(text.contains("Response verify OK"), "{text}");
                assert!(
                    text.contains(expected) && !text.contains("WARNING"),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn reads_the_answers_of_openssl_as_a_delegated_responder() {
    let files = Files::new();
    let root = root(P256);
    let key = PrivateKey::generate(P256).unwrap();
    let leaf = issue(&root, leaf_plan("a.example.com"), key.public_key(), 3);
    let mut plan = leaf_plan("ocsp.example.com");
    plan.ext_key_usage = vec![oid::KEY_PURPOSE_OCSP_SIGNING];
    // OpenSSL answers with the time of the machine.
    plan.validity.not_after = NOW.plus_secs(50 * YEAR);
    let delegate = issue(&root, plan, key.public_key(), 4);
    files.write("root.pem", root.certificate().to_pem());
    files.write("delegate.pem", delegate.to_pem());
    let pem = key.to_pem(KeyFormat::Pkcs8).unwrap();
    files.write("delegate.key", pem.as_bytes());
    let cert_id = CertId::new(root.certificate(), leaf.serial());
    files.write("request.der", OcspRequest::about(&cert_id));
    let serial = leaf.serial().to_colon_hex().replace(':', "").to_uppercase();
    for (entry, is_revoked) in [
        (
            format!("V\t400101000000Z\t\t{serial}\tunknown\t/CN=a\n"),
            false,
        ),
        (
            format!("R\t400101000000Z\t260101000000Z\t{serial}\tunknown\t/CN=a\n"),
            true,
        ),
    ] {
        files.write("index.txt", entry);
        files.openssl(
            "ocsp -index index.txt -CA root.pem -rsigner delegate.pem -rkey delegate.key \
             -reqin request.der -respout response.der -ndays 1",
        );
        let der = files.read("response.der");
        let now = files.written_at("response.der");
        let answer = Answer::read(&der, &cert_id, root.certificate(), &[], now).unwrap();
        let expected = if is_revoked {
            CertStatus::Revoked {
                at: UnixTime(1_767_225_600),
            }
        } else {
            CertStatus::Good
        };
        assert_eq!(answer.status, expected);
        assert!(answer.next_update.is_some_and(|end| end > now));
    }
}

#[test]
fn shows_our_ocsp_response_like_that_of_openbao() {
    let files = Files::new();
    let request = OcspRequest::parse_der(include_bytes!("reference/ocsp_request.der")).unwrap();
    // 2026-11-25T00:33:55Z
    let now = UnixTime(1_795_566_835);
    let single = SingleResponse {
        cert_id: &request.cert_ids[0],
        status: CertStatus::Revoked { at: now },
        this_update: now,
        next_update: Some(now.plus_secs(43_200)),
    };
    let response = OcspResponse {
        responses: &[single],
        produced_at: UnixTime(now.0 - 55),
        nonce: None,
        algorithm: None,
    };
    files.write("ours.der", response.sign(&reference_root()).unwrap());
    files.write("theirs.der", include_bytes!("reference/ocsp_response.der"));
    let [ours, theirs] = ["ours", "theirs"].map(|name| {
        let text = files.openssl(&format!("ocsp -respin {name}.der -resp_text -noverify"));
        text.split("Signature Value:").next().unwrap().to_owned()
    });
    assert_eq!(ours, theirs);
}
