//! `auth/token/accessors` and `auth/token/tidy`: all tokens at once.

use crate::auth::token::TokenAuth;
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::expiry;
use crate::params::{NoParams, PageParams};
use crate::reply::Reply;
use crate::sys::leases::TIDY_STARTED;

pub(super) struct List;

impl Endpoint for List {
    type Engine = TokenAuth;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::List, "accessors")];
    const HELP: &'static str = "List token accessors, which can then be used to iterate and \
        discover their properties or revoke them.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: PageParams) -> Result<Reply, ApiError> {
        let mut accessors = cx.core()?.tokens.accessors(cx.now).await?;
        accessors.retain(|accessor| *accessor > params.after);
        if let Ok(limit) = usize::try_from(params.limit)
            && limit > 0
        {
            accessors.truncate(limit);
        }
        Reply::keys(accessors)
    }
}

pub(super) struct Tidy;

impl Endpoint for Tidy {
    type Engine = TokenAuth;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "tidy")];
    const HELP: &'static str = "Removes what is left of tokens that have ended.";

    async fn handle(cx: Cx<'_, TokenAuth>, _params: NoParams) -> Result<Reply, ApiError> {
        expiry::sweep_in_background(cx.core()?.clone(), cx.now);
        Ok(Reply::empty_data().status(202).warn(TIDY_STARTED))
    }
}
