//! `sys/version-history`: which versions ran on this store, and since when.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use signet_storage::{Batch, Record, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::node::Core;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::sys::Sys;
use crate::time::Timestamp;

#[derive(Debug, Serialize, Deserialize)]
struct VersionRecord {
    installed_at: Timestamp,
    build_date: String,
}

impl Record for VersionRecord {
    const FORMAT: u8 = 1;
}

/// Notes the running version, the first time that it runs on this store.
pub(crate) async fn note_version(
    core: &Core,
    version: &str,
    build_date: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let view = view(core);
    if view.get(version).await?.is_some() {
        return Ok(());
    }
    let record = VersionRecord {
        installed_at: now,
        build_date: build_date.to_owned(),
    };
    let mut batch = Batch::default();
    view.put_record(&mut batch, version, &record)?;
    view.commit(batch).await?;
    Ok(())
}

fn view(core: &Core) -> View {
    View::new(core.store.clone(), "sys/version/")
}

pub(super) struct VersionHistory;

impl Endpoint for VersionHistory {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "version-history")];
    const HELP: &'static str = "List the versions that ran on this store, the oldest first.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        const MOST_SHOWN: usize = 1000;
        let view = view(cx.core()?);
        let mut versions = view
            .scan_records::<VersionRecord>("", None, MOST_SHOWN)
            .await?;
        versions.sort_by_key(|(_, stored)| stored.value.installed_at);
        let mut info = Map::new();
        let mut previous: Option<&str> = None;
        for (version, stored) in &versions {
            let VersionRecord {
                installed_at,
                build_date,
            } = &stored.value;
            info.insert(
                version.clone(),
                json!({
                    "previous_version": previous,
                    "timestamp_installed": installed_at.rfc3339(),
                    "build_date": build_date,
                }),
            );
            previous = Some(version);
        }
        let keys: Vec<&String> = versions.iter().map(|(version, _)| version).collect();
        Reply::data(json!({ "keys": keys, "key_info": info }))
    }
}
