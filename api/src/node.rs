//! The server as a whole: sealed or unsealed, its storage, clock and settings.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use signet_storage::{Backend, Sealed, Unsealed, View};

use crate::audit::{Broker, DeclaredDevice, declared};
use crate::call::Op;
use crate::cors::Cors;
use crate::error::ApiError;
use crate::in_flight::InFlight;
use crate::keys_ahead::KeysAhead;
use crate::kubernetes::LocalCluster;
use crate::lockout::{LockoutSettings, Lockouts};
use crate::metrics::Metrics;
use crate::mount::{MountTable, SystemTtl};
use crate::offload::Pool;
use crate::outbound::Outbound;
use crate::policy::PolicyStore;
use crate::probe::Probe;
use crate::quota::Quotas;
use crate::random::{Random, uuid};
use crate::route::Found;
use crate::time::{Clock, Timestamp};
use crate::token::TokenStore;

/// What everything inside the server may ask for besides storage.
#[derive(Clone, Debug)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Random>,
    /// For slow signatures.
    pub pool: Pool,
    /// For generating keys: slower still, and never in the way of signatures.
    pub key_pool: Pool,
    /// What `key_pool` made while there was nothing else to do.
    pub keys_ahead: Arc<KeysAhead>,
    /// For requests to other servers.
    pub outbound: Arc<dyn Outbound>,
    /// For looking at hosts whose names ACME clients claim.
    pub probe: Arc<dyn Probe>,
    /// ACME only for accounts that are bound to somebody known.
    pub is_public_acme_disabled: bool,
    /// The pod that this process runs in.
    pub local_cluster: Arc<dyn LocalCluster>,
}

/// What the operator sets once, at start.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    pub system_ttl: SystemTtl,
    /// Shown by `sys/seal-status`; empty for a generated name.
    pub cluster_name: String,
    /// The Vault version that clients gate on; semver.
    pub version: String,
    pub build_date: String,
    /// As `sys/seal-status` names it.
    pub storage_type: String,
    pub user_lockout: LockoutSettings,
}

/// One server process.
#[derive(Debug)]
pub struct Node {
    pub settings: NodeSettings,
    pub environment: Environment,
    pub sealed: Sealed,
    pub storage: Arc<dyn Backend>,
    pub ceremonies: crate::seal::Ceremonies,
    pub in_flight: InFlight,
    pub metrics: Metrics,
    declared_audit: OnceLock<Vec<DeclaredDevice>>,
    core: ArcSwapOption<Core>,
    /// Sealing and unsealing take turns.
    changing: tokio::sync::Mutex<()>,
}

/// Everything that exists only while the server is unsealed.
#[derive(Debug)]
pub struct Core {
    pub store: Arc<Unsealed>,
    pub mounts: MountTable,
    pub policies: PolicyStore,
    pub tokens: TokenStore,
    pub audit: Broker,
    pub lockouts: Lockouts,
    pub cors: Cors,
    pub quotas: Quotas,
    pub cluster: Cluster,
}

/// Names of this installation.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cluster {
    pub name: String,
    pub id: String,
}

impl signet_storage::Record for Cluster {
    const FORMAT: u8 = 1;
}

impl Node {
    #[must_use]
    pub fn new(
        backend: Arc<dyn Backend>,
        environment: Environment,
        settings: NodeSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            environment,
            sealed: Sealed::new(backend.clone()),
            storage: backend,
            ceremonies: crate::seal::Ceremonies::default(),
            in_flight: InFlight::default(),
            metrics: Metrics::default(),
            declared_audit: OnceLock::new(),
            core: ArcSwapOption::empty(),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// What exists only while unsealed; `None` when sealed.
    #[must_use]
    pub fn core(&self) -> Option<Arc<Core>> {
        self.core.load_full()
    }

    /// Is this one of the public things that certificates point to? While sealed nobody can know of
    /// which mount a path is, and all paths but those of `sys/` may be: they answer that it is
    /// sealed.
    #[must_use]
    pub fn distributes(&self, op: Op, path: &str) -> bool {
        let Some(core) = self.core() else {
            return !path.starts_with("sys/");
        };
        let Some((mount, relative)) = core.mounts.route(path) else {
            return false;
        };
        match mount.engine.find(op, relative) {
            Found::Route(handle, _) => mount.engine.is_distributed(handle),
            Found::NoPath | Found::WrongOperation(_) => false,
        }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.environment.clock.now()
    }

    #[must_use]
    pub fn rng(&self) -> &dyn Random {
        self.environment.rng.as_ref()
    }

    /// Devices that must log whenever the server is in service. To be called before that.
    ///
    /// # Errors
    /// When it was called before.
    pub fn declare_audit_devices(&self, devices: Vec<DeclaredDevice>) -> Result<(), ApiError> {
        self.declared_audit
            .set(devices)
            .map_err(|_| ApiError::internal("audit devices are declared twice"))
    }

    /// Brings the server into service with an opened store.
    pub async fn start(&self, store: Arc<Unsealed>) -> Result<Arc<Core>, ApiError> {
        let _changing = self.changing.lock().await;
        if let Some(core) = self.core() {
            return Ok(core);
        }
        let core = Arc::new(self.open_core(store).await?);
        let NodeSettings {
            version,
            build_date,
            ..
        } = &self.settings;
        crate::sys::note_version(&core, version, build_date, self.now()).await?;
        let declared_audit = self.declared_audit.get();
        declared::enable(self, &core, declared_audit.map_or(&[], Vec::as_slice)).await?;
        self.core.store(Some(core.clone()));
        tracing::info!(cluster.name = %core.cluster.name, "unsealed");
        Ok(core)
    }

    /// Drops everything that the keys protect. Requests under way finish.
    pub async fn seal(&self) {
        let _changing = self.changing.lock().await;
        if let Some(core) = self.core.swap(None) {
            for mount in core.mounts.all() {
                mount.engine.shut_down();
            }
            self.environment.keys_ahead.wipe();
            tracing::info!("sealed");
        }
        self.ceremonies.abandon();
    }

    /// Work that time asks for: expired tokens and leases, engines' own chores. To be called about
    /// once a minute; does nothing while sealed.
    pub async fn tick(&self) {
        let Some(core) = self.core() else { return };
        let now = self.now();
        if let Err(error) = crate::expiry::sweep(&core, now).await {
            tracing::error!(%error, "expiry sweep failed");
        }
        if let Err(error) = self.rotate_if_due(&core, now).await {
            tracing::error!(%error, "key rotation failed");
        }
        for mount in core.mounts.all() {
            if let Err(error) = mount.engine.periodic(now).await {
                tracing::error!(mount.path = %mount.path, %error, "periodic work failed");
            }
        }
    }

    pub(crate) async fn open_core(&self, store: Arc<Unsealed>) -> Result<Core, ApiError> {
        let cluster = self.cluster(&store).await?;
        let policies = PolicyStore::open(View::new(store.clone(), "sys/policy/")).await?;
        let tokens = TokenStore::open(store.clone(), self.environment.clone())?;
        let audit = Broker::open(View::new(store.clone(), "sys/audit/")).await?;
        let mounts = MountTable::open(
            store.clone(),
            self.environment.clone(),
            self.settings.system_ttl,
        )
        .await?;
        let cors = Cors::open(View::new(store.clone(), "sys/config/")).await?;
        let quotas = Quotas::new(View::new(store.clone(), "sys/quota/"));
        Ok(Core {
            store,
            mounts,
            policies,
            tokens,
            audit,
            lockouts: Lockouts::default(),
            cors,
            quotas,
            cluster,
        })
    }

    async fn cluster(&self, store: &Arc<Unsealed>) -> Result<Cluster, ApiError> {
        let view = View::new(store.clone(), "core/");
        if let Some(stored) = view.record::<Cluster>("cluster").await? {
            return Ok(stored.value);
        }
        let id = uuid(self.rng())?;
        let name = if self.settings.cluster_name.is_empty() {
            format!("vault-cluster-{}", id.get(..8).unwrap_or_default())
        } else {
            self.settings.cluster_name.clone()
        };
        let cluster = Cluster { name, id };
        let mut batch = signet_storage::Batch::default();
        view.put_record(&mut batch, "cluster", &cluster)?;
        view.commit(batch).await?;
        Ok(cluster)
    }
}

/// Metadata of a token, e.g. the role that a login used.
pub type Metadata = BTreeMap<String, String>;
