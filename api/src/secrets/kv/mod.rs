//! `kv`: texts and numbers under names, with or without versions.
//!
//! The option `version` of a mount decides. A mount without versions can be tuned to have them;
//! what is in it becomes the first version of each secret.

mod v1;
mod v2;

use std::collections::BTreeMap;
use std::sync::Arc;

use signet_storage::check_path;

use crate::engine::{Mounted, mounted};
use crate::error::ApiError;
use crate::mount::MountEnvironment;

/// Names of the engine that can be mounted, and the option `version` that each stands for.
pub(crate) const ALIASES: &[(&str, Option<&str>)] = &[("kv-v1", None), ("kv-v2", Some("2"))];

/// The folder of secrets without versions.
const PLAIN: &str = "plain/";

/// A record that is there once the mount has versions: nothing more is written to [`PLAIN`].
const UPGRADED: &str = "upgraded";

/// Longest name of a secret, in bytes; with what stands around it, it fits a path of the store.
const MAX_PATH_BYTES: usize = 3_900;

/// The engine of a mount, by its option `version`.
pub fn open(environment: MountEnvironment) -> Result<Arc<dyn Mounted>, ApiError> {
    let options = environment.settings.config().options.clone();
    Ok(if has_versions(options.as_ref())? {
        mounted(v2::Versioned::open(environment))
    } else {
        mounted(v1::Plain::<v1::Kv>::open(environment))
    })
}

/// The engine of a mount of the old type `generic`, which never has versions.
pub fn open_generic(environment: MountEnvironment) -> Result<Arc<dyn Mounted>, ApiError> {
    let options = environment.settings.config().options.clone();
    if has_versions(options.as_ref())? {
        return Err(ApiError::bad_request(
            "a mount of type \"generic\" cannot have versions; use the type \"kv\"",
        ));
    }
    Ok(mounted(v1::Plain::<v1::Generic>::open(environment)))
}

/// Does a change of options give a mount another engine?
///
/// # Errors
/// When the versions would have to be taken away, or the option makes no sense.
pub(crate) fn is_upgrade(
    before: Option<&BTreeMap<String, String>>,
    after: Option<&BTreeMap<String, String>>,
) -> Result<bool, ApiError> {
    match (has_versions(before)?, has_versions(after)?) {
        (true, false) => Err(ApiError::bad_request(
            "cannot downgrade mount from version 2",
        )),
        (before, after) => Ok(before != after),
    }
}

fn has_versions(options: Option<&BTreeMap<String, String>>) -> Result<bool, ApiError> {
    let version = options.and_then(|options| options.get("version"));
    match version.map_or("", String::as_str) {
        "" | "0" | "1" => Ok(false),
        "2" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "invalid version provided: {other}"
        ))),
    }
}

/// Refuses names under which nothing can be stored.
fn check_name(path: &str) -> Result<(), ApiError> {
    if path.is_empty() || path.ends_with('/') {
        return Err(ApiError::bad_request(
            "cannot write to a path ending in '/'",
        ));
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(ApiError::bad_request(format!(
            "path is longer than {MAX_PATH_BYTES} bytes"
        )));
    }
    check_path(path).map_err(|_| ApiError::bad_request("path is not valid"))
}
