//! `subkeys/{path}`: how a secret is built, without its values.

use serde_json::{Map, Value, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;

use super::{Versioned, ready};

pub(super) struct Read;

params! {
    pub(super) struct ReadParams {
        /// Deepest nesting level to provide in the output. The default is 0, which is all levels.
        depth: i64,
        /// Location of the secret.
        path: String,
        /// Specifies which version to retrieve. If not provided, the current version will be used.
        version: i64,
    }
}

impl Endpoint for Read {
    type Engine = Versioned;
    type Params = ReadParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "subkeys/{path:path}")];
    const HELP: &'static str = "Read the names within a secret, without their values.";

    async fn handle(cx: Cx<'_, Versioned>, params: ReadParams) -> Result<Reply, ApiError> {
        let store = ready(cx).await?;
        let Some(key) = store.key(&params.path).await? else {
            return Ok(Reply::nothing());
        };
        let key = key.value;
        let Some((number, version)) = key.version(params.version) else {
            return Ok(Reply::nothing());
        };
        let metadata = key.shown_version(number, version);
        if !version.is_readable(cx.now) {
            return Ok(Reply::data(json!({ "metadata": metadata, "subkeys": null }))?.status(404));
        }
        let levels = usize::try_from(params.depth)
            .ok()
            .filter(|depth| *depth > 0);
        let data = store.data(&params.path, number).await?;
        let subkeys = data.map(|data| names_only(data, levels.unwrap_or(usize::MAX)));
        Reply::data(json!({ "metadata": metadata, "subkeys": subkeys }))
    }
}

/// Every value that is not an object becomes null, as do objects below the deepest level.
fn names_only(object: Map<String, Value>, levels: usize) -> Map<String, Value> {
    let name_only = |value: Value| match value {
        Value::Object(inner) if levels > 1 && !inner.is_empty() => {
            Value::Object(names_only(inner, levels - 1))
        }
        _ => Value::Null,
    };
    object
        .into_iter()
        .map(|(name, value)| (name, name_only(value)))
        .collect()
}
