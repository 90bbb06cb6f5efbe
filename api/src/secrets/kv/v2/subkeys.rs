//! `subkeys/{path}`: how a secret is built, without its values.

use serde_json::{Map, Value};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;

use super::Versioned;
use super::data::read;

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
        let levels = usize::try_from(params.depth).unwrap_or(0);
        let levels = if levels == 0 { usize::MAX } else { levels };
        read(cx, &params.path, params.version, "subkeys", |data| {
            names_only(data, levels)
        })
        .await
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
