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
        let config = config.unwrap_or_default();
        Reply::data(json!({
            "disable_binding": config.disable_binding,
            "enable_identity_alias_metadata": false,
            "ocsp_cache_size": config.ocsp_cache_size,
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
        /// How many OCSP responses are kept in memory for each role: 2 to 100000. The default is 100.
        ocsp_cache_size: Option<i64>,
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
        if let Some(size) = params.ocsp_cache_size {
            config.ocsp_cache_size = usize::try_from(size)
                .ok()
                .filter(|size| (2..=100_000).contains(size))
                .ok_or_else(|| {
                    ApiError::bad_request("invalid cache size, must be >= 2 and <= 100000")
                })?;
        }
        let mut batch = Batch::default();
        store.put_config(&mut batch, &config, previous.as_ref())?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}
