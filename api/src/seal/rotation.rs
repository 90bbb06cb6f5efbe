//! When the key that encrypts records is replaced by itself.

use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record, View, system_random};

use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::time::Timestamp;

/// Rules of the automatic rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationConfig {
    pub enabled: bool,
    /// Longest use of one key; 0 for no limit.
    pub interval_secs: u64,
    /// Encryptions after which a key is replaced.
    pub max_operations: u64,
}

impl Record for RotationConfig {
    const FORMAT: u8 = 1;
}

impl RotationConfig {
    pub const MIN_INTERVAL_SECS: u64 = 86_400;
    pub const MIN_OPERATIONS: u64 = 1_000_000;
    /// Ninety percent of what NIST SP 800-38D §8.3 allows for random nonces.
    pub const MAX_OPERATIONS: u64 = 3_865_470_566;
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_secs: 0,
            max_operations: Self::MAX_OPERATIONS,
        }
    }
}

impl Core {
    pub async fn rotation_config(&self) -> Result<RotationConfig, ApiError> {
        let stored = self.core_view().record::<RotationConfig>(NAME).await?;
        Ok(stored.map_or_else(RotationConfig::default, |stored| stored.value))
    }

    pub fn stage_rotation_config(
        &self,
        batch: &mut Batch,
        config: &RotationConfig,
    ) -> Result<(), ApiError> {
        Ok(self.core_view().put_record(batch, NAME, config)?)
    }

    fn core_view(&self) -> View {
        View::new(self.store.clone(), "core/")
    }
}

const NAME: &str = "rotation";

impl Node {
    /// Makes a new key for everything that is written from now on.
    pub async fn rotate(&self, core: &Core) -> Result<(), ApiError> {
        let now_unix_nanos = self.now().unix_nanos();
        let term = core
            .store
            .rotate(now_unix_nanos, &mut system_random())
            .await?;
        tracing::info!(key.term = term, "encryption key rotated");
        Ok(())
    }

    /// Rotates the key if its time has come.
    pub(crate) async fn rotate_if_due(&self, core: &Core, now: Timestamp) -> Result<(), ApiError> {
        let config = core.rotation_config().await?;
        if !config.enabled {
            return Ok(());
        }
        let key = core.store.key_status();
        let age_nanos = now.unix_nanos().saturating_sub(key.install_time_unix_nanos);
        let is_old = config.interval_secs > 0 && age_nanos / 1_000_000_000 >= config.interval_secs;
        if is_old || key.encryptions >= config.max_operations {
            self.rotate(core).await?;
        }
        Ok(())
    }
}
