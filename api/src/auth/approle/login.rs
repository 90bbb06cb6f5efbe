//! `login`: a role id and a secret-id for a token.

use std::net::IpAddr;

use ipnet::IpNet;
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::lockout::Attempt;
use crate::node::Metadata;
use crate::params::{SecretText, params};
use crate::reply::{Grant, Reply, address_allowed};

use super::role::{LoadedRole, Role};
use super::secret_id::SecretId;
use super::store::Found;
use super::{AppRole, MAX_ID_BYTES, ROLE_NAME};

pub(super) struct Login;

params! {
    pub(super) struct LoginParams {
        /// Unique identifier of the Role. Required to be supplied when the 'bind_secret_id' constraint is set.
        role_id: String,
        /// SecretID belong to the App role
        secret_id: SecretText,
    }
}

impl Endpoint for Login {
    type Engine = AppRole;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login")];
    const HELP: &'static str = "Issue a token based on the credentials supplied.";

    async fn handle(cx: Cx<'_, AppRole>, params: LoginParams) -> Result<Reply, ApiError> {
        let (role_id, secret_id) = (params.role_id.trim(), params.secret_id.0.trim());
        if role_id.is_empty() {
            return Err(ApiError::bad_request("missing role_id"));
        }
        let store = &cx.engine.store;
        let role = match role_id.len() {
            0..=MAX_ID_BYTES => store.role_of_role_id(role_id).await?,
            _ => None,
        };
        let Some(role) = role else {
            // The same work as for a wrong secret, so that time does not tell.
            find_secret_id(cx, &cx.engine.decoy, secret_id).await?;
            return Err(refused());
        };
        let attempt = Attempt::begin(cx.request, &role.role.role_id)?;
        let mut batch = Batch::default();
        let secret = if role.role.bind_secret_id {
            if secret_id.is_empty() {
                return Err(ApiError::bad_request("missing secret_id"));
            }
            let found = find_secret_id(cx, &role, secret_id).await?;
            let Some(found) = found.filter(|found| !found.stored.value.is_expired(cx.now)) else {
                attempt.failed();
                return Err(refused());
            };
            check_source(cx, &found.stored.value.cidrs, "through", "secret ID")?;
            store.take_use(&mut batch, &role, &found, cx.now)?;
            Some(found.stored.value)
        } else {
            store.expect_role(&mut batch, &role);
            None
        };
        check_source(cx, &role.role.secret_id_bound_cidrs, "by", "role")?;
        attempt.succeeded();
        Ok(Reply::login(grant(cx, &role.role, secret, batch)))
    }
}

/// One text, whatever was wrong.
fn refused() -> ApiError {
    ApiError::bad_request("invalid role or secret ID")
}

async fn find_secret_id(
    cx: Cx<'_, AppRole>,
    role: &LoadedRole,
    secret_id: &str,
) -> Result<Option<Found>, ApiError> {
    if secret_id.len() > MAX_ID_BYTES {
        return Ok(None);
    }
    cx.engine.store.secret_id(role, secret_id).await
}

fn source(cx: Cx<'_, AppRole>) -> IpAddr {
    cx.call.peer.address.ip().to_canonical()
}

fn check_source(
    cx: Cx<'_, AppRole>,
    ranges: &[IpNet],
    word: &str,
    bound: &str,
) -> Result<(), ApiError> {
    let address = source(cx);
    if address_allowed(ranges, address) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "source address \"{address}\" unauthorized {word} CIDR restrictions on the {bound}"
    )))
}

fn grant(cx: Cx<'_, AppRole>, role: &Role, secret: Option<SecretId>, batch: Batch) -> Grant {
    let (mut metadata, of_secret) = match secret {
        Some(secret) => (secret.metadata, secret.token_bound_cidrs),
        None => (Metadata::new(), Vec::new()),
    };
    metadata.insert(ROLE_NAME.into(), role.name.clone());
    let mut grant = Grant {
        metadata,
        alias: role.role_id.clone(),
        internal: Metadata::from([(ROLE_NAME.into(), role.name.clone())]),
        batch,
        ..role.token.grant(source(cx))
    };
    if !role.token.strictly_bind_ip && !of_secret.is_empty() {
        grant.bound_cidrs = of_secret;
    }
    grant
}
