//! `sys/rekey`, `sys/rekey-recovery-key` and `sys/rotate/{root,recovery}`: new shares.

use serde_json::{Map, Value, json};
use signet_storage::SealConfig;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, StringList, params};
use crate::reply::Reply;
use crate::seal::{NewShares, RekeyStatus, RekeyStep, VerifyStatus, VerifyStep};
use crate::sys::Sys;
use crate::sys::ceremony::{Door, target};
use crate::sys::generate_root::ShareParams;
use crate::sys::init::{insert_shares, pgp_unsupported};

pub(super) struct ReadRekey;

impl Endpoint for ReadRekey {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "rekey/init"),
        Route::unauthenticated(Op::Read, "rekey-recovery-key/init"),
        Route::token(Op::Read, "rotate/root/init"),
        Route::token(Op::Read, "rotate/recovery/init"),
    ];
    const HELP: &'static str = "Reads the configuration and progress of the current rekey attempt.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let door = Door::of(cx);
        let status = cx.node.rekey_status(cx.core()?, target(cx)).await?;
        door.reply(status_body(&status))
    }
}

pub(super) struct StartRekey;

params! {
    pub(super) struct StartRekeyParams {
        /// Whether to keep the new shares, encrypted with PGP keys. Not supported: must be false.
        backup: bool,
        /// PGP keys to encrypt the new shares with. Not supported: must be empty.
        pgp_keys: StringList,
        /// Whether the new shares must be brought back once before they take effect.
        require_verification: bool,
        /// Number of shares to split the new key into.
        secret_shares: i64,
        /// Number of shares that will be needed.
        secret_threshold: i64,
        /// Accepted for old clients and ignored.
        stored_shares: i64,
    }
}

impl Endpoint for StartRekey {
    type Engine = Sys;
    type Params = StartRekeyParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "rekey/init"),
        Route::unauthenticated(Op::Write, "rekey-recovery-key/init"),
        Route::token(Op::Write, "rotate/root/init"),
        Route::token(Op::Write, "rotate/recovery/init"),
    ];
    const HELP: &'static str = "Initializes a new rekey attempt.";

    async fn handle(cx: Cx<'_, Sys>, params: StartRekeyParams) -> Result<Reply, ApiError> {
        let _ = params.stored_shares;
        let door = Door::of(cx);
        if params.backup && params.pgp_keys.0.is_empty() {
            return Err(ApiError::bad_request(
                "cannot request a backup of the new keys without providing PGP keys for encryption",
            ));
        }
        let config =
            SealConfig::shamir(params.secret_shares, params.secret_threshold).map_err(|error| {
                ApiError::bad_request(format!("invalid rekey seal configuration: {error}"))
            })?;
        if !params.pgp_keys.0.is_empty() {
            if params.pgp_keys.0.len() != usize::from(config.secret_shares) {
                return Err(ApiError::bad_request(
                    "incorrect number of PGP keys for rekey",
                ));
            }
            return Err(pgp_unsupported());
        }
        let new = NewShares {
            shares: config.secret_shares,
            threshold: config.secret_threshold,
            verification_required: params.require_verification,
        };
        let status = cx.node.start_rekey(cx.core()?, target(cx), new).await?;
        door.reply(status_body(&status))
    }
}

pub(super) struct CancelRekey;

impl Endpoint for CancelRekey {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Delete, "rekey/init"),
        Route::unauthenticated(Op::Delete, "rekey-recovery-key/init"),
        Route::token(Op::Delete, "rotate/root/init"),
        Route::token(Op::Delete, "rotate/recovery/init"),
    ];
    const HELP: &'static str = "Cancels any in-progress rekey.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        cx.node.cancel_rekey(target(cx));
        Ok(Reply::nothing())
    }
}

pub(super) struct UpdateRekey;

impl Endpoint for UpdateRekey {
    type Engine = Sys;
    type Params = ShareParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "rekey/update"),
        Route::unauthenticated(Op::Write, "rekey-recovery-key/update"),
        Route::token(Op::Write, "rotate/root/update"),
        Route::token(Op::Write, "rotate/recovery/update"),
    ];
    const HELP: &'static str = "Enter a single share to progress the rekey.";

    async fn handle(cx: Cx<'_, Sys>, params: ShareParams) -> Result<Reply, ApiError> {
        let share = params.share()?;
        let door = Door::of(cx);
        let step = cx
            .node
            .update_rekey(cx.core()?, target(cx), share, params.nonce())
            .await?;
        door.reply(match step {
            RekeyStep::Waiting(status) => status_body(&status),
            RekeyStep::Done {
                nonce,
                shares,
                verification_nonce,
            } => {
                let mut body = Map::new();
                body.insert("nonce".into(), nonce.into());
                body.insert("complete".into(), true.into());
                insert_shares(&mut body, "keys", &shares);
                body.insert("pgp_fingerprints".into(), Value::Null);
                body.insert("backup".into(), false.into());
                body.insert(
                    "verification_required".into(),
                    verification_nonce.is_some().into(),
                );
                if let Some(nonce) = verification_nonce {
                    body.insert("verification_nonce".into(), nonce.into());
                }
                Value::Object(body)
            }
        })
    }
}

pub(super) struct ReadVerify;

impl Endpoint for ReadVerify {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "rekey/verify"),
        Route::unauthenticated(Op::Read, "rekey-recovery-key/verify"),
        Route::token(Op::Read, "rotate/root/verify"),
        Route::token(Op::Read, "rotate/recovery/verify"),
    ];
    const HELP: &'static str =
        "Read the configuration and progress of the current rekey verification.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let door = Door::of(cx);
        door.reply(verify_body(&cx.node.verify_status(target(cx)).await?))
    }
}

pub(super) struct UpdateVerify;

impl Endpoint for UpdateVerify {
    type Engine = Sys;
    type Params = ShareParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "rekey/verify"),
        Route::unauthenticated(Op::Write, "rekey-recovery-key/verify"),
        Route::token(Op::Write, "rotate/root/verify"),
        Route::token(Op::Write, "rotate/recovery/verify"),
    ];
    const HELP: &'static str = "Enter a single new share to progress the rekey verification.";

    async fn handle(cx: Cx<'_, Sys>, params: ShareParams) -> Result<Reply, ApiError> {
        let share = params.share()?;
        let door = Door::of(cx);
        let step = cx
            .node
            .update_verify(cx.core()?, target(cx), share, params.nonce())
            .await?;
        door.reply(match step {
            VerifyStep::Waiting(status) => verify_body(&status),
            VerifyStep::Done { nonce } => json!({ "nonce": nonce, "complete": true }),
        })
    }
}

pub(super) struct RestartVerify;

impl Endpoint for RestartVerify {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Delete, "rekey/verify"),
        Route::unauthenticated(Op::Delete, "rekey-recovery-key/verify"),
        Route::token(Op::Delete, "rotate/root/verify"),
        Route::token(Op::Delete, "rotate/recovery/verify"),
    ];
    const HELP: &'static str = "Discards the shares provided for verification; the rekey goes on.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let door = Door::of(cx);
        door.reply(verify_body(&cx.node.restart_verify(target(cx)).await?))
    }
}

pub(super) struct ReadBackup;

impl Endpoint for ReadBackup {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "rekey/backup"),
        Route::token(Op::Read, "rekey/recovery-key-backup"),
        Route::token(Op::Read, "rotate/root/backup"),
        Route::token(Op::Read, "rotate/recovery/backup"),
    ];
    const HELP: &'static str = "Return the backup copy of PGP-encrypted shares; none is ever kept.";

    async fn handle(_cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Err(ApiError::bad_request("no backed-up keys found"))
    }
}

pub(super) struct DeleteBackup;

impl Endpoint for DeleteBackup {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Delete, "rekey/backup"),
        Route::token(Op::Delete, "rekey/recovery-key-backup"),
        Route::token(Op::Delete, "rotate/root/backup"),
        Route::token(Op::Delete, "rotate/recovery/backup"),
    ];
    const HELP: &'static str = "Delete the backup copy of PGP-encrypted shares; none is ever kept.";

    async fn handle(_cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Ok(Reply::nothing())
    }
}

fn status_body(status: &RekeyStatus) -> Value {
    let mut body = json!({
        "nonce": status.nonce,
        "started": status.started,
        "t": status.threshold,
        "n": status.shares,
        "progress": status.progress,
        "required": status.required,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": status.verification_required,
    });
    if let (Some(nonce), Some(map)) = (&status.verification_nonce, body.as_object_mut()) {
        map.insert("verification_nonce".into(), nonce.clone().into());
    }
    body
}

fn verify_body(status: &VerifyStatus) -> Value {
    json!({
        "nonce": status.nonce,
        "started": true,
        "t": status.threshold,
        "n": status.shares,
        "progress": status.progress,
    })
}
