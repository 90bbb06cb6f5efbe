//! `metadata/{path}`: what is known about secrets, and the list of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use signet_storage::{Batch, Stored};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{FromField, PageParams, Seconds, params};
use crate::reply::Reply;
use crate::route::Captures;

use super::config::{Config, checked_max_versions};
use super::data::{Contents, PathParams};
use super::key::Key;
use super::{Versioned, ready};

pub(super) struct ListRoot;

impl Endpoint for ListRoot {
    type Engine = Versioned;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "metadata")];
    const HELP: &'static str = "List the secrets of the store.";

    async fn handle(cx: Cx<'_, Versioned>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(ready(cx).await?.names("", after, limit).await?)
    }
}

pub(super) struct List;

params! {
    pub(super) struct ListParams {
        /// Optional entry to list begin listing after, not required to exist.
        after: String,
        /// Optional number of entries to return; defaults to all entries.
        limit: i64,
        /// Location below which to list.
        path: String,
    }
}

impl Endpoint for List {
    type Engine = Versioned;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "metadata/{path:path}")];
    const HELP: &'static str = "List the secrets below a location.";

    async fn handle(cx: Cx<'_, Versioned>, params: ListParams) -> Result<Reply, ApiError> {
        super::super::check_name(&params.path)?;
        let page = PageParams {
            after: params.after,
            limit: params.limit,
        };
        let (after, limit) = page.bounds();
        let folder = format!("{}/", params.path);
        Reply::keys(ready(cx).await?.names(&folder, after, limit).await?)
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Versioned;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "metadata/{path:path}")];
    const HELP: &'static str = "Read what is known about a secret and its versions.";

    async fn handle(cx: Cx<'_, Versioned>, params: PathParams) -> Result<Reply, ApiError> {
        Ok(match ready(cx).await?.key(&params.path).await? {
            None => Reply::nothing(),
            Some(key) => Reply::map(key.value.shown()),
        })
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Versioned;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "metadata/{path:path}")];
    const HELP: &'static str = "Remove a secret with all its versions for good.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: PathParams) -> Result<Reply, ApiError> {
        let store = ready(cx).await?;
        if let Some(key) = store.key(&params.path).await? {
            let mut batch = Batch::default();
            store.delete_key(&mut batch, &params.path, &key);
            cx.commit(batch).await?;
        }
        Ok(Reply::nothing())
    }
}

params! {
    pub(super) struct WriteParams {
        /// If true the key will require the cas parameter to be set on all write requests. If false, the backend's configuration will be used.
        cas_required: Option<bool>,
        /// User-provided key-value pairs that are used to describe arbitrary and version-agnostic information about a secret.
        custom_metadata: Option<Contents>,
        /// The length of time before a version is deleted. If not set, the backend's configured delete_version_after is used. Cannot be greater than the backend's delete_version_after. A zero duration clears the current setting.
        delete_version_after: Option<Seconds>,
        /// The number of versions to keep, at most 1000. If not set, the backend's configured max version is used.
        max_versions: Option<i64>,
        /// Check-and-set parameter for metadata updates. Must match the current metadata version for the update to succeed. Set to 0 for initial metadata creation.
        metadata_cas: Option<i64>,
        /// If true the key will require the metadata_cas parameter to be set on all metadata write requests. If false, the backend's configuration will be used.
        metadata_cas_required: Option<bool>,
        /// Location of the secret.
        path: String,
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = Versioned;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "metadata/{path:path}")];
    const HELP: &'static str = "Set what is known about a secret.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: WriteParams) -> Result<Reply, ApiError> {
        change(cx, params, Custom::Replace).await
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

    const ROUTES: &'static [Route] = &[Route::token(Op::Patch, "metadata/{path:path}")];
    const HELP: &'static str = "Change single fields of what is known about a secret.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: WriteParams) -> Result<Reply, ApiError> {
        change(cx, params, Custom::Merge).await
    }
}

/// What a write does to the custom metadata that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Custom {
    Merge,
    Replace,
}

async fn change(
    cx: Cx<'_, Versioned>,
    params: WriteParams,
    custom: Custom,
) -> Result<Reply, ApiError> {
    let WriteParams {
        cas_required,
        custom_metadata,
        delete_version_after,
        max_versions,
        metadata_cas,
        metadata_cas_required,
        path,
    } = params;
    let store = ready(cx).await?;
    let config = store.config().await?;
    let previous = store.key(&path).await?;
    if previous.is_none() && custom == Custom::Merge {
        return Ok(Reply::nothing().status(404));
    }
    let changes = cas_required.is_some()
        || custom_metadata.is_some()
        || delete_version_after.is_some()
        || max_versions.is_some()
        || metadata_cas_required.is_some();
    if !changes {
        return Ok(Reply::nothing());
    }
    check_metadata_cas(metadata_cas, &config, previous.as_ref())?;
    let mut key = previous
        .as_ref()
        .map_or_else(|| Key::new(cx.now), |stored| stored.value.clone());
    if let Some(given) = custom_metadata {
        key.custom = match custom {
            Custom::Merge => merged(key.custom, given.0)?,
            Custom::Replace => merged(BTreeMap::new(), given.0)?,
        };
        check_custom(&key.custom)?;
    }
    if let Some(most) = max_versions {
        key.max_versions = checked_max_versions(most)?;
    }
    if let Some(Seconds(secs)) = delete_version_after {
        key.delete_after_secs = secs;
    }
    let mut warnings = Vec::new();
    if let Some(required) = cas_required {
        key.cas_required = required;
        if config.cas_required && !required {
            warnings.push(overruled("cas_required"));
        }
    }
    if let Some(required) = metadata_cas_required {
        key.metadata_cas_required = required;
        if config.metadata_cas_required && !required {
            warnings.push(overruled("metadata_cas_required"));
        }
    }
    key.metadata_version = key.metadata_version.saturating_add(1);
    key.updated_at = cx.now;
    let mut batch = Batch::default();
    store.put_key(&mut batch, &path, &key, previous.as_ref())?;
    cx.commit(batch).await?;
    Ok(Reply::nothing().warn_all(warnings))
}

fn overruled(parameter: &str) -> String {
    format!(
        "{parameter:?} set to false, but is mandated by backend config. This value will be ignored."
    )
}

fn check_metadata_cas(
    given: Option<i64>,
    config: &Config,
    key: Option<&Stored<Key>>,
) -> Result<(), ApiError> {
    let Some(given) = given else {
        let of_key = key.is_some_and(|key| key.value.metadata_cas_required);
        return if config.metadata_cas_required || of_key {
            Err(ApiError::bad_request(
                "metadata check-and-set parameter required for this call",
            ))
        } else {
            Ok(())
        };
    };
    let current = key.map_or(0, |key| key.value.metadata_version);
    if u64::try_from(given) == Ok(current) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "metadata check-and-set parameter does not match the current version",
    ))
}

/// `custom` with what is given in it; null takes an entry away, and all of them in place of the
/// whole.
fn merged(
    mut custom: BTreeMap<String, String>,
    given: Option<Map<String, Value>>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let Some(given) = given else {
        return Ok(BTreeMap::new());
    };
    for (name, value) in given {
        if value.is_null() {
            custom.remove(&name);
            continue;
        }
        let value = String::from_value(value).map_err(|error| {
            ApiError::bad_request(format!("custom_metadata validation failed: {error}"))
        })?;
        custom.insert(name, value);
    }
    Ok(custom)
}

const MAX_CUSTOM_ENTRIES: usize = 64;
const MAX_CUSTOM_NAME_BYTES: usize = 128;
const MAX_CUSTOM_VALUE_BYTES: usize = 512;

fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let refuse = |text: String| {
        let text = format!("custom_metadata validation failed: {text}");
        Err(ApiError::listed(ErrorKind::BadRequest, text))
    };
    if custom.len() > MAX_CUSTOM_ENTRIES {
        return refuse(format!(
            "payload must contain at most {MAX_CUSTOM_ENTRIES} keys, provided {}",
            custom.len()
        ));
    }
    for (name, value) in custom {
        if !(1..=MAX_CUSTOM_NAME_BYTES).contains(&name.len()) {
            return refuse(format!(
                "length of key {name:?} is {} but must be 0 < len(key) <= {MAX_CUSTOM_NAME_BYTES}",
                name.len()
            ));
        }
        if !(1..=MAX_CUSTOM_VALUE_BYTES).contains(&value.len()) {
            return refuse(format!(
                "length of value for key {name:?} is {} but must be 0 < len(value) <= \
                 {MAX_CUSTOM_VALUE_BYTES}",
                value.len()
            ));
        }
        for (what, text) in [("key", name), ("value", value)] {
            if text.chars().any(char::is_control) {
                return refuse(format!(
                    "{what} {text:?} ({text}) contains unprintable characters"
                ));
            }
        }
    }
    Ok(())
}
