//! Signing an authority's certificate anew: `sign-self-issued`.

use const_oid::ObjectIdentifier;

use crate::cert::Certificate;
use crate::cert::build::Vetted;
use crate::issuer::Issuer;
use crate::key::{Hash, SignatureAlgorithm};
use crate::oid;
use crate::plan::{BasicConstraints, KeyUsage, Plan, Subject, SubjectAltNames};

/// A self-issued authority as `issuer` will sign it anew: all stays but the issuer's name, key
/// identifier and URLs. Its serial number has to stay as well.
///
/// The hash of the old signature is kept if the issuer's key is of the same family, else it is
/// SHA-256.
pub fn reissue(certificate: &Certificate, issuer: &Issuer) -> Result<Vetted, ReissueError> {
    if !certificate.is_authority() {
        return Err(ReissueError::NotAnAuthority);
    }
    if !certificate.is_self_issued() {
        return Err(ReissueError::NotSelfIssued);
    }
    // An issuer of the same name would make the certificate look self-signed, so its own
    // authority key identifier stays.
    let keeps_key_id = certificate.subject_der() == issuer.certificate().subject_der();
    let replaced = |oid: ObjectIdentifier| match oid {
        oid::AUTHORITY_KEY_IDENTIFIER => !keeps_key_id,
        oid::AUTHORITY_INFO_ACCESS | oid::CRL_DISTRIBUTION_POINTS | oid::FRESHEST_CRL => true,
        _ => false,
    };
    let copied_extensions: Vec<_> = certificate
        .extensions()
        .iter()
        .filter(|extension| !replaced(extension.oid))
        .cloned()
        .collect();
    let fits = |algorithm: &SignatureAlgorithm| algorithm.fits(issuer.public_key().kind());
    let sha256 = SignatureAlgorithm::RsaPkcs1(Hash::Sha256);
    let algorithm = certificate
        .signature_algorithm()
        .filter(fits)
        .unwrap_or(sha256);
    let plan = Plan {
        subject: Subject::Raw(certificate.subject_der().to_vec()),
        sans: SubjectAltNames::default(),
        validity: certificate.validity(),
        key_usage: KeyUsage::default(),
        ext_key_usage: Vec::new(),
        basic_constraints: BasicConstraints::Absent,
        subject_key_id: None,
        policies: Vec::new(),
        permitted_dns_domains: Vec::new(),
        copied_extensions,
        signature: algorithm.to_preference(),
    };
    Ok(Vetted::new(plan, certificate.public_key().clone()))
}

/// Why a certificate cannot be signed anew by another authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReissueError {
    #[error("given certificate is not a CA certificate")]
    NotAnAuthority,
    #[error("given certificate is not self-issued")]
    NotSelfIssued,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::{P256, issue, leaf_plan, root, root_with};

    #[test]
    fn reissuing_changes_the_issuer_and_nothing_of_the_subject() {
        let new = root(P256);
        let mut plan = crate::judges::authority_plan("Old", Some(3));
        plan.permitted_dns_domains = vec!["example.com".to_owned()];
        plan.signature.hash_bits = 384;
        let old = root_with(P256, plan);
        let old = old.certificate();
        let reissued = reissue(old, &new)
            .unwrap()
            .build(&new, old.serial())
            .sign()
            .unwrap();
        assert!(reissued.is_signed_by(new.certificate()));
        assert_eq!(reissued.serial(), old.serial());
        assert_eq!(reissued.subject_der(), old.subject_der());
        assert_eq!(reissued.validity(), old.validity());
        assert_eq!(reissued.path_len(), Some(3));
        assert_eq!(reissued.key_usage(), old.key_usage());
        assert_eq!(reissued.subject_key_id(), old.subject_key_id());
        assert_eq!(
            reissued.authority_key_id(),
            new.certificate().subject_key_id()
        );
        assert_eq!(reissued.signature_algorithm(), old.signature_algorithm());
        assert!(reissued.extension_value(oid::NAME_CONSTRAINTS).is_some());
        assert!(
            reissued
                .extension_value(oid::CRL_DISTRIBUTION_POINTS)
                .is_some()
        );
    }

    #[test]
    fn only_self_issued_authorities_are_reissued() {
        let issuer = root(P256);
        let leaf = issue(&issuer, leaf_plan("a.example.com"), issuer.public_key(), 2);
        assert_eq!(
            reissue(&leaf, &issuer).err(),
            Some(ReissueError::NotAnAuthority)
        );
        let child = crate::judges::intermediate(&issuer, "Int", 3);
        let refusal = reissue(child.certificate(), &issuer).err();
        assert_eq!(refusal, Some(ReissueError::NotSelfIssued));
    }
}
