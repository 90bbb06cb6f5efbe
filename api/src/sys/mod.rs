//! `sys/`: the server itself.

mod audit;
mod caller;
mod capabilities;
mod ceremony;
mod config;
mod cors;
mod counters;
mod generate_root;
mod health;
mod in_flight;
mod init;
mod internal_ui;
mod leader;
pub(crate) mod leases;
mod locked_users;
mod metrics;
mod mount_config;
mod mount_view;
mod mounts;
mod openapi;
mod plugins;
mod policies;
mod quotas;
mod rekey;
mod remount;
mod rotate;
mod seal;
mod strict;
mod tools;
mod versions;
mod wrapping;

use std::sync::{Arc, LazyLock};

use crate::endpoint::{Row, row};
use crate::engine::{Engine, mounted};
use crate::mount::{Mount, MountConfig, MountRecord, Settings, SystemTtl};

pub(crate) use versions::note_version;

/// The system backend; its state is the node's.
#[derive(Debug)]
pub struct Sys;

impl Engine for Sys {
    const KIND: &'static str = "system";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<audit::DeleteHeader>(),
        row::<audit::Disable>(),
        row::<audit::Enable>(),
        row::<audit::Hash>(),
        row::<audit::ListDevices>(),
        row::<audit::ListHeaders>(),
        row::<audit::ReadHeader>(),
        row::<audit::WriteHeader>(),
        row::<capabilities::OfAccessor>(),
        row::<capabilities::OfCaller>(),
        row::<capabilities::OfToken>(),
        row::<config::Reload>(),
        row::<config::SanitizedState>(),
        row::<cors::DeleteCors>(),
        row::<cors::ReadCors>(),
        row::<cors::WriteCors>(),
        row::<counters::Entities>(),
        row::<counters::Tokens>(),
        row::<generate_root::CancelAttempt>(),
        row::<generate_root::ReadAttempt>(),
        row::<generate_root::StartAttempt>(),
        row::<generate_root::UpdateAttempt>(),
        row::<health::Health>(),
        row::<in_flight::InFlightRequests>(),
        row::<init::Init>(),
        row::<init::ReadInit>(),
        row::<internal_ui::ResultantAcl>(),
        row::<internal_ui::VisibleMount>(),
        row::<internal_ui::VisibleMounts>(),
        row::<leader::HaStatus>(),
        row::<leader::HostInfo>(),
        row::<leader::Leader>(),
        row::<leases::Count>(),
        row::<leases::List>(),
        row::<leases::ListIrrevocable>(),
        row::<leases::ListRoot>(),
        row::<leases::Lookup>(),
        row::<leases::Renew>(),
        row::<leases::Revoke>(),
        row::<leases::RevokeForce>(),
        row::<leases::RevokePrefix>(),
        row::<leases::Tidy>(),
        row::<locked_users::List>(),
        row::<locked_users::Unlock>(),
        row::<metrics::ReadMetrics>(),
        row::<mounts::DisableMount>(),
        row::<mounts::EnableMount>(),
        row::<mounts::ListMounts>(),
        row::<mounts::ReadMount>(),
        row::<mounts::ReadTuning>(),
        row::<mounts::Tune>(),
        row::<openapi::OpenApi>(),
        row::<plugins::Catalog>(),
        row::<plugins::ListCatalog>(),
        row::<plugins::ReadPlugin>(),
        row::<plugins::RegisterPlugin>(),
        row::<policies::DeletePolicy>(),
        row::<policies::ListLegacyPolicies>(),
        row::<policies::ListPolicies>(),
        row::<policies::ReadPolicy>(),
        row::<policies::WritePolicy>(),
        row::<quotas::DeleteRateLimit>(),
        row::<quotas::ListRateLimits>(),
        row::<quotas::ReadQuotaConfig>(),
        row::<quotas::ReadRateLimit>(),
        row::<quotas::WriteQuotaConfig>(),
        row::<quotas::WriteRateLimit>(),
        row::<rekey::CancelRekey>(),
        row::<rekey::DeleteBackup>(),
        row::<rekey::ReadBackup>(),
        row::<rekey::ReadRekey>(),
        row::<rekey::ReadVerify>(),
        row::<rekey::RestartVerify>(),
        row::<rekey::StartRekey>(),
        row::<rekey::UpdateRekey>(),
        row::<rekey::UpdateVerify>(),
        row::<remount::Remount>(),
        row::<remount::RemountStatus>(),
        row::<rotate::KeyStatus>(),
        row::<rotate::ReadRotateConfig>(),
        row::<rotate::Rotate>(),
        row::<rotate::WriteRotateConfig>(),
        row::<seal::Seal>(),
        row::<seal::SealStatus>(),
        row::<seal::StepDown>(),
        row::<seal::Unseal>(),
        row::<tools::Hash>(),
        row::<tools::RandomBytes>(),
        row::<versions::VersionHistory>(),
        row::<wrapping::LookUp>(),
        row::<wrapping::Rewrap>(),
        row::<wrapping::Unwrap>(),
        row::<wrapping::Wrap>(),
    ];
    const HELP: &'static str =
        "The system backend is built-in to Vault and cannot be remounted or unmounted.";
    const WITHOUT_TOKEN: &'static [&'static str] = &["replication/status"];
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
