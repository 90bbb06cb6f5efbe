//! From what was vetted to a certificate on disk: the one place where certificates are signed.

use std::sync::Arc;

use signet_pki::cert::Certificate;
use signet_pki::cert::build::Vetted;
use signet_pki::issuer::Issuer;
use signet_pki::key::{KeyKind, PrivateKey};
use signet_pki::serial::SerialNumber;

use crate::error::{ApiError, ErrorKind};
use crate::secrets::pki::Pki;
use crate::secrets::pki::state::{CannotSign, IssuerState, NotFound, State};
use crate::time::Timestamp;

impl Pki {
    /// The issuer that a request names, if it may sign certificates.
    pub(super) fn signing_issuer<'s>(
        state: &'s State,
        reference: &str,
    ) -> Result<(&'s Arc<IssuerState>, &'s Arc<Issuer>), ApiError> {
        let could_not_fetch = |detail: &dyn std::fmt::Display| {
            let text = format!("could not fetch the CA certificate (was one set?): {detail}");
            ApiError::listed(ErrorKind::Internal, text)
        };
        let issuer: &Arc<IssuerState> = state
            .issuer(reference)
            .map_err(|error: NotFound| could_not_fetch(&error))?;
        let record = &issuer.record;
        let signer = match &issuer.signer {
            Ok(signer) => signer,
            Err(CannotSign::NoKey) => {
                return Err(could_not_fetch(&format!(
                    "unable to fetch corresponding key for issuer {}; unable to use this issuer \
                     for signing",
                    record.id
                )));
            }
            Err(CannotSign::Urls(detail)) => {
                let text = format!(
                    "error fetching CA certificate: unable to fetch AIA URL information: {detail}"
                );
                return Err(ApiError::listed(ErrorKind::Internal, text));
            }
        };
        if !record.usage.issuing_certificates {
            let text = format!(
                "error fetching CA certificate: error while attempting to use issuer {id}: \
                 requested usage issuing-certificates for issuer [id:{id} / name:{name}] but only \
                 had usage {usage}",
                id = record.id,
                name = record.name,
                usage = record.usage.names(),
            );
            return Err(ApiError::listed(ErrorKind::Internal, text));
        }
        Ok((issuer, signer))
    }

    /// Signs what was vetted.
    pub(super) async fn sign(
        &self,
        vetted: Vetted,
        issuer: &Arc<Issuer>,
        now: Timestamp,
    ) -> Result<Certificate, ApiError> {
        let serial = self.new_serial(now)?;
        self.sign_with_serial(vetted, issuer, serial).await
    }

    /// Signs what was vetted under a serial number that it has already.
    pub(super) async fn sign_with_serial(
        &self,
        vetted: Vetted,
        issuer: &Arc<Issuer>,
        serial: SerialNumber,
    ) -> Result<Certificate, ApiError> {
        if let Some(name) = vetted.forbidden_name(issuer) {
            return Err(ApiError::bad_request(format!(
                "subject alternate name {name} is outside of the name constraints of the issuer"
            )));
        }
        let signed = if is_slow(issuer.key().kind()) {
            let issuer = issuer.clone();
            self.env
                .environment
                .pool
                .run(move || vetted.build(&issuer, serial).sign())
                .await?
        } else {
            vetted.build(issuer, serial).sign()
        };
        signed.map_err(|error| {
            ApiError::listed(ErrorKind::Internal, format!("error signing cert: {error}"))
        })
    }

    /// A key pair that nobody has yet.
    pub(super) async fn generate_key(&self, kind: KeyKind) -> Result<PrivateKey, ApiError> {
        if let Some(key) = self.env.environment.keys_ahead.take(kind) {
            return Ok(key);
        }
        let made = if is_slow(kind) {
            self.env
                .environment
                .key_pool
                .run(move || PrivateKey::generate(kind))
                .await?
        } else {
            PrivateKey::generate(kind)
        };
        made.map_err(ApiError::internal)
    }

    pub(super) fn new_serial(&self, now: Timestamp) -> Result<SerialNumber, ApiError> {
        let mut random = [0; 14];
        self.env.environment.rng.fill(&mut random)?;
        let millis = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
        Ok(SerialNumber::new(millis, random))
    }
}

/// Would one operation with such a key hold up other requests? (About 25 µs with P-256 and
/// Ed25519, from 100 µs to 100 ms with the others.)
pub(super) fn is_slow(kind: KeyKind) -> bool {
    use signet_pki::key::Curve;
    !matches!(kind, KeyKind::Ec(Curve::P256) | KeyKind::Ed25519)
}
