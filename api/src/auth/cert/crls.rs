//! `crls/{name}`: which certificates were taken back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::crl::Crl;
use signet_pki::pem;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Expect, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::outbound::{self, Outbound, Trust};
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::route::Captures;
use crate::time::Timestamp;

use super::CertAuth;
use super::describe::decimal;
use super::state::{State, Store};

/// Most certificates on one list.
const MAX_ENTRIES: usize = 100_000;

/// What is kept of a CRL.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredCrl {
    /// DER of the issuer's name, in hexadecimal.
    issuer: String,
    /// Hexadecimal.
    serials: Vec<String>,
    #[serde(default)]
    source: Option<Source>,
}

/// From where a CRL was fetched, and will be again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Source {
    url: String,
    fetched_at: Timestamp,
    /// `nextUpdate` of the CRL.
    valid_until: Option<Timestamp>,
}

/// A CRL is fetched again after this time, or when its own has come.
const REFRESH_SECS: u64 = 3600;
const MAX_CRL_BYTES: usize = 16 * 1024 * 1024;

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
    fn of(crl: &Crl) -> Result<Self, String> {
        if crl.revoked.len() > MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} entries"));
        }
        let serials = crl.revoked.iter();
        Ok(Self {
            issuer: hex::encode(crl.issuer_der()),
            serials: serials
                .map(|entry| hex::encode(entry.serial.as_bytes()))
                .collect(),
            source: None,
        })
    }

    /// Anybody between here and an `http` server can change what it sends; so it has to be signed by
    /// an authority of that name, if there is one that a role trusts.
    async fn fetch(
        url: &str,
        state: &State,
        outbound: &dyn Outbound,
        now: Timestamp,
    ) -> Result<Self, String> {
        let request = outbound::Request {
            max_response_bytes: MAX_CRL_BYTES,
            ..outbound::Request::get(url, Trust::System)
        };
        let response = outbound.send(request).await;
        let response = response.map_err(|fault| fault.to_string())?;
        if response.status != 200 {
            return Err(format!("status {}", response.status));
        }
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        let block = pem::next_block(text);
        let der = match &block {
            Some((block, _)) => block.der.as_slice(),
            None => &response.body,
        };
        let crl = Crl::parse_der(der).map_err(|error| error.to_string())?;
        if !state.may_have_signed(&crl) {
            return Err("the signature is not of the issuer that a role trusts".into());
        }
        let stored = Self::of(&crl)?;
        Ok(Self {
            source: Some(Source {
                url: url.into(),
                fetched_at: now,
                valid_until: crl.next_update.map(|at| Timestamp::from_secs(at.0)),
            }),
            ..stored
        })
    }

    fn url_to_fetch(&self, now: Timestamp) -> Option<&str> {
        let source = self.source.as_ref()?;
        let refresh_at = source.fetched_at.plus_secs(REFRESH_SECS);
        let due = source
            .valid_until
            .map_or(refresh_at, |end| end.min(refresh_at));
        (now >= due).then_some(&source.url)
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
        Reply::data(match stored.value.source {
            None => json!({ "serials": serials }),
            Some(source) => json!({
                "serials": serials,
                "cdp": {
                    "url": source.url,
                    "valid_until": source.valid_until.map(Timestamp::rfc3339),
                },
            }),
        })
    }
}

pub(super) struct Write;

params! {
    pub(super) struct WriteParams {
        /// The public CRL that should be trusted to attest to certificates' validity statuses. Must be PEM encoded. Note: the expiration time is ignored; if the CRL is no longer valid, delete it using the same name as specified here.
        crl: String,
        /// The name of the certificate revocation list.
        name: String,
        /// From where to fetch the CRL, now and again every hour, instead of giving it.
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
        let store = &cx.engine.store;
        let stored = match (params.crl.as_str(), params.url.as_str()) {
            ("", "") => {
                return Err(ApiError::bad_request(
                    "one of 'crl' or 'url' must be provided",
                ));
            }
            ("", url) => {
                let state = store.state().await?;
                let outbound = cx.request.node.environment.outbound.as_ref();
                StoredCrl::fetch(url, &state, outbound, cx.request.now)
                    .await
                    .map_err(|fault| {
                        ApiError::bad_request(format!("failed to fetch CRL: Get {url:?}: {fault}"))
                    })?
            }
            (text, "") => {
                let (block, _) = pem::next_block(text).ok_or_else(|| unreadable(&"no PEM data"))?;
                let crl = Crl::parse_der(&block.der).map_err(|error| unreadable(&error))?;
                StoredCrl::of(&crl).map_err(|error| unreadable(&error))?
            }
            _ => {
                return Err(ApiError::bad_request(
                    "only one of 'crl' and 'url' may be provided",
                ));
            }
        };
        let mut batch = Batch::default();
        let crls = &store.crls;
        crls.put_record(&mut batch, &params.name, &stored)?;
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

/// Fetches what is due again. A CRL that cannot be had stays as it was: what is on it is not forgotten.
pub(super) async fn refresh(
    store: &Store,
    outbound: &dyn Outbound,
    now: Timestamp,
) -> Result<(), ApiError> {
    for name in store.crls.keys("", None, usize::MAX).await? {
        let Some(stored) = store.crls.record::<StoredCrl>(&name).await? else {
            continue;
        };
        let Some(url) = stored.value.url_to_fetch(now) else {
            continue;
        };
        let state = store.state().await?;
        match StoredCrl::fetch(url, &state, outbound, now).await {
            Ok(fetched) => {
                let mut batch = Batch::default();
                let crls = &store.crls;
                crls.expect(&mut batch, &name, Expect::Version(stored.version));
                crls.put_record(&mut batch, &name, &fetched)?;
                crls.commit(batch).await?;
            }
            Err(fault) => tracing::warn!(name, url, fault, "a CRL could not be fetched again"),
        }
    }
    Ok(())
}

fn unreadable(reason: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("failed to parse CRL: {reason}"))
}

fn no_such_crl(name: &str) -> ApiError {
    ApiError::bad_request(format!("no such CRL {name}"))
}
