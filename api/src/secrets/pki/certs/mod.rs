//! `cert/`: what was issued, and what of it is revoked. Lists of it are in [`list`].

pub(super) mod counts;
pub(super) mod index;
pub(super) mod list;

use serde_json::json;
use signet_pki::cert::Certificate;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::ca::{DER, PEM};
use crate::secrets::pki::records::{
    CertificateRecord, RevokedRecord, certificate_path, revoked_path,
};

params! {
    pub(super) struct SerialParams {
        /// Serial number of the certificate, its octets separated by colons or hyphens.
        serial: String,
    }
}

pub(super) struct Fetch;

impl Endpoint for Fetch {
    type Engine = Pki;
    type Params = SerialParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Read, "cert/{serial:serial}")];
    const HELP: &'static str = "Fetch a certificate by its serial number.";

    async fn handle(cx: Cx<'_, Pki>, params: SerialParams) -> Result<Reply, ApiError> {
        let Some((serial, record)) = stored(cx, &params.serial).await? else {
            return Err(ApiError::not_found());
        };
        let pem = signet_pki::pem::encode_without_newline("CERTIFICATE", &record.der);
        let mut data = json!({
            "certificate": pem,
            "revocation_time": 0,
            "revocation_time_rfc3339": "",
        });
        if let Some(revoked) = cx.engine.revoked(serial).await?
            && let Some(data) = data.as_object_mut()
        {
            data.insert("revocation_time".into(), revoked.revoked_at.secs().into());
            let text = revoked.revoked_at.rfc3339();
            data.insert("revocation_time_rfc3339".into(), text.into());
            if !revoked.issuer_id.is_empty() {
                data.insert("issuer_id".into(), revoked.issuer_id.into());
            }
        }
        Reply::data(data)
    }
}

pub(super) struct FetchRaw;

impl Endpoint for FetchRaw {
    type Engine = Pki;
    type Params = SerialParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "cert/{serial:serial}/raw"),
        Route::unauthenticated(Op::Read, "cert/{serial:serial}/raw/pem"),
    ];
    const HELP: &'static str = "Fetch a certificate by its serial number, not wrapped in JSON.";

    async fn handle(cx: Cx<'_, Pki>, params: SerialParams) -> Result<Reply, ApiError> {
        let is_pem = cx.relative_path().ends_with("/pem");
        let content_type = if is_pem { PEM } else { DER };
        let Some((_, record)) = stored(cx, &params.serial).await? else {
            return Ok(Reply::raw(content_type, "").status(204));
        };
        Ok(if is_pem {
            let pem = signet_pki::pem::encode_without_newline("CERTIFICATE", &record.der);
            Reply::raw(content_type, pem)
        } else {
            Reply::raw(content_type, record.der)
        })
    }
}

async fn stored(
    cx: Cx<'_, Pki>,
    text: &str,
) -> Result<Option<(SerialNumber, CertificateRecord)>, ApiError> {
    let Ok(serial) = SerialNumber::parse(text) else {
        return Ok(None);
    };
    let record = cx.engine.certificate(serial).await?;
    Ok(record.map(|record| (serial, record)))
}

impl Pki {
    /// Adds a certificate to the commit that must come before the answer. `role` is the name of
    /// the one that allowed it; empty for none.
    pub(super) fn put_certificate(
        &self,
        batch: &mut Batch,
        issuer_id: &str,
        role: &str,
        certificate: &Certificate,
    ) {
        let path = certificate_path(certificate.serial());
        // Serial numbers never repeat, whatever the generator gave.
        self.env.view.expect(batch, &path, Expect::Absent);
        let record = CertificateRecord::encode(issuer_id, role, certificate.der());
        self.env.view.put(batch, &path, record);
        for path in self.index.paths(issuer_id, certificate) {
            self.env.view.put(batch, &path, Vec::new());
        }
    }

    /// Adds the deletion of a certificate, stored as `record`, to a commit.
    pub(super) fn delete_certificate(
        &self,
        batch: &mut Batch,
        serial: SerialNumber,
        record: &[u8],
    ) {
        self.env.view.delete(batch, &certificate_path(serial));
        // What cannot be read has no place in an index either.
        if let Ok(record) = CertificateRecord::decode(record)
            && let Ok(certificate) = Certificate::parse_der(record.der)
        {
            for path in self.index.paths(&record.issuer_id, &certificate) {
                self.env.view.delete(batch, &path);
            }
        }
    }

    /// The stored certificate with this serial number.
    pub(super) async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<CertificateRecord>, ApiError> {
        let entry = self.env.view.get(&certificate_path(serial)).await?;
        entry
            .map(|entry| CertificateRecord::decode(&entry.value))
            .transpose()
    }

    /// The revocation of the certificate with this serial number.
    pub(super) async fn revoked(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<RevokedRecord>, ApiError> {
        let entry = self.env.view.get(&revoked_path(serial)).await?;
        entry
            .map(|entry| RevokedRecord::decode(&entry.value))
            .transpose()
    }
}
