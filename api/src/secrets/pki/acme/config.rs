//! `config/acme`: whether there is ACME, for which roles and issuers, and for whom.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::json;
use signet_storage::{Batch, Expect, Record};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{CommaList, NoParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::directory::usable_role;
use crate::secrets::pki::state::State;

pub(in crate::secrets::pki) const ACME_CONFIG: &str = "config/acme";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::secrets::pki) struct AcmeConfig {
    pub(super) enabled: bool,
    pub(super) default_policy: DefaultPolicy,
    /// Names, or `*` alone.
    allowed_roles: Vec<String>,
    /// References, or `*` alone.
    allowed_issuers: Vec<String>,
    pub(super) allow_role_ext_key_usage: bool,
    /// `None`: names are looked up as this machine does it.
    pub(super) dns_resolver: Option<SocketAddr>,
    pub(super) eab_policy: EabPolicy,
}

impl Record for AcmeConfig {
    const FORMAT: u8 = 1;
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            default_policy: DefaultPolicy::SignVerbatim,
            allowed_roles: vec![ANY.to_owned()],
            allowed_issuers: vec![ANY.to_owned()],
            allow_role_ext_key_usage: false,
            dns_resolver: None,
            eab_policy: EabPolicy::Nobody,
        }
    }
}

const ANY: &str = "*";

/// What holds where the path names no role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DefaultPolicy {
    Forbid,
    Role(String),
    SignVerbatim,
}

impl DefaultPolicy {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "forbid" => Ok(Self::Forbid),
            "sign-verbatim" => Ok(Self::SignVerbatim),
            _ => match text.strip_prefix("role:") {
                Some("") => Err(refused(
                    "invalid default_directory_policy: no role specified by policy role:",
                )),
                Some(role) => Ok(Self::Role(role.to_owned())),
                None => Err(refused(format!(
                    "invalid default_directory_policy: string {text} not a valid Default \
                     Directory Policy"
                ))),
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Forbid => "forbid".to_owned(),
            Self::Role(role) => format!("role:{role}"),
            Self::SignVerbatim => "sign-verbatim".to_owned(),
        }
    }
}

/// Whose accounts have to be bound to somebody who is known elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::secrets::pki) enum EabPolicy {
    /// Everybody's, also of those that are there already.
    #[serde(rename = "always-required")]
    All,
    /// Those that are made from now on.
    #[serde(rename = "new-account-required")]
    New,
    #[serde(rename = "not-required")]
    Nobody,
}

impl EabPolicy {
    const ALL: [Self; 3] = [Self::Nobody, Self::New, Self::All];

    fn name(self) -> &'static str {
        match self {
            Self::All => "always-required",
            Self::New => "new-account-required",
            Self::Nobody => "not-required",
        }
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| {
            refused(
                "invalid eab policy name provided, valid values are 'not-required', \
                 'new-account-required', 'always-required'",
            )
        })
    }
}

impl AcmeConfig {
    /// Is there ACME? Where nobody unknown may have certificates, only with accounts that are bound.
    pub(super) fn is_active(&self, cx: Cx<'_, Pki>) -> bool {
        self.enabled && !self.is_public_against_orders(cx)
    }

    fn is_public_against_orders(&self, cx: Cx<'_, Pki>) -> bool {
        cx.engine.env.environment.is_public_acme_disabled && self.eab_policy != EabPolicy::All
    }

    pub(super) fn allows_role(&self, name: &str) -> bool {
        self.allowed_roles
            .iter()
            .any(|allowed| allowed == ANY || allowed == name)
    }

    pub(super) fn allows_issuer(&self, state: &State, id: &str) -> bool {
        self.allowed_issuers.iter().any(|allowed| {
            let is_it = |reference: &str| {
                let found = state.issuer(reference);
                found.is_ok_and(|issuer| issuer.record.id == id)
            };
            allowed == ANY || is_it(allowed)
        })
    }

    async fn check(&self, cx: Cx<'_, Pki>, state: &State) -> Result<(), ApiError> {
        check_any_is_alone(&self.allowed_roles, "allowed_roles", "role")?;
        for name in self.allowed_roles.iter().filter(|name| *name != ANY) {
            if let Err(problem) = usable_role(cx, name).await? {
                let text = format!(
                    "allowed_role {name} is not a valid acme role: {}",
                    problem.detail
                );
                return Err(refused(text));
            }
        }
        check_any_is_alone(&self.allowed_issuers, "allowed_issuers", "issuer")?;
        for reference in self.allowed_issuers.iter().filter(|name| *name != ANY) {
            state.issuer(reference).map_err(|error| {
                refused(format!(
                    "failed validating allowed_issuers: unable to fetch issuer: {reference}: \
                     {error}"
                ))
            })?;
        }
        if let DefaultPolicy::Role(name) = &self.default_policy {
            if !self.allows_role(name) {
                return Err(refused(format!(
                    "default directory policy role:{name} was not specified in allowed_roles: [{}]",
                    self.allowed_roles.join(" ")
                )));
            }
            if let Err(problem) = usable_role(cx, name).await? {
                return Err(refused(format!(
                    "default directory policy role {name} is not a valid ACME role: {}",
                    problem.detail
                )));
            }
        }
        if self.enabled && state.cluster.path.is_empty() {
            return Err(refused(
                "ACME feature requires local cluster 'path' field configuration to be set",
            ));
        }
        if self.enabled && self.is_public_against_orders(cx) {
            return Err(ApiError::bad_request(
                "BAO_DISABLE_PUBLIC_ACME env var is enabled, ACME EAB policy needs to be \
                 'always-required' with ACME enabled",
            ));
        }
        Ok(())
    }

    fn reply(&self) -> Result<Reply, ApiError> {
        Reply::data(json!({
            "allow_role_ext_key_usage": self.allow_role_ext_key_usage,
            "allowed_issuers": self.allowed_issuers,
            "allowed_roles": self.allowed_roles,
            "default_directory_policy": self.default_policy.show(),
            "dns_resolver": self.dns_resolver.map(|it| it.to_string()).unwrap_or_default(),
            "eab_policy": self.eab_policy.name(),
            "enabled": self.enabled,
        }))
    }
}

fn check_any_is_alone(list: &[String], field: &str, kind: &str) -> Result<(), ApiError> {
    if list.is_empty() {
        return Err(refused(format!(
            "{field} must take a non-zero length value; specify '*' as the value to allow \
             anything or specify enabled=false to disable ACME entirely"
        )));
    }
    match list.iter().position(|name| name == ANY) {
        Some(index) if list.len() > 1 => Err(refused(format!(
            "cannot use '*' as {kind} name at index {index}"
        ))),
        _ => Ok(()),
    }
}

/// An address and a port; empty for none.
fn parse_resolver(text: &str) -> Result<Option<SocketAddr>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let host_and_port = text.rsplit_once(':');
        let detail = match host_and_port {
            None => format!("address {text}: missing port in address"),
            Some((host, _))
                if host
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok() =>
            {
                format!("address {text}: invalid port")
            }
            Some(_) => "expected IPv4/IPv6 address, likely got hostname".to_owned(),
        };
        refused(format!("failed to parse DNS resolver address: {detail}"))
    })
}

fn refused(text: impl Into<String>) -> ApiError {
    ApiError::listed(ErrorKind::BadRequest, text)
}

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, ACME_CONFIG)];
    const HELP: &'static str = "Read whether and how certificates can be had over ACME.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        cx.engine.state.state().await?.acme.reply()
    }
}

params! {
    pub(in crate::secrets::pki) struct ConfigParams {
        /// Whether there is ACME at all; needs config/cluster.
        enabled: Option<bool>,
        /// What holds where the path names no role: `forbid`, `sign-verbatim` or `role:` and a name.
        default_directory_policy: Option<String>,
        /// Names of the roles with which certificates can be had; `*` for all.
        allowed_roles: Option<CommaList>,
        /// References to the issuers from which certificates can be had; `*` for all.
        allowed_issuers: Option<CommaList>,
        /// Let certificates have the extended key usages of the role, not only that of servers.
        allow_role_ext_key_usage: Option<bool>,
        /// Address and port of the DNS server that is asked in challenges; empty for the machine's.
        dns_resolver: Option<String>,
        /// Who needs a key from new-eab: `not-required`, `new-account-required` or
        /// `always-required`.
        eab_policy: Option<String>,
    }
}

pub(in crate::secrets::pki) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = ConfigParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, ACME_CONFIG)];
    const HELP: &'static str = "Set whether and how certificates can be had over ACME.";

    async fn handle(cx: Cx<'_, Pki>, params: ConfigParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let stored = view.record::<AcmeConfig>(ACME_CONFIG).await?;
        let expect = stored
            .as_ref()
            .map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let mut config = stored.map(|stored| stored.value).unwrap_or_default();
        params.apply(&mut config)?;
        config.check(cx, &*cx.engine.state.state().await?).await?;
        let mut batch = Batch::default();
        view.expect(&mut batch, ACME_CONFIG, expect);
        view.put_record(&mut batch, ACME_CONFIG, &config)?;
        cx.commit(batch).await?;
        config.reply()
    }
}

impl ConfigParams {
    fn apply(self, config: &mut AcmeConfig) -> Result<(), ApiError> {
        if let Some(enabled) = self.enabled {
            config.enabled = enabled;
        }
        if let Some(CommaList(roles)) = self.allowed_roles {
            config.allowed_roles = roles;
        }
        if let Some(policy) = self.default_directory_policy {
            config.default_policy = DefaultPolicy::parse(&policy)?;
        }
        if let Some(CommaList(issuers)) = self.allowed_issuers {
            config.allowed_issuers = issuers;
        }
        if let Some(allow) = self.allow_role_ext_key_usage {
            config.allow_role_ext_key_usage = allow;
        }
        if let Some(resolver) = self.dns_resolver {
            config.dns_resolver = parse_resolver(&resolver)?;
        }
        if let Some(policy) = self.eab_policy {
            config.eab_policy = EabPolicy::parse(&policy)?;
        }
        Ok(())
    }
}
