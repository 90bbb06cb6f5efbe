//! `sys/`: the server itself.

mod audit;
mod health;
mod locked_users;

use std::sync::{Arc, LazyLock};

use crate::endpoint::{Row, row};
use crate::engine::{Engine, mounted};
use crate::mount::{Mount, MountConfig, MountRecord, Settings, SystemTtl};

/// The system backend; its state is the node's.
#[derive(Debug)]
pub struct Sys;

impl Engine for Sys {
    const KIND: &'static str = "system";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<audit::ListDevices>(),
        row::<audit::Enable>(),
        row::<audit::Disable>(),
        row::<audit::Hash>(),
        row::<audit::ListHeaders>(),
        row::<audit::ReadHeader>(),
        row::<audit::WriteHeader>(),
        row::<audit::DeleteHeader>(),
        row::<health::Health>(),
        row::<health::SealStatus>(),
        row::<locked_users::List>(),
        row::<locked_users::Unlock>(),
    ];
    const HELP: &'static str =
        "The system backend is built-in to Vault and cannot be remounted or unmounted.";
}

/// `sys/` as it is before the mount table can be read.
pub(crate) fn sealed_mount() -> Arc<Mount> {
    static MOUNT: LazyLock<Arc<Mount>> = LazyLock::new(|| {
        let config = MountConfig::default();
        let record = MountRecord {
            path: "sys/".into(),
            kind: Sys::KIND.into(),
            uuid: String::new(),
            accessor: String::new(),
            local: false,
            seal_wrap: false,
            external_entropy_access: false,
            config: config.clone(),
        };
        Arc::new(Mount {
            path: record.path.clone(),
            record,
            settings: Arc::new(Settings::new(config, SystemTtl::default())),
            engine: mounted(Sys),
        })
    });
    MOUNT.clone()
}
