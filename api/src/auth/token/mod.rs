//! `auth/token/`: tokens made by tokens.

mod accessors;
mod child;
mod create;
mod lookup;
mod renew;
mod revoke;
mod role_params;
mod roles;

use std::sync::Arc;

use signet_storage::View;

use crate::endpoint::{Cx, Row, row};
use crate::engine::Engine;
use crate::error::{ApiError, ErrorKind};
use crate::mount::MountEnvironment;
use crate::token::Token;

/// The auth method that every server has.
#[derive(Debug)]
pub struct TokenAuth {
    /// Role name → role.
    roles: View,
}

impl TokenAuth {
    #[must_use]
    pub fn new(environment: &MountEnvironment) -> Self {
        Self {
            roles: environment.view.child("roles/"),
        }
    }
}

impl Engine for TokenAuth {
    const KIND: &'static str = "token";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<accessors::List>(),
        row::<accessors::Tidy>(),
        row::<create::Create>(),
        row::<create::CreateOrphan>(),
        row::<create::CreateWithRole>(),
        row::<lookup::Lookup>(),
        row::<lookup::LookupAccessor>(),
        row::<lookup::LookupSelf>(),
        row::<renew::Renew>(),
        row::<renew::RenewAccessor>(),
        row::<renew::RenewSelf>(),
        row::<revoke::Revoke>(),
        row::<revoke::RevokeAccessor>(),
        row::<revoke::RevokeOrphan>(),
        row::<revoke::RevokeSelf>(),
        row::<roles::Delete>(),
        row::<roles::List>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
    ];
    const HELP: &'static str =
        "The token credential backend is always enabled and builtin to Vault.";
}

/// The valid token with this accessor, which must be one.
async fn by_accessor(cx: Cx<'_, TokenAuth>, accessor: &str) -> Result<Arc<Token>, ApiError> {
    if accessor.is_empty() {
        return Err(missing_accessor());
    }
    let found = cx.core()?.tokens.lookup_accessor(accessor, cx.now).await?;
    found.ok_or_else(|| ApiError::listed(ErrorKind::BadRequest, "invalid accessor"))
}

fn missing_accessor() -> ApiError {
    ApiError::listed(ErrorKind::BadRequest, "missing accessor")
}
