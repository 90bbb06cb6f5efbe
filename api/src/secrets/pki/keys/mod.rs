//! `keys` and `key/`: the private keys of the mount.

pub(super) mod create;

use std::sync::Arc;

use serde_json::{Map, json};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::route::is_name;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::names::check_key_name_is_free;
use crate::secrets::pki::state::{KeyState, State};

pub(super) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "keys")];
    const HELP: &'static str = "List the keys.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let (after, limit) = page.bounds();
        let found = state
            .keys
            .iter()
            .filter(|key| after.is_none_or(|after| key.record.id.as_str() > after))
            .take(limit);
        let mut keys = Vec::new();
        let mut info = Map::new();
        for key in found {
            let record = &key.record;
            keys.push(record.id.as_str());
            let entry = json!({
                "key_name": record.name,
                "is_default": record.id == state.keys_config.default,
            });
            info.insert(record.id.clone(), entry);
        }
        if keys.is_empty() {
            return Err(ApiError::not_found());
        }
        Reply::data(json!({ "keys": keys, "key_info": info }))
    }
}

params! {
    pub(super) struct KeyParams {
        /// Reference to the key: its id, its name or `default`.
        key_ref: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = KeyParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "key/{key_ref}")];
    const HELP: &'static str = "Read what is known of a key; the key itself stays here.";

    async fn handle(cx: Cx<'_, Pki>, params: KeyParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let key = find(&state, &params.key_ref)?;
        let identifier = key.key.public_key().subject_key_id();
        let octets: Vec<String> = identifier.iter().map(|b| format!("{b:02x}")).collect();
        Reply::data(json!({
            "key_id": key.record.id,
            "key_name": key.record.name,
            "key_type": key.key.kind().type_name(),
            "subject_key_id": octets.join(":"),
        }))
    }
}

params! {
    pub(super) struct RenameParams {
        /// Reference to the key: its id, its name or `default`.
        key_ref: String,
        /// Name of the key; empty for none.
        key_name: String,
    }
}

pub(super) struct Rename;

impl Endpoint for Rename {
    type Engine = Pki;
    type Params = RenameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "key/{key_ref}")];
    const HELP: &'static str = "Give a key another name.";

    async fn handle(cx: Cx<'_, Pki>, params: RenameParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let key = find(&state, &params.key_ref)?;
        let id = &key.record.id;
        let name = params.key_name;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        if !name.is_empty() {
            if !is_name(&name) {
                return Err(ApiError::bad_request(
                    "new key name outside of valid character limits",
                ));
            }
            check_key_name_is_free(&draft, &name, id)?;
        }
        draft.rename_key(&key.record, &name);
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let lost = name.is_empty().then(|| {
            format!(
                "Name successfully deleted, you will now need to reference this key by it's Id: \
                 {id}"
            )
        });
        let data = json!({
            "key_id": id,
            "key_name": name,
            "key_type": key.key.kind().type_name(),
        });
        Ok(Reply::data(data)?.warn_all(lost))
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Pki;
    type Params = KeyParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "key/{key_ref}")];
    const HELP: &'static str = "Delete a key that no issuer uses.";

    async fn handle(cx: Cx<'_, Pki>, params: KeyParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let Ok(key) = state.key(&params.key_ref) else {
            return Ok(Reply::nothing());
        };
        let id = &key.record.id;
        let user = state
            .issuers
            .iter()
            .find(|issuer| issuer.record.key_id == *id);
        if let Some(issuer) = user {
            return Err(ApiError::bad_request(format!(
                "Failed to Delete Key.  Key in Use by Issuer: {}",
                issuer.record.id
            )));
        }
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let mut batch = Batch::default();
        draft.remove_key(id, &mut batch);
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        if *id != state.keys_config.default {
            return Ok(Reply::nothing());
        }
        Ok(Reply::empty_data().warn(format!(
            "Deleted key {id} (via key_ref {}); this was configured as the default key. \
             Operations without an explicit key will not work until a new default is configured.",
            params.key_ref
        )))
    }
}

/// The key that a client names; the answer to an unknown one is a 500 that clients know.
fn find<'s>(state: &'s State, reference: &str) -> Result<&'s Arc<KeyState>, ApiError> {
    state
        .key(reference)
        .map_err(|error| ApiError::listed(ErrorKind::Internal, error.to_string()))
}
