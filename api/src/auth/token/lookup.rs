//! `auth/token/lookup`: what a token is.

use serde_json::{Map, Value, json};

use crate::auth::token::roles::{REQUESTED_PERIOD, requested};
use crate::auth::token::{TokenAuth, by_accessor};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::params;
use crate::reply::Reply;
use crate::time::Timestamp;
use crate::token::{GivenToken, Token, show_bound_cidrs};

pub(super) struct Lookup;

params! {
    pub(super) struct LookupParams {
        /// Token to lookup; without it, the token of the request.
        token: GivenToken,
    }
}

impl Endpoint for Lookup {
    type Engine = TokenAuth;
    type Params = LookupParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "lookup"),
        Route::token(Op::Write, "lookup"),
    ];
    const HELP: &'static str = "This endpoint will lookup a token and its properties.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: LookupParams) -> Result<Reply, ApiError> {
        let Some(secret) = params.token.optional()? else {
            return look_up_caller(cx);
        };
        let tokens = &cx.core()?.tokens;
        if tokens.hash(secret) == cx.caller()?.hash {
            return look_up_caller(cx);
        }
        let found = tokens.lookup(secret, cx.now).await?;
        let token = found.ok_or_else(|| ApiError::plain(ErrorKind::Forbidden, "bad token"))?;
        Reply::data(describe(&token, secret, cx.now))
    }
}

pub(super) struct LookupSelf;

impl Endpoint for LookupSelf {
    type Engine = TokenAuth;
    type Params = LookupParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "lookup-self"),
        Route::token(Op::Write, "lookup-self"),
    ];
    const HELP: &'static str = "This endpoint will lookup the token of the request.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: LookupParams) -> Result<Reply, ApiError> {
        let _ = params.token;
        look_up_caller(cx)
    }
}

pub(super) struct LookupAccessor;

params! {
    pub(super) struct AccessorParams {
        /// Accessor of the token to look up.
        accessor: String,
    }
}

impl Endpoint for LookupAccessor {
    type Engine = TokenAuth;
    type Params = AccessorParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "lookup-accessor")];
    const HELP: &'static str = "This endpoint will lookup a token associated with the given \
        accessor and its properties. Response will not contain the token ID.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: AccessorParams) -> Result<Reply, ApiError> {
        let token = by_accessor(cx, &params.accessor).await?;
        Reply::data(describe(&token, "", cx.now))
    }
}

/// Shows the uses that are left after this one.
fn look_up_caller(cx: Cx<'_, TokenAuth>) -> Result<Reply, ApiError> {
    let secret = cx.call.token.as_ref().map_or("", |token| token.as_str());
    Reply::data(describe(cx.caller()?, secret, cx.now))
}

fn describe(token: &Token, id: &str, now: Timestamp) -> Map<String, Value> {
    let metadata = (!token.metadata.is_empty()).then_some(&token.metadata);
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    put("accessor", json!(token.accessor));
    put("creation_time", json!(token.created_at.secs()));
    put("creation_ttl", json!(token.creation_ttl_secs));
    put("display_name", json!(token.display_name));
    put("entity_id", json!(token.entity_id));
    put(
        "expire_time",
        json!(token.expires_at.map(Timestamp::rfc3339)),
    );
    put("explicit_max_ttl", json!(token.explicit_max_ttl_secs));
    put("id", json!(id));
    put("meta", json!(metadata));
    put("num_uses", json!(token.num_uses));
    put("orphan", json!(token.parent.is_none()));
    put("path", json!(token.path));
    put("policies", json!(token.policies));
    put("ttl", json!(token.ttl_secs(now)));
    put("type", json!(token.kind.name()));
    if !token.no_lease {
        put("issue_time", json!(token.created_at.rfc3339()));
        put("renewable", json!(token.renewable));
    }
    // A role's period is the role's, and may change.
    let period_secs = match &token.role {
        Some(_) => requested(token, REQUESTED_PERIOD),
        None => token.period_secs,
    };
    if period_secs > 0 {
        put("period", json!(period_secs));
    }
    if let Some(role) = &token.role {
        put("role", json!(role));
    }
    if !token.bound_cidrs.is_empty() {
        put("bound_cidrs", json!(show_bound_cidrs(&token.bound_cidrs)));
    }
    if let Some(at) = token.last_renewal {
        put("last_renewal", json!(at.rfc3339()));
        put("last_renewal_time", json!(at.secs()));
    }
    data
}
