//! `role/{name}`: which service accounts may log in, and what tokens they get.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_storage::{Batch, Expect, Record};

use super::Kubernetes;
use super::selector::Selector;
use crate::auth::role_path::role_path;
use crate::auth::token_fields::{OldFields, TokenSettings, WithToken};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, PageParams, Seconds, params};
use crate::reply::Reply;
use crate::route::Captures;
use crate::time::go_duration;

/// A role as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    /// With `*` as a wildcard.
    pub(super) names: Vec<String>,
    /// With `*` as a wildcard.
    pub(super) namespaces: Vec<String>,
    /// As it was written; empty for none.
    pub(super) namespace_selector: String,
    /// Empty for any.
    pub(super) audience: String,
    pub(super) alias_name_source: AliasNameSource,
    pub(super) tokens: TokenSettings,
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

/// What a service account is called in this mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AliasNameSource {
    /// `<namespace>/<name>`: an account that is deleted and made anew is the same.
    ServiceaccountName,
    #[default]
    ServiceaccountUid,
}

impl AliasNameSource {
    fn name(self) -> &'static str {
        match self {
            Self::ServiceaccountName => "serviceaccount_name",
            Self::ServiceaccountUid => "serviceaccount_uid",
        }
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "serviceaccount_name" => Ok(Self::ServiceaccountName),
            "" | "serviceaccount_uid" => Ok(Self::ServiceaccountUid),
            _ => Err(ApiError::bad_request(
                "invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name",
            )),
        }
    }
}

params! {
    pub(super) struct OwnParams {
        /// Name of the role.
        name: String,
        /// Source to use when deriving the Alias name: "serviceaccount_uid" (the default) or "serviceaccount_name", which is <namespace>/<serviceaccount>.
        alias_name_source: Option<String>,
        /// Optional Audience claim to verify in the jwt.
        audience: Option<String>,
        /// Deprecated: use "token_bound_cidrs".
        bound_cidrs: Option<CommaList>,
        /// List of service account names able to access this role. If set to "*" all names are allowed.
        bound_service_account_names: Option<CommaList>,
        /// A label selector for Kubernetes namespaces which are allowed to access this role, as a JSON object. If set with bound_service_account_namespaces, the conditions are ORed.
        bound_service_account_namespace_selector: Option<String>,
        /// List of namespaces allowed to access this role. If set to "*" all namespaces are allowed.
        bound_service_account_namespaces: Option<CommaList>,
        /// Deprecated: use "token_max_ttl".
        max_ttl: Option<Seconds>,
        /// Deprecated: use "token_num_uses".
        num_uses: Option<i64>,
        /// Deprecated: use "token_period".
        period: Option<Seconds>,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Deprecated: use "token_ttl".
        ttl: Option<Seconds>,
    }
}

type RoleParams = WithToken<OwnParams>;

impl RoleParams {
    /// Sets on `role` what is given, checks the whole and returns warnings.
    fn apply(self, role: &mut Role, max_ttl_secs: u64) -> Result<Vec<String>, ApiError> {
        let Self { own, common: token } = self;
        let old = OldFields {
            bound_cidrs: own.bound_cidrs,
            max_ttl: own.max_ttl,
            num_uses: own.num_uses,
            period: own.period,
            policies: own.policies,
            ttl: own.ttl,
        };
        token.apply(old, &mut role.tokens)?;
        let period = role.tokens.period_secs;
        if period > max_ttl_secs {
            return Err(ApiError::bad_request(format!(
                "token period of '{:?}' is greater than the backend's maximum lease TTL of '{:?}'",
                go_duration(period),
                go_duration(max_ttl_secs)
            )));
        }
        if role.tokens.ttl_exceeds_max() {
            return Err(ApiError::bad_request(
                "token ttl should not be greater than token max ttl",
            ));
        }
        let mut warnings = Vec::new();
        if role.tokens.max_ttl_secs > max_ttl_secs {
            warnings.push(
                "max_ttl is greater than the system or backend mount's maximum TTL value; issued \
                 tokens' max TTL value will be truncated"
                    .into(),
            );
        }
        if let Some(source) = own.alias_name_source {
            role.alias_name_source = AliasNameSource::parse(&source)?;
        }
        if let Some(names) = own.bound_service_account_names {
            role.names = names.0;
        }
        if let Some(namespaces) = own.bound_service_account_namespaces {
            role.namespaces = namespaces.0;
        }
        if let Some(selector) = own.bound_service_account_namespace_selector {
            role.namespace_selector = selector;
        }
        role.audience = own.audience.unwrap_or(std::mem::take(&mut role.audience));
        role.check()?;
        Ok(warnings)
    }
}

impl Role {
    fn check(&self) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::bad_request(text));
        if self.names.is_empty() {
            return refuse("\"bound_service_account_names\" can not be empty");
        }
        if self.namespaces.is_empty() && self.namespace_selector.is_empty() {
            return refuse(
                "\"bound_service_account_namespaces\" can not be empty if \
                 \"bound_service_account_namespace_selector\" is not set",
            );
        }
        let is_mixed = |list: &[String]| list.len() > 1 && list.iter().any(|entry| entry == "*");
        if is_mixed(&self.names) || is_mixed(&self.namespaces) {
            return refuse("can not mix \"*\" with values");
        }
        if !self.namespace_selector.is_empty() && self.selector().is_none() {
            return refuse("invalid \"bound_service_account_namespace_selector\" configured");
        }
        Ok(())
    }

    /// `None` where the role has none.
    pub(super) fn selector(&self) -> Option<Selector> {
        Selector::parse(&self.namespace_selector)
    }

    fn shown(&self) -> Map<String, Value> {
        let mut data = self.tokens.shown();
        let namespaces = if self.namespaces.is_empty() {
            Value::Null
        } else {
            self.namespaces.clone().into()
        };
        for (name, value) in [
            ("alias_name_source", self.alias_name_source.name().into()),
            ("bound_service_account_names", self.names.clone().into()),
            (
                "bound_service_account_namespace_selector",
                self.namespace_selector.clone().into(),
            ),
            ("bound_service_account_namespaces", namespaces),
        ] {
            data.insert(name.into(), value);
        }
        if !self.audience.is_empty() {
            data.insert("audience".into(), self.audience.clone().into());
        }
        data
    }
}

pub(super) struct List;

impl Endpoint for List {
    type Engine = Kubernetes;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "role")];
    const HELP: &'static str = "Lists all the roles registered with the backend.";

    async fn handle(cx: Cx<'_, Kubernetes>, params: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = params.bounds();
        Reply::keys(cx.engine.view.keys("role/", after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// Name of the role.
        name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Kubernetes;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "role/{name}")];
    const HELP: &'static str = "Read a role.";

    async fn handle(cx: Cx<'_, Kubernetes>, params: NameParams) -> Result<Reply, ApiError> {
        match cx.engine.role(&params.name).await? {
            None => Ok(Reply::nothing()),
            Some(stored) => Ok(Reply::map(stored.value.shown())),
        }
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = Kubernetes;
    type Params = WithToken<OwnParams>;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}")];
    const HELP: &'static str = "Register a role with the backend, or change it.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(
        cx: Cx<'_, Kubernetes>,
        params: WithToken<OwnParams>,
    ) -> Result<Reply, ApiError> {
        let path = role_path(&params.own.name)
            .ok_or_else(|| ApiError::bad_request("name of the role is too long"))?;
        let previous = cx.engine.role(&params.own.name).await?;
        let (mut role, expect) = match previous {
            Some(stored) => (stored.value, Expect::Version(stored.version)),
            None => (Role::default(), Expect::Absent),
        };
        let warnings = params.apply(&mut role, cx.engine.settings.max_ttl_secs())?;
        let view = &cx.engine.view;
        let mut batch = Batch::default();
        view.expect(&mut batch, &path, expect);
        view.put_record(&mut batch, &path, &role)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }

    async fn exists(cx: Cx<'_, Kubernetes>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.role(name).await?.is_some())
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Kubernetes;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "role/{name}")];
    const HELP: &'static str = "Delete a role. Tokens that it gave are not renewed any more.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Kubernetes>, params: NameParams) -> Result<Reply, ApiError> {
        if let Some(path) = role_path(&params.name) {
            let mut batch = Batch::default();
            cx.engine.view.delete(&mut batch, &path);
            cx.commit(batch).await?;
        }
        Ok(Reply::nothing())
    }
}
