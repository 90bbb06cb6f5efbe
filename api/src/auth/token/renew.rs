//! `auth/token/renew`: more time for a token.

use std::sync::Arc;

use signet_storage::Batch;

use crate::auth::token::roles::Role;
use crate::auth::token::{TokenAuth, by_accessor};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{Seconds, params};
use crate::reply::Reply;
use crate::token::{GivenToken, Terms, Token, TokenKind, auth_of};

pub(super) struct Renew;

params! {
    pub(super) struct RenewParams {
        /// The desired increment in seconds to the token expiration.
        increment: Seconds,
        /// Token to renew.
        token: GivenToken,
    }
}

impl Endpoint for Renew {
    type Engine = TokenAuth;
    type Params = RenewParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "renew")];
    const HELP: &'static str = "This endpoint will renew the given token and prevent expiration.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: RenewParams) -> Result<Reply, ApiError> {
        let secret = params.token.required()?;
        let found = cx.core()?.tokens.lookup(secret, cx.now).await?;
        let token = found.ok_or_else(not_found)?;
        renew(cx, &token, secret, params.increment).await
    }
}

pub(super) struct RenewSelf;

impl Endpoint for RenewSelf {
    type Engine = TokenAuth;
    type Params = RenewParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "renew-self")];
    const HELP: &'static str =
        "This endpoint will renew the token used to call it and prevent expiration.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: RenewParams) -> Result<Reply, ApiError> {
        let _ = params.token;
        let secret = cx.call.token.as_ref().map_or("", |token| token.as_str());
        // Once more: the use of this request may have been its last.
        let found = cx.core()?.tokens.lookup(secret, cx.now).await?;
        let token = found.ok_or_else(not_found)?;
        renew(cx, &token, secret, params.increment).await
    }
}

pub(super) struct RenewAccessor;

params! {
    pub(super) struct AccessorParams {
        /// Accessor of the token to renew.
        accessor: String,
        /// The desired increment in seconds to the token expiration.
        increment: Seconds,
    }
}

impl Endpoint for RenewAccessor {
    type Engine = TokenAuth;
    type Params = AccessorParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "renew-accessor")];
    const HELP: &'static str = "This endpoint will renew a token associated with the given accessor \
        and its properties. Response will not contain the token ID.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: AccessorParams) -> Result<Reply, ApiError> {
        let token = by_accessor(cx, &params.accessor).await?;
        renew(cx, &token, "", params.increment).await
    }
}

async fn renew(
    cx: Cx<'_, TokenAuth>,
    token: &Arc<Token>,
    shown_secret: &str,
    increment: Seconds,
) -> Result<Reply, ApiError> {
    if token.kind == TokenKind::Batch {
        return Err(ApiError::bad_request("batch tokens cannot be renewed"));
    }
    if !token.renewable || token.expires_at.is_none() {
        return Err(ApiError::bad_request("lease is not renewable"));
    }
    let terms = current_terms(cx, token, increment).await?;
    let life = terms
        .life(token.created_at, cx.now)
        .ok_or_else(|| ApiError::bad_request("past the max TTL, cannot renew"))?;
    let mut record = token.record.clone();
    record.expires_at = Some(life.ends_at);
    record.last_ttl_secs = life.ttl_secs;
    record.last_renewal = Some(cx.now);
    record.period_secs = terms.period_secs;
    record.explicit_max_ttl_secs = terms.explicit_max_secs;
    let mut batch = Batch::default();
    cx.core()?.tokens.replace(&mut batch, token, &record)?;
    cx.commit(batch).await?;
    let auth = auth_of(&record, shown_secret.to_owned(), cx.now);
    Ok(Reply::token(auth).warn_all(life.warning))
}

/// What the token's role, token role or auth method says by now.
async fn current_terms(
    cx: Cx<'_, TokenAuth>,
    token: &Token,
    increment: Seconds,
) -> Result<Terms, ApiError> {
    let Some((mount, _)) = cx.core()?.mounts.route(&token.path) else {
        return Err(not_renewed("the auth method does not exist any more"));
    };
    let mount_max_secs = mount.settings.max_ttl_secs();
    let mut terms = Terms {
        wanted_secs: first_given([increment.0, token.last_ttl_secs]),
        default_secs: mount.settings.default_ttl_secs(),
        max_secs: lesser_given(mount_max_secs, token.max_ttl_secs),
        explicit_max_secs: token.explicit_max_ttl_secs,
        period_secs: token.period_secs,
    };
    if let Some(name) = &token.role {
        let role = Role::load(cx.engine, name).await?.ok_or_else(|| {
            not_renewed(&format!(
                "original token role {name:?} could not be found, not renewing"
            ))
        })?;
        terms.period_secs = role.period_secs(token);
        terms.explicit_max_secs = role.explicit_max_ttl_secs(token);
    }
    mount
        .engine
        .check_renewal(&token.internal, cx.request)
        .await?;
    let now = mount.engine.renew_terms(&token.internal).await;
    let now = now.map_err(|error| match error.kind() {
        ErrorKind::BadRequest | ErrorKind::NotFound => not_renewed(&error.to_string()),
        _ => error,
    })?;
    if let Some(now) = now {
        terms.wanted_secs = first_given([increment.0, now.ttl_secs]);
        terms.max_secs = lesser_given(mount_max_secs, now.max_ttl_secs);
        terms.period_secs = now.period_secs;
    }
    Ok(terms)
}

fn not_found() -> ApiError {
    ApiError::bad_request("token not found")
}

fn not_renewed(reason: &str) -> ApiError {
    ApiError::bad_request(format!("failed to renew entry: {reason}"))
}

/// The first that is not 0.
fn first_given(values: [u64; 2]) -> u64 {
    values.into_iter().find(|value| *value > 0).unwrap_or(0)
}

/// The lesser of two bounds, where 0 is none.
pub(super) fn lesser_given(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, bound) | (bound, 0) => bound,
        (one, other) => one.min(other),
    }
}
