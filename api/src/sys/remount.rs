//! `sys/remount`: a mount moves, with everything in it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use signet_storage::{Batch, Record, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::expiry::{self, OnFailure};
use crate::node::Core;
use crate::params::params;
use crate::random::uuid;
use crate::reply::Reply;
use crate::sys::Sys;
use crate::time::Timestamp;

/// A move that is done; kept for a while for clients that ask.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    from: String,
    to: String,
    at: Timestamp,
}

impl Record for Move {
    const FORMAT: u8 = 1;
}

const KEPT_SECS: u64 = 86_400;

pub(super) struct Remount;

params! {
    pub(super) struct RemountParams {
        /// The present path of the mount.
        from: String,
        /// The path to move it to.
        to: String,
    }
}

impl Endpoint for Remount {
    type Engine = Sys;
    type Params = RemountParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "remount")];
    const HELP: &'static str = "Move the mount point of an already-mounted backend.";

    async fn handle(cx: Cx<'_, Sys>, params: RemountParams) -> Result<Reply, ApiError> {
        if params.from.is_empty() || params.to.is_empty() {
            return Err(ApiError::bad_request(
                "both 'from' and 'to' path must be specified as a string",
            ));
        }
        let from = format!("{}/", params.from.trim_matches('/'));
        let to = format!("{}/", params.to.trim_matches('/'));
        check(&from, &to)?;
        let core = cx.core()?;
        if core.mounts.get(&from).is_none() {
            return Err(ApiError::bad_request(format!(
                "no matching mount at {from:?}"
            )));
        }
        core.mounts.check_free(&to)?;
        // Leases and tokens name the path that they came from.
        expiry::revoke_prefix(core, &from, OnFailure::Stop, cx.now).await?;
        core.mounts.remount(&from, &to).await?;
        expiry::revoke_prefix(core, &from, OnFailure::Stop, cx.now).await?;
        let id = uuid(cx.node.rng())?;
        remember(core, &id, from, to, cx.now).await?;
        Ok(Reply::flattened(json!({ "migration_id": id }))?.warn(
            "Mount move has been queued. Progress will be reported in Vault's server log, tagged \
             with the returned migration_id",
        ))
    }
}

/// Mounts stay in their class, and the built-in ones where they are.
fn check(from: &str, to: &str) -> Result<(), ApiError> {
    let fixed = ["auth/token/", "cubbyhole/", "identity/", "sys/"];
    if fixed.iter().any(|path| from.starts_with(path)) || from == "auth/" {
        return Err(ApiError::bad_request(format!("cannot remount {from:?}")));
    }
    let is_auth = from.starts_with("auth/");
    let is_reserved = fixed.iter().any(|path| to.starts_with(path)) || to == "auth/";
    if is_reserved || is_auth != to.starts_with("auth/") {
        return Err(ApiError::bad_request(format!(
            "cannot remount to destination {to}"
        )));
    }
    Ok(())
}

async fn remember(
    core: &Core,
    id: &str,
    from: String,
    to: String,
    now: Timestamp,
) -> Result<(), ApiError> {
    const OLD_ONES_AT_ONCE: usize = 100;
    let moves = moves(core);
    let mut batch = Batch::default();
    for (old, stored) in moves
        .scan_records::<Move>("", None, OLD_ONES_AT_ONCE)
        .await?
    {
        if now.secs_since(stored.value.at) > KEPT_SECS {
            moves.delete(&mut batch, &old);
        }
    }
    moves.put_record(&mut batch, id, &Move { from, to, at: now })?;
    moves.commit(batch).await?;
    Ok(())
}

fn moves(core: &Core) -> View {
    View::new(core.store.clone(), "sys/remount/")
}

pub(super) struct RemountStatus;

params! {
    pub(super) struct RemountStatusParams {
        /// The id that the move was answered with.
        migration_id: String,
    }
}

impl Endpoint for RemountStatus {
    type Engine = Sys;
    type Params = RemountStatusParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "remount/status/{migration_id:any}")];
    const HELP: &'static str = "Check the status of a mount move operation.";

    async fn handle(cx: Cx<'_, Sys>, params: RemountStatusParams) -> Result<Reply, ApiError> {
        let id = params.migration_id;
        let Some(stored) = moves(cx.core()?).record::<Move>(&id).await? else {
            return Ok(Reply::nothing());
        };
        Reply::data(json!({
            "migration_id": id,
            "migration_info": {
                "source_mount": stored.value.from,
                "target_mount": stored.value.to,
                "status": "success",
            },
        }))
    }
}
