//! Authorities: issuers with the same key and the same subject, which share a CRL.

use std::sync::Arc;

use aws_lc_rs::digest;
use signet_pki::issuer::Issuer;
use signet_pki::key::SignatureAlgorithm;
use signet_pki::serial::SerialNumber;

use crate::secrets::pki::records::AuthorityId;
use crate::secrets::pki::state::{IssuerState, State};

/// The authorities of a mount at one moment.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) all: Vec<Arc<Group>>,
}

/// One authority.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: AuthorityId,
    /// Ids of its issuers, sorted.
    pub(super) issuers: Vec<String>,
    /// Who signs its CRL.
    pub(super) signer: Option<CrlSigner>,
    /// Some issuer has a key, though perhaps none may sign CRLs.
    pub(super) has_key: bool,
    /// Holds the default issuer, and so also the revocations of authorities that are not here.
    pub(super) is_default: bool,
    /// Serial numbers of its self-issued certificates, which do not stand on its own CRL.
    pub(super) own_serials: Vec<SerialNumber>,
    /// Revoked issuers of the mount that this authority issued.
    pub(super) revoked_issuers: Vec<RevokedIssuer>,
    /// Changes when a CRL that was built before does not do any more, whatever was revoked.
    pub(super) fingerprint: String,
}

#[derive(Clone, Debug)]
pub(super) struct CrlSigner {
    pub(super) issuer: Arc<Issuer>,
    /// `None` for the default of the key.
    pub(super) algorithm: Option<SignatureAlgorithm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RevokedIssuer {
    pub(super) serial: SerialNumber,
    pub(super) revoked_at_secs: i64,
}

impl Groups {
    pub(super) fn of(state: &State) -> Self {
        let mut ids: Vec<AuthorityId> = state
            .issuers
            .iter()
            .map(|issuer| issuer.authority)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let all = ids
            .into_iter()
            .map(|id| Arc::new(Group::of(id, state)))
            .collect();
        Self { all }
    }

    pub(super) fn get(&self, id: AuthorityId) -> Option<&Arc<Group>> {
        self.all.iter().find(|group| group.id == id)
    }

    pub(super) fn contains(&self, id: AuthorityId) -> bool {
        self.get(id).is_some()
    }
}

impl Group {
    fn of(id: AuthorityId, state: &State) -> Self {
        let members: Vec<&Arc<IssuerState>> = state
            .issuers
            .iter()
            .filter(|issuer| issuer.authority == id)
            .collect();
        let default = &state.issuers_config.default;
        let is_default = members.iter().any(|issuer| issuer.record.id == *default);
        let mut candidates = members.clone();
        candidates.sort_by_key(|issuer| issuer.record.id != *default);
        let signer = candidates
            .iter()
            .find_map(|issuer| crl_signer(issuer, state));
        let revoked_issuers = revoked_issuers(&members, state);
        let mut group = Self {
            id,
            issuers: members
                .iter()
                .map(|issuer| issuer.record.id.clone())
                .collect(),
            signer,
            has_key: members
                .iter()
                .any(|issuer| state.signer_of(issuer).is_some()),
            is_default,
            own_serials: members
                .iter()
                .filter(|issuer| issuer.certificate.is_self_issued())
                .map(|issuer| issuer.certificate.serial())
                .collect(),
            revoked_issuers,
            fingerprint: String::new(),
        };
        group.fingerprint = group.fingerprint(state);
        group
    }

    fn fingerprint(&self, state: &State) -> String {
        // A disabled CRL is empty whatever happens, and is built once.
        if state.crl_config.disable {
            return "disabled".into();
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&state.crl_config.generation.to_be_bytes());
        for issuer in &self.revoked_issuers {
            hash.update(issuer.serial.to_hyphen_hex().as_bytes());
            hash.update(&issuer.revoked_at_secs.to_be_bytes());
        }
        if self.is_default {
            // Which revocations have no authority of their own depends on who is here.
            for issuer in &state.issuers {
                hash.update(issuer.record.id.as_bytes());
            }
        }
        let digest = hash.finish();
        hex::encode(digest.as_ref().get(..16).unwrap_or_default())
    }
}

pub(super) fn crl_signer(issuer: &IssuerState, state: &State) -> Option<CrlSigner> {
    if !issuer.record.usage.crl_signing {
        return None;
    }
    let signer = state.signer_of(issuer)?;
    let name = &issuer.record.revocation_signature_algorithm;
    let algorithm =
        SignatureAlgorithm::from_name(name).filter(|algorithm| algorithm.fits(signer.key().kind()));
    signer.can_sign_crls().then_some(CrlSigner {
        issuer: signer,
        algorithm,
    })
}

/// Revoked issuers of other authorities that one of `members` signed.
fn revoked_issuers(members: &[&Arc<IssuerState>], state: &State) -> Vec<RevokedIssuer> {
    let Some(parent) = members.first() else {
        return Vec::new();
    };
    let mut revoked: Vec<RevokedIssuer> = state
        .issuers
        .iter()
        .filter(|issuer| issuer.authority != parent.authority)
        .filter_map(|issuer| {
            let revoked_at = issuer.record.revoked_at?;
            // All members have the same name and key, so that the first speaks for all.
            let issued_here = issuer.certificate.is_signed_by(&parent.certificate);
            issued_here.then(|| RevokedIssuer {
                serial: issuer.certificate.serial(),
                revoked_at_secs: revoked_at.secs(),
            })
        })
        .collect();
    revoked.sort_by_key(|issuer| issuer.serial);
    revoked
}
