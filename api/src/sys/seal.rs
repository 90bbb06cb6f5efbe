//! `sys/seal-status`, `sys/unseal`, `sys/seal` and `sys/step-down`.

use serde_json::{Value, json};
use signet_storage::SealKind;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{Field, FieldKind, NoParams};
use crate::reply::Reply;
use crate::seal::parse_share;
use crate::sys::Sys;
use crate::sys::strict::{Strict, StrictFields};

pub(super) struct SealStatus;

impl Endpoint for SealStatus {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "seal-status")];
    const HELP: &'static str = "Returns the seal status of the server.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::bare(status(cx).await?)
    }
}

pub(super) struct Unseal;

pub(super) struct UnsealRequest;

impl StrictFields for UnsealRequest {
    const NAME: &'static str = "UnsealRequest";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "key",
            FieldKind::String,
            "A single unseal key share. Required unless reset is true.",
        ),
        Field::new(
            "migrate",
            FieldKind::Bool,
            "Move the keys to another seal. Not supported: must be false.",
        ),
        Field::new(
            "reset",
            FieldKind::Bool,
            "Discard the shares that were provided so far.",
        ),
    ];
}

impl Endpoint for Unseal {
    type Engine = Sys;
    type Params = Strict<UnsealRequest>;

    const ROUTES: &'static [Route] = &[Route::open(Op::Write, "unseal")];
    const HELP: &'static str = "Unseal the server.";

    async fn handle(cx: Cx<'_, Sys>, body: Strict<UnsealRequest>) -> Result<Reply, ApiError> {
        let key = body.text("key")?;
        if body.flag("migrate")? {
            return Err(ApiError::bad_request("seal migration is not supported"));
        }
        if body.flag("reset")? {
            cx.node.reset_unseal()?;
        } else if key.is_empty() {
            return Err(ApiError::bad_request(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        } else {
            cx.node.add_unseal_share(parse_share(&key)?).await?;
        }
        Reply::bare(status(cx).await?)
    }
}

async fn status(cx: Cx<'_, Sys>) -> Result<Value, ApiError> {
    let status = cx.node.seal_status().await?;
    let settings = &cx.node.settings;
    let mut body = json!({
        "type": status.kind.as_str(),
        "initialized": status.initialized,
        "sealed": status.sealed,
        "t": status.threshold,
        "n": status.shares,
        "progress": status.progress,
        "nonce": status.nonce,
        "version": settings.version,
        "build_date": settings.build_date,
        "commit_date": settings.build_date,
        "migration": false,
        "recovery_seal": status.kind == SealKind::Static,
        "storage_type": settings.storage_type,
    });
    if let Some(map) = body.as_object_mut() {
        if status.kind == SealKind::Static {
            map.insert("recovery_seal_type".into(), "shamir".into());
        }
        if let Some(cluster) = status.cluster {
            map.insert("cluster_name".into(), cluster.name.into());
            map.insert("cluster_id".into(), cluster.id.into());
        }
    }
    Ok(body)
}

pub(super) struct Seal;

impl Endpoint for Seal {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "seal")];
    const HELP: &'static str = "Seal the server.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        if cx.core().is_ok() {
            cx.node.seal().await;
        }
        Ok(Reply::nothing())
    }
}

pub(super) struct StepDown;

impl Endpoint for StepDown {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "step-down")];
    const HELP: &'static str = "Give up leadership. A server that stands alone keeps it.";

    async fn handle(_cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Ok(Reply::nothing())
    }
}
