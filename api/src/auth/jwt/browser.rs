//! `oidc/…`: the login by a browser, which is refused.

use std::marker::PhantomData;

use super::{JwtAuth, Kind};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;

const HELP: &str = "Refuses: the login by a browser is not available.";

fn refused() -> ApiError {
    ApiError::bad_request("OIDC login with a browser is not available on this server")
}

params! {
    pub(super) struct AuthUrlParams {}
    ignored {
        /// Client-provided nonce that must match during callback, if present.
        client_nonce: String,
        /// The OAuth redirect_uri to use in the authorization URL.
        redirect_uri: String,
        /// The role to issue an OIDC authorization URL against.
        role: String,
    }
}

pub(super) struct AuthUrl<K>(PhantomData<K>);

impl<K: Kind> Endpoint for AuthUrl<K> {
    type Engine = JwtAuth<K>;
    type Params = AuthUrlParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "oidc/auth_url")];
    const HELP: &'static str = HELP;

    async fn handle(_cx: Cx<'_, JwtAuth<K>>, _params: AuthUrlParams) -> Result<Reply, ApiError> {
        Err(refused())
    }
}

params! {
    pub(super) struct CallbackParams {}
    ignored {
        /// Client-provided nonce.
        client_nonce: String,
        /// Code of the provider.
        code: String,
        /// Token of the provider.
        id_token: String,
        /// State of the login.
        state: String,
    }
}

pub(super) struct Callback<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Callback<K> {
    type Engine = JwtAuth<K>;
    type Params = CallbackParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "oidc/callback"),
        Route::unauthenticated(Op::Write, "oidc/callback"),
    ];
    const HELP: &'static str = HELP;

    async fn handle(_cx: Cx<'_, JwtAuth<K>>, _params: CallbackParams) -> Result<Reply, ApiError> {
        Err(refused())
    }
}

params! {
    pub(super) struct PollParams {}
    ignored {
        /// Client-provided nonce.
        client_nonce: String,
        /// State of the login.
        state: String,
    }
}

pub(super) struct Poll<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Poll<K> {
    type Engine = JwtAuth<K>;
    type Params = PollParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "oidc/poll")];
    const HELP: &'static str = HELP;

    async fn handle(_cx: Cx<'_, JwtAuth<K>>, _params: PollParams) -> Result<Reply, ApiError> {
        Err(refused())
    }
}
