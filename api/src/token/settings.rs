//! What the role of a login method says of the tokens it gives: the same for all methods.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cidr::{parse_bound_cidrs, show_bound_cidrs};
use crate::engine::RenewTerms;
use crate::error::ApiError;
use crate::params::{CommaList, Seconds};
use crate::reply::{Grant, TokenType, address_allowed};
use crate::request::Request;

/// The part of a role that is about tokens, as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenSettings {
    pub bound_cidrs: Vec<IpNet>,
    pub explicit_max_ttl_secs: u64,
    pub max_ttl_secs: u64,
    pub no_default_policy: bool,
    /// 0 for unlimited.
    pub num_uses: u64,
    pub period_secs: u64,
    /// As written; brought to their one form at the login.
    pub policies: Vec<String>,
    pub strictly_bind_ip: bool,
    pub ttl_secs: u64,
    pub token_type: TokenType,
    old_names: OldNames,
}

/// Settings that were made under their old names are shown under these too.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct OldNames {
    bound_cidrs: bool,
    max_ttl: bool,
    num_uses: bool,
    period: bool,
    policies: bool,
    ttl: bool,
}

/// What a request sets of it; see [`role_params!`].
#[derive(Debug, Default)]
pub struct TokenParams {
    pub bound_cidrs: Option<CommaList>,
    pub max_ttl: Option<Seconds>,
    pub num_uses: Option<i64>,
    pub period: Option<Seconds>,
    pub policies: Option<CommaList>,
    pub ttl: Option<Seconds>,
    pub token_bound_cidrs: Option<CommaList>,
    pub token_explicit_max_ttl: Option<Seconds>,
    pub token_max_ttl: Option<Seconds>,
    pub token_no_default_policy: Option<bool>,
    pub token_num_uses: Option<i64>,
    pub token_period: Option<Seconds>,
    pub token_policies: Option<CommaList>,
    pub token_strictly_bind_ip: Option<bool>,
    pub token_ttl: Option<Seconds>,
    pub token_type: Option<String>,
}

/// Declares the parameters of a role, as [`crate::params::params!`] does: its own, then those on
/// tokens. `take_token_params` takes the latter out.
macro_rules! role_params {
    (
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $ty:ty ),* $(,)?
        }
    ) => {
        $crate::params::params! {
            $vis struct $name {
                $( $(#[doc = $doc])* $field: $ty, )*
                /// (DEPRECATED) Use "token_bound_cidrs" instead. If this and "token_bound_cidrs" are both specified, only "token_bound_cidrs" will be used.
                bound_cidrs: Option<$crate::params::CommaList>,
                /// (DEPRECATED) Use "token_max_ttl" instead. If this and "token_max_ttl" are both specified, only "token_max_ttl" will be used.
                max_ttl: Option<$crate::params::Seconds>,
                /// (DEPRECATED) Use "token_num_uses" instead. If this and "token_num_uses" are both specified, only "token_num_uses" will be used.
                num_uses: Option<i64>,
                /// (DEPRECATED) Use "token_period" instead. If this and "token_period" are both specified, only "token_period" will be used.
                period: Option<$crate::params::Seconds>,
                /// (DEPRECATED) Use "token_policies" instead. If this and "token_policies" are both specified, only "token_policies" will be used.
                policies: Option<$crate::params::CommaList>,
                /// (DEPRECATED) Use "token_ttl" instead. If this and "token_ttl" are both specified, only "token_ttl" will be used.
                ttl: Option<$crate::params::Seconds>,
                /// Comma separated string or JSON list of CIDR blocks. If set, specifies the blocks of IP addresses which are allowed to use the generated token.
                token_bound_cidrs: Option<$crate::params::CommaList>,
                /// If set, tokens created via this role carry an explicit maximum TTL. During renewal, the current maximum TTL values of the role and the mount are not checked for changes, and any updates to these values will have no effect on the token being renewed.
                token_explicit_max_ttl: Option<$crate::params::Seconds>,
                /// The maximum lifetime of the generated token
                token_max_ttl: Option<$crate::params::Seconds>,
                /// If true, the 'default' policy will not automatically be added to generated tokens
                token_no_default_policy: Option<bool>,
                /// The maximum number of times a token may be used, a value of zero means unlimited
                token_num_uses: Option<i64>,
                /// If set, tokens created via this role will have no max lifetime; instead, their renewal period will be fixed to this value. This takes an integer number of seconds, or a string duration (e.g. "24h").
                token_period: Option<$crate::params::Seconds>,
                /// Comma-separated list of policies
                token_policies: Option<$crate::params::CommaList>,
                /// If true, CIDRs for the token will be strictly bound to the source IP address of the login request
                token_strictly_bind_ip: Option<bool>,
                /// The initial ttl of the token to generate
                token_ttl: Option<$crate::params::Seconds>,
                /// The type of token to generate, service or batch
                token_type: Option<String>,
            }
        }

        impl $name {
            fn take_token_params(&mut self) -> $crate::token::TokenParams {
                $crate::token::TokenParams {
                    bound_cidrs: self.bound_cidrs.take(),
                    max_ttl: self.max_ttl.take(),
                    num_uses: self.num_uses.take(),
                    period: self.period.take(),
                    policies: self.policies.take(),
                    ttl: self.ttl.take(),
                    token_bound_cidrs: self.token_bound_cidrs.take(),
                    token_explicit_max_ttl: self.token_explicit_max_ttl.take(),
                    token_max_ttl: self.token_max_ttl.take(),
                    token_no_default_policy: self.token_no_default_policy.take(),
                    token_num_uses: self.token_num_uses.take(),
                    token_period: self.token_period.take(),
                    token_policies: self.token_policies.take(),
                    token_strictly_bind_ip: self.token_strictly_bind_ip.take(),
                    token_ttl: self.token_ttl.take(),
                    token_type: self.token_type.take(),
                }
            }
        }
    };
}
pub(crate) use role_params;

impl TokenSettings {
    /// Sets what is given, checks the whole and returns warnings.
    pub fn apply(&mut self, params: TokenParams) -> Result<Vec<String>, ApiError> {
        let mut warnings = Vec::new();
        self.set_policies(params.policies, params.token_policies)?;
        let old = &mut self.old_names;
        let given = newer(
            params.bound_cidrs,
            params.token_bound_cidrs,
            &mut old.bound_cidrs,
        );
        if let Some(cidrs) = given {
            self.bound_cidrs = parse_bound_cidrs(&cidrs.0)?;
        }
        let given = newer(params.num_uses, params.token_num_uses, &mut old.num_uses);
        if let Some(count) = given {
            self.num_uses = u64::try_from(count)
                .map_err(|_| ApiError::bad_request("'token_num_uses' cannot be negative"))?;
        }
        for (target, given) in [
            (
                &mut self.max_ttl_secs,
                newer(params.max_ttl, params.token_max_ttl, &mut old.max_ttl),
            ),
            (
                &mut self.period_secs,
                newer(params.period, params.token_period, &mut old.period),
            ),
            (
                &mut self.ttl_secs,
                newer(params.ttl, params.token_ttl, &mut old.ttl),
            ),
            (
                &mut self.explicit_max_ttl_secs,
                params.token_explicit_max_ttl,
            ),
        ] {
            *target = given.map_or(*target, |given| given.0);
        }
        for (target, given) in [
            (&mut self.no_default_policy, params.token_no_default_policy),
            (&mut self.strictly_bind_ip, params.token_strictly_bind_ip),
        ] {
            *target = given.unwrap_or(*target);
        }
        if let Some(text) = params.token_type {
            self.token_type = read_token_type(&text, &mut warnings)?;
        }
        self.check()?;
        Ok(warnings)
    }

    fn set_policies(
        &mut self,
        old: Option<CommaList>,
        new: Option<CommaList>,
    ) -> Result<(), ApiError> {
        let is_old = new.is_none();
        if let Some(given) = newer(old, new, &mut self.old_names.policies) {
            self.policies = if is_old {
                crate::acl::sanitize_policy_names(&given.0)
                    .map_err(|error| ApiError::bad_request(error.to_string()))?
            } else {
                given.0
            };
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::bad_request(text));
        if self.max_ttl_secs > 0 && self.ttl_secs > self.max_ttl_secs {
            return refuse("'token_ttl' cannot be greater than 'token_max_ttl'");
        }
        if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            return refuse(
                "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
            );
        }
        if self.token_type == TokenType::Batch {
            let purpose = match (self.period_secs, self.num_uses) {
                (1.., _) => "periodic tokens",
                (0, 1..) => "tokens with limited use count",
                (0, 0) => return Ok(()),
            };
            return refuse(&format!(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate {purpose}"
            ));
        }
        Ok(())
    }

    /// Adds what reading the role shows.
    pub fn show(&self, data: &mut Map<String, Value>) {
        let cidrs = show_bound_cidrs(&self.bound_cidrs);
        let old = self.old_names;
        for (name, old_name, is_shown_old, value) in [
            (
                "token_bound_cidrs",
                "bound_cidrs",
                old.bound_cidrs,
                Value::from(cidrs),
            ),
            (
                "token_max_ttl",
                "max_ttl",
                old.max_ttl,
                self.max_ttl_secs.into(),
            ),
            (
                "token_num_uses",
                "num_uses",
                old.num_uses,
                self.num_uses.into(),
            ),
            (
                "token_period",
                "period",
                old.period,
                self.period_secs.into(),
            ),
            (
                "token_policies",
                "policies",
                old.policies,
                self.policies.clone().into(),
            ),
            ("token_ttl", "ttl", old.ttl, self.ttl_secs.into()),
        ] {
            if is_shown_old {
                data.insert(old_name.into(), value.clone());
            }
            data.insert(name.into(), value);
        }
        for (name, value) in [
            (
                "token_explicit_max_ttl",
                Value::from(self.explicit_max_ttl_secs),
            ),
            ("token_no_default_policy", self.no_default_policy.into()),
            ("token_strictly_bind_ip", self.strictly_bind_ip.into()),
            ("token_type", self.token_type.name().into()),
        ] {
            data.insert(name.into(), value);
        }
    }

    /// Refuses a login from an address that could not use the token.
    pub fn check_source(&self, request: &Request) -> Result<(), ApiError> {
        if address_allowed(&self.bound_cidrs, source(request)) {
            Ok(())
        } else {
            Err(ApiError::permission_denied())
        }
    }

    /// A token for `alias`, who is called `name`; whoever logs in adds the rest.
    #[must_use]
    pub fn grant(&self, request: &Request, alias: String, name: &str) -> Grant {
        let bound_cidrs = if self.strictly_bind_ip {
            vec![IpNet::from(source(request))]
        } else {
            self.bound_cidrs.clone()
        };
        Grant {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            display_name: display_name(&request.mount.path, name),
            alias,
            ttl_secs: self.ttl_secs,
            max_ttl_secs: self.max_ttl_secs,
            explicit_max_ttl_secs: self.explicit_max_ttl_secs,
            period_secs: self.period_secs,
            num_uses: self.num_uses,
            bound_cidrs,
            token_type: self.token_type,
            renewable: true,
            ..Grant::default()
        }
    }

    #[must_use]
    pub fn renew_terms(&self) -> RenewTerms {
        RenewTerms {
            ttl_secs: self.ttl_secs,
            max_ttl_secs: self.max_ttl_secs,
            period_secs: self.period_secs,
        }
    }
}

fn source(request: &Request) -> IpAddr {
    request.call.peer.address.ip().to_canonical()
}

/// `auth/team/ci/` and `bob` as `team-ci-bob`.
fn display_name(mount_path: &str, name: &str) -> String {
    let path = mount_path.strip_prefix("auth/").unwrap_or(mount_path);
    let mount = path.trim_end_matches('/').replace('/', "-");
    format!("{mount}-{name}")
}

/// The value under the new name wins; `is_old` notes whether there was one under the old.
fn newer<T>(old: Option<T>, new: Option<T>, is_old: &mut bool) -> Option<T> {
    if old.is_some() || new.is_some() {
        *is_old = old.is_some();
    }
    new.or(old)
}

fn read_token_type(text: &str, warnings: &mut Vec<String>) -> Result<TokenType, ApiError> {
    let read = TokenType::parse(text)
        .ok_or_else(|| ApiError::bad_request(format!("invalid 'token_type' value {text:?}")))?;
    let adjusted = match read {
        TokenType::DefaultBatch => TokenType::Batch,
        TokenType::DefaultService => TokenType::Service,
        other => return Ok(other),
    };
    let name = adjusted.name();
    warnings.push(format!("{text} has no useful meaning; adjusting to {name}"));
    Ok(adjusted)
}
