//! `config/crl`: how revocation is published.

use serde::{Deserialize, Serialize};
use serde_json::json;
use signet_storage::{Batch, Expect, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params, parse_duration_secs};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::time::go_duration;

pub(in crate::secrets::pki) const CRL_CONFIG: &str = "config/crl";

/// The settings as they were written: durations keep the text that the operator gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::secrets::pki) struct CrlConfig {
    pub(in crate::secrets::pki) expiry: String,
    pub(in crate::secrets::pki) disable: bool,
    pub(in crate::secrets::pki) ocsp_disable: bool,
    pub(in crate::secrets::pki) ocsp_expiry: String,
    pub(in crate::secrets::pki) auto_rebuild: bool,
    pub(in crate::secrets::pki) auto_rebuild_grace_period: String,
    pub(in crate::secrets::pki) enable_delta: bool,
    pub(in crate::secrets::pki) delta_rebuild_interval: String,
    pub(in crate::secrets::pki) allow_expired_cert_revocation: bool,
    /// Counts the changes after which CRLs that were built before do not do any more.
    pub(in crate::secrets::pki) generation: u64,
}

impl Record for CrlConfig {
    const FORMAT: u8 = 1;
}

impl Default for CrlConfig {
    fn default() -> Self {
        Self {
            expiry: "72h".into(),
            disable: false,
            ocsp_disable: false,
            ocsp_expiry: "12h".into(),
            auto_rebuild: false,
            auto_rebuild_grace_period: "12h".into(),
            enable_delta: false,
            delta_rebuild_interval: "15m".into(),
            allow_expired_cert_revocation: false,
            generation: 0,
        }
    }
}

impl CrlConfig {
    pub(in crate::secrets::pki) fn expiry_secs(&self) -> i64 {
        secs(&self.expiry)
    }

    /// How long before its end a CRL is built anew; 0 unless that happens by itself.
    pub(in crate::secrets::pki) fn grace_secs(&self) -> i64 {
        if self.auto_rebuild {
            secs(&self.auto_rebuild_grace_period)
        } else {
            0
        }
    }

    pub(in crate::secrets::pki) fn delta_interval_secs(&self) -> i64 {
        secs(&self.delta_rebuild_interval)
    }

    /// 0 for responses that do not say until when they hold.
    pub(in crate::secrets::pki) fn ocsp_expiry_secs(&self) -> i64 {
        secs(&self.ocsp_expiry)
    }

    /// The rules that join several settings.
    fn check(&self) -> Result<(), ApiError> {
        let expiry = decoded("expiry", &self.expiry)?;
        if expiry <= 0 {
            let text = format!("expiry must be greater than 0 got: {}", self.expiry);
            return Err(ApiError::bad_request(text));
        }
        let ocsp_expiry = decoded("ocsp_expiry", &self.ocsp_expiry)?;
        if ocsp_expiry < 0 {
            return Err(ApiError::bad_request(format!(
                "ocsp_expiry must be greater than or equal to 0 got: -{}",
                go_duration(ocsp_expiry.unsigned_abs())
            )));
        }
        let grace = decoded("auto_rebuild_grace_period", &self.auto_rebuild_grace_period)?;
        let interval = decoded("delta_rebuild_interval", &self.delta_rebuild_interval)?;
        for (name, value, text) in [
            (
                "auto_rebuild_grace_period",
                grace,
                &self.auto_rebuild_grace_period,
            ),
            (
                "delta_rebuild_interval",
                interval,
                &self.delta_rebuild_interval,
            ),
        ] {
            if value < 0 {
                return Err(ApiError::bad_request(format!(
                    "{name} must be greater than or equal to 0 got: {text}"
                )));
            }
        }
        if self.auto_rebuild && grace >= expiry {
            return Err(ApiError::bad_request(format!(
                "CRL auto-rebuilding grace period ({}) must be strictly shorter than CRL expiry \
                 ({}) value when auto-rebuilding of CRLs is enabled",
                self.auto_rebuild_grace_period, self.expiry
            )));
        }
        if self.enable_delta && interval >= expiry {
            return Err(ApiError::bad_request(format!(
                "CRL delta rebuild window ({}) must be strictly shorter than CRL expiry ({}) \
                 value when delta CRLs are enabled",
                self.delta_rebuild_interval, self.expiry
            )));
        }
        if self.enable_delta && !self.auto_rebuild {
            return Err(ApiError::bad_request(
                "Delta CRLs cannot be enabled when auto rebuilding is disabled as the complete \
                 CRL is always regenerated!",
            ));
        }
        Ok(())
    }

    fn reply(&self) -> Result<Reply, ApiError> {
        Reply::data(json!({
            "expiry": self.expiry,
            "disable": self.disable,
            "ocsp_disable": self.ocsp_disable,
            "ocsp_expiry": self.ocsp_expiry,
            "auto_rebuild": self.auto_rebuild,
            "auto_rebuild_grace_period": self.auto_rebuild_grace_period,
            "enable_delta": self.enable_delta,
            "delta_rebuild_interval": self.delta_rebuild_interval,
            "allow_expired_cert_revocation": self.allow_expired_cert_revocation,
        }))
    }
}

/// What was checked when it was written.
fn secs(text: &str) -> i64 {
    parse_duration_secs(text).unwrap_or(0)
}

fn decoded(name: &str, text: &str) -> Result<i64, ApiError> {
    parse_duration_secs(text).map_err(|error| {
        ApiError::bad_request(format!("given {name} could not be decoded: {error}"))
    })
}

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, CRL_CONFIG)];
    const HELP: &'static str = "Read how CRLs are built and OCSP is answered.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        cx.engine.state.state().await?.crl_config.reply()
    }
}

params! {
    pub(in crate::secrets::pki) struct CrlParams {
        /// How long a CRL is valid.
        expiry: Option<String>,
        /// Publish empty CRLs.
        disable: Option<bool>,
        /// Answer no OCSP request.
        ocsp_disable: Option<bool>,
        /// How long an OCSP response is valid; 0 for no such time.
        ocsp_expiry: Option<String>,
        /// Build CRLs before they expire instead of after each revocation.
        auto_rebuild: Option<bool>,
        /// How long before its end a CRL is built anew.
        auto_rebuild_grace_period: Option<String>,
        /// Build delta CRLs between the complete ones.
        enable_delta: Option<bool>,
        /// Shortest time between delta CRLs.
        delta_rebuild_interval: Option<String>,
        /// Allow revoking certificates that have expired.
        allow_expired_cert_revocation: Option<bool>,
    }
}

pub(in crate::secrets::pki) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = CrlParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, CRL_CONFIG)];
    const HELP: &'static str = "Change how CRLs are built and OCSP is answered.";

    async fn handle(cx: Cx<'_, Pki>, params: CrlParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let stored = view.record::<CrlConfig>(CRL_CONFIG).await?;
        let expect = stored
            .as_ref()
            .map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let old = stored.map(|stored| stored.value).unwrap_or_default();
        let mut new = old.clone();
        set(&mut new.expiry, params.expiry);
        set(&mut new.disable, params.disable);
        set(&mut new.ocsp_disable, params.ocsp_disable);
        set(&mut new.ocsp_expiry, params.ocsp_expiry);
        set(&mut new.auto_rebuild, params.auto_rebuild);
        set(
            &mut new.auto_rebuild_grace_period,
            params.auto_rebuild_grace_period,
        );
        set(&mut new.enable_delta, params.enable_delta);
        set(
            &mut new.delta_rebuild_interval,
            params.delta_rebuild_interval,
        );
        set(
            &mut new.allow_expired_cert_revocation,
            params.allow_expired_cert_revocation,
        );
        new.check()?;
        if new.disable != old.disable
            || (old.auto_rebuild && !new.auto_rebuild)
            || new.enable_delta != old.enable_delta
        {
            new.generation = old.generation.saturating_add(1);
        }
        let mut batch = Batch::default();
        view.expect(&mut batch, CRL_CONFIG, expect);
        view.put_record(&mut batch, CRL_CONFIG, &new)?;
        cx.commit(batch).await?;
        new.reply()
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
