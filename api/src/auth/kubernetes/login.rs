//! `login`: the token of a service account for one of ours.

use serde::Deserialize;
use serde_json::Value;

use super::config::Cluster;
use super::roles::{AliasNameSource, Role};
use super::{Kubernetes, ROLE};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::glob;
use crate::jwt::{Expected, JwtError, Leeways, check_unverified, unverified_claims, verify};
use crate::kubernetes::{NamespaceError, ReviewError, Reviewed};
use crate::node::Metadata;
use crate::params::{SecretText, params};
use crate::reply::{Grant, Reply};

params! {
    pub(super) struct LoginParams {
        /// A signed JWT for authenticating a service account. This field is required.
        jwt: SecretText,
        /// Name of the role against which the login is being attempted. This field is required
        role: String,
    }
}

pub(super) struct Login;

impl Endpoint for Login {
    type Engine = Kubernetes;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login")];
    const HELP: &'static str = "Authenticates Kubernetes service accounts.";

    async fn handle(cx: Cx<'_, Kubernetes>, params: LoginParams) -> Result<Reply, ApiError> {
        if params.role.is_empty() {
            return Err(ApiError::bad_request("missing role"));
        }
        // Files of tokens end in a newline.
        let jwt = params.jwt.0.trim();
        if jwt.is_empty() {
            return Err(ApiError::bad_request("missing jwt"));
        }
        let Some(stored) = cx.engine.role(&params.role).await? else {
            let text = format!("invalid role name {:?}", params.role);
            return Err(ApiError::bad_request(text));
        };
        let role = stored.value;
        role.tokens.check_source(cx.call.peer.address.ip())?;
        let cluster = cx
            .engine
            .cluster()
            .await?
            .ok_or_else(|| ApiError::bad_request("could not load backend configuration"))?;
        let claims = refuse_early(cx, &cluster, &role, jwt)?;
        let reviewed = review(cx, &cluster, &role, jwt, &claims).await?;
        check_namespace(&cluster, &role, &reviewed).await?;
        let name = params.role.to_lowercase();
        Ok(Reply::login(grant(cx, &role, &name, &claims, &reviewed)))
    }
}

/// What a token says of its service account, in the form of bound tokens and in the older form of
/// those that were kept in secrets.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    aud: Value,
    #[serde(rename = "kubernetes.io")]
    bound: Bound,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    name: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    namespace: String,
    serviceaccount: BoundAccount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BoundAccount {
    name: String,
    uid: String,
}

impl Claims {
    fn namespace(&self) -> &str {
        first(&self.bound.namespace, &self.namespace)
    }

    fn name(&self) -> &str {
        first(&self.bound.serviceaccount.name, &self.name)
    }

    fn uid(&self) -> &str {
        first(&self.bound.serviceaccount.uid, &self.uid)
    }

    fn audiences(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match &self.aud {
            Value::Array(several) => several.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        }
    }
}

fn first<'a>(one: &'a str, other: &'a str) -> &'a str {
    if one.is_empty() { other } else { one }
}

/// Refuses by what the token says of itself, before the API server is troubled with it.
fn refuse_early(
    cx: Cx<'_, Kubernetes>,
    cluster: &Cluster,
    role: &Role,
    jwt: &str,
) -> Result<Claims, ApiError> {
    let read = unverified_claims(jwt).ok();
    let claims: Claims = read
        .and_then(|claims| serde_json::from_value(Value::Object(claims)).ok())
        .ok_or_else(ApiError::permission_denied)?;
    let expected = Expected {
        issuers: cluster.issuer.iter().cloned().collect(),
        audiences: asked_audiences(role, &claims),
        leeways: Leeways {
            late_secs: 60,
            may_be_timeless: true,
            ..Leeways::default()
        },
        ..Expected::default()
    };
    let checked = match &cluster.keys {
        None => check_unverified(jwt, &expected, cx.now).map(|_| ()),
        Some(keys) => verify(jwt, keys, &expected, cx.now).map(|_| ()),
    };
    checked.map_err(|error| match error {
        JwtError::Malformed(_)
        | JwtError::BadSignature
        | JwtError::UnknownKey
        | JwtError::UnexpectedAlgorithm => ApiError::permission_denied(),
        error => forbidden(error.to_string()),
    })?;
    if !listed(&role.names, claims.name()) {
        return Err(forbidden("service account name not authorized"));
    }
    if role.namespace_selector.is_empty() && !listed(&role.namespaces, claims.namespace()) {
        return Err(forbidden("namespace not authorized"));
    }
    Ok(claims)
}

/// A token is for the role's audience; for a role without one it is for whom it says.
fn asked_audiences(role: &Role, claims: &Claims) -> Vec<String> {
    if role.audience.is_empty() {
        claims.audiences()
    } else {
        vec![role.audience.clone()]
    }
}

async fn review(
    cx: Cx<'_, Kubernetes>,
    cluster: &Cluster,
    role: &Role,
    jwt: &str,
    claims: &Claims,
) -> Result<std::sync::Arc<Reviewed>, ApiError> {
    let audiences = asked_audiences(role, claims);
    let reviewed = cluster.reviewer.review(jwt, &audiences, cx.now).await;
    let reviewed = reviewed.map_err(|error| match error {
        ReviewError::Unauthenticated(why) => {
            tracing::debug!(%why, "login refused by the API server");
            ApiError::permission_denied()
        }
        ReviewError::Unavailable(why) => unavailable(&why),
    })?;
    let is_the_same = reviewed.service_account == claims.name()
        && reviewed.namespace == claims.namespace()
        && !reviewed.uid.is_empty()
        && reviewed.uid == claims.uid();
    if is_the_same {
        Ok(reviewed)
    } else {
        Err(ApiError::permission_denied())
    }
}

/// By name, else by the labels that the API server shows.
async fn check_namespace(
    cluster: &Cluster,
    role: &Role,
    reviewed: &Reviewed,
) -> Result<(), ApiError> {
    if listed(&role.namespaces, &reviewed.namespace) {
        return Ok(());
    }
    let Some(selector) = role.selector() else {
        return Err(forbidden("namespace not authorized"));
    };
    let labels = cluster.reviewer.namespace_labels(&reviewed.namespace).await;
    let labels = labels.map_err(|error| match error {
        NamespaceError::Unavailable(why) => unavailable(&why),
        NamespaceError::NoToken => forbidden(format!(
            "namespace not authorized err=namespace lookup failed: {error}"
        )),
        NamespaceError::Refused(_) => forbidden(format!("namespace not authorized err={error}")),
    })?;
    if selector.matches(&labels) {
        Ok(())
    } else {
        Err(forbidden("namespace not authorized"))
    }
}

fn listed(globs: &[String], text: &str) -> bool {
    globs.iter().any(|glob| glob::matches(glob, text))
}

fn forbidden(text: impl Into<String>) -> ApiError {
    ApiError::plain(ErrorKind::Forbidden, text)
}

/// The client should come back; what is wrong is for the operator.
fn unavailable(why: &str) -> ApiError {
    tracing::warn!(why, "the API server cannot be asked about a login");
    ApiError::plain(
        ErrorKind::Overloaded,
        "the Kubernetes API server cannot be asked now, try again later",
    )
}

fn grant(
    cx: Cx<'_, Kubernetes>,
    role: &Role,
    role_name: &str,
    claims: &Claims,
    reviewed: &Reviewed,
) -> Grant {
    let Reviewed {
        namespace,
        service_account,
        uid,
        ..
    } = reviewed;
    let alias = match role.alias_name_source {
        AliasNameSource::ServiceaccountName => format!("{namespace}/{service_account}"),
        AliasNameSource::ServiceaccountUid => uid.clone(),
    };
    let metadata = [
        ("role", role_name),
        ("service_account_name", service_account.as_str()),
        ("service_account_namespace", namespace),
        ("service_account_secret_name", &claims.secret_name),
        ("service_account_uid", uid),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Grant {
        metadata: metadata.into(),
        display_name: format!("{namespace}-{service_account}"),
        alias,
        internal: Metadata::from([(ROLE.to_owned(), role_name.to_owned())]),
        ..role.tokens.grant(cx.call.peer.address.ip())
    }
}
