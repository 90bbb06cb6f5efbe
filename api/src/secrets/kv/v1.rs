//! Secrets without versions: what is written last is what is read.

use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::{Map, Value};
use signet_storage::{Batch, Expect, Record, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route, Row, row};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::mount::{MountEnvironment, Settings};
use crate::params::{FromField, PageParams, Seconds, params};
use crate::reply::{Lease, Reply};
use crate::route::Captures;

use super::{PLAIN, UPGRADED, check_name};

/// Under which type a mount stands in the mount table.
pub(super) trait Kind: Send + Sync + 'static {
    const NAME: &'static str;
}

#[derive(Debug)]
pub(super) struct Generic;

impl Kind for Generic {
    const NAME: &'static str = "generic";
}

#[derive(Debug)]
pub(super) struct Kv;

impl Kind for Kv {
    const NAME: &'static str = "kv";
}

/// One mount.
#[derive(Debug)]
pub(super) struct Plain<K> {
    view: View,
    secrets: View,
    settings: Arc<Settings>,
    kind: PhantomData<K>,
}

impl<K: Kind> Plain<K> {
    pub(super) fn open(environment: MountEnvironment) -> Self {
        Self {
            secrets: environment.view.child(PLAIN),
            view: environment.view,
            settings: environment.settings,
            kind: PhantomData,
        }
    }

    /// A batch that fails once the mount has versions: the request then finds the other engine.
    fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        self.view.expect(&mut batch, UPGRADED, Expect::Absent);
        batch
    }
}

impl<K: Kind> Engine for Plain<K> {
    const KIND: &'static str = K::NAME;
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<Read<K>>(),
        row::<Write<K>>(),
        row::<Delete<K>>(),
        row::<List<K>>(),
        row::<ListRoot<K>>(),
    ];
    const HELP: &'static str = "The kv backend stores arbitrary secrets under names. A mount can be tuned to keep versions.";
}

/// What stands under one name.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Secret(pub(super) Map<String, Value>);

impl Record for Secret {
    const FORMAT: u8 = 1;
}

params! {
    struct PathParams {
        /// Location of the secret.
        path: String,
    }
}

struct Read<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Read<K> {
    type Engine = Plain<K>;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "{path:path}")];
    const HELP: &'static str = "Read a secret.";

    async fn handle(cx: Cx<'_, Plain<K>>, params: PathParams) -> Result<Reply, ApiError> {
        check_name(&params.path)?;
        let found = cx.engine.secrets.record::<Secret>(&params.path).await?;
        let Some(found) = found else {
            return Ok(Reply::nothing());
        };
        let Secret(data) = found.value;
        let duration_secs = refresh_secs(&data, cx.engine.settings.default_ttl_secs());
        let mut reply = Reply::map(data);
        reply.lease = Some(Lease {
            duration_secs,
            ..Lease::default()
        });
        Ok(reply)
    }
}

/// How often readers should come again: what the secret itself says under `ttl` or `lease`.
fn refresh_secs(data: &Map<String, Value>, default_secs: u64) -> u64 {
    let own = data.get("ttl").or_else(|| data.get("lease"));
    own.and_then(|value| Seconds::from_value(value.clone()).ok())
        .map_or(default_secs, |secs| secs.0)
}

struct Write<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Write<K> {
    type Engine = Plain<K>;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "{path:path}")];
    const HELP: &'static str = "Store a secret, in place of the one that was there.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Plain<K>>, params: PathParams) -> Result<Reply, ApiError> {
        check_name(&params.path)?;
        let data = cx.call.data.clone();
        if data.is_empty() {
            return Err(ApiError::bad_request("missing data fields"));
        }
        let mut batch = cx.engine.batch();
        let secrets = &cx.engine.secrets;
        secrets.put_record(&mut batch, &params.path, &Secret(data))?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }

    async fn exists(cx: Cx<'_, Plain<K>>, captures: &Captures) -> Result<bool, ApiError> {
        let path = captures.first().map_or("", |(_, path)| path.as_str());
        check_name(path)?;
        Ok(cx.engine.secrets.get(path).await?.is_some())
    }
}

struct Delete<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Delete<K> {
    type Engine = Plain<K>;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "{path:path}")];
    const HELP: &'static str = "Delete a secret.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Plain<K>>, params: PathParams) -> Result<Reply, ApiError> {
        check_name(&params.path)?;
        let mut batch = cx.engine.batch();
        cx.engine.secrets.delete(&mut batch, &params.path);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

struct ListRoot<K>(PhantomData<K>);

impl<K: Kind> Endpoint for ListRoot<K> {
    type Engine = Plain<K>;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "")];
    const HELP: &'static str = "List the secrets of the mount.";

    async fn handle(cx: Cx<'_, Plain<K>>, page: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = page.bounds();
        Reply::keys(cx.engine.secrets.children("", after, limit).await?)
    }
}

struct List<K>(PhantomData<K>);

params! {
    struct ListParams {
        /// Optional entry to list begin listing after, not required to exist.
        after: String,
        /// Optional number of entries to return; defaults to all entries.
        limit: i64,
        /// Location below which to list.
        path: String,
    }
}

impl<K: Kind> Endpoint for List<K> {
    type Engine = Plain<K>;
    type Params = ListParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "{path:path}")];
    const HELP: &'static str = "List the secrets below a location.";

    async fn handle(cx: Cx<'_, Plain<K>>, params: ListParams) -> Result<Reply, ApiError> {
        check_name(&params.path)?;
        let page = PageParams {
            after: params.after,
            limit: params.limit,
        };
        let (after, limit) = page.bounds();
        let folder = format!("{}/", params.path);
        Reply::keys(cx.engine.secrets.children(&folder, after, limit).await?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_itself_says_how_often_it_is_to_be_read_again() {
        for (data, secs) in [
            (json!({"ttl": "1h"}), 3600),
            (json!({"lease": "30m"}), 1800),
            (json!({"ttl": 100, "lease": 5}), 100),
            (json!({"ttl": "abc"}), 7),
            (json!({"a": "b"}), 7),
        ] {
            assert_eq!(refresh_secs(data.as_object().unwrap(), 7), secs, "{data}");
        }
    }
}
