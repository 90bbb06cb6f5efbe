//! What operators say of a mount when they enable or tune it.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::mount::{LockoutConfig, MountConfig};
use crate::params::{CommaList, FromField, Pairs, Params, Seconds, params, take_field};
use crate::reply::TokenType;

params! {
    /// The `config` object of a request that enables a mount.
    pub(super) struct EnableConfig {
        allowed_managed_keys: Option<CommaList>,
        allowed_response_headers: Option<CommaList>,
        audit_non_hmac_request_keys: Option<CommaList>,
        audit_non_hmac_response_keys: Option<CommaList>,
        default_lease_ttl: Value,
        delegated_auth_accessors: Option<CommaList>,
        force_no_cache: bool,
        identity_token_key: Option<String>,
        listing_visibility: Option<String>,
        max_lease_ttl: Value,
        options: Option<Pairs>,
        passthrough_request_headers: Option<CommaList>,
        plugin_name: Option<String>,
        plugin_version: Option<String>,
        token_type: Option<String>,
        user_lockout_config: Option<Map<String, Value>>,
    }
}

/// Reads the `config` object. `system_max_secs` bounds a default lease time that comes alone.
pub(super) fn read_enable_config(
    mut given: Map<String, Value>,
    is_auth: bool,
    system_max_secs: u64,
) -> Result<MountConfig, ApiError> {
    let given = EnableConfig::take(&mut given).map_err(|error| {
        ApiError::bad_request(format!(
            "unable to convert given mount config information: {}",
            error.text()
        ))
    })?;
    let default = ttl(&given.default_lease_ttl)
        .map_err(|error| unparsable("default", &given.default_lease_ttl, &error))?;
    let max = ttl(&given.max_lease_ttl)
        .map_err(|error| unparsable("max", &given.max_lease_ttl, &error))?;
    let (default, max) = (default.unwrap_or(0), max.unwrap_or(0));
    if max != 0 && default > max {
        return Err(ApiError::bad_request(
            "given default lease TTL greater than given max lease TTL",
        ));
    }
    if max == 0 && default > system_max_secs {
        return Err(ApiError::bad_request(format!(
            "given default lease TTL greater than system max lease TTL of {system_max_secs}"
        )));
    }
    let mut config = MountConfig {
        default_lease_ttl_secs: default,
        max_lease_ttl_secs: max,
        force_no_cache: given.force_no_cache,
        options: given.options.map(|options| options.0),
        ..MountConfig::default()
    };
    set_list(
        &mut config.allowed_response_headers,
        given.allowed_response_headers,
    );
    set_list(
        &mut config.audit_non_hmac_request_keys,
        given.audit_non_hmac_request_keys,
    );
    set_list(
        &mut config.audit_non_hmac_response_keys,
        given.audit_non_hmac_response_keys,
    );
    set_list(
        &mut config.passthrough_request_headers,
        given.passthrough_request_headers,
    );
    if let Some(visibility) = given.listing_visibility {
        config.listing_visibility = checked_visibility(visibility)?;
    }
    if is_auth {
        if let Some(token_type) = given.token_type {
            config.token_type = checked_token_type(&token_type)?;
        }
        if let Some(lockout) = given.user_lockout_config {
            config.user_lockout = Some(read_lockout(lockout, None)?);
        }
    }
    // Parts of features that are not here; clients send them empty.
    for unused in [
        given.allowed_managed_keys.map(|list| list.0.concat()),
        given.delegated_auth_accessors.map(|list| list.0.concat()),
        given.identity_token_key,
    ] {
        if unused.is_some_and(|text| !text.is_empty()) {
            return Err(ApiError::bad_request(
                "allowed_managed_keys, delegated_auth_accessors and identity_token_key are not \
                 supported",
            ));
        }
    }
    // The type names the engine, and there is one version of each.
    let _ = (given.plugin_name, given.plugin_version);
    Ok(config)
}

params! {
    pub(super) struct TuneParams {
        /// Not supported: must be empty.
        allowed_managed_keys: Option<CommaList>,
        /// Headers of an engine's answer that reach the client.
        allowed_response_headers: Option<CommaList>,
        /// Request fields that stand in the audit log in the clear.
        audit_non_hmac_request_keys: Option<CommaList>,
        /// Response fields that stand in the audit log in the clear.
        audit_non_hmac_response_keys: Option<CommaList>,
        /// The default lease time; "system" for the server's.
        default_lease_ttl: Value,
        /// User-friendly description of the mount.
        description: Option<String>,
        /// Who sees the mount in listings: empty, "hidden" or "unauth".
        listing_visibility: Option<String>,
        /// The longest lease time; "system" for the server's.
        max_lease_ttl: Value,
        /// Options of the engine.
        options: Option<Pairs>,
        /// Headers of a request that reach the engine.
        passthrough_request_headers: Option<CommaList>,
        /// The path of the mount.
        path: String,
        /// The version of the engine; there is one.
        plugin_version: Option<String>,
        /// Type of the tokens that logins give, for an auth method.
        token_type: Option<String>,
        /// When a login is locked after wrong secrets, for an auth method.
        user_lockout_config: Option<Map<String, Value>>,
    }
}

impl TuneParams {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The first parameter that is given, for mounts that cannot be tuned.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let lists = [
            ("allowed_managed_keys", self.allowed_managed_keys.is_some()),
            (
                "allowed_response_headers",
                self.allowed_response_headers.is_some(),
            ),
            (
                "audit_non_hmac_request_keys",
                self.audit_non_hmac_request_keys.is_some(),
            ),
            (
                "audit_non_hmac_response_keys",
                self.audit_non_hmac_response_keys.is_some(),
            ),
            ("default_lease_ttl", !self.default_lease_ttl.is_null()),
            ("description", self.description.is_some()),
            ("listing_visibility", self.listing_visibility.is_some()),
            ("max_lease_ttl", !self.max_lease_ttl.is_null()),
            ("options", self.options.is_some()),
            (
                "passthrough_request_headers",
                self.passthrough_request_headers.is_some(),
            ),
            ("token_type", self.token_type.is_some()),
            ("user_lockout_config", self.user_lockout_config.is_some()),
        ];
        lists
            .into_iter()
            .find_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Changes `config` by what is given.
    pub(super) fn apply(
        self,
        config: &mut MountConfig,
        is_auth: bool,
        system_max_secs: u64,
    ) -> Result<(), ApiError> {
        let text = |error: String| ApiError::bad_request(error);
        if let Some(secs) = ttl(&self.default_lease_ttl).map_err(text)? {
            config.default_lease_ttl_secs = secs;
        }
        if let Some(secs) = ttl(&self.max_lease_ttl).map_err(text)? {
            config.max_lease_ttl_secs = secs;
        }
        let max = match config.max_lease_ttl_secs {
            0 => system_max_secs,
            own => own,
        };
        if config.default_lease_ttl_secs > max {
            return Err(ApiError::bad_request(format!(
                "backend max lease TTL of {max} would be less than backend default lease TTL of {}",
                config.default_lease_ttl_secs
            )));
        }
        if self
            .allowed_managed_keys
            .is_some_and(|keys| keys.0.iter().any(|key| !key.is_empty()))
        {
            return Err(ApiError::bad_request("managed keys are not supported"));
        }
        if let Some(description) = self.description {
            config.description = description;
        }
        set_list(
            &mut config.allowed_response_headers,
            self.allowed_response_headers,
        );
        set_list(
            &mut config.audit_non_hmac_request_keys,
            self.audit_non_hmac_request_keys,
        );
        set_list(
            &mut config.audit_non_hmac_response_keys,
            self.audit_non_hmac_response_keys,
        );
        set_list(
            &mut config.passthrough_request_headers,
            self.passthrough_request_headers,
        );
        if let Some(visibility) = self.listing_visibility {
            config.listing_visibility = checked_visibility(visibility)?;
        }
        if let Some(options) = self.options.filter(|options| !options.0.is_empty()) {
            config.options.get_or_insert_default().extend(options.0);
        }
        if let Some(token_type) = self.token_type {
            if !is_auth {
                return Err(ApiError::bad_request(
                    "'token_type' can only be modified on auth mounts",
                ));
            }
            config.token_type = checked_token_type(&token_type)?;
        }
        if let Some(lockout) = self.user_lockout_config {
            if !is_auth {
                return Err(ApiError::bad_request(
                    "'user_lockout_config' can only be modified on auth mounts",
                ));
            }
            config.user_lockout = Some(read_lockout(lockout, config.user_lockout.clone())?);
        }
        let _ = self.plugin_version;
        Ok(())
    }
}

/// `None` for a lease time that stays as it is; 0 is the server's own.
fn ttl(value: &Value) -> Result<Option<u64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if text == "system" => Ok(Some(0)),
        other => Seconds::from_value(other.clone()).map(|secs| Some(secs.0)),
    }
}

fn unparsable(which: &str, value: &Value, error: &str) -> ApiError {
    let shown = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ApiError::bad_request(format!("unable to parse {which} TTL of {shown}: {error}"))
}

fn set_list(target: &mut Vec<String>, given: Option<CommaList>) {
    if let Some(list) = given {
        *target = list.0.into_iter().filter(|item| !item.is_empty()).collect();
    }
}

fn checked_visibility(given: String) -> Result<String, ApiError> {
    match given.as_str() {
        "" | "hidden" | "unauth" => Ok(given),
        other => Err(ApiError::bad_request(format!(
            "invalid listing_visibility {other}"
        ))),
    }
}

fn checked_token_type(given: &str) -> Result<TokenType, ApiError> {
    TokenType::parse(given).ok_or_else(|| ApiError::bad_request("invalid value for 'token_type'"))
}

fn read_lockout(
    mut given: Map<String, Value>,
    current: Option<LockoutConfig>,
) -> Result<LockoutConfig, ApiError> {
    let mut lockout = current.unwrap_or_default();
    if let Some(Seconds(secs)) = field(&mut given, "lockout_counter_reset_duration")? {
        lockout.counter_reset_secs = secs;
    }
    if let Some(disabled) = field(&mut given, "lockout_disable")? {
        lockout.disabled = disabled;
    }
    if let Some(Seconds(secs)) = field(&mut given, "lockout_duration")? {
        lockout.duration_secs = secs;
    }
    if let Some(threshold) = field::<i64>(&mut given, "lockout_threshold")? {
        lockout.threshold = u64::try_from(threshold)
            .map_err(|_| ApiError::bad_request("lockout_threshold cannot be negative"))?;
    }
    Ok(lockout)
}

fn field<T: FromField>(
    given: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    take_field(given, name).map_err(|error| ApiError::bad_request(error.text()))
}
