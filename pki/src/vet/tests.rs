use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    plan::{BasicConstraints, KeyUsage, OtherName, Subject, SubjectAttributes},
    role::KeyType,
};
use const_oid::ObjectIdentifier;

/// 2026-11-25T00:00:00Z.
pub(in crate::vet) const NOW: UnixTime = UnixTime(1_795_564_800);
pub(in crate::vet) const MOUNT: MountLifetimes = MountLifetimes {
    default_ttl_secs: 768 * 3600,
    max_ttl_secs: 87_600 * 3600,
};
pub(in crate::vet) const ISSUER: IssuerFacts = IssuerFacts {
    not_after: UnixTime(NOW.0 + 80_000 * 3600),
    leaf_not_after: LeafNotAfterBehavior::Err,
    path_len: None,
};

pub(in crate::vet) fn surroundings() -> Surroundings<'static> {
    Surroundings {
        now: NOW,
        mount: MOUNT,
        issuer: ISSUER,
        identity: &|_| None,
    }
}

pub(in crate::vet) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(in crate::vet) fn csr(common_name: &str) -> CsrFacts {
    CsrFacts {
        common_name: Some(common_name.to_owned()),
        serial_number: None,
        user_ids: Vec::new(),
        raw_subject: vec![0x30, 0x02, 0x31, 0x00],
        sans: SubjectAltNames::default(),
        extensions: Vec::new(),
        has_basic_constraints: false,
        key: KeyFacts {
            kind: KeyKind::Rsa,
            bits: 2048,
        },
    }
}

pub(in crate::vet) fn extension(oid: &str, value: &[u8]) -> RawExtension {
    RawExtension {
        oid: ObjectIdentifier::new(oid).unwrap(),
        critical: false,
        value: value.to_vec(),
    }
}

pub(in crate::vet) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(in crate::vet) fn other(oid: &str, value: &str) -> OtherName {
    OtherName {
        oid: ObjectIdentifier::new(oid).unwrap(),
        value: value.to_owned(),
    }
}

pub(in crate::vet) fn attributes(plan: &Plan) -> &SubjectAttributes {
    match &plan.subject {
        Subject::Attributes(attributes) => attributes,
        Subject::Raw(_) => panic!("raw subject"),
    }
}

const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const SAN: &str = "2.5.29.17";
const KEY_USAGE: &str = "2.5.29.15";

mod verbatim_door {
    use super::*;

    fn request() -> VerbatimRequest {
        VerbatimRequest {
            key_usage: texts(&["DigitalSignature", "KeyAgreement", "KeyEncipherment"]),
            ..VerbatimRequest::default()
        }
    }

    fn vet(csr: &CsrFacts, request: &VerbatimRequest) -> (Plan, Warnings) {
        verbatim::vet(None, csr, request, &surroundings()).unwrap()
    }

    #[test]
    fn copies_subject_and_extensions_but_never_basic_constraints() {
        let mut csr = csr("v.com");
        csr.has_basic_constraints = true;
        csr.extensions = vec![
            extension(KEY_USAGE, &[3, 2, 1, 6]),
            extension(BASIC_CONSTRAINTS, &[0x30, 3, 1, 1, 0xff]),
            extension(SAN, &[0x30, 0]),
            extension("1.2.3", &[5, 0]),
        ];
        let (plan, warnings) = vet(&csr, &request());
        assert_eq!(plan.subject, Subject::Raw(csr.raw_subject.clone()));
        let copied: Vec<String> = plan
            .copied_extensions
            .iter()
            .map(|extension| extension.oid.to_string())
            .collect();
        assert_eq!(copied, [KEY_USAGE, SAN, "1.2.3"]);
        assert_eq!(plan.basic_constraints, BasicConstraints::Absent);
        assert_eq!(plan.key_usage, KeyUsage(0b1_0101));
        assert_eq!(plan.ext_key_usage, []);
        assert_eq!(warnings, [Warning::BasicConstraintsIgnored]);
    }

    #[test]
    fn rebuilds_the_names_when_there_are_other_names() {
        let mut csr = csr("v.com");
        csr.sans.dns = texts(&["w.com"]);
        csr.extensions = vec![extension(SAN, &[0x30, 0])];
        let mut with_others = request();
        with_others.leaf.other_sans = texts(&["1.2.3;utf8:x"]);
        let (plan, _) = vet(&csr, &with_others);
        assert_eq!(plan.copied_extensions, []);
        assert_eq!(plan.sans.dns, ["w.com"]);
        assert_eq!(plan.sans.others, [other("1.2.3", "x")]);
        csr.sans.others = vec![other("1.2.4", "y")];
        let (plan, _) = vet(&csr, &request());
        assert_eq!(plan.copied_extensions, []);
        assert_eq!(plan.sans.others, [other("1.2.4", "y")]);
    }

    #[test]
    fn warns_of_names_that_are_ignored() {
        let mut named = request();
        named.leaf.common_name = "z.com".to_owned();
        named.leaf.alt_names = "q.com".to_owned();
        named.leaf.ip_sans = texts(&["1.1.1.1"]);
        let (plan, warnings) = vet(&csr("v.com"), &named);
        assert_eq!(plan.sans, SubjectAltNames::default());
        assert_eq!(
            warnings,
            [Warning::CommonNameIgnored, Warning::AltNamesIgnored]
        );
    }

    #[test]
    fn takes_lifetimes_and_basic_constraints_from_the_role_and_nothing_else() {
        let role = Role {
            ttl_secs: 4 * 3600,
            max_ttl_secs: 8 * 3600,
            not_before_duration_secs: 2 * 3600,
            basic_constraints_valid_for_non_ca: true,
            not_after: "2020-01-01T00:00:00Z".to_owned(),
            key_type: KeyType::Ed25519,
            ..Role::default()
        };
        let vet = |request: &VerbatimRequest| {
            verbatim::vet(Some(&role), &csr("v.com"), request, &surroundings()).unwrap()
        };
        let (plan, warnings) = vet(&request());
        assert_eq!(plan.validity.not_before, NOW.plus_secs(-2 * 3600));
        assert_eq!(plan.validity.not_after, NOW.plus_secs(4 * 3600));
        assert_eq!(plan.basic_constraints, BasicConstraints::EndEntity);
        assert_eq!(warnings, []);
        let mut longer = request();
        longer.leaf.ttl_secs = 12 * 3600;
        longer.basic_constraints_valid_for_non_ca = Some(false);
        let (plan, warnings) = vet(&longer);
        assert_eq!(plan.validity.not_after, NOW.plus_secs(8 * 3600));
        assert_eq!(plan.basic_constraints, BasicConstraints::Absent);
        assert_eq!(
            warnings[0].to_string(),
            "TTL \"12h0m0s\" is longer than permitted maxTTL \"8h0m0s\", so maxTTL is being used"
        );
    }

    #[test]
    fn refuses_what_cannot_be_written_or_trusted() {
        let refusal = |csr: &CsrFacts, request: &VerbatimRequest| {
            verbatim::vet(None, csr, request, &surroundings())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal(&csr("a..b"), &request()),
            "idna: invalid label \"a..b\""
        );
        assert_eq!(
            refusal(&csr("u@*.com"), &request()),
            "email address u@*.com not allowed by this role"
        );
        let mut weak = csr("v.com");
        weak.key.bits = 1024;
        assert_eq!(
            refusal(&weak, &request()),
            "RSA keys < 2048 bits are unsafe and not supported"
        );
        let mut oid = request();
        oid.ext_key_usage_oids = texts(&["1.2.x"]);
        assert_eq!(
            refusal(&csr("v.com"), &oid),
            "\"1.2.x\" could not be parsed as a valid oid for an extended key usage"
        );
        let mut late = request();
        late.leaf.not_after = Some("2099-01-01T00:00:00Z".to_owned());
        assert!(refusal(&csr("v.com"), &late).contains("beyond the expiration of the CA"));
    }
}

mod authority_door {
    use super::*;

    fn named(common_name: &str) -> AuthorityIdentity {
        AuthorityIdentity {
            common_name: common_name.to_owned(),
            ..AuthorityIdentity::default()
        }
    }

    fn root(
        identity: &AuthorityIdentity,
        terms: &AuthorityTerms,
    ) -> Result<(Plan, Warnings), Refusal> {
        authority::vet_root(identity, terms, KeyType::Rsa, MOUNT, NOW)
    }

    fn intermediate(csr: &CsrFacts, request: &IntermediateRequest) -> (Plan, Warnings) {
        authority::vet_intermediate(csr, request, &surroundings()).unwrap()
    }

    fn intermediate_csr() -> CsrFacts {
        let mut csr = csr("int");
        csr.serial_number = Some("SN1".to_owned());
        csr.sans.dns = texts(&["x.com"]);
        csr.extensions = vec![
            extension(BASIC_CONSTRAINTS, &[0x30, 0]),
            extension(SAN, &[0x30, 0]),
        ];
        csr
    }

    #[test]
    fn a_root_has_the_usages_of_an_authority_and_what_was_asked() {
        let identity = AuthorityIdentity {
            ou: texts(&["b", "a", "", "b"]),
            alt_names: "b.com, u@x.com".to_owned(),
            ..named("root")
        };
        let terms = AuthorityTerms {
            key_usage: texts(&["DigitalSignature", "KeyAgreement"]),
            ext_key_usage: texts(&["ServerAuth"]),
            ext_key_usage_oids: texts(&["1.2.3"]),
            permitted_dns_domains: texts(&["a.com", "", ".b.com"]),
            ..AuthorityTerms::default()
        };
        let (plan, warnings) = root(&identity, &terms).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(attributes(&plan).common_name, "root");
        assert_eq!(attributes(&plan).organizational_unit, ["b", "a"]);
        assert_eq!(plan.sans.dns, ["root", "b.com"]);
        assert_eq!(plan.sans.emails, ["u@x.com"]);
        assert_eq!(plan.key_usage, KeyUsage(0b110_0001));
        assert_eq!(plan.ext_key_usage.len(), 2);
        assert_eq!(plan.permitted_dns_domains, ["a.com", ".b.com"]);
        assert_eq!(
            plan.basic_constraints,
            BasicConstraints::Authority { path_len: None }
        );
        assert_eq!(plan.validity.not_before, NOW.plus_secs(-30));
        assert_eq!(plan.validity.not_after, NOW.plus_secs(768 * 3600));
    }

    #[test]
    fn a_root_warns_of_clamping_missing_subject_and_path_length_zero() {
        let terms = AuthorityTerms {
            ttl_secs: 90_000 * 3600,
            max_path_length: Some(0),
            ..AuthorityTerms::default()
        };
        let (plan, warnings) = root(&AuthorityIdentity::default(), &terms).unwrap();
        let path_len = Some(0);
        assert_eq!(
            plan.basic_constraints,
            BasicConstraints::Authority { path_len }
        );
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "TTL \"90000h0m0s\" is longer than permitted maxTTL \"87600h0m0s\", so maxTTL is \
                 being used",
                "This issuer certificate was generated without a Subject; this makes it likely \
                 that issuing leaf certs with this certificate will cause TLS validation libraries \
                 to reject this certificate.",
                "Max path length of the generated certificate is zero. This certificate cannot be \
                 used to issue intermediate CA certificates.",
            ]
        );
    }

    #[test]
    fn a_root_is_refused_with_the_known_sentences() {
        let past = "2020-01-01T00:00:00Z".to_owned();
        let cases = [
            (
                named("a..b"),
                AuthorityTerms::default(),
                "idna: invalid label \"a..b\"",
            ),
            (
                named("x"),
                AuthorityTerms {
                    max_path_length: Some(-2),
                    ..AuthorityTerms::default()
                },
                "unable to create certificate: x509: invalid MaxPathLen, must be greater or equal \
                 to -1",
            ),
            (
                named("x"),
                AuthorityTerms {
                    signature_bits: 999,
                    ..AuthorityTerms::default()
                },
                "unsupported hash signature algorithm: 999",
            ),
            (
                named("x"),
                AuthorityTerms {
                    not_after: Some(past),
                    ..AuthorityTerms::default()
                },
                "The certificate's Not Before (2026-11-24T23:59:30Z) is later than the \
                 certificate's Not After (2020-01-01T00:00:00Z)",
            ),
            (
                named("x"),
                AuthorityTerms {
                    permitted_dns_domains: texts(&["ü.com"]),
                    ..AuthorityTerms::default()
                },
                "unable to create certificate: x509: \"ü.com\" cannot be encoded as an IA5String",
            ),
        ];
        for (identity, terms, expected) in cases {
            assert_eq!(root(&identity, &terms).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_intermediate_takes_only_common_name_and_serial_number_from_its_csr() {
        let (plan, warnings) = intermediate(&intermediate_csr(), &IntermediateRequest::default());
        assert_eq!(warnings, []);
        assert_eq!(attributes(&plan).common_name, "int");
        assert_eq!(attributes(&plan).serial_number, "SN1");
        assert_eq!(plan.sans.dns, ["int"]);
        assert_eq!(plan.copied_extensions, []);
        let request = IntermediateRequest {
            identity: AuthorityIdentity {
                serial_number: "REQ".to_owned(),
                ..named("zz")
            },
            ..IntermediateRequest::default()
        };
        let (plan, _) = intermediate(&intermediate_csr(), &request);
        assert_eq!(attributes(&plan).common_name, "zz");
        assert_eq!(attributes(&plan).serial_number, "REQ");
        assert_eq!(plan.sans.dns, ["zz"]);
    }

    #[test]
    fn use_csr_values_takes_everything_but_basic_constraints() {
        let request = IntermediateRequest {
            identity: named("zz"),
            use_csr_values: true,
            ..IntermediateRequest::default()
        };
        let csr = intermediate_csr();
        let (plan, _) = intermediate(&csr, &request);
        assert_eq!(plan.subject, Subject::Raw(csr.raw_subject));
        assert_eq!(plan.sans.dns, ["x.com"]);
        assert_eq!(plan.copied_extensions, [extension(SAN, &[0x30, 0])]);
        let path_len = None;
        assert_eq!(
            plan.basic_constraints,
            BasicConstraints::Authority { path_len }
        );
    }

    #[test]
    fn path_length_follows_the_issuer_unless_asked_for() {
        let path_len = |issuer_path_len, requested| {
            let mut surroundings = surroundings();
            surroundings.issuer.path_len = issuer_path_len;
            let mut request = IntermediateRequest::default();
            request.terms.max_path_length = requested;
            authority::vet_intermediate(&intermediate_csr(), &request, &surroundings)
                .map(|(plan, _)| plan.basic_constraints)
        };
        let limit = |path_len| Ok(BasicConstraints::Authority { path_len });
        assert_eq!(path_len(None, None), limit(None));
        assert_eq!(path_len(Some(3), None), limit(Some(2)));
        assert_eq!(path_len(Some(1), None), limit(Some(0)));
        assert_eq!(path_len(Some(1), Some(5)), limit(Some(5)));
        assert_eq!(path_len(Some(1), Some(-1)), limit(None));
        assert_eq!(path_len(None, Some(-2)), Err(Refusal::PathLength));
        assert_eq!(
            path_len(Some(0), None).unwrap_err().to_string(),
            "signing certificate has a max path length of zero, and cannot issue further CA \
             certificates"
        );
    }

    #[test]
    fn an_intermediate_may_outlive_its_issuer_with_a_warning() {
        let mut request = IntermediateRequest::default();
        request.terms.ttl_secs = 90_000 * 3600;
        request.terms.max_path_length = Some(0);
        let mut csr = intermediate_csr();
        csr.common_name = None;
        csr.serial_number = None;
        let (plan, warnings) = intermediate(&csr, &request);
        assert_eq!(plan.validity.not_after, NOW.plus_secs(87_600 * 3600));
        assert_eq!(
            warnings,
            [
                Warning::BeyondIssuer,
                Warning::NoSubject,
                Warning::PathLengthZero { root: false },
                Warning::TtlClamped {
                    ttl_secs: 90_000 * 3600,
                    max_ttl_secs: 87_600 * 3600
                },
            ]
        );
    }

    #[test]
    fn the_subject_key_id_is_read_as_hexadecimal() {
        let skid = |text: &str| {
            let request = IntermediateRequest {
                skid: text.to_owned(),
                ..IntermediateRequest::default()
            };
            authority::vet_intermediate(&intermediate_csr(), &request, &surroundings())
                .map(|(plan, _)| plan.subject_key_id)
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(skid("aa:bb-cc dd"), Ok(Some(vec![0xaa, 0xbb, 0xcc, 0xdd])));
        assert_eq!(skid(""), Ok(None));
        assert_eq!(
            skid("zz").unwrap_err(),
            "cannot parse requested SKID value as hex: encoding/hex: invalid byte: U+007A 'z'"
        );
        assert_eq!(
            skid("abc").unwrap_err(),
            "cannot parse requested SKID value as hex: encoding/hex: odd length hex string"
        );
    }

    #[test]
    fn a_wish_for_the_beginning_is_judged_but_not_followed() {
        let not_before = |text: &str| {
            let request = IntermediateRequest {
                not_before: text.to_owned(),
                ..IntermediateRequest::default()
            };
            authority::vet_intermediate(&intermediate_csr(), &request, &surroundings())
                .map(|(plan, _)| plan.validity.not_before)
        };
        assert_eq!(not_before("2020-01-01T00:00:00Z"), Ok(NOW.plus_secs(-30)));
        assert!(matches!(not_before("foo"), Err(Refusal::Timestamp(_))));
    }

    #[test]
    fn the_csr_of_an_intermediate_has_the_names_of_the_request() {
        let identity = AuthorityIdentity {
            ip_sans: texts(&["::ffff:1.2.3.4"]),
            uri_sans: texts(&["spiffe://td"]),
            other_sans: texts(&["1.2.3;utf8:x"]),
            ..named("Int CA")
        };
        let (subject, sans) = csr_content(&identity).unwrap();
        assert_eq!(subject.common_name, "Int CA");
        assert!(sans.dns.is_empty());
        assert_eq!(sans.ips, [ip("1.2.3.4")]);
        assert_eq!(sans.uris, ["spiffe://td"]);
        assert_eq!(sans.others, [other("1.2.3", "x")]);
    }
}

proptest! {
    #[test]
    fn no_request_makes_any_door_panic(
        name in "\\PC{0,20}",
        list in proptest::collection::vec("\\PC{0,12}", 0..4),
        secs in any::<u64>(),
        time in "\\PC{0,12}",
    ) {
        let leaf = LeafRequest {
            common_name: name.clone(),
            alt_names: list.join(","),
            ip_sans: list.clone(),
            uri_sans: list.clone(),
            other_sans: list.clone(),
            user_ids: list.clone(),
            serial_number: name.clone(),
            exclude_cn_from_sans: secs % 2 == 0,
            ttl_secs: secs,
            not_before: time.clone(),
            not_after: (secs % 3 == 0).then(|| time.clone()),
        };
        let role = Role {
            allow_any_name: true,
            enforce_hostnames: false,
            max_ttl_secs: secs,
            allowed_uri_sans: texts(&["*"]),
            allowed_other_sans: texts(&["*"]),
            allowed_user_ids: texts(&["*"]),
            allowed_serial_numbers: texts(&["*"]),
            ..Role::default()
        };
        let _ = leaf::vet(&role, None, &leaf, &surroundings());
        let _ = leaf::vet(&role, Some(&csr(&name)), &leaf, &surroundings());
        let verbatim = VerbatimRequest { leaf, ..VerbatimRequest::default() };
        let _ = verbatim::vet(Some(&role), &csr(&name), &verbatim, &surroundings());
    }
}
