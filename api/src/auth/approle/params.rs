//! What can be set on a role, and how it takes effect.

use crate::error::ApiError;
use crate::params::{CommaList, Seconds, params};
use crate::reply::TokenType;
use crate::time::go_duration;

use super::MAX_ID_BYTES;
use super::cidr::{parse_ranges, parse_ranges_or_addresses};
use super::role::Role;

params! {
    pub(super) struct RoleParams {
        /// Name of the role.
        name: String,
        /// Impose secret_id to be presented when logging in using this role. Defaults to 'true'.
        bind_secret_id: Option<bool>,
        /// Deprecated: use "secret_id_bound_cidrs". List of CIDR blocks.
        bound_cidr_list: Option<CommaList>,
        /// If set, the secret IDs generated using this role will be cluster local. This can only be set during role creation and once set, it can't be reset later.
        local_secret_ids: Option<bool>,
        /// Deprecated: use "token_period".
        period: Option<Seconds>,
        /// Deprecated: use "token_policies".
        policies: Option<CommaList>,
        /// Identifier of the role. Defaults to a UUID.
        role_id: Option<String>,
        /// Comma separated string or list of CIDR blocks. If set, specifies the blocks of IP addresses which can perform the login operation.
        secret_id_bound_cidrs: Option<CommaList>,
        /// Number of times a SecretID can access the role, after which the SecretID will expire. Defaults to 0 meaning that the the secret_id is of unlimited use.
        secret_id_num_uses: Option<i64>,
        /// Duration in seconds after which the issued SecretID should expire. Defaults to 0, meaning no expiration.
        secret_id_ttl: Option<Seconds>,
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

impl RoleParams {
    /// Sets on `role` what is given, checks the whole and returns warnings. `max_ttl_secs` is the
    /// mount's.
    pub(super) fn apply(self, role: &mut Role, max_ttl_secs: u64) -> Result<Vec<String>, ApiError> {
        let Self {
            name: _,
            bind_secret_id,
            bound_cidr_list,
            local_secret_ids,
            period,
            policies,
            role_id,
            secret_id_bound_cidrs,
            secret_id_num_uses,
            secret_id_ttl,
            token_bound_cidrs,
            token_explicit_max_ttl,
            token_max_ttl,
            token_no_default_policy,
            token_num_uses,
            token_period,
            token_policies,
            token_strictly_bind_ip,
            token_ttl,
            token_type,
        } = self;
        let mut warnings = Vec::new();

        set_policies(role, policies, token_policies)?;
        set_period(role, period, token_period);
        if let Some(ranges) = token_bound_cidrs {
            role.token_bound_cidrs = parse_ranges_or_addresses(&ranges)?;
        }
        if let Some(ranges) = secret_id_bound_cidrs.or(bound_cidr_list) {
            role.secret_id_bound_cidrs = parse_ranges(&ranges, "CIDR")?;
        }
        if let Some(text) = token_type {
            (role.token_type, warnings) = read_token_type(&text)?;
        }
        if let Some(id) = role_id {
            role.role_id = read_role_id(&id)?;
        }
        if let Some(count) = token_num_uses {
            role.token_num_uses = not_negative(count, "'token_num_uses'")?;
        }
        if let Some(count) = secret_id_num_uses {
            role.secret_id_num_uses = not_negative(count, "secret_id_num_uses")?;
        }
        set(&mut role.bind_secret_id, bind_secret_id);
        set(&mut role.local_secret_ids, local_secret_ids);
        set(&mut role.token_no_default_policy, token_no_default_policy);
        set(&mut role.token_strictly_bind_ip, token_strictly_bind_ip);
        set_secs(&mut role.secret_id_ttl_secs, secret_id_ttl);
        set_secs(
            &mut role.token_explicit_max_ttl_secs,
            token_explicit_max_ttl,
        );
        set_secs(&mut role.token_max_ttl_secs, token_max_ttl);
        set_secs(&mut role.token_ttl_secs, token_ttl);

        check(role, max_ttl_secs)?;
        if token_max_ttl.is_some() && role.token_max_ttl_secs > max_ttl_secs {
            warnings.push(
                "token_max_ttl is greater than the backend mount's maximum TTL value; issued \
                 tokens' max TTL value will be truncated"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

/// What must hold for every role. `max_ttl_secs` is the mount's.
pub(super) fn check(role: &Role, max_ttl_secs: u64) -> Result<(), ApiError> {
    let refuse = |text: &str| Err(ApiError::bad_request(text));
    if role.token_max_ttl_secs > 0 && role.token_ttl_secs > role.token_max_ttl_secs {
        return refuse("'token_ttl' cannot be greater than 'token_max_ttl'");
    }
    if role.token_strictly_bind_ip && !role.token_bound_cidrs.is_empty() {
        return refuse("'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one");
    }
    if role.token_type == TokenType::Batch {
        let purpose = if role.token_period_secs > 0 {
            Some("periodic tokens")
        } else if role.token_num_uses > 0 {
            Some("tokens with limited use count")
        } else {
            None
        };
        if let Some(purpose) = purpose {
            return refuse(&format!(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate {purpose}"
            ));
        }
    }
    if role.token_period_secs > max_ttl_secs {
        return refuse(&format!(
            "period of {:?} is greater than the backend's maximum lease TTL of {:?}",
            go_duration(role.token_period_secs),
            go_duration(max_ttl_secs)
        ));
    }
    let is_bound = role.bind_secret_id
        || !role.secret_id_bound_cidrs.is_empty()
        || !role.token_bound_cidrs.is_empty();
    if !is_bound {
        return refuse("at least one constraint should be enabled on the role");
    }
    Ok(())
}

/// The old name of the field is shown again only when it was the one used.
fn set_policies(
    role: &mut Role,
    old: Option<CommaList>,
    new: Option<CommaList>,
) -> Result<(), ApiError> {
    match (old, new) {
        (None, None) => {}
        (old, Some(new)) => {
            role.shows_policies = old.is_some();
            role.token_policies = new.0;
        }
        (Some(old), None) => {
            role.shows_policies = true;
            role.token_policies = crate::acl::sanitize_policy_names(&old.0)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
        }
    }
    Ok(())
}

fn set_period(role: &mut Role, old: Option<Seconds>, new: Option<Seconds>) {
    if let Some(period) = new.or(old) {
        role.shows_period = old.is_some();
        role.token_period_secs = period.0;
    }
}

fn read_token_type(text: &str) -> Result<(TokenType, Vec<String>), ApiError> {
    let adjusted = |to: TokenType| {
        let warning = format!("{text} has no useful meaning; adjusting to {}", to.name());
        (to, vec![warning])
    };
    match TokenType::parse(text) {
        Some(TokenType::DefaultBatch) => Ok(adjusted(TokenType::Batch)),
        Some(TokenType::DefaultService) => Ok(adjusted(TokenType::Service)),
        Some(other) => Ok((other, Vec::new())),
        None => Err(ApiError::bad_request(format!(
            "invalid 'token_type' value {text:?}"
        ))),
    }
}

/// Without surrounding white space, which a login ignores.
fn read_role_id(given: &str) -> Result<String, ApiError> {
    let id = given.trim();
    if id.is_empty() {
        return Err(ApiError::bad_request(
            "invalid role_id supplied, or failed to generate a role_id",
        ));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(ApiError::bad_request(format!(
            "role_id is longer than maximum of {MAX_ID_BYTES} bytes"
        )));
    }
    Ok(id.to_owned())
}

fn not_negative(count: i64, what: &str) -> Result<u64, ApiError> {
    u64::try_from(count).map_err(|_| ApiError::bad_request(format!("{what} cannot be negative")))
}

fn set(target: &mut bool, given: Option<bool>) {
    *target = given.unwrap_or(*target);
}

fn set_secs(target: &mut u64, given: Option<Seconds>) {
    *target = given.map_or(*target, |given| given.0);
}
