//! `tidy/secret-id`: removes expired secret-ids now rather than within the minute.

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;

use super::AppRole;

pub(super) struct Tidy;

impl Endpoint for Tidy {
    type Engine = AppRole;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "tidy/secret-id")];
    const HELP: &'static str = "Trigger the clean-up of expired SecretID entries.";

    async fn handle(cx: Cx<'_, AppRole>, _params: NoParams) -> Result<Reply, ApiError> {
        let reply = Reply::empty_data().status(202);
        if cx.engine.store.is_tidying() {
            return Ok(reply.warn("Tidy operation already in progress."));
        }
        let (store, now) = (cx.engine.store.clone(), cx.now);
        tokio::spawn(async move {
            if let Err(error) = store.tidy(now).await {
                tracing::error!(%error, "tidying secret-ids failed");
            }
        });
        Ok(reply.warn(
            "Tidy operation successfully started. Any information from the operation will be \
             printed to Vault's server logs.",
        ))
    }
}
