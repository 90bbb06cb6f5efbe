//! Where the key of a new authority comes from.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use signet_pki::key::{KeyKind, PrivateKey};
use signet_pki::role::{KeyType, validate_key_type_bits};

use crate::error::ApiError;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::{Draft, Placed};
use crate::secrets::pki::format::{Format, key_encoding};
use crate::secrets::pki::leaf::key_kind;
use crate::secrets::pki::names::check_key_name;
use crate::secrets::pki::state::State;

/// What the parameters say of the key.
pub(super) struct KeySource<'p> {
    /// `internal`, `exported`, `existing` or `kms`.
    pub(super) exported: &'p str,
    pub(super) key_name: Option<&'p str>,
    pub(super) key_type: Option<&'p str>,
    pub(super) key_bits: Option<i64>,
    pub(super) key_ref: &'p str,
}

/// The key that an authority is made with.
pub(super) enum WantedKey {
    Existing(Arc<PrivateKey>),
    New(KeyKind),
}

impl WantedKey {
    pub(super) fn kind(&self) -> KeyKind {
        match self {
            Self::Existing(key) => key.kind(),
            Self::New(kind) => *kind,
        }
    }
}

impl KeySource<'_> {
    /// Finds out what is wanted, before anything is made.
    pub(super) fn check(&self, state: &State, draft: &Draft<'_>) -> Result<WantedKey, ApiError> {
        match self.exported {
            "existing" => {
                if self.key_type.is_some() || self.key_bits.is_some() {
                    return Err(ApiError::bad_request(
                        "invalid parameter for the kms/existing path parameter, key_type nor \
                         key_bits arguments can be set in this mode",
                    ));
                }
                check_key_name(draft, self.key_name)?;
                let not_found = |detail: &dyn std::fmt::Display| {
                    let text = format!("failed to lookup public key from existing key: {detail}");
                    ApiError::bad_request(text)
                };
                if self.key_ref.is_empty() {
                    return Err(not_found(&"missing argument key_ref for existing type"));
                }
                let found = state.key(self.key_ref).map_err(|error| not_found(&error))?;
                Ok(WantedKey::Existing(found.key.clone()))
            }
            "exported" | "internal" => {
                check_key_name(draft, self.key_name)?;
                let key_type = self.key_type.unwrap_or("rsa");
                let (key_type, bits) = validate_key_type_bits(key_type, self.key_bits.unwrap_or(0))
                    .map_err(|error| ApiError::bad_request(error.to_string()))?;
                if key_type == KeyType::Any {
                    return Err(ApiError::bad_request("unknown key type: any"));
                }
                Ok(WantedKey::New(key_kind(key_type, bits)?))
            }
            "kms" => Err(ApiError::bad_request(NO_KMS)),
            _ => Err(ApiError::bad_request(
                "the \"exported\" path parameter must be \"internal\", \"existing\", exported\" or \
                 \"kms\"",
            )),
        }
    }

    /// The key itself, made now if it is a new one, and its place in the mount.
    pub(super) async fn obtain(
        &self,
        engine: &Pki,
        draft: &mut Draft<'_>,
        wanted: WantedKey,
    ) -> Result<(Arc<PrivateKey>, Placed), ApiError> {
        let (key, name) = match wanted {
            WantedKey::Existing(key) => (key, ""),
            WantedKey::New(kind) => {
                let key = engine.generate_key(kind).await?;
                (Arc::new(key), self.key_name.unwrap_or_default())
            }
        };
        let placed = draft.add_key(&key, name)?;
        Ok((key, placed))
    }

    /// Adds the private key to the answer if it leaves the server; of a bundle, it is the first
    /// part of `main`.
    pub(super) fn export(
        &self,
        data: &mut Map<String, Value>,
        main: &str,
        key: &PrivateKey,
        format: Format,
        private_key_format: &str,
    ) -> Result<(), ApiError> {
        if self.exported != "exported" {
            return Ok(());
        }
        let private = format.private_key(key, key_encoding(private_key_format))?;
        if format == Format::PemBundle {
            let shown = data.get(main).and_then(Value::as_str).unwrap_or_default();
            let bundle = format!("{}\n{shown}", private.as_str());
            data.insert(main.into(), json!(bundle));
        }
        data.insert("private_key".into(), json!(private.as_str()));
        data.insert("private_key_type".into(), json!(key.kind().type_name()));
        Ok(())
    }
}

pub(super) const NO_KMS: &str = "keys of an external key manager are not supported";
