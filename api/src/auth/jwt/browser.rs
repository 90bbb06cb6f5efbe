//! `oidc/…`: the login by a browser, which is refused.

use std::marker::PhantomData;

use super::{JwtAuth, Kind};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;

params! {
    pub(super) struct BrowserParams {}
    ignored {
        /// Client-provided nonce that must match during callback, if present.
        client_nonce: String,
        /// Code of the provider.
        code: String,
        /// Token of the provider.
        id_token: String,
        /// The OAuth redirect_uri to use in the authorization URL.
        redirect_uri: String,
        /// The role to issue an OIDC authorization URL against.
        role: String,
        /// State of the login.
        state: String,
    }
}

pub(super) struct Browser<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Browser<K> {
    type Engine = JwtAuth<K>;
    type Params = BrowserParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "oidc/callback"),
        Route::unauthenticated(Op::Write, "oidc/auth_url"),
        Route::unauthenticated(Op::Write, "oidc/callback"),
        Route::unauthenticated(Op::Write, "oidc/poll"),
    ];
    const HELP: &'static str = "Refuses: the login by a browser is not available.";

    async fn handle(_cx: Cx<'_, JwtAuth<K>>, _params: BrowserParams) -> Result<Reply, ApiError> {
        let text = "OIDC login with a browser is not available on this server";
        Err(ApiError::bad_request(text))
    }
}
