//! `sys/leases/`: what was handed out for a time.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::expiry::{self, LeaseRecord, Leased, Leases, OnFailure};
use crate::params::{NoParams, Seconds, params};
use crate::reply::Reply;
use crate::sys::Sys;
use crate::time::Timestamp;

pub(super) struct Lookup;

params! {
    pub(super) struct LookupParams {
        /// The lease identifier to look up.
        lease_id: String,
    }
}

impl Endpoint for Lookup {
    type Engine = Sys;
    type Params = LookupParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "leases/lookup")];
    const HELP: &'static str = "View or list lease metadata.";

    async fn handle(cx: Cx<'_, Sys>, params: LookupParams) -> Result<Reply, ApiError> {
        let id = required(&params.lease_id)?;
        let found = Leases::new(&cx.core()?.store).get(&id).await?;
        let lease = found
            .filter(|lease| cx.now < lease.expires_at)
            .ok_or_else(|| ApiError::bad_request("invalid lease"))?;
        Reply::data(json!({
            "id": id,
            "issue_time": lease.issued_at.rfc3339(),
            "expire_time": lease.expires_at.rfc3339(),
            "last_renewal": lease.last_renewal.map(Timestamp::rfc3339),
            "renewable": lease.renewable,
            "ttl": lease.expires_at.secs_since(cx.now),
        }))
    }
}

pub(super) struct ListRoot;

impl Endpoint for ListRoot {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::List, "leases/lookup")];
    const HELP: &'static str = "View or list lease metadata.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let leases = Leases::new(&cx.core()?.store);
        Reply::keys(leases.records.children("", None, usize::MAX).await?)
    }
}

pub(super) struct List;

params! {
    pub(super) struct PrefixParams {
        /// The path to list or revoke keys under.
        prefix: String,
        /// Whether to answer when the work is done; it always is.
        sync: Option<bool>,
    }
}

impl Endpoint for List {
    type Engine = Sys;
    type Params = PrefixParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::List, "leases/lookup/{prefix:path}")];
    const HELP: &'static str = "View or list lease metadata.";

    async fn handle(cx: Cx<'_, Sys>, params: PrefixParams) -> Result<Reply, ApiError> {
        let leases = Leases::new(&cx.core()?.store);
        let folder = format!("{}/", params.prefix);
        Reply::keys(leases.records.children(&folder, None, usize::MAX).await?)
    }
}

pub(super) struct Renew;

params! {
    pub(super) struct RenewParams {
        /// The lease identifier to renew. This is included with a lease.
        lease_id: String,
        /// The lease identifier to renew, as part of the path.
        url_lease_id: String,
        /// The desired increment in seconds to the lease.
        increment: Seconds,
    }
}

impl Endpoint for Renew {
    type Engine = Sys;
    type Params = RenewParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "leases/renew"),
        Route::token(Op::Write, "leases/renew/{url_lease_id:path}"),
        Route::token(Op::Write, "renew"),
        Route::token(Op::Write, "renew/{url_lease_id:path}"),
    ];
    const HELP: &'static str = "Renew a lease on a secret.";

    async fn handle(cx: Cx<'_, Sys>, params: RenewParams) -> Result<Reply, ApiError> {
        let _ = params.increment;
        let id = required(&either(params.lease_id, params.url_lease_id))?;
        let found = Leases::new(&cx.core()?.store).get(&id).await?;
        let refusal = match found {
            None => "lease not found",
            Some(LeaseRecord { expires_at, .. }) if expires_at <= cx.now => "lease expired",
            Some(LeaseRecord {
                of: Leased::Token { .. },
                ..
            }) => "tokens cannot be renewed through this endpoint",
            // No engine hands out a secret whose life could be made longer.
            Some(_) => "lease is not renewable",
        };
        Err(ApiError::bad_request(refusal))
    }
}

pub(super) struct Revoke;

params! {
    pub(super) struct RevokeParams {
        /// The lease identifier to revoke. This is included with a lease.
        lease_id: String,
        /// The lease identifier to revoke, as part of the path.
        url_lease_id: String,
        /// Whether to answer when the work is done; it always is.
        sync: Option<bool>,
    }
}

impl Endpoint for Revoke {
    type Engine = Sys;
    type Params = RevokeParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "leases/revoke"),
        Route::token(Op::Write, "leases/revoke/{url_lease_id:path}"),
        Route::token(Op::Write, "revoke"),
        Route::token(Op::Write, "revoke/{url_lease_id:path}"),
    ];
    const HELP: &'static str = "Revoke a leased secret immediately";

    async fn handle(cx: Cx<'_, Sys>, params: RevokeParams) -> Result<Reply, ApiError> {
        let id = required(&either(params.lease_id, params.url_lease_id))?;
        expiry::revoke(cx.core()?, &id, cx.now).await?;
        Ok(revoked(params.sync))
    }
}

pub(super) struct RevokePrefix;

impl Endpoint for RevokePrefix {
    type Engine = Sys;
    type Params = PrefixParams;

    const ROUTES: &'static [Route] = &[
        Route::sudo(Op::Write, "leases/revoke-prefix/{prefix:path}"),
        Route::sudo(Op::Write, "revoke-prefix/{prefix:path}"),
    ];
    const HELP: &'static str = "Revoke all secrets generated in a given prefix";

    async fn handle(cx: Cx<'_, Sys>, params: PrefixParams) -> Result<Reply, ApiError> {
        expiry::revoke_prefix(cx.core()?, &params.prefix, OnFailure::Stop, cx.now).await?;
        Ok(revoked(params.sync))
    }
}

pub(super) struct RevokeForce;

impl Endpoint for RevokeForce {
    type Engine = Sys;
    type Params = PrefixParams;

    const ROUTES: &'static [Route] = &[
        Route::sudo(Op::Write, "leases/revoke-force/{prefix:path}"),
        Route::sudo(Op::Write, "revoke-force/{prefix:path}"),
    ];
    const HELP: &'static str =
        "Revoke all secrets generated in a given prefix, ignoring errors from the backend.";

    async fn handle(cx: Cx<'_, Sys>, params: PrefixParams) -> Result<Reply, ApiError> {
        expiry::revoke_prefix(cx.core()?, &params.prefix, OnFailure::Forget, cx.now).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct Tidy;

impl Endpoint for Tidy {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "leases/tidy")];
    const HELP: &'static str = "Removes what is left of leases that have ended.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        expiry::sweep_in_background(cx.core()?.clone(), cx.now);
        Ok(Reply::empty_data().status(202).warn(TIDY_STARTED))
    }
}

/// The warning with which a tidy operation is answered.
pub(crate) const TIDY_STARTED: &str = "Tidy operation successfully started. Any information from \
     the operation will be printed to the server logs.";

params! {
    pub(super) struct TypeParams {
        /// Accepted: there are no namespaces.
        include_child_namespaces: bool,
        /// Accepted: there is never anything to limit.
        limit: String,
        /// Type of leases; the only one is 'irrevocable'.
        r#type: String,
    }
}

impl TypeParams {
    fn is_irrevocable(&self) -> bool {
        let _ = (self.include_child_namespaces, &self.limit);
        self.r#type == "irrevocable"
    }
}

pub(super) struct Count;

impl Endpoint for Count {
    type Engine = Sys;
    type Params = TypeParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "leases/count")];
    const HELP: &'static str = "Count of leases that could not be revoked.";

    /// A lease that cannot be revoked is tried again for ever, so that none is ever given up.
    async fn handle(_cx: Cx<'_, Sys>, params: TypeParams) -> Result<Reply, ApiError> {
        if !params.is_irrevocable() {
            return Ok(Reply::nothing());
        }
        Reply::data(json!({ "counts": {}, "lease_count": 0 }))
    }
}

pub(super) struct ListIrrevocable;

impl Endpoint for ListIrrevocable {
    type Engine = Sys;
    type Params = TypeParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Read, "leases")];
    const HELP: &'static str = "List of leases that could not be revoked.";

    async fn handle(_cx: Cx<'_, Sys>, params: TypeParams) -> Result<Reply, ApiError> {
        if !params.is_irrevocable() {
            return Ok(Reply::nothing());
        }
        Reply::data(json!({ "leases": [], "lease_count": 0 }))
    }
}

fn either(body: String, path: String) -> String {
    if body.is_empty() { path } else { body }
}

fn required(id: &str) -> Result<String, ApiError> {
    let id = id.trim_matches('/');
    if id.is_empty() {
        return Err(ApiError::bad_request("lease_id must be specified"));
    }
    Ok(id.to_owned())
}

/// Clients that ask not to wait expect "accepted".
fn revoked(sync: Option<bool>) -> Reply {
    match sync {
        Some(false) => Reply::nothing().status(202),
        None | Some(true) => Reply::nothing(),
    }
}
