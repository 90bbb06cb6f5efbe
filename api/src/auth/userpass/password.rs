//! `users/{username}/password`: another password.

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{SecretText, params};
use crate::reply::Reply;

use super::UserPass;
use super::hash::{MAX_PASSWORD_BYTES, PasswordHash};

pub(super) struct Write;

params! {
    pub(super) struct PasswordParams {
        /// Password for this user.
        password: SecretText,
        /// Not supported: must be empty.
        password_hash: SecretText,
        /// Username for this user.
        username: String,
    }
}

impl Endpoint for Write {
    type Engine = UserPass;
    type Params = PasswordParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "users/{username}/password")];
    const HELP: &'static str = "Reset user's password.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, UserPass>, params: PasswordParams) -> Result<Reply, ApiError> {
        let store = &cx.engine.store;
        let previous = store
            .user(&params.username)
            .await?
            .ok_or_else(no_such_user)?;
        let mut user = previous.value.clone();
        user.password = hashed(cx, params.password, &params.password_hash).await?;
        store
            .put(cx, &params.username, &user, Some(&previous))
            .await?;
        Ok(Reply::nothing())
    }
}

pub(super) fn no_such_user() -> ApiError {
    ApiError::listed(ErrorKind::BadRequest, "username does not exist")
}

/// What is to be kept of a new password.
pub(super) async fn hashed(
    cx: Cx<'_, UserPass>,
    password: SecretText,
    password_hash: &SecretText,
) -> Result<PasswordHash, ApiError> {
    let text = match (password.0.is_empty(), password_hash.0.is_empty()) {
        (true, true) => "must provide either password or password_hash",
        (false, false) => "only one of password or password_hash may be provided",
        (true, false) => "password_hash is not supported, provide the password",
        (false, true) if password.0.len() > MAX_PASSWORD_BYTES => "password is too long",
        (false, true) => {
            let pool = &cx.node.environment.key_pool;
            return PasswordHash::new(password, cx.node.rng(), pool).await;
        }
    };
    Err(ApiError::bad_request(text))
}
