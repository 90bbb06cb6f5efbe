//! A server with a key in its configuration unseals itself.

use signet_api::node::Node;
use signet_api::seal::StaticSeal;
use signet_storage::SealKind;

use super::Error;

/// Unseals an initialized store with the configured key. A store without keys yet stays as it is.
pub(super) async fn automatically(node: &Node, seal: Option<&StaticSeal>) -> Result<(), Error> {
    let stored = node.sealed.seal_config().await?.map(|config| config.kind);
    let mismatch = match (stored, seal) {
        (Some(SealKind::Static), None) => {
            "the store was initialized with a static seal; the configuration has no seal block"
        }
        (Some(SealKind::Shamir), Some(_)) => {
            "the store was initialized with key shares; remove the seal block"
        }
        (_, None) => return Ok(()),
        (_, Some(seal)) => {
            node.ceremonies.use_static_seal(seal.clone())?;
            node.unseal_by_itself().await?;
            return Ok(());
        }
    };
    Err(Error::Seal(mismatch.into()))
}
