//! `sys/quotas`: rate limits.

use serde_json::{Value, json};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::node::Core;
use crate::params::{CommaList, NoParams, Seconds, params};
use crate::quota::{MAX_LIMITS, RateLimit};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct ReadQuotaConfig;

impl Endpoint for ReadQuotaConfig {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "quotas/config")];
    const HELP: &'static str = "Read the configuration of all quotas.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let config = cx.core()?.quotas.config().await?;
        Reply::data(json!({
            "enable_rate_limit_audit_logging": config.audit_refusals,
            "enable_rate_limit_response_headers": config.response_headers,
            "rate_limit_exempt_paths": config.exempt_paths,
        }))
    }
}

pub(super) struct WriteQuotaConfig;

params! {
    pub(super) struct QuotaConfigParams {
        /// If set, refusals by rate limits stand in the audit log.
        enable_rate_limit_audit_logging: Option<bool>,
        /// If set, answers say how much of the rate limit is left.
        enable_rate_limit_response_headers: Option<bool>,
        /// Paths that no rate limit applies to; a final "*" stands for any ending.
        rate_limit_exempt_paths: Option<CommaList>,
    }
}

impl Endpoint for WriteQuotaConfig {
    type Engine = Sys;
    type Params = QuotaConfigParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "quotas/config")];
    const HELP: &'static str = "Create or update the configuration of all quotas.";

    async fn handle(cx: Cx<'_, Sys>, params: QuotaConfigParams) -> Result<Reply, ApiError> {
        let quotas = &cx.core()?.quotas;
        let mut config = quotas.config().await?;
        if let Some(audit) = params.enable_rate_limit_audit_logging {
            config.audit_refusals = audit;
        }
        if let Some(headers) = params.enable_rate_limit_response_headers {
            config.response_headers = headers;
        }
        if let Some(CommaList(paths)) = params.rate_limit_exempt_paths {
            config.exempt_paths = paths.into_iter().filter(|path| !path.is_empty()).collect();
        }
        let mut batch = Batch::default();
        quotas.stage_config(&mut batch, &config)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct ListRateLimits;

impl Endpoint for ListRateLimits {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "quotas/rate-limit")];
    const HELP: &'static str = "Lists the names of all the rate limit quotas.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let limits = cx.core()?.quotas.limits().await?;
        Reply::keys(limits.into_iter().map(|limit| limit.name).collect())
    }
}

pub(super) struct ReadRateLimit;

params! {
    pub(super) struct NameParams {
        /// Name of the quota rule.
        name: String,
    }
}

impl Endpoint for ReadRateLimit {
    type Engine = Sys;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "quotas/rate-limit/{name}")];
    const HELP: &'static str = "Get a rate limit quota.";

    async fn handle(cx: Cx<'_, Sys>, params: NameParams) -> Result<Reply, ApiError> {
        match cx.core()?.quotas.limit(&params.name).await? {
            None => Ok(Reply::nothing()),
            Some(limit) => Reply::data(shown(&limit)),
        }
    }
}

fn shown(limit: &RateLimit) -> Value {
    json!({
        "type": "rate-limit",
        "name": limit.name,
        "path": limit.path,
        "rate": number(limit.rate),
        "interval": limit.interval_secs,
        "block_interval": limit.block_interval_secs,
        "role": "",
        "inheritable": limit.inheritable,
    })
}

/// A whole number without a fraction, as JSON of other servers has it.
fn number(rate: f64) -> Value {
    let text = rate.to_string();
    text.parse::<u64>()
        .map_or_else(|_| json!(rate), |whole| json!(whole))
}

pub(super) struct WriteRateLimit;

params! {
    pub(super) struct RateLimitParams {
        /// If set, a client that exceeds the rate is refused everything for this long.
        block_interval: Option<Seconds>,
        /// Whether namespaces below inherit the quota. There are none.
        inheritable: Option<bool>,
        /// The time that the rate is counted in. Defaults to one second.
        interval: Option<Seconds>,
        /// Name of the quota rule.
        name: String,
        /// Mount, path inside a mount, or prefix with a final "*"; empty for everything.
        path: Option<String>,
        /// Requests allowed in one interval, for each client address.
        rate: Option<f64>,
        /// Login role that the quota applies to. Not supported: must be empty.
        role: String,
        /// Type of the quota rule: "rate-limit".
        r#type: Option<String>,
    }
}

impl Endpoint for WriteRateLimit {
    type Engine = Sys;
    type Params = RateLimitParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "quotas/rate-limit/{name}")];
    const HELP: &'static str = "Create or update a rate limit quota.";

    async fn handle(cx: Cx<'_, Sys>, params: RateLimitParams) -> Result<Reply, ApiError> {
        let core = cx.core()?;
        if params
            .r#type
            .is_some_and(|kind| !matches!(kind.as_str(), "" | "rate-limit"))
        {
            return Err(ApiError::bad_request("'type' is invalid"));
        }
        if !params.role.is_empty() {
            return Err(ApiError::bad_request(
                "rate limit quotas for a login role are not supported",
            ));
        }
        let existing = core.quotas.limit(&params.name).await?;
        let rate = params
            .rate
            .or(existing.as_ref().map(|limit| limit.rate))
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .ok_or_else(|| ApiError::bad_request("'rate' is invalid"))?;
        let path = match (params.path, &existing) {
            (Some(path), _) => checked_path(core, &path)?,
            (None, Some(limit)) => limit.path.clone(),
            (None, None) => String::new(),
        };
        let interval_secs = match (params.interval, &existing) {
            (Some(Seconds(secs @ 1..)), _) => secs,
            (None, Some(limit)) => limit.interval_secs,
            (Some(_) | None, _) => 1,
        };
        let block_interval_secs = match (params.block_interval, &existing) {
            (Some(Seconds(secs)), _) => secs,
            (None, Some(limit)) => limit.block_interval_secs,
            (None, None) => 0,
        };
        let limits = core.quotas.limits().await?;
        if existing.is_none() && limits.len() >= MAX_LIMITS {
            return Err(ApiError::bad_request(format!(
                "there are {MAX_LIMITS} rate limit quotas already"
            )));
        }
        let twin = limits
            .iter()
            .find(|limit| limit.path == path && limit.name != params.name);
        if let Some(twin) = twin {
            return Err(ApiError::bad_request(format!(
                "quota rule with similar properties exists under the name {:?}",
                twin.name
            )));
        }
        let limit = RateLimit {
            name: params.name,
            path,
            rate,
            interval_secs,
            block_interval_secs,
            inheritable: params.inheritable.unwrap_or(false),
        };
        let mut batch = Batch::default();
        core.quotas.stage_limit(&mut batch, &limit)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

/// The path must lie in a mount; a mount gets its final slash.
fn checked_path(core: &Core, path: &str) -> Result<String, ApiError> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let bare = path.trim_end_matches('/');
    match core.mounts.route(&format!("{bare}/")) {
        None => Err(ApiError::bad_request(format!(
            "invalid mount path {path:?}"
        ))),
        Some((mount, _)) if mount.path.trim_end_matches('/') == bare => Ok(mount.path.clone()),
        Some(_) => Ok(bare.to_owned()),
    }
}

pub(super) struct DeleteRateLimit;

impl Endpoint for DeleteRateLimit {
    type Engine = Sys;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "quotas/rate-limit/{name}")];
    const HELP: &'static str = "Delete a rate limit quota.";

    async fn handle(cx: Cx<'_, Sys>, params: NameParams) -> Result<Reply, ApiError> {
        let mut batch = Batch::default();
        cx.core()?.quotas.stage_deletion(&mut batch, &params.name);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}
