//! `login/{username}`: a password for a token.

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::lockout::Attempt;
use crate::node::Metadata;
use crate::params::{SecretText, params};
use crate::reply::Reply;

use super::hash::{MAX_PASSWORD_BYTES, PasswordHash};
use super::{POLICIES, USERNAME, UserPass};

pub(super) struct Login;

params! {
    pub(super) struct LoginParams {
        /// Password for this user.
        password: SecretText,
        /// Username of the user.
        username: String,
    }
}

impl Endpoint for Login {
    type Engine = UserPass;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login/{username}")];
    const HELP: &'static str = "Log in with a username and password.";

    async fn handle(cx: Cx<'_, UserPass>, params: LoginParams) -> Result<Reply, ApiError> {
        if params.password.0.is_empty() {
            return Err(ApiError::bad_request("missing password"));
        }
        if params.password.0.len() > MAX_PASSWORD_BYTES {
            return Err(refused());
        }
        // In one form, or failures would be counted for each spelling.
        let name = params.username.to_lowercase();
        let store = &cx.engine.store;
        let pool = &cx.node.environment.key_pool;
        let Some(user) = store.user(&name).await? else {
            // The same work as for a wrong password, so that time does not tell.
            PasswordHash::decoy().is_of(params.password, pool).await?;
            return Err(refused());
        };
        let attempt = Attempt::begin(cx.request, &name)?;
        if !user.value.password.is_of(params.password, pool).await? {
            attempt.failed();
            return Err(refused());
        }
        attempt.succeeded();
        let token = &user.value.token;
        let source = cx.call.peer.address.ip();
        token.check_source(source)?;
        let mut grant = token.grant(source);
        store.expect_unchanged(&mut grant.batch, &name, &user);
        grant.display_name.clone_from(&name);
        grant.metadata = Metadata::from([("username".into(), name.clone())]);
        grant.internal = Metadata::from([
            (POLICIES.into(), token.policies_text()),
            (USERNAME.into(), name.clone()),
        ]);
        grant.alias = name;
        Ok(Reply::login(grant))
    }
}

/// One text, whatever was wrong.
fn refused() -> ApiError {
    ApiError::bad_request("invalid username or password")
}
