//! The mount table: which engine answers which path, and how it is tuned.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record, Unsealed, Version, View};

use crate::engine::Mounted;
use crate::error::ApiError;
use crate::node::Environment;
use crate::random::{Random, uuid};
use crate::registry;
use crate::reply::TokenType;

/// What a mount can be tuned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    pub description: String,
    /// 0: the system's default.
    pub default_lease_ttl_secs: u64,
    /// 0: the system's maximum.
    pub max_lease_ttl_secs: u64,
    pub force_no_cache: bool,
    pub audit_non_hmac_request_keys: Vec<String>,
    pub audit_non_hmac_response_keys: Vec<String>,
    /// Empty, `hidden` or `unauth`.
    pub listing_visibility: String,
    pub passthrough_request_headers: Vec<String>,
    pub allowed_response_headers: Vec<String>,
    pub token_type: TokenType,
    pub options: Option<BTreeMap<String, String>>,
    pub user_lockout: Option<LockoutConfig>,
}

/// When a login is locked after wrong secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockoutConfig {
    pub threshold: u64,
    pub duration_secs: u64,
    pub counter_reset_secs: u64,
    pub disabled: bool,
}

impl Default for LockoutConfig {
    fn default() -> Self {
        Self {
            threshold: 5,
            duration_secs: 900,
            counter_reset_secs: 900,
            disabled: false,
        }
    }
}

/// A mount as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountRecord {
    /// Ends in `/`; auth methods start with `auth/`.
    pub path: String,
    pub kind: String,
    pub uuid: String,
    pub accessor: String,
    #[serde(default)]
    pub local: bool,
    #[serde(default)]
    pub seal_wrap: bool,
    #[serde(default)]
    pub external_entropy_access: bool,
    pub config: MountConfig,
}

/// A mount in service.
pub struct Mount {
    pub path: String,
    pub record: MountRecord,
    pub settings: Arc<Settings>,
    pub engine: Arc<dyn Mounted>,
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Mount {
    #[must_use]
    pub fn is_auth(&self) -> bool {
        self.path.starts_with(AUTH)
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.engine.kind()
    }
}

/// A mount's tuning, shared with its engine; tuning takes effect at once.
#[derive(Debug)]
pub struct Settings {
    config: ArcSwap<MountConfig>,
    system: SystemTtl,
}

/// Lease times where a mount has none of its own.
#[derive(Clone, Copy, Debug)]
pub struct SystemTtl {
    pub default_secs: u64,
    pub max_secs: u64,
}

impl Default for SystemTtl {
    /// 768 hours each.
    fn default() -> Self {
        Self {
            default_secs: 2_764_800,
            max_secs: 2_764_800,
        }
    }
}

impl Settings {
    #[must_use]
    pub fn new(config: MountConfig, system: SystemTtl) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            system,
        }
    }

    #[must_use]
    pub fn config(&self) -> Arc<MountConfig> {
        self.config.load_full()
    }

    #[must_use]
    pub fn default_ttl_secs(&self) -> u64 {
        let own = self.config.load().default_lease_ttl_secs;
        if own == 0 {
            self.system.default_secs
        } else {
            own
        }
    }

    #[must_use]
    pub fn max_ttl_secs(&self) -> u64 {
        let own = self.config.load().max_lease_ttl_secs;
        if own == 0 { self.system.max_secs } else { own }
    }
}

/// What an engine is given when its mount is opened.
#[derive(Clone, Debug)]
pub struct MountEnvironment {
    /// The mount's own storage.
    pub view: View,
    pub settings: Arc<Settings>,
    pub accessor: String,
    pub environment: Environment,
}

/// All mounts of an unsealed server.
pub struct MountTable {
    store: Arc<Unsealed>,
    environment: Environment,
    system: SystemTtl,
    by_path: ArcSwap<HashMap<String, Arc<Mount>>>,
    /// One change at a time; readers never wait.
    changing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for MountTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountTable")
            .field("paths", &self.by_path.load().keys())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    mounts: Vec<MountRecord>,
}

impl Record for Table {
    const FORMAT: u8 = 1;
}

const AUTH: &str = "auth/";
const TABLE: &str = "mounts";

impl MountTable {
    /// Opens every stored mount, and the built-in ones on the first start.
    pub async fn open(
        store: Arc<Unsealed>,
        environment: Environment,
        system: SystemTtl,
    ) -> Result<Self, ApiError> {
        let table = Self {
            store,
            environment,
            system,
            by_path: ArcSwap::default(),
            changing: tokio::sync::Mutex::new(()),
        };
        let (mut stored, version) = table.load().await?;
        let missing: Vec<_> = registry::BUILT_IN
            .iter()
            .filter(|mount| !stored.mounts.iter().any(|m| m.path == mount.path))
            .collect();
        if !missing.is_empty() {
            for built_in in missing {
                let config = MountConfig {
                    description: built_in.description.into(),
                    ..Default::default()
                };
                let mut record = table.new_record(built_in.path, built_in.kind, config)?;
                record.local = built_in.local;
                stored.mounts.push(record);
            }
            table.save(&stored, version, Batch::default()).await?;
        }
        let mut by_path = HashMap::new();
        for record in stored.mounts {
            let mount = table.bring_up(record)?;
            by_path.insert(mount.path.clone(), Arc::new(mount));
        }
        table.by_path.store(Arc::new(by_path));
        Ok(table)
    }

    /// The mount whose path `path` begins with, and the rest of the path.
    #[must_use]
    pub fn route<'p>(&self, path: &'p str) -> Option<(Arc<Mount>, &'p str)> {
        let by_path = self.by_path.load();
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        for end in ends {
            let (head, rest) = path.split_at_checked(end)?;
            if let Some(mount) = by_path.get(head) {
                return Some((mount.clone(), rest));
            }
        }
        let bare = format!("{path}/");
        by_path.get(&bare).map(|mount| (mount.clone(), ""))
    }

    /// The mount at exactly `path`, which ends in `/`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<Mount>> {
        self.by_path.load().get(path).cloned()
    }

    /// All mounts, sorted by path.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Mount>> {
        let mut all: Vec<_> = self.by_path.load().values().cloned().collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Mounts an engine. `path` is the full path and ends in `/`.
    ///
    /// # Errors
    /// A path that is in use or reserved, or a kind that does not exist.
    pub async fn mount(
        &self,
        path: &str,
        kind: &str,
        config: MountConfig,
        local: bool,
        seal_wrap: bool,
    ) -> Result<(), ApiError> {
        let _changing = self.changing.lock().await;
        self.check_free(path)?;
        registry::check_kind(path, kind)?;
        let mut record = self.new_record(path, kind, config)?;
        (record.local, record.seal_wrap) = (local, seal_wrap);
        let mount = self.bring_up(record.clone())?;
        let (mut table, version) = self.load().await?;
        table.mounts.push(record);
        self.save(&table, version, Batch::default()).await?;
        self.publish(|by_path| {
            by_path.insert(mount.path.clone(), Arc::new(mount));
        });
        Ok(())
    }

    /// Takes a mount away with all its storage. Its leases and tokens must be revoked before.
    pub async fn unmount(&self, path: &str) -> Result<(), ApiError> {
        let _changing = self.changing.lock().await;
        let Some(mount) = self.get(path) else {
            return Ok(());
        };
        let (mut table, version) = self.load().await?;
        table.mounts.retain(|record| record.path != path);
        self.save(&table, version, Batch::default()).await?;
        self.publish(|by_path| {
            by_path.remove(path);
        });
        mount.engine.shut_down();
        // After the table: a crash in between leaves unreachable records, not a broken mount.
        self.view_of(&mount.record).delete_prefix("").await?;
        Ok(())
    }

    /// Moves a mount; its storage and engine stay as they are.
    pub async fn remount(&self, from: &str, to: &str) -> Result<(), ApiError> {
        let _changing = self.changing.lock().await;
        let mount = self
            .get(from)
            .ok_or_else(|| ApiError::bad_request(format!("no matching mount at {from:?}")))?;
        self.check_free(to)?;
        let (mut table, version) = self.load().await?;
        for record in table.mounts.iter_mut().filter(|record| record.path == from) {
            to.clone_into(&mut record.path);
        }
        self.save(&table, version, Batch::default()).await?;
        self.publish(|by_path| {
            by_path.remove(from);
            let record = MountRecord {
                path: to.to_owned(),
                ..mount.record.clone()
            };
            let moved = Mount {
                path: to.to_owned(),
                record,
                settings: mount.settings.clone(),
                engine: mount.engine.clone(),
            };
            by_path.insert(to.to_owned(), Arc::new(moved));
        });
        Ok(())
    }

    /// Changes the tuning of a mount. True when it has another engine from now on.
    pub async fn tune(
        &self,
        path: &str,
        change: impl FnOnce(&mut MountConfig) -> Result<(), ApiError>,
    ) -> Result<bool, ApiError> {
        let _changing = self.changing.lock().await;
        let mount = self.get(path).ok_or_else(|| {
            ApiError::bad_request(format!(
                "tune of path {path:?} failed: no mount entry found"
            ))
        })?;
        let before = mount.settings.config();
        let mut config = MountConfig::clone(&before);
        change(&mut config)?;
        let new_engine = registry::needs_new_engine(mount.kind(), &before, &config)?;
        let (mut table, version) = self.load().await?;
        for record in table.mounts.iter_mut().filter(|record| record.path == path) {
            record.config = config.clone();
        }
        self.save(&table, version, Batch::default()).await?;
        if new_engine {
            let record = MountRecord {
                config,
                ..mount.record.clone()
            };
            let fresh = self.bring_up(record)?;
            self.publish(|by_path| {
                by_path.insert(path.to_owned(), Arc::new(fresh));
            });
            mount.engine.shut_down();
        } else {
            mount.settings.config.store(Arc::new(config));
        }
        Ok(new_engine)
    }

    /// # Errors
    /// When a mount is at, above or below `path`.
    pub fn check_free(&self, path: &str) -> Result<(), ApiError> {
        let in_use = self
            .by_path
            .load()
            .keys()
            .find(|used| used.starts_with(path) || path.starts_with(used.as_str()))
            .cloned();
        match in_use {
            None => Ok(()),
            Some(used) => {
                let shown = used.strip_prefix(AUTH).unwrap_or(&used);
                Err(ApiError::bad_request(format!(
                    "path is already in use at {shown}"
                )))
            }
        }
    }

    fn new_record(
        &self,
        path: &str,
        kind: &str,
        config: MountConfig,
    ) -> Result<MountRecord, ApiError> {
        let rng = self.environment.rng.as_ref();
        let class = if path.starts_with(AUTH) { "auth_" } else { "" };
        Ok(MountRecord {
            path: path.to_owned(),
            kind: kind.to_owned(),
            uuid: uuid(rng)?,
            accessor: format!("{class}{kind}_{}", random_hex(rng)?),
            local: false,
            seal_wrap: false,
            external_entropy_access: false,
            config,
        })
    }

    fn bring_up(&self, record: MountRecord) -> Result<Mount, ApiError> {
        let settings = Arc::new(Settings::new(record.config.clone(), self.system));
        let environment = MountEnvironment {
            view: self.view_of(&record),
            settings: settings.clone(),
            accessor: record.accessor.clone(),
            environment: self.environment.clone(),
        };
        let engine = registry::open(&record.path, &record.kind, environment)?;
        Ok(Mount {
            path: record.path.clone(),
            record,
            settings,
            engine,
        })
    }

    fn view_of(&self, record: &MountRecord) -> View {
        View::new(self.store.clone(), &format!("mount/{}/", record.uuid))
    }

    async fn load(&self) -> Result<(Table, Option<Version>), ApiError> {
        let stored = self.core_view().record::<Table>(TABLE).await?;
        Ok(stored.map_or_else(Default::default, |s| (s.value, Some(s.version))))
    }

    async fn save(
        &self,
        table: &Table,
        version: Option<Version>,
        mut batch: Batch,
    ) -> Result<(), ApiError> {
        let view = self.core_view();
        let expect = version.map_or(
            signet_storage::Expect::Absent,
            signet_storage::Expect::Version,
        );
        view.expect(&mut batch, TABLE, expect);
        view.put_record(&mut batch, TABLE, table)?;
        view.commit(batch).await?;
        Ok(())
    }

    fn core_view(&self) -> View {
        View::new(self.store.clone(), "core/")
    }

    fn publish(&self, change: impl FnOnce(&mut HashMap<String, Arc<Mount>>)) {
        let mut by_path = HashMap::clone(&self.by_path.load());
        change(&mut by_path);
        self.by_path.store(Arc::new(by_path));
    }
}

fn random_hex(rng: &dyn Random) -> Result<String, ApiError> {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
