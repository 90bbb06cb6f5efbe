//! Building and publishing the lists of one authority.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use signet_pki::crl::{CrlError, CrlPlan, RevokedCertificate};
use signet_pki::serial::SerialNumber;
use signet_pki::time::UnixTime;
use signet_storage::Batch;

use crate::error::ApiError;
use crate::secrets::pki::crl::groups::{CrlSigner, Group, Groups};
use crate::secrets::pki::crl::index::{Entries, Revocation};
use crate::secrets::pki::crl::published::{self, Head, List, Published};
use crate::secrets::pki::crl::{Cell, Crls, Due, PAGE, is_conflict, pending_folder};
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::records::AuthorityId;
use crate::secrets::pki::state::State;
use crate::time::Timestamp;

/// Numbers and times of the lists that are made.
struct Edition {
    this_update_secs: i64,
    next_update_secs: i64,
    signer: CrlSigner,
}

impl Crls {
    /// Builds what is due and publishes it. To be called by the one builder of the authority.
    pub(super) async fn build(
        &self,
        cell: &Cell,
        groups: &(Arc<State>, Groups),
        group: &Group,
        published: Option<Arc<Published>>,
        due: Due,
        now: Timestamp,
    ) -> Result<Option<Arc<Published>>, ApiError> {
        let Some(signer) = group.signer.clone() else {
            return Ok(published);
        };
        let config = &groups.0.crl_config;
        let edition = Edition {
            this_update_secs: now.secs(),
            next_update_secs: now.secs().saturating_add(config.expiry_secs()),
            signer,
        };
        let built = match (due, &published) {
            (Due::Nothing, _) => return Ok(published),
            (Due::Delta, Some(published)) => {
                self.build_delta(cell, groups, group, published, edition)
                    .await
            }
            (Due::Complete | Due::Delta, _) => {
                self.build_complete(cell, groups, group, published.as_deref(), edition)
                    .await
            }
        };
        match built {
            Err(error) if is_conflict(&error) => {
                // Another server was faster; what it has published is as good.
                cell.published.store(None);
                Err(error)
            }
            other => other.map(Some),
        }
    }

    async fn build_complete(
        &self,
        cell: &Cell,
        groups: &(Arc<State>, Groups),
        group: &Group,
        published: Option<&Published>,
        edition: Edition,
    ) -> Result<Arc<Published>, ApiError> {
        let shrink = cell.is_to_shrink.swap(false, Ordering::SeqCst);
        let before = match published {
            Some(published) => Some((published.head.clone(), published.version)),
            None => published::load_head(&self.view, group.id).await?,
        };
        let (old, version) = before.map_or((Head::default(), None), |(head, version)| {
            (head, Some(version))
        });
        let is_disabled = groups.0.crl_config.disable;
        let entries = if is_disabled {
            Entries::default()
        } else {
            self.index.snapshot().await?
        };
        let revoked = revocations(&entries, &groups.1, group, is_disabled);
        let number = old.last_number.saturating_add(1);
        let result = self.sign_both(&edition, number, revoked).await;
        let (complete, delta) = match result {
            Ok(lists) => lists,
            Err(error) => {
                cell.is_to_shrink.fetch_or(shrink, Ordering::SeqCst);
                return Err(error);
            }
        };
        let head = Head {
            last_number: delta.info.number,
            fingerprint: group.fingerprint.clone(),
            complete: Some(complete.info.clone()),
            delta: Some(delta.info.clone()),
        };
        let mut batch = Batch::default();
        published::write_list(&self.view, &mut batch, group.id, &complete).await?;
        published::write_list(&self.view, &mut batch, group.id, &delta).await?;
        for list in [&old.complete, &old.delta].into_iter().flatten() {
            published::delete_list(&self.view, &mut batch, group.id, list);
        }
        published::put_head(&self.view, &mut batch, group.id, &head, version)?;
        let published = self
            .publish(cell, batch, head, complete.into(), delta.into())
            .await?;
        if !is_disabled {
            for id in self.pending_authorities(&groups.1, group).await? {
                self.clear_pending(id, &entries).await?;
            }
        }
        Ok(published)
    }

    async fn build_delta(
        &self,
        cell: &Cell,
        groups: &(Arc<State>, Groups),
        group: &Group,
        old: &Published,
        edition: Edition,
    ) -> Result<Arc<Published>, ApiError> {
        let changes = self.pending_changes.load(Ordering::SeqCst);
        let mut revoked = Vec::new();
        if groups.0.crl_config.enable_delta {
            let entries = self.index.snapshot().await?;
            for id in self.pending_authorities(&groups.1, group).await? {
                self.collect_pending(id, &entries, &mut revoked).await?;
            }
        }
        let number = old.head.last_number.saturating_add(1);
        let base = old.complete.info.number;
        let slow = is_slow(edition.signer.issuer.key().kind()) || revoked.len() > INLINE_ENTRIES;
        let sign = move || edition.sign(number, Some(base), revoked);
        let delta = if slow {
            self.environment.pool.run(sign).await??
        } else {
            sign()?
        };
        let head = Head {
            last_number: number,
            delta: Some(delta.info.clone()),
            ..old.head.clone()
        };
        let mut batch = Batch::default();
        published::write_list(&self.view, &mut batch, group.id, &delta).await?;
        published::delete_list(&self.view, &mut batch, group.id, &old.delta.info);
        published::put_head(&self.view, &mut batch, group.id, &head, Some(old.version))?;
        let complete = old.complete.clone();
        let published = self
            .publish(cell, batch, head, complete, delta.into())
            .await?;
        cell.delta_built_at.store(changes, Ordering::SeqCst);
        Ok(published)
    }

    /// A complete CRL, and the delta CRL that says that nothing came after it.
    async fn sign_both(
        &self,
        edition: &Edition,
        number: u64,
        revoked: Vec<Revocations>,
    ) -> Result<(List, List), ApiError> {
        let edition = Edition {
            signer: edition.signer.clone(),
            ..*edition
        };
        let count: usize = revoked.iter().map(|part| part.count).sum();
        let slow = is_slow(edition.signer.issuer.key().kind()) || count > INLINE_ENTRIES;
        let sign = move || -> Result<(List, List), ApiError> {
            let iter = revoked.into_iter().flat_map(|part| part.iter);
            let complete = edition.sign(number, None, Counted { iter, count })?;
            let delta = edition.sign(number.saturating_add(1), Some(number), Vec::new())?;
            Ok((complete, delta))
        };
        if slow {
            self.environment.pool.run(sign).await?
        } else {
            sign()
        }
    }

    /// Makes a head durable, and only then visible.
    async fn publish(
        &self,
        cell: &Cell,
        batch: Batch,
        head: Head,
        complete: Arc<List>,
        delta: Arc<List>,
    ) -> Result<Arc<Published>, ApiError> {
        let before = cell.head_changes.load(Ordering::SeqCst);
        let version = self.view.commit(batch).await?;
        let published = Arc::new(Published {
            version,
            head,
            complete,
            delta,
        });
        // The change of the head that the commit above was.
        cell.publish(published.clone(), before.wrapping_add(1));
        Ok(published)
    }

    /// Deletes the pending entries that a complete CRL made from `entries` holds.
    async fn clear_pending(&self, id: AuthorityId, entries: &Entries) -> Result<(), ApiError> {
        let folder = pending_folder(id);
        let mut after: Option<String> = None;
        loop {
            let page = self.view.keys(&folder, after.as_deref(), PAGE).await?;
            let mut batch = Batch::default();
            for serial in &page {
                let is_listed = match SerialNumber::parse(serial) {
                    Ok(number) => entries
                        .get(&number)
                        .is_some_and(|found| found.authority == id),
                    Err(_) => true,
                };
                // One that is in neither was revoked after the list was made, or is gone.
                if is_listed || self.is_gone(serial).await? {
                    self.view.delete(&mut batch, &format!("{folder}{serial}"));
                }
            }
            if !batch.is_empty() {
                self.view.commit(batch).await?;
            }
            let full = page.len() == PAGE;
            after = page.into_iter().next_back();
            if !full {
                return Ok(());
            }
        }
    }

    async fn is_gone(&self, serial: &str) -> Result<bool, ApiError> {
        let path = format!("{}{serial}", crate::secrets::pki::records::REVOKED);
        Ok(self.view.get(&path).await?.is_none())
    }

    async fn collect_pending(
        &self,
        id: AuthorityId,
        entries: &Entries,
        revoked: &mut Vec<RevokedCertificate>,
    ) -> Result<(), ApiError> {
        let folder = pending_folder(id);
        let mut after: Option<String> = None;
        loop {
            let page = self.view.keys(&folder, after.as_deref(), PAGE).await?;
            let found = page
                .iter()
                .filter_map(|serial| SerialNumber::parse(serial).ok())
                .filter_map(|serial| entries.get(&serial));
            revoked.extend(found.map(listed));
            let full = page.len() == PAGE;
            after = page.into_iter().next_back();
            if !full {
                return Ok(());
            }
        }
    }
}

impl Edition {
    fn sign(
        &self,
        number: u64,
        delta_base: Option<u64>,
        revoked: impl IntoIterator<Item = RevokedCertificate>,
    ) -> Result<List, ApiError> {
        let plan = CrlPlan {
            number,
            delta_base,
            this_update: UnixTime(self.this_update_secs),
            next_update: Some(UnixTime(self.next_update_secs)),
            algorithm: self.signer.algorithm,
            extensions: Vec::new(),
        };
        let der = plan
            .sign(&self.signer.issuer, revoked)
            .map_err(|error: CrlError| ApiError::internal(format!("error signing CRL: {error}")))?;
        let info = published::info(number, self.this_update_secs, self.next_update_secs, &der)?;
        Ok(List::new(info, Bytes::from(der)))
    }
}

/// A part of the entries of a CRL.
struct Revocations {
    count: usize,
    iter: Box<dyn Iterator<Item = RevokedCertificate> + Send>,
}

/// What the complete CRL of `group` lists.
fn revocations(
    entries: &Entries,
    groups: &Groups,
    group: &Group,
    is_disabled: bool,
) -> Vec<Revocations> {
    if is_disabled {
        return Vec::new();
    }
    let present: HashSet<AuthorityId> = groups.all.iter().map(|group| group.id).collect();
    let is_wanted =
        |id: AuthorityId| id == group.id || (group.is_default && !present.contains(&id));
    // Issuers of the mount that are revoked come from their own records: never on their own CRL,
    // and once on that of their parent.
    let issuers: Vec<RevokedCertificate> = group
        .revoked_issuers
        .iter()
        .map(|issuer| certificate(issuer.serial, issuer.revoked_at_secs))
        .collect();
    let separately: HashSet<SerialNumber> = group
        .own_serials
        .iter()
        .copied()
        .chain(issuers.iter().map(|issuer| issuer.serial))
        .collect();
    let own = entries
        .of(&is_wanted)
        .filter(move |revocation| !separately.contains(&revocation.serial));
    let count = own.clone().count();
    vec![
        Revocations {
            count,
            iter: Box::new(own.map(listed)),
        },
        Revocations {
            count: issuers.len(),
            iter: Box::new(issuers.into_iter()),
        },
    ]
}

fn listed(revocation: Revocation) -> RevokedCertificate {
    certificate(revocation.serial, revocation.revoked_at_secs)
}

fn certificate(serial: SerialNumber, revoked_at_secs: i64) -> RevokedCertificate {
    RevokedCertificate {
        serial,
        revoked_at: UnixTime(revoked_at_secs),
        extensions: Vec::new(),
    }
}

/// An iterator whose length is known, so that the list is written into memory of the right size.
struct Counted<I> {
    iter: I,
    count: usize,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.iter.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, None)
    }
}

/// A list of so many entries takes less time than handing it to another thread is worth.
const INLINE_ENTRIES: usize = 500;
