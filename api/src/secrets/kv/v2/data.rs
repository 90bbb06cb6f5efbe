//! `data/{path}`: secrets written, patched, read and deleted.

use serde_json::{Map, Value, json};
use signet_storage::{Batch, Stored};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{FieldKind, FromField, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::config::Config;
use super::key::Key;
use super::merge::merge;
use super::store::Store;
use super::{Versioned, ready};

pub(super) struct Read;

params! {
    pub(super) struct ReadParams {
        /// Location of the secret.
        path: String,
        /// If provided during a read, the value at the version number will be returned.
        version: i64,
    }
}

impl Endpoint for Read {
    type Engine = Versioned;
    type Params = ReadParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "data/{path:path}")];
    const HELP: &'static str = "Read a version of a secret.";

    async fn handle(cx: Cx<'_, Versioned>, params: ReadParams) -> Result<Reply, ApiError> {
        read(cx, &params.path, params.version, "data", |data| data).await
    }
}

/// A version of a secret, and under `name` what `show` makes of its data. One that is deleted is not
/// found, but what is known about it is.
pub(super) async fn read(
    cx: Cx<'_, Versioned>,
    path: &str,
    version: i64,
    name: &str,
    show: impl FnOnce(Map<String, Value>) -> Map<String, Value>,
) -> Result<Reply, ApiError> {
    let store = ready(cx).await?;
    let Some(Stored { value: key, .. }) = store.key(path).await? else {
        return Ok(Reply::nothing());
    };
    let Some((number, version)) = key.version(version) else {
        return Ok(Reply::nothing());
    };
    let metadata = key.shown_version(number, version);
    if !version.is_readable(cx.now) {
        return Ok(Reply::data(json!({ name: null, "metadata": metadata }))?.status(404));
    }
    let shown = store.data(path, number).await?.map(show);
    Reply::data(json!({ name: shown, "metadata": metadata }))
}

pub(super) struct Write;

params! {
    pub(super) struct WriteParams {
        /// The contents of the data map will be stored and returned on read.
        data: Option<Contents>,
        /// Options for writing a KV entry. Set the "cas" value to use a Check-And-Set operation. If not set the write will be allowed. If set to 0 a write will only be allowed if the key does not exist. If the index is non-zero the write will only be allowed if the key's current version matches the version specified in the cas parameter.
        options: Option<Contents>,
        /// Location of the secret.
        path: String,
    }
    ignored {
        /// Has a meaning for reading only.
        version: i64,
    }
}

impl Endpoint for Write {
    type Engine = Versioned;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "data/{path:path}")];
    const HELP: &'static str = "Store a new version of a secret.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: WriteParams) -> Result<Reply, ApiError> {
        let data = params.data.ok_or_else(no_data)?;
        let store = ready(cx).await?;
        let config = store.config().await?;
        let previous = store.key(&params.path).await?;
        check_cas(params.options, &config, previous.as_ref())?;
        add(cx, store, &params.path, &config, previous, data.0).await
    }

    async fn exists(cx: Cx<'_, Versioned>, captures: &Captures) -> Result<bool, ApiError> {
        let path = captures.first().map_or("", |(_, path)| path.as_str());
        Ok(ready(cx).await?.key(path).await?.is_some())
    }
}

pub(super) struct Patch;

impl Endpoint for Patch {
    type Engine = Versioned;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Patch, "data/{path:path}")];
    const HELP: &'static str =
        "Store a new version of a secret: the newest one, changed by a JSON merge patch.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: WriteParams) -> Result<Reply, ApiError> {
        let patch = params.data.ok_or_else(no_data)?;
        let store = ready(cx).await?;
        let Some(previous) = store.key(&params.path).await? else {
            return Ok(Reply::nothing().status(404));
        };
        let config = store.config().await?;
        check_cas(params.options, &config, Some(&previous))?;
        let Some((number, version)) = previous.value.version(0) else {
            return Ok(Reply::nothing().status(404));
        };
        if !version.is_readable(cx.now) {
            let metadata = previous.value.shown_version(number, version);
            return Ok(Reply::map(metadata).status(404));
        }
        let mut data = store.data(&params.path, number).await?.unwrap_or_default();
        merge(&mut data, patch.0.unwrap_or_default());
        add(cx, store, &params.path, &config, Some(previous), Some(data)).await
    }
}

pub(super) struct Delete;

params! {
    pub(super) struct PathParams {
        /// Location of the secret.
        path: String,
    }
}

impl Endpoint for Delete {
    type Engine = Versioned;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "data/{path:path}")];
    const HELP: &'static str = "Delete the newest version of a secret. It can be restored.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: PathParams) -> Result<Reply, ApiError> {
        let store = ready(cx).await?;
        let Some(previous) = store.key(&params.path).await? else {
            return Ok(Reply::nothing());
        };
        let mut key = previous.value.clone();
        if key.delete(&[previous.value.current], cx.now) {
            let mut batch = Batch::default();
            store.put_key(&mut batch, &params.path, &key, Some(&previous))?;
            cx.commit(batch).await?;
        }
        Ok(Reply::nothing())
    }
}

/// Stores `data` as the newest version.
async fn add(
    cx: Cx<'_, Versioned>,
    store: &Store,
    path: &str,
    config: &Config,
    previous: Option<Stored<Key>>,
    data: Option<Map<String, Value>>,
) -> Result<Reply, ApiError> {
    let mut key = previous
        .as_ref()
        .map_or_else(|| Key::new(cx.now), |stored| stored.value.clone());
    let (number, given_up) = key.add(config, cx.now);
    let mut batch = Batch::default();
    store.put_data(&mut batch, path, number, data)?;
    for gone in given_up {
        store.delete_data(&mut batch, path, gone);
    }
    store.put_key(&mut batch, path, &key, previous.as_ref())?;
    cx.commit(batch).await?;
    let shown = key
        .version(0)
        .map(|(number, version)| key.shown_version(number, version));
    Ok(Reply::map(shown.unwrap_or_default()))
}

/// Refuses a write that counts on another newest version than there is.
fn check_cas(
    options: Option<Contents>,
    config: &Config,
    key: Option<&Stored<Key>>,
) -> Result<(), ApiError> {
    let given = options
        .and_then(|options| options.0)
        .and_then(|mut options| options.remove("cas"));
    let Some(given) = given else {
        let required = config.cas_required || key.is_some_and(|key| key.value.cas_required);
        return if required {
            Err(ApiError::bad_request(
                "check-and-set parameter required for this call",
            ))
        } else {
            Ok(())
        };
    };
    let wanted = i64::from_value(given)
        .map_err(|_| ApiError::bad_request("error parsing check-and-set parameter"))?;
    let current = key.map_or(0, |key| key.value.current);
    if u64::try_from(wanted) == Ok(current) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "check-and-set parameter did not match the current version",
    ))
}

fn no_data() -> ApiError {
    ApiError::bad_request("no data provided")
}

/// An object, or null.
#[derive(Debug, Default)]
pub(super) struct Contents(pub(super) Option<Map<String, Value>>);

impl FromField for Contents {
    const KIND: FieldKind = FieldKind::Map;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::Object(map) => Ok(Self(Some(map))),
            other => {
                let kind = match other {
                    Value::Array(_) => "[]interface {}",
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "json.Number",
                    _ => "string",
                };
                Err(format!(
                    "'' expected type 'map[string]interface {{}}', got unconvertible type '{kind}'"
                ))
            }
        }
    }

    fn absent() -> Self {
        Self::default()
    }
}
