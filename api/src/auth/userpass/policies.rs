//! `users/{username}/policies`: other policies.

use serde_json::{Map, Value};
use signet_storage::Batch;

use crate::auth::token_fields::TokenFields;
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{Field, FieldError, FieldKind, Params, take_field};
use crate::reply::Reply;

use super::UserPass;
use super::password::no_such_user;

pub(super) struct Write;

pub(super) struct PoliciesParams {
    username: String,
    token: TokenFields,
}

impl Params for PoliciesParams {
    const FIELDS: &'static [Field] = &[
        Field::new(
            "policies",
            FieldKind::CommaList,
            "Deprecated: use \"token_policies\".",
        ),
        Field::new(
            "token_policies",
            FieldKind::CommaList,
            "Comma-separated list of policies",
        ),
        Field::new("username", FieldKind::String, "Username for this user."),
    ];

    /// Everything but the policies stays unknown here.
    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError> {
        let mut given: Map<String, Value> = Self::FIELDS
            .iter()
            .filter_map(|field| data.remove_entry(field.name()))
            .collect();
        let username = take_field(&mut given, "username")?.unwrap_or_default();
        let token = TokenFields::take(&mut given)?;
        Ok(Self { username, token })
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
        let max_ttl_secs = cx.engine.settings.max_ttl_secs();
        let warnings = params.token.apply(&mut user.token, max_ttl_secs)?;
        let mut batch = Batch::default();
        store.put(&mut batch, &params.username, &user, Some(&previous))?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }
}
