//! `sys/key-status`, `sys/rotate` and `sys/rotate/config`: the key that encrypts records.

use serde_json::{Value, json};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, Seconds, params};
use crate::reply::Reply;
use crate::seal::RotationConfig;
use crate::sys::Sys;
use crate::time::{Timestamp, go_duration};

pub(super) struct KeyStatus;

impl Endpoint for KeyStatus {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "key-status")];
    const HELP: &'static str = "Provides information about the backend encryption key.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let key = cx.core()?.store.key_status();
        let installed = i64::try_from(key.install_time_unix_nanos).unwrap_or(i64::MAX);
        Reply::flattened(json!({
            "term": key.term,
            "install_time": Timestamp(installed).rfc3339(),
            "encryptions": key.encryptions,
        }))
    }
}

pub(super) struct Rotate;

impl Endpoint for Rotate {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::sudo(Op::Write, "rotate"),
        Route::sudo(Op::Write, "rotate/keyring"),
    ];
    const HELP: &'static str = "Rotates the backend encryption key used to persist data.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        cx.node.rotate(cx.core()?).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct ReadRotateConfig;

impl Endpoint for ReadRotateConfig {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "rotate/config")];
    const HELP: &'static str = "Reads when the backend encryption key is rotated automatically.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let config = cx.core()?.rotation_config().await?;
        let interval = match config.interval_secs {
            0 => Value::from(0),
            secs => Value::from(go_duration(secs)),
        };
        Reply::data(json!({
            "enabled": config.enabled,
            "interval": interval,
            "max_operations": config.max_operations,
        }))
    }
}

pub(super) struct WriteRotateConfig;

params! {
    pub(super) struct RotateConfigParams {
        /// Whether automatic rotation is enabled.
        enabled: Option<bool>,
        /// How long after installation of an active key term that the key will be automatically rotated.
        interval: Option<Seconds>,
        /// The number of encryption operations performed before the barrier key is automatically rotated.
        max_operations: Option<i64>,
    }
}

impl Endpoint for WriteRotateConfig {
    type Engine = Sys;
    type Params = RotateConfigParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "rotate/config")];
    const HELP: &'static str = "Configures the automatic rotation of the backend encryption key.";

    async fn handle(cx: Cx<'_, Sys>, params: RotateConfigParams) -> Result<Reply, ApiError> {
        let core = cx.core()?;
        let mut config = core.rotation_config().await?;
        if let Some(enabled) = params.enabled {
            config.enabled = enabled;
        }
        if let Some(Seconds(secs)) = params.interval {
            if secs > 0 && secs < RotationConfig::MIN_INTERVAL_SECS {
                return Err(ApiError::bad_request(format!(
                    "interval must be greater or equal to {}",
                    go_duration(RotationConfig::MIN_INTERVAL_SECS)
                )));
            }
            config.interval_secs = secs;
        }
        if let Some(wanted) = params.max_operations {
            let range = RotationConfig::MIN_OPERATIONS..=RotationConfig::MAX_OPERATIONS;
            config.max_operations = u64::try_from(wanted)
                .ok()
                .filter(|wanted| range.contains(wanted))
                .ok_or_else(|| {
                    ApiError::bad_request(format!(
                        "max_operations must be in the range [{},{}]",
                        range.start(),
                        range.end()
                    ))
                })?;
        }
        let mut batch = Batch::default();
        core.stage_rotation_config(&mut batch, &config)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}
