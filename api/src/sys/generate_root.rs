//! `sys/generate-root` and `sys/generate-root-token`: a new root token from enough shares.

use serde_json::{Value, json};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, SecretText, params};
use crate::reply::Reply;
use crate::seal::{GenerateRootStatus, OTP_LENGTH, parse_share};
use crate::sys::Sys;
use crate::sys::ceremony::Door;
use crate::sys::init::pgp_unsupported;

pub(super) struct ReadAttempt;

impl Endpoint for ReadAttempt {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "generate-root/attempt"),
        Route::token(Op::Read, "generate-root-token/attempt"),
    ];
    const HELP: &'static str =
        "Read the configuration and progress of the current root generation attempt.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let door = Door::of(cx);
        door.reply(body(&cx.node.generate_root_status(cx.core()?).await?))
    }
}

pub(super) struct StartAttempt;

params! {
    pub(super) struct StartAttemptParams {
        /// One-time password that the token is combined with; made by the server when absent.
        otp: SecretText,
        /// PGP key to encrypt the token with. Not supported: must be empty.
        pgp_key: String,
    }
}

impl Endpoint for StartAttempt {
    type Engine = Sys;
    type Params = StartAttemptParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "generate-root/attempt"),
        Route::token(Op::Write, "generate-root-token/attempt"),
    ];
    const HELP: &'static str = "Initializes a new root generation attempt.";

    async fn handle(cx: Cx<'_, Sys>, params: StartAttemptParams) -> Result<Reply, ApiError> {
        if !params.pgp_key.is_empty() {
            return Err(pgp_unsupported());
        }
        let door = Door::of(cx);
        let otp = Some(params.otp.0).filter(|otp| !otp.is_empty());
        let status = cx.node.start_generate_root(cx.core()?, otp).await?;
        door.reply(body(&status))
    }
}

pub(super) struct CancelAttempt;

impl Endpoint for CancelAttempt {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Delete, "generate-root/attempt"),
        Route::token(Op::Delete, "generate-root-token/attempt"),
    ];
    const HELP: &'static str = "Cancels any in-progress root generation attempt.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        cx.node.cancel_generate_root();
        Ok(Reply::nothing())
    }
}

pub(super) struct UpdateAttempt;

params! {
    pub(super) struct ShareParams {
        /// A single share, in hexadecimal or base64.
        key: SecretText,
        /// The nonce of the attempt.
        nonce: String,
    }
}

impl Endpoint for UpdateAttempt {
    type Engine = Sys;
    type Params = ShareParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "generate-root/update"),
        Route::token(Op::Write, "generate-root-token/update"),
    ];
    const HELP: &'static str = "Enter a single share to progress the root generation attempt.";

    async fn handle(cx: Cx<'_, Sys>, params: ShareParams) -> Result<Reply, ApiError> {
        let share = params.share()?;
        let door = Door::of(cx);
        let status = cx
            .node
            .update_generate_root(cx.core()?, share, &params.nonce)
            .await?;
        door.reply(body(&status))
    }
}

impl ShareParams {
    pub(super) fn share(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, ApiError> {
        if self.key.0.is_empty() {
            return Err(ApiError::bad_request(
                "'key' must be specified in request body as JSON",
            ));
        }
        parse_share(&self.key.0)
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }
}

fn body(status: &GenerateRootStatus) -> Value {
    json!({
        "nonce": status.nonce,
        "started": status.started,
        "progress": status.progress,
        "required": status.required,
        "complete": status.complete,
        "encoded_token": status.encoded_token.as_str(),
        "encoded_root_token": status.encoded_token.as_str(),
        "pgp_fingerprint": "",
        "otp": status.otp.as_str(),
        "otp_length": OTP_LENGTH,
    })
}
