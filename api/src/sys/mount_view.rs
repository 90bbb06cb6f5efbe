//! Mounts as `sys/mounts`, `sys/auth` and `sys/internal/ui/mounts` show them.

use serde_json::{Map, Value, json};

use crate::mount::{Mount, MountConfig};
use crate::registry;
use crate::reply::TokenType;

/// A mount in full.
pub(super) fn entry(mount: &Mount, version: &str) -> Map<String, Value> {
    let record = &mount.record;
    let config = mount.settings.config();
    let options = match &config.options {
        None => Value::Null,
        Some(options) => json!(options),
    };
    let mut entry = Map::new();
    let mut add = |name: &str, value: Value| {
        entry.insert(name.to_owned(), value);
    };
    add("accessor", record.accessor.clone().into());
    add("config", shown_config(mount, &config).into());
    if !registry::BUILT_IN
        .iter()
        .any(|built_in| built_in.path == mount.path)
    {
        add("deprecation_status", "supported".into());
    }
    add("description", config.description.clone().into());
    add(
        "external_entropy_access",
        record.external_entropy_access.into(),
    );
    add("local", record.local.into());
    add("options", options);
    add("plugin_version", "".into());
    add(
        "running_plugin_version",
        format!("v{version}+builtin.vault").into(),
    );
    add("running_sha256", "".into());
    add("seal_wrap", record.seal_wrap.into());
    add("type", mount.kind().into());
    add("uuid", record.uuid.clone().into());
    entry
}

/// The path without `auth/`, as the listing of auth methods shows it.
pub(super) fn shown_path(mount: &Mount) -> &str {
    mount.path.strip_prefix("auth/").unwrap_or(&mount.path)
}

/// How a mount is tuned: lease times as they take effect.
pub(super) fn tuning(mount: &Mount) -> Map<String, Value> {
    let config = mount.settings.config();
    let mut tuning = Map::new();
    tuning.insert(
        "default_lease_ttl".into(),
        mount.settings.default_ttl_secs().into(),
    );
    tuning.insert("description".into(), config.description.clone().into());
    tuning.insert("force_no_cache".into(), config.force_no_cache.into());
    tuning.insert("max_lease_ttl".into(), mount.settings.max_ttl_secs().into());
    if let Some(options) = config.options.as_ref().filter(|o| !o.is_empty()) {
        tuning.insert("options".into(), json!(options));
    }
    add_optional(&mut tuning, &config);
    if mount.is_auth() {
        tuning.insert("token_type".into(), token_type(&config).into());
        if let Some(lockout) = &config.user_lockout {
            tuning.extend(lockout_fields(lockout));
        }
    }
    tuning
}

fn shown_config(mount: &Mount, config: &MountConfig) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert(
        "default_lease_ttl".into(),
        config.default_lease_ttl_secs.into(),
    );
    shown.insert("force_no_cache".into(), config.force_no_cache.into());
    shown.insert("max_lease_ttl".into(), config.max_lease_ttl_secs.into());
    add_optional(&mut shown, config);
    if mount.is_auth() {
        shown.insert("token_type".into(), token_type(config).into());
        if let Some(lockout) = &config.user_lockout {
            let fields = Map::from_iter(lockout_fields(lockout));
            shown.insert("user_lockout_config".into(), fields.into());
        }
    }
    shown
}

/// Fields that are shown when they are set.
fn add_optional(shown: &mut Map<String, Value>, config: &MountConfig) {
    for (name, values) in [
        (
            "audit_non_hmac_request_keys",
            &config.audit_non_hmac_request_keys,
        ),
        (
            "audit_non_hmac_response_keys",
            &config.audit_non_hmac_response_keys,
        ),
        (
            "passthrough_request_headers",
            &config.passthrough_request_headers,
        ),
        ("allowed_response_headers", &config.allowed_response_headers),
    ] {
        if !values.is_empty() {
            shown.insert(name.to_owned(), values.clone().into());
        }
    }
    if !config.listing_visibility.is_empty() {
        shown.insert(
            "listing_visibility".into(),
            config.listing_visibility.clone().into(),
        );
    }
}

fn token_type(config: &MountConfig) -> &'static str {
    match config.token_type {
        TokenType::Default => TokenType::DefaultService.name(),
        set => set.name(),
    }
}

fn lockout_fields(lockout: &crate::mount::LockoutConfig) -> [(String, Value); 4] {
    [
        (
            "user_lockout_counter_reset_duration".into(),
            lockout.counter_reset_secs.into(),
        ),
        ("user_lockout_disable".into(), lockout.disabled.into()),
        ("user_lockout_duration".into(), lockout.duration_secs.into()),
        ("user_lockout_threshold".into(), lockout.threshold.into()),
    ]
}
