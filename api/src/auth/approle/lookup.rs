//! Which secret-ids a role has, and what there is to know of one.

use std::sync::Arc;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{SecretText, params};
use crate::reply::Reply;

use super::role::LoadedRole;
use super::roles::page_limit;
use super::store::Found;
use super::{AppRole, no_such_role};

pub(super) struct List;

params! {
    pub(super) struct ListParams {
        /// Name of the role.
        name: String,
        /// Optional entry to list begin listing after, not required to exist.
        after: String,
        /// Optional number of entries to return; defaults to all entries.
        limit: i64,
    }
}

impl Endpoint for List {
    type Engine = AppRole;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "role/{name}/secret-id")];
    const HELP: &'static str = "List the accessors of the SecretIDs of this role.";

    async fn handle(cx: Cx<'_, AppRole>, params: ListParams) -> Result<Reply, ApiError> {
        let Some(role) = cx.engine.store.role(&params.name).await? else {
            return Err(ApiError::bad_request(no_such_role(&params.name)));
        };
        let accessors = cx.engine.store.accessors(&role).await?.into_iter();
        let page = accessors
            .filter(|accessor| *accessor > params.after)
            .take(page_limit(params.limit));
        Reply::keys(page.collect())
    }
}

params! {
    pub(super) struct SecretIdParams {
        /// Name of the role.
        name: String,
        /// SecretID attached to the role.
        secret_id: SecretText,
    }
}

params! {
    pub(super) struct AccessorParams {
        /// Name of the role.
        name: String,
        /// Accessor of the SecretID
        secret_id_accessor: String,
    }
}

pub(super) struct BySecretId;

impl Endpoint for BySecretId {
    type Engine = AppRole;
    type Params = SecretIdParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}/secret-id/lookup")];
    const HELP: &'static str = "Read the properties of an issued secret_id.";

    async fn handle(cx: Cx<'_, AppRole>, params: SecretIdParams) -> Result<Reply, ApiError> {
        let (_, found) = find(cx, params).await?;
        match found {
            Some(found) if !found.stored.value.is_expired(cx.now) => {
                Reply::data(found.stored.value.shown())
            }
            _ => Ok(Reply::nothing()),
        }
    }
}

pub(super) struct ByAccessor;

impl Endpoint for ByAccessor {
    type Engine = AppRole;
    type Params = AccessorParams;

    const ROUTES: &'static [Route] = &[Route::token(
        Op::Write,
        "role/{name}/secret-id-accessor/lookup",
    )];
    const HELP: &'static str = "Read an issued secret_id, using its accessor.";

    async fn handle(cx: Cx<'_, AppRole>, params: AccessorParams) -> Result<Reply, ApiError> {
        let (_, found) = find_by_accessor(cx, params).await?;
        Reply::data(found.stored.value.shown())
    }
}

/// The role and its secret-id, expired or not.
pub(super) async fn find(
    cx: Cx<'_, AppRole>,
    params: SecretIdParams,
) -> Result<(Arc<LoadedRole>, Option<Found>), ApiError> {
    let secret_id = params.secret_id.0.trim();
    if secret_id.is_empty() {
        return Err(ApiError::bad_request("missing secret_id"));
    }
    let role = existing_role(cx, &params.name).await?;
    let found = cx.engine.store.secret_id(&role, secret_id).await?;
    Ok((role, found))
}

/// The role and the secret-id of it that has this accessor. One of another role is not found.
pub(super) async fn find_by_accessor(
    cx: Cx<'_, AppRole>,
    params: AccessorParams,
) -> Result<(Arc<LoadedRole>, Found), ApiError> {
    let accessor = params.secret_id_accessor.as_str();
    if accessor.is_empty() {
        return Err(ApiError::bad_request("missing secret_id_accessor"));
    }
    let role = existing_role(cx, &params.name).await?;
    let found = cx.engine.store.of_accessor(&role, accessor).await?;
    let found = found.ok_or_else(|| {
        let text = format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
        ApiError::plain(ErrorKind::NotFound, text)
    })?;
    Ok((role, found))
}

async fn existing_role(cx: Cx<'_, AppRole>, name: &str) -> Result<Arc<LoadedRole>, ApiError> {
    let role = cx.engine.store.role(name).await?;
    role.ok_or_else(|| ApiError::plain(ErrorKind::NotFound, no_such_role(name)))
}
