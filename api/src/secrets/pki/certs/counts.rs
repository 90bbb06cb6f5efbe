//! How many certificates there are, without counting them all.
//!
//! Serial numbers begin with the time, so that what was counted is counted for good: a record says
//! up to which serial number, and counting goes on from there, about once a minute and whenever
//! somebody asks. Issuing writes nothing for it. After tidying, counting begins anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Expect, Record, StorageError, Version, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::records::{AuthorityId, CERTIFICATES, CertificateRecord};
use crate::secrets::pki::state::State;
use crate::time::Timestamp;

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "certs/counts")];
    const HELP: &'static str = "How many certificates are stored and revoked, by issuer.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let stored = stored(&cx.engine.env.view, cx.now).await?;
        let revoked = cx.engine.crls.revoked_counts().await?;
        let revoked_total: u64 = revoked.values().sum();
        let revoked = by_issuer(&state, &revoked);
        let mut issuers = Map::new();
        let ids = stored.by_issuer.keys().chain(revoked.keys());
        for id in ids.collect::<std::collections::BTreeSet<_>>() {
            let known = state.issuers.iter().find(|issuer| issuer.record.id == *id);
            let entry = json!({
                "issuer_name": known.map_or("", |issuer| issuer.record.name.as_str()),
                "stored": stored.by_issuer.get(id).copied().unwrap_or(0),
                "revoked": revoked.get(id).copied().unwrap_or(0),
            });
            issuers.insert(id.clone(), entry);
        }
        Reply::data(json!({
            "stored": stored.total(),
            "revoked": revoked_total,
            "issuers": issuers,
        }))
    }
}

impl Pki {
    /// Stored and revoked certificates.
    pub(in crate::secrets::pki) async fn totals(
        &self,
        now: Timestamp,
    ) -> Result<(u64, u64), ApiError> {
        let stored = stored(&self.env.view, now).await?.total();
        let revoked = self.crls.revoked_counts().await?;
        Ok((stored, revoked.values().sum()))
    }

    /// Counts what has come since the last time.
    pub(in crate::secrets::pki) async fn go_on_counting(
        &self,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        settle(&self.env.view, now).await.map(drop)
    }

    /// To be in the commit that stores a certificate whose serial number was not made just now:
    /// where counting is past it, it would never be counted.
    pub(in crate::secrets::pki) async fn count_late(
        &self,
        batch: &mut Batch,
        issuer_id: &str,
        serial: SerialNumber,
    ) -> Result<(), ApiError> {
        let view = &self.env.view;
        let Some(stored) = view.record::<Counts>(COUNTS).await? else {
            view.expect(batch, COUNTS, Expect::Absent);
            return Ok(());
        };
        view.expect(batch, COUNTS, Expect::Version(stored.version));
        let mut counts = stored.value;
        if serial.to_hyphen_hex() <= counts.counted_to {
            *counts.by_issuer.entry(issuer_id.to_owned()).or_default() += 1;
            view.put_record(batch, COUNTS, &counts)?;
        }
        Ok(())
    }

    /// To be in the commit that deletes certificates: counting begins anew.
    pub(in crate::secrets::pki) fn forget_counts(&self, batch: &mut Batch) -> Result<(), ApiError> {
        // Written, not deleted: a count under way then finds another version.
        let nothing = Counts::default();
        Ok(self.env.view.put_record(batch, COUNTS, &nothing)?)
    }
}

/// Certificates by the id of their issuer, which is empty where no issuer of the mount made them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    /// The last key that was counted.
    counted_to: String,
    by_issuer: BTreeMap<String, u64>,
}

impl Record for Counts {
    const FORMAT: u8 = 1;
}

impl Counts {
    fn total(&self) -> u64 {
        self.by_issuer.values().sum()
    }

    /// Counts a page of what comes before `horizon`; is there more?
    async fn take_page(&mut self, view: &View, horizon: Option<&str>) -> Result<bool, ApiError> {
        let after = Some(self.counted_to.as_str()).filter(|after| !after.is_empty());
        let page = view.scan(CERTIFICATES, after, PAGE).await?;
        let is_full = page.len() == PAGE;
        for (key, entry) in page {
            if horizon.is_some_and(|horizon| key.as_str() >= horizon) {
                return Ok(false);
            }
            let issuer_id = CertificateRecord::decode(&entry.value)
                .map(|record| record.issuer_id)
                .unwrap_or_default();
            *self.by_issuer.entry(issuer_id).or_default() += 1;
            self.counted_to = key;
        }
        Ok(is_full)
    }
}

/// All that are stored now.
async fn stored(view: &View, now: Timestamp) -> Result<Counts, ApiError> {
    let mut counts = settle(view, now).await?;
    while counts.take_page(view, None).await? {
        tokio::task::yield_now().await;
    }
    Ok(counts)
}

/// Counts what is old enough that nothing older can be on its way into storage, and writes that
/// down.
async fn settle(view: &View, now: Timestamp) -> Result<Counts, ApiError> {
    let (mut counts, mut version) = match view.record::<Counts>(COUNTS).await? {
        Some(stored) => (stored.value, Some(stored.version)),
        None => (Counts::default(), None),
    };
    let millis = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
    let horizon = SerialNumber::new(millis.saturating_sub(IN_FLIGHT_MILLIS), [0; 14]);
    let horizon = horizon.to_hyphen_hex();
    let mut pages = 0;
    loop {
        let before = counts.counted_to.clone();
        let is_full = counts.take_page(view, Some(&horizon)).await?;
        pages += 1;
        let is_new = counts.counted_to != before;
        if is_new && (!is_full || pages % PAGES_PER_COMMIT == 0) {
            match write(view, &counts, version).await {
                Ok(written) => version = Some(written),
                // Somebody else counts too; this count is as good.
                Err(StorageError::Conflict { .. }) => return Ok(counts),
                Err(error) => return Err(error.into()),
            }
        }
        if !is_full {
            return Ok(counts);
        }
        tokio::task::yield_now().await;
    }
}

async fn write(
    view: &View,
    counts: &Counts,
    version: Option<Version>,
) -> Result<Version, StorageError> {
    let mut batch = Batch::default();
    let expect = version.map_or(Expect::Absent, Expect::Version);
    view.expect(&mut batch, COUNTS, expect);
    view.put_record(&mut batch, COUNTS, counts)?;
    view.commit(batch).await
}

/// Revocations are counted by authority; its first issuer stands for it.
fn by_issuer(state: &State, revoked: &BTreeMap<AuthorityId, u64>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (authority, count) in revoked {
        let issuer = state
            .issuers
            .iter()
            .find(|issuer| issuer.authority == *authority);
        let id = issuer.map_or_else(String::new, |issuer| issuer.record.id.clone());
        *counts.entry(id).or_default() += count;
    }
    counts
}

const COUNTS: &str = "cert-counts";
/// Certificates read in one go.
const PAGE: usize = 500;
const PAGES_PER_COMMIT: usize = 100;
/// Longer than a request takes from its serial number to its commit.
const IN_FLIGHT_MILLIS: u64 = 60_000;
