//! `config`: what holds for all roles of a mount.

use serde_json::json;
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;

use super::CertAuth;

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = CertAuth;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config")];
    const HELP: &'static str = "Read the configuration of the method.";

    async fn handle(cx: Cx<'_, CertAuth>, _params: NoParams) -> Result<Reply, ApiError> {
        let config = cx.engine.store.config().await?.map(|stored| stored.value);
        Reply::data(json!({
            "disable_binding": config.unwrap_or_default().disable_binding,
            "enable_identity_alias_metadata": false,
            "ocsp_cache_size": 0,
        }))
    }
}

pub(super) struct Write;

params! {
    pub(super) struct WriteParams {
        /// If set, during renewal, skips the matching of presented client identity with the client identity used during login. Defaults to false.
        disable_binding: Option<bool>,
        /// Not supported: must be false.
        enable_identity_alias_metadata: bool,
    }
    ignored {
        /// There is no cache of OCSP responses.
        ocsp_cache_size: i64,
    }
}

impl Endpoint for Write {
    type Engine = CertAuth;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "config")];
    const HELP: &'static str = "Configure the method.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, CertAuth>, params: WriteParams) -> Result<Reply, ApiError> {
        if params.enable_identity_alias_metadata {
            return Err(ApiError::bad_request(
                "enable_identity_alias_metadata is not supported",
            ));
        }
        let store = &cx.engine.store;
        let previous = store.config().await?;
        let mut config = previous
            .as_ref()
            .map(|stored| stored.value.clone())
            .unwrap_or_default();
        if let Some(disable) = params.disable_binding {
            config.disable_binding = disable;
        }
        let mut batch = Batch::default();
        store.put_config(&mut batch, &config, previous.as_ref())?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}
