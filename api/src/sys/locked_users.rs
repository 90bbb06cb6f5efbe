//! `sys/locked-users`: who is shut out after too many wrong secrets.

use serde_json::{Value, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct List;

params! {
    pub(super) struct ListParams {
        /// Show the locked users of this mount only.
        mount_accessor: String,
    }
}

impl Endpoint for List {
    type Engine = Sys;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "locked-users")];
    const HELP: &'static str = "Report the locked user count metrics.";

    async fn handle(cx: Cx<'_, Sys>, params: ListParams) -> Result<Reply, ApiError> {
        let wanted = params.mount_accessor;
        let mut locked = cx.core()?.lockouts.locked(cx.now);
        if !wanted.is_empty() {
            locked.retain(|(accessor, _)| *accessor == wanted);
            if locked.is_empty() {
                locked.push((wanted, Vec::new()));
            }
        }
        let total: usize = locked.iter().map(|(_, aliases)| aliases.len()).sum();
        let mounts: Vec<Value> = locked
            .into_iter()
            .map(|(accessor, aliases)| {
                json!({
                    "mount_accessor": accessor,
                    "counts": aliases.len(),
                    "alias_identifiers": aliases,
                })
            })
            .collect();
        Reply::data(json!({
            "by_namespace": [{
                "namespace_id": "root",
                "namespace_path": "",
                "counts": total,
                "mount_accessors": mounts,
            }],
            "total": total,
        }))
    }
}

pub(super) struct Unlock;

params! {
    pub(super) struct UnlockParams {
        /// Accessor of the auth mount.
        mount_accessor: String,
        /// The user's name within the mount, e.g. a role id.
        alias_identifier: String,
    }
}

impl Endpoint for Unlock {
    type Engine = Sys;
    type Params = UnlockParams;

    const ROUTES: &'static [Route] = &[Route::token(
        Op::Write,
        "locked-users/{mount_accessor:any}/unlock/{alias_identifier:path}",
    )];
    const HELP: &'static str = "Unlock the user with given mount_accessor and alias_identifier.";

    async fn handle(cx: Cx<'_, Sys>, params: UnlockParams) -> Result<Reply, ApiError> {
        let lockouts = &cx.core()?.lockouts;
        lockouts.unlock(&params.mount_accessor, &params.alias_identifier);
        Ok(Reply::nothing())
    }
}
