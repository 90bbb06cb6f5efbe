//! `keys/generate/` and `keys/import`: keys that no issuer has yet.

use serde_json::{Map, json};
use signet_pki::key::{KeyFormat, PrivateKey};
use signet_pki::pem;
use signet_pki::role::{KeyType, validate_key_type_bits};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{SecretText, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::format::Format;
use crate::secrets::pki::key_source::NO_KMS;
use crate::secrets::pki::leaf::key_kind;
use crate::secrets::pki::names::check_key_name;

params! {
    pub(in crate::secrets::pki) struct GenerateParams {
        /// Name of the key.
        key_name: Option<String>,
        /// rsa, ec, ed25519 or mldsa.
        key_type: String = "rsa".into(),
        /// Size of the key; 0 for the type's default.
        key_bits: i64,
        /// Reference to a key of an external key manager, for `kms`.
        external_key_ref: String,
    }
}

pub(in crate::secrets::pki) struct Generate;

impl Endpoint for Generate {
    type Engine = Pki;
    type Params = GenerateParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "keys/generate/exported"),
        Route::token(Op::Write, "keys/generate/internal"),
        Route::token(Op::Write, "keys/generate/kms"),
    ];
    const HELP: &'static str = "Generate a new private key used for signing.";

    async fn handle(cx: Cx<'_, Pki>, params: GenerateParams) -> Result<Reply, ApiError> {
        let place = cx.relative_path().rsplit('/').next().unwrap_or_default();
        if place == "kms" {
            return Err(ApiError::bad_request(
                if params.external_key_ref.is_empty() {
                    "\"external_key_ref\" is required for kms typed key generation"
                } else {
                    NO_KMS
                },
            ));
        }
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        check_key_name(&draft, params.key_name.as_deref())?;
        let (key_type, bits) =
            validate_key_type_bits(&params.key_type, params.key_bits).map_err(|error| {
                let text = format!("Validation for key_type, key_bits failed: {error}");
                ApiError::bad_request(text)
            })?;
        if key_type == KeyType::Any {
            return Err(ApiError::bad_request("unknown key type: any"));
        }
        let key = cx.engine.generate_key(key_kind(key_type, bits)?).await?;
        let name = params.key_name.unwrap_or_default();
        let placed = draft.add_key(&key, &name)?;
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let mut data = Map::new();
        data.insert("key_id".into(), json!(placed.id));
        data.insert("key_name".into(), json!(name));
        data.insert("key_type".into(), json!(key.kind().type_name()));
        if place == "exported" {
            let shown = Format::Pem.private_key(&key, KeyFormat::Traditional)?;
            data.insert("private_key".into(), json!(shown.as_str()));
        }
        Reply::data(data)
    }
}

params! {
    pub(in crate::secrets::pki) struct ImportParams {
        /// The private key as PEM.
        pem_bundle: SecretText,
        /// Name of the key.
        key_name: Option<String>,
    }
}

pub(in crate::secrets::pki) struct Import;

impl Endpoint for Import {
    type Engine = Pki;
    type Params = ImportParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "keys/import")];
    const HELP: &'static str = "Import a private key.";

    async fn handle(cx: Cx<'_, Pki>, params: ImportParams) -> Result<Reply, ApiError> {
        let key = only_key(&params.pem_bundle.0)?;
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let is_new = state
            .keys
            .iter()
            .all(|known| known.key.public_key() != key.public_key());
        if is_new {
            check_key_name(&draft, params.key_name.as_deref())?;
        }
        let placed = draft.add_key(&key, params.key_name.as_deref().unwrap_or_default())?;
        let data = json!({
            "key_id": placed.id,
            "key_name": draft.key_name(&placed.id),
            "key_type": key.kind().type_name(),
        });
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let known = placed
            .existed
            .then(|| "Key already imported, use key/ endpoint to update name.".to_owned());
        Ok(Reply::data(data)?.warn_all(known))
    }
}

/// The one key of a text, in which parameters of its curve may come before it.
fn only_key(text: &str) -> Result<PrivateKey, ApiError> {
    if text.len() < MIN_LENGTH {
        return Err(ApiError::bad_request(
            "provided data for import was too short; perhaps a path was passed to the API rather \
             than the contents of a PEM file",
        ));
    }
    let mut found = None;
    let mut rest = text;
    let mut number = 0_usize;
    while found.is_none() || !rest.trim_ascii().is_empty() {
        number += 1;
        let (block, after) = pem::next_block(rest).ok_or_else(|| {
            let text = format!("error when parsing block {number}: invalid PEM data");
            ApiError::bad_request(text)
        })?;
        rest = after;
        if matches!(block.label, "EC PARAMS" | "EC PARAMETERS") {
            continue;
        }
        if found.replace(block).is_some() {
            return Err(ApiError::bad_request(
                "only a single key can be present within the pem_bundle for importing",
            ));
        }
    }
    let der = found.map(|block| block.der).unwrap_or_default();
    PrivateKey::from_der(&der)
        .map_err(|error| ApiError::bad_request(format!("failed to parse PEM block: {error}")))
}

/// Less is no PEM.
const MIN_LENGTH: usize = 64;
