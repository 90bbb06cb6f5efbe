//! rustls-webpki on ring as a judge: another parser and another cryptographic library.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime as WebpkiTime};
use webpki::{
    ALL_VERIFICATION_ALGS, BorrowedCertRevocationList, CertRevocationList, EndEntityCert, Error,
    KeyUsage as Purpose, RevocationOptionsBuilder, anchor_from_trusted_cert,
};

use super::*;
use crate::crl::{CrlPlan, RevokedCertificate};

/// Verdict about a chain of `leaf` and intermediates below `root`, with a CRL of the leaf's issuer.
fn verdict(
    leaf: &Certificate,
    intermediates: &[&Certificate],
    root: &Certificate,
    crl: Option<&[u8]>,
) -> Result<(), Error> {
    let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let root = der(root);
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let leaf = der(leaf);
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let intermediates: Vec<_> = intermediates
        .iter()
        .map(|certificate| der(certificate))
        .collect();
    let crls: Vec<CertRevocationList<'_>> = crl
        .into_iter()
        .map(|der| BorrowedCertRevocationList::from_der(der).unwrap().into())
        .collect();
    let crls: Vec<_> = crls.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|builder| {
        builder
            .with_depth(webpki::RevocationCheckDepth::EndEntity)
            .build()
    });
    let now = WebpkiTime::since_unix_epoch(Duration::from_secs(NOW.0.unsigned_abs()));
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        now,
        Purpose::server_auth(),
        revocation,
        None,
    )?;
    leaf.verify_is_valid_for_subject_name(&ServerName::try_from("a.example.com").unwrap())
}

#[test]
fn accepts_chains_of_the_keys_that_ring_knows() {
    for kind in [
        P256,
        KeyKind::Ec(Curve::P384),
        KeyKind::Ed25519,
        KeyKind::Rsa { bits: 2048 },
    ] {
        for pss in [false, true] {
            let wish = SignaturePreference {
                hash_bits: 384,
                pss,
                ecdsa_by_curve: false,
            };
            let mut plan = authority_plan("Root", None);
            plan.signature = wish;
            let root = root_with(kind, plan);
            let middle = intermediate(&root, "Int", 2);
            let mut plan = leaf_plan("a.example.com");
            plan.signature = wish;
            let leaf = issue(&middle, plan.clone(), middle.public_key(), 3);
            let direct = issue(&root, plan, middle.public_key(), 4);
            let root = root.certificate();
            assert_eq!(
                verdict(&leaf, &[middle.certificate()], root, None),
                Ok(()),
                "{kind:?}"
            );
            assert_eq!(verdict(&direct, &[], root, None), Ok(()), "{kind:?}");
        }
    }
}

#[test]
fn accepts_an_empty_subject_and_enforces_our_constraints() {
    let mut plan = authority_plan("Root", None);
    plan.permitted_dns_domains = vec!["example.com".to_owned()];
    let root = root_with(P256, plan);
    let key = PrivateKey::generate(P256).unwrap();
    let mut plan = leaf_plan("a.example.com");
    plan.subject = Subject::Attributes(SubjectAttributes::default());
    let leaf = issue(&root, plan, key.public_key(), 2);
    assert_eq!(verdict(&leaf, &[], root.certificate(), None), Ok(()));

    let outside = issue(&root, leaf_plan("a.example.org"), key.public_key(), 3);
    let refusal = verdict(&outside, &[], root.certificate(), None);
    assert_eq!(refusal, Err(Error::NameConstraintViolation));

    let last = intermediate_with(&root, authority_plan("Last", Some(0)), 4);
    let below = intermediate(&last, "Below", 5);
    let [allowed, too_deep] = [&last, &below]
        .map(|issuer| issue(issuer, leaf_plan("a.example.com"), key.public_key(), 6));
    let between = [below.certificate(), last.certificate()];
    assert_eq!(
        verdict(&allowed, &between, root.certificate(), None),
        Ok(())
    );
    let refusal = verdict(&too_deep, &between, root.certificate(), None);
    assert_eq!(refusal, Err(Error::PathLenConstraintViolated));
}

#[test]
fn refuses_what_our_crl_revokes() {
    let root = root(P256);
    let key = PrivateKey::generate(P256).unwrap();
    let [good, revoked] =
        [2, 3].map(|number| issue(&root, leaf_plan("a.example.com"), key.public_key(), number));
    let crl = CrlPlan {
        number: 1,
        delta_base: None,
        this_update: NOW,
        next_update: Some(NOW.plus_secs(3600)),
        algorithm: None,
        extensions: Vec::new(),
    }
    .sign(
        &root,
        [RevokedCertificate {
            serial: revoked.serial(),
            revoked_at: NOW,
            extensions: Vec::new(),
        }],
    )
    .unwrap();
    assert_eq!(verdict(&good, &[], root.certificate(), Some(&crl)), Ok(()));
    let refusal = verdict(&revoked, &[], root.certificate(), Some(&crl));
    assert_eq!(refusal, Err(Error::CertRevoked));
}
