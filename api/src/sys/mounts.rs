//! `sys/mounts` and `sys/auth`: engines and auth methods, enabled and disabled.

use serde_json::{Map, Value};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::expiry::{self, OnFailure};
use crate::mount::MountConfig;
use crate::params::{NoParams, Pairs, params};
use crate::reply::Reply;
use crate::secrets::kv;
use crate::sys::Sys;
use crate::sys::mount_config::{TuneParams, read_enable_config};
use crate::sys::mount_view::{entry, shown_path, tuning};

/// What the two families of paths differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Auth,
    Secrets,
}

impl Class {
    /// By the path of the request.
    fn of(cx: Cx<'_, Sys>) -> Self {
        if cx.call.path.starts_with("sys/auth") {
            Self::Auth
        } else {
            Self::Secrets
        }
    }

    /// The full path of a mount that a request names.
    fn full_path(self, given: &str) -> String {
        let trimmed = given.trim_matches('/');
        match self {
            Self::Auth => format!("auth/{trimmed}/"),
            Self::Secrets => format!("{trimmed}/"),
        }
    }

    fn not_found(self, given: &str) -> ApiError {
        let path = given.trim_matches('/');
        ApiError::bad_request(match self {
            Self::Auth => format!("No auth engine at {path}/"),
            Self::Secrets => format!("No secret engine mount at {path}/"),
        })
    }
}

/// Paths below which operators mount nothing and unmount nothing.
const RESERVED: &[&str] = &["auth/", "cubbyhole/", "identity/", "sys/"];

fn is_reserved(path: &str) -> bool {
    RESERVED.iter().any(|reserved| path.starts_with(reserved))
}

pub(super) struct ListMounts;

impl Endpoint for ListMounts {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "mounts"),
        Route::token(Op::Read, "auth"),
    ];
    const HELP: &'static str = "List the currently mounted backends.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let wants_auth = Class::of(cx) == Class::Auth;
        let version = &cx.node.settings.version;
        let mounts: Map<String, Value> = cx
            .core()?
            .mounts
            .all()
            .iter()
            .filter(|mount| mount.is_auth() == wants_auth)
            .map(|mount| (shown_path(mount).to_owned(), entry(mount, version).into()))
            .collect();
        Reply::flattened(mounts)
    }
}

pub(super) struct ReadMount;

params! {
    pub(super) struct PathParams {
        /// The path of the mount, for example "pki" or "team/pki".
        path: String,
    }
}

impl Endpoint for ReadMount {
    type Engine = Sys;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "mounts/{path:path}"),
        Route::sudo(Op::Read, "auth/{path:path}"),
    ];
    const HELP: &'static str = "Read the configuration of a mount.";

    async fn handle(cx: Cx<'_, Sys>, params: PathParams) -> Result<Reply, ApiError> {
        let class = Class::of(cx);
        let found = cx.core()?.mounts.get(&class.full_path(&params.path));
        let mount = found
            .filter(|mount| mount.is_auth() == (class == Class::Auth))
            .ok_or_else(|| class.not_found(&params.path))?;
        Reply::flattened(entry(&mount, &cx.node.settings.version))
    }
}

pub(super) struct EnableMount;

params! {
    pub(super) struct EnableParams {
        /// Configuration of the mount, such as default_lease_ttl and max_lease_ttl.
        config: Map<String, Value>,
        /// User-friendly description of the mount.
        description: String,
        /// Whether the mount may use external entropy. There is none.
        external_entropy_access: bool,
        /// Mark the mount as local, not replicated.
        local: bool,
        /// Options of the engine.
        options: Option<Pairs>,
        /// The path to mount at, for example "pki" or "team/pki".
        path: String,
        /// The engine, where the type is "plugin".
        plugin_name: String,
        /// The version of the engine; there is one.
        plugin_version: String,
        /// Whether to wrap the mount's storage with the seal. Everything is encrypted anyway.
        seal_wrap: bool,
        /// The type of the engine, for example "pki".
        r#type: String,
    }
}

impl Endpoint for EnableMount {
    type Engine = Sys;
    type Params = EnableParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "mounts/{path:path}"),
        Route::sudo(Op::Write, "auth/{path:path}"),
    ];
    const HELP: &'static str = "Mount a new backend at a new path.";

    async fn handle(cx: Cx<'_, Sys>, params: EnableParams) -> Result<Reply, ApiError> {
        let class = Class::of(cx);
        let core = cx.core()?;
        let system_max_secs = cx.node.settings.system_ttl.max_secs;
        let is_auth = class == Class::Auth;
        let mut config = read_enable_config(params.config, is_auth, system_max_secs)?;
        let kind = match params.r#type.as_str() {
            "" => {
                return Err(ApiError::bad_request(
                    "backend type must be specified as a string",
                ));
            }
            "plugin" => params.plugin_name,
            _ => params.r#type,
        };
        let path = class.full_path(&params.path);
        if class == Class::Secrets && is_reserved(&path) {
            return Err(ApiError::bad_request(format!("cannot mount {path:?}")));
        }
        config.description = params.description;
        let mut options = config.options.take().unwrap_or_default();
        // The command line sends null, which stays null; nothing at all becomes an empty map.
        let none_given = params
            .options
            .as_ref()
            .is_some_and(|given| given.0.is_empty());
        options.extend(params.options.unwrap_or_default().0);
        refuse_version(&kind, is_auth, options.get("version"))?;
        let kind = match kv::ALIASES.iter().find(|(alias, _)| *alias == kind) {
            None => kind,
            Some((_, version)) => {
                options.extend(version.map(|version| ("version".into(), version.into())));
                "kv".to_owned()
            }
        };
        config.options = (!(none_given && options.is_empty())).then_some(options);
        // There is one version, and one source of entropy.
        let _ = (params.plugin_version, params.external_entropy_access);
        core.mounts
            .mount(&path, &kind, config, params.local, params.seal_wrap)
            .await?;
        tracing::info!(mount.path = %path, mount.kind = %kind, "mounted");
        Ok(Reply::nothing())
    }
}

/// Only key-value engines come in versions.
fn refuse_version(kind: &str, is_auth: bool, version: Option<&String>) -> Result<(), ApiError> {
    if version.is_none_or(String::is_empty) || matches!(kind, "generic" | "kv" | "kv-v1" | "kv-v2")
    {
        return Ok(());
    }
    let class = if is_auth {
        "auth method"
    } else {
        "secrets engine"
    };
    Err(ApiError::bad_request(format!(
        "{class} {kind:?} does not allow setting a version"
    )))
}

pub(super) struct DisableMount;

impl Endpoint for DisableMount {
    type Engine = Sys;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Delete, "mounts/{path:path}"),
        Route::sudo(Op::Delete, "auth/{path:path}"),
    ];
    const HELP: &'static str = "Unmount a backend: its leases end, its storage is deleted.";

    async fn handle(cx: Cx<'_, Sys>, params: PathParams) -> Result<Reply, ApiError> {
        let class = Class::of(cx);
        let path = class.full_path(&params.path);
        match class {
            Class::Auth if path == "auth/token/" => {
                return Err(ApiError::bad_request(
                    "token credential backend cannot be disabled",
                ));
            }
            Class::Secrets if is_reserved(&path) => {
                return Err(ApiError::bad_request(format!("cannot unmount {path:?}")));
            }
            Class::Auth | Class::Secrets => {}
        }
        let core = cx.core()?;
        if core.mounts.get(&path).is_none() {
            return Ok(Reply::nothing());
        }
        expiry::revoke_prefix(core, &path, OnFailure::Stop, cx.now).await?;
        core.mounts.unmount(&path).await?;
        // What was handed out between the two.
        expiry::revoke_prefix(core, &path, OnFailure::Stop, cx.now).await?;
        tracing::info!(mount.path = %path, "unmounted");
        Ok(Reply::nothing())
    }
}

pub(super) struct ReadTuning;

impl Endpoint for ReadTuning {
    type Engine = Sys;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "mounts/{path:path}/tune"),
        Route::sudo(Op::Read, "auth/{path:path}/tune"),
    ];
    const HELP: &'static str = "Read the tuning of a mount.";

    async fn handle(cx: Cx<'_, Sys>, params: PathParams) -> Result<Reply, ApiError> {
        let path = Class::of(cx).full_path(&params.path);
        let mount = cx.core()?.mounts.get(&path).ok_or_else(|| {
            ApiError::bad_request(format!("cannot fetch sysview for path {path:?}"))
        })?;
        Reply::flattened(tuning(&mount))
    }
}

pub(super) struct Tune;

impl Endpoint for Tune {
    type Engine = Sys;
    type Params = TuneParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "mounts/{path:path}/tune"),
        Route::sudo(Op::Write, "auth/{path:path}/tune"),
    ];
    const HELP: &'static str = "Tune a mount: lease times, description, visibility.";

    async fn handle(cx: Cx<'_, Sys>, params: TuneParams) -> Result<Reply, ApiError> {
        let path = Class::of(cx).full_path(params.path());
        let is_auth = path.starts_with("auth/");
        if !is_auth
            && is_reserved(&path)
            && let Some(parameter) = params.first_given()
        {
            return Err(ApiError::bad_request(format!(
                "cannot tune parameter {parameter} of {path}"
            )));
        }
        let system_max_secs = cx.node.settings.system_ttl.max_secs;
        let change = |config: &mut MountConfig| params.apply(config, is_auth, system_max_secs);
        let upgraded = cx.core()?.mounts.tune(&path, change).await?;
        let warning = upgraded.then(|| {
            "Upgrading mount from version 1 to version 2. This mount will be unavailable for a \
             brief period and will resume service shortly."
                .to_owned()
        });
        Ok(Reply::nothing().warn_all(warning))
    }
}
