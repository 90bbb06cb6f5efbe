//! Roles, CRLs and configuration: stored, and parsed in memory.

use std::collections::HashSet;
use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use signet_pki::cert::Certificate;
use signet_pki::crl::Crl;
use signet_storage::{Batch, Expect, Observer, Record, Stored, Version, View};

use crate::error::ApiError;

use super::crls::{Revoked, StoredCrl};
use super::role::{LoadedRole, Role};

#[derive(Debug)]
pub(super) struct Store {
    view: View,
    pub(super) roles: View,
    pub(super) crls: View,
    parsed: Arc<Parsed>,
}

/// The configuration as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    /// A token may be renewed with another certificate than it was made with.
    pub(super) disable_binding: bool,
    /// OCSP responses that are kept for each role; 0 for the default.
    pub(super) ocsp_cache_size: usize,
}

impl Record for Config {
    const FORMAT: u8 = 1;
}

/// Everything a login asks for.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    /// By name.
    pub(super) roles: Vec<Arc<LoadedRole>>,
    revoked: HashSet<Revoked>,
}

#[derive(Debug)]
struct Parsed(Cache<(), Arc<State>>);

impl Observer for Parsed {
    /// Roles and CRLs change rarely, and are read whole.
    fn changed(&self, _paths: &[&str]) {
        self.0.clear();
    }
}

const CONFIG: &str = "config";

/// Records that are read at once.
const PAGE: usize = 64;

impl Store {
    pub(super) fn open(view: View) -> Self {
        let parsed = Arc::new(Parsed(Cache::new(1)));
        view.watch(parsed.clone());
        Self {
            roles: view.child("role/"),
            crls: view.child("crl/"),
            view,
            parsed,
        }
    }

    /// What is stored, parsed. Reads the store only after a change.
    pub(super) async fn state(&self) -> Result<Arc<State>, ApiError> {
        // A change while it is read takes the guard's place away: nothing older is kept.
        let guard = match self.parsed.0.get_value_or_guard_async(&()).await {
            Ok(state) => return Ok(state),
            Err(guard) => guard,
        };
        let state = Arc::new(self.read().await?);
        let _ = guard.insert(state.clone());
        Ok(state)
    }

    async fn read(&self) -> Result<State, ApiError> {
        let config = self.config().await?.map(|stored| stored.value);
        let config = config.unwrap_or_default();
        let mut roles = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .roles
                .scan_records::<Role>("", after.as_deref(), PAGE)
                .await?;
            after = page.last().map(|(name, _)| name.clone());
            let is_last = page.len() < PAGE;
            for (name, stored) in page {
                roles.push(LoadedRole::new(
                    name,
                    stored.value,
                    stored.version,
                    &config,
                )?);
            }
            if is_last {
                break;
            }
        }
        let mut revoked = HashSet::new();
        for name in self.crls.keys("", None, usize::MAX).await? {
            if let Some(stored) = self.crls.record::<StoredCrl>(&name).await? {
                revoked.extend(stored.value.entries()?);
            }
        }
        Ok(State {
            config,
            roles,
            revoked,
        })
    }

    pub(super) async fn config(&self) -> Result<Option<Stored<Config>>, ApiError> {
        Ok(self.view.record::<Config>(CONFIG).await?)
    }

    pub(super) fn put_config(
        &self,
        batch: &mut Batch,
        config: &Config,
        previous: Option<&Stored<Config>>,
    ) -> Result<(), ApiError> {
        let expect = expect(previous.map(|stored| stored.version));
        self.view.expect(batch, CONFIG, expect);
        Ok(self.view.put_record(batch, CONFIG, config)?)
    }

    /// Writes a role unless it was changed since `previous` was read.
    pub(super) fn put_role(
        &self,
        batch: &mut Batch,
        name: &str,
        role: &Role,
        previous: Option<&Stored<Role>>,
    ) -> Result<(), ApiError> {
        let expect = expect(previous.map(|stored| stored.version));
        self.roles.expect(batch, name, expect);
        Ok(self.roles.put_record(batch, name, role)?)
    }

    /// What is in `batch` happens only while the role is as it was read.
    pub(super) fn expect_unchanged(&self, batch: &mut Batch, role: &LoadedRole) {
        self.roles
            .expect(batch, &role.name, Expect::Version(role.version));
    }
}

fn expect(previous: Option<Version>) -> Expect {
    previous.map_or(Expect::Absent, Expect::Version)
}

impl State {
    pub(super) fn role(&self, name: &str) -> Option<&Arc<LoadedRole>> {
        let name = name.to_lowercase();
        self.roles.iter().find(|role| role.name == name)
    }

    /// False if a role trusts authorities of the CRL's issuer's name, and none of them signed it.
    pub(super) fn may_have_signed(&self, crl: &Crl) -> bool {
        let mut named = self
            .roles
            .iter()
            .flat_map(|role| role.trusted.authorities())
            .filter(|authority| authority.subject_der() == crl.issuer_der())
            .peekable();
        named.peek().is_none()
            || named.any(|authority| crl.verify_signature(authority.public_key()).is_ok())
    }

    pub(super) fn is_revoked(&self, certificate: &Certificate) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&Revoked::of(certificate))
    }
}
