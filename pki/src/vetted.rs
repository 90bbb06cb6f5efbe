//! What may be signed, and the only ways to get it.
//!
//! Each way asks a policy first and, if the key comes from a request, checks last that the
//! requester holds it: refusing is cheap, checking a signature is not.

use const_oid::ObjectIdentifier;

use crate::cert::Certificate;
use crate::csr::{Csr, CsrError};
use crate::issuer::Issuer;
use crate::key::{Hash, KeyError, KeyKind, PrivateKey, PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::plan::{BasicConstraints, KeyUsage, Plan, Subject, SubjectAltNames};
use crate::role::{KeyType, Role};
use crate::time::UnixTime;
use crate::vet::{
    self, AuthorityIdentity, AuthorityTerms, CsrFacts, IntermediateRequest, KeyFacts, LeafRequest,
    MountLifetimes, Refusal, Surroundings, VerbatimRequest, Warnings, WorkloadRequest,
};

/// A plan that a policy approved, for a key whose holder was checked. Nothing else can be signed.
#[derive(Debug)]
pub struct Vetted {
    pub(crate) plan: Plan,
    pub(crate) key: PublicKey,
}

/// A plan that a policy approved, for a key that is still to be made.
#[derive(Debug)]
pub struct AwaitsKey {
    plan: Plan,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VetError {
    #[error(transparent)]
    Csr(#[from] CsrError),
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

/// Why a certificate cannot be signed anew by another authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReissueError {
    #[error("given certificate is not a CA certificate")]
    NotAnAuthority,
    #[error("given certificate is not self-issued")]
    NotSelfIssued,
}

impl Vetted {
    /// For a key that the server makes once the policy has approved.
    pub fn issue(
        role: &Role,
        request: &LeafRequest,
        surroundings: &Surroundings<'_>,
    ) -> Result<(AwaitsKey, Warnings), Refusal> {
        let (plan, warnings) = vet::vet_issue(role, request, surroundings)?;
        Ok((AwaitsKey { plan }, warnings))
    }

    /// A self-signed authority.
    pub fn root(
        identity: &AuthorityIdentity,
        terms: &AuthorityTerms,
        key_type: KeyType,
        mount: MountLifetimes,
        now: UnixTime,
    ) -> Result<(AwaitsKey, Warnings), Refusal> {
        let (plan, warnings) = vet::vet_root(identity, terms, key_type, mount, now)?;
        Ok((AwaitsKey { plan }, warnings))
    }

    pub fn sign(
        role: &Role,
        csr: Csr,
        request: &LeafRequest,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Warnings), VetError> {
        Self::after(csr, |facts| {
            vet::vet_sign(role, facts, request, surroundings)
        })
    }

    pub fn sign_verbatim(
        role: Option<&Role>,
        csr: Csr,
        request: &VerbatimRequest,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Warnings), VetError> {
        Self::after(csr, |facts| {
            vet::vet_verbatim(role, facts, request, surroundings)
        })
    }

    /// An authority below an issuer.
    pub fn sign_intermediate(
        csr: Csr,
        request: &IntermediateRequest,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Warnings), VetError> {
        Self::after(csr, |facts| {
            vet::vet_intermediate(facts, request, surroundings)
        })
    }

    /// A workload of a mesh.
    pub fn sign_workload(
        csr: Csr,
        request: &WorkloadRequest<'_>,
        issuer_not_after: UnixTime,
        now: UnixTime,
    ) -> Result<(Self, Warnings), VetError> {
        Self::after(csr, |facts| {
            vet::vet_workload(facts, request, issuer_not_after, now)
        })
    }

    /// A self-issued authority as `issuer` will sign it anew: all stays but the issuer's name, key
    /// identifier and URLs. Its serial number has to stay as well.
    ///
    /// The hash of the old signature is kept if the issuer's key is of the same family, else it is
    /// SHA-256.
    pub fn reissue(certificate: &Certificate, issuer: &Issuer) -> Result<Self, ReissueError> {
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
        Ok(Self::new(plan, certificate.public_key().clone()))
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn new(plan: Plan, key: PublicKey) -> Self {
        Self { plan, key }
    }

    fn after(
        csr: Csr,
        policy: impl FnOnce(&CsrFacts) -> Result<(Plan, Warnings), Refusal>,
    ) -> Result<(Self, Warnings), VetError> {
        let (plan, warnings) = policy(&CsrFacts::from(&csr))?;
        let key = csr.verify()?.into_public_key();
        Ok((Self::new(plan, key), warnings))
    }
}

impl AwaitsKey {
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn with_key(self, key: &PrivateKey) -> Vetted {
        Vetted::new(self.plan, key.public_key().clone())
    }
}

impl From<&Csr> for CsrFacts {
    fn from(csr: &Csr) -> Self {
        let unless_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            common_name: unless_empty(csr.common_name()),
            serial_number: unless_empty(csr.serial_number()),
            user_ids: csr.user_ids().to_vec(),
            raw_subject: csr.subject_der().to_vec(),
            sans: csr.alt_names().clone(),
            extensions: csr.extensions().to_vec(),
            has_basic_constraints: csr.has_basic_constraints(),
            key: key_facts(csr.public_key()),
        }
    }
}

fn key_facts(key: Result<&PublicKey, &KeyError>) -> KeyFacts {
    let kind = match key.map(PublicKey::kind) {
        Ok(KeyKind::Ec(_)) => vet::KeyKind::Ec,
        Ok(KeyKind::Ed25519) => vet::KeyKind::Ed25519,
        Ok(KeyKind::MlDsa(_)) => vet::KeyKind::Other("MLDSA".to_owned()),
        Ok(KeyKind::Rsa { .. }) => vet::KeyKind::Rsa,
        Err(KeyError::UnknownAlgorithm(oid::DSA)) => vet::KeyKind::Other("DSA".to_owned()),
        Err(_) => vet::KeyKind::Unrecognized,
    };
    KeyFacts {
        kind,
        bits: key.map_or(0, |key| key.kind().bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::build::CsrPlan;
    use crate::judges::{NOW, P256, issue, leaf_plan, named, root, root_with, serial};
    use crate::plan::SubjectAttributes;
    use crate::vet::{IssuerFacts, LeafNotAfterBehavior};

    fn surroundings(issuer: &Issuer) -> Surroundings<'static> {
        Surroundings {
            now: NOW,
            mount: MountLifetimes {
                default_ttl_secs: 3600,
                max_ttl_secs: 86_400,
            },
            issuer: IssuerFacts {
                not_after: issuer.not_after(),
                leaf_not_after: LeafNotAfterBehavior::Err,
                path_len: issuer.path_len(),
            },
            identity: &|_| None,
        }
    }

    fn request_for(common_name: &str) -> Vec<u8> {
        CsrPlan {
            subject: SubjectAttributes {
                common_name: common_name.to_owned(),
                ..Default::default()
            },
            ..Default::default()
        }
        .sign(&PrivateKey::generate(P256).unwrap())
        .unwrap()
    }

    fn spoiled(mut request: Vec<u8>) -> Csr {
        let last = request.last_mut().unwrap();
        *last ^= 1;
        Csr::parse_der(&request).unwrap()
    }

    #[test]
    fn a_request_is_signed_only_if_its_signature_holds() {
        let issuer = root(P256);
        let surroundings = surroundings(&issuer);
        let request = VerbatimRequest::default();
        let der = request_for("a.example.com");
        let good = Csr::parse_der(&der).unwrap();
        let (vetted, _) = Vetted::sign_verbatim(None, good, &request, &surroundings).unwrap();
        let certificate = vetted.build(&issuer, serial(2)).sign().unwrap();
        assert_eq!(certificate.subject_der(), &*named("a.example.com").to_der());
        let refusal = Vetted::sign_verbatim(None, spoiled(der), &request, &surroundings);
        assert_eq!(
            refusal.unwrap_err().to_string(),
            "request signature invalid"
        );
    }

    #[test]
    fn the_policy_speaks_before_the_signature_is_looked_at() {
        let issuer = root_with(P256, crate::judges::authority_plan("Root", Some(0)));
        let csr = spoiled(request_for("Int"));
        let refusal =
            Vetted::sign_intermediate(csr, &IntermediateRequest::default(), &surroundings(&issuer));
        assert!(matches!(refusal, Err(VetError::Refusal(_))), "{refusal:?}");
    }

    #[test]
    fn reissuing_changes_the_issuer_and_nothing_of_the_subject() {
        let new = root(P256);
        let mut plan = crate::judges::authority_plan("Old", Some(3));
        plan.permitted_dns_domains = vec!["example.com".to_owned()];
        plan.signature.hash_bits = 384;
        let old = root_with(P256, plan);
        let old = old.certificate();
        let reissued = Vetted::reissue(old, &new)
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
            Vetted::reissue(&leaf, &issuer).err(),
            Some(ReissueError::NotAnAuthority)
        );
        let child = crate::judges::intermediate(&issuer, "Int", 3);
        let refusal = Vetted::reissue(child.certificate(), &issuer).err();
        assert_eq!(refusal, Some(ReissueError::NotSelfIssued));
    }
}
