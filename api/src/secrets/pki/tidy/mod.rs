//! Tidying: deleting what has been expired for long, in the background, a page at a time.
//!
//! A revocation goes only when its certificate has ended: until then it stays on CRLs and in OCSP
//! whatever else is tidied.

pub(super) mod run;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, Seconds, params, parse_duration_secs};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::config::auto_tidy::AutoTidy;
use crate::secrets::pki::tidy::run::{Run, Stop};
use crate::secrets::pki::tidy::status::{Phase, Progress};
use crate::time::{Timestamp, go_duration_nanos};

/// What to tidy, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) cert_store: bool,
    pub(super) revoked_certs: bool,
    pub(super) revoked_cert_issuer_associations: bool,
    pub(super) invalid_certs: bool,
    pub(super) expired_issuers: bool,
    pub(super) move_legacy_ca_bundle: bool,
    pub(super) acme: bool,
    /// How long a certificate must have been expired.
    pub(super) safety_buffer_secs: u64,
    /// The same for revoked ones; `None` for as long.
    pub(super) revoked_safety_buffer_secs: Option<u64>,
    pub(super) issuer_safety_buffer_secs: u64,
    pub(super) acme_account_safety_buffer_secs: u64,
    pub(super) pause_nanos: u64,
    pub(super) page_size: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cert_store: false,
            revoked_certs: false,
            revoked_cert_issuer_associations: false,
            invalid_certs: false,
            expired_issuers: false,
            move_legacy_ca_bundle: false,
            acme: false,
            safety_buffer_secs: 72 * 3600,
            revoked_safety_buffer_secs: None,
            issuer_safety_buffer_secs: 365 * 24 * 3600,
            acme_account_safety_buffer_secs: 30 * 24 * 3600,
            pause_nanos: 0,
            page_size: 1000,
        }
    }
}

impl Settings {
    pub(super) fn any_operation(&self) -> bool {
        self.cert_store
            || self.revoked_certs
            || self.revoked_cert_issuer_associations
            || self.invalid_certs
            || self.expired_issuers
            || self.move_legacy_ca_bundle
            || self.acme
    }

    pub(super) fn revoked_buffer_secs(&self) -> u64 {
        self.revoked_safety_buffer_secs
            .unwrap_or(self.safety_buffer_secs)
    }

    /// As Go prints it: `0s`, `1.5s`, `1m0s`.
    pub(super) fn pause_text(&self) -> String {
        go_duration_nanos(self.pause_nanos)
    }
}

pub(super) const OPERATIONS: &str = "(tidy_cert_store / tidy_revoked_certs / tidy_invalid_certs / \
                                     tidy_revoked_cert_issuer_associations / tidy_expired_issuers \
                                     / tidy_move_legacy_ca_bundle / tidy_acme)";

/// The tidying of a mount: one run at a time.
#[derive(Debug)]
pub(super) struct Tidy {
    progress: Mutex<Progress>,
    is_cancelled: AtomicBool,
    cancelled: tokio::sync::Notify,
    opened_at: Timestamp,
}

/// When the last run ended; survives a restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct LastRun {
    finished_at: Timestamp,
}

impl Record for LastRun {
    const FORMAT: u8 = 1;
}

const LAST_RUN: &str = "tidy/last-run";

impl Tidy {
    pub(super) fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            progress: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            cancelled: tokio::sync::Notify::new(),
            opened_at: now,
        })
    }

    /// Starts the run that the clock asks for, if it is configured.
    pub(super) async fn periodic(
        self: &Arc<Self>,
        engine: &Pki,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let config = AutoTidy::load(engine).await?.0;
        if !config.enabled || self.progress.lock().is_running() {
            return Ok(());
        }
        let last = engine.env.view.record::<LastRun>(LAST_RUN).await?;
        let since = last.map_or(self.opened_at, |last| last.value.finished_at);
        if now.secs_since(since) >= config.interval_secs {
            self.start(engine, config.settings, now);
        }
        Ok(())
    }

    /// Ends a run at its next step.
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.cancelled.notify_waiters();
    }

    /// Starts a run in the background; false when there is one.
    fn start(self: &Arc<Self>, engine: &Pki, settings: Settings, now: Timestamp) -> bool {
        if !self.progress.lock().start(settings.clone(), now) {
            return false;
        }
        self.is_cancelled.store(false, Ordering::SeqCst);
        let (tidy, engine) = (self.clone(), engine.clone());
        tokio::spawn(async move {
            let run = Run {
                engine: &engine,
                tidy: &tidy,
                settings: &settings,
                now,
            };
            let result = run.all().await;
            let finished = engine.env.environment.clock.now();
            if let Err(Stop::Failed(error)) = &result {
                tracing::error!(%error, "tidy failed");
            }
            if let Err(error) = note_end(&engine, finished).await {
                tracing::error!(%error, "end of tidy cannot be noted");
            }
            tidy.progress.lock().finish(result, finished);
        });
        true
    }

    /// Between two items: goes on after the configured pause, or stops.
    pub(super) async fn pause(&self, settings: &Settings) -> Result<(), Stop> {
        let cancelled = self.cancelled.notified();
        if self.is_cancelled.load(Ordering::SeqCst) {
            return Err(Stop::Cancelled);
        }
        if settings.pause_nanos > 0 {
            let pause = Duration::from_nanos(settings.pause_nanos);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancelled => return Err(Stop::Cancelled),
            }
        }
        Ok(())
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock());
    }
}

async fn note_end(engine: &Pki, finished_at: Timestamp) -> Result<(), ApiError> {
    let view = &engine.env.view;
    let mut batch = Batch::default();
    view.put_record(&mut batch, LAST_RUN, &LastRun { finished_at })?;
    view.commit(batch).await?;
    Ok(())
}

/// Nanoseconds between two items.
pub(super) fn parse_pause(text: &str) -> Result<u64, PauseError> {
    let nanos = match text.parse::<i64>() {
        Ok(secs) => secs.saturating_mul(1_000_000_000),
        Err(_) => match crate::params::parse_go_duration_nanos(text) {
            Ok(nanos) => nanos,
            Err(error) => parse_duration_secs(text)
                .map(|secs| secs.saturating_mul(1_000_000_000))
                .map_err(|_| PauseError::Invalid(error))?,
        },
    };
    u64::try_from(nanos).map_err(|_| PauseError::Negative)
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PauseError {
    /// In the words of Go.
    Invalid(String),
    Negative,
}

params! {
    pub(super) struct TidyParams {
        /// Delete certificates that have expired.
        tidy_cert_store: bool,
        /// Delete revocations of certificates that have expired.
        tidy_revoked_certs: Option<bool>,
        /// The old name of tidy_revoked_certs.
        tidy_revocation_list: Option<bool>,
        /// Find the issuers of revoked certificates anew.
        tidy_revoked_cert_issuer_associations: bool,
        /// Delete what cannot be read.
        tidy_invalid_certs: bool,
        /// Delete issuers that have expired, except the default one.
        tidy_expired_issuers: bool,
        /// Accepted: there are no CA bundles of old versions here.
        tidy_move_legacy_ca_bundle: bool,
        /// Delete ACME orders that have ended, and accounts and keys that nobody uses.
        tidy_acme: bool,
        /// How long a certificate must have been expired.
        safety_buffer: Seconds = Seconds(72 * 3600),
        /// The same for revoked certificates; as long as for others by default.
        revoked_safety_buffer: Option<Seconds>,
        /// The same for issuers.
        issuer_safety_buffer: Seconds = Seconds(365 * 24 * 3600),
        /// How long an ACME account must have been unused.
        acme_account_safety_buffer: Seconds = Seconds(30 * 24 * 3600),
        /// Time to wait between two items.
        pause_duration: String = "0s".into(),
        /// Items read in one go.
        page_size: Option<i64>,
    }
}

impl TidyParams {
    fn check(self) -> Result<Settings, ApiError> {
        let revoked = self.revoked_safety_buffer.unwrap_or(self.safety_buffer);
        for (name, buffer) in [
            ("safety_buffer", self.safety_buffer),
            ("revokedSafetyBuffer", revoked),
            ("issuer_safety_buffer", self.issuer_safety_buffer),
            (
                "acme_account_safety_buffer",
                self.acme_account_safety_buffer,
            ),
        ] {
            if buffer.0 == 0 {
                let text = format!("{name} must be greater than zero");
                return Err(ApiError::bad_request(text));
            }
        }
        let pause_nanos = parse_pause(&self.pause_duration).map_err(|error| match error {
            PauseError::Invalid(error) => {
                ApiError::bad_request(format!("Error parsing pause_duration: {error}"))
            }
            PauseError::Negative => {
                ApiError::bad_request("received invalid, negative pause_duration")
            }
        })?;
        let page_size = self.page_size.filter(|size| *size != 0).unwrap_or(1000);
        if (1..5).contains(&page_size) {
            return Err(ApiError::bad_request("page_size must be greater than five"));
        }
        Ok(Settings {
            cert_store: self.tidy_cert_store,
            revoked_certs: self.tidy_revoked_certs.unwrap_or_default()
                || self.tidy_revocation_list.unwrap_or_default(),
            revoked_cert_issuer_associations: self.tidy_revoked_cert_issuer_associations,
            invalid_certs: self.tidy_invalid_certs,
            expired_issuers: self.tidy_expired_issuers,
            move_legacy_ca_bundle: self.tidy_move_legacy_ca_bundle,
            acme: self.tidy_acme,
            safety_buffer_secs: self.safety_buffer.0,
            revoked_safety_buffer_secs: self.revoked_safety_buffer.map(|buffer| buffer.0),
            issuer_safety_buffer_secs: self.issuer_safety_buffer.0,
            acme_account_safety_buffer_secs: self.acme_account_safety_buffer.0,
            pause_nanos,
            page_size,
        })
    }
}

pub(super) struct Start;

impl Endpoint for Start {
    type Engine = Pki;
    type Params = TidyParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "tidy")];
    const HELP: &'static str = "Tidy up the backend by removing expired certificates, \
                                revocation information, or both.";

    async fn handle(cx: Cx<'_, Pki>, params: TidyParams) -> Result<Reply, ApiError> {
        let settings = params.check()?;
        let any = settings.any_operation();
        if !cx.engine.tidy.start(cx.engine, settings, cx.now) {
            return Ok(Reply::empty_data().warn("Tidy operation already in progress."));
        }
        let text = if any {
            "Tidy operation successfully started. Any information from the operation will be \
             printed to Vault's server logs."
                .to_owned()
        } else {
            format!(
                "Manual tidy requested but no tidy operations were set. Enable at least one tidy \
                 operation to be run {OPERATIONS}."
            )
        };
        Ok(Reply::empty_data().status(202).warn(text))
    }
}

pub(super) struct Status;

impl Endpoint for Status {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "tidy-status")];
    const HELP: &'static str = "Returns the status of the tidy operation.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        status::reply(cx).await
    }
}

pub(super) struct Cancel;

impl Endpoint for Cancel {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "tidy-cancel")];
    const HELP: &'static str = "Cancels a currently running tidy operation.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        let tidy = &cx.engine.tidy;
        let was_running = {
            let mut progress = tidy.progress.lock();
            let running = progress.is_running();
            if running {
                progress.phase = Phase::Cancelling;
            }
            running
        };
        if !was_running {
            return Ok(Reply::empty_data()
                .warn("Tidy operation cannot be cancelled as none is currently running."));
        }
        tidy.cancel();
        status::reply(cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pauses_of_every_spelling() {
        for (text, nanos) in [
            ("0s", 0),
            ("", 0),
            ("3", 3_000_000_000),
            ("250ms", 250_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(parse_pause(text), Ok(nanos), "{text}");
        }
        assert_eq!(parse_pause("-1s"), Err(PauseError::Negative));
        assert!(matches!(parse_pause("x"), Err(PauseError::Invalid(_))));
    }
}
