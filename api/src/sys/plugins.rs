//! `sys/plugins/catalog`: the engines that are built in; there are no others.

use serde_json::{Value, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::registry;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct Catalog;

impl Endpoint for Catalog {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "plugins/catalog")];
    const HELP: &'static str = "List all plugins in the catalog.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let version = version(cx);
        let (auth, secret) = (registry::auth_methods(), registry::secrets_engines());
        let detailed: Vec<Value> = [("auth", &auth), ("secret", &secret)]
            .into_iter()
            .flat_map(|(class, kinds)| kinds.iter().map(move |kind| (class, kind)))
            .map(|(class, kind)| {
                json!({
                    "type": class,
                    "name": kind,
                    "version": version,
                    "builtin": true,
                    "deprecation_status": "supported",
                })
            })
            .collect();
        Reply::data(json!({
            "auth": auth,
            "database": [],
            "secret": secret,
            "detailed": detailed,
        }))
    }
}

pub(super) struct ListCatalog;

params! {
    pub(super) struct TypeParams {
        /// The type of the plugins: auth, database or secret.
        r#type: String,
    }
}

impl Endpoint for ListCatalog {
    type Engine = Sys;
    type Params = TypeParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::List, "plugins/catalog/{type}")];
    const HELP: &'static str = "List the plugins of one type.";

    async fn handle(_cx: Cx<'_, Sys>, params: TypeParams) -> Result<Reply, ApiError> {
        let kinds = kinds_of(&params.r#type)?;
        Reply::keys(kinds.into_iter().map(str::to_owned).collect())
    }
}

pub(super) struct ReadPlugin;

params! {
    pub(super) struct PluginParams {
        /// The name of the plugin.
        name: String,
        /// The type of the plugin: auth, database or secret.
        r#type: String,
    }
}

impl Endpoint for ReadPlugin {
    type Engine = Sys;
    type Params = PluginParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Read, "plugins/catalog/{type}/{name}")];
    const HELP: &'static str = "Return the configuration data for the plugin with the given name.";

    async fn handle(cx: Cx<'_, Sys>, params: PluginParams) -> Result<Reply, ApiError> {
        if !kinds_of(&params.r#type)?.contains(&params.name.as_str()) {
            return Ok(Reply::nothing());
        }
        Reply::data(json!({
            "name": params.name,
            "command": "",
            "args": null,
            "sha256": "",
            "version": version(cx),
            "builtin": true,
            "deprecation_status": "supported",
        }))
    }
}

pub(super) struct RegisterPlugin;

impl Endpoint for RegisterPlugin {
    type Engine = Sys;
    type Params = PluginParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "plugins/catalog/{type}/{name}")];
    const HELP: &'static str = "Register a plugin. Not supported: all engines are built in.";

    async fn handle(_cx: Cx<'_, Sys>, _params: PluginParams) -> Result<Reply, ApiError> {
        Err(ApiError::bad_request(
            "external plugins are not supported; all engines are built in",
        ))
    }
}

fn kinds_of(class: &str) -> Result<Vec<&'static str>, ApiError> {
    match class {
        "auth" => Ok(registry::auth_methods()),
        "database" => Ok(Vec::new()),
        "secret" => Ok(registry::secrets_engines()),
        _ => Err(ApiError::bad_request(format!(
            "{class:?} is not a supported plugin type"
        ))),
    }
}

fn version(cx: Cx<'_, Sys>) -> String {
    format!("v{}+builtin.vault", cx.node.settings.version)
}
