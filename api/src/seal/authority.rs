//! Who may make root tokens and new shares: whoever brings enough shares of the unseal key, or of
//! the recovery key where the server unseals itself.

use signet_storage::SealKind;

use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::seal::recovery;
use crate::seal::shares::{JoinError, ShareSet};

/// The shares do not prove it, or it could not be found out.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error(transparent)]
    Refused(#[from] JoinError),
    #[error(transparent)]
    Failed(#[from] ApiError),
}

impl AuthorityError {
    /// A refusal with `prefix` in front of its text.
    pub(super) fn into_api_error(self, prefix: &str) -> ApiError {
        match self {
            Self::Refused(error) => ApiError::bad_request(format!("{prefix}{error}")),
            Self::Failed(error) => error,
        }
    }
}

/// How many shares are asked for; 0 when nobody holds any.
pub(super) async fn required_shares(node: &Node, core: &Core) -> Result<u8, ApiError> {
    let config = node.seal_config().await?;
    Ok(match config.kind {
        SealKind::Shamir => config.secret_threshold,
        SealKind::Static => recovery::load(&core.store)
            .await?
            .map_or(0, |recovery| recovery.threshold),
    })
}

/// Are these shares of the key that gives authority?
pub(super) async fn verify(
    node: &Node,
    core: &Core,
    shares: &ShareSet,
) -> Result<(), AuthorityError> {
    let config = node.seal_config().await?;
    let is_right = match config.kind {
        SealKind::Shamir => {
            let key = shares.join_unseal_key()?;
            core.store
                .verify_unseal_key(&key)
                .await
                .map_err(ApiError::from)?
        }
        SealKind::Static => {
            let key = shares.join()?;
            recovery::load(&core.store)
                .await?
                .is_some_and(|recovery| recovery.is_key(&key))
        }
    };
    if is_right {
        Ok(())
    } else {
        Err(JoinError::WrongKey.into())
    }
}
