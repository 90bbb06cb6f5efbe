//! The versions that Signet states about itself.

/// Release of Signet.
pub(crate) const SIGNET_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Vault release whose API Signet answers to. Clients parse it as a semantic version and switch
/// features on by it, so it is what the server reports as `version` too.
pub(crate) const COMPATIBLE_VAULT_VERSION: &str = "1.19.5";
