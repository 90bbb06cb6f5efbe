//! The `token_…` parameters that users and roles of auth methods have in common, and the tokens
//! they stand for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::acl::sanitize_policy_names;
use crate::engine::RenewTerms;
use crate::error::ApiError;
use crate::params::{CommaList, Joined, Seconds, params};
use crate::reply::{Grant, TokenType, address_allowed};
use crate::token::{parse_bound_cidrs, show_bound_cidrs};

/// What tokens a user or role gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenSettings {
    pub(crate) bound_cidrs: Vec<IpNet>,
    pub(crate) explicit_max_ttl_secs: u64,
    pub(crate) max_ttl_secs: u64,
    pub(crate) no_default_policy: bool,
    /// 0 for unlimited.
    pub(crate) num_uses: u64,
    pub(crate) period_secs: u64,
    /// As written; brought to their one form at the login.
    pub(crate) policies: Vec<String>,
    pub(crate) strictly_bind_ip: bool,
    pub(crate) ttl_secs: u64,
    pub(crate) token_type: TokenType,
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
    #[derive(Default)]
    #[expect(clippy::struct_field_names, reason = "the names are those of the parameters")]
    pub(crate) struct TokenFields {
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
    }
}

/// What is given under the old names that a method still takes; the new name of each wins.
#[derive(Debug, Default)]
pub(crate) struct OldFields {
    pub(crate) bound_cidrs: Option<CommaList>,
    pub(crate) max_ttl: Option<Seconds>,
    pub(crate) num_uses: Option<i64>,
    pub(crate) period: Option<Seconds>,
    pub(crate) policies: Option<CommaList>,
    pub(crate) ttl: Option<Seconds>,
}

/// Parameters of a method's own beside those on tokens.
pub(crate) type WithToken<P> = Joined<P, TokenFields>;

impl TokenFields {
    /// Sets on `settings` what is given and refuses what does not fit together. Whether lifetimes
    /// that came under old names fit, and how the mount bounds them, is for the method to say.
    pub(crate) fn apply(
        self,
        old: OldFields,
        settings: &mut TokenSettings,
    ) -> Result<(), ApiError> {
        settings.note_old_names(&old, &self);
        // What is new is checked before what is old is looked at.
        let old = OldFields {
            bound_cidrs: old.bound_cidrs.filter(|_| self.token_bound_cidrs.is_none()),
            max_ttl: old.max_ttl.filter(|_| self.token_max_ttl.is_none()),
            num_uses: old.num_uses.filter(|_| self.token_num_uses.is_none()),
            period: old.period.filter(|_| self.token_period.is_none()),
            policies: old.policies.filter(|_| self.token_policies.is_none()),
            ttl: old.ttl.filter(|_| self.token_ttl.is_none()),
        };
        if let Some(given) = self.token_bound_cidrs {
            settings.bound_cidrs = parse_bound_cidrs(&given.0)?;
        }
        if let Some(given) = self.token_policies {
            settings.policies = given.0;
        }
        if let Some(text) = self.token_type {
            settings.token_type = read_token_type(&text)?;
        }
        if let Some(given) = self.token_num_uses {
            settings.num_uses = read_num_uses(given)?;
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
        set_secs(&mut settings.max_ttl_secs, self.token_max_ttl);
        set_secs(&mut settings.period_secs, self.token_period);
        set_secs(&mut settings.ttl_secs, self.token_ttl);
        settings.check_type()?;
        if settings.ttl_exceeds_max() {
            return Err(ApiError::bad_request(
                "'token_ttl' cannot be greater than 'token_max_ttl'",
            ));
        }
        settings.check_addresses()?;
        old.apply(settings)
    }
}

impl OldFields {
    fn apply(self, settings: &mut TokenSettings) -> Result<(), ApiError> {
        if let Some(given) = self.bound_cidrs {
            settings.bound_cidrs = parse_bound_cidrs(&given.0)?;
        }
        if let Some(given) = self.policies {
            settings.policies = given.0;
            settings.sanitize_policies()?;
        }
        if let Some(given) = self.num_uses {
            settings.num_uses = read_num_uses(given)?;
        }
        set_secs(&mut settings.max_ttl_secs, self.max_ttl);
        set_secs(&mut settings.period_secs, self.period);
        set_secs(&mut settings.ttl_secs, self.ttl);
        settings.check_type()?;
        settings.check_addresses()
    }
}

impl TokenSettings {
    /// What reading the user or role shows.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| data.insert(name.into(), value);
        put("token_explicit_max_ttl", self.explicit_max_ttl_secs.into());
        put("token_no_default_policy", self.no_default_policy.into());
        put("token_strictly_bind_ip", self.strictly_bind_ip.into());
        put("token_type", self.token_type.name().into());
        for name in [
            OldName::BoundCidrs,
            OldName::MaxTtl,
            OldName::NumUses,
            OldName::Ttl,
        ] {
            data.extend(self.shown_twice(name));
        }
        data.extend(self.shown_period());
        data.extend(self.shown_policies());
        data
    }

    pub(crate) fn shown_period(&self) -> Map<String, Value> {
        self.shown_twice(OldName::Period)
    }

    pub(crate) fn shown_policies(&self) -> Map<String, Value> {
        self.shown_twice(OldName::Policies)
    }

    /// Under the new name, and under the old one if it was used and there is something to show.
    fn shown_twice(&self, old: OldName) -> Map<String, Value> {
        let (name, old_name, is_empty, value) = match old {
            OldName::BoundCidrs => (
                "token_bound_cidrs",
                "bound_cidrs",
                self.bound_cidrs.is_empty(),
                show_bound_cidrs(&self.bound_cidrs).into(),
            ),
            OldName::MaxTtl => number("token_max_ttl", "max_ttl", self.max_ttl_secs),
            OldName::NumUses => number("token_num_uses", "num_uses", self.num_uses),
            OldName::Period => number("token_period", "period", self.period_secs),
            OldName::Policies => (
                "token_policies",
                "policies",
                self.policies.is_empty(),
                self.policies.clone().into(),
            ),
            OldName::Ttl => number("token_ttl", "ttl", self.ttl_secs),
        };
        let mut data = Map::new();
        if self.old_names.contains(&old) && !is_empty {
            data.insert(old_name.into(), value.clone());
        }
        data.insert(name.into(), value);
        data
    }

    /// Back to what a new role has.
    pub(crate) fn reset_period(&mut self) {
        self.period_secs = 0;
        self.old_names.remove(&OldName::Period);
    }

    /// Back to what a new role has.
    pub(crate) fn reset_policies(&mut self) {
        self.policies.clear();
        self.old_names.remove(&OldName::Policies);
    }

    /// Each policy in its one form, sorted, none twice.
    pub(crate) fn sanitize_policies(&mut self) -> Result<(), ApiError> {
        self.policies = sanitize_policy_names(&self.policies)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(())
    }

    /// Is the initial lifetime longer than the longest, if there is one?
    pub(crate) fn ttl_exceeds_max(&self) -> bool {
        self.max_ttl_secs > 0 && self.ttl_secs > self.max_ttl_secs
    }

    /// # Errors
    /// `Forbidden` from an address whose tokens could not be used.
    pub(crate) fn check_source(&self, source: IpAddr) -> Result<(), ApiError> {
        if address_allowed(&self.bound_cidrs, source.to_canonical()) {
            Ok(())
        } else {
            Err(ApiError::permission_denied())
        }
    }

    /// The token of a login from `source`. What names the caller is for the method to add.
    pub(crate) fn grant(&self, source: IpAddr) -> Grant {
        Grant {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            ttl_secs: self.ttl_secs,
            max_ttl_secs: self.max_ttl_secs,
            explicit_max_ttl_secs: self.explicit_max_ttl_secs,
            period_secs: self.period_secs,
            num_uses: self.num_uses,
            bound_cidrs: if self.strictly_bind_ip {
                vec![IpNet::from(source.to_canonical())]
            } else {
                self.bound_cidrs.clone()
            },
            token_type: self.token_type,
            renewable: true,
            ..Grant::default()
        }
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

    /// An old name is shown from its use until the new one is used without it.
    fn note_old_names(&mut self, old: &OldFields, new: &TokenFields) {
        for (name, is_old, is_new) in [
            (
                OldName::BoundCidrs,
                old.bound_cidrs.is_some(),
                new.token_bound_cidrs.is_some(),
            ),
            (
                OldName::MaxTtl,
                old.max_ttl.is_some(),
                new.token_max_ttl.is_some(),
            ),
            (
                OldName::NumUses,
                old.num_uses.is_some(),
                new.token_num_uses.is_some(),
            ),
            (
                OldName::Period,
                old.period.is_some(),
                new.token_period.is_some(),
            ),
            (
                OldName::Policies,
                old.policies.is_some(),
                new.token_policies.is_some(),
            ),
            (OldName::Ttl, old.ttl.is_some(), new.token_ttl.is_some()),
        ] {
            if is_old {
                self.old_names.insert(name);
            } else if is_new {
                self.old_names.remove(&name);
            }
        }
    }

    fn check_type(&self) -> Result<(), ApiError> {
        if self.token_type != TokenType::Batch {
            return Ok(());
        }
        let purpose = match (self.period_secs, self.num_uses) {
            (0, 0) => return Ok(()),
            (0, _) => "tokens with limited use count",
            _ => "periodic tokens",
        };
        Err(ApiError::bad_request(format!(
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate {purpose}"
        )))
    }

    fn check_addresses(&self) -> Result<(), ApiError> {
        if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            return Err(ApiError::bad_request(
                "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
            ));
        }
        Ok(())
    }
}

fn number(
    name: &'static str,
    old_name: &'static str,
    number: u64,
) -> (&'static str, &'static str, bool, Value) {
    (name, old_name, number == 0, number.into())
}

/// What is in the default of a mount has no meaning in a role.
fn read_token_type(text: &str) -> Result<TokenType, ApiError> {
    match TokenType::parse(text) {
        Some(given @ (TokenType::Batch | TokenType::Default | TokenType::Service)) => Ok(given),
        None | Some(TokenType::DefaultBatch | TokenType::DefaultService) => Err(
            ApiError::bad_request(format!("invalid 'token_type' value {text:?}")),
        ),
    }
}

fn read_num_uses(count: i64) -> Result<u64, ApiError> {
    u64::try_from(count).map_err(|_| ApiError::bad_request("'token_num_uses' cannot be negative"))
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
    use crate::params::{Field, Params as _};

    params! {
        struct Own {
            bound_cidrs: Option<CommaList>,
            max_ttl: Option<Seconds>,
            num_uses: Option<i64>,
            period: Option<Seconds>,
            policies: Option<CommaList>,
            ttl: Option<Seconds>,
        }
    }

    fn applied(settings: &mut TokenSettings, data: &Value) -> Result<(), String> {
        let mut data = data.as_object().unwrap().clone();
        let WithToken::<Own> { own, common } = Joined::take(&mut data).ok().unwrap();
        assert!(data.is_empty(), "unknown: {data:?}");
        let old = OldFields {
            bound_cidrs: own.bound_cidrs,
            max_ttl: own.max_ttl,
            num_uses: own.num_uses,
            period: own.period,
            policies: own.policies,
            ttl: own.ttl,
        };
        let applied = common.apply(old, settings);
        applied.map_err(|error| error.to_string())
    }

    fn after(writes: &[Value]) -> Map<String, Value> {
        let mut settings = TokenSettings::default();
        for data in writes {
            assert_eq!(applied(&mut settings, data), Ok(()), "{data}");
        }
        settings.shown()
    }

    #[test]
    fn parameters_of_a_method_stand_before_those_on_tokens() {
        let names: Vec<_> = WithToken::<Own>::FIELDS.iter().map(Field::name).collect();
        assert_eq!(names.len(), 16);
        assert_eq!((names[0], names[6]), ("bound_cidrs", "token_bound_cidrs"));
        assert_eq!(names[15], "token_type");
    }

    #[test]
    fn old_names_are_shown_from_their_use_until_the_new_one_is_used() {
        let old = json!({
            "bound_cidrs": "127.0.0.1", "max_ttl": 600, "num_uses": 3, "period": 60,
            "policies": "B, a,b", "ttl": "5m",
        });
        let expected = json!({
            "bound_cidrs": ["127.0.0.1"], "max_ttl": 600, "num_uses": 3, "period": 60,
            "policies": ["a", "b"], "ttl": 300, "token_bound_cidrs": ["127.0.0.1"],
            "token_explicit_max_ttl": 0, "token_max_ttl": 600, "token_no_default_policy": false,
            "token_num_uses": 3, "token_period": 60, "token_policies": ["a", "b"],
            "token_strictly_bind_ip": false, "token_ttl": 300, "token_type": "default",
        });
        assert_eq!(json!(after(&[old.clone(), json!({})])), expected);
        let new = json!({
            "token_bound_cidrs": "127.0.0.1", "token_max_ttl": 600, "token_num_uses": 3,
            "token_period": 60, "token_policies": "B, a", "token_ttl": "5m",
        });
        let mut shown_new = expected;
        for name in new.as_object().unwrap().keys() {
            let old_name = name.strip_prefix("token_").unwrap();
            shown_new.as_object_mut().unwrap().remove(old_name);
        }
        shown_new["token_policies"] = json!(["B", "a"]);
        assert_eq!(json!(after(&[old.clone(), new])), shown_new);
        let nothing = json!({
            "bound_cidrs": "", "max_ttl": 0, "num_uses": 0, "period": 0, "policies": "", "ttl": 0,
        });
        assert_eq!(after(&[old, nothing]), TokenSettings::default().shown());
    }

    #[test]
    fn the_new_name_wins_and_both_are_shown() {
        let both = json!({
            "policies": "x", "token_policies": "B,a", "ttl": 1, "token_ttl": 2,
            "bound_cidrs": "bad", "token_bound_cidrs": "::1",
        });
        let shown = after(&[both]);
        for name in ["policies", "token_policies"] {
            assert_eq!(shown[name], json!(["B", "a"]), "{name}");
        }
        assert_eq!((&shown["ttl"], &shown["token_ttl"]), (&json!(2), &json!(2)));
        assert_eq!(shown["bound_cidrs"], json!(["::1"]));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let batch = |purpose: &str| {
            format!(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate {purpose}"
            )
        };
        let too_long = "'token_ttl' cannot be greater than 'token_max_ttl'".to_owned();
        let strict =
            "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one".to_owned();
        let negative = "'token_num_uses' cannot be negative".to_owned();
        let unknown = |text: &str| format!("invalid 'token_type' value {text:?}");
        for (data, text) in [
            (json!({"token_ttl": 2, "token_max_ttl": 1}), too_long),
            (
                json!({"token_type": "batch", "token_period": 60, "token_num_uses": 1,
                       "token_ttl": 2, "token_max_ttl": 1}),
                batch("periodic tokens"),
            ),
            (
                json!({"token_type": "batch", "token_num_uses": 1}),
                batch("tokens with limited use count"),
            ),
            (
                json!({"token_type": "batch", "num_uses": 1}),
                batch("tokens with limited use count"),
            ),
            (json!({"token_num_uses": -1}), negative.clone()),
            (json!({"num_uses": -1}), negative),
            (
                json!({"token_type": "x", "token_num_uses": -1}),
                unknown("x"),
            ),
            (
                json!({"token_type": "default-batch"}),
                unknown("default-batch"),
            ),
            (
                json!({"token_strictly_bind_ip": true, "token_bound_cidrs": "::1"}),
                strict.clone(),
            ),
            (
                json!({"token_strictly_bind_ip": true, "bound_cidrs": "::1"}),
                strict,
            ),
        ] {
            let refused = applied(&mut TokenSettings::default(), &data);
            assert_eq!(refused, Err(text), "{data}");
        }
    }

    #[test]
    fn a_login_from_elsewhere_gets_nothing() {
        let mut settings = TokenSettings::default();
        applied(&mut settings, &json!({"token_bound_cidrs": "10.0.0.0/8"})).unwrap();
        let is_allowed = |source: &str| settings.check_source(source.parse().unwrap()).is_ok();
        assert!(is_allowed("10.1.2.3"));
        assert!(is_allowed("::ffff:10.1.2.3"));
        assert!(!is_allowed("11.1.2.3"));
        let mut settings = TokenSettings::default();
        applied(&mut settings, &json!({"token_strictly_bind_ip": true})).unwrap();
        let grant = settings.grant("::ffff:11.1.2.3".parse().unwrap());
        assert_eq!(show_bound_cidrs(&grant.bound_cidrs), ["11.1.2.3"]);
    }
}
