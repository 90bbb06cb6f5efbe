//! `users/{username}/policies`: other policies.

use crate::auth::token_fields::{OldFields, TokenFields};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, params};
use crate::reply::Reply;

use super::UserPass;
use super::password::no_such_user;

pub(super) struct Write;

params! {
    pub(super) struct PoliciesParams {
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Comma-separated list of policies
        token_policies: Option<CommaList>,
        /// Username for this user.
        username: String,
    }
}

impl Endpoint for Write {
    type Engine = UserPass;
    type Params = PoliciesParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "users/{username}/policies")];
    const HELP: &'static str = "Update the policies associated with the username.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, UserPass>, params: PoliciesParams) -> Result<Reply, ApiError> {
        let store = &cx.engine.store;
        let previous = store
            .user(&params.username)
            .await?
            .ok_or_else(no_such_user)?;
        let mut user = previous.value.clone();
        let old = OldFields {
            policies: params.policies,
            ..OldFields::default()
        };
        let new = TokenFields {
            token_policies: params.token_policies,
            ..TokenFields::default()
        };
        new.apply(old, &mut user.token)?;
        user.token.sanitize_policies()?;
        store
            .put(cx, &params.username, &user, Some(&previous))
            .await?;
        Ok(Reply::nothing())
    }
}
