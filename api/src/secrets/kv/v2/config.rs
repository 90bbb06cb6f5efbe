//! `config`: what holds for all secrets of a mount.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signet_storage::{Batch, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{FieldKind, FromField, NoParams, params, parse_duration_secs};
use crate::reply::Reply;
use crate::time::go_duration;

use super::key::MAX_VERSIONS;
use super::{Versioned, ready};

/// The configuration as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) cas_required: bool,
    pub(super) metadata_cas_required: bool,
    /// 0 for the default of 10.
    pub(super) max_versions: u64,
    /// 0 for what each secret says, negative for never.
    pub(super) delete_after_secs: i64,
}

impl Record for Config {
    const FORMAT: u8 = 1;
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Versioned;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config")];
    const HELP: &'static str = "Read the configuration of the store.";

    async fn handle(cx: Cx<'_, Versioned>, _params: NoParams) -> Result<Reply, ApiError> {
        let config = ready(cx).await?.config().await?;
        let delete_after = go_duration(config.delete_after_secs.unsigned_abs());
        let sign = if config.delete_after_secs < 0 {
            "-"
        } else {
            ""
        };
        Reply::data(json!({
            "cas_required": config.cas_required,
            "delete_version_after": format!("{sign}{delete_after}"),
            "max_versions": config.max_versions,
            "metadata_cas_required": config.metadata_cas_required,
        }))
    }
}

pub(super) struct Write;

params! {
    pub(super) struct WriteParams {
        /// If true, the backend will require the cas parameter to be set for each write.
        cas_required: Option<bool>,
        /// If set, the length of time before a version is deleted. A negative duration disables the use of delete_version_after on all keys. A zero duration clears the current setting.
        delete_version_after: Option<SignedSeconds>,
        /// The number of versions to keep for each key, at most 1000. Defaults to 10.
        max_versions: Option<i64>,
        /// If true, the backend will require the metadata_cas parameter to be set for each metadata update.
        metadata_cas_required: Option<bool>,
    }
}

impl Endpoint for Write {
    type Engine = Versioned;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "config")];
    const HELP: &'static str = "Configure the store.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: WriteParams) -> Result<Reply, ApiError> {
        let store = ready(cx).await?;
        let previous = store.stored_config().await?;
        let mut config = previous
            .as_ref()
            .map_or_else(Config::default, |stored| stored.value.clone());
        if let Some(required) = params.cas_required {
            config.cas_required = required;
        }
        if let Some(required) = params.metadata_cas_required {
            config.metadata_cas_required = required;
        }
        if let Some(most) = params.max_versions {
            config.max_versions = checked_max_versions(most)?;
        }
        if let Some(SignedSeconds(secs)) = params.delete_version_after {
            config.delete_after_secs = secs;
        }
        let mut batch = Batch::default();
        store.put_config(&mut batch, &config, previous.as_ref())?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

/// How many versions may be kept: what is known about them is one record.
pub(super) fn checked_max_versions(given: i64) -> Result<u64, ApiError> {
    u64::try_from(given)
        .ok()
        .filter(|most| *most <= MAX_VERSIONS)
        .ok_or_else(|| {
            ApiError::bad_request(format!("max_versions must be between 0 and {MAX_VERSIONS}"))
        })
}

/// Seconds that may be negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignedSeconds(i64);

impl FromField for SignedSeconds {
    const KIND: FieldKind = FieldKind::DurationSecs;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self(0)),
            Value::Number(number) => number
                .as_i64()
                .map(Self)
                .ok_or_else(|| "could not parse duration from input".into()),
            Value::String(text) => parse_duration_secs(&text).map(Self),
            _ => Err("could not parse duration from input".into()),
        }
    }

    fn absent() -> Self {
        Self(0)
    }
}
