//! `login`: a token of the issuer for one of ours.

use std::marker::PhantomData;

use serde_json::Value;

use super::issuer::Issuer;
use super::roles::{Role, RoleType};
use super::{JwtAuth, Kind, ROLE, bound_claims};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::jwt::{Claims, Expected, JwtError, RemoteError};
use crate::node::Metadata;
use crate::params::{SecretText, params};
use crate::reply::{Grant, Reply};

params! {
    pub(super) struct LoginParams {
        /// The signed JWT to validate.
        jwt: SecretText,
        /// The role to log in against.
        role: String,
    }
}

pub(super) struct Login<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Login<K> {
    type Engine = JwtAuth<K>;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login")];
    const HELP: &'static str = "Authenticates JWTs.";

    async fn handle(cx: Cx<'_, JwtAuth<K>>, params: LoginParams) -> Result<Reply, ApiError> {
        let refuse = |text: String| Err(ApiError::bad_request(text));
        let mount = &cx.engine.mount;
        let issuer = mount.issuer().await?;
        let name = match (params.role.as_str(), &issuer) {
            ("", Some(issuer)) => issuer.default_role.clone(),
            (given, _) => given.to_lowercase(),
        };
        if name.is_empty() {
            return refuse("missing role".into());
        }
        // Files of tokens end in a newline.
        let jwt = params.jwt.0.trim();
        if jwt.is_empty() {
            return refuse("missing token".into());
        }
        let Some(stored) = mount.role(&name).await? else {
            return refuse(format!("role {name:?} could not be found"));
        };
        let role = stored.value;
        if role.kind == RoleType::Oidc {
            return refuse("role with oidc role_type is not allowed".into());
        }
        role.tokens.check_source(cx.call.peer.address.ip())?;
        let Some(issuer) = issuer else {
            return refuse("could not load configuration".into());
        };
        let claims = verified(cx, &issuer, &role, jwt).await?;
        bound_claims::check(&claims, &role.bound_claims()?, role.bound_claims_type)
            .map_err(|text| ApiError::bad_request(format!("error validating claims: {text}")))?;
        Ok(Reply::login(grant(cx, &role, name, &claims)?))
    }
}

async fn verified<K: Kind>(
    cx: Cx<'_, JwtAuth<K>>,
    issuer: &Issuer,
    role: &Role,
    jwt: &str,
) -> Result<Claims, ApiError> {
    let expected = Expected {
        issuers: Some(issuer.name.clone())
            .filter(|issuer| !issuer.is_empty())
            .into_iter()
            .collect(),
        audiences: role.bound_audiences.clone(),
        subject: Some(role.bound_subject.clone()).filter(|subject| !subject.is_empty()),
        algorithms: issuer.algorithms.clone(),
        leeways: role.leeways(),
    };
    let verified = issuer.verify(jwt, &expected, cx.now).await;
    verified.map_err(|error| match error {
        RemoteError::Token(error @ JwtError::UnexpectedAudience) => {
            ApiError::bad_request(error.to_string())
        }
        RemoteError::Token(error) => {
            ApiError::bad_request(format!("error validating token: {error}"))
        }
        // What is wrong is for the operator.
        RemoteError::Unavailable(why) => {
            tracing::warn!(%why, "a login cannot be checked");
            ApiError::plain(
                ErrorKind::Overloaded,
                "error validating token: keys of the issuer cannot be fetched now, try again later",
            )
        }
    })
}

fn grant<K: Kind>(
    cx: Cx<'_, JwtAuth<K>>,
    role: &Role,
    role_name: String,
    claims: &Claims,
) -> Result<Grant, ApiError> {
    let user = user(role, claims)?;
    check_groups(role, claims)?;
    let mut metadata = Metadata::from([(ROLE.to_owned(), role_name.clone())]);
    for (claim, name) in &role.claim_mappings {
        match claims.get(claim) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                metadata.insert(name.clone(), text.clone());
            }
            Some(_) => {
                return Err(ApiError::bad_request(format!(
                    "error converting claim '{claim}' to string"
                )));
            }
        }
    }
    Ok(Grant {
        metadata,
        display_name: user.to_owned(),
        alias: user.to_owned(),
        internal: Metadata::from([(ROLE.to_owned(), role_name)]),
        ..role.tokens.grant(cx.call.peer.address.ip())
    })
}

fn user<'c>(role: &Role, claims: &'c Claims) -> Result<&'c str, ApiError> {
    let name = &role.user_claim;
    let claim = if role.user_claim_json_pointer {
        claims.get(name)
    } else {
        claims.all().get(name)
    };
    match claim {
        None | Some(Value::Null) => Err(ApiError::bad_request(format!(
            "claim {name:?} not found in token"
        ))),
        Some(Value::String(user)) if user.is_empty() => {
            Err(ApiError::bad_request("missing name in alias"))
        }
        Some(Value::String(user)) => Ok(user),
        Some(_) => Err(ApiError::bad_request(format!(
            "claim {name:?} could not be converted to string"
        ))),
    }
}

/// Groups give nothing here; a token that lacks them, or has something else there, is refused as
/// ever.
fn check_groups(role: &Role, claims: &Claims) -> Result<(), ApiError> {
    let name = &role.groups_claim;
    if name.is_empty() {
        return Ok(());
    }
    let claim = claims.get(name).ok_or_else(|| {
        ApiError::bad_request(format!(
            "failed to fetch groups: {name:?} claim not found in token"
        ))
    })?;
    let given = match claim {
        Value::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    match given.iter().find(|group| !group.is_string()) {
        None => Ok(()),
        Some(other) => Err(ApiError::bad_request(format!(
            "value {other} in groups claim could not be parsed as string"
        ))),
    }
}
