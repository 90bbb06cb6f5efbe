//! `config/issuers`, `config/keys` and `root/replace`: what `default` means.

use serde_json::json;
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::records::{ISSUERS_CONFIG, IssuersConfig, KEYS_CONFIG};

pub(in crate::secrets::pki) struct ReadIssuers;

impl Endpoint for ReadIssuers {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, ISSUERS_CONFIG)];
    const HELP: &'static str = "Read which issuer is the default.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        issuers_reply(&cx.engine.state.state().await?.issuers_config)
    }
}

params! {
    pub(in crate::secrets::pki) struct IssuersParams {
        /// Reference to the new default issuer.
        default: String,
        /// Make each new issuer with a key the default.
        default_follows_latest_issuer: Option<bool>,
    }
}

pub(in crate::secrets::pki) struct WriteIssuers;

impl Endpoint for WriteIssuers {
    type Engine = Pki;
    type Params = IssuersParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, ISSUERS_CONFIG)];
    const HELP: &'static str = "Choose the default issuer.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuersParams) -> Result<Reply, ApiError> {
        choose(cx, &params.default, params.default_follows_latest_issuer).await
    }
}

params! {
    pub(in crate::secrets::pki) struct ReplaceParams {
        /// Reference to the new default issuer.
        default: String = "next".into(),
    }
}

pub(in crate::secrets::pki) struct ReplaceRoot;

impl Endpoint for ReplaceRoot {
    type Engine = Pki;
    type Params = ReplaceParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "root/replace")];
    const HELP: &'static str = "Make the issuer `next`, or another one, the default issuer.";

    async fn handle(cx: Cx<'_, Pki>, params: ReplaceParams) -> Result<Reply, ApiError> {
        choose(cx, &params.default, None).await
    }
}

async fn choose(
    cx: Cx<'_, Pki>,
    reference: &str,
    follows_latest: Option<bool>,
) -> Result<Reply, ApiError> {
    if is_no_reference(reference) {
        return Err(ApiError::bad_request(
            "Invalid issuer specification; must be non-empty and can't be 'default'.",
        ));
    }
    let state = cx.engine.state.state().await?;
    let issuer = state
        .issuer(reference)
        .map_err(|error| unresolved(&error))?;
    let mut draft = Draft::new(cx.engine, &state, cx.now);
    draft.issuers_config.default.clone_from(&issuer.record.id);
    if let Some(follows_latest) = follows_latest {
        draft.issuers_config.default_follows_latest_issuer = follows_latest;
    }
    let config = draft.issuers_config.clone();
    let mut batch = Batch::default();
    draft.write(&mut batch)?;
    cx.commit(batch).await?;
    let warning = issuer.record.key_id.is_empty().then(|| {
        "This selected default issuer has no key associated with it. Some operations like issuing \
         certificates and signing CRLs will be unavailable with the requested default issuer until \
         a key is imported or the default issuer is changed."
            .to_owned()
    });
    Ok(issuers_reply(&config)?.warn_all(warning))
}

pub(in crate::secrets::pki) struct ReadKeys;

impl Endpoint for ReadKeys {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, KEYS_CONFIG)];
    const HELP: &'static str = "Read which key is the default.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        Reply::data(json!({ "default": state.keys_config.default }))
    }
}

params! {
    pub(in crate::secrets::pki) struct KeysParams {
        /// Reference to the new default key.
        default: String,
    }
}

pub(in crate::secrets::pki) struct WriteKeys;

impl Endpoint for WriteKeys {
    type Engine = Pki;
    type Params = KeysParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, KEYS_CONFIG)];
    const HELP: &'static str = "Choose the default key.";

    async fn handle(cx: Cx<'_, Pki>, params: KeysParams) -> Result<Reply, ApiError> {
        if is_no_reference(&params.default) {
            return Err(ApiError::bad_request(
                "Invalid key specification; must be non-empty and can't be 'default'.",
            ));
        }
        let state = cx.engine.state.state().await?;
        let key = state
            .key(&params.default)
            .map_err(|error| unresolved(&error))?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        draft.keys_config.default.clone_from(&key.record.id);
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        Reply::data(json!({ "default": key.record.id }))
    }
}

fn is_no_reference(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("default")
}

/// Says "issuer" of keys too, as clients have always heard it.
fn unresolved(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("Error resolving issuer reference: {error}"))
}

fn issuers_reply(config: &IssuersConfig) -> Result<Reply, ApiError> {
    Reply::data(json!({
        "default": config.default,
        "default_follows_latest_issuer": config.default_follows_latest_issuer,
    }))
}
