//! One run of tidying.

use signet_pki::cert::Certificate;
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Entry, Expect, StorageError};

use crate::error::{ApiError, ErrorKind};
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::records::{
    CERTIFICATES, CertificateRecord, REVOKED, RevokedRecord, certificate_path, revoked_path,
};
use crate::secrets::pki::state::State;
use crate::secrets::pki::tidy::{Settings, Tidy};
use crate::time::Timestamp;

/// A run under way.
pub(in crate::secrets::pki) struct Run<'r> {
    pub(in crate::secrets::pki) engine: &'r Pki,
    pub(in crate::secrets::pki) tidy: &'r Tidy,
    pub(in crate::secrets::pki) settings: &'r Settings,
    /// When it began: what ends meanwhile is left for the next one.
    pub(in crate::secrets::pki) now: Timestamp,
}

/// Why a run ends early.
#[derive(Debug)]
pub(in crate::secrets::pki) enum Stop {
    Cancelled,
    Failed(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.into())
    }
}

impl Run<'_> {
    pub(super) async fn all(&self) -> Result<(), Stop> {
        let settings = self.settings;
        if settings.cert_store || settings.invalid_certs {
            self.certificates().await?;
        }
        if settings.revoked_certs
            || settings.revoked_cert_issuer_associations
            || settings.invalid_certs
        {
            self.revocations().await?;
        }
        if settings.expired_issuers {
            self.issuers().await?;
        }
        if settings.acme {
            acme::tidy::tidy(self).await?;
        }
        Ok(())
    }

    async fn certificates(&self) -> Result<(), Stop> {
        let mut pages = Pages::new(CERTIFICATES, self.settings);
        while let Some(page) = pages.next(self.engine).await? {
            let mut changes = Changes::default();
            for (at, (serial, entry)) in page.iter().enumerate() {
                self.tell(|| {
                    format!(
                        "Tidying certificate store: checking entry {at} of {} on current page; \
                         total certs checked: {}",
                        pages.size,
                        pages.checked + at
                    )
                });
                self.tidy.pause(self.settings).await?;
                self.certificate(serial, entry, &mut changes).await?;
            }
            pages.checked += page.len();
            self.commit(changes).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn certificate(
        &self,
        path: &str,
        entry: &Entry,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let view = &self.engine.env.view;
        let end = not_after(entry).zip(SerialNumber::parse(path).ok());
        let Some((not_after, serial)) = end else {
            if self.settings.invalid_certs || entry.value.is_empty() {
                view.delete(&mut changes.batch, &format!("{CERTIFICATES}{path}"));
                changes.certificates += 1;
            } else {
                tracing::warn!(serial = path, "stored certificate cannot be read");
            }
            return Ok(());
        };
        if !self.settings.cert_store || not_after >= self.now {
            return Ok(());
        }
        let revoked = self.engine.revoked(serial).await?;
        let buffer_secs = if revoked.is_some() {
            self.settings.revoked_buffer_secs()
        } else {
            self.settings.safety_buffer_secs
        };
        if !self.is_past(not_after, buffer_secs) {
            return Ok(());
        }
        let path = certificate_path(serial);
        view.expect(&mut changes.batch, &path, Expect::Version(entry.version));
        self.engine
            .delete_certificate(&mut changes.batch, serial, &entry.value);
        changes.certificates += 1;
        if let Some(revoked) = revoked.filter(|_| self.settings.revoked_certs) {
            self.delete_revocation(serial, &revoked, changes);
        }
        Ok(())
    }

    async fn revocations(&self) -> Result<(), Stop> {
        let state = self.engine.state.state().await?;
        let mut pages = Pages::new(REVOKED, self.settings);
        while let Some(page) = pages.next(self.engine).await? {
            let mut changes = Changes::default();
            for (at, (serial, entry)) in page.iter().enumerate() {
                self.tell(|| {
                    format!(
                        "Tidying revoked certificates: checking certificate {at} of {} on \
                         current page; total certs checked: {}",
                        pages.size,
                        pages.checked + at
                    )
                });
                self.tidy.pause(self.settings).await?;
                self.revocation(&state, serial, entry, &mut changes).await?;
            }
            pages.checked += page.len();
            self.commit(changes).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn revocation(
        &self,
        state: &State,
        path: &str,
        entry: &Entry,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let view = &self.engine.env.view;
        let record = RevokedRecord::decode(&entry.value).ok();
        let known = record.zip(SerialNumber::parse(path).ok());
        let Some((record, serial)) = known else {
            if self.settings.invalid_certs || entry.value.is_empty() {
                view.delete(&mut changes.batch, &format!("{REVOKED}{path}"));
                changes.revoked += 1;
            } else {
                tracing::warn!(serial = path, "stored revocation cannot be read");
            }
            return Ok(());
        };
        if self.settings.revoked_certs
            && self.is_past(record.not_after, self.settings.revoked_buffer_secs())
        {
            self.delete_revocation(serial, &record, changes);
            if let Some(stored) = view.get(&certificate_path(serial)).await? {
                self.engine
                    .delete_certificate(&mut changes.batch, serial, &stored.value);
                changes.certificates += 1;
            }
            return Ok(());
        }
        if self.settings.revoked_cert_issuer_associations {
            self.associate(state, serial, record, entry, changes)
                .await?;
        }
        Ok(())
    }

    /// Finds the issuer of a revoked certificate anew when the one that it names is not here.
    async fn associate(
        &self,
        state: &State,
        serial: SerialNumber,
        record: RevokedRecord,
        entry: &Entry,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let is_here = state
            .issuers
            .iter()
            .any(|issuer| issuer.record.id == record.issuer_id);
        if is_here {
            return Ok(());
        }
        let stored = self.engine.certificate(serial).await?;
        let certificate = stored.and_then(|stored| Certificate::parse_der(stored.der).ok());
        let issuer = state.issuers.iter().find(|issuer| {
            issuer.authority == record.authority
                || certificate
                    .as_ref()
                    .is_some_and(|certificate| certificate.is_signed_by(&issuer.certificate))
        });
        let new = RevokedRecord {
            issuer_id: issuer.map_or_else(String::new, |issuer| issuer.record.id.clone()),
            // Where nobody is found it stays what it was: the issuer may come again.
            authority: issuer.map_or(record.authority, |issuer| issuer.authority),
            ..record.clone()
        };
        if issuer.is_none() {
            changes.missing_issuers += 1;
        }
        if new == record {
            return Ok(());
        }
        let path = revoked_path(serial);
        let view = &self.engine.env.view;
        view.expect(&mut changes.batch, &path, Expect::Version(entry.version));
        view.put(&mut changes.batch, &path, new.encode());
        if new.authority != record.authority {
            self.engine
                .crls
                .put_pending(&mut changes.batch, new.authority, serial);
        }
        Ok(())
    }

    fn delete_revocation(
        &self,
        serial: SerialNumber,
        record: &RevokedRecord,
        changes: &mut Changes,
    ) {
        let view = &self.engine.env.view;
        view.delete(&mut changes.batch, &revoked_path(serial));
        self.engine
            .crls
            .delete_pending(&mut changes.batch, record.authority, serial);
        changes.revoked += 1;
    }

    async fn issuers(&self) -> Result<(), Stop> {
        self.tell(|| "Tidying expired issuers".to_owned());
        self.tidy.pause(self.settings).await?;
        for _ in 0..MAX_ATTEMPTS {
            let state = self.engine.state.state().await?;
            let expired: Vec<String> = state
                .issuers
                .iter()
                .filter(|issuer| {
                    let end = Timestamp::from_secs(issuer.certificate.validity().not_after.0);
                    issuer.record.id != state.issuers_config.default
                        && self.is_past(end, self.settings.issuer_safety_buffer_secs)
                })
                .map(|issuer| issuer.record.id.clone())
                .collect();
            if expired.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            let mut draft = Draft::new(self.engine, &state, self.now);
            draft.remove_issuers(&expired, &mut batch);
            draft.write(&mut batch)?;
            match self.engine.env.view.commit(batch).await {
                Ok(_) => {
                    tracing::info!(issuers = ?expired, "expired issuers deleted");
                    return Ok(());
                }
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stop::Failed(ApiError::plain(
            ErrorKind::Conflict,
            "issuers were changed by other requests again and again",
        )))
    }

    /// More than `buffer_secs` ago?
    pub(in crate::secrets::pki) fn is_past(&self, end: Timestamp, buffer_secs: u64) -> bool {
        self.now > end.plus_secs(buffer_secs)
    }

    pub(in crate::secrets::pki) fn tell(&self, message: impl FnOnce() -> String) {
        self.tidy.update(|progress| progress.message = message());
    }

    /// Writes the changes of a page. What somebody else has changed meanwhile is left alone, and
    /// with it the page: the next run looks again.
    async fn commit(&self, mut changes: Changes) -> Result<(), Stop> {
        if changes.batch.is_empty() {
            self.tidy
                .update(|progress| progress.missing_issuers += changes.missing_issuers);
            return Ok(());
        }
        if changes.certificates > 0 {
            self.engine.forget_counts(&mut changes.batch)?;
        }
        match self.engine.env.view.commit(changes.batch).await {
            Ok(_) => {
                if changes.revoked > 0 {
                    self.engine.crls.shrink();
                }
                self.tidy.update(|progress| {
                    progress.certificates_deleted += changes.certificates;
                    progress.revoked_deleted += changes.revoked;
                    progress.missing_issuers += changes.missing_issuers;
                });
                Ok(())
            }
            Err(StorageError::Conflict { path }) => {
                tracing::warn!(path, "changed while it was tidied");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What becomes of a page.
#[derive(Default)]
struct Changes {
    batch: Batch,
    certificates: u64,
    revoked: u64,
    missing_issuers: u64,
}

/// The pages of a prefix.
struct Pages {
    prefix: &'static str,
    after: Option<String>,
    size: usize,
    checked: usize,
    is_done: bool,
}

impl Pages {
    fn new(prefix: &'static str, settings: &Settings) -> Self {
        // Without pages would be with everything in memory.
        let size = usize::try_from(settings.page_size).unwrap_or(MAX_PAGE);
        Self {
            prefix,
            after: None,
            size: size.clamp(1, MAX_PAGE),
            checked: 0,
            is_done: false,
        }
    }

    async fn next(&mut self, engine: &Pki) -> Result<Option<Vec<(String, Entry)>>, StorageError> {
        if self.is_done {
            return Ok(None);
        }
        let view = &engine.env.view;
        let page = view
            .scan(self.prefix, self.after.as_deref(), self.size)
            .await?;
        self.is_done = page.len() < self.size;
        self.after = page.last().map(|(key, _)| key.clone());
        Ok((!page.is_empty()).then_some(page))
    }
}

fn not_after(entry: &Entry) -> Option<Timestamp> {
    let record = CertificateRecord::decode(&entry.value).ok()?;
    let certificate = Certificate::parse_der(record.der).ok()?;
    Some(Timestamp::from_secs(certificate.validity().not_after.0))
}

/// Items in memory at once.
const MAX_PAGE: usize = 1000;
const MAX_ATTEMPTS: usize = 16;
