//! `role/{name}`: roles made, changed, read, listed and deleted.

use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::AppRole;
use super::params::RoleParams;
use super::role::Role;
use super::store::MAX_NAME_BYTES;

pub(super) struct List;

impl Endpoint for List {
    type Engine = AppRole;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "role")];
    const HELP: &'static str = "Lists all the roles registered with the backend.";

    async fn handle(cx: Cx<'_, AppRole>, params: PageParams) -> Result<Reply, ApiError> {
        let limit = page_limit(params.limit);
        Reply::keys(cx.engine.store.role_names(&params.after, limit).await?)
    }
}

/// All of them unless the limit is positive.
pub(super) fn page_limit(limit: i64) -> usize {
    usize::try_from(limit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX)
}

params! {
    pub(super) struct NameParams {
        /// Name of the role.
        name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = AppRole;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "role/{name}")];
    const HELP: &'static str = "Read a role.";

    async fn handle(cx: Cx<'_, AppRole>, params: NameParams) -> Result<Reply, ApiError> {
        match cx.engine.store.role(&params.name).await? {
            None => Ok(Reply::nothing()),
            Some(loaded) => Reply::data(loaded.role.shown()),
        }
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = AppRole;
    type Params = RoleParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}")];
    const HELP: &'static str = "Register a role with the backend, or change it.";
    const CREATES: bool = true;

    async fn handle(cx: Cx<'_, AppRole>, params: RoleParams) -> Result<Reply, ApiError> {
        let previous = cx.engine.store.role(&params.own.name).await?;
        if previous.is_some() && params.own.local_secret_ids.is_some() {
            return Err(ApiError::bad_request(
                "local_secret_ids can only be modified during role creation",
            ));
        }
        let mut role = match &previous {
            Some(previous) => previous.role.clone(),
            None => Role::new(checked_name(&params.own.name)?, cx.node.rng())?,
        };
        let warnings = params.apply(&mut role, cx.engine.settings.max_ttl_secs())?;
        let mut batch = Batch::default();
        let store = &cx.engine.store;
        store
            .put_role(&mut batch, &role, previous.as_deref())
            .await?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }

    async fn exists(cx: Cx<'_, AppRole>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.store.role(name).await?.is_some())
    }
}

fn checked_name(name: &str) -> Result<String, ApiError> {
    let name = name.to_lowercase();
    if name.len() > MAX_NAME_BYTES {
        return Err(ApiError::bad_request(format!(
            "role_name is longer than maximum of {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(name)
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = AppRole;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "role/{name}")];
    const HELP: &'static str = "Delete a role with all its secret-ids.";

    async fn handle(cx: Cx<'_, AppRole>, params: NameParams) -> Result<Reply, ApiError> {
        let store = &cx.engine.store;
        let Some(loaded) = store.role(&params.name).await? else {
            return Ok(Reply::nothing());
        };
        let mut batch = Batch::default();
        store.delete_role(&mut batch, &loaded);
        cx.commit(batch).await?;
        // The secret-ids are out of use already; should this fail, the next tidying goes on.
        store.remove_secret_ids(&loaded.role.uuid).await?;
        Ok(Reply::nothing())
    }
}
