//! `auth/token/roles/`: recipes for tokens.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::{Batch, Expect, Record};

use crate::auth::token::TokenAuth;
use crate::auth::token::child::any_glob;
use crate::auth::token::renew::lesser_given;
use crate::auth::token::role_params::RoleParams;
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, params};
use crate::reply::{Reply, TokenType};
use crate::route::Captures;
use crate::token::{Token, show_bound_cidrs};

/// A recipe as it is stored, under its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) allowed_entity_aliases: Vec<String>,
    pub(super) allowed_policies: Vec<String>,
    pub(super) allowed_policies_glob: Vec<String>,
    pub(super) disallowed_policies: Vec<String>,
    pub(super) disallowed_policies_glob: Vec<String>,
    pub(super) orphan: bool,
    pub(super) renewable: bool,
    /// Stands at the end of the path of its tokens, so that they can be revoked together.
    pub(super) path_suffix: String,
    pub(super) bound_cidrs: Vec<IpNet>,
    pub(super) explicit_max_ttl_secs: u64,
    pub(super) no_default_policy: bool,
    pub(super) num_uses: u64,
    pub(super) period_secs: u64,
    pub(super) token_type: TokenType,
    pub(super) legacy: LegacyNames,
}

/// Fields that were last set by their old names, by which they are shown too.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LegacyNames {
    pub(super) bound_cidrs: bool,
    pub(super) explicit_max_ttl: bool,
    pub(super) period: bool,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            allowed_entity_aliases: Vec::new(),
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            bound_cidrs: Vec::new(),
            explicit_max_ttl_secs: 0,
            no_default_policy: false,
            num_uses: 0,
            period_secs: 0,
            token_type: TokenType::DefaultService,
            legacy: LegacyNames::default(),
        }
    }
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

/// What the call asked for when it made a token by a role: the role's current values are applied to
/// it at every renewal. In the token's `internal`, in seconds.
pub(super) const REQUESTED_PERIOD: &str = "requested_period";
pub(super) const REQUESTED_MAX_TTL: &str = "requested_explicit_max_ttl";

impl Role {
    pub(super) async fn load(engine: &TokenAuth, name: &str) -> Result<Option<Self>, ApiError> {
        let stored = engine.roles.record::<Self>(name).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Without lists the rules are those of tokens made without a role.
    pub(super) fn restricts_policies(&self) -> bool {
        [
            &self.allowed_policies,
            &self.allowed_policies_glob,
            &self.disallowed_policies,
            &self.disallowed_policies_glob,
        ]
        .into_iter()
        .any(|list| !list.is_empty())
    }

    pub(super) fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|name| name == policy)
            || any_glob(&self.disallowed_policies_glob, policy)
    }

    /// The period of a token that this role made, as the role has it now.
    pub(super) fn period_secs(&self, token: &Token) -> u64 {
        lesser_given(self.period_secs, requested(token, REQUESTED_PERIOD))
    }

    pub(super) fn explicit_max_ttl_secs(&self, token: &Token) -> u64 {
        lesser_given(
            self.explicit_max_ttl_secs,
            requested(token, REQUESTED_MAX_TTL),
        )
    }

    fn show(&self, name: &str) -> Map<String, Value> {
        let shown_if = |condition: bool, secs: u64| if condition { secs } else { 0 };
        let aliases = &self.allowed_entity_aliases;
        let data = json!({
            "allowed_entity_aliases": (!aliases.is_empty()).then_some(aliases),
            "allowed_policies": self.allowed_policies,
            "allowed_policies_glob": self.allowed_policies_glob,
            "disallowed_policies": self.disallowed_policies,
            "disallowed_policies_glob": self.disallowed_policies_glob,
            "explicit_max_ttl":
                shown_if(self.legacy.explicit_max_ttl, self.explicit_max_ttl_secs),
            "name": name,
            "orphan": self.orphan,
            "path_suffix": self.path_suffix,
            "period": shown_if(self.legacy.period, self.period_secs),
            "renewable": self.renewable,
            "token_explicit_max_ttl": self.explicit_max_ttl_secs,
            "token_no_default_policy": self.no_default_policy,
            "token_period": self.period_secs,
            "token_type": self.token_type.name(),
        });
        let mut data = data.as_object().cloned().unwrap_or_default();
        if !self.bound_cidrs.is_empty() {
            let cidrs = json!(show_bound_cidrs(&self.bound_cidrs));
            if self.legacy.bound_cidrs {
                data.insert("bound_cidrs".into(), cidrs.clone());
            }
            data.insert("token_bound_cidrs".into(), cidrs);
        }
        if self.num_uses > 0 {
            data.insert("token_num_uses".into(), self.num_uses.into());
        }
        data
    }
}

/// See [`REQUESTED_PERIOD`]; 0 when it did not.
pub(super) fn requested(token: &Token, key: &str) -> u64 {
    let text = token.internal.get(key);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

params! {
    pub(super) struct NameParams {
        /// Name of the role
        role_name: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = TokenAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "roles/{role_name}")];
    const HELP: &'static str = "Reads a token role.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: NameParams) -> Result<Reply, ApiError> {
        match Role::load(cx.engine, &params.role_name).await? {
            None => Ok(Reply::nothing()),
            Some(role) => Reply::data(role.show(&params.role_name)),
        }
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = TokenAuth;
    type Params = RoleParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "roles/{role_name}")];
    const HELP: &'static str = "Creates or updates a token role.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, TokenAuth>, params: RoleParams) -> Result<Reply, ApiError> {
        let name = params.role_name.clone();
        let stored = cx.engine.roles.record::<Role>(&name).await?;
        let version = stored.as_ref().map(|stored| stored.version);
        let mut role = stored.map(|stored| stored.value).unwrap_or_default();
        let warnings = params.apply(&mut role)?;
        let mut batch = Batch::default();
        let expect = version.map_or(Expect::Absent, Expect::Version);
        cx.engine.roles.expect(&mut batch, &name, expect);
        cx.engine.roles.put_record(&mut batch, &name, &role)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }

    async fn exists(cx: Cx<'_, TokenAuth>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.roles.get(name).await?.is_some())
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = TokenAuth;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "roles/{role_name}")];
    const HELP: &'static str = "Deletes a token role.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, TokenAuth>, params: NameParams) -> Result<Reply, ApiError> {
        let mut batch = Batch::default();
        cx.engine.roles.delete(&mut batch, &params.role_name);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

pub(super) struct List;

impl Endpoint for List {
    type Engine = TokenAuth;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "roles")];
    const HELP: &'static str = "This endpoint lists configured roles.";

    async fn handle(cx: Cx<'_, TokenAuth>, params: PageParams) -> Result<Reply, ApiError> {
        let limit = usize::try_from(params.limit)
            .ok()
            .filter(|limit| *limit > 0);
        let after = Some(params.after.as_str()).filter(|after| !after.is_empty());
        let names = cx
            .engine
            .roles
            .children("", after, limit.unwrap_or(usize::MAX))
            .await?;
        Reply::keys(names)
    }
}
