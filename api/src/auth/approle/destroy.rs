//! Taking secret-ids back before they expire.

use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::reply::Reply;

use super::AppRole;
use super::lookup::{AccessorParams, SecretIdParams, find, find_by_accessor};
use super::role::LoadedRole;
use super::store::Found;

pub(super) struct BySecretId;

impl Endpoint for BySecretId {
    type Engine = AppRole;
    type Params = SecretIdParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "role/{name}/secret-id/destroy"),
        Route::token(Op::Delete, "role/{name}/secret-id/destroy"),
    ];
    const HELP: &'static str = "Invalidate an issued secret_id.";

    async fn handle(cx: Cx<'_, AppRole>, params: SecretIdParams) -> Result<Reply, ApiError> {
        match find(cx, params).await? {
            (role, Some(found)) => destroy(cx, &role, &found).await,
            (_, None) => Ok(Reply::nothing()),
        }
    }
}

pub(super) struct ByAccessor;

impl Endpoint for ByAccessor {
    type Engine = AppRole;
    type Params = AccessorParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "role/{name}/secret-id-accessor/destroy"),
        Route::token(Op::Delete, "role/{name}/secret-id-accessor/destroy"),
    ];
    const HELP: &'static str = "Delete an issued secret_id, using its accessor.";

    async fn handle(cx: Cx<'_, AppRole>, params: AccessorParams) -> Result<Reply, ApiError> {
        let (role, found) = find_by_accessor(cx, params).await?;
        destroy(cx, &role, &found).await
    }
}

async fn destroy(cx: Cx<'_, AppRole>, role: &LoadedRole, found: &Found) -> Result<Reply, ApiError> {
    let mut batch = Batch::default();
    cx.engine.store.delete(&mut batch, &role.role.uuid, found);
    cx.commit(batch).await?;
    Ok(Reply::nothing())
}
