//! `revoke` and `revoke-with-key`.
//!
//! Revoking is one commit whose cost does not depend on how much is revoked already: the record
//! that OCSP reads, and the note from which the next CRL is built.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::key::PrivateKey;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{SecretText, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::records::{AuthorityId, RevokedRecord, revoked_path};
use crate::secrets::pki::state::State;
use crate::time::Timestamp;

/// Name of the serial number in what a lease on a certificate notes.
pub(super) const LEASED_SERIAL: &str = "serial_number";

params! {
    pub(super) struct RevokeParams {
        /// Serial number of the certificate, its octets separated by colons or hyphens.
        serial_number: Option<String>,
        /// The certificate in PEM, instead of its serial number.
        certificate: Option<String>,
    }
}

pub(super) struct Revoke;

impl Endpoint for Revoke {
    type Engine = Pki;
    type Params = RevokeParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke")];
    const HELP: &'static str = "Revoke a certificate by serial number or with the certificate.";

    async fn handle(cx: Cx<'_, Pki>, params: RevokeParams) -> Result<Reply, ApiError> {
        let given = Given::new(params.serial_number, params.certificate)?;
        let state = cx.engine.state.state().await?;
        let target = given.find(cx, &state).await?;
        revoke(cx, &state, target).await
    }
}

params! {
    pub(super) struct RevokeWithKeyParams {
        /// Serial number of the certificate, its octets separated by colons or hyphens.
        serial_number: Option<String>,
        /// The certificate in PEM, instead of its serial number.
        certificate: Option<String>,
        /// The certificate's private key in PEM.
        private_key: Option<SecretText>,
    }
}

pub(super) struct RevokeWithKey;

impl Endpoint for RevokeWithKey {
    type Engine = Pki;
    type Params = RevokeWithKeyParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke-with-key")];
    const HELP: &'static str = "Revoke a certificate by proving to have its private key.";

    async fn handle(cx: Cx<'_, Pki>, params: RevokeWithKeyParams) -> Result<Reply, ApiError> {
        let given = Given::new(params.serial_number, params.certificate)?;
        let Some(SecretText(key)) = params.private_key else {
            return Err(ApiError::bad_request(
                "Must have private key to revoke via the /revoke-with-key path.",
            ));
        };
        if key.len() < MIN_KEY_CHARACTERS {
            return Err(ApiError::bad_request(
                "Provided data for private_key was too short; perhaps a path was passed to the \
                 API rather than the contents of a PEM file?",
            ));
        }
        let state = cx.engine.state.state().await?;
        let target = given.find(cx, &state).await?;
        let key = PrivateKey::from_pem(&key).map_err(|_| {
            refused("provided key PEM block contained no data or failed to parse".into())
        })?;
        let (ours, theirs) = (target.certificate.public_key(), key.public_key());
        if ours.kind().type_name() != theirs.kind().type_name() {
            return Err(refused(
                "provided private key type does not match certificate's public key type".into(),
            ));
        }
        if ours != theirs {
            return Err(refused(
                "provided private key does not match certificate's public key".into(),
            ));
        }
        revoke(cx, &state, target).await
    }
}

/// What the caller names the certificate with.
enum Given {
    Certificate(String),
    Serial(String),
}

/// The certificate to revoke.
pub(super) struct Target {
    pub(super) certificate: Certificate,
    /// Empty when unknown.
    pub(super) issuer_id: String,
    pub(super) is_stored: bool,
}

impl Given {
    fn new(serial: Option<String>, certificate: Option<String>) -> Result<Self, ApiError> {
        match (serial, certificate) {
            (Some(_), Some(_)) => Err(ApiError::bad_request(
                "Must provide either the certificate or the serial to revoke; not both.",
            )),
            (None, None) => Err(ApiError::bad_request(
                "The serial number or certificate to revoke must be provided.",
            )),
            (Some(serial), None) => Ok(Self::Serial(serial)),
            (None, Some(certificate)) => Ok(Self::Certificate(certificate)),
        }
    }

    async fn find(&self, cx: Cx<'_, Pki>, state: &State) -> Result<Target, ApiError> {
        match self {
            Self::Certificate(pem) => find_by_certificate(cx, state, pem).await,
            Self::Serial(serial) => find_by_serial(cx, serial).await,
        }
    }
}

async fn find_by_serial(cx: Cx<'_, Pki>, text: &str) -> Result<Target, ApiError> {
    if text.is_empty() {
        return Err(ApiError::bad_request("The serial number must be provided"));
    }
    let record = match SerialNumber::parse(text) {
        Ok(serial) => cx.engine.certificate(serial).await?,
        Err(_) => None,
    };
    let record = record.ok_or_else(|| {
        ApiError::bad_request(format!("certificate with serial {text} not found."))
    })?;
    let certificate = Certificate::parse_der(record.der)
        .map_err(|error| refused(format!("certificate could not be parsed: {error}")))?;
    Ok(Target {
        certificate,
        issuer_id: record.issuer_id,
        is_stored: true,
    })
}

async fn find_by_certificate(
    cx: Cx<'_, Pki>,
    state: &State,
    pem: &str,
) -> Result<Target, ApiError> {
    use signet_pki::cert::CertificateError;
    if pem.len() < MIN_CERTIFICATE_CHARACTERS {
        return Err(refused(
            "provided certificate data was too short; perhaps a path was passed to the API \
             rather than the contents of a PEM file"
                .into(),
        ));
    }
    let certificate = Certificate::parse_pem(pem).map_err(|error| match error {
        CertificateError::NoPemBlock => refused("certificate contains no PEM data".into()),
        other => refused(format!("certificate could not be parsed: {other}")),
    })?;
    if let Some(stored) = cx.engine.certificate(certificate.serial()).await? {
        if stored.der != certificate.der() {
            return Err(refused(
                "certificate with same serial but unequal value already present in this \
                 cluster's storage; refusing to revoke"
                    .into(),
            ));
        }
        return Ok(Target {
            certificate,
            issuer_id: stored.issuer_id,
            is_stored: true,
        });
    }
    let issuer = state
        .issuers
        .iter()
        .find(|issuer| certificate.is_signed_by(&issuer.certificate))
        .ok_or_else(|| {
            refused(
                "unable to verify signature on presented cert from any present issuer in this \
                 mount; certificates from previous CAs will need to have their issuing CA and \
                 key re-imported if revocation is necessary"
                    .into(),
            )
        })?;
    Ok(Target {
        certificate,
        issuer_id: issuer.record.id.clone(),
        is_stored: false,
    })
}

pub(super) async fn revoke(
    cx: Cx<'_, Pki>,
    state: &Arc<State>,
    target: Target,
) -> Result<Reply, ApiError> {
    let certificate = &target.certificate;
    if let Some(id) = issuer_with(state, certificate) {
        return Err(ApiError::bad_request(format!(
            "adding issuer (id: {id}) to its own CRL is not allowed"
        )));
    }
    let serial = certificate.serial();
    if let Some(revoked) = cx.engine.revoked(serial).await? {
        return answer(&revoked);
    }
    if is_expired(certificate, cx.now) && !state.crl_config.allow_expired_cert_revocation {
        return Ok(Reply::empty_data().warn(format!(
            "certificate with serial {} already expired; refusing to add to CRL. Enable \
             'AllowExpiredCertRevocation' to allow revoking expired certificates.",
            serial.to_colon_hex()
        )));
    }
    let mut batch = Batch::default();
    if !target.is_stored {
        cx.engine
            .put_certificate(&mut batch, &target.issuer_id, "", certificate);
        cx.engine
            .count_late(&mut batch, &target.issuer_id, serial)
            .await?;
    }
    let revoked = revocation(state, certificate, &target.issuer_id, cx.now);
    cx.engine.put_revocation(&mut batch, serial, &revoked);
    cx.commit(batch).await?;
    let authority = revoked.authority;
    let next = cx
        .engine
        .crls
        .next_rebuild(state, authority, cx.now)
        .await?;
    Ok(answer(&revoked)?.warn_all(next.map(|at| {
        format!(
            "CRLs are rebuilt automatically (auto_rebuild): the certificate will be on a CRL \
             after the next rebuild, which is due at {at}. OCSP tells of the revocation already."
        )
    })))
}

fn answer(revoked: &RevokedRecord) -> Result<Reply, ApiError> {
    Reply::data(json!({
        "revocation_time": revoked.revoked_at.secs(),
        "revocation_time_rfc3339": revoked.revoked_at.rfc3339(),
        "state": "revoked",
    }))
}

/// The issuer of the mount whose own certificate has this issuer name and serial number, which is
/// what names a certificate.
fn issuer_with<'s>(state: &'s State, certificate: &Certificate) -> Option<&'s str> {
    state
        .issuers
        .iter()
        .find(|issuer| {
            issuer.certificate.serial() == certificate.serial()
                && issuer.certificate.issuer_der() == certificate.issuer_der()
        })
        .map(|issuer| issuer.record.id.as_str())
}

/// Has it ended, or is about to before anybody could see the revocation?
fn is_expired(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.validity().not_after.0 < now.secs().saturating_add(2)
}

/// The record of a revocation, on the CRL of the authority that issued the certificate.
pub(super) fn revocation(
    state: &State,
    certificate: &Certificate,
    issuer_id: &str,
    now: Timestamp,
) -> RevokedRecord {
    let issuer = state
        .issuers
        .iter()
        .find(|issuer| issuer.record.id == issuer_id)
        .or_else(|| {
            // The issuer was deleted; it may have been imported again.
            state
                .issuers
                .iter()
                .find(|issuer| certificate.is_signed_by(&issuer.certificate))
        });
    RevokedRecord {
        revoked_at: now,
        not_after: Timestamp::from_secs(certificate.validity().not_after.0),
        authority: issuer.map_or(AuthorityId::UNKNOWN, |issuer| issuer.authority),
        issuer_id: issuer.map_or_else(String::new, |issuer| issuer.record.id.clone()),
    }
}

impl Pki {
    /// Adds a revocation to a commit, which fails if the certificate is revoked already.
    pub(super) fn put_revocation(
        &self,
        batch: &mut Batch,
        serial: SerialNumber,
        revoked: &RevokedRecord,
    ) {
        let path = revoked_path(serial);
        self.env.view.expect(batch, &path, Expect::Absent);
        self.env.view.put(batch, &path, revoked.encode());
        self.crls.put_pending(batch, revoked.authority, serial);
    }

    /// Revokes the certificate of a lease that has ended, unless it has ended too.
    pub(super) async fn revoke_leased(
        &self,
        lease: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let serial = lease.get(LEASED_SERIAL).and_then(Value::as_str);
        let Some(Ok(serial)) = serial.map(SerialNumber::parse) else {
            tracing::error!("lease on a certificate without serial number");
            return Ok(());
        };
        let Some(record) = self.certificate(serial).await? else {
            return Ok(());
        };
        let certificate = Certificate::parse_der(record.der).map_err(ApiError::internal)?;
        let state = self.state.state().await?;
        if self.revoked(serial).await?.is_some()
            || issuer_with(&state, &certificate).is_some()
            || (is_expired(&certificate, now) && !state.crl_config.allow_expired_cert_revocation)
        {
            return Ok(());
        }
        let mut batch = Batch::default();
        let revoked = revocation(&state, &certificate, &record.issuer_id, now);
        self.put_revocation(&mut batch, serial, &revoked);
        match self.env.view.commit(batch).await.map_err(ApiError::from) {
            // Somebody else has just revoked it.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Errors of the caller that come as lists of one.
fn refused(text: String) -> ApiError {
    ApiError::listed(ErrorKind::BadRequest, text)
}

/// Less is no PEM.
const MIN_KEY_CHARACTERS: usize = 64;
const MIN_CERTIFICATE_CHARACTERS: usize = 75;
