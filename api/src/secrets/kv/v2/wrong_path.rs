//! Paths that a store without versions would have: the answer says where to look instead.

use serde_json::Value;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::FreeForm;
use crate::reply::Reply;

use super::Versioned;

macro_rules! wrong_path {
    ($($name:ident, $op:ident, $command:literal;)*) => {$(
        pub(super) struct $name;

        impl Endpoint for $name {
            type Engine = Versioned;
            type Params = FreeForm;

            const ROUTES: &'static [Route] = &[Route::token(Op::$op, "{path:path}")];
            const HELP: &'static str = "Tells which path of a store with versions to use.";

            async fn handle(
                _cx: Cx<'_, Versioned>,
                params: FreeForm,
            ) -> Result<Reply, ApiError> {
                let path = params.0.get("path").and_then(Value::as_str);
                Ok(match path {
                    Some("data" | "metadata") => root(),
                    _ => wrong($command),
                })
            }
        }
    )*};
}

wrong_path! {
    Delete, Delete, "delete";
    List, List, "list";
    Patch, Patch, "patch";
    Read, Read, "get";
    Write, Write, "put";
}

pub(super) struct Root;

impl Endpoint for Root {
    type Engine = Versioned;
    type Params = FreeForm;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "")];
    const HELP: &'static str = "Tells which path of a store with versions to use.";

    async fn handle(_cx: Cx<'_, Versioned>, _params: FreeForm) -> Result<Reply, ApiError> {
        Ok(wrong("list"))
    }
}

fn wrong(command: &str) -> Reply {
    let warning = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
         endpoints to use. If using the Vault CLI, use 'vault kv {command}' for this operation."
    );
    Reply::empty_data().warn(warning).status(404)
}

fn root() -> Reply {
    Reply::empty_data()
        .warn("Non-listing operations on the root of a K/V v2 mount are not supported.")
        .status(404)
}
