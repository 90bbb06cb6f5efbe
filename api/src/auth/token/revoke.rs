//! `auth/token/revoke`: the end of tokens.

use crate::auth::token::{TokenAuth, missing_accessor};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::token::{GivenToken, TokenKind};

pub(super) struct Revoke;

params! {
    pub(super) struct RevokeParams {
        /// Token to revoke.
        token: GivenToken,
    }
}

impl Endpoint for Revoke {
    type Engine = TokenAuth;
    type Params = RevokeParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke")];
    const HELP: &'static str =
        "This endpoint will delete the given token and all of its child tokens.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: RevokeParams) -> Result<Reply, ApiError> {
        let secret = params.token.required()?;
        refuse_batch(cx, secret).await?;
        let core = cx.core()?;
        let hash = core.tokens.hash(secret);
        core.tokens.revoke_tree(core, &hash, cx.now).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct RevokeSelf;

impl Endpoint for RevokeSelf {
    type Engine = TokenAuth;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke-self")];
    const HELP: &'static str =
        "This endpoint will delete the token used to call it and all of its child tokens.";

    async fn handle(cx: Cx<'_, TokenAuth>, _params: NoParams) -> Result<Reply, ApiError> {
        let caller = cx.caller()?;
        if caller.kind == TokenKind::Batch {
            return Err(batch_token());
        }
        let core = cx.core()?;
        core.tokens.revoke_tree(core, &caller.hash, cx.now).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct RevokeOrphan;

impl Endpoint for RevokeOrphan {
    type Engine = TokenAuth;
    type Params = RevokeParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke-orphan")];
    const HELP: &'static str = "This endpoint will delete the token and orphan its child tokens.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: RevokeParams) -> Result<Reply, ApiError> {
        let secret = params.token.required()?;
        if !cx.has_sudo() {
            return Err(ApiError::bad_request(
                "root or sudo privileges required to revoke and orphan",
            ));
        }
        refuse_batch(cx, secret).await?;
        let core = cx.core()?;
        if core.tokens.lookup(secret, cx.now).await?.is_none() {
            return Err(ApiError::bad_request("token to revoke not found"));
        }
        let hash = core.tokens.hash(secret);
        core.tokens.revoke_only(core, &hash, cx.now).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct RevokeAccessor;

params! {
    pub(super) struct AccessorParams {
        /// Accessor of the token.
        accessor: String,
    }
}

impl Endpoint for RevokeAccessor {
    type Engine = TokenAuth;
    type Params = AccessorParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "revoke-accessor")];
    const HELP: &'static str = "This endpoint will delete the token associated with the accessor \
        and all of its child tokens.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: AccessorParams) -> Result<Reply, ApiError> {
        if params.accessor.is_empty() {
            return Err(missing_accessor());
        }
        let core = cx.core()?;
        let Some(hash) = core.tokens.hash_of_accessor(&params.accessor).await? else {
            return Ok(Reply::empty_data().warn("No token found with this accessor"));
        };
        core.tokens.revoke_tree(core, &hash, cx.now).await?;
        Ok(Reply::nothing())
    }
}

async fn refuse_batch(cx: Cx<'_, TokenAuth>, secret: &str) -> Result<(), ApiError> {
    let found = cx.core()?.tokens.lookup(secret, cx.now).await?;
    if found.is_some_and(|token| token.kind == TokenKind::Batch) {
        return Err(batch_token());
    }
    Ok(())
}

fn batch_token() -> ApiError {
    ApiError::bad_request("batch tokens cannot be revoked")
}
