//! `role/{name}/secret-id` and `role/{name}/custom-secret-id`: new secret-ids.

use serde_json::json;
use signet_storage::Batch;
use zeroize::Zeroizing;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{CommaList, Seconds, SecretText, params};
use crate::random::uuid;
use crate::reply::Reply;
use crate::token::ttl_capped;

use super::cidr::{check_within, parse_ranges};
use super::role::Role;
use super::secret_id::SecretId;
use super::{AppRole, MAX_ID_BYTES, metadata, no_such_role};

pub(super) struct Generate;

params! {
    pub(super) struct GenerateParams {
        /// Name of the role.
        name: String,
        /// Metadata to be tied to the SecretID. This should be a JSON formatted string containing the metadata in key value pairs.
        metadata: String,
        /// Comma separated string or list of CIDR blocks enforcing secret IDs to be used from specific set of IP addresses. They should be a subset of those of the role.
        cidr_list: CommaList,
        /// Comma separated string or list of CIDR blocks enforcing tokens to be used from specific set of IP addresses. They should be a subset of those of the role.
        token_bound_cidrs: CommaList,
        /// Number of times this SecretID can be used, after which the SecretID expires. Overrides secret_id_num_uses of the role.
        num_uses: Option<i64>,
        /// Duration in seconds after which this SecretID expires. Overrides secret_id_ttl of the role.
        ttl: Option<Seconds>,
    }
}

impl Endpoint for Generate {
    type Engine = AppRole;
    type Params = GenerateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}/secret-id")];
    const HELP: &'static str = "Generate a SecretID against this role.";

    async fn handle(cx: Cx<'_, AppRole>, params: GenerateParams) -> Result<Reply, ApiError> {
        let secret_id = Zeroizing::new(uuid(cx.node.rng())?);
        register(cx, params, &secret_id).await
    }
}

pub(super) struct Custom;

params! {
    pub(super) struct CustomParams {
        /// Name of the role.
        name: String,
        /// SecretID to be attached to the role.
        secret_id: SecretText,
        /// Metadata to be tied to the SecretID. This should be a JSON formatted string containing metadata in key value pairs.
        metadata: String,
        /// Comma separated string or list of CIDR blocks enforcing secret IDs to be used from specific set of IP addresses. They should be a subset of those of the role.
        cidr_list: CommaList,
        /// Comma separated string or list of CIDR blocks enforcing tokens to be used from specific set of IP addresses. They should be a subset of those of the role.
        token_bound_cidrs: CommaList,
        /// Number of times this SecretID can be used, after which the SecretID expires. Overrides secret_id_num_uses of the role.
        num_uses: Option<i64>,
        /// Duration in seconds after which this SecretID expires. Overrides secret_id_ttl of the role.
        ttl: Option<Seconds>,
    }
}

impl Endpoint for Custom {
    type Engine = AppRole;
    type Params = CustomParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}/custom-secret-id")];
    const HELP: &'static str = "Assign a SecretID of choice against the role.";

    async fn handle(cx: Cx<'_, AppRole>, params: CustomParams) -> Result<Reply, ApiError> {
        let CustomParams {
            name,
            secret_id,
            metadata,
            cidr_list,
            token_bound_cidrs,
            num_uses,
            ttl,
        } = params;
        let order = GenerateParams {
            name,
            metadata,
            cidr_list,
            token_bound_cidrs,
            num_uses,
            ttl,
        };
        let secret_id = secret_id.0.trim();
        if secret_id.is_empty() {
            return Err(ApiError::bad_request("missing secret_id"));
        }
        if secret_id.len() > MAX_ID_BYTES {
            return Err(ApiError::bad_request(format!(
                "secret_id is longer than maximum of {MAX_ID_BYTES} bytes"
            )));
        }
        register(cx, order, secret_id).await
    }
}

async fn register(
    cx: Cx<'_, AppRole>,
    order: GenerateParams,
    secret_id: &str,
) -> Result<Reply, ApiError> {
    let store = &cx.engine.store;
    let Some(loaded) = store.role(&order.name).await? else {
        let text = no_such_role(&order.name);
        return Err(ApiError::plain(ErrorKind::NotFound, text));
    };
    let role = &loaded.role;
    if !role.bind_secret_id {
        return Err(ApiError::bad_request(
            "bind_secret_id is not set on the role",
        ));
    }
    let num_uses = num_uses(order.num_uses, role)?;
    let asked_secs = ttl_secs(order.ttl, role)?;
    let max_ttl_secs = cx.engine.settings.max_ttl_secs();
    let ttl_secs = asked_secs.min(max_ttl_secs);
    let cidrs = parse_ranges(&order.cidr_list, "CIDR")?;
    check_within(&role.secret_id_bound_cidrs, &cidrs)?;
    let token_bound_cidrs = parse_ranges(&order.token_bound_cidrs, "token CIDR")?;
    check_within(&role.token.bound_cidrs, &token_bound_cidrs)?;
    let record = SecretId {
        accessor: uuid(cx.node.rng())?,
        num_uses,
        ttl_secs,
        created_at: cx.now,
        expires_at: (ttl_secs > 0).then(|| cx.now.plus_secs(ttl_secs)),
        updated_at: cx.now,
        metadata: metadata::parse(&order.metadata)?,
        cidrs,
        token_bound_cidrs,
    };

    let previous = store.secret_id(&loaded, secret_id).await?;
    if let Some(previous) = &previous
        && !previous.stored.value.is_expired(cx.now)
    {
        return Err(ApiError::bad_request(
            "failed to store secret_id: SecretID is already registered",
        ));
    }
    let mut batch = Batch::default();
    let hash = loaded.hash(secret_id);
    store.put_new(&mut batch, &loaded, &hash, &record, previous.as_ref())?;
    cx.commit(batch).await?;

    let mut reply = Reply::data(json!({
        "secret_id": secret_id,
        "secret_id_accessor": record.accessor,
        "secret_id_num_uses": num_uses,
        "secret_id_ttl": ttl_secs,
    }))?;
    if asked_secs > max_ttl_secs {
        reply = reply.warn(ttl_capped(asked_secs, max_ttl_secs));
    }
    reply.wrapped_accessor = Some(record.accessor);
    Ok(reply)
}

/// The role's number unless another is asked for, which must not be above it.
fn num_uses(asked: Option<i64>, role: &Role) -> Result<u64, ApiError> {
    let limit = role.secret_id_num_uses;
    let Some(asked) = asked else {
        return Ok(limit);
    };
    let asked =
        u64::try_from(asked).map_err(|_| ApiError::bad_request("num_uses cannot be negative"))?;
    if limit > 0 && (asked == 0 || asked > limit) {
        return Err(ApiError::bad_request(
            "num_uses cannot be higher than the role's secret_id_num_uses",
        ));
    }
    Ok(asked)
}

/// The role's lifetime unless another is asked for, which must not be longer.
fn ttl_secs(asked: Option<Seconds>, role: &Role) -> Result<u64, ApiError> {
    let limit = role.secret_id_ttl_secs;
    let Some(Seconds(asked)) = asked else {
        return Ok(limit);
    };
    if limit > 0 && (asked == 0 || asked > limit) {
        return Err(ApiError::bad_request(
            "ttl cannot be longer than the role's secret_id_ttl",
        ));
    }
    Ok(asked)
}
