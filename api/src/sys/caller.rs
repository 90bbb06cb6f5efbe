//! The caller of a path that needs no token but answers more to one who has a token.

use std::sync::Arc;

use crate::acl::Acl;
use crate::endpoint::Cx;
use crate::error::ApiError;
use crate::reply::address_allowed;
use crate::sys::Sys;

/// What the token that was sent may do; `None` without one. No use of a counted token is taken.
///
/// # Errors
/// `Forbidden` for a token that is not valid.
pub(super) async fn optional_acl(cx: Cx<'_, Sys>) -> Result<Option<Arc<Acl>>, ApiError> {
    let Some(secret) = &cx.call.token else {
        return Ok(None);
    };
    let core = cx.core()?;
    let token = core
        .tokens
        .lookup(secret, cx.now)
        .await?
        .filter(|token| address_allowed(&token.bound_cidrs, cx.call.peer.address.ip()))
        .ok_or_else(ApiError::permission_denied)?;
    core.policies.acl(&token, cx.now).await.map(Some)
}
