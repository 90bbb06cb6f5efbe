//! Ceremonies around the root key: initializing, unsealing, sealing.

use std::sync::Arc;

use parking_lot::Mutex;
use signet_storage::{
    BarrierError, Batch, InitParams, SealConfig, UnsealKey, Unsealed, system_random,
};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::node::Node;
use crate::token::TokenRecord;

/// The ceremonies under way; nothing of them is stored.
#[derive(Debug, Default)]
pub struct Ceremonies {
    _unseal: Mutex<()>,
}

/// What initializing gives, once.
pub struct Initialized {
    /// Shares of the unseal key.
    pub shares: Vec<Zeroizing<Vec<u8>>>,
    pub root_token: Zeroizing<String>,
    store: Arc<Unsealed>,
}

impl std::fmt::Debug for Initialized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initialized").finish_non_exhaustive()
    }
}

impl Node {
    /// Makes the keys, the first root token and the default policy. The server stays sealed.
    ///
    /// `unseal_key` is the key of an auto-unseal; without it one is made and split.
    pub async fn initialize(
        &self,
        config: SealConfig,
        unseal_key: Option<UnsealKey>,
        root_token: Option<Zeroizing<String>>,
    ) -> Result<Initialized, ApiError> {
        let mut rng = system_random();
        let unseal_key = unseal_key.unwrap_or_else(|| UnsealKey::generate(&mut rng));
        let now_unix_nanos = u64::try_from(self.now().0).unwrap_or(0);
        let params = InitParams {
            config,
            unseal_key,
            now_unix_nanos,
        };
        let initialized = self
            .sealed
            .initialize(params, &mut rng)
            .await
            .map_err(|error| match error {
                BarrierError::AlreadyInitialized => {
                    ApiError::bad_request("Vault is already initialized")
                }
                other => ApiError::internal(other),
            })?;
        let store = initialized.unsealed;
        let core = self.open_core(store.clone()).await?;
        let record = TokenRecord {
            policies: vec!["root".into()],
            path: "auth/token/root".into(),
            display_name: "root".into(),
            created_at: self.now(),
            no_lease: true,
            ..TokenRecord::default()
        };
        let mut batch = Batch::default();
        let token = core.tokens.create(&mut batch, record, root_token)?;
        store.commit(batch).await?;
        Ok(Initialized {
            shares: initialized.shares,
            root_token: token.secret,
            store,
        })
    }

    /// Brings a server into service that was initialized just now.
    pub async fn start_initialized(&self, initialized: &Initialized) -> Result<(), ApiError> {
        self.start(initialized.store.clone()).await.map(drop)
    }
}
