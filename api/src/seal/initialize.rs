//! The first ceremony: keys, shares, the first root token.

use std::sync::Arc;

use signet_storage::seal::shamir;
use signet_storage::{
    BarrierError, Batch, Engine, InitParams, SealConfig, Sealed, UnsealKey, Unsealed, system_random,
};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::node::Node;
use crate::seal::recovery::{self, Recovery};
use crate::seal::shares::Share;
use crate::time::Timestamp;
use crate::token::TokenRecord;

/// What initializing gives, once.
pub struct Initialized {
    /// Shares of the unseal key.
    pub shares: Vec<Share>,
    /// Shares of the recovery key of a server that unseals itself.
    pub recovery_shares: Vec<Share>,
    pub root_token: Zeroizing<String>,
    store: Arc<Unsealed>,
}

impl std::fmt::Debug for Initialized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initialized").finish_non_exhaustive()
    }
}

/// How a recovery key is to be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryShares {
    pub shares: u8,
    pub threshold: u8,
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
        self.initialize_with(config, unseal_key, root_token, None)
            .await
    }

    /// As [`Node::initialize`], with the configured key, which then also brings the server into
    /// service.
    ///
    /// # Errors
    /// `Internal` when no static seal is configured.
    pub async fn initialize_static(
        &self,
        recovery: Option<RecoveryShares>,
    ) -> Result<Initialized, ApiError> {
        let seal = self
            .ceremonies
            .static_seal()
            .ok_or_else(|| ApiError::internal("no static seal is configured"))?;
        let config = SealConfig::static_key(&seal.current.id);
        let key = Some(seal.current.key.clone());
        let initialized = self.initialize_with(config, key, None, recovery).await?;
        self.start_initialized(&initialized).await?;
        Ok(initialized)
    }

    /// Makes everything in memory and writes it in one commit: after a crash there is a whole store
    /// or none, never one whose root token nobody has seen.
    async fn initialize_with(
        &self,
        config: SealConfig,
        unseal_key: Option<UnsealKey>,
        root_token: Option<Zeroizing<String>>,
        recovery: Option<RecoveryShares>,
    ) -> Result<Initialized, ApiError> {
        if self.sealed.seal_config().await?.is_some() {
            return Err(refused(BarrierError::AlreadyInitialized));
        }
        let mut rng = system_random();
        let unseal_key = unseal_key.unwrap_or_else(|| UnsealKey::generate(&mut rng));
        let params = InitParams {
            config,
            unseal_key: unseal_key.clone(),
            now_unix_nanos: self.now().unix_nanos(),
        };
        let memory = signet_storage::open(&Engine::Inmem).map_err(ApiError::internal)?;
        let draft = Sealed::new(memory.clone())
            .initialize(params, &mut rng)
            .await
            .map_err(refused)?;
        let root_token = self.first_records(&draft.unsealed, root_token).await?;
        let recovery_shares = match recovery {
            Some(wanted) => self.new_recovery_key(&draft.unsealed, wanted).await?,
            None => Vec::new(),
        };
        self.sealed.adopt(memory.as_ref()).await.map_err(refused)?;
        Ok(Initialized {
            shares: draft.shares,
            recovery_shares,
            root_token,
            store: self.sealed.unseal(&unseal_key).await.map_err(refused)?,
        })
    }

    /// What every store has from the beginning; gives the root token.
    async fn first_records(
        &self,
        store: &Arc<Unsealed>,
        root_token: Option<Zeroizing<String>>,
    ) -> Result<Zeroizing<String>, ApiError> {
        let core = self.open_core(store.clone()).await?;
        let mut batch = Batch::default();
        let mut record = root_token_record(self.now());
        if root_token.is_some() {
            // As if it had been created with its id, which is how a development server makes it.
            record.path = "auth/token/create".into();
            record.display_name = "token".into();
            record.no_lease = false;
        }
        let token = core.tokens.create(&mut batch, record, root_token)?;
        store.commit(batch).await?;
        Ok(token.secret)
    }

    /// Brings a server into service that was initialized just now.
    pub async fn start_initialized(&self, initialized: &Initialized) -> Result<(), ApiError> {
        self.start(initialized.store.clone()).await.map(drop)
    }

    async fn new_recovery_key(
        &self,
        store: &Arc<Unsealed>,
        wanted: RecoveryShares,
    ) -> Result<Vec<Share>, ApiError> {
        let mut key = Zeroizing::new([0; UnsealKey::LENGTH]);
        self.rng().fill(key.as_mut_slice())?;
        let RecoveryShares { shares, threshold } = wanted;
        let split = shamir::split(key.as_slice(), shares, threshold, &mut system_random())
            .map_err(ApiError::internal)?;
        recovery::save(store, &Recovery::new(shares, threshold, key.as_slice())).await?;
        Ok(split)
    }
}

fn refused(error: BarrierError) -> ApiError {
    match error {
        BarrierError::AlreadyInitialized => ApiError::bad_request("Vault is already initialized"),
        other => ApiError::internal(other),
    }
}

/// A token that may do everything and never expires.
pub(super) fn root_token_record(now: Timestamp) -> TokenRecord {
    TokenRecord {
        policies: vec!["root".into()],
        path: "auth/token/root".into(),
        display_name: "root".into(),
        created_at: now,
        no_lease: true,
        ..TokenRecord::default()
    }
}
