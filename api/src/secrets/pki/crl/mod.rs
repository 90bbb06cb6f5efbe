//! Certificate revocation lists: one for each authority, built when somebody asks for it or about
//! once a minute, never by the request that revokes.
//!
//! ```text
//! revoke --one commit--> revoked/<serial>, crl/pending/<authority>/<serial>
//! asked for --> up to date? --yes--> the list in memory
//!                   |no, one builder at a time
//!                   v
//!   index (all revocations, sorted, in memory) --> sign on the pool --> pieces, then head --> swap
//! ```
//!
//! Pending entries say what no complete CRL holds yet: whether a list is out of date, also after a
//! restart, and what a delta CRL is made of.

mod build;
pub(super) mod endpoints;
mod groups;
mod index;
mod published;
pub(super) mod resign;
pub(super) mod sign_list;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Observer, View};

use crate::error::{ApiError, ErrorKind};
use crate::mount::MountEnvironment;
use crate::node::Environment;
use crate::secrets::pki::config::crl::CrlConfig;
use crate::secrets::pki::crl::groups::{Group, Groups};
use crate::secrets::pki::crl::index::RevocationIndex;
use crate::secrets::pki::crl::published::{HEADS, Head, Published};
use crate::secrets::pki::records::{AuthorityId, REVOKED};
use crate::secrets::pki::state::State;
use crate::time::Timestamp;

const PENDING: &str = "crl/pending/";

/// The CRLs of a mount.
pub(super) struct Crls {
    view: View,
    environment: Environment,
    index: RevocationIndex,
    /// Of the state that is current.
    groups: ArcSwapOption<(Arc<State>, Groups)>,
    cells: Mutex<HashMap<AuthorityId, Arc<Cell>>>,
    /// Counts changes of pending entries.
    pending_changes: AtomicU64,
}

/// What is known of the CRLs of one authority.
#[derive(Debug, Default)]
struct Cell {
    /// One builder at a time; the others wait for its list.
    building: tokio::sync::Mutex<()>,
    published: ArcSwapOption<Published>,
    /// Counts changes of the head in storage.
    head_changes: AtomicU64,
    /// What the count of pending changes was when nothing was pending, plus 1; 0 for never.
    nothing_pending_at: AtomicU64,
    /// The same when the last delta CRL was built.
    delta_built_at: AtomicU64,
    /// Something left the list, which storage does not tell.
    is_to_shrink: AtomicBool,
}

/// What has to be built before a list may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Complete,
    Delta,
    Nothing,
}

impl std::fmt::Debug for Crls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crls").finish_non_exhaustive()
    }
}

impl Observer for Crls {
    fn changed(&self, paths: &[&str]) {
        for path in paths {
            if let Some(serial) = path.strip_prefix(REVOKED) {
                self.index.note_change(serial);
            } else if path.starts_with(PENDING) {
                self.pending_changes.fetch_add(1, Ordering::SeqCst);
            } else if let Some(id) = path.strip_prefix(HEADS).and_then(AuthorityId::from_hex) {
                let cell = self.cells.lock().get(&id).cloned();
                if let Some(cell) = cell {
                    cell.head_changes.fetch_add(1, Ordering::SeqCst);
                    cell.published.store(None);
                }
            }
        }
    }
}

impl Crls {
    pub(super) fn new(env: &MountEnvironment) -> Arc<Self> {
        let crls = Arc::new(Self {
            view: env.view.clone(),
            environment: env.environment.clone(),
            index: RevocationIndex::new(env.view.clone()),
            groups: ArcSwapOption::empty(),
            cells: Mutex::default(),
            pending_changes: AtomicU64::new(1),
        });
        env.view.watch(crls.clone());
        crls
    }

    /// Notes in the commit of a revocation that the complete CRL of `authority` lacks it.
    pub(super) fn put_pending(
        &self,
        batch: &mut Batch,
        authority: AuthorityId,
        serial: SerialNumber,
    ) {
        let path = format!("{PENDING}{}/{}", authority.to_hex(), serial.to_hyphen_hex());
        self.view.put(batch, &path, Vec::new());
    }

    /// How many certificates of each authority are revoked.
    pub(super) async fn revoked_counts(&self) -> Result<BTreeMap<AuthorityId, u64>, ApiError> {
        Ok(self.index.snapshot().await?.counts())
    }

    /// Takes the note back in the commit that deletes a revocation.
    pub(super) fn delete_pending(
        &self,
        batch: &mut Batch,
        authority: AuthorityId,
        serial: SerialNumber,
    ) {
        let path = format!("{PENDING}{}/{}", authority.to_hex(), serial.to_hyphen_hex());
        self.view.delete(batch, &path);
    }

    /// Revocations were deleted: the next lists are to do without them.
    pub(super) fn shrink(&self) {
        for cell in self.cells.lock().values() {
            cell.is_to_shrink.store(true, Ordering::SeqCst);
        }
    }

    /// The lists of `authority` as they are now, built if they have to be; `None` when nobody can
    /// sign any.
    pub(super) async fn current(
        &self,
        state: &Arc<State>,
        authority: AuthorityId,
        now: Timestamp,
    ) -> Result<Option<Arc<Published>>, ApiError> {
        let groups = self.groups(state);
        match groups.1.get(authority) {
            Some(group) => self.current_of(&groups, group, now).await,
            None => Ok(None),
        }
    }

    /// When revocations of `authority` that are pending will be on a list at the latest; `None`
    /// when that does not wait.
    pub(super) async fn next_rebuild(
        &self,
        state: &Arc<State>,
        authority: AuthorityId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ApiError> {
        let config = &state.crl_config;
        if config.disable || !config.auto_rebuild {
            return Ok(None);
        }
        let groups = self.groups(state);
        let group = groups
            .1
            .get(authority)
            .or_else(|| groups.1.all.iter().find(|group| group.is_default));
        let Some(group) = group else {
            return Ok(None);
        };
        let cell = self.cell(group.id);
        let Some(published) = self.published(&cell, group.id).await? else {
            return Ok(None);
        };
        let mut at = published.complete.info.next_update_secs - config.grace_secs();
        if config.enable_delta {
            let delta = published.delta.info.this_update_secs + config.delta_interval_secs();
            at = at.min(delta);
        }
        Ok(Some(Timestamp::from_secs(at.max(now.secs()))))
    }

    /// Builds every list anew, or every delta CRL. Gives warnings about authorities for which that
    /// cannot be done.
    pub(super) async fn rotate(
        &self,
        state: &Arc<State>,
        only_delta: bool,
        now: Timestamp,
    ) -> Result<Vec<String>, ApiError> {
        let groups = self.groups(state);
        let mut warnings = Vec::new();
        for group in &groups.1.all {
            if group.signer.is_none() {
                warnings.extend(no_signer_warning(group, warnings.len() + 1));
                continue;
            }
            let cell = self.cell(group.id);
            let _turn = cell.building.lock().await;
            let published = self.published(&cell, group.id).await?;
            let due = match &published {
                None => Due::Complete,
                Some(published) => {
                    let due = self
                        .due(&cell, &groups, group, Some(published), now)
                        .await?;
                    match due {
                        Due::Complete => due,
                        // A disabled list was built once and stays.
                        _ if state.crl_config.disable => Due::Nothing,
                        _ if only_delta => Due::Delta,
                        _ => Due::Complete,
                    }
                }
            };
            self.build(&cell, &groups, group, published, due, now)
                .await?;
        }
        Ok(warnings)
    }

    /// Warns of authorities whose lists nobody may sign.
    pub(super) fn warnings(&self, state: &Arc<State>) -> Vec<String> {
        let groups = self.groups(state);
        let mut warnings = Vec::new();
        for group in groups.1.all.iter().filter(|group| group.signer.is_none()) {
            warnings.extend(no_signer_warning(group, warnings.len() + 1));
        }
        warnings
    }

    /// Brings every list up to date and forgets those of authorities that are gone.
    pub(super) async fn periodic(
        &self,
        state: &Arc<State>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.index.catch_up().await?;
        let groups = self.groups(state);
        let mut failure = None;
        for group in &groups.1.all {
            if let Err(error) = self.current_of(&groups, group, now).await {
                let authority = group.id.to_hex();
                tracing::error!(issuers = ?group.issuers, authority, %error, "no fresh CRL");
                failure = Some(error);
            }
        }
        self.forget_absent(&groups.1).await?;
        failure.map_or(Ok(()), Err)
    }

    async fn current_of(
        &self,
        groups: &(Arc<State>, Groups),
        group: &Group,
        now: Timestamp,
    ) -> Result<Option<Arc<Published>>, ApiError> {
        let cell = self.cell(group.id);
        let published = self.published(&cell, group.id).await?;
        let due = self
            .due(&cell, groups, group, published.as_ref(), now)
            .await?;
        if due == Due::Nothing || group.signer.is_none() {
            return Ok(published);
        }
        let _turn = cell.building.lock().await;
        // Who waited finds what the one before has built.
        let published = self.published(&cell, group.id).await?;
        let due = self
            .due(&cell, groups, group, published.as_ref(), now)
            .await?;
        self.build(&cell, groups, group, published, due, now).await
    }

    async fn due(
        &self,
        cell: &Cell,
        groups: &(Arc<State>, Groups),
        group: &Group,
        published: Option<&Arc<Published>>,
        now: Timestamp,
    ) -> Result<Due, ApiError> {
        let config = &groups.0.crl_config;
        let Some(published) = published else {
            return Ok(Due::Complete);
        };
        if published.head.fingerprint != group.fingerprint {
            return Ok(Due::Complete);
        }
        if config.disable {
            return Ok(Due::Nothing);
        }
        let shrink = cell.is_to_shrink.load(Ordering::SeqCst) && !config.auto_rebuild;
        if shrink || is_ending(config, published, now) {
            return Ok(Due::Complete);
        }
        let changes = self.pending_changes.load(Ordering::SeqCst);
        if !self.is_pending(cell, groups, group, changes).await? {
            return Ok(Due::Nothing);
        }
        if !config.auto_rebuild {
            return Ok(Due::Complete);
        }
        let delta_at = published.delta.info.this_update_secs + config.delta_interval_secs();
        let is_new = cell.delta_built_at.load(Ordering::SeqCst) != changes;
        Ok(if config.enable_delta && is_new && now.secs() >= delta_at {
            Due::Delta
        } else {
            Due::Nothing
        })
    }

    /// Is there a revocation that the complete CRL of `group` lacks?
    async fn is_pending(
        &self,
        cell: &Cell,
        groups: &(Arc<State>, Groups),
        group: &Group,
        changes: u64,
    ) -> Result<bool, ApiError> {
        if cell.nothing_pending_at.load(Ordering::SeqCst) == changes {
            return Ok(false);
        }
        for id in self.pending_authorities(&groups.1, group).await? {
            let folder = pending_folder(id);
            if !self.view.keys(&folder, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        cell.nothing_pending_at.store(changes, Ordering::SeqCst);
        Ok(false)
    }

    /// Whose pending entries `group` takes care of: its own, and those of authorities that are not
    /// here if it is the default.
    async fn pending_authorities(
        &self,
        groups: &Groups,
        group: &Group,
    ) -> Result<Vec<AuthorityId>, ApiError> {
        let mut ids = vec![group.id];
        if group.is_default {
            let folders = self.view.children(PENDING, None, MAX_AUTHORITIES).await?;
            let absent = folders
                .iter()
                .filter_map(|folder| AuthorityId::from_hex(folder.trim_end_matches('/')))
                .filter(|id| !groups.contains(*id));
            ids.extend(absent);
        }
        Ok(ids)
    }

    /// What is published, from memory if possible.
    async fn published(
        &self,
        cell: &Cell,
        id: AuthorityId,
    ) -> Result<Option<Arc<Published>>, ApiError> {
        if let Some(published) = cell.published.load_full() {
            return Ok(Some(published));
        }
        let before = cell.head_changes.load(Ordering::SeqCst);
        let Some(published) = published::load(&self.view, id).await? else {
            return Ok(None);
        };
        let published = Arc::new(published);
        cell.publish(published.clone(), before);
        Ok(Some(published))
    }

    fn groups(&self, state: &Arc<State>) -> Arc<(Arc<State>, Groups)> {
        if let Some(groups) = self.groups.load_full()
            && Arc::ptr_eq(&groups.0, state)
        {
            return groups;
        }
        let groups = Arc::new((state.clone(), Groups::of(state)));
        self.groups.store(Some(groups.clone()));
        groups
    }

    fn cell(&self, id: AuthorityId) -> Arc<Cell> {
        self.cells.lock().entry(id).or_default().clone()
    }

    /// Deletes the lists of authorities that are gone; their numbers stay.
    async fn forget_absent(&self, groups: &Groups) -> Result<(), ApiError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.view.keys(HEADS, after.as_deref(), PAGE).await?;
            for id in page.iter().filter_map(|text| AuthorityId::from_hex(text)) {
                if groups.contains(id) {
                    continue;
                }
                let Some((head, version)) = published::load_head(&self.view, id).await? else {
                    continue;
                };
                let lists = [&head.complete, &head.delta];
                if lists.iter().all(|list| list.is_none()) {
                    continue;
                }
                let mut batch = Batch::default();
                for list in lists.into_iter().flatten() {
                    published::delete_list(&self.view, &mut batch, id, list);
                }
                let empty = Head {
                    last_number: head.last_number,
                    ..Head::default()
                };
                published::put_head(&self.view, &mut batch, id, &empty, Some(version))?;
                self.view.commit(batch).await?;
                self.cells.lock().remove(&id);
            }
            let full = page.len() == PAGE;
            after = page.into_iter().next_back();
            if !full {
                return Ok(());
            }
        }
    }
}

impl Cell {
    /// Keeps `published`, unless the head in storage has changed since `head_changes` was read.
    fn publish(&self, published: Arc<Published>, head_changes: u64) {
        self.published.store(Some(published));
        if self.head_changes.load(Ordering::SeqCst) != head_changes {
            self.published.store(None);
        }
    }
}

/// Is the complete CRL at its end, or so near to it that the next one is due?
fn is_ending(config: &CrlConfig, published: &Published, now: Timestamp) -> bool {
    now.secs() >= published.complete.info.next_update_secs - config.grace_secs()
}

fn pending_folder(id: AuthorityId) -> String {
    format!("{PENDING}{}/", id.to_hex())
}

/// An authority without a key is none of ours; one whose issuers may not sign CRLs is worth a word.
fn no_signer_warning(group: &Group, number: usize) -> Option<String> {
    group.has_key.then(|| {
        format!(
            "Warning {number} during CRL rebuild: warning from local CRL rebuild: Issuer \
             equivalency set with associated keys lacked an issuer with CRL Signing KeyUsage; \
             refusing to rebuild CRL for this group of issuers: {}",
            group.issuers.join(",")
        )
    })
}

/// No longer in storage as it was read: somebody else has built a list meanwhile.
fn is_conflict(error: &ApiError) -> bool {
    error.kind() == ErrorKind::Conflict
}

/// Keys read in one go.
const PAGE: usize = 500;
/// More authorities than any mount has.
const MAX_AUTHORITIES: usize = 10_000;
