//! `tidy-status`: how far the tidying has come.

use serde_json::{Map, Value, json};

use crate::endpoint::Cx;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::config::auto_tidy::AutoTidy;
use crate::secrets::pki::tidy::Settings;
use crate::secrets::pki::tidy::run::Stop;
use crate::time::Timestamp;

/// The last run, or the one under way.
#[derive(Debug, Default)]
pub(in crate::secrets::pki) struct Progress {
    pub(super) phase: Phase,
    settings: Settings,
    pub(super) message: String,
    error: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// End of the run before.
    last_finished_at: Option<Timestamp>,
    pub(super) certificates_deleted: u64,
    pub(super) revoked_deleted: u64,
    pub(super) missing_issuers: u64,
    pub(in crate::secrets::pki) acme_accounts: u64,
    pub(in crate::secrets::pki) acme_accounts_deleted: u64,
    pub(in crate::secrets::pki) acme_accounts_revoked: u64,
    pub(in crate::secrets::pki) acme_orders_deleted: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Inactive,
    Running,
    Finished,
    Error,
    Cancelling,
    Cancelled,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Inactive => "Inactive",
            Self::Running => "Running",
            Self::Finished => "Finished",
            Self::Error => "Error",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl Progress {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Cancelling | Phase::Running)
    }

    /// False when a run is under way.
    pub(super) fn start(&mut self, settings: Settings, now: Timestamp) -> bool {
        if self.is_running() {
            return false;
        }
        *self = Self {
            phase: Phase::Running,
            settings,
            started_at: Some(now),
            last_finished_at: self.last_finished_at,
            ..Self::default()
        };
        true
    }

    pub(super) fn finish(&mut self, result: Result<(), Stop>, now: Timestamp) {
        (self.phase, self.error) = match result {
            Ok(()) => (Phase::Finished, None),
            Err(Stop::Cancelled) => (Phase::Cancelled, None),
            Err(Stop::Failed(error)) => (Phase::Error, Some(error.to_string())),
        };
        if self.phase == Phase::Finished {
            self.message.clear();
        }
        self.finished_at = Some(now);
        self.last_finished_at = Some(now);
    }

    fn to_json(&self) -> Map<String, Value> {
        let settings = &self.settings;
        let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
        let fields = [
            ("error", json!(self.error)),
            (
                "message",
                json!((!self.message.is_empty()).then_some(&self.message)),
            ),
            ("time_started", json!(time(self.started_at))),
            ("time_finished", json!(time(self.finished_at))),
            ("safety_buffer", json!(settings.safety_buffer_secs)),
            (
                "revoked_safety_buffer",
                json!(settings.revoked_buffer_secs()),
            ),
            (
                "issuer_safety_buffer",
                json!(settings.issuer_safety_buffer_secs),
            ),
            (
                "acme_account_safety_buffer",
                json!(settings.acme_account_safety_buffer_secs),
            ),
            ("pause_duration", json!(settings.pause_text())),
            ("page_size", json!(settings.page_size)),
            ("tidy_cert_store", json!(settings.cert_store)),
            ("tidy_revoked_certs", json!(settings.revoked_certs)),
            (
                "tidy_revoked_cert_issuer_associations",
                json!(settings.revoked_cert_issuer_associations),
            ),
            ("tidy_invalid_certs", json!(settings.invalid_certs)),
            ("tidy_expired_issuers", json!(settings.expired_issuers)),
            (
                "tidy_move_legacy_ca_bundle",
                json!(settings.move_legacy_ca_bundle),
            ),
            ("tidy_acme", json!(settings.acme)),
            ("cert_store_deleted_count", json!(self.certificates_deleted)),
            ("revoked_cert_deleted_count", json!(self.revoked_deleted)),
            ("missing_issuer_cert_count", json!(self.missing_issuers)),
            ("total_acme_account_count", json!(self.acme_accounts)),
            (
                "acme_account_deleted_count",
                json!(self.acme_accounts_deleted),
            ),
            (
                "acme_account_revoked_count",
                json!(self.acme_accounts_revoked),
            ),
            ("acme_orders_deleted_count", json!(self.acme_orders_deleted)),
        ];
        let is_inactive = self.phase == Phase::Inactive;
        let mut data: Map<String, Value> = fields
            .into_iter()
            .map(|(name, value)| {
                let value = if is_inactive { Value::Null } else { value };
                (name.to_owned(), value)
            })
            .collect();
        data.insert("state".into(), self.phase.name().into());
        if let Some(at) = self.last_finished_at {
            data.insert("last_auto_tidy_finished".into(), at.rfc3339().into());
        }
        data
    }
}

pub(super) async fn reply(cx: Cx<'_, Pki>) -> Result<Reply, ApiError> {
    let mut data = cx.engine.tidy.progress.lock().to_json();
    let auto_tidy = AutoTidy::load(cx.engine).await?.0;
    let (certificates, revoked) = if auto_tidy.maintain_stored_certificate_counts {
        let (stored, revoked) = cx.engine.totals(cx.now).await?;
        (Some(stored), Some(revoked))
    } else {
        (None, None)
    };
    data.insert("current_cert_store_count".into(), json!(certificates));
    data.insert("current_revoked_cert_count".into(), json!(revoked));
    data.insert(
        "internal_backend_uuid".into(),
        cx.mount.record.uuid.clone().into(),
    );
    Reply::data(data)
}
