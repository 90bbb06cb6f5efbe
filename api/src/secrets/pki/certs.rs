//! `certs` and `cert/`: what was issued, and what of it is revoked.

use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::dn::{self, NameView};
use signet_pki::serial::SerialNumber;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::ca::{DER, PEM};
use crate::secrets::pki::records::{
    CERTIFICATES, CertificateRecord, REVOKED, RevokedRecord, certificate_path, revoked_path,
};
use crate::time::Timestamp;

pub(super) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs")];
    const HELP: &'static str = "List the serial numbers of the stored certificates.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        serials(cx, CERTIFICATES, &page).await
    }
}

pub(super) struct ListRevoked;

impl Endpoint for ListRevoked {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs/revoked")];
    const HELP: &'static str = "List the serial numbers of the revoked certificates.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        serials(cx, REVOKED, &page).await
    }
}

pub(super) struct ListDetailed;

impl Endpoint for ListDetailed {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs/detailed")];
    const HELP: &'static str = "List the stored certificates and what they say.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let mut wanted = Wanted::new(&page, MAX_DETAILED);
        let mut keys = Vec::new();
        let mut infos = Map::new();
        while let Some((after, limit)) = wanted.next_page() {
            let page = view.scan(CERTIFICATES, after.as_deref(), limit).await?;
            for (serial, entry) in &page {
                let serial = serial.replace('-', ":");
                // One that cannot be read is listed all the same: tidy finds it by its key.
                if let Ok(record) = CertificateRecord::decode(&entry.value)
                    && let Ok(certificate) = Certificate::parse_der(record.der)
                {
                    infos.insert(serial.clone(), detail(&certificate));
                }
                keys.push(serial);
            }
            wanted.took(page.len(), page.into_iter().next_back().map(|(key, _)| key));
            tokio::task::yield_now().await;
        }
        if keys.is_empty() {
            return Err(ApiError::not_found());
        }
        let cut = wanted.cut(cx, CERTIFICATES).await?;
        Ok(Reply::data(json!({ "key_info": infos, "keys": keys }))?.warn_all(cut))
    }
}

fn detail(certificate: &Certificate) -> Value {
    let validity = certificate.validity();
    let time = |at: i64| Timestamp::from_secs(at).rfc3339();
    let names = certificate.subject_alt_names().unwrap_or_default().dns;
    let names = (!names.is_empty()).then(|| names.into_iter().take(MAX_NAMES).collect::<Vec<_>>());
    let kind = certificate.public_key().kind();
    json!({
        "common_name": NameView::parse(certificate.subject_der()).unwrap_or_default().common_name,
        "issuer": dn::to_text(certificate.issuer_der()).unwrap_or_default(),
        "key_type": kind.type_name(),
        "key_bits": kind.bits(),
        "not_before": time(validity.not_before.0),
        "not_after": time(validity.not_after.0),
        "dns_names": names,
    })
}

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

/// A list of serial numbers, read page by page.
async fn serials(cx: Cx<'_, Pki>, prefix: &str, page: &PageParams) -> Result<Reply, ApiError> {
    let view = &cx.engine.env.view;
    let mut wanted = Wanted::new(page, MAX_KEYS);
    let mut keys = Vec::new();
    while let Some((after, limit)) = wanted.next_page() {
        let page = view.keys(prefix, after.as_deref(), limit).await?;
        keys.extend(page.iter().map(|serial| serial.replace('-', ":")));
        wanted.took(page.len(), page.into_iter().next_back());
        tokio::task::yield_now().await;
    }
    let cut = wanted.cut(cx, prefix).await?;
    Ok(Reply::keys(keys)?.warn_all(cut))
}

/// How much of a list is still to be read.
struct Wanted {
    after: Option<String>,
    left: usize,
    /// The answer is as long as answers get, although the caller asked for more.
    may_be_cut: bool,
    page: usize,
}

impl Wanted {
    fn new(page: &PageParams, most: usize) -> Self {
        let (after, limit) = page.bounds();
        Self {
            after: after.map(|after| after.to_ascii_lowercase().replace(':', "-")),
            left: limit.min(most),
            may_be_cut: limit > most,
            page: PAGE,
        }
    }

    fn next_page(&self) -> Option<(Option<String>, usize)> {
        let limit = self.left.min(self.page);
        (limit > 0).then(|| (self.after.clone(), limit))
    }

    fn took(&mut self, count: usize, last: Option<String>) {
        let asked = self.left.min(self.page);
        self.left -= count.min(asked);
        if count < asked {
            self.left = 0;
            self.may_be_cut = false;
        }
        if last.is_some() {
            self.after = last;
        }
    }

    /// What to say about entries that the answer leaves out.
    async fn cut(&self, cx: Cx<'_, Pki>, prefix: &str) -> Result<Option<String>, ApiError> {
        if !self.may_be_cut {
            return Ok(None);
        }
        let after = self.after.as_deref();
        let more = cx.engine.env.view.keys(prefix, after, 1).await?;
        Ok((!more.is_empty()).then(|| {
            let last = after.unwrap_or_default().replace('-', ":");
            format!("The list goes on; ask for what follows with the parameter after={last}.")
        }))
    }
}

/// Keys read in one go.
const PAGE: usize = 500;
/// Longest answer of a list: some megabytes.
const MAX_KEYS: usize = 100_000;
const MAX_DETAILED: usize = 10_000;
/// DNS names shown of each certificate.
const MAX_NAMES: usize = 5;
