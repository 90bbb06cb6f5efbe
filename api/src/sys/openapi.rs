//! `sys/internal/specs/openapi`: the API of all mounts that the caller may see.

use std::collections::BTreeSet;

use serde_json::Map;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::mount::Mount;
use crate::openapi::{Place, add_paths, document};
use crate::params::params;
use crate::registry;
use crate::reply::Reply;
use crate::sys::Sys;
use crate::sys::caller::optional_acl;
use crate::sys::internal_ui::{is_public, sees};

pub(super) struct OpenApi;

params! {
    pub(super) struct OpenApiParams {
        /// Accepted for old clients and ignored.
        context: String,
        /// Name mounts by their type, as `{pki_mount_path}`, instead of by their paths.
        generic_mount_paths: bool,
    }
}

impl Endpoint for OpenApi {
    type Engine = Sys;
    type Params = OpenApiParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "internal/specs/openapi"),
        Route::unauthenticated(Op::Write, "internal/specs/openapi"),
    ];
    const HELP: &'static str = "Generate an OpenAPI 3 document of all mounted paths.";

    async fn handle(cx: Cx<'_, Sys>, params: OpenApiParams) -> Result<Reply, ApiError> {
        let _ = params.context;
        let acl = optional_acl(cx).await?;
        let mut paths = Map::new();
        let mut described = BTreeSet::new();
        for mount in cx.core()?.mounts.all() {
            let is_visible = is_public(&mount) || acl.as_ref().is_some_and(|acl| sees(acl, &mount));
            if !is_visible {
                continue;
            }
            let is_generic = params.generic_mount_paths && !is_built_in(&mount);
            if is_generic && !described.insert((mount.is_auth(), mount.kind())) {
                continue;
            }
            let parameter = format!("{}_mount_path", mount.kind());
            let default = mount.path.trim_end_matches('/');
            let default = default.strip_prefix("auth/").unwrap_or(default);
            let prefix = match (is_generic, mount.is_auth()) {
                (false, _) => format!("/{}", mount.path),
                (true, false) => format!("/{{{parameter}}}/"),
                (true, true) => format!("/auth/{{{parameter}}}/"),
            };
            let tag = match mount.kind() {
                "system" => "system",
                _ if mount.is_auth() => "auth",
                _ => "secrets",
            };
            let place = Place {
                prefix: &prefix,
                tag,
                kind: mount.kind(),
                mount_parameter: is_generic.then_some((parameter.as_str(), default)),
            };
            add_paths(&mut paths, &place, &mount.engine.rows(), |_| true);
        }
        Reply::bare(document(&cx.node.settings.version, &paths))
    }
}

fn is_built_in(mount: &Mount) -> bool {
    registry::BUILT_IN
        .iter()
        .any(|built_in| built_in.path == mount.path)
}
