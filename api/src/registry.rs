//! The engines and auth methods that can be mounted; a new one is one line in each function.

use std::sync::Arc;

use crate::auth::unavailable;
use crate::engine::{Mounted, mounted};
use crate::error::ApiError;
use crate::mount::{MountConfig, MountEnvironment};

/// A mount that every server has.
#[derive(Debug)]
pub struct BuiltIn {
    pub path: &'static str,
    pub kind: &'static str,
    pub description: &'static str,
    pub local: bool,
}

pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        path: "sys/",
        kind: "system",
        description: "system endpoints used for control, policy and debugging",
        local: false,
    },
    BuiltIn {
        path: "cubbyhole/",
        kind: "cubbyhole",
        description: "per-token private secret storage",
        local: true,
    },
    BuiltIn {
        path: "auth/token/",
        kind: "token",
        description: "token based credentials",
        local: false,
    },
];

const SECRETS: &[&str] = &["kv", "pki"];
/// Taken, but not shown: the old name of `kv`.
const OLD_SECRETS: &[&str] = &["generic"];
const AUTH_METHODS: &[&str] = &["approle", "cert", "jwt", "kubernetes", "oidc", "userpass"];

/// The secrets engines that can be mounted, sorted.
#[must_use]
pub fn secrets_engines() -> Vec<&'static str> {
    let mut kinds = SECRETS.to_vec();
    kinds.sort_unstable();
    kinds
}

/// The auth methods that can be mounted, sorted.
#[must_use]
pub fn auth_methods() -> Vec<&'static str> {
    let mut kinds = [AUTH_METHODS, unavailable::KINDS].concat();
    kinds.sort_unstable();
    kinds
}

/// Can an operator mount `kind` at `path`?
pub fn check_kind(path: &str, kind: &str) -> Result<(), ApiError> {
    let kinds = if path.starts_with("auth/") {
        auth_methods()
    } else {
        [SECRETS, OLD_SECRETS].concat()
    };
    if kinds.contains(&kind) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "plugin not found in the catalog: {kind}"
    )))
}

/// Does a change of its options give a mount of this kind another engine?
///
/// # Errors
/// When the kind does not allow the change.
pub fn needs_new_engine(
    kind: &str,
    before: &MountConfig,
    after: &MountConfig,
) -> Result<bool, ApiError> {
    match kind {
        "kv" => crate::secrets::kv::is_upgrade(before.options.as_ref(), after.options.as_ref()),
        _ => Ok(false),
    }
}

/// Makes the engine of a mount.
pub fn open(path: &str, kind: &str, env: MountEnvironment) -> Result<Arc<dyn Mounted>, ApiError> {
    match (path.starts_with("auth/"), kind) {
        (false, "system") => Ok(mounted(crate::sys::Sys)),
        (false, "generic") => crate::secrets::kv::open_generic(env),
        (false, "kv") => crate::secrets::kv::open(env),
        (false, "pki") => Ok(mounted(crate::secrets::pki::Pki::open(env))),
        (false, "cubbyhole") => Ok(mounted(crate::secrets::cubbyhole::Cubbyhole)),
        (true, "approle") => Ok(mounted(crate::auth::approle::AppRole::open(env)?)),
        (true, "jwt") => Ok(mounted(crate::auth::jwt::Jwt::open(env))),
        (true, "kubernetes") => Ok(mounted(crate::auth::kubernetes::Kubernetes::open(env))),
        (true, "oidc") => Ok(mounted(crate::auth::jwt::Oidc::open(env))),
        (true, "cert") => Ok(mounted(crate::auth::cert::CertAuth::open(env))),
        (true, "userpass") => Ok(mounted(crate::auth::userpass::UserPass::open(&env))),
        (true, "token") => Ok(mounted(crate::auth::token::TokenAuth::new(&env))),
        (true, other) if let Some(engine) = unavailable::open(other) => Ok(engine),
        _ => Err(ApiError::internal(format!(
            "mount {path} has the unknown type {kind}"
        ))),
    }
}
