//! Lists of certificates: `certs`, `certs/detailed` and `certs/revoked`.

use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::dn::{self, NameView};
use signet_pki::serial::SerialNumber;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, Seconds, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::certs::index;
use crate::secrets::pki::records::{CERTIFICATES, CertificateRecord, REVOKED};
use crate::time::Timestamp;

params! {
    pub(in crate::secrets::pki) struct ListParams {
        /// Optional entry to list begin listing after, not required to exist.
        after: String,
        /// Optional number of entries to return; defaults to all entries.
        limit: i64,
        /// Only certificates whose validity ends within this time, in the order of their ends.
        expiring_within: Option<Seconds>,
        /// Only certificates of this issuer: its id, its name or `default`. In the order of their ends.
        issuer: String,
        /// Only certificates with this common name or subject alternative name.
        name: String,
    }
}

impl ListParams {
    fn split(self) -> (PageParams, Filter) {
        let page = PageParams {
            after: self.after,
            limit: self.limit,
        };
        let filter = Filter {
            expiring_within: self.expiring_within,
            issuer: self.issuer,
            name: self.name.to_ascii_lowercase(),
        };
        (page, filter)
    }
}

pub(in crate::secrets::pki) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs")];
    const HELP: &'static str = "List the serial numbers of the stored certificates.";

    async fn handle(cx: Cx<'_, Pki>, params: ListParams) -> Result<Reply, ApiError> {
        let (page, filter) = params.split();
        if filter.is_empty() {
            return serials(cx, CERTIFICATES, &page).await;
        }
        let found = filter.find(cx, &page, MAX_KEYS).await?;
        let keys = found.serials.iter().map(SerialNumber::to_colon_hex);
        Ok(Reply::keys(keys.collect())?.warn_all(found.cut))
    }
}

pub(in crate::secrets::pki) struct ListRevoked;

impl Endpoint for ListRevoked {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs/revoked")];
    const HELP: &'static str = "List the serial numbers of the revoked certificates.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        serials(cx, REVOKED, &page).await
    }
}

pub(in crate::secrets::pki) struct ListDetailed;

impl Endpoint for ListDetailed {
    type Engine = Pki;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "certs/detailed")];
    const HELP: &'static str = "List the stored certificates and what they say.";

    async fn handle(cx: Cx<'_, Pki>, params: ListParams) -> Result<Reply, ApiError> {
        let (page, filter) = params.split();
        if !filter.is_empty() {
            let found = filter.find(cx, &page, MAX_DETAILED).await?;
            let mut details = Details::default();
            for serial in found.serials {
                let record = cx.engine.certificate(serial).await?;
                details.add(serial.to_colon_hex(), record);
            }
            return Ok(details.reply()?.warn_all(found.cut));
        }
        let view = &cx.engine.env.view;
        let mut wanted = Wanted::new(&page, MAX_DETAILED);
        let mut details = Details::default();
        while let Some((after, limit)) = wanted.next_page() {
            let page = view.scan(CERTIFICATES, after.as_deref(), limit).await?;
            for (serial, entry) in &page {
                // One that cannot be read is listed all the same: tidy finds it by its key.
                let record = CertificateRecord::decode(&entry.value).ok();
                details.add(serial.replace('-', ":"), record);
            }
            wanted.took(page.len(), page.into_iter().next_back().map(|(key, _)| key));
            tokio::task::yield_now().await;
        }
        let cut = wanted.cut(cx, CERTIFICATES).await?;
        Ok(details.reply()?.warn_all(cut))
    }
}

/// The answer to `certs/detailed`.
#[derive(Default)]
struct Details {
    keys: Vec<String>,
    infos: Map<String, Value>,
}

impl Details {
    fn add(&mut self, serial: String, record: Option<CertificateRecord>) {
        let certificate = record.and_then(|record| Certificate::parse_der(record.der).ok());
        if let Some(certificate) = certificate {
            self.infos.insert(serial.clone(), detail(&certificate));
        }
        self.keys.push(serial);
    }

    fn reply(self) -> Result<Reply, ApiError> {
        if self.keys.is_empty() {
            return Err(ApiError::not_found());
        }
        Reply::data(json!({ "key_info": self.infos, "keys": self.keys }))
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

/// Which certificates a caller wants.
struct Filter {
    expiring_within: Option<Seconds>,
    /// Empty for any.
    issuer: String,
    /// In lower case; empty for any.
    name: String,
}

/// What a filter leaves, a page of it.
struct FoundCertificates {
    serials: Vec<SerialNumber>,
    /// A warning that there are more than an answer holds.
    cut: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.expiring_within.is_none() && self.issuer.is_empty() && self.name.is_empty()
    }

    async fn find(
        &self,
        cx: Cx<'_, Pki>,
        page: &PageParams,
        most: usize,
    ) -> Result<FoundCertificates, ApiError> {
        let (after, limit) = page.bounds();
        let after = after
            .map(|text| SerialNumber::parse(text).map_err(|_| unknown_after(text)))
            .transpose()?;
        let issuer_id = self.issuer_id(cx).await?;
        let ends = self.ends(cx.now);
        // One more, to see whether there are more.
        let wanted = limit.min(most).saturating_add(1);
        let mut serials = if self.name.is_empty() {
            by_end(cx, issuer_id.as_deref(), ends, after, wanted).await?
        } else {
            self.by_name(cx, issuer_id.as_deref(), ends, after, wanted)
                .await?
        };
        let is_cut = serials.len() == wanted && limit > most;
        serials.truncate(wanted - 1);
        let cut = serials.last().filter(|_| is_cut).map(goes_on);
        Ok(FoundCertificates { serials, cut })
    }

    /// The id of the issuer that the caller names; it need not be here any more.
    async fn issuer_id(&self, cx: Cx<'_, Pki>) -> Result<Option<String>, ApiError> {
        if self.issuer.is_empty() {
            return Ok(None);
        }
        let state = cx.engine.state.state().await?;
        match state.issuer(&self.issuer) {
            Ok(issuer) => Ok(Some(issuer.record.id.clone())),
            Err(_) if uuid_like(&self.issuer) => Ok(Some(self.issuer.to_ascii_lowercase())),
            Err(error) => Err(ApiError::bad_request(error.to_string())),
        }
    }

    /// Between which seconds the validity ends, both included.
    fn ends(&self, now: Timestamp) -> (i64, i64) {
        match self.expiring_within {
            None => (0, i64::MAX),
            Some(Seconds(secs)) => {
                let secs = i64::try_from(secs).unwrap_or(i64::MAX);
                (now.secs(), now.secs().saturating_add(secs))
            }
        }
    }

    async fn by_name(
        &self,
        cx: Cx<'_, Pki>,
        issuer_id: Option<&str>,
        (first, last): (i64, i64),
        after: Option<SerialNumber>,
        wanted: usize,
    ) -> Result<Vec<SerialNumber>, ApiError> {
        let folder = cx.engine.index.name_folder(&self.name);
        let mut after = after.map(|serial| hex::encode(serial.as_bytes()));
        let mut found = Vec::new();
        loop {
            let page = cx
                .engine
                .env
                .view
                .keys(&folder, after.as_deref(), PAGE)
                .await?;
            let is_full = page.len() == PAGE;
            for serial in page.iter().filter_map(|key| index::parse_serial(key)) {
                let Some(record) = cx.engine.certificate(serial).await? else {
                    continue;
                };
                let is_of_issuer = issuer_id.is_none_or(|id| id == record.issuer_id);
                let Ok(certificate) = Certificate::parse_der(record.der) else {
                    continue;
                };
                let end = certificate.validity().not_after.0;
                // The folder is of a hash, which other names may share.
                let matches = is_of_issuer
                    && (first..=last).contains(&end)
                    && index::names(&certificate).contains(&self.name);
                if matches {
                    found.push(serial);
                }
                if found.len() == wanted {
                    return Ok(found);
                }
            }
            after = page.into_iter().next_back();
            if !is_full {
                return Ok(found);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Certificates in the order of the ends of their validity.
async fn by_end(
    cx: Cx<'_, Pki>,
    issuer_id: Option<&str>,
    (first, last): (i64, i64),
    after: Option<SerialNumber>,
    wanted: usize,
) -> Result<Vec<SerialNumber>, ApiError> {
    let view = &cx.engine.env.view;
    let folders = match issuer_id {
        Some(id) => vec![index::issuer_folder(id)],
        None => view
            .children(index::ENDS, None, MAX_ISSUERS)
            .await?
            .iter()
            .map(|name| format!("{}{name}", index::ENDS))
            .collect(),
    };
    let begin = match after {
        None => index::end_key(first),
        Some(serial) => {
            let text = serial.to_colon_hex();
            let record = cx.engine.certificate(serial).await?;
            let certificate = record.and_then(|record| Certificate::parse_der(record.der).ok());
            let end = certificate
                .map(|certificate| certificate.validity().not_after.0)
                .ok_or_else(|| unknown_after(&text))?;
            let key = format!("{}{}", index::end_key(end), hex::encode(serial.as_bytes()));
            key.max(index::end_key(first))
        }
    };
    let mut found: Vec<(i64, SerialNumber)> = Vec::new();
    for folder in folders {
        let mut after = begin.clone();
        let mut left = wanted;
        while left > 0 {
            let limit = left.min(PAGE);
            let page = view.keys(&folder, Some(&after), limit).await?;
            let inside = page
                .iter()
                .filter_map(|key| index::parse_end(key))
                .take_while(|(end, _)| *end <= last);
            let before = found.len();
            found.extend(inside);
            let is_last = page.len() < limit || found.len() - before < page.len();
            left -= page.len().min(left);
            match page.into_iter().next_back() {
                Some(key) if !is_last => after = key,
                _ => break,
            }
            tokio::task::yield_now().await;
        }
    }
    found.sort_by_key(|(end, serial)| (*end, hex::encode(serial.as_bytes())));
    found.truncate(wanted);
    Ok(found.into_iter().map(|(_, serial)| serial).collect())
}

fn unknown_after(text: &str) -> ApiError {
    ApiError::bad_request(format!(
        "there is no certificate with serial number {text} after which the list could go on"
    ))
}

fn uuid_like(text: &str) -> bool {
    text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
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
        let last = after.unwrap_or_default().replace('-', ":");
        Ok((!more.is_empty()).then(|| goes_on(&last)))
    }
}

/// The warning that a list has ended before its end.
pub(in crate::secrets::pki) fn goes_on(last: &impl std::fmt::Display) -> String {
    format!("The list goes on; ask for what follows with the parameter after={last}.")
}

/// Keys read in one go.
const PAGE: usize = 500;
/// Longest answer of a list: some megabytes.
const MAX_KEYS: usize = 100_000;
const MAX_DETAILED: usize = 10_000;
/// DNS names shown of each certificate.
const MAX_NAMES: usize = 5;
/// Folders of issuers that have ever been, in a list of all.
const MAX_ISSUERS: usize = 10_000;
