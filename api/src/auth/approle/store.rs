//! Where roles and secret-ids are.
//!
//! ```text
//! role/<name>                        the role
//! role-id/<HMAC of the role id>      its name
//! secret/<role uuid>/<HMAC>          a secret-id
//! accessor/<role uuid>/<HMAC>        the HMAC of the secret-id that an accessor belongs to
//! expiry/<nanoseconds>/<uuid>/<HMAC> secret-ids in the order in which they end
//! doomed/<role uuid>                 a deleted role whose secret-ids are still to be removed
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use parking_lot::RwLock;
use signet_storage::{Batch, Expect, Observer, StorageError, Stored, View};

use crate::error::{ApiError, ErrorKind};
use crate::time::Timestamp;

use super::role::{LoadedRole, Role};
use super::secret_id::SecretId;

/// Longest name of a role, in bytes: it is part of a storage path.
pub(super) const MAX_NAME_BYTES: usize = 1024;
/// Roles kept in memory; each is about two kilobytes.
const CACHED_ROLES: usize = 10_000;
/// Records looked at in one go.
const PAGE: usize = 256;

pub(super) struct Store {
    view: View,
    /// Hides role ids and accessors from whoever sees storage paths.
    salt: hmac::Key,
    roles: Arc<RoleCache>,
    is_tidying: AtomicBool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// A secret-id with the HMAC it is stored under.
pub(super) struct Found {
    pub(super) hash: String,
    pub(super) stored: Stored<SecretId>,
}

impl Store {
    pub(super) fn open(view: View) -> Arc<Self> {
        let label = format!("approle salt of {}", view.prefix());
        let salt = view.unsealed().derive_key(&label);
        let roles = Arc::new(RoleCache::default());
        view.watch(roles.clone());
        Arc::new(Self {
            salt: hmac::Key::new(hmac::HMAC_SHA256, salt.as_slice()),
            view,
            roles,
            is_tidying: AtomicBool::new(false),
        })
    }

    /// The role of this name, in any case.
    pub(super) async fn role(&self, name: &str) -> Result<Option<Arc<LoadedRole>>, ApiError> {
        let name = name.to_lowercase();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Ok(None);
        }
        let generation = match self.roles.by_name(&name) {
            Ok(role) => return Ok(Some(role)),
            Err(generation) => generation,
        };
        let stored = self.view.record::<Role>(&role_path(&name)).await?;
        let Some(Stored { value, version }) = stored else {
            return Ok(None);
        };
        let role = Arc::new(LoadedRole::new(value, version)?);
        self.roles.keep(&role, generation);
        Ok(Some(role))
    }

    pub(super) async fn role_of_role_id(
        &self,
        role_id: &str,
    ) -> Result<Option<Arc<LoadedRole>>, ApiError> {
        if let Some(role) = self.roles.by_role_id(role_id) {
            return Ok(Some(role));
        }
        let Some(entry) = self.view.get(&self.role_id_path(role_id)).await? else {
            return Ok(None);
        };
        let name = String::from_utf8(entry.value).map_err(ApiError::internal)?;
        let role = self.role(&name).await?;
        Ok(role.filter(|found| found.role.role_id == role_id))
    }

    /// Names of roles in order, after `after`.
    pub(super) async fn role_names(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, ApiError> {
        let after = (!after.is_empty()).then_some(after);
        Ok(self.view.keys("role/", after, limit).await?)
    }

    /// Adds a role to `batch`, in place of `previous` or as a new one.
    ///
    /// # Errors
    /// When another role has its role id.
    pub(super) async fn put_role(
        &self,
        batch: &mut Batch,
        role: &Role,
        previous: Option<&LoadedRole>,
    ) -> Result<(), ApiError> {
        let path = role_path(&role.name);
        let expect = previous.map_or(Expect::Absent, |p| Expect::Version(p.version));
        self.view.expect(batch, &path, expect);
        self.view.put_record(batch, &path, role)?;
        if previous.is_some_and(|previous| previous.role.role_id == role.role_id) {
            return Ok(());
        }
        let index = self.role_id_path(&role.role_id);
        if self.view.get(&index).await?.is_some() {
            return Err(ApiError::bad_request("role_id already in use"));
        }
        self.view.expect(batch, &index, Expect::Absent);
        self.view.put(batch, &index, role.name.clone().into_bytes());
        if let Some(previous) = previous {
            let old = self.role_id_path(&previous.role.role_id);
            self.view.delete(batch, &old);
        }
        Ok(())
    }

    /// Adds the deletion of a role to `batch`; [`Self::remove_secret_ids`] is to follow the commit.
    pub(super) fn delete_role(&self, batch: &mut Batch, role: &LoadedRole) {
        let path = role_path(&role.role.name);
        self.view
            .expect(batch, &path, Expect::Version(role.version));
        self.view.delete(batch, &path);
        self.view
            .delete(batch, &self.role_id_path(&role.role.role_id));
        self.view
            .put(batch, &format!("doomed/{}", role.role.uuid), Vec::new());
    }

    /// Makes `batch` fail when the role is changed or deleted before it is committed.
    pub(super) fn expect_role(&self, batch: &mut Batch, role: &LoadedRole) {
        let path = role_path(&role.role.name);
        self.view
            .expect(batch, &path, Expect::Version(role.version));
    }

    /// A secret-id of this role, expired or not.
    pub(super) async fn secret_id(
        &self,
        role: &LoadedRole,
        secret_id: &str,
    ) -> Result<Option<Found>, ApiError> {
        self.by_hash(role, role.hash(secret_id)).await
    }

    /// A secret-id of this role, and of no other.
    pub(super) async fn of_accessor(
        &self,
        role: &LoadedRole,
        accessor: &str,
    ) -> Result<Option<Found>, ApiError> {
        let path = self.accessor_path(&role.role.uuid, accessor);
        let Some(entry) = self.view.get(&path).await? else {
            return Ok(None);
        };
        let hash = String::from_utf8(entry.value).map_err(ApiError::internal)?;
        self.by_hash(role, hash).await
    }

    async fn by_hash(&self, role: &LoadedRole, hash: String) -> Result<Option<Found>, ApiError> {
        let path = secret_path(&role.role.uuid, &hash);
        let stored = self.view.record(&path).await?;
        Ok(stored.map(|stored| Found { hash, stored }))
    }

    /// The accessors of all secret-ids of a role, sorted.
    pub(super) async fn accessors(&self, role: &LoadedRole) -> Result<Vec<String>, ApiError> {
        let prefix = secret_path(&role.role.uuid, "");
        let mut accessors = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .view
                .scan_records::<SecretId>(&prefix, after.as_deref(), PAGE)
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            accessors.extend(page.into_iter().map(|(_, stored)| stored.value.accessor));
        }
        accessors.sort_unstable();
        Ok(accessors)
    }

    /// Adds a new secret-id to `batch`. `previous` is an expired one that it replaces.
    pub(super) fn put_new(
        &self,
        batch: &mut Batch,
        role: &LoadedRole,
        hash: &str,
        secret_id: &SecretId,
        previous: Option<&Found>,
    ) -> Result<(), ApiError> {
        let uuid = &role.role.uuid;
        self.expect_role(batch, role);
        if let Some(previous) = previous {
            self.delete(batch, uuid, previous);
        } else {
            let path = secret_path(uuid, hash);
            self.view.expect(batch, &path, Expect::Absent);
        }
        self.view
            .put_record(batch, &secret_path(uuid, hash), secret_id)?;
        let accessor = self.accessor_path(uuid, &secret_id.accessor);
        self.view.put(batch, &accessor, hash.as_bytes().to_vec());
        if let Some(end) = secret_id.expires_at {
            let path = expiry_path(end, uuid, hash);
            self.view.put(batch, &path, Vec::new());
        }
        Ok(())
    }

    /// Adds one use of a secret-id to `batch`; the last use removes it. The batch fails when
    /// somebody else used or destroyed it, or changed the role, in between.
    pub(super) fn take_use(
        &self,
        batch: &mut Batch,
        role: &LoadedRole,
        found: &Found,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let uuid = &role.role.uuid;
        let path = secret_path(uuid, &found.hash);
        self.expect_role(batch, role);
        match found.stored.value.num_uses {
            0 => {
                let expect = Expect::Version(found.stored.version);
                self.view.expect(batch, &path, expect);
            }
            1 => self.delete(batch, uuid, found),
            more => {
                let used = SecretId {
                    num_uses: more - 1,
                    updated_at: now,
                    ..found.stored.value.clone()
                };
                let expect = Expect::Version(found.stored.version);
                self.view.expect(batch, &path, expect);
                self.view.put_record(batch, &path, &used)?;
            }
        }
        Ok(())
    }

    /// Adds the removal of a secret-id to `batch`.
    pub(super) fn delete(&self, batch: &mut Batch, uuid: &str, found: &Found) {
        let Found { hash, stored } = found;
        let path = secret_path(uuid, hash);
        self.view
            .expect(batch, &path, Expect::Version(stored.version));
        self.view.delete(batch, &path);
        self.view
            .delete(batch, &self.accessor_path(uuid, &stored.value.accessor));
        if let Some(end) = stored.value.expires_at {
            self.view.delete(batch, &expiry_path(end, uuid, hash));
        }
    }

    /// Removes the secret-ids of a deleted role, then the note that they are to be removed.
    pub(super) async fn remove_secret_ids(&self, uuid: &str) -> Result<(), ApiError> {
        let prefix = secret_path(uuid, "");
        loop {
            let page = self.view.scan_records(&prefix, None, PAGE).await?;
            let mut batch = Batch::default();
            let is_last = page.is_empty();
            for (hash, stored) in page {
                self.delete(&mut batch, uuid, &Found { hash, stored });
            }
            if is_last {
                self.view.delete(&mut batch, &format!("doomed/{uuid}"));
            }
            match self.view.commit(batch).await {
                // A login or a removal came in between: look again.
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if is_last => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    /// Removes what has expired and what deleted roles left behind. Costs what it removes, not what
    /// is stored. Does nothing when it is under way already.
    pub(super) async fn tidy(&self, now: Timestamp) -> Result<(), ApiError> {
        let Some(_turn) = Turn::take(&self.is_tidying) else {
            return Ok(());
        };
        while let Some(ended) = self.ended(now).await? {
            match self.remove_ended(&ended, now).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => other?,
            }
        }
        for uuid in self.view.keys("doomed/", None, PAGE).await? {
            self.remove_secret_ids(&uuid).await?;
        }
        Ok(())
    }

    pub(super) fn is_tidying(&self) -> bool {
        self.is_tidying.load(Ordering::Acquire)
    }

    /// A page of the keys, below `expiry/`, of secret-ids that ended.
    async fn ended(&self, now: Timestamp) -> Result<Option<Vec<String>>, ApiError> {
        let mut page = self.view.keys("expiry/", None, PAGE).await?;
        page.retain(|key| parse_expiry(key).is_none_or(|(end, ..)| end <= now));
        Ok((!page.is_empty()).then_some(page))
    }

    async fn remove_ended(&self, keys: &[String], now: Timestamp) -> Result<(), ApiError> {
        let mut batch = Batch::default();
        for key in keys {
            self.view.delete(&mut batch, &format!("expiry/{key}"));
            let Some((_, uuid, hash)) = parse_expiry(key) else {
                continue;
            };
            let stored = self
                .view
                .record::<SecretId>(&secret_path(uuid, hash))
                .await?;
            if let Some(stored) = stored.filter(|stored| stored.value.is_expired(now)) {
                let hash = hash.to_owned();
                self.delete(&mut batch, uuid, &Found { hash, stored });
            }
        }
        self.view.commit(batch).await?;
        Ok(())
    }

    fn role_id_path(&self, role_id: &str) -> String {
        format!("role-id/{}", self.salted(role_id))
    }

    fn accessor_path(&self, uuid: &str, accessor: &str) -> String {
        format!("accessor/{uuid}/{}", self.salted(accessor))
    }

    fn salted(&self, text: &str) -> String {
        hex::encode(hmac::sign(&self.salt, text.as_bytes()))
    }
}

fn role_path(name: &str) -> String {
    format!("role/{name}")
}

fn secret_path(uuid: &str, hash: &str) -> String {
    format!("secret/{uuid}/{hash}")
}

/// Sorts as the time does.
fn expiry_path(end: Timestamp, uuid: &str, hash: &str) -> String {
    format!("expiry/{:020}/{uuid}/{hash}", end.0.max(0))
}

fn parse_expiry(key: &str) -> Option<(Timestamp, &str, &str)> {
    let (nanos, rest) = key.split_once('/')?;
    let (uuid, hash) = rest.split_once('/')?;
    Some((Timestamp(nanos.parse().ok()?), uuid, hash))
}

/// The right to do what only one may do at a time.
struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(is_taken: &'a AtomicBool) -> Option<Self> {
        (!is_taken.swap(true, Ordering::AcqRel)).then_some(Self(is_taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Roles in memory, by name and by role id.
#[derive(Debug, Default)]
struct RoleCache(RwLock<Cached>);

#[derive(Debug, Default)]
struct Cached {
    /// Grows with every change of a role: what was read before a change is not kept after it.
    generation: u64,
    by_name: HashMap<String, Arc<LoadedRole>>,
    by_role_id: HashMap<String, Arc<LoadedRole>>,
}

impl RoleCache {
    /// The role, or the generation to give to [`Self::keep`] after reading it.
    fn by_name(&self, name: &str) -> Result<Arc<LoadedRole>, u64> {
        let cached = self.0.read();
        cached.by_name.get(name).cloned().ok_or(cached.generation)
    }

    fn by_role_id(&self, role_id: &str) -> Option<Arc<LoadedRole>> {
        self.0.read().by_role_id.get(role_id).cloned()
    }

    fn keep(&self, loaded: &Arc<LoadedRole>, generation: u64) {
        let mut cached = self.0.write();
        if cached.generation != generation {
            return;
        }
        if cached.by_name.len() >= CACHED_ROLES {
            cached.by_name.clear();
            cached.by_role_id.clear();
        }
        let role = &loaded.role;
        cached.by_name.insert(role.name.clone(), loaded.clone());
        cached
            .by_role_id
            .insert(role.role_id.clone(), loaded.clone());
    }
}

impl Observer for RoleCache {
    fn changed(&self, paths: &[&str]) {
        let names = paths.iter().filter_map(|path| path.strip_prefix("role/"));
        for name in names {
            let mut cached = self.0.write();
            cached.generation += 1;
            if let Some(loaded) = cached.by_name.remove(name) {
                cached.by_role_id.remove(&loaded.role.role_id);
            }
        }
    }
}
