//! What can be set on a role, and how it takes effect.

use crate::auth::token_fields::{OldFields, TokenFields, WithToken};
use crate::error::ApiError;
use crate::params::{CommaList, Seconds, params};
use crate::reply::TokenType;
use crate::time::go_duration;

use super::MAX_ID_BYTES;
use super::cidr::parse_ranges;
use super::role::Role;

params! {
    pub(super) struct OwnParams {
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
    }
}

pub(super) type RoleParams = WithToken<OwnParams>;

impl RoleParams {
    /// Sets on `role` what is given, checks the whole and returns warnings. `max_ttl_secs` is the
    /// mount's.
    pub(super) fn apply(self, role: &mut Role, max_ttl_secs: u64) -> Result<Vec<String>, ApiError> {
        let Self {
            own,
            common: mut token,
        } = self;
        let mut warnings: Vec<String> = adjust_type(&mut token).into_iter().collect();
        let sets_max_ttl = token.token_max_ttl.is_some();
        let old = OldFields {
            period: own.period,
            policies: own.policies,
            ..OldFields::default()
        };
        token.apply(old, &mut role.token)?;
        if let Some(ranges) = own.secret_id_bound_cidrs.or(own.bound_cidr_list) {
            role.secret_id_bound_cidrs = parse_ranges(&ranges, "CIDR")?;
        }
        if let Some(id) = own.role_id {
            role.role_id = read_role_id(&id)?;
        }
        if let Some(count) = own.secret_id_num_uses {
            role.secret_id_num_uses = u64::try_from(count)
                .map_err(|_| ApiError::bad_request("secret_id_num_uses cannot be negative"))?;
        }
        if let Some(ttl) = own.secret_id_ttl {
            role.secret_id_ttl_secs = ttl.0;
        }
        role.bind_secret_id = own.bind_secret_id.unwrap_or(role.bind_secret_id);
        role.local_secret_ids = own.local_secret_ids.unwrap_or(role.local_secret_ids);
        check(role, max_ttl_secs)?;
        if sets_max_ttl && role.token.max_ttl_secs > max_ttl_secs {
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
    let period = role.token.period_secs;
    if period > max_ttl_secs {
        return Err(ApiError::bad_request(format!(
            "period of {:?} is greater than the backend's maximum lease TTL of {:?}",
            go_duration(period),
            go_duration(max_ttl_secs)
        )));
    }
    let is_bound = role.bind_secret_id
        || !role.secret_id_bound_cidrs.is_empty()
        || !role.token.bound_cidrs.is_empty();
    if !is_bound {
        return Err(ApiError::bad_request(
            "at least one constraint should be enabled on the role",
        ));
    }
    Ok(())
}

/// Takes the defaults of a mount for what they come to, with a warning.
fn adjust_type(token: &mut TokenFields) -> Option<String> {
    let given = token.token_type.as_deref()?;
    let adjusted = match TokenType::parse(given)? {
        TokenType::DefaultBatch => TokenType::Batch,
        TokenType::DefaultService => TokenType::Service,
        TokenType::Batch | TokenType::Default | TokenType::Service => return None,
    };
    let name = adjusted.name();
    let warning = format!("{given} has no useful meaning; adjusting to {name}");
    token.token_type = Some(name.to_owned());
    Some(warning)
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
