//! `crls/{name}`: which certificates were taken back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::crl::Crl;
use signet_pki::pem;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::CertAuth;
use super::describe::decimal;

/// Most certificates on one list.
const MAX_ENTRIES: usize = 100_000;

/// What is kept of a CRL.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredCrl {
    /// DER of the issuer's name, in hexadecimal.
    issuer: String,
    /// Hexadecimal.
    serials: Vec<String>,
}

/// A certificate that was taken back.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Revoked {
    /// DER of the issuer's name.
    issuer: Vec<u8>,
    serial: Vec<u8>,
}

impl Revoked {
    pub(super) fn of(certificate: &Certificate) -> Self {
        Self {
            issuer: certificate.issuer_der().to_vec(),
            serial: certificate.serial().as_bytes().to_vec(),
        }
    }
}

impl Record for StoredCrl {
    const FORMAT: u8 = 1;
}

impl StoredCrl {
    fn of(crl: &Crl) -> Self {
        let serials = crl.revoked.iter();
        Self {
            issuer: hex::encode(crl.issuer_der()),
            serials: serials
                .map(|entry| hex::encode(entry.serial.as_bytes()))
                .collect(),
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<Revoked>, ApiError> {
        let read = |text: &String| hex::decode(text).map_err(ApiError::internal);
        let issuer = read(&self.issuer)?;
        self.serials
            .iter()
            .map(|serial| {
                Ok(Revoked {
                    issuer: issuer.clone(),
                    serial: read(serial)?,
                })
            })
            .collect()
    }
}

pub(super) struct List;

impl Endpoint for List {
    type Engine = CertAuth;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "crls")];
    const HELP: &'static str = "List the Certificate Revocation Lists.";

    async fn handle(cx: Cx<'_, CertAuth>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(cx.engine.store.crls.keys("", after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// The name of the certificate revocation list.
        name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = CertAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "crls/{name}")];
    const HELP: &'static str = "Read the serial numbers on a Certificate Revocation List.";

    async fn handle(cx: Cx<'_, CertAuth>, params: NameParams) -> Result<Reply, ApiError> {
        let stored = cx
            .engine
            .store
            .crls
            .record::<StoredCrl>(&params.name)
            .await?;
        let stored = stored.ok_or_else(|| no_such_crl(&params.name))?;
        let mut serials: Map<String, Value> = Map::new();
        for revoked in stored.value.entries()? {
            let serial =
                SerialNumber::from_magnitude(&revoked.serial).map_err(ApiError::internal)?;
            serials.insert(decimal(serial), json!({}));
        }
        Reply::data(json!({ "serials": serials }))
    }
}

pub(super) struct Write;

params! {
    pub(super) struct WriteParams {
        /// The public CRL that should be trusted to attest to certificates' validity statuses. Must be PEM encoded. Note: the expiration time is ignored; if the CRL is no longer valid, delete it using the same name as specified here.
        crl: String,
        /// The name of the certificate revocation list.
        name: String,
        /// Not supported: must be empty.
        url: String,
    }
}

impl Endpoint for Write {
    type Engine = CertAuth;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "crls/{name}")];
    const HELP: &'static str = "Give a Certificate Revocation List, in place of the one that was \
        there under this name.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, CertAuth>, params: WriteParams) -> Result<Reply, ApiError> {
        if !params.url.is_empty() {
            return Err(ApiError::bad_request(
                "fetching a CRL by 'url' is not supported; provide 'crl'",
            ));
        }
        if params.crl.is_empty() {
            return Err(ApiError::bad_request(
                "one of 'crl' or 'url' must be provided",
            ));
        }
        let unreadable = |text: &str| ApiError::bad_request(format!("failed to parse CRL: {text}"));
        let (block, _) = pem::next_block(&params.crl).ok_or_else(|| unreadable("no PEM data"))?;
        let crl = Crl::parse_der(&block.der).map_err(|error| unreadable(&error.to_string()))?;
        if crl.revoked.len() > MAX_ENTRIES {
            return Err(unreadable(&format!("more than {MAX_ENTRIES} entries")));
        }
        let mut batch = Batch::default();
        let crls = &cx.engine.store.crls;
        crls.put_record(&mut batch, &params.name, &StoredCrl::of(&crl))?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }

    async fn exists(cx: Cx<'_, CertAuth>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.store.crls.get(name).await?.is_some())
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = CertAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "crls/{name}")];
    const HELP: &'static str =
        "Delete a Certificate Revocation List: what is on it may log in again.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, CertAuth>, params: NameParams) -> Result<Reply, ApiError> {
        let crls = &cx.engine.store.crls;
        if crls.get(&params.name).await?.is_none() {
            return Err(no_such_crl(&params.name));
        }
        let mut batch = Batch::default();
        crls.delete(&mut batch, &params.name);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

fn no_such_crl(name: &str) -> ApiError {
    ApiError::bad_request(format!("no such CRL {name}"))
}
