//! `config/auto-tidy`: tidying by the clock.

use serde::{Deserialize, Serialize};
use serde_json::json;
use signet_storage::{Batch, Expect, Record, Version};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, Seconds, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::tidy::{OPERATIONS, PauseError, Settings, parse_pause};

const AUTO_TIDY: &str = "config/auto-tidy";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::secrets::pki) struct AutoTidy {
    pub(in crate::secrets::pki) enabled: bool,
    pub(in crate::secrets::pki) interval_secs: u64,
    pub(in crate::secrets::pki) settings: Settings,
    pub(in crate::secrets::pki) maintain_stored_certificate_counts: bool,
}

impl Record for AutoTidy {
    const FORMAT: u8 = 1;
}

impl Default for AutoTidy {
    fn default() -> Self {
        Self {
            enabled: false,
            interval_secs: 12 * 3600,
            settings: Settings::default(),
            maintain_stored_certificate_counts: false,
        }
    }
}

impl AutoTidy {
    pub(in crate::secrets::pki) async fn load(
        engine: &Pki,
    ) -> Result<(Self, Option<Version>), ApiError> {
        let stored = engine.env.view.record::<Self>(AUTO_TIDY).await?;
        Ok(stored.map_or_else(
            || (Self::default(), None),
            |stored| (stored.value, Some(stored.version)),
        ))
    }

    fn reply(&self) -> Result<Reply, ApiError> {
        let settings = &self.settings;
        Reply::data(json!({
            "enabled": self.enabled,
            "interval_duration": self.interval_secs,
            "tidy_cert_store": settings.cert_store,
            "tidy_revoked_certs": settings.revoked_certs,
            "tidy_revoked_cert_issuer_associations": settings.revoked_cert_issuer_associations,
            "tidy_invalid_certs": settings.invalid_certs,
            "tidy_expired_issuers": settings.expired_issuers,
            "tidy_move_legacy_ca_bundle": settings.move_legacy_ca_bundle,
            "tidy_acme": settings.acme,
            "safety_buffer": settings.safety_buffer_secs,
            "revoked_safety_buffer": settings.revoked_buffer_secs(),
            "issuer_safety_buffer": settings.issuer_safety_buffer_secs,
            "acme_account_safety_buffer": settings.acme_account_safety_buffer_secs,
            "pause_duration": settings.pause_text(),
            "page_size": settings.page_size,
            "maintain_stored_certificate_counts": self.maintain_stored_certificate_counts,
            "publish_stored_certificate_count_metrics": false,
        }))
    }
}

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, AUTO_TIDY)];
    const HELP: &'static str = "Read how the mount is tidied automatically.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        AutoTidy::load(cx.engine).await?.0.reply()
    }
}

params! {
    pub(in crate::secrets::pki) struct AutoTidyParams {
        /// Tidy automatically.
        enabled: Option<bool>,
        /// Time from the end of a run to the next one.
        interval_duration: Option<Seconds>,
        /// Delete certificates that have expired.
        tidy_cert_store: Option<bool>,
        /// Delete revocations of certificates that have expired.
        tidy_revoked_certs: Option<bool>,
        /// Find the issuers of revoked certificates anew.
        tidy_revoked_cert_issuer_associations: Option<bool>,
        /// Delete what cannot be read.
        tidy_invalid_certs: Option<bool>,
        /// Delete issuers that have expired, except the default one.
        tidy_expired_issuers: Option<bool>,
        /// Accepted: there are no CA bundles of old versions here.
        tidy_move_legacy_ca_bundle: Option<bool>,
        /// Delete ACME orders that have ended, and accounts and keys that nobody uses.
        tidy_acme: Option<bool>,
        /// How long a certificate must have been expired.
        safety_buffer: Option<Seconds>,
        /// The same for revoked certificates; as long as for others by default.
        revoked_safety_buffer: Option<Seconds>,
        /// The same for issuers.
        issuer_safety_buffer: Option<Seconds>,
        /// How long an ACME account must have been unused.
        acme_account_safety_buffer: Option<Seconds>,
        /// Time to wait between two items.
        pause_duration: Option<String>,
        /// Items read in one go.
        page_size: Option<i64>,
        /// Count the certificates for tidy-status.
        maintain_stored_certificate_counts: Option<bool>,
        /// Not supported.
        publish_stored_certificate_count_metrics: Option<bool>,
    }
}

impl AutoTidyParams {
    fn apply(self, config: &mut AutoTidy) -> Result<(), ApiError> {
        let settings = &mut config.settings;
        set(&mut config.enabled, self.enabled);
        set(&mut config.interval_secs, secs(self.interval_duration));
        set(&mut settings.cert_store, self.tidy_cert_store);
        set(&mut settings.revoked_certs, self.tidy_revoked_certs);
        set(
            &mut settings.revoked_cert_issuer_associations,
            self.tidy_revoked_cert_issuer_associations,
        );
        set(&mut settings.invalid_certs, self.tidy_invalid_certs);
        set(&mut settings.expired_issuers, self.tidy_expired_issuers);
        set(
            &mut settings.move_legacy_ca_bundle,
            self.tidy_move_legacy_ca_bundle,
        );
        set(&mut settings.acme, self.tidy_acme);
        set(&mut settings.safety_buffer_secs, secs(self.safety_buffer));
        set(
            &mut settings.revoked_safety_buffer_secs,
            secs(self.revoked_safety_buffer).map(Some),
        );
        set(
            &mut settings.issuer_safety_buffer_secs,
            secs(self.issuer_safety_buffer),
        );
        set(
            &mut settings.acme_account_safety_buffer_secs,
            secs(self.acme_account_safety_buffer),
        );
        if let Some(pause) = self.pause_duration {
            settings.pause_nanos = parse_pause(&pause).map_err(|error| match error {
                PauseError::Invalid(error) => {
                    ApiError::bad_request(format!("unable to parse given pause_duration: {error}"))
                }
                PauseError::Negative => {
                    ApiError::bad_request("received invalid, negative pause_duration")
                }
            })?;
        }
        set(&mut settings.page_size, self.page_size);
        set(
            &mut config.maintain_stored_certificate_counts,
            self.maintain_stored_certificate_counts,
        );
        if self
            .publish_stored_certificate_count_metrics
            .unwrap_or_default()
        {
            return Err(ApiError::bad_request(
                if config.maintain_stored_certificate_counts {
                    "publish_stored_certificate_count_metrics is not supported: counts are shown \
                     by tidy-status only"
                } else {
                    "Can not publish a running storage metrics count to metrics without first \
                     maintaining that count.  Enable `maintain_stored_certificate_counts` to \
                     enable `publish_stored_certificate_count_metrics`."
                },
            ));
        }
        Ok(())
    }
}

pub(in crate::secrets::pki) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = AutoTidyParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, AUTO_TIDY)];
    const HELP: &'static str = "Change how the mount is tidied automatically.";

    async fn handle(cx: Cx<'_, Pki>, params: AutoTidyParams) -> Result<Reply, ApiError> {
        let (mut config, version) = AutoTidy::load(cx.engine).await?;
        params.apply(&mut config)?;
        check(&config)?;
        let view = &cx.engine.env.view;
        let mut batch = Batch::default();
        let expect = version.map_or(Expect::Absent, Expect::Version);
        view.expect(&mut batch, AUTO_TIDY, expect);
        view.put_record(&mut batch, AUTO_TIDY, &config)?;
        cx.commit(batch).await?;
        config.reply()
    }
}

fn check(config: &AutoTidy) -> Result<(), ApiError> {
    let settings = &config.settings;
    for (name, secs) in [
        ("given safety_buffer", settings.safety_buffer_secs),
        ("revoked_safety_buffer", settings.revoked_buffer_secs()),
        ("given safety_buffer", settings.issuer_safety_buffer_secs),
        (
            "given acme_account_safety_buffer",
            settings.acme_account_safety_buffer_secs,
        ),
    ] {
        if secs == 0 {
            return Err(ApiError::bad_request(format!(
                "{name} must be at least one second; got: 0"
            )));
        }
    }
    if settings.page_size < 5 {
        return Err(ApiError::bad_request("page_size must be at least 5"));
    }
    if config.enabled && !settings.any_operation() {
        return Err(ApiError::bad_request(format!(
            "Auto-tidy enabled but no tidy operations were requested. Enable at least one tidy \
             operation to be run {OPERATIONS}."
        )));
    }
    Ok(())
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn secs(given: Option<Seconds>) -> Option<u64> {
    given.map(|secs| secs.0)
}
