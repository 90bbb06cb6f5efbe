//! The `token_…` parameters that users and roles of auth methods have in common, and the tokens
//! they stand for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::RenewTerms;
use crate::error::ApiError;
use crate::params::{CommaList, Field, FieldKind, Seconds, params};
use crate::reply::{Grant, TokenType, address_allowed};
use crate::time::go_duration;
use crate::token::{parse_bound_cidrs, show_bound_cidrs};

/// What tokens a user or role gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenSettings {
    bound_cidrs: Vec<IpNet>,
    explicit_max_ttl_secs: u64,
    max_ttl_secs: u64,
    no_default_policy: bool,
    num_uses: u64,
    period_secs: u64,
    /// As written; brought to their one form at the login.
    policies: Vec<String>,
    strictly_bind_ip: bool,
    ttl_secs: u64,
    token_type: TokenType,
    /// Old names of parameters that were used, and are therefore shown too.
    old_names: BTreeSet<OldName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OldName {
    BoundCidrs,
    MaxTtl,
    NumUses,
    Period,
    Policies,
    Ttl,
}

params! {
    /// To be taken beside the parameters of the method itself; see [`joined`].
    pub(crate) struct TokenFields {
        /// Deprecated: use "token_bound_cidrs".
        bound_cidrs: Option<CommaList>,
        /// Deprecated: use "token_max_ttl".
        max_ttl: Option<Seconds>,
        /// Deprecated: use "token_num_uses".
        num_uses: Option<i64>,
        /// Deprecated: use "token_period".
        period: Option<Seconds>,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Comma separated string or JSON list of CIDR blocks. If set, specifies the blocks of IP addresses which are allowed to use the generated token.
        token_bound_cidrs: Option<CommaList>,
        /// If set, tokens created via this role carry an explicit maximum TTL. During renewal, the current maximum TTL values of the role and the mount are not checked for changes, and any updates to these values will have no effect on the token being renewed.
        token_explicit_max_ttl: Option<Seconds>,
        /// The maximum lifetime of the generated token
        token_max_ttl: Option<Seconds>,
        /// If true, the 'default' policy will not automatically be added to generated tokens
        token_no_default_policy: Option<bool>,
        /// The maximum number of times a token may be used, a value of zero means unlimited
        token_num_uses: Option<i64>,
        /// If set, tokens created via this role will have no max lifetime; instead, their renewal period will be fixed to this value. This takes an integer number of seconds, or a string duration (e.g. "24h").
        token_period: Option<Seconds>,
        /// Comma-separated list of policies
        token_policies: Option<CommaList>,
        /// If true, the generated token may be used only from the address that logged in.
        token_strictly_bind_ip: Option<bool>,
        /// The initial ttl of the token to generate
        token_ttl: Option<Seconds>,
        /// The type of token to generate, service or batch
        token_type: Option<String>,
        /// Deprecated: use "token_ttl".
        ttl: Option<Seconds>,
    }
}

/// The parameters of a method itself and the common ones as one table.
pub(crate) const fn joined<const N: usize>(mut own: &[Field], mut common: &[Field]) -> [Field; N] {
    let mut all = [Field::new("", FieldKind::Any, ""); N];
    let mut places: &mut [Field] = &mut all;
    loop {
        let next = if let Some((next, rest)) = own.split_first() {
            own = rest;
            *next
        } else if let Some((next, rest)) = common.split_first() {
            common = rest;
            *next
        } else {
            return all;
        };
        match places.split_first_mut() {
            Some((place, rest)) => {
                *place = next;
                places = rest;
            }
            None => return all,
        }
    }
}

impl TokenFields {
    /// Takes an even older name of `ttl`.
    pub(crate) fn or_ttl(&mut self, lease: Option<Seconds>) {
        self.ttl = self.ttl.or(lease);
    }

    /// Sets on `settings` what is given, checks the whole and returns warnings. `max_ttl_secs` is
    /// the mount's.
    pub(crate) fn apply(
        self,
        settings: &mut TokenSettings,
        max_ttl_secs: u64,
    ) -> Result<Vec<String>, ApiError> {
        let mut warnings = Vec::new();
        let old_names = &mut settings.old_names;
        let ranges = chosen(
            old_names,
            OldName::BoundCidrs,
            self.bound_cidrs,
            self.token_bound_cidrs,
        );
        let max_ttl = chosen(old_names, OldName::MaxTtl, self.max_ttl, self.token_max_ttl);
        let num_uses = chosen(
            old_names,
            OldName::NumUses,
            self.num_uses,
            self.token_num_uses,
        );
        let period = chosen(old_names, OldName::Period, self.period, self.token_period);
        let policies = chosen(
            old_names,
            OldName::Policies,
            self.policies,
            self.token_policies,
        );
        let ttl = chosen(old_names, OldName::Ttl, self.ttl, self.token_ttl);
        if let Some(CommaList(ranges)) = ranges {
            settings.bound_cidrs = parse_bound_cidrs(&ranges)?;
        }
        if let Some(CommaList(policies)) = policies {
            settings.policies = policies;
        }
        if let Some(text) = self.token_type {
            settings.token_type = read_token_type(&text, &mut warnings)?;
        }
        if let Some(count) = num_uses {
            settings.num_uses = u64::try_from(count)
                .map_err(|_| ApiError::bad_request("'token_num_uses' cannot be negative"))?;
        }
        set(
            &mut settings.no_default_policy,
            self.token_no_default_policy,
        );
        set(&mut settings.strictly_bind_ip, self.token_strictly_bind_ip);
        set_secs(
            &mut settings.explicit_max_ttl_secs,
            self.token_explicit_max_ttl,
        );
        set_secs(&mut settings.max_ttl_secs, max_ttl);
        set_secs(&mut settings.period_secs, period);
        set_secs(&mut settings.ttl_secs, ttl);
        settings.check(max_ttl_secs)?;
        if max_ttl.is_some() && settings.max_ttl_secs > max_ttl_secs {
            warnings.push(
                "token_max_ttl is greater than the backend mount's maximum TTL value; issued \
                 tokens' max TTL value will be truncated"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

impl TokenSettings {
    /// What reading the user or role shows.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let ranges = || Value::from(show_bound_cidrs(&self.bound_cidrs));
        let policies = || Value::from(self.policies.clone());
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| data.insert(name.into(), value);
        put("token_bound_cidrs", ranges());
        put("token_explicit_max_ttl", self.explicit_max_ttl_secs.into());
        put("token_max_ttl", self.max_ttl_secs.into());
        put("token_no_default_policy", self.no_default_policy.into());
        put("token_num_uses", self.num_uses.into());
        put("token_period", self.period_secs.into());
        put("token_policies", policies());
        put("token_strictly_bind_ip", self.strictly_bind_ip.into());
        put("token_ttl", self.ttl_secs.into());
        put("token_type", self.token_type.name().into());
        for name in &self.old_names {
            match name {
                OldName::BoundCidrs if !self.bound_cidrs.is_empty() => put("bound_cidrs", ranges()),
                OldName::MaxTtl if self.max_ttl_secs > 0 => {
                    put("max_ttl", self.max_ttl_secs.into())
                }
                OldName::NumUses if self.num_uses > 0 => put("num_uses", self.num_uses.into()),
                OldName::Period if self.period_secs > 0 => put("period", self.period_secs.into()),
                OldName::Policies if !self.policies.is_empty() => put("policies", policies()),
                OldName::Ttl if self.ttl_secs > 0 => put("ttl", self.ttl_secs.into()),
                _ => None,
            };
        }
        data
    }

    /// The token of a login from `source`. What names the caller is for the method to add.
    ///
    /// # Errors
    /// `Forbidden` from an address whose tokens could not be used.
    pub(crate) fn grant(&self, source: IpAddr) -> Result<Grant, ApiError> {
        let source = source.to_canonical();
        if !address_allowed(&self.bound_cidrs, source) {
            return Err(ApiError::permission_denied());
        }
        Ok(Grant {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            ttl_secs: self.ttl_secs,
            max_ttl_secs: self.max_ttl_secs,
            explicit_max_ttl_secs: self.explicit_max_ttl_secs,
            period_secs: self.period_secs,
            num_uses: self.num_uses,
            bound_cidrs: if self.strictly_bind_ip {
                vec![IpNet::from(source)]
            } else {
                self.bound_cidrs.clone()
            },
            token_type: self.token_type,
            renewable: true,
            ..Grant::default()
        })
    }

    pub(crate) fn renew_terms(&self) -> RenewTerms {
        RenewTerms {
            ttl_secs: self.ttl_secs,
            max_ttl_secs: self.max_ttl_secs,
            period_secs: self.period_secs,
        }
    }

    /// The policies in one form, to find out later whether they were changed.
    pub(crate) fn policies_text(&self) -> String {
        let names = self.policies.iter().map(|name| name.trim().to_lowercase());
        let names: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
        names.into_iter().collect::<Vec<_>>().join(",")
    }

    fn check(&self, max_ttl_secs: u64) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::bad_request(text));
        if self.max_ttl_secs > 0 && self.ttl_secs > self.max_ttl_secs {
            return refuse("'token_ttl' cannot be greater than 'token_max_ttl'");
        }
        if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            return refuse(
                "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
            );
        }
        if self.token_type == TokenType::Batch && (self.period_secs > 0 || self.num_uses > 0) {
            let purpose = if self.period_secs > 0 {
                "periodic tokens"
            } else {
                "tokens with limited use count"
            };
            return refuse(&format!(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate {purpose}"
            ));
        }
        if self.period_secs > max_ttl_secs {
            return refuse(&format!(
                "period of {:?} is greater than the backend's maximum lease TTL of {:?}",
                go_duration(self.period_secs),
                go_duration(max_ttl_secs)
            ));
        }
        Ok(())
    }
}

/// What a token of a login is called: `auth/team/users/` and `alice` give `team-users-alice`.
pub(crate) fn display_name(mount_path: &str, name: &str) -> String {
    let path = mount_path.strip_prefix("auth/").unwrap_or(mount_path);
    format!("{}-{name}", path.trim_end_matches('/').replace('/', "-"))
}

/// The value under the new name, or else the one under the old, which is remembered.
fn chosen<T>(
    old_names: &mut BTreeSet<OldName>,
    name: OldName,
    old: Option<T>,
    new: Option<T>,
) -> Option<T> {
    if old.is_some() {
        old_names.insert(name);
    } else if new.is_some() {
        old_names.remove(&name);
    }
    new.or(old)
}

fn read_token_type(text: &str, warnings: &mut Vec<String>) -> Result<TokenType, ApiError> {
    let given = TokenType::parse(text)
        .ok_or_else(|| ApiError::bad_request(format!("invalid 'token_type' value {text:?}")))?;
    let useful = match given {
        TokenType::DefaultBatch => TokenType::Batch,
        TokenType::DefaultService => TokenType::Service,
        other => return Ok(other),
    };
    warnings.push(format!(
        "{text} has no useful meaning; adjusting to {}",
        useful.name()
    ));
    Ok(useful)
}

fn set(target: &mut bool, given: Option<bool>) {
    *target = given.unwrap_or(*target);
}

fn set_secs(target: &mut u64, given: Option<Seconds>) {
    *target = given.map_or(*target, |given| given.0);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::params::Params;

    const DAY: u64 = 86_400;

    fn applied(settings: &mut TokenSettings, data: &Value) -> Result<Vec<String>, String> {
        let mut data = data.as_object().unwrap().clone();
        let fields = TokenFields::take(&mut data).ok().unwrap();
        fields
            .apply(settings, DAY)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn old_names_are_shown_when_they_were_used() {
        let mut settings = TokenSettings::default();
        let old =
            json!({"policies": "a,b", "ttl": "5m", "max_ttl": 600, "bound_cidrs": "127.0.0.1"});
        assert_eq!(applied(&mut settings, &old), Ok(vec![]));
        let shown = settings.shown();
        assert_eq!(shown["policies"], json!(["a", "b"]));
        assert_eq!(shown["token_policies"], json!(["a", "b"]));
        assert_eq!(
            (&shown["ttl"], &shown["max_ttl"]),
            (&json!(300), &json!(600))
        );
        assert_eq!(shown["bound_cidrs"], json!(["127.0.0.1"]));
        assert_eq!(
            applied(&mut settings, &json!({"token_policies": "c"})),
            Ok(vec![])
        );
        assert!(!settings.shown().contains_key("policies"));
        assert!(
            settings.shown().contains_key("ttl"),
            "what is not given stays"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (data, text) in [
            (
                json!({"token_ttl": 2, "token_max_ttl": 1}),
                "'token_ttl' cannot be greater than 'token_max_ttl'",
            ),
            (
                json!({"token_type": "batch", "token_period": 60}),
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic \
                 tokens",
            ),
            (
                json!({"token_type": "batch", "token_num_uses": 1}),
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens \
                 with limited use count",
            ),
            (
                json!({"token_num_uses": -1}),
                "'token_num_uses' cannot be negative",
            ),
            (
                json!({"token_type": "x"}),
                "invalid 'token_type' value \"x\"",
            ),
            (
                json!({"token_strictly_bind_ip": true, "token_bound_cidrs": "::1"}),
                "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
            ),
            (
                json!({"token_period": DAY + 1}),
                "period of \"24h0m1s\" is greater than the backend's maximum lease TTL of \
                 \"24h0m0s\"",
            ),
        ] {
            let refused = applied(&mut TokenSettings::default(), &data);
            assert_eq!(refused, Err(text.to_owned()), "{data}");
        }
    }

    #[test]
    fn a_login_from_elsewhere_gets_nothing() {
        let mut settings = TokenSettings::default();
        applied(&mut settings, &json!({"token_bound_cidrs": "10.0.0.0/8"})).unwrap();
        assert!(settings.grant("10.1.2.3".parse().unwrap()).is_ok());
        assert!(settings.grant("::ffff:10.1.2.3".parse().unwrap()).is_ok());
        assert!(settings.grant("11.1.2.3".parse().unwrap()).is_err());
        let mut settings = TokenSettings::default();
        applied(&mut settings, &json!({"token_strictly_bind_ip": true})).unwrap();
        let grant = settings.grant("11.1.2.3".parse().unwrap()).ok().unwrap();
        assert_eq!(show_bound_cidrs(&grant.bound_cidrs), ["11.1.2.3"]);
    }
}
