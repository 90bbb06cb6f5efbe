//! `config/acme`, for clients that want to know whether there is ACME: there is not.

use serde_json::json;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::NoParams;
use crate::reply::Reply;
use crate::secrets::pki::Pki;

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config/acme")];
    const HELP: &'static str = "Whether certificates can be had over ACME, which is not supported.";

    async fn handle(_cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::data(json!({
            "allow_role_ext_key_usage": false,
            "allowed_issuers": ["*"],
            "allowed_roles": ["*"],
            "default_directory_policy": "sign-verbatim",
            "dns_resolver": "",
            "eab_policy": "not-required",
            "enabled": false,
        }))
    }
}
