//! `users/{username}`: users made, changed, read, listed and deleted.

use signet_storage::Batch;

use crate::auth::token_fields::{OldFields, WithToken};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, PageParams, Seconds, SecretText, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::UserPass;
use super::password::hashed;
use super::store::User;

pub(super) struct List;

impl Endpoint for List {
    type Engine = UserPass;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "users")];
    const HELP: &'static str = "List the users.";

    async fn handle(cx: Cx<'_, UserPass>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(cx.engine.store.names(after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// Username for this user.
        username: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = UserPass;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "users/{username}")];
    const HELP: &'static str = "Read a user, without the password.";

    async fn handle(cx: Cx<'_, UserPass>, params: NameParams) -> Result<Reply, ApiError> {
        Ok(match cx.engine.store.user(&params.username).await? {
            None => Reply::nothing(),
            Some(stored) => Reply::map(stored.value.token.shown()),
        })
    }
}

params! {
    pub(super) struct OwnParams {
        /// Deprecated: use "token_bound_cidrs".
        bound_cidrs: Option<CommaList>,
        /// Deprecated: use "token_max_ttl".
        max_ttl: Option<Seconds>,
        /// Password for this user.
        password: SecretText,
        /// Not supported: must be empty.
        password_hash: SecretText,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Deprecated: use "token_ttl".
        ttl: Option<Seconds>,
        /// Username for this user.
        username: String,
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = UserPass;
    type Params = WithToken<OwnParams>;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "users/{username}")];
    const HELP: &'static str = "Create a user, or change one.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, UserPass>, params: WithToken<OwnParams>) -> Result<Reply, ApiError> {
        let OwnParams {
            bound_cidrs,
            max_ttl,
            password,
            password_hash,
            policies,
            ttl,
            username,
        } = params.own;
        let store = &cx.engine.store;
        let previous = store.user(&username).await?;
        let mut user = previous
            .as_ref()
            .map_or_else(User::default, |stored| stored.value.clone());
        let old = OldFields {
            bound_cidrs,
            max_ttl,
            policies,
            ttl,
            ..OldFields::default()
        };
        params.common.apply(old, &mut user.token)?;
        let changes_password = !password.0.is_empty() || !password_hash.0.is_empty();
        if previous.is_none() || changes_password {
            user.password = hashed(cx, password, &password_hash).await?;
        }
        store.put(cx, &username, &user, previous.as_ref()).await?;
        Ok(Reply::nothing())
    }

    async fn exists(cx: Cx<'_, UserPass>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.store.user(name).await?.is_some())
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = UserPass;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "users/{username}")];
    const HELP: &'static str = "Delete a user.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, UserPass>, params: NameParams) -> Result<Reply, ApiError> {
        if cx.engine.store.user(&params.username).await?.is_some() {
            let mut batch = Batch::default();
            cx.engine.store.delete(&mut batch, &params.username);
            cx.commit(batch).await?;
        }
        Ok(Reply::nothing())
    }
}
