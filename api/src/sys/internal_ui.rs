//! `sys/internal/ui`: what command lines and user interfaces ask before anything else.

use serde_json::{Map, Value, json};

use crate::acl::Acl;
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::mount::Mount;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::sys::Sys;
use crate::sys::caller::optional_acl;
use crate::sys::mount_view::{entry, shown_path};

pub(super) struct VisibleMounts;

impl Endpoint for VisibleMounts {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Read, "internal/ui/mounts")];
    const HELP: &'static str = "Information about the mounts that the caller may see.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let acl = optional_acl(cx).await?;
        let version = &cx.node.settings.version;
        let (mut auth, mut secret) = (Map::new(), Map::new());
        for mount in cx.core()?.mounts.all() {
            let shown = match &acl {
                Some(acl) if sees(acl, &mount) => entry(&mount, version),
                _ if is_public(&mount) => public_entry(&mount),
                _ => continue,
            };
            let class = if mount.is_auth() {
                &mut auth
            } else {
                &mut secret
            };
            class.insert(shown_path(&mount).to_owned(), shown.into());
        }
        Reply::data(json!({ "auth": auth, "secret": secret }))
    }
}

pub(super) struct VisibleMount;

params! {
    pub(super) struct PathParams {
        /// The path of a mount, or any path inside one.
        path: String,
    }
}

impl Endpoint for VisibleMount {
    type Engine = Sys;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(
        Op::Read,
        "internal/ui/mounts/{path:path}",
    )];
    const HELP: &'static str = "Information about the mount that a path belongs to.";

    async fn handle(cx: Cx<'_, Sys>, params: PathParams) -> Result<Reply, ApiError> {
        let acl = optional_acl(cx)
            .await?
            .ok_or_else(ApiError::permission_denied)?;
        let path = format!("{}/", params.path.trim_matches('/'));
        let visible = cx
            .core()?
            .mounts
            .route(&path)
            .map(|(mount, _)| mount)
            .filter(|mount| sees(&acl, mount));
        let Some(mount) = visible else {
            return Err(ApiError::plain(
                ErrorKind::Forbidden,
                format!(
                    "preflight capability check returned 403, please ensure client's policies \
                     grant access to path {path:?}"
                ),
            ));
        };
        let mut shown = entry(&mount, &cx.node.settings.version);
        shown.insert("path".into(), mount.path.clone().into());
        Reply::data(shown)
    }
}

pub(super) struct ResultantAcl;

impl Endpoint for ResultantAcl {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "internal/ui/resultant-acl")];
    const HELP: &'static str = "Information about what the caller may do.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let acl = cx.acl.as_ref().ok_or_else(ApiError::permission_denied)?;
        Reply::data(acl.resultant())
    }
}

/// May the caller do anything there?
pub(super) fn sees(acl: &Acl, mount: &Mount) -> bool {
    acl.grants_any_under(&mount.path)
}

/// Is the mount shown to everybody?
pub(super) fn is_public(mount: &Mount) -> bool {
    mount.settings.config().listing_visibility == "unauth"
}

fn public_entry(mount: &Mount) -> Map<String, Value> {
    let config = mount.settings.config();
    Map::from_iter([
        ("description".to_owned(), config.description.clone().into()),
        ("options".to_owned(), json!(config.options)),
        ("type".to_owned(), mount.kind().into()),
    ])
}
