//! Does a role trust a certificate? Path validation (RFC 5280 §6) is webpki's.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use signet_pki::cert::Certificate;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use crate::time::Timestamp;

use super::describe::allows_client_authentication;
use super::role::{LoadedRole, Trusted};
use super::state::State;

/// What a client sent. The listener has checked that it has the key of the first.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) leaf: Certificate,
    /// As they came.
    intermediates: Vec<CertificateDer<'static>>,
}

/// Most certificates that are taken from a client besides its own.
const MAX_INTERMEDIATES: usize = 10;

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Untrusted {
    /// Nothing leads to what the role trusts.
    Unknown,
    Revoked,
    /// It leads there, and does not hold.
    Invalid(&'static str),
}

impl Presented {
    /// `None` without a certificate, or with one that cannot be read.
    pub(super) fn read(certificates: &[Vec<u8>]) -> Option<Self> {
        let (leaf, rest) = certificates.split_first()?;
        let intermediates = rest.iter().take(MAX_INTERMEDIATES);
        Some(Self {
            leaf: Certificate::parse_der(leaf.clone()).ok()?,
            intermediates: intermediates.cloned().map(CertificateDer::from).collect(),
        })
    }

    pub(super) fn check(
        &self,
        role: &LoadedRole,
        state: &State,
        now: Timestamp,
    ) -> Result<(), Untrusted> {
        match &role.trusted {
            Trusted::Pinned { leaf, .. } => self.check_pinned(leaf, state, now),
            Trusted::Authorities(authorities) => self.check_path(authorities, state, now),
        }
    }

    /// The certificate that the client's was made with, among what came and what the role trusts.
    pub(super) fn issuer(&self, role: &LoadedRole) -> Option<Certificate> {
        let presented = self
            .intermediates
            .iter()
            .filter_map(|der| Certificate::parse_der(der.to_vec()).ok());
        role.trusted
            .authorities()
            .iter()
            .cloned()
            .chain(presented)
            .find(|authority| self.leaf.is_signed_by(authority))
    }

    /// By all bytes: serial number, name and key of a forged certificate can be the same.
    fn check_pinned(
        &self,
        pinned: &Certificate,
        state: &State,
        now: Timestamp,
    ) -> Result<(), Untrusted> {
        if self.leaf.der() != pinned.der() {
            return Err(Untrusted::Unknown);
        }
        if !is_valid_at(pinned, now) {
            return Err(Untrusted::Invalid(EXPIRED));
        }
        if !allows_client_authentication(pinned) {
            return Err(Untrusted::Invalid(WRONG_USAGE));
        }
        if state.is_revoked(pinned) {
            return Err(Untrusted::Revoked);
        }
        Ok(())
    }

    fn check_path(
        &self,
        authorities: &[Certificate],
        state: &State,
        now: Timestamp,
    ) -> Result<(), Untrusted> {
        if state.is_revoked(&self.leaf) {
            return Err(Untrusted::Revoked);
        }
        // To webpki an anchor is a name and a key; its own end and revocation count here too.
        let anchors: Vec<CertificateDer<'_>> = authorities
            .iter()
            .filter(|authority| is_valid_at(authority, now) && !state.is_revoked(authority))
            .map(|authority| CertificateDer::from(authority.der()))
            .collect();
        let anchors: Vec<_> = anchors
            .iter()
            .filter_map(|der| anchor_from_trusted_cert(der).ok())
            .collect();
        let leaf = CertificateDer::from(self.leaf.der());
        let leaf = EndEntityCert::try_from(&leaf).map_err(|error| untrusted(&error))?;
        let secs = u64::try_from(now.secs()).unwrap_or_default();
        let checked = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &self.intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(secs)),
            KeyUsage::client_auth(),
            None,
            Some(&|path: &webpki::VerifiedPath<'_>| {
                let revoked = path.intermediate_certificates().any(|certificate| {
                    Certificate::parse_der(certificate.der().to_vec())
                        .map_or(true, |certificate| state.is_revoked(&certificate))
                });
                if revoked {
                    Err(Error::CertRevoked)
                } else {
                    Ok(())
                }
            }),
        );
        checked.map(drop).map_err(|error| untrusted(&error))
    }
}

const EXPIRED: &str = "x509: certificate has expired or is not yet valid";
const WRONG_USAGE: &str = "x509: certificate specifies an incompatible key usage";

fn untrusted(error: &Error) -> Untrusted {
    match error {
        Error::CertRevoked => Untrusted::Revoked,
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Untrusted::Invalid(EXPIRED),
        Error::RequiredEkuNotFoundContext(_) => Untrusted::Invalid(WRONG_USAGE),
        Error::UnsupportedCriticalExtension => {
            Untrusted::Invalid("x509: unhandled critical extension")
        }
        _ => Untrusted::Unknown,
    }
}

fn is_valid_at(certificate: &Certificate, now: Timestamp) -> bool {
    let validity = certificate.validity();
    (validity.not_before.0..=validity.not_after.0).contains(&now.secs())
}
