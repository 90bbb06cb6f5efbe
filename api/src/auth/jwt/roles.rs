//! `role/{name}`: which tokens of the issuer are taken, and what they are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::{Batch, Expect, Record};

use super::bound_claims::{self, BoundClaims, ClaimsType};
use super::{JwtAuth, Kind};
use crate::auth::role_path::role_path;
use crate::auth::token_fields::{OldFields, TokenSettings, WithToken};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::jwt::Leeways;
use crate::params::{CommaList, PageParams, Pairs, Seconds, SignedSeconds, params};
use crate::reply::Reply;
use crate::route::Captures;
use crate::time::go_duration;

/// A role as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) kind: RoleType,
    pub(super) bound_audiences: Vec<String>,
    pub(super) bound_subject: String,
    /// As they were written; `None` where never.
    bound_claims: Option<Map<String, Value>>,
    pub(super) bound_claims_type: ClaimsType,
    /// Claim to name in the metadata.
    pub(super) claim_mappings: BTreeMap<String, String>,
    pub(super) user_claim: String,
    pub(super) user_claim_json_pointer: bool,
    pub(super) groups_claim: String,
    /// 0 for the default, negative for none; so the next two.
    clock_skew_leeway_secs: i64,
    expiration_leeway_secs: i64,
    not_before_leeway_secs: i64,
    browser: BrowserSettings,
    pub(super) tokens: TokenSettings,
}

impl Record for Role {
    const FORMAT: u8 = 1;
}

/// For logins by a browser: kept and shown, as clients compare what they read with what they wrote.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct BrowserSettings {
    allowed_redirect_uris: Vec<String>,
    oidc_scopes: Vec<String>,
    max_age_secs: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleType {
    /// For a token that the caller has.
    Jwt,
    /// For logins by a browser.
    #[default]
    Oidc,
}

const SKEW_SECS: u64 = 60;
const EXPIRATION_SECS: u64 = 150;
const NOT_BEFORE_SECS: u64 = 150;

params! {
    pub(super) struct OwnParams {
        /// Name of the role.
        name: String,
        /// Comma-separated list of allowed values for redirect_uri
        allowed_redirect_uris: Option<CommaList>,
        /// Comma-separated list of 'aud' claims that are valid for login; any match is sufficient
        bound_audiences: Option<CommaList>,
        /// Deprecated: use "token_bound_cidrs".
        bound_cidrs: Option<CommaList>,
        /// Map of claims/values which must match for login
        bound_claims: Option<Map<String, Value>>,
        /// How to interpret values in the map of claims/values (which must match for login): allowed values are 'string' or 'glob'
        bound_claims_type: Option<String>,
        /// The 'sub' claim that is valid for login. Optional.
        bound_subject: Option<String>,
        /// Mappings of claims (key) that will be copied to a metadata field (value)
        claim_mappings: Option<Pairs>,
        /// Duration in seconds of leeway when validating all claims to account for clock skew. Defaults to 60 (1 minute) if set to 0 and can be disabled if set to -1.
        clock_skew_leeway: Option<SignedSeconds>,
        /// Duration in seconds that a token without expiration is valid for. Defaults to 150 (2.5 minutes) if set to 0 and can be disabled if set to -1.
        expiration_leeway: Option<SignedSeconds>,
        /// The claim with the names of the caller's groups; it must be there.
        groups_claim: Option<String>,
        /// For logins by a browser.
        max_age: Option<SignedSeconds>,
        /// Deprecated: use "token_max_ttl".
        max_ttl: Option<Seconds>,
        /// Duration in seconds before its expiration from which a token with neither not-before nor issue time is valid. Defaults to 150 (2.5 minutes) if set to 0 and can be disabled if set to -1.
        not_before_leeway: Option<SignedSeconds>,
        /// Deprecated: use "token_num_uses".
        num_uses: Option<i64>,
        /// Comma-separated list of OIDC scopes
        oidc_scopes: Option<CommaList>,
        /// Deprecated: use "token_period".
        period: Option<Seconds>,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Type of the role, either 'jwt' or 'oidc'.
        role_type: Option<String>,
        /// Templates in token_policies; not available.
        token_policies_template_claims: bool,
        /// Deprecated: use "token_ttl".
        ttl: Option<Seconds>,
        /// The claim to use for the Identity entity alias name
        user_claim: Option<String>,
        /// If true, the user_claim value will use JSON pointer syntax for referencing claims.
        user_claim_json_pointer: Option<bool>,
        /// Logs tokens; not available.
        verbose_oidc_logging: bool,
    }
}

type RoleParams = WithToken<OwnParams>;

impl RoleParams {
    /// Sets on `role` what is given, checks the whole and returns warnings.
    fn apply(self, role: &mut Role, max_ttl_secs: u64) -> Result<Vec<String>, ApiError> {
        let Self {
            mut own,
            common: token,
        } = self;
        let refuse = |text: String| Err(ApiError::bad_request(text));
        for (is_given, name) in [
            (
                own.token_policies_template_claims,
                "token_policies_template_claims",
            ),
            (own.verbose_oidc_logging, "verbose_oidc_logging"),
        ] {
            if is_given {
                return refuse(format!("'{name}' is not available on this server"));
            }
        }
        // Not kept from an earlier write: who leaves it out says "oidc".
        role.kind = match own.role_type.as_deref() {
            None | Some("" | "oidc") => RoleType::Oidc,
            Some("jwt") => RoleType::Jwt,
            Some(other) => return refuse(format!("invalid 'role_type': {other}")),
        };
        token.apply(own.take_old_fields(), &mut role.tokens)?;
        let period = role.tokens.period_secs;
        if period > max_ttl_secs {
            return refuse(format!(
                "'period' of '{:?}' is greater than the backend's maximum lease TTL of '{:?}'",
                go_duration(period),
                go_duration(max_ttl_secs)
            ));
        }
        if role.tokens.ttl_exceeds_max() {
            return refuse("ttl should not be greater than max ttl".into());
        }
        let mut warnings = Vec::new();
        if role.tokens.max_ttl_secs > max_ttl_secs {
            warnings.push(
                "token max ttl is greater than the system or backend mount's maximum TTL value; \
                 issued tokens' max TTL value will be truncated"
                    .into(),
            );
        }
        own.set_demands(role)?;
        own.set_rest(role);
        role.check()?;
        Ok(warnings)
    }
}

impl OwnParams {
    fn take_old_fields(&mut self) -> OldFields {
        OldFields {
            bound_cidrs: self.bound_cidrs.take(),
            max_ttl: self.max_ttl.take(),
            num_uses: self.num_uses.take(),
            period: self.period.take(),
            policies: self.policies.take(),
            ttl: self.ttl.take(),
        }
    }

    fn set_demands(&mut self, role: &mut Role) -> Result<(), ApiError> {
        if let Some(list) = self.bound_audiences.take() {
            role.bound_audiences = list.0;
        }
        if let Some(subject) = self.bound_subject.take() {
            role.bound_subject = subject;
        }
        if let Some(claims) = self.bound_claims.take() {
            role.bound_claims = Some(claims);
        }
        match self.bound_claims_type.as_deref() {
            None => {}
            Some("" | "string") => role.bound_claims_type = ClaimsType::String,
            Some("glob") => role.bound_claims_type = ClaimsType::Glob,
            Some(other) => {
                let text = format!("invalid 'bound_claims_type': {other}");
                return Err(ApiError::bad_request(text));
            }
        }
        Ok(())
    }

    fn set_rest(self, role: &mut Role) {
        if let Some(mappings) = self.claim_mappings {
            role.claim_mappings = mappings.0;
        }
        for (target, given) in [
            (&mut role.user_claim, self.user_claim),
            (&mut role.groups_claim, self.groups_claim),
        ] {
            if let Some(given) = given {
                *target = given;
            }
        }
        role.user_claim_json_pointer = self
            .user_claim_json_pointer
            .unwrap_or(role.user_claim_json_pointer);
        for (target, given) in [
            (&mut role.clock_skew_leeway_secs, self.clock_skew_leeway),
            (&mut role.expiration_leeway_secs, self.expiration_leeway),
            (&mut role.not_before_leeway_secs, self.not_before_leeway),
            (&mut role.browser.max_age_secs, self.max_age),
        ] {
            *target = given.map_or(*target, |given| given.0);
        }
        for (target, given) in [
            (
                &mut role.browser.allowed_redirect_uris,
                self.allowed_redirect_uris,
            ),
            (&mut role.browser.oidc_scopes, self.oidc_scopes),
        ] {
            if let Some(given) = given {
                *target = given.0;
            }
        }
    }
}

impl Role {
    /// What its tokens have to say.
    pub(super) fn bound_claims(&self) -> Result<BoundClaims, ApiError> {
        let Some(claims) = &self.bound_claims else {
            return Ok(BoundClaims::new());
        };
        bound_claims::parse(claims, self.bound_claims_type).map_err(ApiError::bad_request)
    }

    pub(super) fn leeways(&self) -> Leeways {
        let skew = leeway(self.clock_skew_leeway_secs, SKEW_SECS);
        Leeways {
            late_secs: skew,
            early_secs: skew,
            life_without_exp_secs: Some(leeway(self.expiration_leeway_secs, EXPIRATION_SECS)),
            start_before_exp_secs: Some(leeway(self.not_before_leeway_secs, NOT_BEFORE_SECS)),
            may_be_timeless: false,
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::bad_request(text));
        if self.user_claim.is_empty() {
            return refuse("a user claim must be defined on the role".into());
        }
        let is_bound = !self.bound_audiences.is_empty()
            || !self.bound_subject.is_empty()
            || !self.tokens.bound_cidrs.is_empty()
            || self
                .bound_claims
                .as_ref()
                .is_some_and(|claims| !claims.is_empty());
        if self.kind == RoleType::Jwt && !is_bound {
            return refuse(
                "must have at least one bound constraint when creating/updating a role".into(),
            );
        }
        if self.kind == RoleType::Oidc && self.browser.allowed_redirect_uris.is_empty() {
            return refuse(
                "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified."
                    .into(),
            );
        }
        self.bound_claims()?;
        let mut names = BTreeSet::new();
        for name in self.claim_mappings.values() {
            if name == "role" {
                return refuse(
                    "metadata key \"role\" is reserved and may not be a mapping destination".into(),
                );
            }
            if !names.insert(name) {
                return refuse(format!("multiple keys are mapped to metadata key {name:?}"));
            }
        }
        Ok(())
    }

    fn shown(&self) -> Map<String, Value> {
        let list = |list: &[String]| {
            if list.is_empty() {
                Value::Null
            } else {
                json!(list)
            }
        };
        let mappings = if self.claim_mappings.is_empty() {
            Value::Null
        } else {
            json!(self.claim_mappings)
        };
        let role_type = match self.kind {
            RoleType::Jwt => "jwt",
            RoleType::Oidc => "oidc",
        };
        let mut data = self.tokens.shown();
        for (name, value) in [
            (
                "allowed_redirect_uris",
                list(&self.browser.allowed_redirect_uris),
            ),
            ("bound_audiences", list(&self.bound_audiences)),
            ("bound_claims", json!(self.bound_claims)),
            ("bound_claims_type", self.bound_claims_type.name().into()),
            ("bound_subject", self.bound_subject.clone().into()),
            ("claim_mappings", mappings),
            ("clock_skew_leeway", self.clock_skew_leeway_secs.into()),
            ("expiration_leeway", self.expiration_leeway_secs.into()),
            ("groups_claim", self.groups_claim.clone().into()),
            ("max_age", self.browser.max_age_secs.into()),
            ("not_before_leeway", self.not_before_leeway_secs.into()),
            ("oidc_scopes", list(&self.browser.oidc_scopes)),
            ("role_type", role_type.into()),
            ("user_claim", self.user_claim.clone().into()),
            (
                "user_claim_json_pointer",
                self.user_claim_json_pointer.into(),
            ),
            ("verbose_oidc_logging", false.into()),
        ] {
            data.insert(name.into(), value);
        }
        data
    }
}

/// 0 is the default, a negative value none.
fn leeway(set: i64, default: u64) -> u64 {
    match set {
        0 => default,
        set => u64::try_from(set).unwrap_or(0),
    }
}

pub(super) struct List<K>(PhantomData<K>);

impl<K: Kind> Endpoint for List<K> {
    type Engine = JwtAuth<K>;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "role")];
    const HELP: &'static str = "Lists all the roles registered with the backend.";

    async fn handle(cx: Cx<'_, JwtAuth<K>>, params: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = params.bounds();
        Reply::keys(cx.engine.mount.view.keys("role/", after, limit).await?)
    }
}

params! {
    pub(super) struct NameParams {
        /// Name of the role.
        name: String,
    }
}

pub(super) struct Read<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Read<K> {
    type Engine = JwtAuth<K>;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "role/{name}")];
    const HELP: &'static str = "Read an existing role.";

    async fn handle(cx: Cx<'_, JwtAuth<K>>, params: NameParams) -> Result<Reply, ApiError> {
        match cx.engine.mount.role(&params.name).await? {
            None => Ok(Reply::nothing()),
            Some(stored) => Ok(Reply::map(stored.value.shown())),
        }
    }
}

pub(super) struct Write<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Write<K> {
    type Engine = JwtAuth<K>;
    type Params = WithToken<OwnParams>;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "role/{name}")];
    const HELP: &'static str = "Register a role with the backend, or change it.";
    const CREATES: bool = true;
    const ONE_COMMIT: bool = true;

    async fn handle(
        cx: Cx<'_, JwtAuth<K>>,
        params: WithToken<OwnParams>,
    ) -> Result<Reply, ApiError> {
        let mount = &cx.engine.mount;
        let path = role_path(&params.own.name)
            .ok_or_else(|| ApiError::bad_request("name of the role is too long"))?;
        let (mut role, expect) = match mount.role(&params.own.name).await? {
            Some(stored) => (stored.value, Expect::Version(stored.version)),
            None => (Role::default(), Expect::Absent),
        };
        let warnings = params.apply(&mut role, mount.settings.max_ttl_secs())?;
        let mut batch = Batch::default();
        mount.view.expect(&mut batch, &path, expect);
        mount.view.put_record(&mut batch, &path, &role)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }

    async fn exists(cx: Cx<'_, JwtAuth<K>>, captures: &Captures) -> Result<bool, ApiError> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(cx.engine.mount.role(name).await?.is_some())
    }
}

pub(super) struct Delete<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Delete<K> {
    type Engine = JwtAuth<K>;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "role/{name}")];
    const HELP: &'static str =
        "Delete an existing role. Tokens that it gave are not renewed any more.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, JwtAuth<K>>, params: NameParams) -> Result<Reply, ApiError> {
        if let Some(path) = role_path(&params.name) {
            let mount = &cx.engine.mount;
            let mut batch = Batch::default();
            mount.view.delete(&mut batch, &path);
            cx.commit(batch).await?;
        }
        Ok(Reply::nothing())
    }
}
