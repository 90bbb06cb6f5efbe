//! Deciding what a certificate may say: role, request, CSR, time and issuer go in; a [`Plan`] or a
//! [`Refusal`] comes out.
//!
//! The functions of this file are the only doors. Each broken rule is found in a fixed order: key,
//! names, other subject alternative names, validity, subject key identifier, user ids.

mod authority;
pub(crate) mod go_text;
mod hostname;
mod key;
mod leaf;
mod names;
pub(crate) mod oid_text;
mod order;
mod patterns;
mod refusal;
mod reissue;
mod sans;
mod template;
pub(crate) mod timestamp;
mod uri;
mod usage;
mod validity;
mod verbatim;
mod warning;
mod workload;

use crate::{
    cert::build::{Approved, Vetted},
    csr::Csr,
    key::{self as keys, KeyError},
    oid,
    plan::{Plan, RawExtension, SubjectAltNames},
    role::{KeyType, Role},
    time::UnixTime,
};

pub use authority::{AuthorityIdentity, AuthorityTerms, IntermediateRequest, csr_content};
pub use key::{IssueKey, issue_key};
pub use leaf::LeafRequest;
pub use oid_text::OidTextError;
pub use order::{OrderRequest, is_canonical_name, may_have_address, may_have_name};
pub use refusal::{HexFault, Origin, Refusal};
pub use reissue::{ReissueError, reissue};
pub use template::Identity;
pub use timestamp::TimestampError;
pub use validity::{LeafNotAfterBehavior, MountLifetimes};
pub use verbatim::VerbatimRequest;
pub use warning::Warning;
pub use workload::{CsrMode, WorkloadLifetimes, WorkloadMismatch, WorkloadRequest};

/// What is to be answered beside the certificate, in this order.
pub type Warnings = Vec<Warning>;

/// What a CSR asks for, after parsing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrFacts {
    pub common_name: Option<String>,
    /// The subject's serialNumber attribute (2.5.4.5).
    pub serial_number: Option<String>,
    /// The subject's UID attributes (0.9.2342.19200300.100.1.1).
    pub user_ids: Vec<String>,
    /// DER of the subject.
    pub raw_subject: Vec<u8>,
    pub sans: SubjectAltNames,
    /// Every requested extension.
    pub extensions: Vec<RawExtension>,
    pub has_basic_constraints: bool,
    pub key: KeyFacts,
}

impl CsrFacts {
    fn of(csr: &Csr) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            common_name: text(csr.common_name()),
            serial_number: text(csr.serial_number()),
            user_ids: csr.user_ids().to_vec(),
            raw_subject: csr.subject_der().to_vec(),
            sans: csr.alt_names().clone(),
            extensions: csr.extensions().to_vec(),
            has_basic_constraints: csr.has_basic_constraints(),
            key: KeyFacts::of(csr),
        }
    }
}

impl KeyFacts {
    fn of(csr: &Csr) -> Self {
        let (kind, bits) = match csr.public_key().map(keys::PublicKey::kind) {
            Ok(kind @ keys::KeyKind::Rsa { .. }) => (KeyKind::Rsa, kind.bits()),
            Ok(kind @ keys::KeyKind::Ec(_)) => (KeyKind::Ec, kind.bits()),
            Ok(keys::KeyKind::Ed25519) => (KeyKind::Ed25519, 0),
            Ok(other) => (KeyKind::Other(other.type_name().to_owned()), other.bits()),
            Err(KeyError::UnknownAlgorithm(oid)) if *oid == oid::DSA => {
                (KeyKind::Other("DSA".to_owned()), 0)
            }
            Err(_) => (KeyKind::Unrecognized, 0),
        };
        Self { kind, bits }
    }
}

/// What the rules ask of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    pub kind: KeyKind,
    /// Size of the modulus or of the curve; 0 where there is none.
    pub bits: u32,
}

/// Family of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Ec,
    Ed25519,
    /// Known, by its name, but never signed.
    Other(String),
    Rsa,
    /// An algorithm identifier that means nothing here.
    Unrecognized,
}

impl KeyKind {
    fn name(&self) -> &str {
        match self {
            Self::Ec => "EC",
            Self::Ed25519 => "Ed25519",
            Self::Other(name) => name,
            Self::Rsa => "RSA",
            Self::Unrecognized => "unknown",
        }
    }
}

/// What the rules look at beside role and request.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub now: UnixTime,
    pub mount: MountLifetimes,
    pub issuer: IssuerFacts,
    pub identity: Identity<'a>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("now", &self.now)
            .field("mount", &self.mount)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// What the rules ask of the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerFacts {
    pub not_after: UnixTime,
    pub leaf_not_after: LeafNotAfterBehavior,
    /// `None` for no limit.
    pub path_len: Option<u32>,
}

/// `issue`: names and validity from the request, the key made by the server.
pub fn vet_issue(
    role: &Role,
    request: &LeafRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Approved, Warnings), Refusal> {
    let (plan, warnings) = leaf::vet(role, None, request, surroundings)?;
    Ok((Approved::new(plan), warnings))
}

/// `sign`: key, and as far as the role says, names from the CSR.
pub fn vet_sign(
    role: &Role,
    csr: Csr,
    request: &LeafRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Vetted, Warnings), Refusal> {
    let plan = leaf::vet(role, Some(&CsrFacts::of(&csr)), request, surroundings)?;
    proved(plan, csr)
}

/// ACME: names from an order over which control was proved, from the CSR the key alone.
pub fn vet_order(
    role: &Role,
    csr: Csr,
    request: &OrderRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Vetted, Warnings), Refusal> {
    let plan = order::vet(role, &KeyFacts::of(&csr), request, surroundings)?;
    proved(plan, csr)
}

/// `sign-verbatim`: whatever the CSR asks for, except to be an authority. A role gives lifetimes
/// only.
pub fn vet_verbatim(
    role: Option<&Role>,
    csr: Csr,
    request: &VerbatimRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Vetted, Warnings), Refusal> {
    let plan = verbatim::vet(role, &CsrFacts::of(&csr), request, surroundings)?;
    proved(plan, csr)
}

/// `root/generate` and `root/rotate`: a self-signed authority. `key_type` is that of its key.
pub fn vet_root(
    identity: &AuthorityIdentity,
    terms: &AuthorityTerms,
    key_type: KeyType,
    mount: MountLifetimes,
    now: UnixTime,
) -> Result<(Approved, Warnings), Refusal> {
    let (plan, warnings) = authority::vet_root(identity, terms, key_type, mount, now)?;
    Ok((Approved::new(plan), warnings))
}

/// `sign-intermediate`: an authority below the issuer.
pub fn vet_intermediate(
    csr: Csr,
    request: &IntermediateRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(Vetted, Warnings), Refusal> {
    let plan = authority::vet_intermediate(&CsrFacts::of(&csr), request, surroundings)?;
    proved(plan, csr)
}

/// A mesh workload's certificate: exactly the identities that its caller proved.
pub fn vet_workload(
    csr: Csr,
    request: &WorkloadRequest<'_>,
    issuer_not_after: UnixTime,
    now: UnixTime,
) -> Result<(Vetted, Warnings), Refusal> {
    let plan = workload::vet(&CsrFacts::of(&csr), request, issuer_not_after, now)?;
    if csr.is_signed_with_sha1() {
        return Err(Refusal::WorkloadSignature);
    }
    proved(plan, csr)
}

/// The CSR's own signature is checked last: whoever may not have the certificate costs no more than
/// a look at the names.
fn proved((plan, warnings): (Plan, Warnings), csr: Csr) -> Result<(Vetted, Warnings), Refusal> {
    let verified = csr.verify().map_err(Refusal::Csr)?;
    Ok((Vetted::new(plan, verified.into_public_key()), warnings))
}

#[cfg(test)]
mod tests;
