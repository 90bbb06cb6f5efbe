//! A server with a key in its configuration unseals itself.

use std::sync::Arc;

use signet_api::node::Node;
use signet_storage::{BarrierError, SealConfig, SealKind, Unsealed};

use super::Error;
use crate::config::StaticSeal;

/// Unseals an initialized store with the configured key. A store without keys yet stays as it is.
pub(super) async fn automatically(node: &Node, seal: Option<&StaticSeal>) -> Result<(), Error> {
    let stored = node.sealed.seal_config().await?;
    let (stored, seal) = match (stored, seal) {
        (None, _) => return Ok(()),
        (Some(stored), None) if stored.kind == SealKind::Shamir => return Ok(()),
        (Some(_), None) => {
            return Err(Error::Seal(
                "the store was initialized with a static seal; the configuration has no seal block"
                    .into(),
            ));
        }
        (Some(stored), Some(seal)) => (stored, seal),
    };
    if stored.kind != SealKind::Static {
        return Err(Error::Seal(
            "the store was initialized with key shares; remove the seal block".into(),
        ));
    }
    let store = open(node, seal, &stored).await?;
    node.start(store).await?;
    Ok(())
}

async fn open(node: &Node, seal: &StaticSeal, stored: &SealConfig) -> Result<Arc<Unsealed>, Error> {
    let current = &seal.current;
    match node.sealed.unseal(&current.key).await {
        Ok(store) => return Ok(store),
        Err(BarrierError::WrongUnsealKey) => {}
        Err(error) => return Err(error.into()),
    }
    let stored_id = stored.key_id.as_deref().unwrap_or_default();
    let Some(previous) = &seal.previous else {
        return Err(Error::Seal(format!(
            "current_key {:?} does not open the store, which was sealed with key {stored_id:?}",
            current.id
        )));
    };
    let store = match node.sealed.unseal(&previous.key).await {
        Ok(store) => store,
        Err(BarrierError::WrongUnsealKey) => {
            return Err(Error::Seal(format!(
                "neither current_key {:?} nor previous_key {:?} opens the store, which was sealed \
                 with key {stored_id:?}",
                current.id, previous.id
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let config = SealConfig::static_key(current.id.as_str());
    store.rewrap(&config, &current.key).await?;
    tracing::info!(key_id = %current.id, "the store is sealed with the current key now");
    Ok(store)
}
