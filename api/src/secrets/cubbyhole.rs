//! `cubbyhole/`: a store of its own for every token, gone with it.

use std::sync::Arc;

use serde_json::{Map, Value};
use signet_storage::{Batch, Record, Unsealed, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route, Row, row};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::route::Captures;
use crate::token::TokenKind;
use crate::wrap;

/// The engine; what it stores hangs on the caller's token, not on the mount.
#[derive(Debug)]
pub struct Cubbyhole;

impl Engine for Cubbyhole {
    const KIND: &'static str = "cubbyhole";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<Read>(),
        row::<Write>(),
        row::<Delete>(),
        row::<ListRoot>(),
        row::<List>(),
    ];
    const HELP: &'static str =
        "The cubbyhole secret engine stores arbitrary secrets scoped to one token.";
}

/// What stands at one path.
#[derive(serde::Serialize, serde::Deserialize)]
struct Entry(Map<String, Value>);

impl Record for Entry {
    const FORMAT: u8 = 1;
}

/// Puts `data` into the cubbyhole of the token with this hash.
pub(crate) fn put(
    store: &Arc<Unsealed>,
    batch: &mut Batch,
    token_hash: &str,
    path: &str,
    data: Map<String, Value>,
) -> Result<(), ApiError> {
    Ok(view(store, token_hash).put_record(batch, path, &Entry(data))?)
}

/// What stands at `path` in the cubbyhole of the token with this hash.
pub(crate) async fn get(
    store: &Arc<Unsealed>,
    token_hash: &str,
    path: &str,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let stored = view(store, token_hash).record::<Entry>(path).await?;
    Ok(stored.map(|stored| stored.value.0))
}

pub(crate) async fn is_empty(store: &Arc<Unsealed>, token_hash: &str) -> Result<bool, ApiError> {
    Ok(view(store, token_hash).keys("", None, 1).await?.is_empty())
}

/// Empties the cubbyhole of a token that goes.
pub(crate) async fn clear(store: &Arc<Unsealed>, token_hash: &str) -> Result<(), ApiError> {
    Ok(view(store, token_hash).delete_prefix("").await?)
}

fn view(store: &Arc<Unsealed>, token_hash: &str) -> View {
    View::new(store.clone(), &format!("sys/cubbyhole/{token_hash}/"))
}

fn own_view(cx: Cx<'_, Cubbyhole>) -> Result<View, ApiError> {
    let token = cx.caller()?;
    if token.kind == TokenKind::Batch {
        return Err(ApiError::bad_request(
            "cubbyhole operations are only supported by 'service' type tokens",
        ));
    }
    Ok(view(&cx.core()?.store, &token.hash))
}

struct Read;

params! {
    struct PathParams {
        /// Specifies the path of the secret.
        path: String,
    }
}

impl Endpoint for Read {
    type Engine = Cubbyhole;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "{path:path}")];
    const HELP: &'static str = "Retrieve the secret at the specified location.";

    async fn handle(cx: Cx<'_, Cubbyhole>, params: PathParams) -> Result<Reply, ApiError> {
        let Some(stored) = own_view(cx)?.record::<Entry>(&params.path).await? else {
            return Ok(Reply::nothing());
        };
        let reply = Reply::data(stored.value.0)?;
        if params.path == wrap::RESPONSE && wrap::is_wrapping(cx.caller()?) {
            return Ok(reply.warn(wrap::DEPRECATED_READ));
        }
        Ok(reply)
    }
}

struct Write;

impl Endpoint for Write {
    type Engine = Cubbyhole;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "{path:path}")];
    const HELP: &'static str = "Store a secret at the specified location.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Cubbyhole>, params: PathParams) -> Result<Reply, ApiError> {
        let data = cx.call.data.clone();
        if data.is_empty() {
            return Err(ApiError::bad_request("missing data fields"));
        }
        let mut batch = Batch::default();
        own_view(cx)?.put_record(&mut batch, &params.path, &Entry(data))?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }

    async fn exists(cx: Cx<'_, Cubbyhole>, captures: &Captures) -> Result<bool, ApiError> {
        let path = captures.first().map_or("", |(_, path)| path.as_str());
        Ok(own_view(cx)?.get(path).await?.is_some())
    }
}

struct Delete;

impl Endpoint for Delete {
    type Engine = Cubbyhole;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "{path:path}")];
    const HELP: &'static str = "Delete the secret at the specified location.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Cubbyhole>, params: PathParams) -> Result<Reply, ApiError> {
        let mut batch = Batch::default();
        own_view(cx)?.delete(&mut batch, &params.path);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

struct ListRoot;

impl Endpoint for ListRoot {
    type Engine = Cubbyhole;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "")];
    const HELP: &'static str = "List the secrets of this token.";

    async fn handle(cx: Cx<'_, Cubbyhole>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::keys(own_view(cx)?.children("", None, usize::MAX).await?)
    }
}

struct List;

impl Endpoint for List {
    type Engine = Cubbyhole;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "{path:path}")];
    const HELP: &'static str = "List the secrets below the specified location.";

    async fn handle(cx: Cx<'_, Cubbyhole>, params: PathParams) -> Result<Reply, ApiError> {
        let prefix = format!("{}/", params.path);
        Reply::keys(own_view(cx)?.children(&prefix, None, usize::MAX).await?)
    }
}
