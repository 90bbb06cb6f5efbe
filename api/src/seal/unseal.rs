//! Bringing the server into service: share by share, or by itself.

use std::sync::Arc;

use signet_storage::{BarrierError, SealConfig, SealKind, UnsealKey, Unsealed};

use crate::error::ApiError;
use crate::node::{Cluster, Node};
use crate::random::uuid;
use crate::seal::shares::{JoinError, Share, ShareSet};
use crate::seal::{StaticSeal, recovery};

/// Shares brought so far.
#[derive(Debug)]
pub(super) struct Progress {
    nonce: String,
    shares: ShareSet,
}

/// What `sys/seal-status` shows.
#[derive(Clone, Debug)]
pub struct SealStatus {
    pub kind: SealKind,
    pub initialized: bool,
    pub sealed: bool,
    /// Shares needed, and shares handed out; of the recovery key with a static seal.
    pub threshold: u8,
    pub shares: u8,
    pub progress: usize,
    /// Empty when no share was brought.
    pub nonce: String,
    pub cluster: Option<Cluster>,
}

impl Node {
    pub async fn seal_status(&self) -> Result<SealStatus, ApiError> {
        let config = self.sealed.seal_config().await?;
        let core = self.core();
        let (progress, nonce) = self
            .ceremonies
            .unseal
            .lock()
            .as_ref()
            .map_or((0, String::new()), |progress| {
                (progress.shares.len(), progress.nonce.clone())
            });
        let (threshold, shares) = match &config {
            None => (0, 0),
            Some(config) => self.shares_of(config).await?,
        };
        let configured = match self.ceremonies.static_seal() {
            Some(_) => SealKind::Static,
            None => SealKind::Shamir,
        };
        Ok(SealStatus {
            kind: config.as_ref().map_or(configured, |config| config.kind),
            initialized: config.is_some(),
            sealed: core.is_none(),
            threshold,
            shares,
            progress,
            nonce,
            cluster: core.map(|core| core.cluster.clone()),
        })
    }

    /// Takes one share. The last one needed unseals the server.
    ///
    /// # Errors
    /// `BadRequest` with the text for the client; a set that does not fit is dropped.
    pub async fn add_unseal_share(&self, share: Share) -> Result<(), ApiError> {
        if self.core().is_some() {
            return Ok(());
        }
        let config = self
            .sealed
            .seal_config()
            .await?
            .ok_or_else(|| ApiError::bad_request("Vault is not initialized"))?;
        let (threshold, _) = self.shares_of(&config).await?;
        let Some(shares) = self.collect(share, threshold)? else {
            return Ok(());
        };
        let store = match config.kind {
            SealKind::Shamir => self.open_with_shares(&shares).await?,
            SealKind::Static => self.open_with_recovery(&config, &shares).await?,
        };
        self.start(store).await?;
        Ok(())
    }

    /// Drops the shares brought so far.
    ///
    /// # Errors
    /// When the server is unsealed.
    pub fn reset_unseal(&self) -> Result<(), ApiError> {
        if self.core().is_some() {
            return Err(ApiError::bad_request("vault is unsealed"));
        }
        *self.ceremonies.unseal.lock() = None;
        Ok(())
    }

    /// Unseals with the configured key. False when there is none, or nothing to unseal yet.
    pub async fn unseal_by_itself(&self) -> Result<bool, ApiError> {
        let Some(seal) = self.ceremonies.static_seal() else {
            return Ok(false);
        };
        let Some(config) = self.sealed.seal_config().await? else {
            return Ok(false);
        };
        let store = self.open_static(seal, &config).await?;
        self.start(store).await?;
        Ok(true)
    }

    /// The seal's parameters, of a server that is known to be initialized.
    pub(super) async fn seal_config(&self) -> Result<SealConfig, ApiError> {
        self.sealed
            .seal_config()
            .await?
            .ok_or_else(|| ApiError::bad_request("Vault is not initialized"))
    }

    fn collect(&self, share: Share, threshold: u8) -> Result<Option<ShareSet>, ApiError> {
        let nonce = uuid(self.rng())?;
        let mut guard = self.ceremonies.unseal.lock();
        let progress = guard.get_or_insert_with(|| Progress {
            nonce,
            shares: ShareSet::default(),
        });
        progress.shares.add(share);
        let complete = progress.shares.take_if_complete(threshold);
        if complete.is_some() {
            *guard = None;
        }
        Ok(complete)
    }

    async fn open_with_shares(&self, shares: &ShareSet) -> Result<Arc<Unsealed>, ApiError> {
        let key = shares.join_unseal_key().map_err(refused)?;
        self.open(&key).await
    }

    /// The shares only show that unsealing is wanted; the configured key does it.
    async fn open_with_recovery(
        &self,
        config: &SealConfig,
        shares: &ShareSet,
    ) -> Result<Arc<Unsealed>, ApiError> {
        let key = shares.join().map_err(refused)?;
        let store = self.open_static(self.static_seal()?, config).await?;
        let recovery = recovery::load(&store).await?;
        if recovery.is_some_and(|recovery| recovery.is_key(&key)) {
            Ok(store)
        } else {
            Err(refused(JoinError::WrongKey))
        }
    }

    /// Opens with the key that the store was last started with; from the previous one it moves to
    /// the current one.
    async fn open_static(
        &self,
        seal: &StaticSeal,
        config: &SealConfig,
    ) -> Result<Arc<Unsealed>, ApiError> {
        let used = config.key_id.as_deref().unwrap_or_default();
        if used == seal.current.id {
            return self.open(&seal.current.key).await;
        }
        match &seal.previous {
            Some(previous) if used == previous.id => {
                let store = self.open(&previous.key).await?;
                let config = SealConfig::static_key(&seal.current.id);
                store.rewrap(&config, &seal.current.key).await?;
                tracing::info!(key.id = %seal.current.id, "root key is under the new static key");
                Ok(store)
            }
            _ => Err(ApiError::internal(format!(
                "the store is sealed with the static key {used:?}, which is not configured"
            ))),
        }
    }

    async fn open(&self, key: &UnsealKey) -> Result<Arc<Unsealed>, ApiError> {
        self.sealed.unseal(key).await.map_err(|error| match error {
            BarrierError::WrongUnsealKey => refused(JoinError::WrongKey),
            BarrierError::NotInitialized => ApiError::bad_request("Vault is not initialized"),
            other => ApiError::internal(other),
        })
    }

    /// Threshold and number of the shares that people hold.
    async fn shares_of(&self, config: &SealConfig) -> Result<(u8, u8), ApiError> {
        if config.kind == SealKind::Shamir {
            return Ok((config.secret_threshold, config.secret_shares));
        }
        let store = match self.core() {
            Some(core) => core.store.clone(),
            None => self.open_static(self.static_seal()?, config).await?,
        };
        let recovery = recovery::load(&store).await?;
        Ok(recovery.map_or((0, 0), |recovery| (recovery.threshold, recovery.shares)))
    }

    fn static_seal(&self) -> Result<&StaticSeal, ApiError> {
        self.ceremonies.static_seal().ok_or_else(|| {
            ApiError::internal("the store needs a static seal, and none is configured")
        })
    }
}

fn refused(error: JoinError) -> ApiError {
    let prefix = match error {
        JoinError::Shares(_) => "",
        JoinError::WrongKey => "unable to retrieve stored keys: ",
    };
    ApiError::bad_request(format!("{prefix}{error}"))
}
